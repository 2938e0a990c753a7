/**
 * ◆ How far each device of a group's members has come, as this account knows: what a removal lets stand. A message names the
 * one before it, so where one is missing, nothing else can stand in its place.
 */
import { concat } from '../bytes.ts'
import { decode, encode, hexId, record, u32 } from '../codec.ts'
import type { ReadEnvelope } from '../group/envelope.ts'
import { firstPlace, placeAfter, type SendingPlace } from '../group/group-keys.ts'
import type { DeviceId, GroupEnvelopeId, GroupId, Identity } from '../ids.ts'
import type { ReadTx, WriteTx } from '../store/store.ts'
import { tables } from '../store/tables.ts'

/** Messages of one device, by how many it sent before. */
export interface Places {
  readonly device: DeviceId
  readonly first: number
  /** Exclusive. */
  readonly end: number
}

/** What the keys of a group begin with. */
type GroupKey = (tx: ReadTx, account: Identity, group: GroupId) => Uint8Array

const envelopeId = hexId<GroupEnvelopeId>(32)
const placeCodec = record<SendingPlace>({ sequence: u32, previous: envelopeId })
const raw = (hex: string): Uint8Array => Buffer.from(hex, 'hex')

export class GroupPlaces {
  readonly #key: GroupKey

  constructor(key: GroupKey) {
    this.#key = key
  }

  /** Of the device's next message, as far as its messages are known here. */
  next(tx: ReadTx, account: Identity, group: GroupId, device: DeviceId): SendingPlace | undefined {
    const value = tx.get(tables.groupPlaces, this.#deviceKey(tx, account, group, device))
    return value === undefined ? undefined : decode(placeCodec, value)
  }

  /** A message is here: taken, said, or told by another device of the account. */
  note(tx: WriteTx, account: Identity, envelope: ReadEnvelope): void {
    const { group, device, sequence, previous } = envelope.header
    const { sequence: next } = this.next(tx, account, group, device) ?? firstPlace
    tx.remove(tables.groupNamed, this.keyOf(tx, account, group, device, sequence))
    const isBeforeTaken = sequence === next
    if (sequence > 0 && !isBeforeTaken)
      tx.put(tables.groupNamed, this.keyOf(tx, account, group, device, sequence - 1), encode(envelopeId, previous))
    if (sequence >= next)
      tx.put(tables.groupPlaces, this.#deviceKey(tx, account, group, device), encode(placeCodec, placeAfter(envelope)))
  }

  /** The message that is missing at a place, as the one after it names it. */
  named(
    tx: ReadTx,
    account: Identity,
    group: GroupId,
    device: DeviceId,
    sequence: number,
  ): GroupEnvelopeId | undefined {
    const value = tx.get(tables.groupNamed, this.keyOf(tx, account, group, device, sequence))
    return value === undefined ? undefined : decode(envelopeId, value)
  }

  /** Of a device's messages from `first` on and before `end`, each settled by the one after it: where the missing ones end. */
  gapBefore(tx: ReadTx, account: Identity, group: GroupId, { device, first, end }: Places): number {
    const place = (sequence: number): Uint8Array => this.keyOf(tx, account, group, device, sequence)
    const missing = { from: place(first), to: place(end), reverse: true, limit: 1 }
    const [highest] = [...tx.keys(tables.groupNamed, missing)].map((key) => decode(u32, key.subarray(-4)))
    return highest === undefined ? end : highest + 1
  }

  /** ‖ account ‖ group ‖ device ‖ u32 sequence */
  keyOf(tx: ReadTx, account: Identity, group: GroupId, device: DeviceId, sequence: number): Uint8Array {
    return concat(this.#deviceKey(tx, account, group, device), encode(u32, sequence))
  }

  #deviceKey(tx: ReadTx, account: Identity, group: GroupId, device: DeviceId): Uint8Array {
    return concat(this.#key(tx, account, group), raw(device))
  }
}

/**
 * The outbox: references to messages that a recipient's devices have not yet acknowledged, in submission order for
 * each pair of account and contact, and the canonical messages they refer to. Everything here happens inside the
 * caller's transaction.
 */
import {
  array,
  bytes,
  type Codec,
  decode,
  encode,
  hexId,
  optional,
  record,
  Reader,
  text,
  u32,
  u64,
  u8,
} from '../codec.ts'
import { concat } from '../bytes.ts'
import type { Address, BlobRoot, DeviceId, Identity, MessageId } from '../ids.ts'
import { limits } from '../limits.ts'
import type { ReadTx, WriteTx } from '../store/store.ts'
import { tables } from '../store/tables.ts'
import type { DsnNotify } from './submission.ts'

export interface OutboxRef {
  readonly account: Identity
  readonly recipient: Identity
  readonly message: MessageId
  /** The address that the sender wrote to. */
  readonly address: Address
  readonly notify: readonly DsnNotify[]
  readonly originalRecipient: string | undefined
  readonly submittedAtMs: number
  /** The gateway's accumulated running time at submission: a machine that was off has not waited. */
  readonly submittedRunMs: number
  readonly expiresAtMs: number
  /** Devices of the recipient that have it durably. */
  readonly ackedBy: readonly DeviceId[]
  /** Devices that will never take it. */
  readonly refusedBy: readonly DeviceId[]
  /** One report that it takes long is enough. */
  readonly delayReported: boolean
  /** The message itself when it has one recipient, so that a row serves for two; else it is in the messages table. */
  readonly alone: OutgoingMessage | undefined
}

/** What a message in the outbox needs beside its bytes: for reports, and to give back what it holds. */
export interface OutgoingMessage {
  readonly encoded: Uint8Array
  readonly envelopeId: string | undefined
  readonly returned: 'full' | 'headers'
  /** Names the held content from which chunks are made, until the last reference is gone. */
  readonly root: BlobRoot | undefined
  /** Beginning of the header section when the content is a blob: what a report can show of it. */
  readonly head: Uint8Array
}

export interface QueuedRef {
  readonly seq: number
  readonly ref: OutboxRef
}

export const notifies: readonly DsnNotify[] = ['never', 'success', 'failure', 'delay']
export const notifyCodec: Codec<DsnNotify> = {
  write: (out, value) => out.u8(notifies.indexOf(value)),
  read: (from) => notifies[from.u8()] ?? 'failure',
}
export const returnedCodec: Codec<'full' | 'headers'> = {
  write: (out, value) => out.u8(value === 'full' ? 1 : 0),
  read: (from) => (u8.read(from) === 1 ? 'full' : 'headers'),
}
const flag: Codec<boolean> = { write: (out, value) => out.u8(value ? 1 : 0), read: (from) => u8.read(from) === 1 }
const identity = hexId<Identity>(32)

const outgoingCodec = record<OutgoingMessage>({
  encoded: bytes(limits.itemBytesMax),
  envelopeId: optional(text(limits.dsnTextOctetsMax)),
  returned: returnedCodec,
  root: optional(hexId<BlobRoot>(32)),
  head: bytes(limits.messageInlineBytesMax),
})

const refCodec = record<OutboxRef>({
  account: identity,
  recipient: identity,
  message: hexId<MessageId>(32),
  address: text(limits.addressOctetsMax) as unknown as Codec<Address>,
  notify: array(notifyCodec, notifies.length),
  originalRecipient: optional(text(limits.dsnTextOctetsMax)),
  submittedAtMs: u64,
  submittedRunMs: u64,
  expiresAtMs: u64,
  ackedBy: array(hexId<DeviceId>(32), limits.devicesMax),
  refusedBy: array(hexId<DeviceId>(32), limits.devicesMax),
  delayReported: flag,
  alone: optional(outgoingCodec),
})

/** A reference's number begins with the millisecond of its submission. */
const seqsPerMs = 1000

const raw = (hex: string): Uint8Array => Buffer.from(hex, 'hex')
const seqKey = (prefix: Uint8Array, seq: number): Uint8Array => {
  const key = Buffer.allocUnsafe(prefix.length + 8)
  key.set(prefix)
  key.writeUInt32BE(Math.floor(seq / 0x1_0000_0000), prefix.length)
  key.writeUInt32BE(seq >>> 0, prefix.length + 4)
  return key
}

export class Outbox {
  /** Opaque prefixes are costly enough to remember: one for each pair that has had mail since start. */
  readonly #prefixes = new Map<string, Uint8Array>()
  #lastSeq = 0

  /** Adds one message with a reference for each recipient, in their order. */
  add(
    tx: WriteTx,
    message: MessageId,
    outgoing: OutgoingMessage,
    refs: readonly Omit<OutboxRef, 'alone'>[],
  ): readonly QueuedRef[] {
    const { account } = refs[0]!
    const alone = refs.length === 1 ? outgoing : undefined
    if (alone === undefined) {
      tx.put(tables.messages, this.#messageKey(tx, account, message), encode(outgoingCodec, outgoing))
      this.#setCount(tx, account, message, refs.length)
    }
    return refs.map((fields) => {
      const ref = { ...fields, alone }
      const prefix = this.#pairPrefix(tx, ref.account, ref.recipient)
      const seq = this.#nextSeq(tx, prefix, ref.submittedAtMs)
      tx.put(tables.outbox, seqKey(prefix, seq), encode(refCodec, ref))
      return { seq, ref }
    })
  }

  has(tx: ReadTx, { seq, ref }: QueuedRef): boolean {
    return tx.has(tables.outbox, seqKey(this.#pairPrefix(tx, ref.account, ref.recipient), seq))
  }

  /** References of one pair with `seq` greater than `after`, oldest first. */
  *refs(tx: ReadTx, account: Identity, recipient: Identity, after: number, limit: number): Generator<QueuedRef> {
    const prefix = this.#pairPrefix(tx, account, recipient)
    for (const { key, value } of tx.range(tables.outbox, { prefix, from: seqKey(prefix, after + 1), limit })) {
      yield { seq: new Reader(key.subarray(prefix.length)).u64(), ref: decode(refCodec, value) }
    }
  }

  get(tx: ReadTx, account: Identity, recipient: Identity, seq: number): OutboxRef | undefined {
    const value = tx.get(tables.outbox, seqKey(this.#pairPrefix(tx, account, recipient), seq))
    return value === undefined ? undefined : decode(refCodec, value)
  }

  put(tx: WriteTx, seq: number, ref: OutboxRef): void {
    tx.put(tables.outbox, seqKey(this.#pairPrefix(tx, ref.account, ref.recipient), seq), encode(refCodec, ref))
  }

  message(tx: ReadTx, { account, message, alone }: OutboxRef): OutgoingMessage | undefined {
    if (alone !== undefined) return alone
    const value = tx.get(tables.messages, this.#messageKey(tx, account, message))
    return value === undefined ? undefined : decode(outgoingCodec, value)
  }

  /** Ends one reference; with the last one the message goes too and is returned, so that the caller can let go of what it held. */
  remove(tx: WriteTx, seq: number, ref: OutboxRef): OutgoingMessage | undefined {
    tx.remove(tables.outbox, seqKey(this.#pairPrefix(tx, ref.account, ref.recipient), seq))
    if (ref.alone !== undefined) return ref.alone
    const left = this.#count(tx, ref.account, ref.message) - 1
    if (left > 0) {
      this.#setCount(tx, ref.account, ref.message, left)
      return undefined
    }
    const gone = this.message(tx, ref)
    const key = this.#messageKey(tx, ref.account, ref.message)
    tx.remove(tables.messages, key)
    tx.remove(tables.messages, this.#countKey(key))
    return gone
  }

  isEmpty(tx: ReadTx): boolean {
    for (const _ of tx.keys(tables.outbox, { limit: 1 })) return false
    return true
  }

  /** How many there are, without reading them. */
  count(tx: ReadTx): number {
    let count = 0
    for (const _ of tx.keys(tables.outbox, {})) count += 1
    return count
  }

  /**
   * One slice of all references for the sweep: at most `rows` keys from `from` on, of which those are read that were
   * submitted before a moment, Unix milliseconds. `next` is where to go on.
   */
  slice(
    tx: ReadTx,
    from: Uint8Array | undefined,
    { rows, beforeMs }: { readonly rows: number; readonly beforeMs: number },
  ): { readonly refs: readonly QueuedRef[]; readonly next: Uint8Array | undefined } {
    const keys = [...tx.keys(tables.outbox, { ...(from === undefined ? {} : { from }), limit: rows })]
    const refs = keys.flatMap((key) => {
      const seq = new Reader(key.subarray(key.length - 8)).u64()
      const value = seq < beforeMs * seqsPerMs ? tx.get(tables.outbox, key) : undefined
      return value === undefined ? [] : [{ seq, ref: decode(refCodec, value) }]
    })
    const last = keys.at(-1)
    return { refs, next: keys.length < rows || last === undefined ? undefined : concat(last, Uint8Array.of(0)) }
  }

  /** Every reference on this gateway: for `queue list`. */
  *all(tx: ReadTx): Generator<QueuedRef> {
    for (const { key, value } of tx.range(tables.outbox, {})) {
      yield { seq: new Reader(key.subarray(key.length - 8)).u64(), ref: decode(refCodec, value) }
    }
  }

  #messageKey(tx: ReadTx, account: Identity, message: MessageId): Uint8Array {
    const prefix = this.#prefix(tx, account)
    const key = new Uint8Array(prefix.length + 32)
    key.set(prefix)
    key.set(raw(message), prefix.length)
    return key
  }

  #countKey(messageKey: Uint8Array): Uint8Array {
    const key = new Uint8Array(messageKey.length + 1)
    key.set(messageKey)
    key[messageKey.length] = 1
    return key
  }

  #count(tx: ReadTx, account: Identity, message: MessageId): number {
    const value = tx.get(tables.messages, this.#countKey(this.#messageKey(tx, account, message)))
    return value === undefined ? 1 : decode(u32, value)
  }

  #setCount(tx: WriteTx, account: Identity, message: MessageId, count: number): void {
    tx.put(tables.messages, this.#countKey(this.#messageKey(tx, account, message)), encode(u32, count))
  }

  /** Ascending with the clock; a step back of the clock only costs the look-up of a free number. */
  #nextSeq(tx: ReadTx, prefix: Uint8Array, nowMs: number): number {
    let seq = Math.max(this.#lastSeq + 1, nowMs * seqsPerMs)
    while (tx.has(tables.outbox, seqKey(prefix, seq))) seq += 1
    this.#lastSeq = seq
    return seq
  }

  #prefix(tx: ReadTx, account: Identity): Uint8Array {
    return this.#remembered(account, () => tx.opaque(raw(account)))
  }

  #pairPrefix(tx: ReadTx, account: Identity, recipient: Identity): Uint8Array {
    return this.#remembered(account + recipient, () => tx.opaque(raw(account), raw(recipient)))
  }

  #remembered(name: string, make: () => Uint8Array): Uint8Array {
    const known = this.#prefixes.get(name)
    if (known !== undefined) return known
    const made = make()
    this.#prefixes.set(name, made)
    return made
  }
}

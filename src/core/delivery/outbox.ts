/**
 * The outbox: references to messages that a recipient's devices have not yet acknowledged, in submission order for
 * each pair of account and contact, and the canonical messages they refer to. Everything here happens inside the
 * caller's transaction.
 */
import { array, bytes, type Codec, decode, encode, hexId, optional, record, text, u32, u64, u8 } from '../codec.ts'
import { concat } from '../bytes.ts'
import type { Address, BlobRoot, DeviceId, Identity, MessageId } from '../ids.ts'
import { limits } from '../limits.ts'
import type { ReadTx, WriteTx } from '../store/store.ts'
import { tables } from '../store/tables.ts'
import { decodePack, numberAt, OutboxPacks, type PairRows, pairRows, seqsPerMs } from './outbox-packs.ts'
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
export const notifiesCodec = array(notifyCodec, notifies.length)
export const returnedCodec: Codec<'full' | 'headers'> = {
  write: (out, value) => out.u8(value === 'full' ? 1 : 0),
  read: (from) => (u8.read(from) === 1 ? 'full' : 'headers'),
}
const flag: Codec<boolean> = { write: (out, value) => out.u8(value ? 1 : 0), read: (from) => u8.read(from) === 1 }
const identity = hexId<Identity>(32)

export const outgoingCodec = record<OutgoingMessage>({
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
  notify: notifiesCodec,
  originalRecipient: optional(text(limits.dsnTextOctetsMax)),
  submittedAtMs: u64,
  submittedRunMs: u64,
  expiresAtMs: u64,
  ackedBy: array(hexId<DeviceId>(32), limits.devicesMax),
  refusedBy: array(hexId<DeviceId>(32), limits.devicesMax),
  delayReported: flag,
  alone: optional(outgoingCodec),
})

const raw = (hex: string): Uint8Array => Buffer.from(hex, 'hex')

export class Outbox {
  /** Opaque prefixes are costly enough to remember: one for each pair that has had mail since start. */
  readonly #prefixes = new Map<Identity, Uint8Array>()
  readonly #pairs = new Map<Identity, Map<Identity, PairRows>>()
  readonly #packs = new OutboxPacks()

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
      const pair = this.#pair(tx, ref.account, ref.recipient)
      return { seq: this.#packs.add(tx, pair, encode(refCodec, ref), ref.submittedAtMs), ref }
    })
  }

  has(tx: WriteTx, { seq, ref }: QueuedRef): boolean {
    return this.#packs.get(tx, this.#pair(tx, ref.account, ref.recipient), seq) !== undefined
  }

  /** References of one pair with `seq` greater than `after`, oldest first; without what this transaction has added. */
  *refs(tx: WriteTx, account: Identity, recipient: Identity, after: number, limit: number): Generator<QueuedRef> {
    let given = 0
    for (const { seq, encoded } of this.#packs.after(tx, this.#pair(tx, account, recipient), after)) {
      yield { seq, ref: decode(refCodec, encoded) }
      given += 1
      if (given >= limit) return
    }
  }

  /** References of one pair to these messages: reads all of the pair. */
  find(tx: WriteTx, account: Identity, recipient: Identity, messages: ReadonlySet<MessageId>): readonly QueuedRef[] {
    const found: QueuedRef[] = []
    for (const { seq, encoded } of this.#packs.after(tx, this.#pair(tx, account, recipient), 0)) {
      const ref = decode(refCodec, encoded)
      if (messages.has(ref.message)) found.push({ seq, ref })
    }
    return found
  }

  get(tx: WriteTx, account: Identity, recipient: Identity, seq: number): OutboxRef | undefined {
    const encoded = this.#packs.get(tx, this.#pair(tx, account, recipient), seq)
    return encoded === undefined ? undefined : decode(refCodec, encoded)
  }

  /** In the place of what is there. */
  put(tx: WriteTx, seq: number, ref: OutboxRef): void {
    this.#packs.put(tx, this.#pair(tx, ref.account, ref.recipient), seq, encode(refCodec, ref))
  }

  message(tx: ReadTx, { account, message, alone }: OutboxRef): OutgoingMessage | undefined {
    if (alone !== undefined) return alone
    const value = tx.get(tables.messages, this.#messageKey(tx, account, message))
    return value === undefined ? undefined : decode(outgoingCodec, value)
  }

  /** Ends one reference; with the last one the message goes too and is returned, so that the caller can let go of what it held. */
  remove(tx: WriteTx, seq: number, ref: OutboxRef): OutgoingMessage | undefined {
    this.#packs.remove(tx, this.#pair(tx, ref.account, ref.recipient), seq)
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

  /** How many there are. */
  count(tx: ReadTx): number {
    let count = 0
    for (const { value } of tx.range(tables.outbox, {})) for (const _ of decodePack(value)) count += 1
    return count
  }

  /**
   * One slice of all references for the sweep: of at most `rows` rows from `from` on, those that were submitted before a
   * moment, Unix milliseconds; later ones are not read. `next` is where to go on.
   */
  slice(
    tx: ReadTx,
    from: Uint8Array | undefined,
    { rows, beforeMs }: { readonly rows: number; readonly beforeMs: number },
  ): { readonly refs: readonly QueuedRef[]; readonly next: Uint8Array | undefined } {
    const keys = [...tx.keys(tables.outbox, { ...(from === undefined ? {} : { from }), limit: rows })]
    const refs = keys.flatMap((key) => {
      const value = numberAt(key) < beforeMs * seqsPerMs ? tx.get(tables.outbox, key) : undefined
      return value === undefined ? [] : refsIn(key, value)
    })
    const last = keys.at(-1)
    return { refs, next: keys.length < rows || last === undefined ? undefined : concat(last, Uint8Array.of(0)) }
  }

  /** Every reference on this gateway: for `queue list`. */
  *all(tx: ReadTx): Generator<QueuedRef> {
    for (const { key, value } of tx.range(tables.outbox, {})) yield* refsIn(key, value)
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

  #prefix(tx: ReadTx, account: Identity): Uint8Array {
    const known = this.#prefixes.get(account)
    if (known !== undefined) return known
    const made = tx.opaque(raw(account))
    this.#prefixes.set(account, made)
    return made
  }

  #pair(tx: ReadTx, account: Identity, recipient: Identity): PairRows {
    let pairs = this.#pairs.get(account)
    if (pairs === undefined) this.#pairs.set(account, (pairs = new Map()))
    const known = pairs.get(recipient)
    if (known !== undefined) return known
    const made = pairRows(tx.opaque(raw(account), raw(recipient)))
    pairs.set(recipient, made)
    return made
  }
}

const refsIn = (key: Uint8Array, value: Uint8Array): readonly QueuedRef[] =>
  [...decodePack(value)].map(([slot, encoded]) => ({ seq: numberAt(key) + slot, ref: decode(refCodec, encoded) }))

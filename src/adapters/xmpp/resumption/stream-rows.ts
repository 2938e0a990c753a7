/** Streams that a client may resume, as they outlive this process (XEP-0198 §5). */
import type { Identity } from '../../../core/ids.ts'
import { bool, decode, encode, hexId, optional, record, text, u64 } from '../../../core/codec.ts'
import { concat } from '../../../core/bytes.ts'
import { limits } from '../../../core/limits.ts'
import type { ReadTx, Store, WriteTx } from '../../../core/store/store.ts'
import { tables } from '../../../core/store/tables.ts'
import type { Item } from './outgoing.ts'

export interface StreamRow {
  readonly account: Identity
  readonly passwordId: string
  readonly resource: string
  /** What parts of the server know of the client, as `ClientState` has it. */
  readonly state: StateRow
  readonly openedAtMs: number
  /** 0 while it is connected. */
  readonly lostAtMs: number
  /** 0 until it cannot be resumed any more. */
  readonly overAtMs: number
}

export interface StateRow {
  readonly carbons: boolean
  readonly wantsRoster: boolean
  readonly priority: number
  /** As XML. */
  readonly presence: string | undefined
  readonly upTo: number | undefined
  readonly notes: string
}

/** A character may be written as six. */
const stateTextMax = 8 * limits.xmppStanzaBytesMax
const priorityOffset = 128
const stateCodec = record<StateRow>({
  carbons: bool,
  wantsRoster: bool,
  priority: {
    write: (out, value) => out.u8(Math.max(0, Math.min(255, Math.trunc(value) + priorityOffset))),
    read: (from) => from.u8() - priorityOffset,
  },
  presence: optional(text(stateTextMax)),
  upTo: optional(u64),
  notes: text(stateTextMax),
})
const rowCodec = record<StreamRow>({
  account: hexId<Identity>(32),
  passwordId: text(256),
  resource: text(1023),
  state: stateCodec,
  openedAtMs: u64,
  lostAtMs: u64,
  overAtMs: u64,
})
const keptCodec = record<Pick<Item, 'atMs' | 'xml'>>({ atMs: u64, xml: text(stateTextMax) })

export const streamIdBytes = 16

export class StreamRows {
  readonly store: Store

  constructor(store: Store) {
    this.store = store
  }

  all(): readonly { readonly id: Uint8Array; readonly row: StreamRow }[] {
    return this.store.read((tx) =>
      Array.from(tx.range(tables.xmppStreams, {}), ({ key, value }) => ({ id: key, row: decode(rowCodec, value) })),
    )
  }

  get(tx: ReadTx, id: Uint8Array): StreamRow | undefined {
    const value = tx.get(tables.xmppStreams, id)
    return value === undefined ? undefined : decode(rowCodec, value)
  }

  put(tx: WriteTx, id: Uint8Array, row: StreamRow): void {
    tx.put(tables.xmppStreams, id, encode(rowCodec, row))
  }

  handled(tx: ReadTx, id: Uint8Array): number {
    const value = tx.get(tables.xmppStreamsHandled, id)
    return value === undefined ? 0 : decode(u64, value)
  }

  putHandled(tx: WriteTx, id: Uint8Array, handled: number): void {
    tx.put(tables.xmppStreamsHandled, id, encode(u64, handled))
  }

  /** In order. */
  kept(tx: ReadTx, id: Uint8Array): readonly Item[] {
    return Array.from(tx.range(tables.xmppStreamsKept, { prefix: id }), ({ key, value }) => ({
      number: decode(u64, key.subarray(id.length)),
      isKept: true,
      ...decode(keptCodec, value),
    }))
  }

  lastKept(tx: ReadTx, id: Uint8Array): number {
    const [key] = tx.keys(tables.xmppStreamsKept, { prefix: id, reverse: true, limit: 1 })
    return key === undefined ? 0 : decode(u64, key.subarray(id.length))
  }

  keep(tx: WriteTx, id: Uint8Array, items: readonly Item[]): void {
    for (const { number, atMs, xml } of items)
      tx.put(tables.xmppStreamsKept, keptKey(id, number), encode(keptCodec, { atMs, xml }))
  }

  forget(tx: WriteTx, id: Uint8Array, numbers: Iterable<number>): void {
    for (const number of numbers) tx.remove(tables.xmppStreamsKept, keptKey(id, number))
  }

  /** What was handled of it is still known for a while: its client repeats nothing that was stored. */
  over(tx: WriteTx, id: Uint8Array, nowMs: number): void {
    const row = this.get(tx, id)
    if (row === undefined) return
    this.#removeKept(tx, id)
    this.put(tx, id, { ...row, overAtMs: nowMs })
  }

  remove(tx: WriteTx, id: Uint8Array): void {
    tx.remove(tables.xmppStreams, id)
    tx.remove(tables.xmppStreamsHandled, id)
    this.#removeKept(tx, id)
  }

  #removeKept(tx: WriteTx, id: Uint8Array): void {
    const keys = Array.from(tx.keys(tables.xmppStreamsKept, { prefix: id }))
    for (const key of keys) tx.remove(tables.xmppStreamsKept, key)
  }
}

const keptKey = (id: Uint8Array, number: number): Uint8Array => concat(id, encode(u64, number))

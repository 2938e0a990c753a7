/**
 * ◆ Rows of the outbox. A row is a pack: the references that one transaction made for one pair, each in its slot, so
 * that a rush of mail is sealed, written and removed by the dozen. A transaction opens a pack once, changes it in
 * memory, and writes what is left of it at its end.
 *
 * 2026-11: with a row for each reference, its sealing, look-ups, writing and removal were a fifth of what a sent mail costs.
 */
import { toLatin1 } from '../bytes.ts'
import { Reader, Writer } from '../codec.ts'
import { limits } from '../limits.ts'
import type { ReadTx, WriteTx } from '../store/store.ts'
import { tables } from '../store/tables.ts'

/** A pack's own number is that of its first slot. */
const slots = limits.outboxPackRefsMax
/** Numbers begin with the millisecond of submission. */
export const seqsPerMs = 1024

/** Where the references of one pair of account and contact are. */
export interface PairRows {
  readonly prefix: Uint8Array
  readonly name: string
}
export const pairRows = (prefix: Uint8Array): PairRows => ({ prefix, name: toLatin1(prefix) })

interface Pack {
  readonly pair: PairRows
  readonly base: number
  /** Encoded references by slot, ascending. */
  readonly refs: Map<number, Uint8Array>
  /** The next free slot, and octets so far: of one that is being filled. */
  next: number
  bytes: number
  isChanged: boolean
}

/** What one transaction has opened. */
interface Work {
  readonly packs: Map<string, Pack>
  /** Of each pair, the pack that this transaction fills. */
  readonly filling: Map<string, Pack>
}

export class OutboxPacks {
  /** Of all instances: whoever works in a transaction sees what it did. */
  static readonly #works = new WeakMap<ReadTx, Work>()
  #lastBase = 0

  /** Puts a reference behind the others of its pair; its number. */
  add(tx: WriteTx, pair: PairRows, encoded: Uint8Array, nowMs: number): number {
    const { filling } = work(tx, OutboxPacks.#works)
    let pack = filling.get(pair.name)
    if (pack === undefined || pack.next === slots || pack.bytes + encoded.length > limits.outboxPackBytesMax) {
      pack = this.#newPack(tx, pair, nowMs)
      filling.set(pair.name, pack)
    }
    const slot = pack.next
    pack.next += 1
    pack.bytes += encoded.length
    pack.refs.set(slot, encoded)
    return pack.base + slot
  }

  get(tx: WriteTx, pair: PairRows, seq: number): Uint8Array | undefined {
    return this.#pack(tx, pair, baseOf(seq))?.refs.get(seq % slots)
  }

  /** In the place of what is there. */
  put(tx: WriteTx, pair: PairRows, seq: number, encoded: Uint8Array): void {
    const pack = this.#pack(tx, pair, baseOf(seq))
    if (pack === undefined) return
    pack.refs.set(seq % slots, encoded)
    pack.isChanged = true
  }

  remove(tx: WriteTx, pair: PairRows, seq: number): void {
    const pack = this.#pack(tx, pair, baseOf(seq))
    if (pack?.refs.delete(seq % slots) === true) pack.isChanged = true
  }

  /** Those of one pair after a number, ascending; without what this transaction has added. */
  *after(tx: WriteTx, pair: PairRows, seq: number): Generator<{ readonly seq: number; readonly encoded: Uint8Array }> {
    const { prefix } = pair
    for (const key of tx.keys(tables.outbox, { prefix, from: rowKey(prefix, baseOf(seq + 1)) })) {
      const pack = this.#pack(tx, pair, numberAt(key))
      for (const [slot, encoded] of pack?.refs ?? [])
        if (pack!.base + slot > seq) yield { seq: pack!.base + slot, encoded }
    }
  }

  #pack(tx: WriteTx, pair: PairRows, base: number): Pack | undefined {
    const { packs } = work(tx, OutboxPacks.#works)
    const name = pair.name + base
    const known = packs.get(name)
    if (known !== undefined) return known
    const value = tx.get(tables.outbox, rowKey(pair.prefix, base))
    if (value === undefined) return undefined
    const pack = { pair, base, refs: new Map(decodePack(value)), next: slots, bytes: value.length, isChanged: false }
    packs.set(name, pack)
    return pack
  }

  /** Ascending with the clock; a step back of the clock only costs the look-up of a free number. */
  #newPack(tx: WriteTx, pair: PairRows, nowMs: number): Pack {
    let base = Math.max(this.#lastBase + slots, Math.floor(nowMs) * seqsPerMs)
    const { packs } = work(tx, OutboxPacks.#works)
    while (packs.has(pair.name + base) || tx.has(tables.outbox, rowKey(pair.prefix, base))) base += slots
    this.#lastBase = base
    const pack = { pair, base, refs: new Map<number, Uint8Array>(), next: 0, bytes: 0, isChanged: true }
    packs.set(pair.name + base, pack)
    return pack
  }
}

function work(tx: WriteTx, works: WeakMap<ReadTx, Work>): Work {
  const known = works.get(tx)
  if (known !== undefined) return known
  const made: Work = { packs: new Map(), filling: new Map() }
  works.set(tx, made)
  tx.beforeCommit(() => {
    works.delete(tx) // what changes from here on starts from the rows
    for (const pack of made.packs.values()) if (pack.isChanged) write(tx, pack)
  })
  return made
}

function write(tx: WriteTx, { pair, base, refs }: Pack): void {
  const key = rowKey(pair.prefix, base)
  if (refs.size === 0) tx.remove(tables.outbox, key)
  else tx.put(tables.outbox, key, encodePack(refs))
}

const packed = new Writer(limits.outboxPackBytesMax)

function encodePack(refs: ReadonlyMap<number, Uint8Array>): Uint8Array {
  packed.reset()
  for (const [slot, encoded] of refs) {
    packed.u8(slot)
    packed.u32(encoded.length)
    packed.raw(encoded)
  }
  return packed.finish()
}

/** Slots and encoded references of a row. @throws `malformed` */
export function* decodePack(value: Uint8Array): Generator<readonly [number, Uint8Array]> {
  const from = new Reader(value)
  while (from.remaining > 0) yield [from.u8(), from.raw(from.u32())]
}

const baseOf = (seq: number): number => seq - (seq % slots)
/** The number at the end of a row's key. */
export const numberAt = (key: Uint8Array): number => new Reader(key.subarray(key.length - 8)).u64()

function rowKey(prefix: Uint8Array, base: number): Uint8Array {
  const key = Buffer.allocUnsafe(prefix.length + 8)
  key.set(prefix)
  key.writeUInt32BE(Math.floor(base / 0x1_0000_0000), prefix.length)
  key.writeUInt32BE(base >>> 0, prefix.length + 4)
  return key
}

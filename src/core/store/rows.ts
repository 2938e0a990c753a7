/** The rows under the transactions: sealed values in one LMDB tree, ordered by table number and key. */
import type { Database } from 'lmdb'
import { MyceliumError } from '../errors.ts'
import { limits } from '../limits.ts'
import { rowKeyOf, type ValueSeal } from './seal.ts'
import type { Range, Table, WriteTx } from './store.ts'
import type { Overlay } from './overlay.ts'

export type Tree = Database<Uint8Array, Uint8Array>

interface Row {
  readonly rowKey: Buffer
  /** Sealed when it comes from LMDB. */
  readonly value: Uint8Array | undefined
  readonly sealed: boolean
}

/** Runs a call into LMDB. @throws `store-corrupt` for what it reports */
export function guarded<T>(call: () => T): T {
  try {
    return call()
  } catch (error) {
    if (error instanceof MyceliumError) throw error
    throw new MyceliumError('store-corrupt', { what: 'tree' }, { cause: error })
  }
}

export class Transaction implements WriteTx {
  readonly #tree: Tree
  readonly #seal: ValueSeal
  readonly #overlay: Overlay | undefined
  readonly #before: (() => void)[] = []
  readonly effects: (() => void)[] = []
  #ended = false

  constructor(tree: Tree, seal: ValueSeal, overlay?: Overlay) {
    this.#tree = tree
    this.#seal = seal
    this.#overlay = overlay
  }

  opaque(...parts: readonly Uint8Array[]): Uint8Array {
    return this.#seal.opaque(parts)
  }

  get(table: Table, key: Uint8Array): Uint8Array | undefined {
    const rowKey = this.#rowKey(table, key)
    const entry = this.#overlay?.get(rowKey)
    if (entry !== undefined) return entry.value === undefined ? undefined : Buffer.from(entry.value)
    const sealed = this.#lent(rowKey)
    return sealed === undefined ? undefined : this.#open(table, rowKey, sealed)
  }

  getInto(table: Table, key: Uint8Array, target: Uint8Array): number | undefined {
    const rowKey = this.#rowKey(table, key)
    const entry = this.#overlay?.get(rowKey)
    if (entry !== undefined) {
      if (entry.value !== undefined) target.set(entry.value)
      return entry.value?.length
    }
    const sealed = this.#lent(rowKey)
    if (sealed === undefined) return undefined
    const length = this.#seal.openInto(target, rowKey, sealed)
    if (length === undefined) throw new MyceliumError('store-corrupt', { what: 'value', table: table.name })
    return length
  }

  has(table: Table, key: Uint8Array): boolean {
    const rowKey = this.#rowKey(table, key)
    const entry = this.#overlay?.get(rowKey)
    return entry === undefined ? guarded(() => this.#tree.doesExist(rowKey)) : entry.value !== undefined
  }

  *range(table: Table, range: Range): Generator<{ readonly key: Uint8Array; readonly value: Uint8Array }> {
    for (const { rowKey, value, sealed } of this.#rows(table, range, true)) {
      const opened = sealed ? this.#open(table, rowKey, value!) : Buffer.from(value!)
      yield { key: rowKey.subarray(1), value: opened }
    }
  }

  *keys(table: Table, range: Range): Generator<Uint8Array> {
    for (const { rowKey } of this.#rows(table, range, false)) yield rowKey.subarray(1)
  }

  put(table: Table, key: Uint8Array, value: Uint8Array): void {
    if (value.length > limits.storeValueBytesMax)
      throw new MyceliumError('too-large', { table: table.name, bytes: value.length })
    this.#overlay!.set(this.#rowKey(table, key), Buffer.from(value))
  }

  remove(table: Table, key: Uint8Array): void {
    this.#overlay!.set(this.#rowKey(table, key), undefined)
  }

  beforeCommit(effect: () => void): void {
    this.#before.push(effect)
  }

  afterCommit(effect: () => void): void {
    this.effects.push(effect)
  }

  /** Runs what waits for the end of `use`; effects may add more. */
  finish(): void {
    for (let at = 0; at < this.#before.length; at += 1) this.#before[at]!()
  }

  /** A transaction kept by mistake fails loudly from here on. */
  end(): void {
    this.#ended = true
  }

  #rowKey(table: Table, key: Uint8Array): Buffer {
    if (this.#ended) throw new TypeError('transaction used after its end')
    if (key.length > limits.storeKeyBytesMax)
      throw new MyceliumError('too-large', { table: table.name, keyBytes: key.length })
    return rowKeyOf(table.id, key)
  }

  /** Until the next look into the tree. */
  #lent(rowKey: Buffer): Uint8Array | undefined {
    const lent = guarded(() => this.#tree.getBinaryFast(rowKey))
    // lmdb-js lends one large buffer whose `length` is a property of its own: only a new view has the right extent.
    return lent === undefined ? undefined : Buffer.from(lent.buffer, lent.byteOffset, lent.length)
  }

  #open(table: Table, rowKey: Buffer, sealed: Uint8Array): Uint8Array {
    const value = this.#seal.open(rowKey, sealed)
    if (value === undefined) throw new MyceliumError('store-corrupt', { what: 'value', table: table.name })
    return value
  }

  *#rows(table: Table, range: Range, values: boolean): Generator<Row> {
    const { from, to } = this.#bounds(table, range)
    const limit = range.limit ?? Infinity
    if (limit <= 0 || Buffer.compare(from, to) >= 0) return
    const reverse = range.reverse === true
    const written = this.#overlay?.between(from, to, reverse) ?? []
    const stored = this.#stored(from, to, reverse, values, limit + written.length)
    let given = 0
    for (const row of merged(written, stored, reverse)) {
      if (row.value === undefined) continue
      yield row
      given += 1
      if (given >= limit) return
    }
  }

  *#stored(from: Buffer, to: Buffer, reverse: boolean, values: boolean, limit: number): Generator<Row> {
    const options = {
      ...(reverse
        ? { start: to, end: from, reverse: true, exclusiveStart: true, inclusiveEnd: true }
        : { start: from, end: to }),
      ...(Number.isFinite(limit) ? { limit } : {}),
    }
    const source = guarded(() => (values ? this.#tree.getRange(options) : this.#tree.getKeys(options)))
    const iterator = source[Symbol.iterator]()
    try {
      for (;;) {
        const next = guarded(() => iterator.next())
        if (next.done === true) return
        const row: Uint8Array | { key: Uint8Array; value: Uint8Array } = next.value
        const [key, value] = row instanceof Uint8Array ? [row, row] : [row.key, row.value]
        yield { rowKey: Buffer.from(key.buffer, key.byteOffset, key.length), value, sealed: true }
      }
    } finally {
      iterator.return?.()
    }
  }

  #bounds(table: Table, { prefix, from, to }: Range): { from: Buffer; to: Buffer } {
    const start = this.#rowKey(table, prefix ?? new Uint8Array())
    const end = successor(start)
    const lower = from === undefined ? start : this.#rowKey(table, from)
    const upper = to === undefined ? end : this.#rowKey(table, to)
    return {
      from: Buffer.compare(lower, start) < 0 ? start : lower,
      to: Buffer.compare(upper, end) > 0 ? end : upper,
    }
  }
}

/** The lowest key above every key that begins with this; a table number is below 255, so there is one. */
function successor(prefix: Buffer): Buffer {
  let length = prefix.length
  while (prefix[length - 1] === 0xff) length -= 1
  const next = Buffer.from(prefix.subarray(0, length))
  next[length - 1]! += 1
  return next
}

/** Both in the same order; what the flush wrote hides what is stored. */
function* merged(
  written: readonly { readonly rowKey: Buffer; readonly value: Uint8Array | undefined }[],
  stored: Iterable<Row>,
  reverse: boolean,
): Generator<Row> {
  let at = 0
  for (const row of stored) {
    let hidden = false
    while (at < written.length) {
      const order = Buffer.compare(written[at]!.rowKey, row.rowKey) * (reverse ? -1 : 1)
      if (order > 0) break
      hidden ||= order === 0
      yield { ...written[at]!, sealed: false }
      at += 1
    }
    if (!hidden) yield row
  }
  for (; at < written.length; at += 1) yield { ...written[at]!, sealed: false }
}

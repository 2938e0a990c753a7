/** What programs keep here as JSON, by account, kind and name, each sealed as everything is. */
import { concat, fromUtf8 } from '../../core/bytes.ts'
import { decode, encode, array, record, text, u64 } from '../../core/codec.ts'
import type { Identity } from '../../core/ids.ts'
import { limits } from '../../core/limits.ts'
import type { ReadTx, WriteTx } from '../../core/store/store.ts'
import { tables } from '../../core/store/tables.ts'
import { MatrixError } from './http/matrix-error.ts'

/** ◆ Numbers are part of keys: never reused. */
const kinds = {
  /** Data of the account: by room, or '' for all of it, and type. */
  data: 1,
  /** Filters of /sync, by number. */
  filter: 2,
  /** By app id and push key. */
  pusher: 3,
  /** Keys of a device for encryption, by device. */
  deviceKeys: 4,
  /** One-time keys, by device and name. */
  oneTimeKeys: 5,
  /** By device and algorithm. */
  fallbackKeys: 6,
  /** Cross-signing keys, by usage. */
  crossSigning: 7,
  /** By version. */
  backup: 8,
  /** By version, room and session. */
  backedUp: 9,
  /** Signatures that one user made, by user and key. */
  signatures: 10,
  /** How far the account has read: by room, kind of receipt, and thread or ''. */
  receipt: 11,
  /** What a device has to give away of the keys above, by device. */
  keySupply: 12,
} as const
export type KeptKind = keyof typeof kinds

export interface KeptValue<T = unknown> {
  readonly names: readonly string[]
  readonly value: T
  /** Number in the stream with which it came; 0 where none did. */
  readonly number: number
}

const rowCodec = record<{ readonly names: readonly string[]; readonly json: string; readonly number: number }>({
  names: array(text(1024), 4),
  json: text(limits.matrixKeptBytesMax),
  number: u64,
})

const keyOf = (tx: ReadTx, account: Identity, kind: KeptKind, names: readonly string[]): Uint8Array =>
  concat(
    tx.opaque(Buffer.from(account, 'hex')),
    Uint8Array.of(kinds[kind]),
    ...names.map((name) => tx.opaque(fromUtf8(name))),
  )

/** No kind has the number 0: below it stands how many there are of each. */
const countKeyOf = (tx: ReadTx, account: Identity, kind: KeptKind): Uint8Array =>
  concat(tx.opaque(Buffer.from(account, 'hex')), Uint8Array.of(0, kinds[kind]))

export class Kept {
  get<T>(tx: ReadTx, account: Identity, kind: KeptKind, ...names: readonly string[]): KeptValue<T> | undefined {
    const value = tx.get(tables.matrixKept, keyOf(tx, account, kind, names))
    return value === undefined ? undefined : read<T>(value)
  }

  /** All below some names. */
  list<T>(tx: ReadTx, account: Identity, kind: KeptKind, ...names: readonly string[]): readonly KeptValue<T>[] {
    const prefix = keyOf(tx, account, kind, names)
    return Array.from(tx.range(tables.matrixKept, { prefix }), ({ value }) => read<T>(value))
  }

  /** Some of those below some names. @param after where the page before ended @returns where the next one begins */
  page<T>(
    tx: ReadTx,
    account: Identity,
    kind: KeptKind,
    {
      names,
      after,
      limit,
    }: { readonly names: readonly string[]; readonly after?: Uint8Array | undefined; readonly limit: number },
  ): { readonly values: readonly KeptValue<T>[]; readonly next: Uint8Array | undefined } {
    const prefix = keyOf(tx, account, kind, names)
    const from = after === undefined ? {} : { from: after }
    const rows = [...tx.range(tables.matrixKept, { prefix, ...from, limit: limit + 1 })]
    return { values: rows.slice(0, limit).map(({ value }) => read<T>(value)), next: rows[limit]?.key }
  }

  /** Of one kind: from what was noted with each change, so that nobody reads every key to know. */
  count(tx: ReadTx, account: Identity, kind: KeptKind): number {
    const noted = tx.get(tables.matrixKept, countKeyOf(tx, account, kind))
    return noted === undefined ? [...this.#keys(tx, account, kind, [])].length : decode(u64, noted)
  }

  /** @throws MatrixError `M_TOO_LARGE`, `M_RESOURCE_LIMIT_EXCEEDED` */
  put(
    tx: WriteTx,
    account: Identity,
    kind: KeptKind,
    names: readonly string[],
    value: unknown,
    { number = 0, max = limits.matrixKeptMax }: { readonly number?: number; readonly max?: number } = {},
  ): void {
    const json = JSON.stringify(value)
    if (Buffer.byteLength(json) > limits.matrixKeptBytesMax)
      throw new MatrixError('M_TOO_LARGE', `More than ${limits.matrixKeptBytesMax} octets are not kept`)
    const key = keyOf(tx, account, kind, names)
    if (!tx.has(tables.matrixKept, key)) {
      const count = this.count(tx, account, kind)
      if (count >= max) throw new MatrixError('M_RESOURCE_LIMIT_EXCEEDED', 'So many are not kept: remove some first')
      this.#setCount(tx, account, kind, count + 1)
    }
    tx.put(tables.matrixKept, key, encode(rowCodec, { names, json, number }))
  }

  remove(tx: WriteTx, account: Identity, kind: KeptKind, ...names: readonly string[]): void {
    const key = keyOf(tx, account, kind, names)
    if (tx.has(tables.matrixKept, key)) this.#removeKeys(tx, account, kind, [key])
  }

  /** All below some names. @returns how many there were */
  removeAll(tx: WriteTx, account: Identity, kind: KeptKind, ...names: readonly string[]): number {
    return this.removeSome(tx, account, kind, Infinity, ...names)
  }

  /** The same, and no more than `max`: what is many goes over several transactions. */
  removeSome(tx: WriteTx, account: Identity, kind: KeptKind, max: number, ...names: readonly string[]): number {
    const found = [...this.#keys(tx, account, kind, names, max)]
    this.#removeKeys(tx, account, kind, found)
    return found.length
  }

  #removeKeys(tx: WriteTx, account: Identity, kind: KeptKind, keys: readonly Uint8Array[]): void {
    if (keys.length === 0) return
    this.#setCount(tx, account, kind, this.count(tx, account, kind) - keys.length)
    for (const key of keys) tx.remove(tables.matrixKept, key)
  }

  #keys(tx: ReadTx, account: Identity, kind: KeptKind, names: readonly string[], max = Infinity): Iterable<Uint8Array> {
    const limit = max === Infinity ? {} : { limit: max }
    return tx.keys(tables.matrixKept, { prefix: keyOf(tx, account, kind, names), ...limit })
  }

  #setCount(tx: WriteTx, account: Identity, kind: KeptKind, count: number): void {
    tx.put(tables.matrixKept, countKeyOf(tx, account, kind), encode(u64, count))
  }
}

function read<T>(encoded: Uint8Array): KeptValue<T> {
  const { names, json, number } = decode(rowCodec, encoded)
  return { names, number, value: JSON.parse(json) as T }
}

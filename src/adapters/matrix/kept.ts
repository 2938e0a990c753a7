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
  /** One-time keys, by device, algorithm and key id. */
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
  /** Receipts that are the account's own affair: by room and kind. */
  receipt: 11,
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

  count(tx: ReadTx, account: Identity, kind: KeptKind, ...names: readonly string[]): number {
    return [...tx.keys(tables.matrixKept, { prefix: keyOf(tx, account, kind, names) })].length
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
    // whoever counts by itself says so: this reads every key
    if (max !== Infinity && !tx.has(tables.matrixKept, key) && this.count(tx, account, kind) >= max)
      throw new MatrixError('M_RESOURCE_LIMIT_EXCEEDED', 'So many are not kept: remove some first')
    tx.put(tables.matrixKept, key, encode(rowCodec, { names, json, number }))
  }

  remove(tx: WriteTx, account: Identity, kind: KeptKind, ...names: readonly string[]): void {
    tx.remove(tables.matrixKept, keyOf(tx, account, kind, names))
  }

  /** All below some names. */
  removeAll(tx: WriteTx, account: Identity, kind: KeptKind, ...names: readonly string[]): number {
    const found = [...tx.keys(tables.matrixKept, { prefix: keyOf(tx, account, kind, names) })]
    for (const key of found) tx.remove(tables.matrixKept, key)
    return found.length
  }
}

function read<T>(encoded: Uint8Array): KeptValue<T> {
  const { names, json, number } = decode(rowCodec, encoded)
  return { names, number, value: JSON.parse(json) as T }
}

/**
 * The ordered key–value store that everything durable goes through: tables, ranges and transactions, the shape that
 * LMDB, PostgreSQL and FoundationDB share. Values are opaque bytes here; the implementation seals each one at rest,
 * bound to its table and key, so keys must hold opaque or keyed-hash ids and never addresses or names.
 */

/** ◆ The number is part of each value's associated data: it never changes and is never reused. See tables.ts. */
export interface Table {
  readonly id: number
  readonly name: string
}

export interface Range {
  /** Every key that begins with this. */
  readonly prefix?: Uint8Array
  /** Inclusive lower bound. */
  readonly from?: Uint8Array
  /** Exclusive upper bound. */
  readonly to?: Uint8Array
  /** From the highest key down. */
  readonly reverse?: boolean
  readonly limit?: number
}

export interface ReadTx {
  /** 16 bytes: a keyed hash of the parts under the home's key, for keys made from names, addresses or identities. */
  opaque(...parts: readonly Uint8Array[]): Uint8Array
  /** A value the caller may keep; `undefined` when the key is absent. @throws `store-corrupt` when it fails to authenticate */
  get(table: Table, key: Uint8Array): Uint8Array | undefined
  /**
   * The same, written at the beginning of `target`: how long the value is.
   * @throws `store-corrupt`; RangeError when it does not fit
   */
  getInto(table: Table, key: Uint8Array, target: Uint8Array): number | undefined
  has(table: Table, key: Uint8Array): boolean
  range(table: Table, range: Range): Iterable<{ readonly key: Uint8Array; readonly value: Uint8Array }>
  keys(table: Table, range: Range): Iterable<Uint8Array>
}

/** Reads through a write transaction see its own writes. */
export interface WriteTx extends ReadTx {
  put(table: Table, key: Uint8Array, value: Uint8Array): void
  remove(table: Table, key: Uint8Array): void
  /** Runs when `use` has returned, still inside this transaction and in order of registration: rows written once however often they changed. */
  beforeCommit(effect: () => void): void
  /** Runs after this transaction is durable, in commit order; never when it is discarded. */
  afterCommit(effect: () => void): void
}

export interface WriteOptions {
  /** How many callers the writer runs for, or ran for, where one does the work of several. */
  readonly callers?: () => number
}

export interface Store extends AsyncDisposable {
  /** A consistent view; `use` must not keep `tx` or anything iterating over it. */
  read<T>(use: (tx: ReadTx) => T): T
  /**
   * Runs `use` once in order with other writers and resolves after its commit is durable; concurrent writers share one
   * flush. `use` is synchronous, has no effect but on `tx`, and may be run again from the start. A throw discards all
   * that it wrote and rejects. @throws `disk-full`, `store-corrupt`
   */
  write<T>(use: (tx: WriteTx) => T, options?: WriteOptions): Promise<T>
  /** To be called when a writer that waits has got one caller more: it may be the one that the store waits for. */
  joined(): void
}

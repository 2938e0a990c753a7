/** What programs keep here, by account, kind and name, each sealed as everything is. */
import { concat, fromUtf8 } from '../../core/bytes.ts'
import { type Codec, decode, encode } from '../../core/codec.ts'
import type { Identity } from '../../core/ids.ts'
import type { ReadTx, WriteTx } from '../../core/store/store.ts'
import { tables } from '../../core/store/tables.ts'

/** ◆ Numbers are part of keys: never reused. */
const kinds = {
  /** A node of personal events: name and configuration. */
  node: 1,
  /** An item of one, by node and id. */
  item: 2,
  /** XEP-0049, by the namespace of the element. */
  private: 3,
  /** Groups of the roster, by contact. */
  groups: 4,
  /** A JID of nobody known that is blocked. */
  blocked: 5,
  /** XEP-0357, by service and node. */
  push: 6,
  vcard: 7,
  /** Somebody in the roster of whom nothing is known here. */
  listed: 8,
  /** Between two accounts of this gateway. */
  terms: 9,
  /** Of the service for nodes, by node: itself, items by id, subscriptions by JID, affiliations by account. */
  serviceNode: 10,
  serviceItem: 11,
  serviceSubscription: 12,
  serviceStanding: 13,
} as const
export type KeptKind = keyof typeof kinds

const prefixOf = (tx: ReadTx, account: Identity, kind: KeptKind, names: readonly string[]): Uint8Array =>
  concat(
    tx.opaque(Buffer.from(account, 'hex')),
    Uint8Array.of(kinds[kind]),
    ...names.map((name) => tx.opaque(fromUtf8(name))),
  )

/** Values of one kind. Their keys are hashes: names that are needed again stand in the values. */
export class Kept<T> {
  readonly #kind: KeptKind
  readonly #codec: Codec<T>

  constructor(kind: KeptKind, codec: Codec<T>) {
    this.#kind = kind
    this.#codec = codec
  }

  get(tx: ReadTx, account: Identity, ...names: readonly string[]): T | undefined {
    const value = tx.get(tables.xmppKept, prefixOf(tx, account, this.#kind, names))
    return value === undefined ? undefined : decode(this.#codec, value)
  }

  /** All below some names. */
  list(tx: ReadTx, account: Identity, ...names: readonly string[]): readonly T[] {
    const prefix = prefixOf(tx, account, this.#kind, names)
    return Array.from(tx.range(tables.xmppKept, { prefix }), ({ value }) => decode(this.#codec, value))
  }

  count(tx: ReadTx, account: Identity, ...names: readonly string[]): number {
    return [...tx.keys(tables.xmppKept, { prefix: prefixOf(tx, account, this.#kind, names) })].length
  }

  /** Octets of all that an account keeps of this kind. */
  bytes(tx: ReadTx, account: Identity): number {
    let sum = 0
    for (const { value } of tx.range(tables.xmppKept, { prefix: prefixOf(tx, account, this.#kind, []) }))
      sum += value.length
    return sum
  }

  put(tx: WriteTx, account: Identity, names: readonly string[], value: T): void {
    tx.put(tables.xmppKept, prefixOf(tx, account, this.#kind, names), encode(this.#codec, value))
  }

  remove(tx: WriteTx, account: Identity, ...names: readonly string[]): void {
    tx.remove(tables.xmppKept, prefixOf(tx, account, this.#kind, names))
  }

  /** All below some names. */
  removeAll(tx: WriteTx, account: Identity, ...names: readonly string[]): void {
    const prefix = prefixOf(tx, account, this.#kind, names)
    const keys = [...tx.keys(tables.xmppKept, { prefix })]
    for (const key of keys) tx.remove(tables.xmppKept, key)
  }
}

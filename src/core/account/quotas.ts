/** How many octets of mail each account may keep: its own number where one was set, else the gateway's. */
import { decode, encode, u64 } from '../codec.ts'
import type { Identity } from '../ids.ts'
import type { ReadTx, Store, WriteTx } from '../store/store.ts'
import { tables } from '../store/tables.ts'

/** Stored for an account that has no limit, whatever the gateway's is. */
const unlimited = 0

export class Quotas {
  readonly #store: Store
  readonly #defaultBytes: number
  /** By account; `undefined` for those that follow the gateway's number. */
  readonly #own = new Map<Identity, number | undefined>()

  /** @param defaultBytes for accounts without a number of their own; `Infinity` for no limit */
  constructor(store: Store, defaultBytes: number) {
    this.#store = store
    this.#defaultBytes = defaultBytes
  }

  /** Octets; `Infinity` where there is no limit. Cheap: asked for every message. */
  bytesMax(account: Identity): number {
    return this.#ownBytes(account) ?? this.#defaultBytes
  }

  /** Whether the account has a number of its own. */
  isOwn(account: Identity): boolean {
    return this.#ownBytes(account) !== undefined
  }

  /** @param bytes `undefined` to follow the gateway's number again, `Infinity` for no limit. Less than what is used keeps all of it. */
  set(tx: WriteTx, account: Identity, bytes: number | undefined): void {
    const key = keyOf(tx, account)
    if (bytes === undefined) tx.remove(tables.quotas, key)
    else tx.put(tables.quotas, key, encode(u64, bytes === Infinity ? unlimited : bytes))
    tx.afterCommit(() => void this.#own.delete(account))
  }

  #ownBytes(account: Identity): number | undefined {
    if (this.#own.has(account)) return this.#own.get(account)
    const stored = this.#store.read((tx) => tx.get(tables.quotas, keyOf(tx, account)))
    const number = stored === undefined ? undefined : decode(u64, stored)
    const bytes = number === unlimited ? Infinity : number
    this.#own.set(account, bytes)
    return bytes
  }
}

const keyOf = (tx: ReadTx, account: Identity): Uint8Array => tx.opaque(Buffer.from(account, 'hex'))

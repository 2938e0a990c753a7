/** How many octets each account's files take, those on their way included: they count against its quota beside its mail. */
import { decode, encode, u64 } from '../codec.ts'
import type { Identity } from '../ids.ts'
import type { ReadTx, Store, WriteTx } from '../store/store.ts'
import { tables } from '../store/tables.ts'

export class FileUse {
  readonly #store: Store
  readonly #known = new Map<Identity, number>()

  constructor(store: Store) {
    this.#store = store
  }

  /** Cheap: asked for every message. */
  bytes(account: Identity): number {
    const known = this.#known.get(account)
    if (known !== undefined) return known
    const bytes = this.#store.read((tx) => bytesIn(tx, account))
    this.#known.set(account, bytes)
    return bytes
  }

  /** @param octets more, or less where it is negative */
  add(tx: WriteTx, account: Identity, octets: number): void {
    const bytes = bytesIn(tx, account) + octets
    if (bytes === 0) tx.remove(tables.fileBytes, keyOf(tx, account))
    else tx.put(tables.fileBytes, keyOf(tx, account), encode(u64, bytes))
    tx.afterCommit(() => void this.#known.delete(account))
  }
}

const keyOf = (tx: ReadTx, account: Identity): Uint8Array => tx.opaque(Buffer.from(account, 'hex'))

function bytesIn(tx: ReadTx, account: Identity): number {
  const value = tx.get(tables.fileBytes, keyOf(tx, account))
  return value === undefined ? 0 : decode(u64, value)
}

/**
 * Transaction ids: a program that asks again, not knowing whether it was heard, gets the answer of the first time; and its
 * own events come back to it with the id that it gave (Client-Server API, "Transaction identifiers").
 */
import type { Clock } from '../../../core/ambient.ts'
import { concat, fromUtf8 } from '../../../core/bytes.ts'
import { decode, encode, hexId, record, text, u64 } from '../../../core/codec.ts'
import type { Identity } from '../../../core/ids.ts'
import { limits } from '../../../core/limits.ts'
import type { ReadTx, Store, WriteTx } from '../../../core/store/store.ts'
import { tables } from '../../../core/store/tables.ts'
import type { Json } from '../http/api.ts'
import { keys, type EventKey } from '../stream/rows.ts'
import type { Viewer } from './event-view.ts'

const answered = record<{ readonly key: EventKey; readonly atMs: number }>({ key: hexId<EventKey>(32), atMs: u64 })
const given = record<{ readonly device: string; readonly transaction: string }>({
  device: text(limits.matrixIdOctetsMax),
  transaction: text(limits.matrixIdOctetsMax),
})

export class Said {
  readonly #clock: Clock

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** What this transaction has led to before. */
  before(tx: ReadTx, viewer: Viewer, path: string, transaction: string): EventKey | undefined {
    const value = tx.get(tables.matrixSaid, transactionKey(tx, viewer, path, transaction))
    if (value === undefined) return undefined
    const { key, atMs } = decode(answered, value)
    return this.#clock.nowMs() - atMs > limits.matrixTransactionMs ? undefined : key
  }

  remember(tx: WriteTx, viewer: Viewer, path: string, transaction: string, key: EventKey): void {
    const { account, device } = viewer
    tx.put(
      tables.matrixSaid,
      transactionKey(tx, viewer, path, transaction),
      encode(answered, { key, atMs: this.#clock.nowMs() }),
    )
    tx.put(tables.matrixSaid, keys.event(tx, account, key), encode(given, { device, transaction }))
  }

  /** For the device that said it. */
  unsigned(tx: ReadTx, { account, device }: Viewer, key: EventKey): Json | undefined {
    const value = tx.get(tables.matrixSaid, keys.event(tx, account, key))
    if (value === undefined) return undefined
    const said = decode(given, value)
    return said.device === device ? { transaction_id: said.transaction } : undefined
  }
}

/** Keys of transactions end in a hash of 16 octets, those of events in an id of 32. */
const transactionKeyBytes = 32

/** Of an account, what was said too long ago to be asked for again. */
export async function forgetSaid(store: Store, clock: Clock, account: Identity): Promise<void> {
  let from: Uint8Array | undefined
  do {
    const slice = store.read((tx) => {
      const prefix = keys.account(tx, account)
      return Array.from(tx.range(tables.matrixSaid, { prefix, from: from ?? prefix, limit: sliceRows }))
    })
    const last = slice.at(-1)
    from = slice.length < sliceRows || last === undefined ? undefined : concat(last.key, Uint8Array.of(0))
    const old = slice.flatMap(({ key, value }) => {
      if (key.length !== transactionKeyBytes) return []
      const row = decode(answered, value)
      return clock.nowMs() - row.atMs > limits.matrixTransactionMs ? [{ key, of: row.key }] : []
    })
    if (old.length === 0) continue
    await store.write((tx) => {
      for (const { key, of } of old) {
        tx.remove(tables.matrixSaid, key)
        tx.remove(tables.matrixSaid, keys.event(tx, account, of))
      }
    })
  } while (from !== undefined)
}
const sliceRows = 1000

const transactionKey = (tx: ReadTx, { account, device }: Viewer, path: string, transaction: string): Uint8Array =>
  concat(keys.account(tx, account), tx.opaque(fromUtf8(device), fromUtf8(path), fromUtf8(transaction)))

/**
 * What was received once is known for 60 days, through expunge. The days are counted as mail's own are: by the smaller
 * of wall time and running time, so that no clock set forward makes old mail new.
 */
import { concat } from '../bytes.ts'
import { decode, encode, record, u64 } from '../codec.ts'
import type { Ambient } from '../ambient.ts'
import { limits } from '../limits.ts'
import type { ReadTx, Store, WriteTx } from '../store/store.ts'
import { tables } from '../store/tables.ts'
import type { RunClock } from './run-clock.ts'

const whenCodec = record({ wallMs: u64, runMs: u64 })

export class Tombstones {
  readonly #store: Store
  readonly #runClock: RunClock
  readonly #ambient: Ambient
  /** Where the sweep goes on; from the beginning when there is none. */
  #from: Uint8Array | undefined

  constructor(parts: { readonly store: Store; readonly runClock: RunClock; readonly ambient: Ambient }) {
    this.#store = parts.store
    this.#runClock = parts.runClock
    this.#ambient = parts.ambient
  }

  has(tx: ReadTx, key: Uint8Array): boolean {
    return tx.has(tables.seen, key)
  }

  put(tx: WriteTx, key: Uint8Array): void {
    tx.put(tables.seen, key, encode(whenCodec, { wallMs: this.#ambient.clock.nowMs(), runMs: this.#runClock.runMs() }))
  }

  /** Once a minute: one slice of all, so that a million of them take hours and nobody waits. */
  async sweepSome(): Promise<void> {
    const range = { ...(this.#from === undefined ? {} : { from: this.#from }), limit: limits.tombstoneSliceRows }
    const rows = this.#store.read((tx) => [...tx.range(tables.seen, range)])
    const over = rows.filter(({ value }) => this.#runClock.ageMs(decode(whenCodec, value)) >= limits.tombstoneMs)
    if (over.length > 0)
      await this.#store.write((tx) => {
        for (const { key } of over) tx.remove(tables.seen, key)
      })
    const last = rows.at(-1)
    this.#from =
      rows.length < limits.tombstoneSliceRows || last === undefined ? undefined : concat(last.key, Uint8Array.of(0))
  }
}

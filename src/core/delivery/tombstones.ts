/**
 * What was received once is known for 60 days, through expunge. The days are counted as mail's own are: by the smaller
 * of wall time and running time, so that no clock set forward makes old mail new.
 *
 * 2026-11: keys begin with what mail of one author shares that was sent in the same 16 ms. When they were hashes alone,
 * each mail of a rush changed a page of its own.
 */
import { concat } from '../bytes.ts'
import { decode, encode, record, u64 } from '../codec.ts'
import type { Ambient } from '../ambient.ts'
import type { Identity, MessageId } from '../ids.ts'
import { limits } from '../limits.ts'
import type { ReadTx, Store, WriteTx } from '../store/store.ts'
import { tables } from '../store/tables.ts'
import type { RunClock } from './run-clock.ts'

/** A message of one author to one account here. */
export interface ReceivedMessage {
  readonly account: Identity
  readonly author: Identity
  readonly id: MessageId
  /** As the message itself says. */
  readonly sentAtMs: number
}

const neighboursMs = 16
const neighboursBytes = 8
const raw = (hex: string): Uint8Array => Buffer.from(hex, 'hex')

const whenCodec = record({ wallMs: u64, runMs: u64 })

export class Tombstones {
  readonly #store: Store
  readonly #runClock: RunClock
  readonly #ambient: Ambient
  /** Where the sweep goes on; from the beginning when there is none. */
  #from: Uint8Array | undefined
  /** Running time of the oldest one that the sweep has come by since it began. */
  #oldestRunMs = Infinity
  /** Running time before which no sweep can find anything. */
  #restsToRunMs = 0
  /** The beginning of the last key: mail comes in the order in which it was sent. */
  #last: { readonly name: string; readonly beginning: Uint8Array } | undefined

  constructor(parts: { readonly store: Store; readonly runClock: RunClock; readonly ambient: Ambient }) {
    this.#store = parts.store
    this.#runClock = parts.runClock
    this.#ambient = parts.ambient
  }

  keyOf(tx: ReadTx, { account, author, id, sentAtMs }: ReceivedMessage): Uint8Array {
    const moment = Math.floor(sentAtMs / neighboursMs)
    const name = `${account}${author}${moment}`
    if (this.#last?.name !== name) {
      const beginning = tx.opaque(raw(account), raw(author), encode(u64, moment)).subarray(0, neighboursBytes)
      this.#last = { name, beginning }
    }
    return concat(this.#last.beginning, tx.opaque(raw(account), raw(author), raw(id)))
  }

  has(tx: ReadTx, key: Uint8Array): boolean {
    return tx.has(tables.seen, key)
  }

  put(tx: WriteTx, key: Uint8Array): void {
    tx.put(tables.seen, key, encode(whenCodec, { wallMs: this.#ambient.clock.nowMs(), runMs: this.#runClock.runMs() }))
  }

  /**
   * Once a minute: one slice of all, so that a million of them take hours and nobody waits. Where the whole of them has
   * been gone through, not before the oldest can be over: whatever wall clocks say, none is before its running time is.
   */
  async sweepSome(): Promise<void> {
    if (this.#runClock.runMs() < this.#restsToRunMs) return
    const range = { ...(this.#from === undefined ? {} : { from: this.#from }), limit: limits.tombstoneSliceRows }
    const rows = this.#store.read((tx) => [...tx.range(tables.seen, range)])
    const over: Uint8Array[] = []
    for (const { key, value } of rows) {
      const when = decode(whenCodec, value)
      if (this.#runClock.ageMs(when) >= limits.tombstoneMs) over.push(key)
      else this.#oldestRunMs = Math.min(this.#oldestRunMs, when.runMs)
    }
    if (over.length > 0)
      await this.#store.write((tx) => {
        for (const key of over) tx.remove(tables.seen, key)
      })
    const last = rows.at(-1)
    const isAll = rows.length < limits.tombstoneSliceRows || last === undefined
    this.#from = isAll ? undefined : concat(last.key, Uint8Array.of(0))
    if (isAll) this.#rest()
  }

  /** Those that came since are younger than all that were there. */
  #rest(): void {
    this.#restsToRunMs = Math.min(this.#oldestRunMs, this.#runClock.runMs()) + limits.tombstoneMs
    this.#oldestRunMs = Infinity
  }
}

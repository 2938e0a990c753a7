/**
 * How often stored content is in use. One use is the common case and takes no row: a row says "none, since when" or
 * "two or more". What one transaction does to a content is added up and written once, at its end.
 */
import { toLatin1 } from '../bytes.ts'
import { decode, encode } from '../codec.ts'
import { countCodec, countedState, refKey, sinceCodec, unreferencedState } from './content-rows.ts'
import type { WriteTx } from './store.ts'
import { tables } from './tables.ts'

interface Tally {
  readonly contentKey: Uint8Array
  /** Stored by this transaction: there is no row about it yet. */
  readonly isNew: boolean
  delta: number
}

export class ContentRefs {
  readonly #tallies = new WeakMap<WriteTx, Map<string, Tally>>()
  readonly #nowMs: () => number

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs
  }

  /** Was this content stored by this very transaction? */
  isNew(tx: WriteTx, contentKey: Uint8Array): boolean {
    return this.#tallies.get(tx)?.get(toLatin1(contentKey))?.isNew === true
  }

  /**
   * Adds uses, or takes them away when `delta` is negative; 0 starts the grace time of unreferenced content again.
   * @param isNew the transaction has just stored it
   */
  add(tx: WriteTx, contentKey: Uint8Array, delta: number, isNew = false): void {
    const name = toLatin1(contentKey)
    const tallies = this.#talliesOf(tx)
    const tally = tallies.get(name)
    if (tally === undefined) tallies.set(name, { contentKey, isNew, delta })
    else tally.delta += delta
  }

  #talliesOf(tx: WriteTx): Map<string, Tally> {
    const known = this.#tallies.get(tx)
    if (known !== undefined) return known
    const made = new Map<string, Tally>()
    this.#tallies.set(tx, made)
    tx.beforeCommit(() => {
      this.#tallies.delete(tx) // what changes from here on starts from the rows
      for (const tally of made.values()) this.#settle(tx, tally)
    })
    return made
  }

  #settle(tx: WriteTx, { contentKey, isNew, delta }: Tally): void {
    const unreferenced = refKey(unreferencedState, contentKey)
    const counted = refKey(countedState, contentKey)
    const isUnreferenced = !isNew && tx.has(tables.contentRefs, unreferenced)
    const count = isNew || isUnreferenced ? undefined : tx.get(tables.contentRefs, counted)
    const before = isNew || isUnreferenced ? 0 : count === undefined ? 1 : decode(countCodec, count)
    const after = before + delta
    if (after < 0) throw new TypeError('content released more often than retained')
    if (isUnreferenced && after > 0) tx.remove(tables.contentRefs, unreferenced)
    if (after === 0) tx.put(tables.contentRefs, unreferenced, encode(sinceCodec, this.#nowMs()))
    if (after >= 2) tx.put(tables.contentRefs, counted, encode(countCodec, after))
    else if (count !== undefined) tx.remove(tables.contentRefs, counted)
  }
}

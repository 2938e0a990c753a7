/** A store in memory with the real one's transactional semantics: all of a write or nothing, in order, effects after. */
import { createHmac } from 'node:crypto'
import { compare, concat, toHex } from '../../src/core/bytes.ts'
import type { Range, ReadTx, Store, Table, WriteTx } from '../../src/core/store/store.ts'

type Rows = Map<string, { readonly key: Uint8Array; readonly value: Uint8Array }>
type Tables = Map<number, Rows>

const opaqueKey = Buffer.from('memory store')

class Tx implements WriteTx {
  readonly #committed: Tables
  readonly #changed: Tables = new Map()
  readonly beforeEffects: (() => void)[] = []
  readonly effects: (() => void)[] = []

  constructor(committed: Tables) {
    this.#committed = committed
  }
  opaque(...parts: readonly Uint8Array[]): Uint8Array {
    const lengths = parts.map((part) => Uint8Array.of(part.length >> 8, part.length))
    const input = concat(...parts.flatMap((part, index) => [lengths[index]!, part]))
    return new Uint8Array(createHmac('sha256', opaqueKey).update(input).digest().subarray(0, 16))
  }
  #rows(table: Table): Rows {
    return this.#changed.get(table.id) ?? this.#committed.get(table.id) ?? new Map()
  }
  #own(table: Table): Rows {
    const rows = this.#changed.get(table.id) ?? new Map(this.#committed.get(table.id))
    this.#changed.set(table.id, rows)
    return rows
  }
  get(table: Table, key: Uint8Array): Uint8Array | undefined {
    const found = this.#rows(table).get(toHex(key))
    return found && Uint8Array.from(found.value)
  }
  getInto(table: Table, key: Uint8Array, target: Uint8Array): number | undefined {
    const found = this.#rows(table).get(toHex(key))
    if (found !== undefined) target.set(found.value)
    return found?.value.length
  }
  has(table: Table, key: Uint8Array): boolean {
    return this.#rows(table).has(toHex(key))
  }
  *range(table: Table, { prefix, from, to, reverse, limit }: Range) {
    const sorted = [...this.#rows(table).values()]
      .filter(({ key }) => prefix === undefined || toHex(key).startsWith(toHex(prefix)))
      .filter(
        ({ key }) => (from === undefined || compare(key, from) >= 0) && (to === undefined || compare(key, to) < 0),
      )
      .sort((a, b) => compare(a.key, b.key))
    if (reverse === true) sorted.reverse()
    yield* limit === undefined ? sorted : sorted.slice(0, limit)
  }
  *keys(table: Table, range: Range) {
    for (const { key } of this.range(table, range)) yield key
  }
  put(table: Table, key: Uint8Array, value: Uint8Array): void {
    this.#own(table).set(toHex(key), { key: Uint8Array.from(key), value: Uint8Array.from(value) })
  }
  remove(table: Table, key: Uint8Array): void {
    this.#own(table).delete(toHex(key))
  }
  beforeCommit(effect: () => void): void {
    this.beforeEffects.push(effect)
  }
  afterCommit(effect: () => void): void {
    this.effects.push(effect)
  }
  commit(): void {
    for (const [id, rows] of this.#changed) this.#committed.set(id, rows)
  }
}

/** @param rerun runs each write twice from the start, as the interface allows */
export function openMemoryStore({ rerun = false }: { readonly rerun?: boolean } = {}): Store {
  const committed: Tables = new Map()
  let last: Promise<unknown> = Promise.resolve()
  return {
    read<T>(use: (tx: ReadTx) => T): T {
      return use(new Tx(committed))
    },
    write<T>(use: (tx: WriteTx) => T): Promise<T> {
      const run = last.then(() => {
        if (rerun) use(new Tx(committed))
        const tx = new Tx(committed)
        const result = use(tx)
        for (const effect of tx.beforeEffects) effect()
        tx.commit()
        for (const effect of tx.effects) effect()
        return result
      })
      last = run.catch(() => undefined)
      return run
    },
    joined() {},
    async [Symbol.asyncDispose]() {
      await last
    },
  }
}

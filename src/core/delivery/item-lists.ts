/** What there is of each kind, as lists that comparisons go through: made when needed, kept while nothing changes. */
import type { Clock } from '../ambient.ts'
import type { Identity } from '../ids.ts'
import type { Replicated } from '../replica/replicas.ts'
import { type ItemId, ItemSet, type SetItem } from '../replica/set-reconciliation.ts'
import type { Store } from '../store/store.ts'

export interface ItemList {
  readonly set: ItemSet
  readonly lacking: readonly ItemId[]
  readonly generation: number
  readonly atMs: number
}

export class ItemLists {
  readonly #store: Store
  readonly #clock: Clock
  readonly #lists = new Map<string, ItemList>()
  readonly #generations = new Map<string, number>()

  constructor(store: Store, clock: Clock) {
    this.#store = store
    this.#clock = clock
  }

  changed(account: Identity, kind: number): void {
    const name = `${account} ${kind}`
    this.#generations.set(name, (this.#generations.get(name) ?? 0) + 1)
  }

  /** @param staleMs how old it may be when something has changed since */
  async list(account: Identity, replicated: Replicated, staleMs: number): Promise<ItemList> {
    const name = `${account} ${replicated.kind}`
    const known = this.#lists.get(name)
    const generation = this.#generations.get(name) ?? 0
    const nowMs = this.#clock.monotonicMs()
    if (known !== undefined && (known.generation === generation || nowMs - known.atMs < staleMs)) return known
    const items: SetItem[] = []
    const lacking: { readonly id: ItemId; readonly atMs: number }[] = []
    for (let from: Uint8Array | undefined | null = null; from !== undefined;) {
      const slice = this.#store.read((tx) => replicated.items(tx, account, from ?? undefined))
      for (const item of slice.items) {
        items.push(item)
        if (item.isLacking === true) lacking.push(item)
      }
      from = slice.next
      if (from !== undefined) await new Promise((resolve) => setImmediate(resolve))
    }
    const newestFirst = lacking.toSorted((a, b) => b.atMs - a.atMs).map(({ id }) => id)
    const list = { set: new ItemSet(items), lacking: newestFirst, generation, atMs: nowMs }
    this.#lists.set(name, list)
    return list
  }
}

/**
 * What the transactions of one flush have written and LMDB has not yet: later transactions of the flush read through
 * it, and each row is sealed once however often it changed. Undoing a transaction restores what it touched.
 */
interface Entry {
  readonly rowKey: Buffer
  /** `undefined`: removed. */
  readonly value: Uint8Array | undefined
}

export class Overlay {
  readonly #entries = new Map<string, Entry>()
  /** Sorted names, made when the first range asks for them. */
  #order: string[] | undefined
  #undo = new Map<string, Entry | undefined>()
  /** Sum of the values' lengths as put: an upper bound of what the flush will write. */
  bytes = 0

  get size(): number {
    return this.#entries.size
  }

  /** The entry of this row: `undefined` when the flush has not touched it. */
  get(rowKey: Buffer): Entry | undefined {
    return this.#entries.size === 0 ? undefined : this.#entries.get(nameOf(rowKey))
  }

  set(rowKey: Buffer, value: Uint8Array | undefined): void {
    const name = nameOf(rowKey)
    const before = this.#entries.get(name)
    if (!this.#undo.has(name)) this.#undo.set(name, before)
    if (before === undefined) this.#insert(name)
    this.#entries.set(name, { rowKey, value })
    this.bytes += (value?.length ?? 0) + rowKey.length
  }

  /** Keeps what was written since the last call. */
  accept(): void {
    if (this.#undo.size > 0) this.#undo = new Map()
  }

  /** Forgets what was written since the last `accept`. */
  rollback(): void {
    for (const [name, before] of this.#undo) {
      if (before === undefined) this.#entries.delete(name)
      else this.#entries.set(name, before)
    }
    this.#undo = new Map()
    this.#order = undefined
  }

  /** False when every row is a removal: then the flush needs no room. */
  hasValues(): boolean {
    for (const { value } of this.#entries.values()) if (value !== undefined) return true
    return false
  }

  values(): Iterable<Entry> {
    return this.#entries.values()
  }

  /** Entries with from ≤ row key < to, ascending, or descending when `reverse`. */
  between(from: Buffer, to: Buffer, reverse: boolean): Entry[] {
    if (this.#entries.size === 0) return []
    this.#order ??= [...this.#entries.keys()].sort()
    const start = lowerBound(this.#order, nameOf(from))
    const end = lowerBound(this.#order, nameOf(to))
    const found = this.#order.slice(start, end).map((name) => this.#entries.get(name)!)
    return reverse ? found.toReversed() : found
  }

  #insert(name: string): void {
    this.#order?.splice(lowerBound(this.#order, name), 0, name)
  }
}

/** One character per octet, so that text order is byte order. */
const nameOf = (rowKey: Buffer): string => rowKey.toString('latin1')

/** Index of the first name that is not below `name`. */
function lowerBound(sorted: readonly string[], name: string): number {
  let low = 0
  let high = sorted.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if (sorted[middle]! < name) low = middle + 1
    else high = middle
  }
  return low
}

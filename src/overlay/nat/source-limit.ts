/** So many events in a second, of each source and of all together. */

export class SourceLimit {
  readonly #perSource: number
  readonly #total: number
  #second = -Infinity
  #all = 0
  readonly #counts = new Map<string, number>()

  constructor({ perSource, total }: { readonly perSource: number; readonly total: number }) {
    this.#perSource = perSource
    this.#total = total
  }

  /** False when the source, or all together, had their share of this second. @param nowMs monotonic */
  take(source: string, nowMs: number): boolean {
    if (nowMs - this.#second >= 1000) {
      this.#second = nowMs
      this.#all = 0
      this.#counts.clear()
    }
    const count = this.#counts.get(source) ?? 0
    if (count >= this.#perSource || this.#all >= this.#total) return false
    this.#counts.set(source, count + 1)
    this.#all += 1
    return true
  }
}

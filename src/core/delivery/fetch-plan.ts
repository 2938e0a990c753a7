/**
 * Which chunk of a blob is asked for next, and of whom: a value without a network. Chunks go out in order; a source that
 * failed is asked nothing more in this go, and what it was asked for goes to the next one.
 */

export interface FetchStep {
  readonly index: number
  /** Its number among the sources. */
  readonly source: number
}

export class FetchPlan {
  /** Ascending. */
  readonly #open: number[]
  readonly #sources: Set<number>
  #asked = 0

  /** @param missing chunk numbers, ascending @param sources how many there are, best first */
  constructor(missing: readonly number[], sources: number) {
    this.#open = [...missing]
    this.#sources = new Set(Array.from({ length: sources }, (_, number) => number))
  }

  /** `undefined` when every chunk is here or asked for, or nobody is left to ask. */
  next(): FetchStep | undefined {
    const [source] = this.#sources
    const index = source === undefined ? undefined : this.#open.shift()
    if (source === undefined || index === undefined) return undefined
    this.#asked += 1
    return { index, source }
  }

  arrived(_step: FetchStep): void {
    this.#asked -= 1
  }

  failed({ index, source }: FetchStep): void {
    this.#asked -= 1
    this.#sources.delete(source)
    const at = this.#open.findIndex((one) => one > index)
    this.#open.splice(at < 0 ? this.#open.length : at, 0, index)
  }

  /** Every chunk is here. */
  get isDone(): boolean {
    return this.#open.length === 0 && this.#asked === 0
  }
}

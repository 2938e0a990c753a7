/** Counts durations in fixed buckets, as Prometheus reads them. */

export interface HistogramReading {
  /** Upper bounds in seconds, ascending, each with how many durations were at most that long. */
  readonly buckets: readonly (readonly [seconds: number, count: number])[]
  readonly count: number
  readonly sumSeconds: number
}

export class Histogram {
  readonly #bounds: readonly number[]
  readonly #counts: number[]
  #count = 0
  #sumSeconds = 0

  /** @param bounds upper bounds in seconds, ascending */
  constructor(bounds: readonly number[]) {
    this.#bounds = bounds
    this.#counts = bounds.map(() => 0)
  }

  observeMs(ms: number): void {
    const seconds = ms / 1000
    const at = this.#bounds.findIndex((bound) => seconds <= bound)
    if (at >= 0) this.#counts[at]! += 1
    this.#count += 1
    this.#sumSeconds += seconds
  }

  read(): HistogramReading {
    let below = 0
    const buckets = this.#bounds.map((bound, index) => [bound, (below += this.#counts[index]!)] as const)
    return { buckets, count: this.#count, sumSeconds: this.#sumSeconds }
  }
}

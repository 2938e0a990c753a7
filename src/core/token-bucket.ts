/** A pace with room for bursts: so much at once, then so much a second. Times are monotonic milliseconds. */

export interface Pace {
  /** Above 0. */
  readonly perSecond: number
  readonly burst: number
}

export class TokenBucket {
  readonly #pace: Pace
  #tokens: number
  #atMs: number | undefined

  constructor(pace: Pace) {
    this.#pace = pace
    this.#tokens = pace.burst
  }

  /** Share of the burst that is left, 0 … 1. */
  level(nowMs: number): number {
    this.#refill(nowMs)
    return this.#tokens / this.#pace.burst
  }

  has(nowMs: number, amount = 1): boolean {
    this.#refill(nowMs)
    return this.#tokens >= amount
  }

  /** False, and nothing is taken, when there is not enough now. */
  take(nowMs: number, amount = 1): boolean {
    if (!this.has(nowMs, amount)) return false
    this.#tokens -= amount
    return true
  }

  /**
   * Takes one that may not be there yet.
   * @param aheadMax how many may have been taken so
   * @returns milliseconds until it is there; `undefined`, and nothing is taken, when too many were
   */
  reserve(nowMs: number, aheadMax: number): number | undefined {
    if (!this.has(nowMs, 1 - aheadMax)) return undefined
    this.#tokens -= 1
    return Math.max(0, (-this.#tokens / this.#pace.perSecond) * 1000)
  }

  #refill(nowMs: number): void {
    const gained = ((nowMs - (this.#atMs ?? nowMs)) / 1000) * this.#pace.perSecond
    this.#tokens = Math.min(this.#pace.burst, this.#tokens + gained)
    this.#atMs = nowMs
  }
}

/** One bucket for each of many; the one that was taken from longest ago is forgotten, and would begin full again. */
export class TokenBuckets {
  readonly #pace: Pace
  readonly #max: number
  readonly #buckets = new Map<string, TokenBucket>()

  constructor(pace: Pace, max: number) {
    this.#pace = pace
    this.#max = max
  }

  has(name: string, nowMs: number, amount = 1): boolean {
    return this.#buckets.get(name)?.has(nowMs, amount) ?? amount <= this.#pace.burst
  }

  take(name: string, nowMs: number, amount = 1): boolean {
    return this.#touched(name).take(nowMs, amount)
  }

  /** As `reserve` of one bucket. */
  reserve(name: string, nowMs: number, aheadMax: number): number | undefined {
    return this.#touched(name).reserve(nowMs, aheadMax)
  }

  #touched(name: string): TokenBucket {
    const bucket = this.#buckets.get(name) ?? new TokenBucket(this.#pace)
    this.#buckets.delete(name)
    this.#buckets.set(name, bucket)
    if (this.#buckets.size > this.#max) this.#buckets.delete(this.#buckets.keys().next().value!)
    return bucket
  }
}

/** A pace with room for bursts: so many at once, then so many a second. */
import type { Clock } from './ambient.ts'

export interface Pace {
  readonly perSecond: number
  readonly burst: number
}

export class TokenBucket {
  readonly #clock: Clock
  readonly #pace: Pace
  #tokens: number
  #atMs: number

  constructor(clock: Clock, pace: Pace) {
    this.#clock = clock
    this.#pace = pace
    this.#tokens = pace.burst
    this.#atMs = clock.monotonicMs()
  }

  /** Share of the burst that is left, 0 … 1. */
  get level(): number {
    this.#refill()
    return this.#tokens / this.#pace.burst
  }

  /** False when there is none now. */
  take(): boolean {
    this.#refill()
    if (this.#tokens < 1) return false
    this.#tokens -= 1
    return true
  }

  #refill(): void {
    const nowMs = this.#clock.monotonicMs()
    const gained = ((nowMs - this.#atMs) / 1000) * this.#pace.perSecond
    this.#tokens = Math.min(this.#pace.burst, this.#tokens + gained)
    this.#atMs = nowMs
  }
}

/** One bucket for each of many; the one that was used longest ago is forgotten, and would begin full again. */
export class TokenBuckets {
  readonly #clock: Clock
  readonly #pace: Pace
  readonly #max: number
  readonly #buckets = new Map<string, TokenBucket>()

  constructor(clock: Clock, pace: Pace, max: number) {
    this.#clock = clock
    this.#pace = pace
    this.#max = max
  }

  take(name: string): boolean {
    const bucket = this.#buckets.get(name) ?? new TokenBucket(this.#clock, this.#pace)
    this.#buckets.delete(name)
    this.#buckets.set(name, bucket)
    if (this.#buckets.size > this.#max) this.#buckets.delete(this.#buckets.keys().next().value!)
    return bucket.take()
  }
}

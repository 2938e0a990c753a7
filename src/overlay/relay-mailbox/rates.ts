/** How often somebody may do something: a bucket that fills at a steady rate, for each key; the ones unused longest are forgotten. */
import type { Clock } from '../../core/ambient.ts'
import { limits } from '../../core/limits.ts'

export interface Rate {
  /** What may be used at once. */
  readonly burst: number
  readonly perSecond: number
}

interface Bucket {
  readonly level: number
  readonly atMs: number
}

export class Rates {
  readonly #clock: Clock
  readonly #rate: Rate
  readonly #buckets = new Map<string, Bucket>()

  constructor(clock: Clock, rate: Rate) {
    this.#clock = clock
    this.#rate = rate
  }

  has(key: string, amount = 1): boolean {
    return this.#levelOf(key) >= amount
  }

  /** False, and nothing is used, when there is not enough left. */
  take(key: string, amount = 1): boolean {
    const level = this.#levelOf(key)
    const isEnough = level >= amount
    this.#buckets.delete(key)
    this.#buckets.set(key, { level: isEnough ? level - amount : level, atMs: this.#clock.monotonicMs() })
    if (this.#buckets.size > limits.relayRateKeysMax) this.#buckets.delete(this.#buckets.keys().next().value!)
    return isEnough
  }

  #levelOf(key: string): number {
    const { burst, perSecond } = this.#rate
    const known = this.#buckets.get(key)
    if (known === undefined) return burst
    return Math.min(burst, known.level + ((this.#clock.monotonicMs() - known.atMs) / 1000) * perSecond)
  }
}

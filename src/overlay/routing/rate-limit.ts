/** So many events a second of each gateway, with one second's worth at once. */
import type { GatewayId } from '../../core/ids.ts'
import { limits } from '../../core/limits.ts'

interface Bucket {
  readonly left: number
  readonly atMs: number
}

export class RateLimit {
  readonly #perSecond: number
  readonly #buckets = new Map<GatewayId, Bucket>()

  constructor(perSecond: number) {
    this.#perSecond = perSecond
  }

  /** False when the gateway has had its share. @param nowMs monotonic */
  take(gateway: GatewayId, nowMs: number): boolean {
    const { left, atMs } = this.#buckets.get(gateway) ?? { left: this.#perSecond, atMs: nowMs }
    const now = Math.min(this.#perSecond, left + ((nowMs - atMs) / 1000) * this.#perSecond)
    const isAllowed = now >= 1
    this.#buckets.delete(gateway)
    this.#buckets.set(gateway, { left: isAllowed ? now - 1 : now, atMs: nowMs })
    // whoever is forgotten has been quiet the longest
    if (this.#buckets.size > limits.peersKnownMax) this.#buckets.delete(this.#buckets.keys().next().value!)
    return isAllowed
  }
}

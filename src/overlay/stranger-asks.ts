/** How fast gateways that nobody here knows may ask, by where they come from. */
import type { Clock } from '../core/ambient.ts'
import type { GatewayId } from '../core/ids.ts'
import { limits } from '../core/limits.ts'
import { TokenBuckets } from '../core/token-bucket.ts'
import { sourceOf } from './inbound-guard.ts'
import type { Path } from './network.ts'

/** Parties that may be one: the address behind a direct connection, the nearest gateway in between of another one. */
export function sourceOfPath(gateway: GatewayId, path: Path | undefined): string {
  if (path === undefined) return gateway
  if (path.via !== undefined) return path.via
  const [, family, host] = path.remote.split('/')
  return (family === 'ip4' || family === 'ip6') && host !== undefined ? sourceOf(host) : path.remote
}

const pace = { perSecond: limits.strangerAsksPerSecond, burst: limits.strangerAsksBurst }

export class StrangerAsks {
  readonly #clock: Clock
  readonly #pace = new TokenBuckets(pace, limits.sourcesKnownMax)
  /** Refusals in a row, of gateways that are connected. */
  readonly #refused = new Map<GatewayId, number>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  mayAsk(gateway: GatewayId, source: string): boolean {
    if (this.#pace.take(source, this.#clock.monotonicMs())) {
      this.#refused.delete(gateway)
      return true
    }
    this.#refused.set(gateway, (this.#refused.get(gateway) ?? 0) + 1)
    return false
  }

  /** It has gone on asking too often. */
  isDeaf(gateway: GatewayId): boolean {
    return (this.#refused.get(gateway) ?? 0) > limits.strangerAsksIgnoredMax
  }

  left(gateway: GatewayId): void {
    this.#refused.delete(gateway)
  }
}

/**
 * How fast gateways that nobody here knows may ask, by where they come from. Whoever asks faster waits, which costs nothing
 * here; only who asks again without waiting for answers is refused, and cut off when it goes on.
 */
import type { Ambient } from '../core/ambient.ts'
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
  readonly #ambient: Pick<Ambient, 'clock' | 'random'>
  readonly #pace = new TokenBuckets(pace, limits.sourcesKnownMax)
  /** Refusals in a row, of gateways that are connected. */
  readonly #refused = new Map<GatewayId, number>()

  constructor(ambient: Pick<Ambient, 'clock' | 'random'>) {
    this.#ambient = ambient
  }

  /** @returns milliseconds until an ask of it may be read; `undefined` when it is refused */
  turn(gateway: GatewayId, source: string): number | undefined {
    const { clock, random } = this.#ambient
    const waitMs = this.#pace.reserve(source, clock.monotonicMs(), limits.strangerAsksAheadMax)
    if (waitMs === undefined) {
      this.#refused.set(gateway, (this.#refused.get(gateway) ?? 0) + 1)
      return undefined
    }
    this.#refused.delete(gateway)
    // many whose turn came in one moment, when the machine was busy, would come in one moment ever after
    return waitMs * (1 + random.bytes(1)[0]! / 512)
  }

  /** It has gone on asking too often. */
  isDeaf(gateway: GatewayId): boolean {
    return (this.#refused.get(gateway) ?? 0) > limits.strangerAsksIgnoredMax
  }

  left(gateway: GatewayId): void {
    this.#refused.delete(gateway)
  }
}

/** What `peers` shows: one record per gateway met since the start, the oldest disconnected ones forgotten. */
import type { Clock } from '../core/ambient.ts'
import type { PeerStatus } from '../core/delivery/ports.ts'
import type { GatewayId } from '../core/ids.ts'
import { limits } from '../core/limits.ts'
import type { Links } from './links.ts'
import type { Network } from './network.ts'

interface Known {
  lastError: string | undefined
  sinceMs: number
  isConnected: boolean
}

export class PeerBook {
  readonly #clock: Clock
  readonly #known = new Map<GatewayId, Known>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  connected(gateway: GatewayId): void {
    const known = this.#touch(gateway)
    known.sinceMs = this.#clock.nowMs()
    known.lastError = undefined
    known.isConnected = true
  }

  disconnected(gateway: GatewayId): void {
    const known = this.#touch(gateway)
    known.sinceMs = this.#clock.nowMs()
    known.isConnected = false
  }

  /** @param reason short and without content or address */
  failed(gateway: GatewayId, reason: string): void {
    this.#touch(gateway).lastError = reason
  }

  statuses(links: Links, network: Network): PeerStatus[] {
    return [...this.#known].map(([gateway, known]) => {
      const path = network.path(gateway)
      return {
        gateway,
        state: path !== undefined ? 'connected' : links.isOpening(gateway) ? 'connecting' : 'disconnected',
        how: path === undefined ? undefined : path.hops > 0 ? 'relayed' : 'direct',
        hops: path?.hops,
        via: path?.via === undefined ? [] : [path.via],
        transport: path?.transport,
        remote: path?.remote,
        sinceMs: path?.sinceMs ?? known.sinceMs,
        rttMs: links.live(gateway)?.rttMs,
        lastError: known.lastError,
      }
    })
  }

  /** Most recently touched last; the first that are not connected are forgotten. */
  #touch(gateway: GatewayId): Known {
    const fresh = { lastError: undefined, sinceMs: this.#clock.nowMs(), isConnected: false }
    const known = this.#known.get(gateway) ?? fresh
    this.#known.delete(gateway)
    this.#known.set(gateway, known)
    if (this.#known.size > limits.peersKnownMax) this.#forgetOne()
    return known
  }

  #forgetOne(): void {
    for (const [gateway, { isConnected }] of this.#known) {
      if (isConnected) continue
      this.#known.delete(gateway)
      return
    }
  }
}

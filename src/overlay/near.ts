/**
 * Where gateways were last announced on the local network. Kept for a while, because whoever is announced may become a
 * contact only afterwards. Anybody on the network can announce anything: few addresses of few gateways, for a short time.
 */
import type { Clock } from '../core/ambient.ts'
import type { Locator } from '../core/delivery/ports.ts'
import type { GatewayId } from '../core/ids.ts'
import { limits } from '../core/limits.ts'

export class Near {
  readonly #clock: Clock
  readonly #seen = new Map<GatewayId, { readonly locators: readonly Locator[]; readonly atMs: number }>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  saw(gateway: GatewayId, locators: readonly Locator[]): void {
    this.#seen.delete(gateway)
    this.#seen.set(gateway, { locators: locators.slice(0, limits.nearLocatorsMax), atMs: this.#clock.monotonicMs() })
    if (this.#seen.size > limits.mdnsPeersMax) this.#seen.delete(this.#seen.keys().next().value!)
  }

  at(gateway: GatewayId): readonly Locator[] {
    const seen = this.#seen.get(gateway)
    if (seen === undefined || this.#clock.monotonicMs() - seen.atMs > limits.nearMs) return []
    return seen.locators
  }

  /** Another network: nobody there is known to be here. */
  forgetAll(): void {
    this.#seen.clear()
  }
}

/**
 * A network that also reaches gateways through others: direct locators first, a path beside them a little later, and the
 * direct connection in the path's place as soon as there is one.
 */
import type { Ambient } from '../../core/ambient.ts'
import type { GatewayAddress, Locator } from '../../core/delivery/ports.ts'
import type { GatewayId } from '../../core/ids.ts'
import { limits } from '../../core/limits.ts'
import type { DirectNetwork, Network, NetworkEvents, Path, Pipe } from '../network.ts'
import { pathProtocol } from '../protocols.ts'
import { untilAborted } from '../until-aborted.ts'
import { parseViaLocator } from '../dial-policy.ts'
import { Paths } from './paths.ts'

export interface RoutedNetworkOptions {
  readonly network: DirectNetwork
  readonly ambient: Ambient
  /** Whether connections of this neighbour are carried on to others. */
  readonly serves: (neighbour: GatewayId) => boolean
}

export class RoutedNetwork implements Network {
  readonly #network: DirectNetwork
  readonly #paths: Paths
  /** One attempt over paths at a time for each gateway. */
  readonly #attempts = new Map<GatewayId, Promise<void>>()

  constructor({ network, ambient, serves }: RoutedNetworkOptions) {
    this.#network = network
    this.#paths = new Paths({
      network,
      ambient,
      nextHops: () => [],
      serves,
      onFailure: () => {},
    })
  }

  get self(): GatewayId {
    return this.#network.self
  }

  locators(): readonly Locator[] {
    return this.#network.locators()
  }

  listeners(): readonly string[] {
    return this.#network.listeners()
  }

  path(gateway: GatewayId): Path | undefined {
    return this.#network.path(gateway)
  }

  async start(events: NetworkEvents): Promise<void> {
    await this.#network.start({
      ...events,
      onSeen: (gateway) => {
        if ((this.#network.path(gateway.gateway)?.hops ?? 0) > 0) this.#improve(gateway)
        events.onSeen(gateway)
      },
      onPipe: (protocol, pipe, from) => {
        if (protocol !== pathProtocol) events.onPipe(protocol, pipe, from)
        else if (pipe.hops > 0) pipe.abort('no path in a path')
        else void this.#paths.accept(pipe, from)
      },
    })
  }

  async connect(to: GatewayAddress, { signal }: { readonly signal: AbortSignal }): Promise<void> {
    const path = this.#network.path(to.gateway)
    if (path !== undefined) {
      if (path.hops > 0) this.#improve(to)
      return
    }
    const direct = this.#network.connect(to, { signal })
    const isAlone = Promise.race([direct.catch(() => {}), pause(limits.pathDelayMs, signal)])
    try {
      await Promise.any([direct, this.#connectAfter(isAlone, to, signal)])
    } catch (error) {
      signal.throwIfAborted()
      // what the direct dial says is what the owner can act upon
      throw error instanceof AggregateError ? error.errors[0] : error
    }
  }

  async open(to: GatewayId, protocol: string, options: { readonly signal: AbortSignal }): Promise<Pipe> {
    return await this.#network.open(to, protocol, options)
  }

  drop(gateway: GatewayId, reason: string): void {
    this.#network.drop(gateway, reason)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#network[Symbol.asyncDispose]()
  }

  async #connectAfter(isAlone: Promise<unknown>, to: GatewayAddress, signal: AbortSignal): Promise<void> {
    await isAlone
    if (this.#network.path(to.gateway) === undefined) await this.#connectOverPath(to, signal)
  }

  /** Beside a path, the direct way is tried again whenever somebody names one. */
  #improve(to: GatewayAddress): void {
    this.#network.connect(to, { signal: AbortSignal.timeout(limits.dialMsMax) }).catch(() => {})
  }

  async #connectOverPath(to: GatewayAddress, signal: AbortSignal): Promise<void> {
    let attempt = this.#attempts.get(to.gateway)
    if (attempt === undefined) {
      attempt = this.#attempt(to).finally(() => this.#attempts.delete(to.gateway))
      this.#attempts.set(to.gateway, attempt)
    }
    await untilAborted(attempt, signal)
  }

  async #attempt(to: GatewayAddress): Promise<void> {
    const signal = AbortSignal.timeout(limits.dialMsMax)
    const hints = to.locators.flatMap((text) => parseViaLocator(text) ?? []).slice(0, limits.viaLocatorsMax)
    const reached = await Promise.all(
      hints.map(async (hint) => {
        if (hint.gateway === this.self || hint.gateway === to.gateway) return []
        const isConnected = this.#network.connect(hint, { signal }).then(
          () => true,
          () => false,
        )
        return (await isConnected) ? [hint.gateway] : []
      }),
    )
    await this.#paths.connect(to.gateway, reached.flat(), { signal })
  }
}

async function pause(ms: number, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return
  const { promise, resolve } = Promise.withResolvers<unknown>()
  const timer = setTimeout(resolve, ms, undefined)
  signal.addEventListener('abort', resolve, { once: true })
  await promise
  clearTimeout(timer)
  signal.removeEventListener('abort', resolve)
}

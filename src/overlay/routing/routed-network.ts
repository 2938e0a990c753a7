/**
 * A network that also reaches gateways through others: direct locators first, a path beside them a little later, and the
 * direct connection in the path's place as soon as there is one.
 */
import type { Ambient } from '../../core/ambient.ts'
import type { SigningKey } from '../../core/crypto/sign.ts'
import type { GatewayAddress, Locator, RouteStatus } from '../../core/delivery/ports.ts'
import { MyceliumError } from '../../core/errors.ts'
import type { GatewayId } from '../../core/ids.ts'
import { limits } from '../../core/limits.ts'
import { parseViaLocator, viaLocator } from '../dial-policy.ts'
import type { DirectNetwork, Network, NetworkEvents, Path, Pipe } from '../network.ts'
import { pathProtocol, routingProtocol } from '../protocols.ts'
import { pause } from '../pause.ts'
import { untilAborted } from '../until-aborted.ts'
import { Paths } from './paths.ts'
import { Router } from './router.ts'

export interface RoutedNetworkOptions {
  readonly network: DirectNetwork
  readonly ambient: Ambient
  readonly key: SigningKey
  /** Whether connections of this neighbour are carried on to others. */
  readonly serves: (neighbour: GatewayId) => boolean
  /** Whether this gateway wants to be reached through a neighbour, and stays connected to it. */
  readonly isKept?: (neighbour: GatewayId) => boolean
}

/** A path that broke sooner is its next hop's fault. */
const soundMs = 10_000

export class RoutedNetwork implements Network {
  readonly #network: DirectNetwork
  readonly #isKept: (neighbour: GatewayId) => boolean
  readonly #clock: Ambient['clock']
  readonly #paths: Paths
  readonly #router: Router
  /** One attempt over paths at a time for each gateway. */
  readonly #attempts = new Map<GatewayId, Promise<void>>()
  /** Paths that this gateway opened and uses: where to, and how it was reached. */
  readonly #opened = new Map<
    GatewayId,
    { readonly to: GatewayAddress; readonly via: GatewayId; readonly sinceMs: number }
  >()
  readonly #timer: NodeJS.Timeout
  #events: NetworkEvents | undefined
  #announced = ''

  constructor({ network, ambient, key, serves, isKept = () => false }: RoutedNetworkOptions) {
    this.#network = network
    this.#isKept = isKept
    this.#clock = ambient.clock
    this.#router = new Router({
      network,
      key,
      ambient,
      serves,
      isKept,
      onMisbehaved: (gateway, reason) => this.#events?.onMisbehaved(gateway, reason),
      onServiceChanged: () => this.#onServiceChanged(),
    })
    this.#paths = new Paths({
      network,
      ambient,
      serves,
      nextHops: (destination) => this.#router.nextHops(destination),
      find: async (destination, options) => await this.#router.find(destination, options),
      onSuccess: (destination, via) => this.#router.worked(destination, via),
      onFailure: (destination, via, reason) => this.#router.failed(destination, via, reason),
    })
    this.#timer = setInterval(() => this.#keepRoutes(), limits.routeRefreshMs).unref()
  }

  get self(): GatewayId {
    return this.#network.self
  }

  /** Own ones, and behind them the gateways through which this one can be reached. */
  locators(): readonly Locator[] {
    const own = this.#network.locators()
    const via = this.#viaLocators()
    return [...own.slice(0, limits.locatorsMax - via.length), ...via]
  }

  listeners(): readonly string[] {
    return this.#network.listeners()
  }

  path(gateway: GatewayId): Path | undefined {
    return this.#network.path(gateway)
  }

  /** Routes that somebody uses or waits for. */
  routes(): readonly RouteStatus[] {
    return this.#router.routes()
  }

  async start(events: NetworkEvents): Promise<void> {
    this.#events = events
    await this.#network.start({
      ...events,
      onDirect: (gateway, isUp) => {
        this.#router.onDirect(gateway, isUp)
        if (isUp) this.#opened.delete(gateway)
        events.onDirect(gateway, isUp)
      },
      onSeen: (gateway) => {
        if ((this.#network.path(gateway.gateway)?.hops ?? 0) > 0) this.#improve(gateway)
        events.onSeen(gateway)
      },
      onPipe: (protocol, pipe, from) => {
        const isHopByHop = protocol === pathProtocol || protocol === routingProtocol
        if (!isHopByHop) events.onPipe(protocol, pipe, from)
        else if (pipe.hops > 0) pipe.abort('only between neighbours')
        else if (protocol === routingProtocol) this.#router.accept(pipe, from)
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
      throw whyUnreachable(error)
    }
  }

  async open(to: GatewayId, protocol: string, options: { readonly signal: AbortSignal }): Promise<Pipe> {
    return await this.#network.open(to, protocol, options)
  }

  drop(gateway: GatewayId, reason: string): void {
    const path = this.#network.path(gateway)
    if (path?.via !== undefined) this.#router.failed(gateway, path.via, reason)
    this.#network.drop(gateway, reason)
  }

  /**
   * Another path in the place of one that broke, where this gateway had opened it.
   * @returns whether there is a connection again
   */
  async restore(gateway: GatewayId, { signal }: { readonly signal: AbortSignal }): Promise<boolean> {
    const before = this.#opened.get(gateway)
    if (before === undefined) return this.#network.path(gateway) !== undefined
    this.#opened.delete(gateway)
    if (this.#clock.monotonicMs() - before.sinceMs < soundMs) this.#router.failed(gateway, before.via, 'path broke')
    if (this.#network.path(gateway) === undefined) await this.#connectOverPath(before.to, signal)
    return true
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#timer)
    this.#opened.clear()
    this.#router[Symbol.dispose]()
    await this.#network[Symbol.asyncDispose]()
  }

  /** Of configured gateways alone: those of contacts would tell one contact of another. */
  #viaLocators(): Locator[] {
    if (this.#network.isPublic()) return []
    return this.#router
      .carriers()
      .filter((gateway) => this.#isKept(gateway))
      .flatMap((gateway) => {
        const at = this.#network.dialledAt(gateway)
        const locator = at === undefined ? undefined : viaLocator(gateway, at)
        return locator === undefined || locator.length > limits.locatorOctetsMax ? [] : [locator]
      })
      .slice(0, limits.viaLocatorsMax)
  }

  #onServiceChanged(): void {
    const announced = this.#viaLocators().join(' ')
    if (announced === this.#announced) return
    this.#announced = announced
    this.#events?.onLocatorsChanged()
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

  /** Over what routing knows at once, over named gateways once they are reached, over what routing finds by asking. */
  async #attempt(to: GatewayAddress): Promise<void> {
    const signal = AbortSignal.timeout(limits.pathAttemptMsMax)
    const found = this.#router.find(to.gateway, { signal })
    found.catch(() => {}) // heard below, unless another way was quicker
    const named = this.#reachNamed(to, signal)
    const tried = new Set<GatewayId>()
    let failure: unknown = new MyceliumError('unreachable', { reason: 'no path' })
    const attempt = async (hops: readonly GatewayId[]): Promise<boolean> => {
      for (const hop of hops) tried.add(hop)
      if (hops.length === 0) return false
      try {
        await this.#paths.connect(to.gateway, hops, { signal })
        this.#onOpened(to)
        return true
      } catch (error) {
        failure = error
        return false
      }
    }
    for (const hops of [Promise.race([found, named]), named, found])
      if (await attempt((await hops.catch(() => [])).filter((hop) => !tried.has(hop)))) return
    // routes that came meanwhile; and who failed may know another way by now
    const known = await this.#router.find(to.gateway, { signal }).catch(() => [])
    if (await attempt(known)) return
    throw failure
  }

  #onOpened(to: GatewayAddress): void {
    const via = this.#network.path(to.gateway)?.via
    if (via === undefined) return
    this.#opened.set(to.gateway, { to, via, sinceMs: this.#clock.monotonicMs() })
    this.#router.want(to.gateway)
  }

  /** Gateways that the destination names as leading to it, once there is a connection to them; never resolves empty-handed early. */
  async #reachNamed(to: GatewayAddress, signal: AbortSignal): Promise<readonly GatewayId[]> {
    const named = to.locators.flatMap((text) => parseViaLocator(text) ?? []).slice(0, limits.viaLocatorsMax)
    const others = named.filter(({ gateway }) => gateway !== this.self && gateway !== to.gateway)
    const reached = await Promise.all(
      others.map(async (other) => {
        const isThere = this.#network.connect(other, { signal }).then(
          () => true,
          () => false,
        )
        return (await untilAborted(isThere, signal).catch(() => false)) ? [other.gateway] : []
      }),
    )
    return reached.flat()
  }

  /** Routes under open paths stay known, so that another one is there when one breaks. */
  #keepRoutes(): void {
    for (const gateway of this.#opened.keys()) {
      if ((this.#network.path(gateway)?.hops ?? 0) > 0) this.#router.want(gateway)
      else this.#opened.delete(gateway)
    }
  }
}

/** What the direct dial says is what the owner can act upon, unless there was nothing to dial. */
function whyUnreachable(error: unknown): unknown {
  if (!(error instanceof AggregateError)) return error
  const [direct, path] = error.errors as readonly unknown[]
  const hadLocators = !(direct instanceof MyceliumError) || direct.details['reason'] !== 'no usable locator'
  return hadLocators ? direct : path
}

/**
 * The overlay over a network in memory, for scenarios with many gateways: links, asks and their bounds are the ones of
 * the real overlay, only connections and streams are not on sockets.
 */
import { createHash } from 'node:crypto'
import type { Ambient } from '../core/ambient.ts'
import type { GatewayAddress, Locator, Overlay } from '../core/delivery/ports.ts'
import type { Relays } from '../core/delivery/relay-ports.ts'
import { signingKey } from '../core/crypto/sign.ts'
import { MyceliumError } from '../core/errors.ts'
import type { GatewayId } from '../core/ids.ts'
import { gatewayIdOf } from './gateway-key.ts'
import { GatewayOverlay } from './gateway-overlay.ts'
import { Near } from './near.ts'
import { untilAborted } from './until-aborted.ts'
import { MemoryMux } from './memory-mux.ts'
import { MemoryPipe } from './memory-pipe.ts'
import type { DirectNetwork, NetworkEvents, Path, PathEnd, Pipe } from './network.ts'
import type { RelayHost } from './relay-mailbox/server.ts'

export interface JoinOptions {
  readonly key?: Uint8Array
  /** For a gateway that is a relay. */
  readonly relay?: RelayHost
  /** Whose connections it carries on to others; nobody's unless said. */
  readonly serves?: (gateway: GatewayId) => boolean
}

export interface MemoryNetwork {
  /** A gateway on this network; its id follows from `key`, or from the name. Joining again after `kill` is a restart. */
  join(name: string, options?: JoinOptions): Promise<Overlay & { readonly relays: Relays }>
  /** One-way delay of everything written from now on, milliseconds. */
  setDelay(ms: number): void
  /** Connections between the two are reset; they may connect again. */
  disconnect(a: string, b: string): void
  /** Connections are reset, and none come up until `heal`. */
  partition(a: string, b: string): void
  /** Bytes between the two vanish until `heal`, and nobody is told. */
  silence(a: string, b: string): void
  heal(a: string, b: string): void
  /** The process is gone: every connection is reset and it is not reachable. */
  kill(name: string): void
  /** New locators; the old ones lead nowhere. */
  move(name: string): void
  /** Everybody on the local network hears of this gateway. */
  announce(name: string): void
}

export function memoryNetwork(ambient: Ambient): MemoryNetwork {
  return new Hub(ambient)
}

class Hub implements MemoryNetwork {
  readonly ambient: Ambient
  readonly #nodes = new Map<string, MemoryNode>()
  readonly #partitions = new Set<string>()
  readonly #silences = new Set<string>()
  #delayMs = 0

  constructor(ambient: Ambient) {
    this.ambient = ambient
  }

  async join(name: string, options: JoinOptions = {}): Promise<GatewayOverlay> {
    if (this.#nodes.has(name)) throw new TypeError(`${name} is here already`)
    const key = options.key ?? createHash('sha256').update(name).digest()
    const node = new MemoryNode(this, name, gatewayIdOf(key))
    this.#nodes.set(name, node)
    const overlay = new GatewayOverlay(node, {
      ambient: this.ambient,
      key: signingKey(key),
      serves: options.serves ?? (() => false),
      relay: options.relay,
    })
    await overlay.start()
    return overlay
  }

  setDelay(ms: number): void {
    this.#delayMs = ms
  }

  disconnect(a: string, b: string): void {
    this.#nodes.get(a)?.cut(this.#nodes.get(b)?.self)
  }

  partition(a: string, b: string): void {
    this.#partitions.add(pairOf(a, b))
    this.disconnect(a, b)
  }

  silence(a: string, b: string): void {
    this.#silences.add(pairOf(a, b))
  }

  heal(a: string, b: string): void {
    this.#partitions.delete(pairOf(a, b))
    this.#silences.delete(pairOf(a, b))
  }

  kill(name: string): void {
    const node = this.#nodes.get(name)
    this.#nodes.delete(name)
    node?.stop()
  }

  move(name: string): void {
    this.#nodes.get(name)?.move()
  }

  announce(name: string): void {
    const announced = this.#nodes.get(name)
    for (const node of this.#nodes.values()) {
      if (announced !== undefined && node !== announced && this.isReachable(announced.name, node.name))
        node.see(announced)
    }
  }

  leave(node: MemoryNode): void {
    if (this.#nodes.get(node.name) === node) this.#nodes.delete(node.name)
  }

  isReachable(a: string, b: string): boolean {
    return !this.#partitions.has(pairOf(a, b)) && !this.#silences.has(pairOf(a, b))
  }

  byId(gateway: GatewayId): MemoryNode | undefined {
    return [...this.#nodes.values()].find((node) => node.self === gateway)
  }

  pipes(a: string, b: string): readonly [MemoryPipe, MemoryPipe] {
    return MemoryPipe.pair({
      delayMs: () => this.#delayMs,
      isConnected: () => !this.#silences.has(pairOf(a, b)),
    })
  }

  get delayMs(): number {
    return this.#delayMs
  }
}

const pairOf = (a: string, b: string): string => [a, b].sort().join('|')

class MemoryNode implements DirectNetwork {
  readonly self: GatewayId
  readonly name: string
  readonly #hub: Hub
  /** Direct ones. */
  readonly #paths = new Map<GatewayId, Path>()
  /** Connections through others, and how they show. */
  readonly #muxes = new Map<GatewayId, { readonly mux: MemoryMux; readonly path: Path }>()
  readonly #pipes = new Map<MemoryPipe, GatewayId>()
  readonly #near: Near
  #place = 1
  /** What still runs of a killed gateway reaches nobody. */
  #isGone = false
  #events: NetworkEvents | undefined

  constructor(hub: Hub, name: string, self: GatewayId) {
    this.#hub = hub
    this.name = name
    this.self = self
    this.#near = new Near(hub.ambient.clock)
  }

  async start(events: NetworkEvents): Promise<void> {
    this.#events = events
  }

  locators(): readonly Locator[] {
    return [`/memory/${this.name}-${this.#place}`]
  }

  listeners(): readonly string[] {
    return this.locators().map((locator) => `${locator}/p2p/${this.self}`)
  }

  path(gateway: GatewayId): Path | undefined {
    return this.#paths.get(gateway) ?? this.#muxes.get(gateway)?.path
  }

  isNeighbour(gateway: GatewayId): boolean {
    return this.#paths.has(gateway)
  }

  /** Locators in memory are not of the form that others are told. */
  dialledAt(): undefined {
    return undefined
  }

  isPublic(): boolean {
    return true
  }

  async connect(to: GatewayAddress, { signal }: { readonly signal: AbortSignal }): Promise<void> {
    if (this.#paths.has(to.gateway)) return
    await new Promise((resolve) => {
      setTimeout(resolve, this.#hub.delayMs * 2)
    })
    signal.throwIfAborted()
    if (this.#paths.has(to.gateway)) return
    const other = this.#hub.byId(to.gateway)
    const known = [...this.#near.at(to.gateway), ...to.locators]
    const locator = other?.locators().find((found) => known.includes(found))
    if (other === undefined || locator === undefined || !this.#hub.isReachable(this.name, other.name) || this.#isGone)
      throw new MyceliumError('unreachable', { reason: 'nobody answers' })
    other.#connected({ gateway: this.self, locators: [] })
    this.#connected({ gateway: other.self, locators: [locator] })
  }

  async open(to: GatewayId, protocol: string, options: { readonly signal: AbortSignal }): Promise<Pipe> {
    const mux = this.#paths.has(to) ? undefined : this.#muxes.get(to)?.mux
    return mux?.open(protocol) ?? (await this.openDirect(to, protocol, options))
  }

  async adopt(pipe: Pipe, end: PathEnd, { signal }: { readonly signal: AbortSignal }): Promise<void> {
    const met = Promise.withResolvers<GatewayId>()
    const isOpener = end.peer !== undefined
    const mux = new MemoryMux(
      pipe,
      { self: this.self, isOpener, hops: end.hops },
      {
        onHello: met.resolve,
        onPipe: (protocol, stream) => void met.promise.then((peer) => this.#events?.onPipe(protocol, stream, peer)),
      },
    )
    pipe.closed.addEventListener('abort', () => met.reject(pipe.closed.reason as Error), { once: true })
    const peer = await untilAborted(met.promise, signal)
    if (end.peer !== undefined && end.peer !== peer) throw new MyceliumError('unreachable', { reason: 'somebody else' })
    const before = this.path(peer)
    const sinceMs = this.#hub.ambient.clock.nowMs()
    const path = { transport: 'path', remote: `/p2p/${end.via}/p2p-circuit`, via: end.via, hops: end.hops, sinceMs }
    this.#muxes.set(peer, { mux, path })
    pipe.closed.addEventListener('abort', () => this.#muxGone(peer, mux), { once: true })
    if (before === undefined) this.#events?.onConnected({ gateway: peer, locators: [] })
  }

  async openDirect(to: GatewayId, protocol: string, { signal }: { readonly signal: AbortSignal }): Promise<Pipe> {
    signal.throwIfAborted()
    const other = this.#hub.byId(to)
    if (other === undefined || !this.#paths.has(to) || this.#isGone)
      throw new MyceliumError('unreachable', { reason: 'not connected' })
    const [near, far] = this.#hub.pipes(this.name, other.name)
    this.#keep(near, to)
    other.#keep(far, this.self)
    setTimeout(() => {
      if (this.#hub.isReachable(this.name, other.name)) other.#events?.onPipe(protocol, far, this.self)
    }, this.#hub.delayMs)
    return near
  }

  drop(gateway: GatewayId): void {
    this.cut(gateway)
    this.#muxes.get(gateway)?.mux.pipe.abort('dropped')
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#hub.leave(this)
    // what was written before is still on its way
    await new Promise((resolve) => {
      setTimeout(resolve, this.#hub.delayMs + 1)
    })
    this.stop()
  }

  stop(): void {
    this.#isGone = true
    for (const { mux } of this.#muxes.values()) mux.pipe.abort('stopping')
    for (const gateway of this.#paths.keys()) this.cut(gateway)
  }

  /** Resets what connects this node with another. */
  cut(gateway: GatewayId | undefined): void {
    for (const [pipe, with_] of this.#pipes) if (with_ === gateway) pipe.cut('connection lost')
    if (gateway === undefined) return
    this.#hub.byId(gateway)?.disconnected(this.self)
    this.disconnected(gateway)
  }

  move(): void {
    this.#place += 1
    this.#events?.onLocatorsChanged()
  }

  see(other: MemoryNode): void {
    this.#near.saw(other.self, other.locators())
    this.#events?.onSeen({ gateway: other.self, locators: other.locators() })
  }

  disconnected(gateway: GatewayId): void {
    if (!this.#paths.delete(gateway)) return
    this.#events?.onDirect(gateway, false)
    if (!this.#muxes.has(gateway)) this.#events?.onDisconnected(gateway)
  }

  #muxGone(gateway: GatewayId, mux: MemoryMux): void {
    if (this.#muxes.get(gateway)?.mux !== mux) return
    this.#muxes.delete(gateway)
    if (!this.#paths.has(gateway)) this.#events?.onDisconnected(gateway)
  }

  #connected(other: GatewayAddress): void {
    if (this.#paths.has(other.gateway)) return
    const sinceMs = this.#hub.ambient.clock.nowMs()
    const remote = other.locators[0] ?? '/memory'
    this.#paths.set(other.gateway, { transport: 'memory', remote, via: undefined, hops: 0, sinceMs })
    this.#events?.onDirect(other.gateway, true)
    if (!this.#muxes.has(other.gateway)) this.#events?.onConnected(other)
  }

  #keep(pipe: MemoryPipe, other: GatewayId): void {
    this.#pipes.set(pipe, other)
    pipe.closed.addEventListener('abort', () => this.#pipes.delete(pipe), { once: true })
  }
}

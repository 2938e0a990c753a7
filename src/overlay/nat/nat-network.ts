/**
 * A network that knows about routers in between: it finds out whether it can be reached, opens the router's ports where
 * the router lets it, and replaces connections that others carry by direct ones.
 */
import type { Ambient } from '../../core/ambient.ts'
import type { GatewayAddress, Locator } from '../../core/delivery/ports.ts'
import type { GatewayId } from '../../core/ids.ts'
import type { Reachability } from '../../core/reachability.ts'
import { isAnnounceable, isGlobal, parseLocator } from '../dial-policy.ts'
import { answerOver, askOver } from '../exchange.ts'
import type { AddressedNetwork, DirectNetwork, NetworkEvents, Path, PathEnd, Pipe } from '../network.ts'
import { punchProtocol, reachProtocol } from '../protocols.ts'
import { type Endpoint, type Family, type LocalEndpoint, udpLocator } from './endpoint.ts'
import { PortMapping } from './port-mapping.ts'
import { PunchSocket } from './punch-socket.ts'
import { Punching } from './punching.ts'
import { reachAnswerBytesMax, reachRequestBytesMax } from './reach-messages.ts'
import { Reach } from './reach.ts'

export interface NatNetworkOptions {
  readonly network: AddressedNetwork
  readonly ambient: Ambient
  /** UDP port of the punch sockets; 0 for any. */
  readonly punchPort: number
  /** Whether the router is asked to let others in. */
  readonly portMapping: boolean
  /** Gateways of the configuration. */
  readonly isNamed: (gateway: GatewayId) => boolean
}

const families: readonly Family[] = ['ipv4', 'ipv6']

export class NatNetwork implements DirectNetwork {
  readonly #network: AddressedNetwork
  readonly #options: NatNetworkOptions
  readonly #reach: Reach
  readonly #mapping: PortMapping | undefined
  readonly #scope = new AsyncDisposableStack()
  #sockets: readonly PunchSocket[] = []
  #punching: Punching | undefined

  constructor(options: NatNetworkOptions) {
    this.#options = options
    this.#network = options.network
    this.#reach = this.#scope.use(this.#newReach())
    this.#mapping = options.portMapping ? this.#scope.use(this.#newMapping()) : undefined
  }

  get self(): GatewayId {
    return this.#network.self
  }

  reachability(): Reachability {
    return { ...this.#reach.state(), mappedBy: this.#mapping?.by, mapped: this.#mapping?.locators() ?? [] }
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

  isNeighbour(gateway: GatewayId): boolean {
    return this.#network.isNeighbour(gateway)
  }

  dialledAt(neighbour: GatewayId): Locator | undefined {
    return this.#network.dialledAt(neighbour)
  }

  /** What others found out counts more than what own addresses look like. */
  isPublic(): boolean {
    return this.#reach.state().state !== 'private' && this.#network.isPublic()
  }

  async start(events: NetworkEvents): Promise<void> {
    await this.#openSockets()
    await this.#network.start({
      ...events,
      onDirect: (gateway, isUp) => {
        if (isUp) this.#reach.met(gateway)
        else this.#reach.left(gateway)
        events.onDirect(gateway, isUp)
      },
      onShaken: () => {
        this.#reach.forgetAll()
        this.#reach.refresh()
        this.#mapping?.refresh()
        this.#punching?.again()
        events.onShaken()
      },
      onPipe: (protocol, pipe, from) => {
        if (protocol === reachProtocol) void this.#answerReach(pipe, from)
        else if (protocol === punchProtocol) void this.#answerPunch(pipe, from)
        else events.onPipe(protocol, pipe, from)
      },
    })
    this.#mapping?.refresh()
  }

  async connect(to: GatewayAddress, options: { readonly signal: AbortSignal }): Promise<void> {
    await this.#network.connect(to, options)
  }

  async open(to: GatewayId, protocol: string, options: { readonly signal: AbortSignal }): Promise<Pipe> {
    return await this.#network.open(to, protocol, options)
  }

  async openDirect(to: GatewayId, protocol: string, options: { readonly signal: AbortSignal }): Promise<Pipe> {
    return await this.#network.openDirect(to, protocol, options)
  }

  async adopt(pipe: Pipe, end: PathEnd, options: { readonly signal: AbortSignal }): Promise<void> {
    await this.#network.adopt(pipe, end, options)
    if (end.peer !== undefined) this.#punching?.begin(end.peer)
  }

  drop(gateway: GatewayId, reason: string): void {
    this.#network.drop(gateway, reason)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#scope.disposeAsync()
    await this.#network[Symbol.asyncDispose]()
  }

  async #openSockets(): Promise<void> {
    const { ambient, punchPort: port } = this.#options
    const opened = await Promise.all(
      families.map(async (family) => await PunchSocket.open({ family, host: undefined, port, ambient })),
    )
    this.#sockets = opened.flatMap((socket) => socket ?? [])
    for (const socket of this.#sockets) this.#scope.use(socket)
    this.#punching = this.#scope.use(this.#newPunching())
  }

  #newReach(): Reach {
    const network = this.#network
    return new Reach({
      ambient: this.#options.ambient,
      ports: () => [...new Set(this.#tcpPorts())],
      isTrusted: this.#options.isNamed,
      remoteOf: (gateway) => network.remoteOf(gateway),
      neighbours: () => network.neighbours(),
      isGlobal: (endpoint) => isGlobal(udpLocator(endpoint)),
      mayDial: (endpoint) => network.mayDial(udpLocator(endpoint)),
      punchPort: (family) => this.#socketOf(family)?.port ?? 0,
      ask: async (gateway, request, signal) => {
        const pipe = await network.openDirect(gateway, reachProtocol, { signal })
        return await askOver(pipe, request, { answerBytesMax: reachAnswerBytesMax, signal })
      },
      onChanged: () => this.#tellOutside(),
    })
  }

  #newMapping(): PortMapping {
    return new PortMapping({
      ambient: this.#options.ambient,
      ownAddresses: () => this.#network.ownAddresses(),
      listening: () => this.#network.listening(),
      onChanged: () => {
        this.#tellOutside()
        this.#reach.refresh()
      },
    })
  }

  #tellOutside(): void {
    this.#network.setOutside([...new Set([...(this.#mapping?.locators() ?? []), ...this.#reach.locators()])])
  }

  #newPunching(): Punching {
    const network = this.#network
    return new Punching({
      ambient: this.#options.ambient,
      sockets: this.#sockets,
      ownEndpoints: () => this.#ownEndpoints(),
      servers: () => this.#reach.servers(),
      locators: () => network.locators(),
      mayProbe: (endpoint) => network.mayDial(udpLocator(endpoint)),
      isNeighbour: (gateway) => network.isNeighbour(gateway),
      open: async (gateway, signal) => await network.open(gateway, punchProtocol, { signal }),
      connect: async (to, signal) => await network.connect(to, { signal }),
      listener: () => this.#quicListener(),
      dial: async (gateway, at, signal) => await network.dialForwarder(gateway, at, { signal }),
      stands: (local, outside) => network.stands(local, outside),
    })
  }

  async #answerReach(pipe: Pipe, from: GatewayId): Promise<void> {
    try {
      await answerOver(pipe, from, {
        handler: async (request) => await this.#reach.answer(request, from),
        requestMax: reachRequestBytesMax,
        answerMax: reachAnswerBytesMax,
      })
    } catch {
      pipe.abort('not answered')
    }
  }

  async #answerPunch(pipe: Pipe, from: GatewayId): Promise<void> {
    if (this.#punching === undefined) pipe.abort('not ready')
    else await this.#punching.answer(pipe, from)
  }

  #tcpPorts(): number[] {
    const mapped = (this.#mapping?.locators() ?? []).flatMap((locator) => parseLocator(locator) ?? [])
    return [...mapped, ...this.#network.listening()].flatMap(({ transport, port }) =>
      transport === 'tcp' ? [port] : [],
    )
  }

  #ownEndpoints(): Endpoint[] {
    return this.#network.ownAddresses().flatMap(({ family, address: host }) => {
      const port = this.#socketOf(family)?.port
      return port !== undefined && isAnnounceable({ family, address: host, prefix: 0 }) ? [{ family, host, port }] : []
    })
  }

  #quicListener(): LocalEndpoint | undefined {
    const listener = this.#network
      .listening()
      .find(({ transport, family }) => transport === 'quic' && family === 'ipv4')
    return listener === undefined ? undefined : { host: listener.host ?? '127.0.0.1', port: listener.port }
  }

  #socketOf(family: Family): PunchSocket | undefined {
    return this.#sockets.find((socket) => socket.family === family)
  }
}

/** libp2p as a network: which connections there are, which one to use, and what a peer may not do with them. */
import { isIPv6 } from 'node:net'
import type { Connection, MultiaddrConnection, Stream } from '@libp2p/interface'
import { multiaddr } from '@multiformats/multiaddr'
import type { Ambient } from '../core/ambient.ts'
import type { GatewayAddress, Locator } from '../core/delivery/ports.ts'
import { MyceliumError } from '../core/errors.ts'
import type { GatewayId } from '../core/ids.ts'
import { limits } from '../core/limits.ts'
import { dialable, isGlobal, mayDial, parseLocator } from './dial-policy.ts'
import type { DialPolicy, OwnAddress, ParsedLocator, Transport } from './dial-policy.ts'
import { Dialler } from './dialler.ts'
import { gatewayIdOf } from './gateway-key.ts'
import { keepConnected } from './bootstrap.ts'
import { InboundGuard } from './inbound-guard.ts'
import { type LocalNetwork, openLocalNetwork } from './local-network.ts'
import { type Endpoint, type LocalEndpoint, udpLocator } from './nat/endpoint.ts'
import { untilAborted } from './until-aborted.ts'
import type { AddressedNetwork, NetworkEvents, Path, PathEnd, Pipe } from './network.ts'
import { withoutPeer } from './multiaddr-text.ts'
import { Near } from './near.ts'
import { buildNode, quiet } from './node.ts'
import type { Node } from './node.ts'
import { hostsOf, isAlone, listenersOf, ownAddresses, ownLocators, watchNetwork } from './own-addresses.ts'
import type { Listening } from './own-addresses.ts'
import { PipeConnection } from './pipe-connection.ts'
import { protocols, streamsMax } from './protocols.ts'
import { StreamPipe } from './stream-pipe.ts'

export interface Libp2pNetworkOptions {
  readonly key: Uint8Array
  readonly host: string
  readonly port: number
  readonly webSocketPort: number
  readonly transports: readonly Transport[]
  readonly mdns: boolean
  readonly announce: readonly Locator[]
  readonly allowLoopback: boolean
  /** Configured gateways: their locators are dialled wherever they lead, their connections kept while idle. */
  readonly bootstrap: readonly GatewayAddress[]
  readonly ambient: Ambient
}

const sweepMs = 5_000

export class Libp2pNetwork implements AddressedNetwork {
  readonly self: GatewayId
  readonly #options: Libp2pNetworkOptions
  readonly #guard = new InboundGuard()
  readonly #connections = new Map<GatewayId, Connection[]>()
  readonly #idleSinceMs = new WeakMap<Connection, number>()
  /** Peers that broke a bound, until when (monotonic) they are not heard. */
  readonly #banned = new Map<GatewayId, number>()
  /** Connections through other gateways, by the address each was given. */
  readonly #paths = new Map<string, PathEnd>()
  #pathCount = 0
  /** By host and port of their end on this machine: connections through a forwarder, and who is behind it. */
  readonly #forwarded = new Map<string, Endpoint>()
  #outside: readonly Locator[] = []
  readonly #dialler: Dialler<Connection>
  readonly #near: Near
  #addresses: readonly OwnAddress[] = ownAddresses()
  #listening: readonly Listening[] = []
  /**
   * Without any outside address at start, loopback is the only way and is used; until the first such address shows up,
   * and not again: a laptop that goes offline later does not begin to dial loopback.
   */
  #isAlone: boolean
  #node: Node | undefined
  #local: LocalNetwork | undefined
  #events: NetworkEvents | undefined
  readonly #timers = new DisposableStack()

  constructor(options: Libp2pNetworkOptions) {
    this.#options = options
    this.self = gatewayIdOf(options.key)
    this.#near = new Near(options.ambient.clock)
    this.#isAlone = isAlone(options.host, this.#addresses)
    this.#dialler = new Dialler<Connection>({
      clock: options.ambient.clock,
      candidates: (to) => this.#candidates(to),
      dial: async (gateway, { locator }, signal) =>
        await this.#node!.transports.dial(multiaddr(`${locator}/p2p/${gateway}`), { signal }),
      discard: close,
    })
  }

  async start(events: NetworkEvents): Promise<void> {
    this.#events = events
    const node = await buildNode({
      ...this.#options,
      listen: this.#listenOn(),
      announced: () => this.locators(),
      refuses: (connection) => this.#refuses(connection),
      refusesPeer: (peer) => this.#isBanned(peer.toString() as GatewayId),
    })
    this.#node = node
    node.libp2p.addEventListener('connection:open', ({ detail }) => this.#onOpen(detail))
    node.libp2p.addEventListener('connection:close', ({ detail }) => this.#onClose(detail))
    for (const protocol of protocols) {
      await node.libp2p.handle(protocol, (stream, connection) => this.#onStream(protocol, stream, connection), {
        maxInboundStreams: streamsMax(protocol),
        maxOutboundStreams: streamsMax(protocol),
      })
    }
    await node.libp2p.start()
    const reported = node.transports
      .getAddrs()
      .flatMap((address) => parseLocator(withoutPeer(address.toString())) ?? [])
    this.#listening = listenersOf(reported, this.#options.host)
    if (this.#isPortTaken()) {
      await node.libp2p.stop()
      throw new MyceliumError('port-in-use', { port: this.#options.port })
    }
    const sweep = setInterval(() => this.#sweep(), sweepMs).unref()
    this.#timers.defer(() => clearInterval(sweep))
    this.#timers.use(
      watchNetwork(
        { onAddresses: (addresses) => this.#onAddresses(addresses), onWoke: () => this.#onWoke() },
        this.#options.ambient.clock,
      ),
    )
    if (this.#options.mdns) this.#local = this.#timers.use(this.#openLocalNetwork())
    this.#timers.use(keepConnected(this, this.#options.bootstrap))
  }

  locators(): readonly Locator[] {
    const announce = [...this.#options.announce, ...this.#outside]
    return ownLocators(this.#listening, this.#addresses, { announce, allowLoopback: this.#allowsLoopback() })
  }

  listeners(): readonly string[] {
    return (this.#node?.transports.getAddrs() ?? []).map(
      (address) => `${withoutPeer(address.toString())}/p2p/${this.self}`,
    )
  }

  path(gateway: GatewayId): Path | undefined {
    const connection = this.#current(gateway)
    if (connection === undefined) return undefined
    const address = withoutPeer(connection.remoteAddr.toString())
    const end = this.#paths.get(address)
    const punched = this.#forwardedFrom(address)
    if (punched !== undefined)
      return {
        transport: 'quic',
        remote: udpLocator(punched).locator,
        via: undefined,
        hops: 0,
        sinceMs: connection.timeline.open,
      }
    const security = connection.encryption?.split('/')[1] ?? ''
    const kind = end === undefined ? (address.endsWith('/ws') ? 'ws' : 'tcp') : 'path'
    const transport = address.includes('/quic-v1') ? 'quic' : `${kind}+${security}`
    const remote = end === undefined ? address : `/p2p/${end.via}/p2p-circuit`
    return { transport, remote, via: end?.via, hops: end?.hops ?? 0, sinceMs: connection.timeline.open }
  }

  neighbours(): readonly GatewayId[] {
    return [...this.#connections.keys()].filter((gateway) => this.isNeighbour(gateway))
  }

  isNeighbour(gateway: GatewayId): boolean {
    return this.#direct(gateway) !== undefined
  }

  dialledAt(neighbour: GatewayId): Locator | undefined {
    const configured = this.#options.bootstrap.find(({ gateway }) => gateway === neighbour)
    const direct = this.#direct(neighbour)
    if (direct === undefined) return undefined
    if (configured !== undefined) return configured.locators[0]
    const address = withoutPeer(direct.remoteAddr.toString())
    return direct.direction === 'outbound' && this.#forwardedFrom(address) === undefined ? address : undefined
  }

  isPublic(): boolean {
    return this.locators().some((text) => {
      const locator = parseLocator(text)
      return locator !== undefined && isGlobal(locator)
    })
  }

  async connect(to: GatewayAddress, { signal }: { readonly signal: AbortSignal }): Promise<void> {
    if (this.isNeighbour(to.gateway)) return
    if (this.#node?.libp2p.status !== 'started') throw new MyceliumError('unreachable', { reason: 'stopping' })
    const dialled = await untilAborted(this.#dialler.dial(to), signal)
    if (dialled.status !== 'open') throw new MyceliumError('unreachable', { reason: 'connection lost' })
  }

  listening(): readonly Listening[] {
    return this.#listening
  }

  ownAddresses(): readonly OwnAddress[] {
    return this.#addresses
  }

  setOutside(locators: readonly Locator[]): void {
    const before = this.locators().join(' ')
    this.#outside = locators
    if (this.locators().join(' ') !== before) this.#events?.onLocatorsChanged()
  }

  mayDial(locator: ParsedLocator): boolean {
    return mayDial(locator, this.#policy())
  }

  remoteOf(gateway: GatewayId): Endpoint | undefined {
    const connection = this.#direct(gateway)
    if (connection === undefined) return undefined
    const address = withoutPeer(connection.remoteAddr.toString())
    return this.#forwardedFrom(address) ?? parseLocator(address)
  }

  async dialForwarder(
    to: GatewayId,
    { host, port }: LocalEndpoint,
    { signal }: { readonly signal: AbortSignal },
  ): Promise<AbortSignal> {
    const address = multiaddr(`/ip4/${host}/udp/${port}/quic-v1/p2p/${to}`)
    // QUIC does not heed a signal: what it still brings about later is not wanted
    const dialled = this.#node!.transports.dial(address, {})
    dialled.then((late) => signal.aborted && close(late)).catch(() => {})
    const connection = await untilAborted(dialled, signal)
    const over = new AbortController()
    connection.addEventListener('close', () => over.abort(), { once: true })
    if (connection.status !== 'open') over.abort()
    return over.signal
  }

  stands({ host, port }: LocalEndpoint, outside: Endpoint): Disposable {
    const key = `${host} ${port}`
    this.#forwarded.set(key, outside)
    return { [Symbol.dispose]: () => void this.#forwarded.delete(key) }
  }

  async open(to: GatewayId, protocol: string, { signal }: { readonly signal: AbortSignal }): Promise<Pipe> {
    return await this.#open(this.#current(to), protocol, signal)
  }

  async openDirect(to: GatewayId, protocol: string, { signal }: { readonly signal: AbortSignal }): Promise<Pipe> {
    return await this.#open(this.#direct(to), protocol, signal)
  }

  async adopt(pipe: Pipe, end: PathEnd, { signal }: { readonly signal: AbortSignal }): Promise<void> {
    if (this.#node?.libp2p.status !== 'started') throw new MyceliumError('unreachable', { reason: 'stopping' })
    const address = `/memory/path-${(this.#pathCount += 1)}/p2p-circuit`
    this.#paths.set(address, end)
    const forget = (): void => void this.#paths.delete(address)
    pipe.closed.addEventListener('abort', forget, { once: true })
    const { upgrader } = this.#node
    const isOpener = end.peer !== undefined
    const remote = isOpener ? `${address}/p2p/${end.peer}` : address
    const connection = new PipeConnection(pipe, remote, isOpener ? 'outbound' : 'inbound', quiet)
    const upgraded = isOpener
      ? upgrader.upgradeOutbound(connection, { signal })
      : upgrader.upgradeInbound(connection, { signal })
    try {
      await untilAborted<unknown>(upgraded, signal)
    } catch (error) {
      connection.abort(new MyceliumError('unreachable', { reason: 'not authenticated' }))
      throw error
    }
  }

  async #open(connection: Connection | undefined, protocol: string, signal: AbortSignal): Promise<Pipe> {
    if (connection === undefined) throw new MyceliumError('unreachable', { reason: 'not connected' })
    const timeout = AbortSignal.timeout(limits.streamNegotiationMsMax)
    try {
      const stream = await connection.newStream(protocol, { signal: AbortSignal.any([signal, timeout]) })
      return new StreamPipe(stream, this.#hops(connection))
    } catch (error) {
      if (timeout.aborted) connection.abort(new MyceliumError('unreachable', { reason: 'no answer' }))
      throw new MyceliumError('unreachable', { reason: 'no stream' }, { cause: error })
    }
  }

  drop(gateway: GatewayId, reason: string): void {
    for (const connection of this.#connections.get(gateway) ?? [])
      connection.abort(new MyceliumError('unreachable', { reason }))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#timers.dispose()
    await this.#node?.libp2p.stop()
  }

  #listenOn(): string[] {
    const { host, port, webSocketPort, transports } = this.#options
    const bases = hostsOf(host).map((one) => `/${isIPv6(one) ? 'ip6' : 'ip4'}/${one}`)
    const suffix: Readonly<Record<Transport, string>> = {
      tcp: `/tcp/${port}`,
      ws: `/tcp/${webSocketPort}/ws`,
      quic: `/udp/${port}/quic-v1`,
    }
    return bases.flatMap((base) => transports.map((transport) => `${base}${suffix[transport]}`))
  }

  /** A machine without IPv6 listens on IPv4 alone; without TCP of the family that was asked for, something has the port. */
  #isPortTaken(): boolean {
    const family = isIPv6(hostsOf(this.#options.host)[0]!) ? 'ipv6' : 'ipv4'
    return (
      this.#options.transports.includes('tcp') &&
      !this.#listening.some((listener) => listener.transport === 'tcp' && listener.family === family)
    )
  }

  #openLocalNetwork(): LocalNetwork {
    return openLocalNetwork({
      self: this.self,
      random: this.#options.ambient.random,
      locators: () => this.locators(),
      onSeen: (gateway, locators) => this.#onSeen(gateway, locators),
    })
  }

  #candidates(to: GatewayAddress): ParsedLocator[] {
    const policy = this.#policy()
    const found = [...dialable(this.#near.at(to.gateway), policy), ...dialable(to.locators, policy)]
    return found.filter(
      ({ transport, locator }, index) =>
        this.#options.transports.includes(transport) && found.findIndex((other) => other.locator === locator) === index,
    )
  }

  #policy(): DialPolicy {
    const trusted = new Set(this.#options.bootstrap.flatMap(({ locators }) => locators))
    return { allowLoopback: this.#allowsLoopback(), ownAddresses: this.#addresses, trusted }
  }

  #allowsLoopback(): boolean {
    return this.#options.allowLoopback || this.#isAlone
  }

  /** The newest open connection, before one through others: an older one may be dead without knowing. */
  #current(gateway: GatewayId): Connection | undefined {
    return this.#direct(gateway) ?? this.#connections.get(gateway)?.findLast(({ status }) => status === 'open')
  }

  #direct(gateway: GatewayId): Connection | undefined {
    return this.#connections
      .get(gateway)
      ?.findLast((connection) => connection.status === 'open' && this.#hops(connection) === 0)
  }

  /** Who is behind a forwarder on this machine; `undefined` for an address that is no forwarder's. */
  #forwardedFrom(address: string): Endpoint | undefined {
    const [, , host, layer, port] = address.split('/')
    return layer === 'udp' ? this.#forwarded.get(`${host} ${port}`) : undefined
  }

  /** Gateways in between. */
  #hops(connection: Connection): number {
    return this.#paths.get(withoutPeer(connection.remoteAddr.toString()))?.hops ?? 0
  }

  #refuses(connection: MultiaddrConnection): boolean {
    // what comes over a path was counted by whoever accepted the path
    if (this.#paths.has(connection.remoteAddr.toString())) return false
    const address = withoutPeer(connection.remoteAddr.toString())
    const host = this.#forwardedFrom(address)?.host ?? hostIn(address)
    if (!this.#guard.enter(host)) return true
    connection.addEventListener('close', () => this.#guard.left(host), { once: true })
    return false
  }

  #onOpen(connection: Connection): void {
    const gateway = connection.remotePeer.toString() as GatewayId
    const open = this.#connections.get(gateway) ?? []
    if (connection.status !== 'open') return
    const isPath = this.#hops(connection) > 0
    const alike = open.filter((other) => this.#hops(other) > 0 === isPath)
    const isNeighbour = this.isNeighbour(gateway)
    this.#connections.set(gateway, [...open, connection])
    if (isPath && alike.length >= limits.pathConnectionsPerPeerMax) close(alike[0]!)
    if (!isPath && alike.length >= limits.connectionsPerPeerMax)
      return this.#misbehaved(gateway, 'too many connections')
    this.#dialler.wake(gateway)
    const address = withoutPeer(connection.remoteAddr.toString())
    const isDialled = !isPath && connection.direction === 'outbound' && this.#forwardedFrom(address) === undefined
    const locators = isDialled ? [address] : []
    if (!isPath && !isNeighbour) this.#events!.onDirect(gateway, true)
    if (open.length === 0) this.#events!.onConnected({ gateway, locators })
  }

  #onClose(connection: Connection): void {
    const gateway = connection.remotePeer.toString() as GatewayId
    const before = this.#connections.get(gateway) ?? []
    const left = before.filter((other) => other !== connection)
    if (left.length > 0) this.#connections.set(gateway, left)
    else this.#connections.delete(gateway)
    if (this.#hops(connection) === 0 && before.includes(connection) && !this.isNeighbour(gateway))
      this.#events!.onDirect(gateway, false)
    if (left.length === 0 && before.length > 0) {
      // libp2p would keep every peer it ever met
      void this.#node!.libp2p.peerStore.delete(connection.remotePeer).catch(() => {})
      this.#events!.onDisconnected(gateway)
    }
  }

  #onStream(protocol: string, stream: Stream, connection: Connection): void {
    this.#events!.onPipe(
      protocol,
      new StreamPipe(stream, this.#hops(connection)),
      connection.remotePeer.toString() as GatewayId,
    )
  }

  #onSeen(gateway: GatewayId, found: readonly Locator[]): void {
    const locators = this.#candidates({ gateway, locators: found }).map(({ locator }) => locator)
    if (locators.length === 0) return
    this.#near.saw(gateway, locators)
    this.#dialler.wake(gateway)
    this.#events!.onSeen({ gateway, locators })
  }

  #onAddresses(addresses: readonly OwnAddress[]): void {
    const before = this.locators().join(' ')
    this.#addresses = addresses
    this.#near.forgetAll()
    this.#isAlone &&= isAlone(this.#options.host, addresses)
    if (this.locators().join(' ') !== before) this.#events!.onLocatorsChanged()
    this.#onShaken()
  }

  /** Contacts are told where this gateway is, so that those who gave up try again. */
  #onWoke(): void {
    this.#events!.onLocatorsChanged()
    this.#onShaken()
  }

  /** Connections may be dead without knowing, and gateways near that were not: everybody is asked. */
  #onShaken(): void {
    this.#dialler.wakeAll()
    this.#local?.refresh()
    this.#events!.onShaken()
  }

  /** Ends connections that hold too many streams, and those that nobody uses. */
  #sweep(): void {
    const nowMs = this.#options.ambient.clock.monotonicMs()
    for (const [gateway, connections] of this.#connections) {
      for (const connection of connections) {
        if (connection.streams.length >= limits.streamsPerConnectionMax) {
          this.#misbehaved(gateway, 'too many open streams')
          break
        }
        if (!this.#options.bootstrap.some((kept) => kept.gateway === gateway)) this.#sweepIdle(connection, nowMs)
      }
    }
    for (const [gateway, untilMs] of this.#banned) if (nowMs >= untilMs) this.#banned.delete(gateway)
  }

  #sweepIdle(connection: Connection, nowMs: number): void {
    if (connection.streams.length > 0) {
      this.#idleSinceMs.delete(connection)
      return
    }
    const sinceMs = this.#idleSinceMs.get(connection) ?? nowMs
    this.#idleSinceMs.set(connection, sinceMs)
    const isReplaced = this.#hops(connection) > 0 && this.isNeighbour(connection.remotePeer.toString() as GatewayId)
    if (nowMs - sinceMs >= limits.connectionIdleMsMax || isReplaced) close(connection)
  }

  #misbehaved(gateway: GatewayId, reason: string): void {
    this.#banned.set(gateway, this.#options.ambient.clock.monotonicMs() + limits.misbehaviourMs)
    if (this.#banned.size > limits.peersKnownMax) this.#banned.delete(this.#banned.keys().next().value!)
    this.drop(gateway, reason)
    this.#events!.onMisbehaved(gateway, reason)
  }

  #isBanned(gateway: GatewayId): boolean {
    return (this.#banned.get(gateway) ?? 0) > this.#options.ambient.clock.monotonicMs()
  }
}

const hostIn = (address: string): string => address.split('/')[2] ?? ''

function close(connection: Connection): void {
  void connection.close().catch((error: Error) => connection.abort(error))
}

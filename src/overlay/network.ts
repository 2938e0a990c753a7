/** What links and asks need from a network: connections to gateways and streams of bytes on them. libp2p and memory both are one. */
import type { GatewayAddress, Locator } from '../core/delivery/ports.ts'
import type { GatewayId } from '../core/ids.ts'
import type { OwnAddress, ParsedLocator } from './dial-policy.ts'
import type { Endpoint, LocalEndpoint } from './nat/endpoint.ts'
import type { Listening } from './own-addresses.ts'

/** Where the bytes of a pipe go; one at a time, replaced with `receive`. */
export interface PipeSink {
  data(bytes: Uint8Array): void
  /** The peer writes no more. */
  ended(): void
}

/** One bidirectional stream. Nothing arrives before the first `receive`. */
export interface Pipe {
  readonly closed: AbortSignal
  /** Gateways in between that carry the connection this is a stream of; 0 when direct. */
  readonly hops: number
  /** Takes ownership of the bytes. Does nothing after close. */
  write(bytes: Uint8Array): void
  /** True while the network wants no more; writing all the same grows its buffer. */
  readonly isFull: boolean
  /** Resolves when there is room or the pipe is closed. Never rejects. */
  drained(): Promise<void>
  receive(sink: PipeSink): void
  /** Nothing is given to the sink until `resume`; the peer is made to wait where the network can do that. */
  pause(): void
  resume(): void
  /** No more writes; what was written is still delivered. */
  end(): void
  abort(reason: string): void
}

/** A connection as status output shows it. */
export interface Path {
  readonly transport: string
  readonly remote: string
  /** The neighbour through which it goes; `undefined` for a direct one. */
  readonly via: GatewayId | undefined
  /** Gateways in between that carry it; 0 when direct. */
  readonly hops: number
  /** Unix time, milliseconds */
  readonly sinceMs: number
}

export interface NetworkEvents {
  readonly onConnected: (gateway: GatewayAddress) => void
  readonly onDisconnected: (gateway: GatewayId) => void
  /** The first direct connection came up, or the last one went, whatever paths there are. */
  readonly onDirect: (gateway: GatewayId, isUp: boolean) => void
  /** Announced on the local network, not connected. */
  readonly onSeen: (gateway: GatewayAddress) => void
  readonly onLocatorsChanged: () => void
  /** Another network, or the machine slept: connections may be dead without knowing. */
  readonly onShaken: () => void
  /** A peer broke a bound: one short reason without content. */
  readonly onMisbehaved: (gateway: GatewayId, reason: string) => void
  readonly onPipe: (protocol: string, pipe: Pipe, from: GatewayId) => void
}

export interface Network extends AsyncDisposable {
  readonly self: GatewayId
  locators(): readonly Locator[]
  listeners(): readonly string[]
  /** The connection in use, if any. */
  path(gateway: GatewayId): Path | undefined
  /** Resolves once a connection exists. @throws `unreachable` */
  connect(to: GatewayAddress, options: { readonly signal: AbortSignal }): Promise<void>
  /** A new stream over an existing connection. @throws `unreachable` */
  open(to: GatewayId, protocol: string, options: { readonly signal: AbortSignal }): Promise<Pipe>
  /** Closes every connection to a gateway that is found dead or misbehaving. */
  drop(gateway: GatewayId, reason: string): void
  /** Called once; nothing is accepted before. */
  start(events: NetworkEvents): Promise<void>
}

/** What is known of a pipe through other gateways when a connection is made of it. */
export interface PathEnd {
  /** Who should be at the other end; unknown to the side that was asked. */
  readonly peer: GatewayId | undefined
  /** The neighbour that it goes through. */
  readonly via: GatewayId
  /** Gateways in between. */
  readonly hops: number
}

/** A network of direct connections that can also make connections of pipes through others. */
export interface DirectNetwork extends Network {
  /** Whether there is a direct connection. */
  isNeighbour(gateway: GatewayId): boolean
  /** Where this gateway reached a neighbour, if it was the one to dial and others may be told. */
  dialledAt(neighbour: GatewayId): Locator | undefined
  /** Whether own locators are known to be reachable from everywhere. */
  isPublic(): boolean
  /** A stream over a direct connection, whatever else there is. @throws `unreachable` */
  openDirect(to: GatewayId, protocol: string, options: { readonly signal: AbortSignal }): Promise<Pipe>
  /** Authenticates both ends over the pipe and uses it like any other connection. @throws `unreachable` */
  adopt(pipe: Pipe, end: PathEnd, options: { readonly signal: AbortSignal }): Promise<void>
}

/** A direct network on IP, for what concerns addresses and routers. */
export interface AddressedNetwork extends DirectNetwork {
  /** Gateways with a direct connection. */
  neighbours(): readonly GatewayId[]
  /** What it listens on, without addresses. */
  listening(): readonly Listening[]
  ownAddresses(): readonly OwnAddress[]
  /** Locators that others found, given out before those of own interfaces. */
  setOutside(locators: readonly Locator[]): void
  mayDial(locator: ParsedLocator): boolean
  /** The other end of a direct connection. */
  remoteOf(gateway: GatewayId): Endpoint | undefined
  /** Dials QUIC on this machine, where a forwarder stands for the gateway. @returns aborts when the connection is over */
  dialForwarder(to: GatewayId, at: LocalEndpoint, options: { readonly signal: AbortSignal }): Promise<AbortSignal>
  /** Until disposed of, connections with that end on this machine are those of the outside endpoint. */
  stands(local: LocalEndpoint, outside: Endpoint): Disposable
}

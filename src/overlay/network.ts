/** What links and asks need from a network: connections to gateways and streams of bytes on them. libp2p and memory both are one. */
import type { GatewayAddress, Locator } from '../core/delivery/ports.ts'
import type { GatewayId } from '../core/ids.ts'

/** Where the bytes of a pipe go; one at a time, replaced with `receive`. */
export interface PipeSink {
  data(bytes: Uint8Array): void
  /** The peer writes no more. */
  ended(): void
}

/** One bidirectional stream. Nothing arrives before the first `receive`. */
export interface Pipe {
  readonly closed: AbortSignal
  /** Takes ownership of the bytes. Does nothing after close. */
  write(bytes: Uint8Array): void
  /** True while the network wants no more; writing all the same grows its buffer. */
  readonly isFull: boolean
  /** Resolves when there is room or the pipe is closed. Never rejects. */
  drained(): Promise<void>
  receive(sink: PipeSink): void
  /** No more writes; what was written is still delivered. */
  end(): void
  abort(reason: string): void
}

/** A connection as status output shows it. */
export interface Path {
  readonly transport: string
  readonly remote: string
  /** Gateways in between that carry it; none for a direct one. Nearest first. */
  readonly via: readonly GatewayId[]
  /** Unix time, milliseconds */
  readonly sinceMs: number
}

export interface NetworkEvents {
  readonly onConnected: (gateway: GatewayAddress) => void
  readonly onDisconnected: (gateway: GatewayId) => void
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

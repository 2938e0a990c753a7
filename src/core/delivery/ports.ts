/**
 * What the core needs from the network. The overlay carries opaque bytes between gateways: it knows peer ids and
 * addresses, never identities, accounts or content. Whatever arrives here is hostile until a session has opened it.
 */
import type { GatewayId } from '../ids.ts'
import type { Reachability } from '../reachability.ts'
import type { Relays } from './relay-ports.ts'

/** A multiaddr in text form, without the trailing /p2p part. Never loopback or link-local for another machine's gateway unless the user allowed it. */
export type Locator = string

export interface GatewayAddress {
  readonly gateway: GatewayId
  readonly locators: readonly Locator[]
}

/**
 * The one long-lived ordered byte stream to a gateway that is connected now, whichever side opened it. Ends when
 * `closed` aborts; both sides then open a new one when they have something to say.
 */
export interface Link {
  readonly peer: GatewayId
  /** True for the side that opened the stream: it sends its hello first. */
  readonly initiator: boolean
  readonly closed: AbortSignal
  /**
   * Queues bytes; sends of one tick leave coalesced in 4–32 KB writes. Resolves when there is room for more (at once,
   * unless the peer reads slowly). Order is kept. @throws `unreachable` after close
   */
  send(bytes: Uint8Array): Promise<void>
  /** Arriving bytes in pieces of arbitrary size; a consumer that does not read makes the peer wait. Iterate once. */
  readonly incoming: AsyncIterable<Uint8Array>
  close(reason: string): void
}

/** One request, one answer, on a stream of its own. */
export const askTopics = ['bundle', 'handshake', 'blob', 'device'] as const
export type AskTopic = (typeof askTopics)[number]

export interface AskContext {
  /** The transport has proven it. */
  readonly from: GatewayId
  /** What may count together with others from there: a network address (IPv6: a /64), or the gateway in between. */
  readonly source: string
  readonly signal: AbortSignal
}

export interface AskHandler {
  /** `undefined` refuses without saying why. Must bound its own work; `signal` aborts when the asker leaves. */
  (request: Uint8Array, context: AskContext): Promise<Uint8Array | undefined>
}

export interface PeerStatus {
  readonly gateway: GatewayId
  readonly state: 'connected' | 'connecting' | 'disconnected'
  readonly how: 'direct' | 'relayed' | undefined
  /** Gateways in between; 0 when direct. */
  readonly hops: number | undefined
  /** They, nearest first. */
  readonly via: readonly GatewayId[]
  readonly transport: string | undefined
  readonly remote: string | undefined
  readonly sinceMs: number | undefined
  readonly rttMs: number | undefined
  readonly lastError: string | undefined
}

/** How a gateway is reached through others. */
export interface RouteStatus {
  readonly destination: GatewayId
  /** The neighbour that leads there; absent while none does. */
  readonly nextHop: GatewayId | undefined
  /** Gateways in between. */
  readonly hops: number | undefined
  /** Sum of round-trip times and a little for each hop, milliseconds. */
  readonly metricMs: number | undefined
  /** Round trip to the next hop, milliseconds. */
  readonly nextHopRttMs: number | undefined
  /** Other neighbours that could take its place at once. */
  readonly alternatives: number
  readonly sinceMs: number | undefined
  readonly lastFailure: { readonly neighbour: GatewayId; readonly reason: string; readonly atMs: number } | undefined
}

export interface Overlay extends AsyncDisposable {
  readonly self: GatewayId
  /** Where this gateway listens now, ready to be given to contacts; at most `limits.locatorsMax`. */
  locators(): readonly Locator[]
  /** Every listening multiaddr including loopback, with /p2p, for `ready` and for tests. */
  listeners(): readonly string[]
  /** The live link to a gateway, dialling when there is none. Concurrent calls share one attempt. @throws `unreachable` */
  link(to: GatewayAddress, options: { readonly signal: AbortSignal }): Promise<Link>
  /** @throws `unreachable`, `peer-misbehaved` (refused, oversize, timed out) */
  ask(
    to: GatewayAddress,
    topic: AskTopic,
    request: Uint8Array,
    options: { readonly signal: AbortSignal; readonly answerBytesMax: number },
  ): Promise<Uint8Array>
  /** Called once, before the overlay accepts anything. */
  serve(handlers: OverlayHandlers): void
  peers(): readonly PeerStatus[]
  /** Absent on a network where everybody reaches everybody. */
  readonly reachability?: (() => Reachability) | undefined
  /** Routes through others that are used or looked for now; absent on a network that has none. */
  routes?(): readonly RouteStatus[]
  /** Use of other gateways as relays; absent on a network that has none. */
  readonly relays?: Relays
}

export interface OverlayHandlers {
  /** A new link, whichever side opened it. */
  readonly onLink: (link: Link) => void
  /** Contacts live there, or it was invited: strangers do not take its place. Everybody, where this is not given. */
  readonly isFamiliar?: (gateway: GatewayId) => boolean
  /** A gateway became reachable (connected, or announced on the local network): back-off ends for it. */
  readonly onReachable: (gateway: GatewayAddress) => void
  /** Own listening addresses changed: contacts should hear of it. */
  readonly onLocatorsChanged: () => void
  readonly answer: Readonly<Record<AskTopic, AskHandler>>
}

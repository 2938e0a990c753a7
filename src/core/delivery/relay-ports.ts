/**
 * What the core needs from relays: gateways that hold sealed entries for whoever is away (docs/protocol/relay.md). A relay
 * is told queues and sizes, never identities; everything in an entry's body is sealed before it comes here.
 */
import type { SigningKey } from '../crypto/sign.ts'
import type { GatewayAddress } from './ports.ts'

/** What a relay offers to this gateway. */
export interface RelayOffer {
  /** X25519, 32 bytes: deposits for this relay are sealed to it. */
  readonly sealKey: Uint8Array
  /** Zero bits of the work that stands in for an acquaintance or a capability. */
  readonly workBits: number
  /** This gateway is one of a contact there: no capability and no work is needed. */
  readonly isKnown: boolean
  /** Octets that may wait for one owner, and how many queues it may have. */
  readonly bytesMax: number
  readonly queuesMax: number
  readonly holdMsMax: number
}

/** One queue as its sender's device knows it: given by the recipient inside a session. */
export interface SendQueue {
  readonly relay: GatewayAddress
  /** X25519, 32 bytes. */
  readonly sealKey: Uint8Array
  /** Ed25519 seed of the queue's send key, 32 bytes. */
  readonly sendSeed: Uint8Array
}

export type DepositOutcome =
  /** On the relay's disk. */
  | 'stored'
  /** No room for this owner, or at all. */
  | 'full'
  | 'no-such-queue'
  /** A size, expiry or signature that the relay does not take: sending it again is pointless. */
  | 'refused'
  /** Later. */
  | 'throttled'

/** What waited in one of the owner's queues. */
export interface RelayEntry {
  /** Ascends within an owner at one relay. */
  readonly number: number
  /** 16 bytes. */
  readonly receiveId: Uint8Array
  /** When the relay took it, by its own clock, Unix milliseconds. */
  readonly heldSinceMs: number
  readonly body: Uint8Array
}

export interface WatchHandlers {
  /** Entries in order; they are forgotten at the relay once this resolves with their numbers. A throw ends the watch. */
  readonly onEntries: (entries: readonly RelayEntry[]) => Promise<readonly number[]>
  /** Nothing else waits there now. */
  readonly onDrained: () => void
}

/** The sizes that a body may have, octets, smallest first ◆. */
export const relayBodySizes = [4096, 16_384, 67_584, 264_192, 1_050_624] as const

/** Every method throws `unreachable` or `peer-misbehaved` (refused, with the `reason` of docs/protocol/relay.md §2). */
export interface Relays {
  /** `undefined` when that gateway is no relay. */
  describe(at: GatewayAddress, options: { readonly signal: AbortSignal }): Promise<RelayOffer | undefined>
  /** Makes or renews an owner: as a contact's gateway, with a capability, or by work done in slices. */
  open(
    at: GatewayAddress,
    owner: SigningKey,
    options: { readonly capability?: Uint8Array | undefined; readonly signal: AbortSignal },
  ): Promise<void>
  /** Makes and removes queues. @param create send ids @param remove receive ids */
  queues(
    at: GatewayAddress,
    owner: SigningKey,
    change: { readonly create: readonly Uint8Array[]; readonly remove: readonly Uint8Array[] },
    options: { readonly signal: AbortSignal },
  ): Promise<void>
  /** The owner is forgotten with all of its queues. */
  close(at: GatewayAddress, owner: SigningKey, options: { readonly signal: AbortSignal }): Promise<void>
  /**
   * Leaves a body in somebody's queue; resolves when it is on the relay's disk. The same entry id twice is stored once.
   * @param body one of `relayBodySizes` long
   * @param through a relay of our own that carries it there, so that the queue's relay does not learn where we are
   */
  deposit(
    queue: SendQueue,
    entry: { readonly id: Uint8Array; readonly body: Uint8Array; readonly expiresAtMs: number },
    options: { readonly through: GatewayAddress | undefined; readonly signal: AbortSignal },
  ): Promise<DepositOutcome>
  /** Takes what waits, and with `stay` what comes, until the stream ends (resolves), fails (throws) or `signal` aborts. */
  watch(
    at: GatewayAddress,
    owner: SigningKey,
    handlers: WatchHandlers,
    options: { readonly stay: boolean; readonly signal: AbortSignal },
  ): Promise<void>
}

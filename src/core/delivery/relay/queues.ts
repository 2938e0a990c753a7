/**
 * ◆ Queues at relays: as a recipient gives them to a contact's device inside their session, and as both sides keep them.
 * docs/protocol/relay.md §5
 */
import { array, bool, type Codec, fixed, hexId, optional, record, text, u32, u64 } from '../../codec.ts'
import type { DeviceId, GatewayId, Identity } from '../../ids.ts'
import { gatewayIdOctetsMax } from '../../identity/locators.ts'
import { limits } from '../../limits.ts'
import type { GatewayAddress } from '../ports.ts'
import type { Pair } from '../session-book.ts'

const keyBytes = 32
export const bodyKeyBytes = 32

/** Where a contact's device is to leave what it has for us. */
export interface GivenQueue {
  readonly relay: GatewayAddress
  /** X25519 of the relay. */
  readonly sealKey: Uint8Array
  /** Ed25519 seed: whoever has it may leave entries. */
  readonly sendSeed: Uint8Array
  /** Seals the bodies; the relay never has it. */
  readonly bodyKey: Uint8Array
}

const gatewayId = text(gatewayIdOctetsMax) as unknown as Codec<GatewayId>
const relayCodec = record<GatewayAddress>({
  gateway: gatewayId,
  locators: array(text(limits.locatorOctetsMax), limits.locatorsMax),
})
const given = {
  relay: relayCodec,
  sealKey: fixed(keyBytes),
  sendSeed: fixed(keyBytes),
  bodyKey: fixed(bodyKeyBytes),
}
export const givenQueuesCodec: Codec<readonly GivenQueue[]> = array(record<GivenQueue>(given), limits.relaysUsedMax)

const pairCodec = record<Pair>({
  account: hexId<Identity>(32),
  device: hexId<DeviceId>(32),
  peer: hexId<Identity>(32),
  peerDevice: hexId<DeviceId>(32),
})

/** A queue of ours, for one device of a contact. */
export interface InQueue {
  readonly gateway: GatewayId
  readonly sendSeed: Uint8Array
  readonly bodyKey: Uint8Array
  readonly madeAtMs: number
  /** The relay has said that it is there. */
  readonly isMade: boolean
  /** The highest number of a body that came out of it. */
  readonly highest: number
}
export interface InQueues {
  readonly pair: Pair
  readonly queues: readonly InQueue[]
}
export const inQueuesCodec = record<InQueues>({
  pair: pairCodec,
  queues: array(
    record<InQueue>({
      gateway: gatewayId,
      sendSeed: fixed(keyBytes),
      bodyKey: fixed(bodyKeyBytes),
      madeAtMs: u64,
      isMade: bool,
      highest: u64,
    }),
    limits.relayQueuesPerPairMax,
  ),
})

/** A queue of a contact's device, with how many bodies we have left there. */
export interface OutQueue extends GivenQueue {
  readonly left: number
}
export interface OutQueues {
  readonly pair: Pair
  readonly queues: readonly OutQueue[]
  /** References of the outbox up to this number lie at a relay, or did. */
  readonly depositedTo: number
  /** When the oldest of them that nobody has acknowledged was left, Unix milliseconds. */
  readonly sinceMs: number
  /** Frames left since the contact's device was last heard. */
  readonly framesOut: number
  /** Which place of ours the device was told of here: a hash of locators, 8 bytes; zeros for none. */
  readonly told: Uint8Array
}
export const toldBytes = 8
export const outQueuesCodec = record<OutQueues>({
  pair: pairCodec,
  queues: array(record<OutQueue>({ ...given, left: u64 }), limits.relaysUsedMax),
  depositedTo: u64,
  sinceMs: u64,
  framesOut: u32,
  told: fixed(toldBytes),
})

/** A relay that an account uses, or used and still empties. */
export interface RelayChoice {
  readonly account: Identity
  readonly relay: GatewayAddress
  readonly sealKey: Uint8Array
  /** Ed25519 seed of the owner key; of this account at this relay only. */
  readonly ownerSeed: Uint8Array
  readonly chosenAtMs: number
  /** 0 while it is used for new queues. */
  readonly retiredAtMs: number
  /** When it last answered. */
  readonly seenAtMs: number
  /** What it was caught at, weighed (relay/health.ts). */
  readonly faults: number
  readonly capability: Uint8Array | undefined
}
export const relayChoiceCodec = record<RelayChoice>({
  account: hexId<Identity>(32),
  relay: relayCodec,
  sealKey: fixed(keyBytes),
  ownerSeed: fixed(keyBytes),
  chosenAtMs: u64,
  retiredAtMs: u64,
  seenAtMs: u64,
  faults: u32,
  capability: optional(fixed(16)),
})

/**
 * ◆ How two people whose gateways are never on together come to share a session over relays (docs/protocol/relay.md §6): the
 * invitation leads to a queue, an introduction is left there, and the inviter's first flight goes the other way.
 */
import { toHex } from '../../bytes.ts'
import { labelledHash } from '../../crypto/kdf.ts'
import type { DeviceId, GatewayId, Identity } from '../../ids.ts'
import type { GatewayAddress } from '../ports.ts'
import type { Pair } from '../session-book.ts'

const raw = (hex: string): Uint8Array => Buffer.from(hex, 'hex')

/** Keys of the queue that an invitation leads to at one relay: who holds the link can leave one thing there. */
export const invitationKeys = (
  capability: Uint8Array,
  relay: GatewayId,
): { readonly sendSeed: Uint8Array; readonly bodyKey: Uint8Array } => ({
  sendSeed: labelledHash('mycelium/invitation/send/1', capability, Buffer.from(relay)),
  bodyKey: labelledHash('mycelium/invitation/body/1', capability, Buffer.from(relay)),
})

/** Under which the queues of an invitation are kept: no device is known yet. */
export const invitationPair = (account: Identity, device: DeviceId, capability: Uint8Array): Pair => ({
  account,
  device,
  peer: account,
  peerDevice: toHex(labelledHash('mycelium/invitation/pair/1', capability)) as DeviceId,
})

/** Under which the queues for somebody are kept whose devices are not known yet. */
export const expectedPair = (account: Identity, device: DeviceId, peer: Identity): Pair => ({
  account,
  device,
  peer,
  peerDevice: toHex(labelledHash('mycelium/relay/expected/1', raw(peer))) as DeviceId,
})

/** Relays named in an invitation: those through which its gateway can be reached. */
export const relaysIn = (locators: readonly string[]): readonly GatewayAddress[] =>
  locators.flatMap((locator) => {
    const found = /^(\/.+)\/p2p\/([^/]+)\/p2p-circuit$/.exec(locator)
    return found === null ? [] : [{ gateway: found[2] as GatewayId, locators: [found[1]!] }]
  })

/** A relay as a locator of somebody who can be found through it. */
export const throughRelay = ({ gateway, locators }: GatewayAddress): readonly string[] =>
  locators.slice(0, 1).map((locator) => `${locator}/p2p/${gateway}/p2p-circuit`)

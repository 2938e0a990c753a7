/** People whom nobody invited: whole gateways that know somebody's bundle, and first flights of identities made for one. */
import type { Random } from '../../src/core/ambient.ts'
import { signingKey } from '../../src/core/crypto/sign.ts'
import { encodeGreeting, encodeHandshakeAsk, type FlightWork } from '../../src/core/delivery/asks.ts'
import type { Address, DeviceId, Identity } from '../../src/core/ids.ts'
import { createLog, nextEntry, verifyLog } from '../../src/core/identity/account-log.ts'
import { encodeBundle, type VerifiedBundle } from '../../src/core/identity/bundle.ts'
import { makeDevice } from '../../src/core/identity/device.ts'
import { entryHash, identityOf } from '../../src/core/identity/log-entry.ts'
import { choosePrekey } from '../../src/core/identity/prekeys.ts'
import { flightCacheKey, initiate, type Peer } from '../../src/core/session/handshake.ts'
import type { TestGateway } from './world.ts'

/** `who` knows where `whom` is, from somebody else: no invitation, and nobody asked `whom`. */
export async function hearOf(who: TestGateway, whom: TestGateway): Promise<void> {
  const at = { gateway: whom.node.overlay.self, locators: whom.node.overlay.locators() }
  const bundle = whom.knowledge.people.bundle(whom.account, at)
  const { contacts, people, store } = who.knowledge
  await store.write((tx) => people.learn(tx, who.account, bundle, whom.account))
  await store.write((tx) => contacts.using(tx).accept(who.account, whom.account))
}

/** Whom flights go to: the first device of a bundle. */
export function targetOf({ identity, state, devices }: VerifiedBundle, nowMs: number): Peer {
  const [first] = devices
  const prekey = choosePrekey(first!.prekeys, nowMs)!
  return {
    identity,
    device: first!.device,
    deviceDhPublic: state.devices.get(first!.device)!.dhPublic,
    logHead: state.head,
    prekey: { id: prekey.id, dh: prekey.dhPublic, kem: prekey.kemPublic },
  }
}

export interface FreshFlight {
  readonly identity: Identity
  readonly device: DeviceId
  readonly flight: Uint8Array
  readonly flightKey: Uint8Array
}

/** A new identity with a new device in a log of its own, with an address if one is given, and its first flight. */
export function freshFlight(peer: Peer, address: Address | undefined, random: Random, nowMs: number): FreshFlight {
  const device = makeDevice(random)
  const entries = [createLog(signingKey(random.bytes(32)), random.bytes(32), device, nowMs)]
  if (address !== undefined) {
    const named = { kind: 'name-address', address, present: true } as const
    entries.push(nextEntry(verifyLog(entries), { kind: 'device', device: device.id }, device.signing, named, nowMs))
  }
  const [identity, head] = [identityOf(entries[0]!), entryHash(entries.at(-1)!)]
  const introduction = encodeBundle({
    entries,
    devices: [{ device: device.id, prekeys: [], locators: undefined }],
    names: [],
  })
  const { flight } = initiate({
    self: { identity, device: device.id, deviceDh: device.dh, logHead: head },
    peer,
    introduction: encodeGreeting({ capability: undefined, reset: undefined, introduction }),
    random,
    nowMs,
  })
  return { identity, device: device.id, flight, flightKey: flightCacheKey(flight)! }
}

export const askOf = (peer: Peer, { flight }: Pick<FreshFlight, 'flight'>, work?: FlightWork): Uint8Array =>
  encodeHandshakeAsk({ device: peer.device, flight, work })

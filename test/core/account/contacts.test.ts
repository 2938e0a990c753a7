import { describe, expect, test } from 'vitest'
import { systemRandom } from '../../../src/core/ambient.ts'
import { MyceliumError } from '../../../src/core/errors.ts'
import type { Address } from '../../../src/core/ids.ts'
import { encodeBundle, isHeadStale, verifyBundle } from '../../../src/core/identity/bundle.ts'
import { makeDevice } from '../../../src/core/identity/device.ts'
import { fingerprintOf } from '../../../src/core/identity/fingerprint.ts'
import { parseInvitation } from '../../../src/core/identity/invitation.ts'
import { signLocators } from '../../../src/core/identity/locators.ts'
import { prekeyIdAt } from '../../../src/core/identity/prekeys.ts'
import { limits } from '../../../src/core/limits.ts'
import { openContacts } from '../../../src/core/account/contacts.ts'
import {
  addressIn,
  adding,
  bundleBytes,
  type BundleOptions,
  bundleOf,
  byDevice,
  byRoot,
  gateway,
  makePerson,
  makeZone,
  naming,
  nowMs,
  type Person,
  rotating,
} from '../identity/people.ts'
import { here, openWorld, stores, type World } from './support.ts'

const dayMs = 24 * 3600_000
const bobZone = makeZone()
const bobAddress = 'bob@example.org' as Address
const zonedAddress = addressIn(bobZone, 'bob')

function makeBob(address = bobAddress): Person {
  const bob = makePerson()
  return byDevice(bob, bob.device, naming(address))
}
const seen = (person: Person, options: BundleOptions = {}) =>
  verifyBundle(bundleBytes(person, options), person.state.identity, options.atMs ?? nowMs)

/** An account `alice` here and what changes its contacts. */
async function withAlice(world: World) {
  const { identity: account } = await world.accounts.create({ localName: 'alice' })
  const learn = (person: Person, options: BundleOptions = {}, stateIfNew: 'active' | 'request' = 'active') =>
    world.change((contacts) => contacts.learn(account, seen(person, options), { stateIfNew }))
  return { account, learn }
}

/** A link that bob's gateway made. */
async function invited(address?: string) {
  const bobsGateway = await openWorld()
  const made = await bobsGateway.accounts.create({ localName: 'bob', address })
  const bob = bobsGateway.accounts.get(made.identity)
  const { link } = await bobsGateway.invitations.create(bob, here)
  const bundle = bobsGateway.accounts.bundle(made.identity, here)
  await bobsGateway[Symbol.asyncDispose]()
  return { bob, invitation: parseInvitation(link), bundle, made }
}

describe.each(stores)('contacts %s', (_name, open) => {
  test('an accepted invitation is pending with the right fingerprint, and active after first contact', async () => {
    await using world = await openWorld(open)
    const { account } = await withAlice(world)
    const { bob, invitation, bundle, made } = await invited()
    const pending = await world.change((contacts) => contacts.addPending(account, invitation))
    expect(pending).toMatchObject({ state: 'pending', fingerprint: made.fingerprint, tier: 'claimed', devices: [] })
    expect(world.contacts.resolve(account, made.address)).toEqual({ kind: 'contact', identity: bob.identity })
    expect(pending.invitation).toMatchObject({ gateway: here.gateway, locators: here.locators })

    const verified = verifyBundle(bundle, bob.identity, world.clock.nowMs())
    const report = await world.change((contacts) => contacts.learn(account, verified))
    expect(report).toMatchObject({ isNew: false, keyChanged: false, newDevices: [bob.device.id], conflicts: [] })
    const contact = world.contacts.byIdentity(account, bob.identity)!
    expect(contact).toMatchObject({ state: 'active', tier: 'zone', fingerprint: made.fingerprint })
    expect(contact.addresses).toEqual([{ address: made.address, tier: 'zone', pinned: true, conflicting: false }])
    expect(contact.devices[0]!.locators).toMatchObject(here)
    expect(contact.devices[0]!.prekeys).toHaveLength(9)
    // still to be shown to bob's gateway
    expect(contact.invitation?.capability).toHaveLength(16)
    await world.change((contacts) => contacts.invitationTaken(account, bob.identity))
    expect(world.contacts.byIdentity(account, bob.identity)!.invitation).toBeUndefined()
  })

  test('everything is there after opening again', async () => {
    await using world = await openWorld(open)
    const { account, learn } = await withAlice(world)
    const bob = makeBob(zonedAddress)
    await learn(bob, { zone: bobZone })
    const { invitation } = await invited()
    await world.change((contacts) => contacts.addPending(account, invitation))
    const again = openContacts(world.store, world.ambient, world.accounts)
    expect(again.list(account)).toEqual(world.contacts.list(account))
    expect(again.list(account)).toHaveLength(2)
    expect(again.resolve(account, zonedAddress)).toEqual({ kind: 'contact', identity: bob.state.identity })
  })

  test('a transaction that fails changes nothing, in the store or in memory', async () => {
    await using world = await openWorld(open)
    const { account, learn } = await withAlice(world)
    const bob = makeBob()
    await learn(bob)
    const before = world.contacts.byIdentity(account, bob.state.identity)
    const failing = world.change((contacts) => {
      contacts.block(account, bob.state.identity)
      contacts.rename(account, bob.state.identity, 'Robert')
      throw new MyceliumError('expired')
    })
    await expect(failing).rejects.toThrow('expired')
    expect(world.contacts.byIdentity(account, bob.state.identity)).toEqual(before)
  })

  test('several changes in one transaction build on each other', async () => {
    await using world = await openWorld(open)
    const { account } = await withAlice(world)
    const bob = makeBob()
    const { identity } = bob.state
    await world.change((contacts) => {
      contacts.learn(account, seen(bob))
      contacts.rename(account, identity, 'Robert')
      contacts.block(account, identity)
    })
    expect(world.contacts.byIdentity(account, identity)).toMatchObject({ displayName: 'Robert', blocked: true })
  })

  test('a stranger is a request until accepted; blocked and removed ones lead nowhere', async () => {
    await using world = await openWorld(open)
    const { account, learn } = await withAlice(world)
    const bob = makeBob()
    const { identity } = bob.state
    await learn(bob, {}, 'request')
    expect(world.contacts.requests(account).map((contact) => contact.identity)).toEqual([identity])
    expect(world.contacts.byIdentity(account, identity)!.addresses[0]).toMatchObject({ pinned: false, tier: 'claimed' })
    await world.change((contacts) => contacts.accept(account, identity))
    expect(world.contacts.requests(account)).toEqual([])
    expect(world.contacts.byIdentity(account, identity)!.addresses[0]).toMatchObject({ pinned: true })
    await world.change((contacts) => contacts.block(account, identity))
    expect(world.contacts.resolve(account, bobAddress)).toEqual({ kind: 'blocked', identity })
    await world.change((contacts) => contacts.unblock(account, identity))
    expect(world.contacts.resolve(account, bobAddress).kind).toBe('contact')
    await world.change((contacts) => contacts.remove(account, identity))
    expect(world.contacts.resolve(account, bobAddress)).toEqual({ kind: 'unknown' })
    expect(world.contacts.byIdentity(account, identity)).toBeUndefined()
    const gone = world.change((contacts) => contacts.accept(account, identity))
    await expect(gone).rejects.toMatchObject({ code: 'no-such-contact' })
  })
})

describe('whose address it is', () => {
  test('a newcomer who claims a pinned address is shown as conflicting and gets nothing', async () => {
    await using world = await openWorld()
    const { account, learn } = await withAlice(world)
    const [bob, mallory] = [makeBob(), makeBob()]
    await learn(bob)
    const report = await learn(mallory)
    expect(report.conflicts).toEqual([bobAddress])
    expect(world.contacts.resolve(account, bobAddress)).toEqual({ kind: 'contact', identity: bob.state.identity })
    expect(world.contacts.byIdentity(account, bob.state.identity)!.addresses[0]).toMatchObject({ conflicting: false })
    expect(world.contacts.byIdentity(account, mallory.state.identity)!.addresses[0]).toMatchObject({
      conflicting: true,
    })
  })

  test('strangers who claim the same address make it undeliverable until a person chooses', async () => {
    await using world = await openWorld()
    const { account, learn } = await withAlice(world)
    const [bob, mallory] = [makeBob(), makeBob()]
    await learn(bob, {}, 'request')
    expect(world.contacts.byIdentity(account, bob.state.identity)!.addresses[0]!.conflicting).toBe(false)
    await learn(mallory, {}, 'request')
    expect(world.contacts.resolve(account, bobAddress)).toEqual({ kind: 'conflict' })
    // what was read before the newcomer came is not kept
    expect(world.contacts.byIdentity(account, bob.state.identity)!.addresses[0]!.conflicting).toBe(true)
    await world.change((contacts) => contacts.accept(account, bob.state.identity))
    expect(world.contacts.resolve(account, bobAddress)).toMatchObject({ identity: bob.state.identity })
  })

  test('digits compared in person speak louder than a claim', async () => {
    await using world = await openWorld()
    const { account, learn } = await withAlice(world)
    const [bob, claimer] = [makeBob(), makeBob()]
    await learn(bob)
    await learn(claimer)
    expect(world.contacts.resolve(account, bobAddress)).toMatchObject({ identity: bob.state.identity })
    const digits = fingerprintOf(claimer.state)
    await world.change((contacts) => contacts.verify(account, claimer.state.identity, digits))
    expect(world.contacts.resolve(account, bobAddress)).toMatchObject({ identity: claimer.state.identity })
  })

  test('an address that names its own zone key is nobody’s whom that key does not sign for, however well known', async () => {
    await using world = await openWorld()
    const { account, learn } = await withAlice(world)
    const [bob, claimer] = [makeBob(zonedAddress), makeBob(zonedAddress)]
    const digits = fingerprintOf(claimer.state)
    await learn(claimer)
    await world.change((contacts) => contacts.verify(account, claimer.state.identity, digits))
    expect(world.contacts.resolve(account, zonedAddress)).toEqual({ kind: 'unknown' })
    await learn(bob, { zone: bobZone })
    await learn(claimer)
    await world.change((contacts) => contacts.verify(account, claimer.state.identity, digits))
    expect(world.contacts.resolve(account, zonedAddress)).toMatchObject({ identity: bob.state.identity })
    // signed once, it stays also when the signature is not there again or has run out
    await learn(bob)
    expect(world.contacts.resolve(account, zonedAddress)).toMatchObject({ identity: bob.state.identity })
    await world.change((contacts) => contacts.verify(account, bob.state.identity, fingerprintOf(bob.state)))
    expect(world.contacts.byIdentity(account, bob.state.identity)!.addresses).toMatchObject([{ tier: 'verified' }])
  })

  test('an address that the log names no longer is given up; an own address is nobody else’s', async () => {
    await using world = await openWorld()
    const { account, learn } = await withAlice(world)
    const own = world.accounts.get(account).address
    let bob = makeBob()
    bob = byDevice(bob, bob.device, naming(own))
    const report = await learn(bob)
    expect(report.contact.addresses.map(({ address }) => address)).toEqual([bobAddress])
    expect(world.contacts.resolve(account, own)).toEqual({ kind: 'self' })
    await learn(byDevice(bob, bob.device, naming(bobAddress, false)))
    expect(world.contacts.resolve(account, bobAddress)).toEqual({ kind: 'unknown' })
  })

  test('an address that is not canonical is not taken over', async () => {
    await using world = await openWorld()
    const { learn } = await withAlice(world)
    let bob = makeBob()
    for (const odd of ['Bob@Example.org', 'no at', 'a@b@c', 'x@-.org']) bob = byDevice(bob, bob.device, naming(odd))
    expect((await learn(bob)).contact.addresses.map(({ address }) => address)).toEqual([bobAddress])
  })
})

describe('what changes', () => {
  test('new and revoked devices are reported, and only active ones are sent to', async () => {
    await using world = await openWorld()
    const { account, learn } = await withAlice(world)
    const phone = makeDevice(systemRandom)
    const bob = makeBob()
    await learn(bob)
    const more = byDevice(bob, bob.device, adding(bob, phone))
    expect((await learn(more)).newDevices).toEqual([phone.id])
    const revoked = byRoot(more, { kind: 'revoke-device', device: phone.id })
    expect((await learn(revoked)).revokedDevices).toEqual([phone.id])
    expect(world.contacts.byIdentity(account, bob.state.identity)!.devices.map(({ id }) => id)).toEqual([bob.device.id])
    // an old bundle, served to hide the revocation, changes nothing
    const old = await learn(more)
    expect(old).toMatchObject({ newDevices: [], revokedDevices: [] })
    expect(old.contact.log?.length).toBe(revoked.state.length)
  })

  test('a statement counts for the log head that it names, so that a withheld revocation shows', async () => {
    await using world = await openWorld()
    const { account, learn } = await withAlice(world)
    const bob = makeBob()
    const more = byDevice(bob, bob.device, naming('robert@example.org'))
    const stated = () => world.contacts.byIdentity(account, bob.state.identity)!
    await learn(bob)
    expect(stated().headStatedAtMs).toBe(nowMs)
    const unstated = verifyBundle(encodeBundle({ ...bundleOf(more), devices: [] }), bob.state.identity, nowMs)
    await world.change((contacts) => contacts.learn(account, unstated))
    expect(stated().headStatedAtMs).toBe(0)
    await learn(bob, { atMs: nowMs + 5000 })
    expect(isHeadStale(stated(), nowMs)).toBe(true)
    await learn(more, { atMs: nowMs + 9000 })
    expect(stated().headStatedAtMs).toBe(nowMs + 9000)
    expect(isHeadStale(stated(), nowMs + 9000 + limits.logHeadWarnMs)).toBe(false)
  })

  test('a rotated root key stops sending until the digits are compared again', async () => {
    await using world = await openWorld()
    const { account, learn } = await withAlice(world)
    const bob = makeBob()
    const { identity } = bob.state
    await learn(bob)
    await world.change((contacts) => contacts.verify(account, identity, fingerprintOf(bob.state)))
    expect(world.contacts.byIdentity(account, identity)!.tier).toBe('verified')
    const rotated = byRoot(bob, rotating(bob))
    expect((await learn(rotated)).keyChanged).toBe(true)
    expect(world.contacts.resolve(account, bobAddress)).toEqual({ kind: 'key-changed', identity })
    const oldDigits = world.change((contacts) => contacts.verify(account, identity, fingerprintOf(bob.state)))
    await expect(oldDigits).rejects.toMatchObject({ code: 'fingerprint-mismatch' })
    await world.change((contacts) =>
      contacts.verify(account, identity, fingerprintOf(rotated.state).replaceAll(' ', '')),
    )
    expect(world.contacts.resolve(account, bobAddress)).toEqual({ kind: 'contact', identity })
  })

  test('one key that signed twice raises the alarm once, with the proof, and the pinned log stays', async () => {
    await using world = await openWorld()
    const { account, learn } = await withAlice(world)
    const bob = makeBob()
    const [a, b] = ['a@example.org', 'b@example.org'].map((address) => byDevice(bob, bob.device, naming(address)))
    await learn(a!)
    const report = await learn(b!)
    expect(report.fork).toBeDefined()
    expect(report.contact.log?.addresses).toContain('a@example.org')
    expect((await learn(b!)).fork).toBeUndefined()
    expect(world.contacts.byIdentity(account, bob.state.identity)!.fork).toBeDefined()
  })

  test('prekeys of weeks gone by make room; the last known ones stay while there is nothing later', async () => {
    await using world = await openWorld()
    const { learn } = await withAlice(world)
    const bob = makeBob()
    const week = prekeyIdAt(nowMs)
    const ids = (report: Awaited<ReturnType<typeof learn>>) => report.contact.devices[0]!.prekeys.map(({ id }) => id)
    expect(ids(await learn(bob, { weeks: 2 }))).toEqual([week, week + 1])
    world.clock.wallMs = nowMs + 8 * dayMs
    expect(ids(await learn(bob, { weeks: 3, atMs: world.clock.wallMs }))).toEqual([week + 1, week + 2, week + 3])
    world.clock.wallMs = nowMs + 100 * dayMs
    const nothing = verifyBundle(
      encodeBundle({ ...bundleOf(bob), devices: [] }),
      bob.state.identity,
      world.clock.wallMs,
    )
    const { account } = { account: world.accounts.list()[0]!.identity }
    const report = await world.change((contacts) => contacts.learn(account, nothing))
    expect(ids(report).length).toBeGreaterThan(0)
  })

  test('a device’s own word of its locators is believed when it is newer and signed by it', async () => {
    await using world = await openWorld()
    const { account, learn } = await withAlice(world)
    const bob = makeBob()
    const { identity, head, length } = bob.state
    await learn(bob, { locators: ['/ip4/192.0.2.7/tcp/1'] })
    const told = (sequence: number, locators: readonly string[], by = bob.device) =>
      world.change((contacts) =>
        contacts.learnLocators(
          account,
          identity,
          bob.device.id,
          signLocators(by, {
            identity,
            gateway,
            locators,
            sequence,
            issuedAtMs: nowMs,
            logHead: head,
            logLength: length,
          }),
        ),
      )
    const known = () => world.contacts.byIdentity(account, identity)!.devices[0]!.locators?.locators
    await told(nowMs - 1, ['/ip4/192.0.2.7/tcp/2'])
    expect(known()).toEqual(['/ip4/192.0.2.7/tcp/1'])
    await told(nowMs + 1, ['/ip4/192.0.2.7/tcp/3'])
    expect(known()).toEqual(['/ip4/192.0.2.7/tcp/3'])
    await expect(told(nowMs + 2, [], makeDevice(systemRandom))).rejects.toMatchObject({ code: 'signature-invalid' })
  })
})

describe('invitations that cannot be accepted', () => {
  test('are one’s own, expired, or for an address that is none', async () => {
    await using world = await openWorld()
    const { account } = await withAlice(world)
    const { invitation } = await invited()
    const accept = (more: Partial<typeof invitation>) =>
      world.change((contacts) => contacts.addPending(account, { ...invitation, ...more }))
    await expect(accept({ identity: account })).rejects.toMatchObject({ code: 'invitation-invalid' })
    await expect(accept({ address: 'a b@c' as never })).rejects.toMatchObject({ code: 'invitation-invalid' })
    world.clock.wallMs += limits.inviteExpiryMs + 2 * 60_000
    await expect(accept({})).rejects.toMatchObject({ code: 'invitation-expired' })
  })

  test('a rotated inviter is known by the new key, so that an older log is noticed', async () => {
    await using world = await openWorld()
    const { account } = await withAlice(world)
    const bob = makeBob()
    const rotated = byRoot(bob, rotating(bob))
    const { invitation } = await invited()
    const { identity, generation, rootKey } = rotated.state
    const pending = await world.change((contacts) =>
      contacts.addPending(account, { ...invitation, identity, root: { generation, rootKey } }),
    )
    expect(pending.fingerprint).toBe(fingerprintOf(rotated.state))
    expect((await world.change((contacts) => contacts.learn(account, seen(bob)))).keyChanged).toBe(true)
    expect((await world.change((contacts) => contacts.learn(account, seen(rotated)))).keyChanged).toBe(false)
  })
})

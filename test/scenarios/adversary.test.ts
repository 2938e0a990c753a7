/** What a contact, a stranger or a thief may try, and what a person changed their mind about. */
import { expect, test } from 'vitest'
import { decodeState, encodeState } from '../../src/core/session/session-state.ts'
import { SessionBook } from '../../src/core/delivery/session-book.ts'
import { encodeBundle, verifyBundle } from '../../src/core/identity/bundle.ts'
import { nextEntry } from '../../src/core/identity/account-log.ts'
import { makeDevice } from '../../src/core/identity/device.ts'
import { parseWords, rootKeyHash, rootKeyOf } from '../../src/core/identity/mnemonic.ts'
import type { SignedEntry } from '../../src/core/identity/log-entry.ts'
import { replacingEntries } from '../../src/core/account/own-log.ts'
import { silentLog, systemClock, systemRandom } from '../../src/core/ambient.ts'
import { limits } from '../../src/core/limits.ts'
import { askOf, freshFlight, targetOf } from '../support/strangers.ts'
import { openWorld, type TestGateway } from '../support/world.ts'

const inbox = (gateway: TestGateway) => expect.poll(() => gateway.read())
const testAmbient = { clock: systemClock, random: systemRandom, log: silentLog }
const later = async (ms: number) => await new Promise((resolve) => setTimeout(resolve, ms))

/** Alice and Bob, who have written to each other. */
async function acquainted(world: Awaited<ReturnType<typeof openWorld>>) {
  const alice = await world.gateway('alice')
  const bob = await world.gateway('bob')
  await world.introduce(alice, bob)
  await bob.submit(alice.address, 'first')
  await inbox(alice).toEqual(['first'])
  await alice.submit(bob.address, 'answer')
  await inbox(bob).toEqual(['answer'])
  return { alice, bob }
}

/** Tells `who` of entries that the log of `whom` has now, as a bundle of theirs from elsewhere would. */
async function tell(who: TestGateway, whom: TestGateway, entries: readonly SignedEntry[]): Promise<void> {
  const known = whom.knowledge.accounts.get(whom.account).entries
  const bundle = encodeBundle({ entries: [...known, ...entries], devices: [], names: [] })
  await who.knowledge.store.write((tx) => who.knowledge.people.learn(tx, who.account, bundle, whom.account))
}

function rotation({ knowledge, account }: TestGateway): SignedEntry {
  const entropy = parseWords(knowledge.accounts.recoveryWords(account))
  const [next, after] = [rootKeyOf(entropy, 1), rootKeyOf(entropy, 2)]
  const content = { kind: 'rotate-root', rootKey: next.publicKey, nextRootHash: rootKeyHash(after.publicKey) } as const
  return nextEntry(knowledge.accounts.get(account).state, { kind: 'root' }, next, content, Date.now())
}

test('a revoked device neither gets nor brings mail, over links and sessions that were there before', async () => {
  await using world = await openWorld()
  const { alice, bob } = await acquainted(world)
  await tell(
    alice,
    bob,
    replacingEntries(bob.knowledge.accounts.get(bob.account), makeDevice(testAmbient.random), Date.now()),
  )
  await alice.submit(bob.address, 'for the new device only')
  await bob.submit(alice.address, 'from the stolen one')
  await later(3000)
  world.network.disconnect('alice', 'bob')
  bob.node.delivery.retry()
  await later(2000)
  expect(await alice.read()).toEqual(['first'])
  expect(await alice.read('Requests')).toEqual([])
  expect(await bob.read()).toEqual(['answer'])
})

test('mail that waits for a contact whose key changed waits on, until somebody has compared digits', async () => {
  await using world = await openWorld()
  const { alice, bob } = await acquainted(world)
  world.network.partition('alice', 'bob')
  await alice.submit(bob.address, 'written before')
  await tell(alice, bob, [rotation(bob)])
  await expect(alice.submit(bob.address, 'written after')).rejects.toMatchObject({ code: 'key-changed' })
  world.network.heal('alice', 'bob')
  bob.node.delivery.retry()
  alice.node.delivery.retry()
  await later(2000)
  expect(await bob.read()).toEqual(['answer'])
  const { contacts, store } = alice.knowledge
  const { fingerprint } = contacts.byIdentity(alice.account, bob.account)!
  await store.write((tx) => contacts.using(tx).verify(alice.account, bob.account, fingerprint))
  await inbox(bob).toEqual(['answer', 'written before'])
})

test('mail of a contact whose key changed does not show what was verified before', async () => {
  await using world = await openWorld()
  const { alice, bob } = await acquainted(world)
  const { contacts, store, people } = alice.knowledge
  const { fingerprint } = contacts.byIdentity(alice.account, bob.account)!
  await store.write((tx) => contacts.using(tx).verify(alice.account, bob.account, fingerprint))
  const standing = () => store.read((tx) => people.standing(tx, alice.account, bob.account, bob.address))
  expect(standing()).toEqual({ kind: 'bound', tier: 'verified' })
  await tell(alice, bob, [rotation(bob)])
  expect(standing()).toEqual({ kind: 'bound', tier: 'claimed' })
})

test('mail that waits for a contact who is blocked now waits on', async () => {
  await using world = await openWorld()
  const { alice, bob } = await acquainted(world)
  world.network.partition('alice', 'bob')
  await alice.submit(bob.address, 'written before')
  const { contacts, store } = alice.knowledge
  await store.write((tx) => contacts.using(tx).block(alice.account, bob.account))
  world.network.heal('alice', 'bob')
  bob.node.delivery.retry()
  await later(2000)
  expect(await bob.read()).toEqual(['answer'])
})

test('a removed contact stays away until it asks to be let in', async () => {
  await using world = await openWorld()
  const { alice, bob } = await acquainted(world)
  const { contacts, store } = alice.knowledge
  await store.write((tx) => contacts.using(tx).remove(alice.account, bob.account))
  const hasSession = () =>
    store.read((tx) => new SessionBook(store, testAmbient).read(tx, pairOf(alice, bob)) !== undefined)
  await expect.poll(hasSession).toBe(false)
  world.network.disconnect('alice', 'bob')
  await later(1500)
  expect(contacts.byIdentity(alice.account, bob.account)).toBeUndefined()
})

const pairOf = (one: TestGateway, other: TestGateway) => ({
  account: one.account,
  device: one.knowledge.people.deviceOf(one.account),
  peer: other.account,
  peerDevice: other.knowledge.people.deviceOf(other.account),
})

/** Makes `who` believe, and so say, that it has seen more of the other's frames than there were. */
async function lie(who: TestGateway, to: TestGateway): Promise<void> {
  const { store } = who.knowledge
  const book = new SessionBook(store, testAmbient)
  await store.write((tx) => {
    const row = book.read(tx, pairOf(who, to))!
    const state = decodeState(row.current)
    state.ratchet.receivedBefore += 5000
    book.update(tx, { ...row, current: encodeState(state) })
  })
}

test('a contact who says that our home is an old copy makes us a new device once, not again and again', async () => {
  await using world = await openWorld()
  const { alice, bob } = await acquainted(world)
  const { accounts } = alice.knowledge
  const device = () => accounts.get(alice.account).device.id
  const before = device()
  await lie(bob, alice)
  world.network.disconnect('alice', 'bob')
  await expect.poll(device).not.toBe(before)
  const replaced = device()
  await bob.submit(alice.address, 'second')
  await inbox(alice).toEqual(['first', 'second'])
  await lie(bob, alice)
  world.network.disconnect('alice', 'bob')
  await later(2000)
  expect(device()).toBe(replaced)
})

/** Bob is a stranger to Alice again, with the session that he has. */
async function estrange(alice: TestGateway, bob: TestGateway): Promise<void> {
  const { contacts, store, people } = alice.knowledge
  const here = { gateway: bob.node.overlay.self, locators: bob.node.overlay.locators() }
  const bundle = bob.knowledge.people.bundle(bob.account, here)
  await store.write((tx) => {
    contacts.using(tx).remove(alice.account, bob.account)
    people.learn(tx, alice.account, bundle, bob.account)
  })
}

test('a stranger fills nobody’s disk', async () => {
  await using world = await openWorld()
  const { alice, bob } = await acquainted(world)
  await estrange(alice, bob)
  await bob.submit(alice.address, 'x'.repeat(limits.strangerDayBytesMax))
  await expect.poll(async () => (await bob.read()).join()).toMatch(/no room left/)
  expect(await alice.read('Requests')).toEqual([])
})

test('an address of another account here is not taken from a contact who writes under it', async () => {
  await using world = await openWorld()
  const { alice, bob } = await acquainted(world)
  const { accounts, people, store } = alice.knowledge
  const { address } = await accounts.create({ localName: 'carol', address: 'carol@example.org' })
  await bob.knowledge.accounts.addAddress(bob.account, address)
  await tell(alice, bob, [])
  expect(alice.knowledge.contacts.byIdentity(alice.account, bob.account)!.addresses.at(-1)!.address).toBe(address)
  expect(store.read((tx) => people.standing(tx, alice.account, bob.account, address))).toEqual({ kind: 'false' })
})

test('the word of somebody who is not let in makes nobody a new device', async () => {
  await using world = await openWorld()
  const { alice, bob } = await acquainted(world)
  const { accounts, contacts } = alice.knowledge
  await estrange(alice, bob)
  expect(contacts.byIdentity(alice.account, bob.account)?.state).toBe('request')
  const before = accounts.get(alice.account).device.id
  await bob.submit(alice.address, 'let me in')
  await expect.poll(() => alice.read('Requests')).toEqual(['let me in'])
  await lie(bob, alice)
  world.network.disconnect('alice', 'bob')
  bob.node.delivery.retry()
  await later(2000)
  expect(accounts.get(alice.account).device.id).toBe(before)
})

test('digits that two people compared say nothing of a key that came after them', async () => {
  await using world = await openWorld()
  const { alice, bob } = await acquainted(world)
  const signal = AbortSignal.timeout(10_000)
  const { digits } = await alice.node.confirmations.digits(alice.account, bob.account, { signal })
  await expect
    .poll(async () => (await bob.node.confirmations.digits(bob.account, alice.account, { signal })).digits)
    .toBe(digits)
  await tell(alice, bob, [rotation(bob)])
  const covered = alice.node.confirmations.end(alice.account, bob.account)
  const { contacts, store } = alice.knowledge
  expect(covered).not.toBe(contacts.byIdentity(alice.account, bob.account)!.fingerprint)
  await expect(
    store.write((tx) => contacts.using(tx).verify(alice.account, bob.account, covered)),
  ).rejects.toMatchObject({ code: 'fingerprint-mismatch' })
})

test('digits that were replaced before the person answered confirm nothing', async () => {
  await using world = await openWorld()
  const { alice, bob } = await acquainted(world)
  const signal = AbortSignal.timeout(10_000)
  const { digits } = await alice.node.confirmations.digits(alice.account, bob.account, { signal })
  await bob.node.confirmations.digits(bob.account, alice.account, { signal })
  bob.node.confirmations.end(bob.account, alice.account)
  const again = await bob.node.confirmations.digits(bob.account, alice.account, { signal })
  expect(again.digits).not.toBe(digits)
  await later(500)
  expect(() => alice.node.confirmations.end(alice.account, bob.account)).toThrow('timeout')
})

/** As a relay, a directory or the contact itself would bring it, from earlier or from another home. */
const bring = async (who: TestGateway, whom: TestGateway, bundle: Uint8Array): Promise<void> =>
  await who.knowledge.store.write((tx) => who.knowledge.people.learn(tx, who.account, bundle, whom.account))
const bundleOf = (gateway: TestGateway, place: string): Uint8Array =>
  gateway.knowledge.people.bundle(gateway.account, { gateway: gateway.node.overlay.self, locators: [place] })

test('an older bundle, kept by somebody and shown again, takes back no revocation, no device and no place', async () => {
  await using world = await openWorld()
  const { alice, bob } = await acquainted(world)
  const early = bundleOf(bob, '/ip4/198.51.100.1/tcp/1')
  await later(5)
  const late = bundleOf(bob, '/ip4/198.51.100.2/tcp/2')
  const fresh = makeDevice(testAmbient.random)
  await bring(alice, bob, late)
  const seen = () => alice.knowledge.contacts.byIdentity(alice.account, bob.account)!
  const place = () => seen().devices.find(({ id }) => id === bob.knowledge.people.deviceOf(bob.account))?.locators
  expect(place()?.locators).toEqual(['/ip4/198.51.100.2/tcp/2'])
  await bring(alice, bob, early)
  expect(place()?.locators).toEqual(['/ip4/198.51.100.2/tcp/2'])

  const { entries } = bob.knowledge.accounts.get(bob.account)
  await tell(alice, bob, replacingEntries(bob.knowledge.accounts.get(bob.account), fresh, Date.now()))
  expect(seen().devices.map(({ id }) => id)).toEqual([fresh.id])
  for (const older of [early, late, encodeBundle({ entries, devices: [], names: [] })]) {
    await bring(alice, bob, older)
    expect(seen().devices.map(({ id }) => id)).toEqual([fresh.id])
    expect(seen().log!.length).toBe(entries.length + 2)
  }
})

test('questions of half a protocol, of a later version or cut anywhere are refused, change nothing and disturb nobody', async () => {
  await using world = await openWorld()
  const { alice, bob } = await acquainted(world)
  const at = { gateway: alice.node.overlay.self, locators: alice.node.overlay.locators() }
  const bundle = alice.knowledge.people.bundle(alice.account, at)
  const target = targetOf(verifyBundle(bundle, alice.account, Date.now()), Date.now())
  const made = () => freshFlight(target, undefined, testAmbient.random, Date.now())
  const good = askOf(target, made())
  const [suiteAt, prekeyAt] = [36, 37]
  const changed = (at: number, value: number): Uint8Array => good.map((byte, index) => (index === at ? value : byte))
  const questions: Uint8Array[] = [
    new Uint8Array(),
    ...[1, 31, 32, 35, 36, 37, 4095, 4131].map((length) => good.subarray(0, length)),
    changed(suiteAt, 0),
    changed(suiteAt, 2), // the suite after this one
    changed(prekeyAt, 0xff),
    changed(0, good[0]! ^ 1), // another device
    Buffer.concat([good, new Uint8Array(1)]), // a later version's field
    Buffer.concat([good, new Uint8Array(23)]),
    Buffer.concat([good, new Uint8Array(25)]),
    askOf(target, { flight: made().flight.subarray(0, 4095) }),
    askOf(target, { flight: Buffer.concat([made().flight, new Uint8Array(4096)]) }),
    new Uint8Array(60_000).fill(0xff),
  ]
  const before = alice.knowledge.contacts.list(alice.account).length
  const signal = AbortSignal.timeout(20_000)
  const ask = async (topic: 'bundle' | 'handshake', request: Uint8Array) =>
    await bob.node.overlay.ask(at, topic, request, { signal, answerBytesMax: 65_536 })
  for (const question of questions) {
    await expect(ask('handshake', question)).rejects.toMatchObject({ code: 'peer-misbehaved' })
    await expect(ask('bundle', question)).rejects.toMatchObject({ code: 'peer-misbehaved' })
  }
  expect(alice.knowledge.contacts.list(alice.account)).toHaveLength(before)
  await bob.submit(alice.address, 'second')
  await inbox(alice).toEqual(['first', 'second'])
})

test('a bundle of a version before or after this one, or cut anywhere, teaches nothing', async () => {
  await using world = await openWorld()
  const { alice, bob } = await acquainted(world)
  const bundle = bundleOf(bob, '/ip4/198.51.100.1/tcp/1')
  const known = () => alice.knowledge.contacts.byIdentity(alice.account, bob.account)
  const before = known()
  for (const version of [0, 2, 255]) {
    const other = Uint8Array.from(bundle)
    other[0] = version
    await expect(bring(alice, bob, other)).rejects.toMatchObject({ code: 'malformed' })
  }
  for (let length = 0; length < bundle.length; length += 97)
    await expect(bring(alice, bob, bundle.subarray(0, length))).rejects.toThrow()
  expect(known()).toEqual(before)
})

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { relayBodySizes, type RelayEntry } from '../../../src/core/delivery/relay-ports.ts'
import { limits } from '../../../src/core/limits.ts'
import type { SnapshotStore } from '../../../src/core/store/lmdb-store.ts'
import {
  addressOf,
  ambientWith,
  bodyOf,
  entryOf,
  fills,
  hexOf,
  newKey,
  newQueue,
  openRelayStore,
  relayWorld,
  type RelayUser,
  type RelayWorld,
  soon,
  takeAll,
  testClock,
  type TestClock,
} from './support.ts'

let folder: string
let clock: TestClock
let store: SnapshotStore
let world: RelayWorld
let relay: RelayUser
let alice: RelayUser
let bob: RelayUser

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'mycelium-relay-'))
  clock = testClock()
  store = await openRelayStore(folder, ambientWith(clock))
  world = relayWorld(ambientWith(clock))
  relay = await world.relay('relay', store)
  alice = await world.join('alice')
  bob = await world.join('bob')
  world.known.add(bob.self)
})
afterEach(async () => {
  for (const overlay of [alice, bob, relay]) await overlay[Symbol.asyncDispose]()
  await store[Symbol.asyncDispose]()
  await rm(folder, { recursive: true, force: true })
})

const direct = { through: undefined }

describe('what a relay offers', () => {
  test('a contact is offered more room than a stranger, and no work', async () => {
    const toBob = await bob.relays.describe(addressOf(relay), soon())
    const toAlice = await alice.relays.describe(addressOf(relay), soon())
    expect(toBob).toMatchObject({ isKnown: true, bytesMax: limits.relayOwnerBytesMax })
    expect(toAlice).toMatchObject({ isKnown: false, bytesMax: limits.relayWorkOwnerBytesMax })
    expect(toAlice!.sealKey).toEqual(toBob!.sealKey)
  })

  test('a gateway that is no relay offers nothing', async () => {
    expect(await bob.relays.describe(addressOf(alice), soon())).toBeUndefined()
  })
})

describe('entries', () => {
  test('what is left while the owner is away is there in order when it comes, once', async () => {
    const owner = newKey()
    await bob.relays.open(addressOf(relay), owner, soon())
    const queue = await newQueue(bob, addressOf(relay), owner)
    for (const fill of [1, 2, 3])
      expect(await alice.relays.deposit(queue, entryOf(bodyOf(fill)), { ...direct, ...soon() })).toBe('stored')
    const taken = await takeAll(bob, addressOf(relay), owner)
    expect(fills(taken)).toEqual([1, 2, 3])
    expect(taken.map(({ number }) => number)).toEqual([1, 2, 3])
    expect(hexOf(taken[0]!.receiveId)).toBe(hexOf(queue.receiveId))
    expect(await takeAll(bob, addressOf(relay), owner)).toEqual([])
  })

  test.each(relayBodySizes)('a body of %i octets passes', async (size) => {
    const owner = newKey()
    await bob.relays.open(addressOf(relay), owner, soon())
    const queue = await newQueue(bob, addressOf(relay), owner)
    expect(await alice.relays.deposit(queue, entryOf(bodyOf(9, size)), { ...direct, ...soon() })).toBe('stored')
    const [entry] = await takeAll(bob, addressOf(relay), owner)
    expect(entry!.body).toEqual(bodyOf(9, size))
  })

  test('who stays hears of what comes at once', async () => {
    const owner = newKey()
    await bob.relays.open(addressOf(relay), owner, soon())
    const queue = await newQueue(bob, addressOf(relay), owner)
    const got: RelayEntry[] = []
    let drained = 0
    const leave = new AbortController()
    const watching = bob.relays.watch(
      addressOf(relay),
      owner,
      {
        onEntries: async (entries) => {
          got.push(...entries)
          return entries.map(({ number }) => number)
        },
        onDrained: () => void (drained += 1),
      },
      { stay: true, signal: leave.signal },
    )
    await expect.poll(() => drained).toBe(1)
    expect(await alice.relays.deposit(queue, entryOf(bodyOf(5)), { ...direct, ...soon() })).toBe('stored')
    await expect.poll(() => [fills(got), drained]).toEqual([[5], 2])
    leave.abort(new Error('enough'))
    await expect(watching).rejects.toThrow('enough')
  })

  test('the same entry twice is stored once, also after it was taken', async () => {
    const owner = newKey()
    await bob.relays.open(addressOf(relay), owner, soon())
    const queue = await newQueue(bob, addressOf(relay), owner)
    const entry = entryOf(bodyOf(1))
    expect(await alice.relays.deposit(queue, entry, { ...direct, ...soon() })).toBe('stored')
    expect(await alice.relays.deposit(queue, entry, { ...direct, ...soon() })).toBe('stored')
    expect(fills(await takeAll(bob, addressOf(relay), owner))).toEqual([1])
    expect(await alice.relays.deposit(queue, entry, { ...direct, ...soon() })).toBe('stored')
    expect(await takeAll(bob, addressOf(relay), owner)).toEqual([])
  })

  test('a stranger opens by work', async () => {
    const owner = newKey()
    await alice.relays.open(addressOf(relay), owner, soon(60_000))
    const queue = await newQueue(alice, addressOf(relay), owner)
    expect(await bob.relays.deposit(queue, entryOf(bodyOf(4)), { ...direct, ...soon() })).toBe('stored')
    expect(fills(await takeAll(alice, addressOf(relay), owner))).toEqual([4])
  })

  test('another relay carries a deposit, for a contact', async () => {
    const other = await world.join('carol')
    const owner = newKey()
    await bob.relays.open(addressOf(relay), owner, soon())
    const queue = await newQueue(bob, addressOf(relay), owner)
    const secondFolder = await mkdtemp(join(tmpdir(), 'mycelium-relay-'))
    const secondStore = await openRelayStore(secondFolder, ambientWith(clock))
    const second = await world.relay('second', secondStore)
    world.known.add(other.self)
    const through = addressOf(second)
    expect(await other.relays.deposit(queue, entryOf(bodyOf(6)), { through, ...soon() })).toBe('stored')
    expect(fills(await takeAll(bob, addressOf(relay), owner))).toEqual([6])
    expect(relay.peers().map(({ gateway }) => gateway)).not.toContain(other.self)
    await expect(alice.relays.deposit(queue, entryOf(bodyOf(6)), { through, ...soon() })).rejects.toMatchObject({
      details: { reason: 'not-offered' },
    })
    for (const overlay of [other, second]) await overlay[Symbol.asyncDispose]()
    await secondStore[Symbol.asyncDispose]()
    await rm(secondFolder, { recursive: true, force: true })
  })
})

test('queues that were removed, and owners that were closed, take nothing more', async () => {
  const owner = newKey()
  await bob.relays.open(addressOf(relay), owner, soon())
  const queue = await newQueue(bob, addressOf(relay), owner)
  await alice.relays.deposit(queue, entryOf(bodyOf(1)), { ...direct, ...soon() })
  await bob.relays.queues(addressOf(relay), owner, { create: [], remove: [queue.receiveId] }, soon())
  expect(await alice.relays.deposit(queue, entryOf(bodyOf(2)), { ...direct, ...soon() })).toBe('no-such-queue')
  expect(fills(await takeAll(bob, addressOf(relay), owner))).toEqual([1])
  await bob.relays.close(addressOf(relay), owner, soon())
  await expect(takeAll(bob, addressOf(relay), owner)).rejects.toMatchObject({ details: { reason: 'unknown-owner' } })
})

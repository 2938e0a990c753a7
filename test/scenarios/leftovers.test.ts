import { expect, test } from 'vitest'
import { type Ambient, silentLog, systemClock, systemRandom } from '../../src/core/ambient.ts'
import { BlobSource } from '../../src/core/delivery/blob-source.ts'
import { newDeliveryCounts } from '../../src/core/delivery/counts.ts'
import { Deliverer } from '../../src/core/delivery/deliver.ts'
import { LongReports } from '../../src/core/delivery/long-reports.ts'
import { Outbox } from '../../src/core/delivery/outbox.ts'
import { Reports } from '../../src/core/delivery/reports.ts'
import { RunClock } from '../../src/core/delivery/run-clock.ts'
import { Settler } from '../../src/core/delivery/settle.ts'
import { Tombstones } from '../../src/core/delivery/tombstones.ts'
import type { DeviceId, Identity } from '../../src/core/ids.ts'
import type { Store, Table } from '../../src/core/store/store.ts'
import { tables } from '../../src/core/store/tables.ts'
import { accountOperations } from '../../src/operations/accounts.ts'
import { forge, inline } from '../support/forged.ts'
import { openWorld, type TestGateway } from '../support/world.ts'

const days = (count: number): number => count * 24 * 3600_000

/** Clocks that a test sets forward, both together or the wall alone. */
function movedClock() {
  const moved = { wallMs: 0, runMs: 0 }
  const clock = {
    nowMs: () => systemClock.nowMs() + moved.wallMs,
    monotonicMs: () => systemClock.monotonicMs() + moved.runMs,
  }
  const ambient: Ambient = { clock, random: systemRandom, log: silentLog }
  return { moved, ambient }
}

const rows = ({ knowledge: { store } }: TestGateway, table: Table): number =>
  store.read((tx) => [...tx.keys(table, {})].length)

function settlerOf(
  { knowledge }: TestGateway,
  ambient: Ambient,
  devices: readonly DeviceId[] = [],
  isLeft = false,
): Settler {
  const runClock = new RunClock(knowledge.store, ambient)
  const tombstones = new Tombstones({ store: knowledge.store, ambient, runClock })
  const parts = {
    ...knowledge,
    directory: knowledge.people,
    ambient,
    runClock,
    tombstones,
    counts: newDeliveryCounts(),
    copies: knowledge.replication.copies,
  }
  const deliverer = new Deliverer(parts)
  const longReports = new LongReports({ ...parts, deliverer })
  return new Settler({
    ...parts,
    outbox: new Outbox(),
    reports: new Reports({ ...parts, deliverer, longReports }),
    blobSource: new BlobSource(parts),
    hasAccount: (account) => knowledge.people.isOwn(account),
    devicesOf: () => devices,
    isLeft: () => isLeft,
    onChatEnded: () => {},
  })
}

test('one reference that cannot be reported keeps no other from its end', async () => {
  const { moved, ambient } = movedClock()
  await using world = await openWorld(ambient)
  const bob = await world.gateway('bob')
  const [nobody, somebody] = ['1', '9'].map((digit) => digit.repeat(64) as Identity)
  for (const account of [nobody!, bob.account, somebody!])
    await forge({ ...bob, account, knowledge: withDeviceOf(bob) }, '5'.repeat(64) as Identity, {
      content: inline('x'),
      notify: ['failure'],
    })
  expect(rows(bob, tables.outbox)).toBe(3)
  const settler = settlerOf(bob, ambient)
  await settler.sweep()
  expect(rows(bob, tables.outbox)).toBe(3)
  moved.wallMs = moved.runMs = days(22)
  await settler.sweep()
  expect(rows(bob, tables.outbox)).toBe(0)
  expect((await bob.read()).join()).toMatch(/could not be reached for 21 days/)
})

test('mail that was left at relays and never confirmed is not said to be undelivered', async () => {
  const { moved, ambient } = movedClock()
  await using world = await openWorld(ambient)
  const bob = await world.gateway('bob')
  await forge({ ...bob, knowledge: withDeviceOf(bob) }, '5'.repeat(64) as Identity, {
    content: inline('x'),
    notify: ['failure'],
  })
  const settler = settlerOf(bob, ambient, [], true)
  moved.wallMs = moved.runMs = days(22)
  await settler.sweep()
  const report = (await bob.read()).join()
  expect(report).toMatch(/left at relays/)
  expect(report).toMatch(/may have arrived/)
})

test('a sender who asked to hear of delay hears of it once, and until when it is tried', async () => {
  const { moved, ambient } = movedClock()
  await using world = await openWorld(ambient)
  const bob = await world.gateway('bob')
  const contact = '5'.repeat(64) as Identity
  await forge(bob, contact, { content: inline('x'), notify: ['delay'] })
  const settler = settlerOf(bob, ambient, ['6'.repeat(64) as DeviceId])
  await settler.sweep()
  expect(await bob.read()).toEqual([])
  moved.wallMs = moved.runMs = days(1) + 1000
  await settler.sweep()
  await settler.sweep()
  const reports = await bob.read()
  expect(reports).toHaveLength(1)
  expect(reports[0]).toMatch(/Action: delayed\r\nStatus: 4\.4\.1\r\nWill-Retry-Until: /)
  expect(rows(bob, tables.outbox)).toBe(1)
})

/** Its keys serve for accounts that are not there. */
function withDeviceOf({ knowledge, account }: TestGateway): TestGateway['knowledge'] {
  const accounts = Object.create(knowledge.accounts) as typeof knowledge.accounts
  accounts.deviceSecrets = () => knowledge.accounts.deviceSecrets(account)
  return { ...knowledge, accounts }
}

test('what a revoked device alone had not taken ends without a word', async () => {
  const { moved, ambient } = movedClock()
  await using world = await openWorld(ambient)
  const bob = await world.gateway('bob')
  const [here, gone] = ['1', '2'].map((digit) => digit.repeat(64) as DeviceId)
  await forge(bob, '5'.repeat(64) as Identity, { content: inline('x'), notify: ['failure'] })
  const outbox = new Outbox()
  const both = settlerOf(bob, ambient, [here!, gone!])
  await bob.knowledge.store.write((tx) => both.acknowledged(tx, [...outbox.all(tx)][0]!, here!))
  moved.wallMs = moved.runMs = days(2)
  await both.sweep()
  expect(rows(bob, tables.outbox)).toBe(1)
  await settlerOf(bob, ambient, [here!]).sweep()
  expect(rows(bob, tables.outbox)).toBe(0)
  expect(await bob.read()).toEqual([])
})

test('mail from a clock that was ahead expires by running time', async () => {
  const { moved, ambient } = movedClock()
  await using world = await openWorld(ambient)
  const bob = await world.gateway('bob')
  const clock = new RunClock(bob.knowledge.store, ambient)
  const submitted = { wallMs: ambient.clock.nowMs() + days(3650), runMs: clock.runMs() }
  moved.wallMs = moved.runMs = days(22)
  expect(clock.ageMs(submitted)).toBeGreaterThanOrEqual(days(22))
  expect(clock.ageMs({ wallMs: ambient.clock.nowMs(), runMs: submitted.runMs })).toBeLessThan(days(1))
})

test('a blob whose sender never sends it is given up after the life of a message', async () => {
  const { moved, ambient } = movedClock()
  await using world = await openWorld(ambient)
  const alice = await world.gateway('alice')
  const bob = await world.gateway('bob')
  const content = { kind: 'blob', root: 'ab'.repeat(32) as never, key: new Uint8Array(32), size: 100_000 } as const
  await forge(bob, alice.account, { content: { ...content, chunkBytes: 64 * 1024 } })
  await world.introduce(alice, bob)
  await expect.poll(() => rows(alice, tables.partials)).toBe(1)
  moved.wallMs = days(22)
  alice.node.delivery.retry()
  await new Promise((resolve) => setTimeout(resolve, 300))
  expect(rows(alice, tables.partials)).toBe(1)
  moved.runMs = days(22)
  await expect
    .poll(() => {
      alice.node.delivery.retry()
      return rows(alice, tables.partials)
    })
    .toBe(0)
})

test('an account that is removed leaves nothing on the way', async () => {
  await using world = await openWorld()
  const alice = await world.gateway('alice')
  const bob = await world.gateway('bob')
  await world.introduce(alice, bob)
  await bob.submit(alice.address, 'first')
  await expect.poll(() => alice.read()).toEqual(['first'])
  await expect.poll(() => bob.node.delivery.queued()).toBe(0)
  world.network.kill('alice')
  await alice.stop()
  await bob.submit(alice.address, 'short')
  await bob.submit(alice.address, 'long '.repeat(20_000))
  expect(bob.node.delivery.queued()).toBe(2)
  expect(rows(bob, tables.servedBlobs)).toBe(1)
  const { accountRemove } = accountOperations({ knowledge: bob.knowledge, ambient: movedClock().ambient } as never)
  await accountRemove({ account: bob.address }, { signal: new AbortController().signal } as never)
  for (const table of [tables.outbox, tables.messages, tables.servedBlobs, tables.sessions, tables.partials])
    expect([table.name, rows(bob, table)]).toEqual([table.name, 0])
  const counted = bob.knowledge.store.read((tx) => [...tx.keys(tables.contents, {})].length)
  const unused = bob.knowledge.store.read((tx) => [...tx.keys(tables.contentRefs, { prefix: Uint8Array.of(0) })].length)
  expect(unused).toBe(counted)
})

test('what was received is remembered for 60 days of both clocks, and no longer', async () => {
  const { moved, ambient } = movedClock()
  await using world = await openWorld(ambient)
  const { store } = (await world.gateway('bob')).knowledge
  const tombstones = new Tombstones({ store, ambient, runClock: new RunClock(store, ambient) })
  const key = Buffer.alloc(16, 7)
  await store.write((tx) => tombstones.put(tx, key))
  const isKnown = async (): Promise<boolean> => {
    await tombstones.sweepSome()
    return store.read((tx) => tombstones.has(tx, key))
  }
  moved.wallMs = days(100)
  expect(await isKnown()).toBe(true)
  moved.runMs = days(59)
  expect(await isKnown()).toBe(true)
  moved.runMs = days(61)
  expect(await isKnown()).toBe(false)
})

test('what was received is not looked through again before the oldest of it can be over', async () => {
  const { moved, ambient } = movedClock()
  await using world = await openWorld(ambient)
  const { store } = (await world.gateway('bob')).knowledge
  let reads = 0
  const read: Store['read'] = (use) => {
    reads += 1
    return store.read(use)
  }
  const counted: Store = {
    read,
    write: async (use) => await store.write(use),
    joined: () => store.joined(),
    [Symbol.asyncDispose]: async () => {},
  }
  const tombstones = new Tombstones({ store: counted, ambient, runClock: new RunClock(store, ambient) })
  const keys = [7, 8].map((byte) => Buffer.alloc(16, byte))
  await store.write((tx) => tombstones.put(tx, keys[0]!))
  await tombstones.sweepSome()
  moved.wallMs = moved.runMs = days(30)
  await store.write((tx) => tombstones.put(tx, keys[1]!))
  await tombstones.sweepSome()
  expect(reads).toBe(1)
  const known = async (): Promise<readonly boolean[]> => {
    await tombstones.sweepSome()
    return store.read((tx) => keys.map((key) => tombstones.has(tx, key)))
  }
  moved.wallMs = moved.runMs = days(61)
  expect(await known()).toEqual([false, true])
  moved.wallMs = moved.runMs = days(91)
  expect(await known()).toEqual([false, false])
})

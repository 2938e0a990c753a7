/** Which relays are used, and what becomes of one that is gone or does not keep what it takes. */
import { expect, test } from 'vitest'
import { limits } from '../../../../src/core/limits.ts'
import { account, contact, inUse, openDesk, pair } from './support.ts'

const hour = 3600_000
const day = 24 * hour
const queuesSaid = (said: readonly { readonly kind: string }[]): number =>
  said.filter(({ kind }) => kind === 'queues').length

test('three of the relays that the configuration names are used, in its order, with a queue for each contact’s device', async () => {
  await using test = openDesk({ relays: 5 })
  test.desk.start()
  await test.settle()
  expect(inUse(test)).toEqual(['relay-0', 'relay-1', 'relay-2'])
  expect(test.desk.queuesFor(pair)).toMatchObject({ kind: 'queues', queues: [{}, {}, {}] })
  expect(queuesSaid(test.said)).toBeGreaterThan(0)
  // one for the contact, one for ourselves
  for (const relay of test.memory.all.slice(0, 3)) expect([...relay.owners.values()][0]!.queues.size).toBe(2)
})

test('queues are made anew every week, and removed when nobody can have mail for them any more', async () => {
  await using test = openDesk({ relays: 1 })
  test.desk.start()
  await test.settle()
  const first = test.desk.queuesFor(pair)
  await test.pass(6 * day)
  expect(test.desk.queuesFor(pair)).toEqual(first)
  await test.pass(1.1 * day)
  expect(test.desk.queuesFor(pair)).not.toEqual(first)
  const queues = (): number => [...test.memory.all[0]!.owners.values()][0]!.queues.size
  expect(queues()).toBe(4)
  for (let week = 0; week < 12; week += 1) await test.pass(7.01 * day)
  expect(queues()).toBeLessThanOrEqual(2 * (Math.ceil(limits.relayQueueKeepMs / limits.relayQueueMs) + 1))
})

test('a relay that is silent for a day is replaced when there is another one, and kept when there is none', async () => {
  await using test = openDesk({ relays: 4 })
  test.desk.start()
  await test.settle()
  test.memory.all[3]!.isUp = false
  const gone = test.memory.all[0]!
  gone.isUp = false
  // the stream to it breaks: a desk that was off for a day finds it gone
  await using later = openDesk({ relays: 4, store: test.store, memory: test.memory, time: test.time })
  test.time.wallMs += 1.1 * day
  later.desk.start()
  await later.settle()
  expect(inUse(later)).toContain('relay-0')
  test.memory.all[3]!.isUp = true
  await later.pass(hour)
  expect(inUse(later).toSorted()).toEqual(['relay-1', 'relay-2', 'relay-3'])
})

test('a relay that answers and forgets what it took is noticed by what is left there on purpose, and replaced', async () => {
  await using test = openDesk({ relays: 4 })
  test.desk.start()
  await test.settle()
  test.memory.all[1]!.isLosing = true
  for (let step = 0; step < 3 * 24 * 4 && inUse(test).includes('relay-1'); step += 1) await test.pass(hour / 4)
  expect(inUse(test).toSorted()).toEqual(['relay-0', 'relay-2', 'relay-3'])
  const { faults } = test.desk.inUse(account).find(({ choice }) => choice.relay.gateway === 'relay-1')!.choice
  expect(faults).toBeGreaterThanOrEqual(limits.relayFaultsMax)
})

test('a relay that keeps what it takes stays for a month', async () => {
  await using test = openDesk({ relays: 4 })
  test.desk.start()
  await test.settle()
  for (let step = 0; step < 30 * 24; step += 1) await test.pass(hour)
  expect(inUse(test)).toEqual(['relay-0', 'relay-1', 'relay-2'])
  expect(test.desk.inUse(account).map(({ choice }) => choice.faults)).toEqual([0, 0, 0])
})

test('a relay that no longer knows us gets its queues once more', async () => {
  await using test = openDesk({ relays: 1 })
  test.desk.start()
  await test.settle()
  test.memory.all[0]!.owners.clear()
  await test.pass(8 * day) // new queues are due
  await test.pass(hour)
  expect([...test.memory.all[0]!.owners.values()][0]!.queues.size).toBeGreaterThan(0)
  expect(test.desk.queuesFor(pair)).toMatchObject({ queues: [{}] })
})

test('a relay that the user names takes a place, and one that the user drops is told to nobody', async () => {
  await using test = openDesk({ relays: 4, configured: 3 })
  test.desk.start()
  await test.settle()
  const signal = new AbortController().signal
  await test.desk.use(account, test.memory.all[3]!.at, { capability: undefined, signal })
  await test.settle()
  expect(inUse(test)).toHaveLength(3)
  expect(inUse(test)).toContain('relay-3')
  await test.desk.drop(test.desk.inUse(account).find(({ choice }) => choice.relay.gateway === 'relay-3')!)
  expect(inUse(test)).not.toContain('relay-3')
  expect(JSON.stringify(test.desk.queuesFor(pair))).not.toContain('relay-3')
  expect(test.desk.queuesOf(account, contact)).toBe(0)
})

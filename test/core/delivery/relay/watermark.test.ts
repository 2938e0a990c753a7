/** What lies at relays is marked by a number: under all that may happen, no mail is on the wrong side of the mark. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { signingKey } from '../../../../src/core/crypto/sign.ts'
import type { QueuedRef } from '../../../../src/core/delivery/outbox.ts'
import { seqsPerMs } from '../../../../src/core/delivery/outbox-packs.ts'
import type { Outlet } from '../../../../src/core/delivery/outlet.ts'
import type { GivenQueue } from '../../../../src/core/delivery/relay/queues.ts'
import type { DeviceId } from '../../../../src/core/ids.ts'
import { limits } from '../../../../src/core/limits.ts'
import type { MemoryRelays } from '../../../support/memory-relays.ts'
import { openChannelWorld } from '../channel-support.ts'
import { openDesk } from './support.ts'

const day = 24 * 3600_000
const turns = async (count = 60): Promise<void> => {
  for (let turn = 0; turn < count; turn += 1) await new Promise((resolve) => setImmediate(resolve))
}

/** A queue that somebody made at this relay. */
function queueAt(memory: MemoryRelays, index: number): GivenQueue {
  const relay = memory.all[index]!
  const send = signingKey(Buffer.alloc(32, index + 20))
  const queues = new Map([[Buffer.from(send.publicKey).toString('hex'), Buffer.alloc(16, index)]])
  relay.owners.set(`owner ${index}`, { queues, entries: [], watcher: undefined })
  return {
    relay: relay.at,
    sealKey: Buffer.alloc(32, 5),
    sendSeed: Buffer.alloc(32, index + 20),
    bodyKey: Buffer.alloc(32, 6),
  }
}

async function openWatermarkWorld() {
  const world = await openChannelWorld()
  const { pair, store, time } = world
  const onOutletFailed = (): void => world.channel.closed()
  let desk = openDesk({ relays: 2, configured: 0, store, time, onOutletFailed })
  const { memory } = desk
  await store.write((tx) =>
    desk.desk.given(
      tx,
      pair,
      [0, 1].map((index) => queueAt(memory, index)),
    ),
  )
  /** When each reference was left last, and how often. */
  const left = new Map<number, { atMs: number; times: number }>()
  const noting = (outlet: Outlet): Outlet =>
    new Proxy(outlet, {
      get(target, name) {
        if (name !== 'send') {
          const value: unknown = Reflect.get(target, name, target)
          return typeof value === 'function' ? value.bind(target) : value
        }
        return async (sealed: Parameters<Outlet['send']>[0]) => {
          await target.send(sealed)
          for (const { queued } of sealed.sent)
            left.set(queued.seq, { atMs: time.wallMs, times: (left.get(queued.seq)?.times ?? 0) + 1 })
        }
      },
    })
  const outstanding = async (): Promise<readonly QueuedRef[]> =>
    await store.write((tx) => [...world.outbox.refs(tx, pair.account, pair.peer, 0, 10_000)])
  desk.desk.start()
  return {
    world,
    left,
    outstanding,
    memory,
    mark: () => desk.desk.depositsOf(pair),
    /** As the switchboard does it each minute. */
    async minute() {
      await turns()
      time.wallMs += 2 * 3600_000 // longer than any rest after failures
      const { channel } = world
      const way = (): Outlet['kind'] | undefined => channel.way
      if (way() === 'link' || (way() === 'relay' && !desk.desk.isOverdue(pair))) return
      const outlet = await desk.desk.outletFor(pair)
      if (outlet !== undefined && way() !== 'link') channel.opened(noting(outlet))
      await turns()
    },
    async restart() {
      world.restart()
      await desk[Symbol.asyncDispose]()
      await turns() // who is dead writes nothing any more
      desk = openDesk({ relays: 2, configured: 0, store, memory, time, onOutletFailed })
      desk.desk.start()
    },
    async settle(which: number, by: DeviceId | 'all') {
      const all = await outstanding()
      const one = all[which % Math.max(1, all.length)]
      if (one === undefined) return
      await store.write((tx) => {
        const ref = world.outbox.get(tx, pair.account, pair.peer, one.seq)!
        if (by === 'all') world.outbox.remove(tx, one.seq, ref)
        else world.outbox.put(tx, one.seq, { ...ref, ackedBy: [...ref.ackedBy, by] })
        desk.desk.heard(tx, pair)
      })
      world.channel.settled(one.seq)
    },
    async newSession() {
      await store.write((tx) => desk.desk.restarted(tx, pair))
      world.channel.closed()
      left.clear()
    },
    dispose: async () => await desk[Symbol.asyncDispose](),
  }
}

const step = fc.oneof(
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('submit' as const), count: fc.integer({ min: 1, max: 20 }) }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('acknowledged' as const), which: fc.nat() }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('taken by this device' as const), which: fc.nat() }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('minute' as const) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('crash' as const), afterTurns: fc.nat(12) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('relays' as const), up: fc.constantFrom(0, 1, 2) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('link' as const), afterTurns: fc.nat(6) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('link lost' as const) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('days' as const), days: fc.integer({ min: 1, max: 4 }) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('clock goes back' as const) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('another session' as const) }) },
)
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never

test('whatever happens, what nobody has acknowledged lies at a relay since three days ago at most, once somebody there answers', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 25 }), async (steps) => {
      const run = await openWatermarkWorld()
      const { world, left, memory } = run
      const { time } = world
      const work: Record<Step['kind'], (one: Step) => Promise<void>> = {
        submit: async (one) => await world.submit('count' in one ? one.count : 1),
        acknowledged: async (one) => await run.settle('which' in one ? one.which : 0, 'all'),
        'taken by this device': async (one) => await run.settle('which' in one ? one.which : 0, world.pair.peerDevice),
        minute: async () => await run.minute(),
        crash: async (one) => {
          await turns('afterTurns' in one ? one.afterTurns : 0)
          await run.restart()
        },
        relays: async (one) => {
          memory.all.forEach((relay, index) => (relay.isUp = index < ('up' in one ? one.up : 0)))
          await Promise.resolve()
        },
        link: async (one) => {
          await turns('afterTurns' in one ? one.afterTurns : 0)
          world.channel.opened(world.way('link').outlet)
        },
        'link lost': async () => {
          if (world.channel.way === 'link') world.channel.closed()
          await turns(3)
        },
        days: async (one) => {
          time.wallMs += ('days' in one ? one.days : 0) * day
          await Promise.resolve()
        },
        'clock goes back': async () => {
          time.wallMs -= 2 * day
          await run.restart()
        },
        'another session': async () => await run.newSession(),
      }
      for (const one of steps) await work[one.kind](one)

      if (world.channel.way === 'link') world.channel.closed()
      for (const relay of memory.all) relay.isUp = true
      for (let minute = 0; minute < 8; minute += 1) await run.minute()
      const { peerDevice } = world.pair
      const waiting = (await run.outstanding()).filter(({ ref }) => !ref.ackedBy.includes(peerDevice))
      for (const { seq } of waiting) {
        expect(left.get(seq)?.atMs ?? -Infinity).toBeGreaterThan(time.wallMs - limits.relayLeaveAgainMs - day / 2)
        expect(run.mark()?.to).toBeGreaterThanOrEqual(Math.min(seq, time.wallMs * seqsPerMs - day * seqsPerMs))
      }

      // and rests there
      const before = [...left.values()].reduce((sum, { times }) => sum + times, 0)
      for (let minute = 0; minute < 3; minute += 1) await run.minute()
      expect([...left.values()].reduce((sum, { times }) => sum + times, 0)).toBeLessThanOrEqual(before + waiting.length)
      await run.dispose()
    }),
    { numRuns: 150 },
  )
}, 120_000)

test('mail for one of two devices is left once, though the other has not answered for something older', async () => {
  const run = await openWatermarkWorld()
  await run.world.submit(1)
  await run.settle(0, run.world.pair.peerDevice)
  await run.world.submit(1)
  for (let minute = 0; minute < 10; minute += 1) await run.minute()
  expect([...run.left.values()].map(({ times }) => times)).toEqual([1])
  await run.dispose()
})

test('a link does not wait for a relay that takes its time', async () => {
  const run = await openWatermarkWorld()
  const { world, memory } = run
  await run.minute()
  memory.relays.deposit = async () => await new Promise(() => {})
  await world.submit(3)
  await turns()
  const link = world.way('link')
  world.channel.opened(link.outlet)
  await turns()
  expect(link.sent).toEqual([0, 1, 2])
  await run.dispose()
})

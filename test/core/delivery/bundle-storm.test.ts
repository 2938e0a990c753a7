/** A contact's device that says again and again where it is: each bundle costs signature checks inside a transaction. */
import { expect, test } from 'vitest'
import { silentLog, systemClock, systemRandom } from '../../../src/core/ambient.ts'
import type { Arrivals } from '../../../src/core/delivery/arrivals.ts'
import type { Deliverer } from '../../../src/core/delivery/deliver.ts'
import { Inbound } from '../../../src/core/delivery/inbound.ts'
import { packItem } from '../../../src/core/delivery/items.ts'
import { type Pair, SessionBook, takeOver } from '../../../src/core/delivery/session-book.ts'
import type { Identity } from '../../../src/core/ids.ts'
import { limits } from '../../../src/core/limits.ts'
import { payloadBytesMax } from '../../../src/core/session/frame.ts'
import { openMemoryStore } from '../../support/memory-store.ts'
import { pair as sessionPair, seededRandom } from '../session/support.ts'

const ambient = { clock: systemClock, random: systemRandom, log: silentLog }

test('of a burst the last bundle counts, and of many bursts the first few in a minute', async () => {
  const { alice: ours, bob: theirs } = sessionPair(seededRandom('bundles'))
  const moment = { random: systemRandom, nowMs: systemClock.nowMs() }
  const store = openMemoryStore()
  const book = new SessionBook(store, ambient)
  const pair: Pair = {
    account: 'a'.repeat(64) as Identity,
    device: ours.selfDevice,
    peer: 'b'.repeat(64) as Identity,
    peerDevice: ours.peerDevice,
  }
  await store.write((tx) => book.replace(tx, takeOver(undefined, pair, ours, { nowMs: moment.nowMs, reset: false })))
  const learned: number[] = []
  const nothing = (): void => {}
  const inbound = new Inbound({
    store,
    book,
    ambient,
    deliverer: {} as unknown as Deliverer,
    chats: { received: () => undefined },
    arrivals: {} as unknown as Arrivals,
    handlers: {
      received: nothing,
      refused: nothing,
      bundle: (_tx, _pair, bundle) => void learned.push(bundle[0]!),
      queues: nothing,
      confirmation: nothing,
      sync: nothing,
      welcome: nothing,
      wanted: nothing,
      absent: nothing,
      signals: nothing,
      call: nothing,
      profile: nothing,
    },
    mayMeet: () => true,
    onSession: () => {},
    dayBytesMax: () => 0,
    strangerMay: () => true,
  })
  const frameOf = (number: number) => {
    const item = { kind: 'bundle', bundle: Uint8Array.of(number) } as const
    const [payload] = packItem(item, payloadBytesMax(512), () => systemRandom.bytes(16))
    return { to: { pair, sessionId: ours.id }, frame: theirs.seal(payload!, moment) }
  }
  await inbound.take([1, 2, 3, 4].map(frameOf))
  expect(learned).toEqual([4])
  for (let burst = 0; burst < 2 * limits.bundlesPerMinuteMax; burst += 1) await inbound.take([frameOf(burst)])
  expect(learned.length).toBeGreaterThanOrEqual(limits.bundlesPerMinuteMax)
  expect(learned.length).toBeLessThanOrEqual(2 * limits.bundlesPerMinuteMax - 1) // the minute may turn once
})

/** What one contact may bring in a day. */
import { expect, test } from 'vitest'
import { silentLog, systemClock, systemRandom } from '../../../src/core/ambient.ts'
import type { Arrivals } from '../../../src/core/delivery/arrivals.ts'
import type { Deliverer } from '../../../src/core/delivery/deliver.ts'
import { Inbound } from '../../../src/core/delivery/inbound.ts'
import { packItem } from '../../../src/core/delivery/items.ts'
import { type Pair, SessionBook, takeOver } from '../../../src/core/delivery/session-book.ts'
import type { Address, BlobRoot, Identity } from '../../../src/core/ids.ts'
import { limits } from '../../../src/core/limits.ts'
import type { Content } from '../../../src/core/message/content.ts'
import { encodeMessage } from '../../../src/core/message/message.ts'
import { payloadBytesMax } from '../../../src/core/session/frame.ts'
import { openMemoryStore } from '../../support/memory-store.ts'
import { pair as sessionPair, seededRandom } from '../session/support.ts'

const ambient = { clock: systemClock, random: systemRandom, log: silentLog }
const [account, peer] = ['a'.repeat(64) as Identity, 'b'.repeat(64) as Identity]
const inline = (text: string): Content => ({ kind: 'inline', bytes: Buffer.from(text) })
const blob = (size: number): Content => ({
  kind: 'blob',
  root: 'c'.repeat(64) as BlobRoot,
  key: new Uint8Array(32),
  size,
  chunkBytes: limits.blobChunkBytesMin,
})

/** How many of `contents` get through when a day holds `dayBytesMax`. */
async function taken(dayBytesMax: number, contents: readonly Content[], mayMeet = true): Promise<number> {
  const { alice: ours, bob: theirs } = sessionPair(seededRandom('quota'))
  const moment = { random: systemRandom, nowMs: systemClock.nowMs() }
  const store = openMemoryStore()
  const book = new SessionBook(store, ambient)
  const pair: Pair = { account, device: ours.selfDevice, peer, peerDevice: ours.peerDevice }
  await store.write((tx) => book.replace(tx, takeOver(undefined, pair, ours, { nowMs: moment.nowMs, reset: false })))
  let count = 0
  const noted = () => {
    count += 1
    return { kind: 'accepted' as const }
  }
  const inbound = new Inbound({
    store,
    book,
    ambient,
    deliverer: { tombstoneOf: () => new Uint8Array(16), hasTaken: () => false, take: noted } as unknown as Deliverer,
    chats: { received: () => undefined },
    arrivals: { has: () => false, addRemote: noted } as unknown as Arrivals,
    handlers: {
      received: noted,
      refused: noted,
      bundle: noted,
      confirmation: noted,
      queues: noted,
      sync: noted,
      welcome: noted,
      wanted: noted,
      absent: noted,
      signals: noted,
      call: noted,
      profile: noted,
    },
    mayMeet: () => mayMeet,
    onSession: () => {},
    dayBytesMax: () => dayBytesMax,
    strangerMay: () => true,
  })
  const frames = contents.flatMap((content) => {
    const encoded = encodeMessage({
      author: peer,
      device: ours.peerDevice,
      nonce: systemRandom.bytes(16),
      sentAtMs: moment.nowMs,
      expiresAtMs: moment.nowMs + limits.messageExpiryMs,
      place: undefined,
      parents: [],
      relations: [],
      parts: [{ kind: 'mail', from: 'bob@example.org' as Address, content }],
    })
    return packItem({ kind: 'message', encoded }, payloadBytesMax(4096), () => systemRandom.bytes(16)).map((payload) =>
      theirs.seal(payload, moment),
    )
  })
  await inbound.take(frames.map((frame) => ({ to: { pair, sessionId: ours.id }, frame })))
  return count
}

test('short mails count at least what they cost', async () => {
  const mails = Array.from({ length: 12 }, () => inline('hi'))
  expect(await taken(10 * limits.mailCountedBytesMin, mails)).toBe(10)
})

test('mails that must be fetched count at least as much as the longest that need not', async () => {
  const mails = Array.from({ length: 12 }, () => blob(1))
  expect(await taken(10 * limits.messageInlineBytesMax, mails)).toBe(10)
})

test('longer ones count what they are', async () => {
  const long = 'x'.repeat(12_000)
  expect(await taken(30_000, [inline(long), inline(long), inline(long)])).toBe(2)
  expect(await taken(1_000_000, [blob(600_000), blob(600_000), blob(300_000)])).toBe(2)
})

test('a device that is no contact’s brings nothing', async () => {
  expect(await taken(1_000_000, [inline('hi')], false)).toBe(0)
})

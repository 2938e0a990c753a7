/** Which sessions tags lead to. */
import { expect, test } from 'vitest'
import { silentLog, systemRandom } from '../../../src/core/ambient.ts'
import { type Pair, SessionBook, takeOver } from '../../../src/core/delivery/session-book.ts'
import type { Identity } from '../../../src/core/ids.ts'
import { limits } from '../../../src/core/limits.ts'
import { openMemoryStore } from '../../support/memory-store.ts'
import { pair as sessionPair, seededRandom } from '../session/support.ts'

test('a frame that lay at a relay for as long as mail lives finds its session', async () => {
  const { alice: ours, bob: theirs } = sessionPair(seededRandom('tags'))
  const time = { ms: Date.UTC(2026, 10, 30) }
  const ambient = {
    clock: { nowMs: () => time.ms, monotonicMs: () => time.ms },
    random: systemRandom,
    log: silentLog,
  }
  const store = openMemoryStore()
  const account = 'a'.repeat(64) as Identity
  const pair: Pair = { account, device: ours.selfDevice, peer: 'b'.repeat(64) as Identity, peerDevice: ours.peerDevice }
  const book = new SessionBook(store, ambient)
  await store.write((tx) => book.replace(tx, takeOver(undefined, pair, ours, { nowMs: time.ms, reset: false })))
  const tag = Buffer.from(theirs.sendTag(time.ms))
  time.ms += limits.messageExpiryMs - 1
  const later = new SessionBook(store, ambient)
  expect(later.tags.find(tag.readUInt32BE(0), tag.readUInt32BE(4))).toMatchObject({ sessionId: ours.id })
})

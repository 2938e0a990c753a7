/** What is made of entries: whose word counts in which queue, and what is remembered as taken. */
import { expect, test } from 'vitest'
import { silentLog, systemRandom } from '../../../../src/core/ambient.ts'
import { signingKey } from '../../../../src/core/crypto/sign.ts'
import type { Inbound } from '../../../../src/core/delivery/inbound.ts'
import { receiveIdOf } from '../../../../src/core/delivery/relay-ids.ts'
import { type BodyContent, sealBody } from '../../../../src/core/delivery/relay/body.ts'
import { RelayBook } from '../../../../src/core/delivery/relay/book.ts'
import { RelayCollector } from '../../../../src/core/delivery/relay/collector.ts'
import { invitationPair } from '../../../../src/core/delivery/relay/meeting.ts'
import type { RelayChoice } from '../../../../src/core/delivery/relay/queues.ts'
import type { RelayEntry } from '../../../../src/core/delivery/relay-ports.ts'
import { type Pair, SessionBook } from '../../../../src/core/delivery/session-book.ts'
import type { BlobRoot, DeviceId, GatewayId, Identity } from '../../../../src/core/ids.ts'
import { openMemoryStore } from '../../../support/memory-store.ts'
import { account, contact, pair } from './support.ts'

const nowMs = Date.UTC(2026, 10, 30)
const seed = (fill: number): Uint8Array => Buffer.alloc(32, fill)
const capability = Buffer.alloc(16, 9)
const invited = invitationPair(account, pair.device, capability)
const relayNames = ['one', 'two'].map((name) => name as GatewayId)

const choiceOf = (gateway: GatewayId): RelayChoice => ({
  account,
  relay: { gateway, locators: [] },
  sealKey: seed(1),
  ownerSeed: Buffer.alloc(32, gateway),
  chosenAtMs: nowMs,
  retiredAtMs: 0,
  seenAtMs: nowMs,
  faults: 0,
  capability: undefined,
})

async function setUp() {
  const ambient = { clock: { nowMs: () => nowMs, monotonicMs: () => nowMs }, random: systemRandom, log: silentLog }
  const store = openMemoryStore()
  const book = new RelayBook(store)
  const queueAt = (gateway: GatewayId, of: Pair) => ({
    gateway,
    sendSeed: Buffer.alloc(32, gateway + of.peerDevice),
    bodyKey: seed(2),
    madeAtMs: nowMs,
    isMade: true,
    highest: 0,
  })
  await store.write((tx) => {
    for (const gateway of relayNames) book.putChoice(tx, choiceOf(gateway))
    for (const of of [pair, invited])
      book.putIn(tx, { pair: of, queues: relayNames.map((gateway) => queueAt(gateway, of)) })
  })
  const seen = { introductions: 0, chunks: 0, accounts: [account] as readonly Identity[], isChunkWanted: true }
  const collector = new RelayCollector({
    store,
    book,
    ambient,
    sessions: new SessionBook(store, ambient),
    keyring: { accounts: () => seen.accounts },
    inbound: {} as Inbound,
    takeChunk: async () => {
      seen.chunks += 1
      return await Promise.resolve(seen.isChunkWanted)
    },
    onAnswers: () => {},
    onFresh: () => {},
    onFault: () => {},
    onIntroduction: async () => {
      seen.introductions += 1
      await Promise.resolve()
    },
    onFlight: async () => await Promise.resolve(),
    onProbe: () => {},
  })
  let number = 0
  const entry = (gateway: GatewayId, of: Pair, content: BodyContent, leavingId: Uint8Array): RelayEntry => {
    const owner = signingKey(choiceOf(gateway).ownerSeed).publicKey
    return {
      number: ++number,
      receiveId: receiveIdOf(owner, signingKey(queueAt(gateway, of).sendSeed).publicKey),
      heldSinceMs: nowMs,
      body: sealBody(seed(2), { number: 1, leavingId, leftAtMs: nowMs, content }, systemRandom),
    }
  }
  const take = async (gateway: GatewayId, of: Pair, content: BodyContent, leavingId = systemRandom.bytes(16)) =>
    await collector.take(choiceOf(gateway), [entry(gateway, of, content, leavingId)], { sinceMs: nowMs, awayMs: 0 })
  return { take, seen }
}

const introduction = (by: Uint8Array): BodyContent => ({
  kind: 'introduction',
  identity: contact,
  capability: by,
  bundle: Buffer.from('bundle'),
  device: '3'.repeat(64) as DeviceId,
  signature: Buffer.alloc(64),
  queues: [],
})

test('nobody is introduced in a contact’s queue, nor by another invitation than the queue’s own', async () => {
  const { take, seen } = await setUp()
  await take(relayNames[0]!, pair, introduction(capability))
  await take(relayNames[0]!, invited, introduction(Buffer.alloc(16, 8)))
  expect(seen.introductions).toBe(0)
  await take(relayNames[0]!, invited, introduction(capability))
  expect(seen.introductions).toBe(1)
})

test('a chunk that came before its descriptor is taken from another relay after it, and only once', async () => {
  const { take, seen } = await setUp()
  const chunk: BodyContent = { kind: 'chunk', root: 'c'.repeat(64) as BlobRoot, index: 0, answer: Buffer.from('chunk') }
  const leavingId = systemRandom.bytes(16)
  seen.isChunkWanted = false
  await take(relayNames[0]!, pair, chunk, leavingId)
  seen.isChunkWanted = true
  await take(relayNames[1]!, pair, chunk, leavingId)
  await take(relayNames[1]!, pair, chunk, leavingId)
  expect(seen.chunks).toBe(2)
})

test('while an account is switched off, what waits for it at relays is left there', async () => {
  const { take, seen } = await setUp()
  seen.accounts = []
  await expect(take(relayNames[0]!, invited, introduction(capability))).rejects.toMatchObject({ code: 'unreachable' })
})

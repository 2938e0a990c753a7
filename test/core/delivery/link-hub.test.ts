/** Hellos on a link while sessions are replaced beneath them. */
import { expect, test } from 'vitest'
import { silentLog, systemClock, systemRandom } from '../../../src/core/ambient.ts'
import type { Inbound } from '../../../src/core/delivery/inbound.ts'
import { LinkHub } from '../../../src/core/delivery/link-hub.ts'
import type { Link, Overlay } from '../../../src/core/delivery/ports.ts'
import { type Pair, SessionBook, takeOver } from '../../../src/core/delivery/session-book.ts'
import type { GatewayId, Identity } from '../../../src/core/ids.ts'
import { HelloExchange } from '../../../src/core/session/hello.ts'
import { encodeItem, helloBytes } from '../../../src/core/session/items.ts'
import { openMemoryStore } from '../../support/memory-store.ts'
import { pair as sessionPair, seededRandom } from '../session/support.ts'

const ambient = { clock: systemClock, random: systemRandom, log: silentLog }
const [here, there] = ['here' as GatewayId, 'there' as GatewayId]
const [account, peer] = ['a'.repeat(64) as Identity, 'b'.repeat(64) as Identity]

/** A link that keeps what is sent and gives what the test puts in. */
function openLink() {
  const sent: Uint8Array[] = []
  const arriving: Uint8Array[] = []
  let wake = (): void => {}
  const closing = new AbortController()
  const link: Link = {
    peer: there,
    initiator: true,
    closed: closing.signal,
    send: async (bytes) => void sent.push(Uint8Array.from(bytes)),
    incoming: (async function* () {
      while (!closing.signal.aborted) {
        const next = arriving.shift()
        if (next === undefined) await new Promise<void>((resolve) => (wake = resolve))
        else yield next
      }
    })(),
    close: () => {
      closing.abort()
      wake()
    },
  }
  const put = (bytes: Uint8Array): void => {
    arriving.push(bytes)
    wake()
  }
  return { link, sent, put }
}

async function setUp({ mayMeet = true } = {}) {
  const { alice: ours, bob: theirs } = sessionPair(seededRandom('hub'))
  const moment = { random: systemRandom, nowMs: systemClock.nowMs() }
  for (let frames = 0; frames < 3; frames += 1) theirs.open(ours.seal(Buffer.from('mail'), moment), moment)
  const store = openMemoryStore()
  const book = new SessionBook(store, ambient)
  const pair: Pair = { account, device: ours.selfDevice, peer, peerDevice: ours.peerDevice }
  await store.write((tx) => book.replace(tx, takeOver(undefined, pair, ours, { nowMs: moment.nowMs, reset: false })))
  const { link, sent, put } = openLink()
  const seen = { rollbacks: [] as string[], ready: 0 }
  const hub = new LinkHub({
    store,
    book,
    ambient,
    inbound: {} as Inbound,
    overlay: { self: here, link: async () => link } as unknown as Overlay,
    mayMeet: () => mayMeet,
    onReady: () => (seen.ready += 1),
    onClosed: () => {},
    onSpent: () => {},
    onRollback: (_pair, who) => seen.rollbacks.push(who),
  })
  hub.attach(link)
  const connected = hub
    .connect(pair, { gateway: there, locators: [] }, { signal: new AbortController().signal })
    .catch(() => {})
  const answer = async (): Promise<void> => {
    await expect.poll(() => sent.length).toBe(1)
    const exchange = new HelloExchange(theirs, { self: there, peer: here, isInitiator: false, random: systemRandom })
    const step = exchange.read(sent[0]!.subarray(sent[0]!.length - helloBytes))
    expect(step.kind).toBe('answer')
    if (step.kind === 'answer') put(encodeItem(theirs.sendTag(systemClock.nowMs()), step.bytes))
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  const end = async (): Promise<void> => {
    link.close('test')
    await connected
  }
  return { store, book, pair, seen, sent, answer, end }
}

test('a hello that is answered makes the session ready', async () => {
  const { seen, answer, end } = await setUp()
  await answer()
  await expect.poll(() => seen).toEqual({ rollbacks: [], ready: 1 })
  await end()
})

test('an answer about a session that was replaced meanwhile does not look like a rolled-back home', async () => {
  const { store, book, pair, seen, answer, end } = await setUp()
  const fresh = sessionPair(seededRandom('fresh')).alice
  await store.write((tx) =>
    book.replace(tx, takeOver(book.read(tx, pair), pair, fresh, { nowMs: systemClock.nowMs(), reset: true })),
  )
  await answer()
  expect(seen).toEqual({ rollbacks: [], ready: 0 })
  await end()
})

test('a pair that may not meet is not greeted', async () => {
  const { seen, sent, end } = await setUp({ mayMeet: false })
  await new Promise((resolve) => setTimeout(resolve, 50))
  expect(sent).toEqual([])
  expect(seen).toEqual({ rollbacks: [], ready: 0 })
  await end()
})

/** Streams that no honest gateway makes, with waits short enough for a test. */
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { systemClock, systemRandom } from '../../../src/core/ambient.ts'
import type { SigningKey } from '../../../src/core/crypto/sign.ts'
import { relayBodySizes, type RelayEntry } from '../../../src/core/delivery/relay-ports.ts'
import type { GatewayId } from '../../../src/core/ids.ts'
import { limits } from '../../../src/core/limits.ts'
import type { Store } from '../../../src/core/store/store.ts'
import { MemoryPipe } from '../../../src/overlay/memory-pipe.ts'
import type { Pipe } from '../../../src/overlay/network.ts'
import { PipeReader } from '../../../src/overlay/pipe-reader.ts'
import { heldByRelay } from '../../../src/overlay/relay-mailbox/grants.ts'
import { runWatch } from '../../../src/overlay/relay-mailbox/watch.ts'
import {
  encodeWatchMessage,
  readWatchMessage,
  signHello,
  watchRequestBytesMax,
  type WatchMessage,
} from '../../../src/overlay/relay-mailbox/watch-messages.ts'
import { openMemoryStore } from '../../support/memory-store.ts'
import { type DirectRelay, directRelay, newGateway, ownerWithQueue } from './direct.ts'
import { ambientWith, newKey, soon } from './support.ts'

vi.mock(import('../../../src/core/limits.ts'), async (original) => {
  const { limits: real } = await original()
  const changed = {
    relayAskReadMs: 300,
    relayWatchHelloMs: 300,
    relayWatchAliveMs: 300,
    relayWatchDeadMs: 2000,
    relayWatchersPerGatewayMax: 3,
  }
  return { limits: { ...real, ...changed } as unknown as typeof real }
})

const ambient = ambientWith(systemClock)
let store: Store
let relay: DirectRelay
let bob: GatewayId
let owner: SigningKey
let sendKey: SigningKey

beforeEach(async () => {
  store = openMemoryStore()
  bob = newGateway()
  relay = await directRelay({ store, ambient, known: new Set([bob]) })
  ;({ owner, sendKey } = await ownerWithQueue(relay, bob))
})
afterEach(async () => {
  await relay[Symbol.asyncDispose]()
})

const isOver = (pipe: Pipe): boolean => pipe.closed.aborted
const reasons = (): unknown[] =>
  relay.faults.map((fault) => (fault as { details?: { reason?: unknown } }).details?.reason)
const lengthOf = (octets: number): Uint8Array => {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(octets)
  return bytes
}
/** The relay's words are read and thrown away. */
const ignored = (pipe: Pipe): Pipe => {
  pipe.receive({ data: () => {}, ended: () => {} })
  return pipe
}

describe('a stream to watch on', () => {
  const helloOf = (from: GatewayId, atMs = Date.now()): Uint8Array =>
    signHello({ atMs, stay: true }, owner, { relay: relay.self, recipient: from })

  test.each<[string, () => Uint8Array | undefined]>([
    ['says nothing', () => undefined],
    ['says half a hello', () => helloOf(bob).subarray(0, 50)],
    ['announces gigabytes', () => lengthOf(0xffff_ffff)],
    ['announces a little too much', () => lengthOf(watchRequestBytesMax + 1)],
    ['announces nothing', () => lengthOf(0)],
    ['says what is no message', () => Buffer.concat([lengthOf(40), systemRandom.bytes(40)])],
    ['begins with another message', () => encodeWatchMessage({ kind: 'taken', numbers: [1] })],
    ['is only bytes', () => new Uint8Array(100_000).fill(255)],
  ])('that %s is ended soon', async (_, made) => {
    const pipe = ignored(relay.pipe(bob, 'watch'))
    const bytes = made()
    if (bytes !== undefined) pipe.write(bytes)
    await expect.poll(() => isOver(pipe)).toBe(true)
    expect(relay.faults.length).toBe(1)
  })

  test('a hello that came in single octets is a hello', async () => {
    const pipe = relay.pipe(bob, 'watch')
    const reader = new PipeReader(pipe, 10_000)
    for (const octet of helloOf(bob)) pipe.write(Uint8Array.of(octet))
    expect(await readWatchMessage(reader, 10_000, soon().signal)).toEqual({ kind: 'drained' })
    pipe.abort('gone')
  })

  test.each<[string, () => readonly [GatewayId, Uint8Array], string]>([
    ['overheard and used by another gateway', () => [newGateway(), helloOf(bob)], 'signature'],
    ['of long ago', () => [bob, helloOf(bob, Date.now() - limits.relayClockSkewMs - 1000)], 'signature'],
    [
      'of nobody here',
      () => [bob, signHello({ atMs: Date.now(), stay: true }, newKey(), { relay: relay.self, recipient: bob })],
      'unknown-owner',
    ],
  ])('a hello %s is refused', async (_, made, reason) => {
    const [from, hello] = made()
    const pipe = relay.pipe(from, 'watch')
    const reader = new PipeReader(pipe, 10_000)
    pipe.write(hello)
    expect(await readWatchMessage(reader, 10_000, soon().signal)).toEqual({ kind: 'refused', reason })
    pipe.abort('gone')
  })

  test('a second watch of an owner ends the first', async () => {
    await relay.deposit(sendKey, bob)
    const first = relay.watch(owner, bob)
    expect(await first.next()).toMatchObject({ kind: 'entry' })
    const second = relay.watch(owner, newGateway())
    expect(await second.next()).toMatchObject({ kind: 'entry', number: 1 })
    expect(await first.next()).toMatchObject({ kind: 'drained' })
    await expect(first.next()).rejects.toMatchObject({ code: 'unreachable' })
    second.say(encodeWatchMessage({ kind: 'taken', numbers: [1] }))
    await expect.poll(() => heldByRelay(store).entries).toBe(0)
    second.pipe.abort('gone')
  })

  test('one gateway has so many watches and no more', async () => {
    const watches = [relay.pipe(bob, 'watch'), relay.pipe(bob, 'watch'), relay.pipe(bob, 'watch')]
    const reader = new PipeReader(relay.pipe(bob, 'watch'), 10_000)
    const answer = await readWatchMessage(reader, 10_000, soon().signal)
    expect(answer).toEqual({ kind: 'refused', reason: 'throttled' })
    for (const pipe of watches) pipe.abort('gone')
    await sleep(20)
    expect(await relay.watch(owner, bob).next()).toMatchObject({ kind: 'drained' })
  })

  test('one that only talks is ended, one that shows life now and then is not', async () => {
    const idle = relay.watch(owner, bob)
    await idle.next()
    const alive = encodeWatchMessage({ kind: 'alive', filler: new Uint8Array(8) })
    for (let count = 0; count < 100; count += 1) idle.say(alive)
    await expect.poll(() => reasons()).toEqual(['watch: idle talk'])
    const talker = relay.watch(owner, bob)
    await talker.next()
    for (let count = 0; count < 100; count += 1) talker.say(encodeWatchMessage({ kind: 'taken', numbers: [count] }))
    await expect.poll(() => reasons()).toEqual(['watch: idle talk', 'watch: idle talk'])
    const calm = relay.watch(owner, bob)
    await calm.next()
    for (let count = 0; count < 8; count += 1) {
      await sleep(limits.relayWatchDeadMs / 6)
      calm.say(alive)
    }
    expect(isOver(calm.pipe)).toBe(false)
    expect(await calm.next()).toMatchObject({ kind: 'alive' })
    calm.pipe.abort('gone')
  })

  test('one that has fallen silent is ended, and its owner’s entries are kept', async () => {
    await relay.deposit(sendKey, bob)
    const watch = relay.watch(owner, bob)
    await watch.next()
    await expect.poll(() => isOver(watch.pipe)).toBe(true)
    expect(heldByRelay(store).entries).toBe(1)
  })

  test.each([
    { size: relayBodySizes[0], count: 80, sent: 64 },
    { size: relayBodySizes.at(-1)!, count: 6, sent: 3 },
  ])('a reader that answers nothing has $sent entries of $size octets on the way and no more', async (options) => {
    const { size, count, sent } = options
    for (let made = 0; made < count; made += 1)
      expect(await relay.deposit(sendKey, newGateway(), { body: new Uint8Array(size) })).toBe('stored')
    const slow = relay.watch(owner, bob)
    for (let number = 1; number <= sent; number += 1) expect(await slow.next()).toMatchObject({ kind: 'entry', number })
    const other = await ownerWithQueue(relay, bob)
    await relay.deposit(other.sendKey, newGateway())
    expect(await relay.watch(other.owner, bob).next()).toMatchObject({ kind: 'entry' })
    expect(await slow.next()).toMatchObject({ kind: 'alive' })
    slow.say(encodeWatchMessage({ kind: 'taken', numbers: [2] }))
    for (;;) {
      const message = await slow.next()
      if (message.kind === 'alive') continue
      expect(message).toMatchObject({ kind: 'entry', number: sent + 1 })
      break
    }
    slow.pipe.abort('gone')
  })
})

describe('a stream to ask on', () => {
  test.each<[string, () => readonly Uint8Array[]]>([
    ['says nothing', () => []],
    ['announces gigabytes', () => [lengthOf(0xffff_ffff)]],
    ['announces a little too much', () => [lengthOf(limits.relayRequestBytesMax + 1)]],
    ['says half', () => [lengthOf(1000), new Uint8Array(500)]],
    ['says what is no request', () => [lengthOf(40), new Uint8Array(40).fill(9)]],
    ['says much more than it announced', () => [Buffer.concat([lengthOf(1000), new Uint8Array(2_000_000)])]],
  ])('that %s is ended soon', async (_, made) => {
    const pipe = ignored(relay.pipe(bob, 'ask'))
    for (const bytes of made()) pipe.write(bytes)
    await expect.poll(() => isOver(pipe) || relay.faults.length > 0).toBe(true)
    expect(await relay.open(owner, bob)).toMatchObject({ kind: 'done' })
  })

  test('slow ones of strangers take no place from contacts', async () => {
    const slow = Array.from({ length: 60 }, () => {
      const pipe = ignored(relay.pipe(newGateway(), 'ask'))
      pipe.write(lengthOf(100_000))
      return pipe
    })
    await sleep(20)
    expect(await relay.open(owner, bob)).toMatchObject({ kind: 'done' })
    for (const pipe of slow) pipe.abort('gone')
  })

  test('asks that never end are over before all of them has dripped in', async () => {
    const pipe = ignored(relay.pipe(newGateway(), 'ask'))
    pipe.write(lengthOf(2000))
    let written = 0
    for (; !isOver(pipe); await sleep(20)) {
      pipe.write(Uint8Array.of(0))
      written += 1
    }
    expect(written).toBeLessThan(2000)
  })
})

describe('a relay that means harm', () => {
  const entry = (number: number, size: number = relayBodySizes[0]): WatchMessage => ({
    kind: 'entry',
    number,
    receiveId: new Uint8Array(16),
    heldSinceMs: 1,
    body: new Uint8Array(size),
  })
  function watching(onEntries?: (entries: readonly RelayEntry[]) => Promise<readonly number[]>) {
    const [near, far] = MemoryPipe.pair({ delayMs: () => 0, isConnected: () => true })
    const got: number[] = []
    const take = async (entries: readonly RelayEntry[]): Promise<readonly number[]> => {
      got.push(...entries.map(({ number }) => number))
      return await Promise.resolve(entries.map(({ number }) => number))
    }
    const parts = {
      owner,
      handlers: { onEntries: onEntries ?? take, onDrained: () => {} },
      stay: true,
      relay: relay.self,
      recipient: bob,
      ambient,
      ...soon(),
    }
    const over = runWatch(near, parts).then(
      () => 'over',
      (error: unknown) => (error as { details?: { reason?: unknown } }).details?.reason ?? error,
    )
    return { near, far: ignored(far), got, over }
  }

  test.each<[string, () => readonly Uint8Array[], string]>([
    [
      'sends entries out of order',
      () => [encodeWatchMessage(entry(2)), encodeWatchMessage(entry(1))],
      'watch: entry out of order',
    ],
    [
      'sends one twice',
      () => [encodeWatchMessage(entry(2)), encodeWatchMessage(entry(2))],
      'watch: entry out of order',
    ],
    ['sends a body of no size', () => [encodeWatchMessage(entry(1, 4097))], 'watch: entry out of order'],
    ['announces gigabytes', () => [lengthOf(0xffff_ffff)], 'watch: message too large'],
    ['sends garbage', () => [lengthOf(50), systemRandom.bytes(50).fill(99)], 'watch: garbled message'],
    [
      'speaks as the recipient',
      () => [encodeWatchMessage({ kind: 'taken', numbers: [] })],
      'watch: message out of place',
    ],
    [
      'says over and over that nothing waits',
      () => Array.from({ length: 100 }, () => encodeWatchMessage({ kind: 'drained' })),
      'watch: idle talk',
    ],
    ['refuses', () => [encodeWatchMessage({ kind: 'refused', reason: 'unknown-owner' })], 'unknown-owner'],
    ['says nothing', () => [], 'no sign of life'],
  ])('and %s is left', async (_, made, reason) => {
    const { far, over } = watching()
    for (const bytes of made()) far.write(bytes)
    expect(await over).toBe(reason)
    await expect.poll(() => isOver(far)).toBe(true)
  })

  test('one that sends more than its window, faster than it is read, is left', async () => {
    const never = async (): Promise<never> => await new Promise(() => {})
    const { far, near } = watching(never)
    const large = encodeWatchMessage(entry(1, relayBodySizes.at(-1)))
    for (let count = 0; count < 20; count += 1) far.write(Uint8Array.from(large))
    await expect.poll(() => isOver(near)).toBe(true)
  })

  test('what a handler throws ends the watch, and nothing is said to be taken', async () => {
    const failing = async (): Promise<never> => await Promise.reject(new Error('disk'))
    const { far, over } = watching(failing)
    const said: number[] = []
    far.receive({ data: (bytes) => said.push(bytes[4]!), ended: () => {} })
    far.write(encodeWatchMessage(entry(1)))
    expect(await over).toMatchObject({ message: 'disk' })
    expect(said).toEqual([0])
  })

  test('one that ends the stream ends the watch, after what it had sent', async () => {
    const { far, over, got } = watching()
    far.write(encodeWatchMessage(entry(3)))
    far.end()
    expect(await over).toBe('over')
    expect(got).toEqual([3])
  })
})

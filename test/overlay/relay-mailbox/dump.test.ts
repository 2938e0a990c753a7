/**
 * What a relay could tell: everything it stores, opened with its own keys, and everything it is sent, after the transport's
 * encryption, while two people write to each other through it. Nothing in it says who they are or what they wrote.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, expect, test, vi } from 'vitest'
import { signingKey } from '../../../src/core/crypto/sign.ts'
import { systemClock, systemRandom } from '../../../src/core/ambient.ts'
import { fromUtf8 } from '../../../src/core/bytes.ts'
import { tables } from '../../../src/core/store/tables.ts'
import type { Pipe } from '../../../src/overlay/network.ts'
import { RelayServer } from '../../../src/overlay/relay-mailbox/server.ts'
import { openWorld, type TestGateway } from '../../support/world.ts'
import { ambientWith, newKey, newQueue, openRelayStore, relayWorld, soon, takeAll, addressOf } from './support.ts'

const patience = { timeout: 60_000, interval: 50 }

afterEach(() => {
  vi.restoreAllMocks()
})

/** Every row of every table, opened. */
function dumped(store: { read: TestGateway['knowledge']['store']['read'] }, only?: readonly number[]): Buffer {
  const parts: Uint8Array[] = []
  store.read((tx) => {
    for (const table of Object.values(tables)) {
      if (only !== undefined && !only.includes(table.id)) continue
      for (const { key, value } of tx.range(table, {})) parts.push(key, value)
    }
  })
  return Buffer.concat(parts)
}

/** Needles as they are, in hex of either case, and in base64 at each of the three offsets. */
function formsOf(needle: Uint8Array): readonly Buffer[] {
  const raw = Buffer.from(needle)
  const base64 = [0, 1, 2].map((offset) =>
    Buffer.concat([Buffer.alloc(offset), raw])
      .toString('base64')
      .replaceAll('=', '')
      .slice(offset === 0 ? 0 : offset + 1, -2),
  )
  const texts = [
    raw.toString('hex'),
    raw.toString('hex').toUpperCase(),
    ...base64,
    ...base64.map((text) => text.replaceAll('+', '-').replaceAll('/', '_')),
  ]
  return [raw, ...texts.map((text) => Buffer.from(text))]
}
const isIn = (haystack: Buffer, needle: Uint8Array): boolean => formsOf(needle).some((form) => haystack.includes(form))

/** Both directions of each stream of a relay, as they are after the transport's encryption. */
class Overheard {
  readonly #streams: Buffer[][] = []

  /** A pipe that is listened to. */
  of(pipe: Pipe): Pipe {
    const said: Buffer[] = []
    const heard: Buffer[] = []
    this.#streams.push(said, heard)
    return {
      closed: pipe.closed,
      hops: pipe.hops,
      pause: () => pipe.pause(),
      resume: () => pipe.resume(),
      get isFull() {
        return pipe.isFull
      },
      write(bytes) {
        said.push(Buffer.from(bytes))
        pipe.write(bytes)
      },
      drained: async () => await pipe.drained(),
      receive: (sink) =>
        pipe.receive({
          data(bytes) {
            heard.push(Buffer.from(bytes))
            sink.data(bytes)
          },
          ended: () => sink.ended(),
        }),
      end: () => pipe.end(),
      abort: (reason) => pipe.abort(reason),
    }
  }

  get bytes(): Buffer {
    return Buffer.concat(this.#streams.flat())
  }
}

test('the search finds what is there, in every form', () => {
  const needle = systemRandom.bytes(32)
  const bytes = Buffer.from(needle)
  for (const hidden of [
    bytes,
    Buffer.from(bytes.toString('hex')),
    Buffer.from(bytes.toString('hex').toUpperCase()),
    ...[0, 1, 2].map((offset) => Buffer.from(Buffer.concat([Buffer.alloc(offset, 7), bytes]).toString('base64'))),
    ...[0, 1, 2].map((offset) => Buffer.from(Buffer.concat([Buffer.alloc(offset, 7), bytes]).toString('base64url'))),
  ])
    expect(isIn(Buffer.concat([systemRandom.bytes(100), hidden, systemRandom.bytes(100)]), needle)).toBe(true)
  expect(isIn(Buffer.from(systemRandom.bytes(5000)), needle)).toBe(false)
})

test(
  'neither what a relay holds nor what it is told names anybody, or says what was written',
  { timeout: 120_000 },
  async () => {
    const overheard = new Overheard()
    const answer = Object.getOwnPropertyDescriptor(RelayServer.prototype, 'answer')!.value as RelayServer['answer']
    const watch = Object.getOwnPropertyDescriptor(RelayServer.prototype, 'watch')!.value as RelayServer['watch']
    vi.spyOn(RelayServer.prototype, 'answer').mockImplementation(async function (this: RelayServer, pipe, from) {
      await answer.call(this, overheard.of(pipe), from)
    })
    vi.spyOn(RelayServer.prototype, 'watch').mockImplementation(async function (this: RelayServer, pipe, from) {
      await watch.call(this, overheard.of(pipe), from)
    })
    await using world = await openWorld()
    const friendly = { isKnown: () => true }
    const relays = [await world.gateway('r1', { relay: friendly }), await world.gateway('r2', { relay: friendly })]
    const alice = await world.gateway('alice', { relays })
    const bob = await world.gateway('bob', { relays })
    await world.introduce(alice, bob)
    await bob.submit(alice.address, 'the first of all')
    const knows = (one: TestGateway, other: TestGateway): boolean =>
      one.node.delivery.relays!.queuesOf(one.account, other.account) === relays.length
    await expect.poll(() => knows(alice, bob) && knows(bob, alice), patience).toBe(true)
    await bob.stop()
    const text = `what only Bob reads, ${'and on it goes, '.repeat(3000)}to the end`
    await alice.submit(bob.address, text, 'X-Whim: nobody else sees this field\r\n')
    await alice.submit(bob.address, 'and a short one')
    await expect
      .poll(() => Math.min(...alice.node.delivery.waiting().map(({ atRelays }) => atRelays?.count ?? 0)), patience)
      .toBe(relays.length)

    const people = [alice, bob].map(({ account, address }) => ({ account, address }))
    const devices = [alice, bob].map(({ knowledge, account }) => knowledge.accounts.get(account).device.id)
    const ofAlice = dumped(alice.knowledge.store)
    const held = relays.map(({ knowledge }) => dumped(knowledge.store))
    expect(dumped(relays[0]!.knowledge.store, [tables.relayEntries.id]).length).toBeGreaterThan(60_000)
    await alice.stop()
    const back = await world.gateway('bob', { relays })
    await expect.poll(async () => await back.read(), patience).toContain(text)
    await expect.poll(() => back.node.delivery.relays!.isQuiet(), patience).toBe(true)

    const seen = overheard.bytes
    expect(seen.length).toBeGreaterThan(4 * 67_584)
    const needles: Record<string, Uint8Array> = {
      ...Object.fromEntries(people.map(({ account }, index) => [`identity ${index}`, Buffer.from(account, 'hex')])),
      ...Object.fromEntries(people.map(({ address }, index) => [`address ${index}`, fromUtf8(address)])),
      ...Object.fromEntries(people.map(({ address }, index) => [`domain ${index}`, fromUtf8(address.split('@')[1]!)])),
      ...Object.fromEntries(devices.map((device, index) => [`device ${index}`, Buffer.from(device, 'hex')])),
      subject: fromUtf8('Subject: test'),
      field: fromUtf8('nobody else sees this field'),
      text: fromUtf8('what only Bob reads'),
      'repeated text': fromUtf8('and on it goes, and on it goes'),
      'short text': fromUtf8('and a short one'),
    }
    const where = (haystack: Buffer): string[] => Object.keys(needles).filter((name) => isIn(haystack, needles[name]!))
    expect(where(seen)).toEqual([])
    for (const dump of held) expect(where(dump)).toEqual([])
    // the same search finds what Alice, who knows all of it, keeps in one form or another
    for (const name of ['identity 0', 'identity 1', 'address 1', 'device 1', 'short text', 'field'])
      expect(where(ofAlice)).toContain(name)
  },
)

test('a body that nobody sealed would be found: what is left is what is held', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'mycelium-relay-'))
  const ambient = ambientWith(systemClock)
  const store = await openRelayStore(folder, ambient)
  const world = relayWorld(ambient)
  const relay = await world.relay('relay', store)
  const bob = await world.join('bob')
  world.known.add(bob.self)
  const owner = newKey()
  await bob.relays.open(addressOf(relay), owner, soon())
  const queue = await newQueue(bob, addressOf(relay), owner)
  const secret = fromUtf8('not sealed, for the sake of this test')
  const body = new Uint8Array(4096)
  body.set(secret, 1000)
  const entry = { id: systemRandom.bytes(16), body, expiresAtMs: Date.now() + 60_000 }
  await bob.relays.deposit(queue, entry, { through: undefined, ...soon() })
  const dump = dumped(store)
  expect(isIn(dump, secret)).toBe(true)
  // not even the keys by which owner and queue are found are there, only keyed hashes of them
  for (const needle of [owner.publicKey, signingKey(queue.sendSeed).publicKey, queue.sendSeed, fromUtf8(bob.self)])
    expect(isIn(dump, needle)).toBe(false)
  expect(await takeAll(bob, addressOf(relay), owner)).toHaveLength(1)
  expect(isIn(dumped(store), secret)).toBe(false)
  for (const overlay of [bob, relay]) await overlay[Symbol.asyncDispose]()
  await store[Symbol.asyncDispose]()
  rmSync(folder, { recursive: true, force: true })
})

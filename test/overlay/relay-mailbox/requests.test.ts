/** What a relay refuses and what it holds, with rooms so small that a test fills them. */
import { setTimeout as sleep } from 'node:timers/promises'
import { beforeEach, describe, expect, test, vi } from 'vitest'
import { systemRandom } from '../../../src/core/ambient.ts'
import type { SigningKey } from '../../../src/core/crypto/sign.ts'
import { receiveIdOf } from '../../../src/core/delivery/relay-ids.ts'
import type { GatewayId } from '../../../src/core/ids.ts'
import { limits } from '../../../src/core/limits.ts'
import type { Store } from '../../../src/core/store/store.ts'
import { heldByRelay, makeGrant } from '../../../src/overlay/relay-mailbox/grants.ts'
import {
  decodeRelayRequest,
  encodeRelayAnswer,
  encodeRelayRequest,
  type OpenProof,
  type RelayAnswer,
  signRelayRequest,
} from '../../../src/overlay/relay-mailbox/messages.ts'
import { encodeWatchMessage } from '../../../src/overlay/relay-mailbox/watch-messages.ts'
import { findWork } from '../../../src/overlay/relay-mailbox/work.ts'
import { openMemoryStore } from '../../support/memory-store.ts'
import { type DirectRelay, directRelay, newGateway, ownerWithQueue } from './direct.ts'
import { ambientWith, newKey, soon, testClock, type TestClock } from './support.ts'

vi.mock(import('../../../src/core/limits.ts'), async (original) => {
  const { limits: real } = await original()
  const changed = {
    relayOwnersMax: 8,
    relayWorkOwnersMax: 4,
    relayWorkBits: 4,
    relayOwnersPerGatewayMax: 3,
    relayOwnerEntriesMax: 8,
    relayOwnerBytesMax: 200 * 1024,
    relayOwnerQueuesMax: 4,
    relayWorkOwnerEntriesMax: 4,
    relayQueuesMax: 9,
    relayGrantsMax: 2,
    relayMarksMax: 5,
    relaySweepRows: 2,
  }
  return { limits: { ...real, ...changed } as unknown as typeof real }
})

let store: Store
let clock: TestClock
let known: Set<GatewayId>
let bob: GatewayId
let relay: DirectRelay
const eve = newGateway()
const second = 1000

beforeEach(async () => {
  store = openMemoryStore({ rerun: true })
  clock = testClock()
  bob = newGateway()
  known = new Set([bob])
  relay = await directRelay({ store, ambient: ambientWith(clock), known })
})

const refused = (reason: string) => ({ kind: 'refused', reason })
const done = { kind: 'done' }
async function work(owner: SigningKey, atMs: number, bits: number): Promise<OpenProof> {
  const nonce = await findWork({ relay: relay.self, owner: owner.publicKey, atMs }, bits, soon())
  return { kind: 'work', nonce: nonce! }
}
async function openByWork(bits: number = limits.relayWorkBits): Promise<RelayAnswer> {
  const owner = newKey()
  const atMs = clock.nowMs()
  const proof = await work(owner, atMs, bits)
  return await relay.ask(signRelayRequest({ kind: 'open', atMs, proof }, owner, relay.self), eve)
}
const grant = async (expiresMs = 60 * second) =>
  (await makeGrant(store, systemRandom, { nowMs: clock.nowMs(), expiresMs })).capability

describe('opening', () => {
  test('known does for the gateways of contacts only', async () => {
    expect(await relay.open(newKey(), bob)).toMatchObject({ ...done, bytes: 0, queues: 0 })
    expect(await relay.open(newKey(), eve)).toEqual(refused('proof'))
  })

  test('a capability is good for one owner, once its time is over too, and for nobody else', async () => {
    const capability = await grant()
    const owner = newKey()
    expect(await relay.open(owner, eve, { kind: 'capability', capability })).toMatchObject(done)
    expect(await relay.open(newKey(), eve, { kind: 'capability', capability })).toEqual(refused('proof'))
    clock.advance(61 * second)
    expect(await relay.open(owner, eve, { kind: 'capability', capability })).toMatchObject(done)
    const late = await grant()
    clock.advance(61 * second)
    expect(await relay.open(newKey(), eve, { kind: 'capability', capability: late })).toEqual(refused('proof'))
    const guessed = systemRandom.bytes(16)
    expect(await relay.open(newKey(), eve, { kind: 'capability', capability: guessed })).toEqual(refused('proof'))
  })

  test('no more capabilities are out than can be; those that nobody used in time make room', async () => {
    await grant()
    await grant()
    await expect(grant()).rejects.toMatchObject({ code: 'too-large' })
    clock.advance(61 * second)
    await grant()
  })

  test('work that is too light, or for another time, is none', async () => {
    expect(await openByWork()).toMatchObject(done)
    const owner = newKey()
    const atMs = clock.nowMs()
    const proof = await work(owner, atMs, limits.relayWorkBits)
    const later = signRelayRequest({ kind: 'open', atMs: atMs + 1, proof }, owner, relay.self)
    const answers = [await relay.ask(later, eve)]
    for (let nonce = 0; nonce < 40; nonce += 1) answers.push(await relay.open(newKey(), eve, { kind: 'work', nonce }))
    const light = answers.filter(({ kind }) => kind === 'refused')
    expect(light.length).toBeGreaterThan(25) // one in sixteen has four zero bits
    expect(light).toContainEqual(refused('proof'))
  })

  test('owners who come by work fill their share, and cost more the fewer places are left; contacts still have room', async () => {
    const bits: number[] = []
    for (let count = 0; count < limits.relayWorkOwnersMax; count += 1) {
      const offer = await relay.ask(encodeRelayRequest({ kind: 'describe' }), eve)
      if (offer.kind === 'offer') bits.push(offer.workBits)
      expect(await openByWork(bits.at(-1))).toMatchObject(done)
    }
    expect(bits).toEqual([4, 4, 6, 8])
    expect(await openByWork(12)).toEqual(refused('full'))
    expect(await relay.open(newKey(), bob)).toMatchObject(done)
  })

  test('one contact’s gateway opens so many owners and no more, and more again when one is closed', async () => {
    const owners = [newKey(), newKey(), newKey()]
    for (const owner of owners) expect(await relay.open(owner, bob)).toMatchObject(done)
    expect(await relay.open(newKey(), bob)).toEqual(refused('full'))
    expect(await relay.open(owners[0]!, bob)).toMatchObject(done)
    expect(await relay.close(owners[0]!, bob)).toMatchObject(done)
    expect(await relay.open(newKey(), bob)).toMatchObject(done)
  })

  test('there are so many owners in all', async () => {
    for (let count = 0; count < limits.relayOwnersMax; count += 1) {
      const contact = newGateway()
      known.add(contact)
      expect(await relay.open(newKey(), contact)).toMatchObject(done)
    }
    expect(await relay.open(newKey(), bob)).toEqual(refused('full'))
  })

  test('an owner who renews keeps what it has, by whichever proof', async () => {
    const { owner, sendKey } = await ownerWithQueue(relay, bob)
    expect(await relay.deposit(sendKey, eve)).toBe('stored')
    const capability = await grant()
    expect(await relay.open(owner, eve, { kind: 'capability', capability })).toMatchObject({ ...done, queues: 1 })
    expect(heldByRelay(store)).toMatchObject({ owners: 1, workOwners: 0, queues: 1, entries: 1 })
    const atMs = clock.nowMs() + second
    const proof = await work(owner, atMs, limits.relayWorkBits)
    expect(await relay.ask(signRelayRequest({ kind: 'open', atMs, proof }, owner, relay.self), eve)).toMatchObject(done)
    expect(heldByRelay(store)).toMatchObject({ owners: 1, workOwners: 1, workBytes: 8192, workQueues: 1 })
    clock.advance(2 * second)
    expect(await relay.open(owner, bob)).toMatchObject({ ...done, bytes: 8192 })
    expect(heldByRelay(store)).toMatchObject({ owners: 1, workOwners: 0, workBytes: 0, workQueues: 0 })
  })
})

describe('signed requests', () => {
  test('what is signed by somebody else, for another relay, or at another time is refused', async () => {
    const { owner } = await ownerWithQueue(relay, bob)
    const { publicKey, secretKey } = { publicKey: owner.publicKey, secretKey: newKey().secretKey }
    const close = (atMs: number, key = owner, self = relay.self): Uint8Array =>
      signRelayRequest({ kind: 'close', atMs }, key, self)
    const nowMs = clock.nowMs()
    const skewMs = limits.relayClockSkewMs
    for (const request of [
      close(nowMs + second, { publicKey, secretKey }),
      close(nowMs + second, owner, newGateway()),
      close(nowMs - skewMs - second),
      close(nowMs + skewMs + second),
    ])
      expect(await relay.ask(request, bob)).toEqual(refused('signature'))
    expect(heldByRelay(store).owners).toBe(1)
  })

  test('a copy of an older request is refused, the last one once more changes nothing', async () => {
    const owner = newKey()
    const sendKey = newKey()
    const opened = signRelayRequest({ kind: 'open', atMs: clock.nowMs(), proof: { kind: 'known' } }, owner, relay.self)
    await relay.ask(opened, bob)
    const at = (atMs: number, change: { create?: Uint8Array[]; remove?: Uint8Array[] }): Uint8Array =>
      signRelayRequest({ kind: 'queues', atMs, create: [], remove: [], ...change }, owner, relay.self)
    const made = at(clock.nowMs() + 1, { create: [sendKey.publicKey] })
    const removed = at(clock.nowMs() + 2, { remove: [receiveIdOf(owner.publicKey, sendKey.publicKey)] })
    expect(await relay.ask(made, bob)).toMatchObject({ ...done, queues: 1 })
    expect(await relay.ask(made, eve)).toMatchObject({ ...done, queues: 1 })
    expect(await relay.ask(removed, bob)).toMatchObject({ ...done, queues: 0 })
    expect(await relay.ask(made, eve)).toEqual(refused('signature'))
    expect(await relay.ask(opened, bob)).toEqual(refused('signature'))
    expect(await relay.deposit(sendKey, eve)).toBe('no-such-queue')
    clock.advance(second)
    expect(await relay.close(owner, bob)).toMatchObject(done)
    for (const copy of [opened, made, removed]) expect((await relay.ask(copy, bob)).kind).toBe('refused')
    expect(heldByRelay(store).owners).toBe(0)
  })

  test('nobody but an owner makes queues, and nobody takes those of another one', async () => {
    const { sendKey } = await ownerWithQueue(relay, bob)
    expect(await relay.queues(newKey(), bob, { create: [newKey().publicKey] })).toEqual(refused('unknown-owner'))
    const other = newKey()
    await relay.open(other, bob)
    expect(await relay.queues(other, bob, { create: [sendKey.publicKey] })).toEqual(refused('proof'))
    expect(await relay.close(newKey(), bob)).toEqual(refused('unknown-owner'))
  })

  test('queues are counted for each owner and for all', async () => {
    const owners = [newKey(), newKey(), newKey()]
    const ids = (count: number): Uint8Array[] => Array.from({ length: count }, () => newKey().publicKey)
    for (const owner of owners) await relay.open(owner, bob)
    expect(await relay.queues(owners[0]!, bob, { create: ids(5) })).toEqual(refused('full'))
    const four = ids(4)
    expect(await relay.queues(owners[0]!, bob, { create: [...four, ...four] })).toMatchObject({ ...done, queues: 4 })
    expect(await relay.queues(owners[0]!, bob, { create: four })).toMatchObject({ ...done, queues: 4 })
    expect(await relay.queues(owners[0]!, bob, { create: ids(1) })).toEqual(refused('full'))
    const remove = [receiveIdOf(owners[0]!.publicKey, four[0]!)]
    expect(await relay.queues(owners[0]!, bob, { create: ids(1), remove })).toMatchObject({ ...done, queues: 4 })
    expect(await relay.queues(owners[1]!, bob, { create: ids(4) })).toMatchObject({ ...done, queues: 4 })
    expect(await relay.queues(owners[2]!, bob, { create: ids(2) })).toEqual(refused('full'))
    expect(heldByRelay(store).queues).toBe(8)
  })
})

describe('deposits', () => {
  test('each thing that is wrong with one has its outcome', async () => {
    const { sendKey } = await ownerWithQueue(relay, bob)
    expect(await relay.deposit(sendKey, eve, { body: new Uint8Array(4097) })).toBe('size')
    expect(await relay.deposit(sendKey, eve, { expiresAtMs: clock.nowMs() })).toBe('expired')
    expect(await relay.deposit(newKey(), eve)).toBe('no-such-queue')
    expect(await relay.deposit(sendKey, eve, { signature: systemRandom.bytes(64) })).toBe('signature')
    expect(await relay.deposit(newKey(), eve, { sendId: sendKey.publicKey })).toBe('signature')
    expect(heldByRelay(store).entries).toBe(0)
    const garbage = encodeRelayRequest({ kind: 'deposit', sealed: systemRandom.bytes(5000) })
    expect(await relay.ask(garbage, eve)).toEqual(refused('signature'))
    const nothing = encodeRelayRequest({ kind: 'deposit', sealed: new Uint8Array() })
    expect(await relay.ask(nothing, eve)).toEqual(refused('signature'))
  })

  test('one queue has half of its owner’s room, and what is taken makes room', async () => {
    const { owner, sendKey } = await ownerWithQueue(relay, bob)
    const [other, big] = [newKey(), newKey()]
    await relay.queues(owner, bob, { create: [other.publicKey, big.publicKey] })
    for (let count = 0; count < 4; count += 1) expect(await relay.deposit(sendKey, eve)).toBe('stored')
    expect(await relay.deposit(sendKey, eve)).toBe('full')
    for (let count = 0; count < 3; count += 1) expect(await relay.deposit(other, eve)).toBe('stored')
    expect(await relay.deposit(big, eve, { body: new Uint8Array(264_192) })).toBe('full')
    expect(await relay.deposit(big, eve, { body: new Uint8Array(67_584) })).toBe('stored')
    expect(await relay.deposit(big, eve)).toBe('full')
    const watch = relay.watch(owner, bob)
    const first = await watch.next()
    if (first.kind !== 'entry') throw new Error('no entry')
    watch.say(encodeWatchMessage({ kind: 'taken', numbers: [first.number, 77] }))
    await expect.poll(() => heldByRelay(store).entries).toBe(7)
    expect(await relay.deposit(sendKey, eve)).toBe('stored')
    expect(await relay.deposit(sendKey, eve)).toBe('full')
  })

  test('when the whole room is used up, nothing that was accepted goes, and owners by work have half of it', async () => {
    await using small = await directRelay({ store, ambient: ambientWith(clock), known, bytesMax: 6 * 8192 })
    relay = small
    const { owner, sendKey } = await ownerWithQueue(relay, bob)
    const worker = newKey()
    const workerSend = newKey()
    const atMs = clock.nowMs()
    const proof = await work(worker, atMs, limits.relayWorkBits)
    await relay.ask(signRelayRequest({ kind: 'open', atMs, proof }, worker, relay.self), eve)
    clock.advance(second)
    const otherSend = newKey()
    await relay.queues(worker, eve, { create: [workerSend.publicKey, otherSend.publicKey] })
    for (const key of [workerSend, otherSend, workerSend]) expect(await relay.deposit(key, eve)).toBe('stored')
    expect(await relay.deposit(otherSend, eve)).toBe('full')
    for (let count = 0; count < 3; count += 1) expect(await relay.deposit(sendKey, eve)).toBe('stored')
    expect(await relay.deposit(sendKey, eve)).toBe('full')
    expect(heldByRelay(store)).toMatchObject({ entries: 6, bytes: 6 * 8192, workBytes: 3 * 8192 })
    const watch = relay.watch(owner, bob)
    for (const number of [1, 2, 3]) expect(await watch.next()).toMatchObject({ kind: 'entry', number })
  })

  test('a replayed deposit changes nothing, also after it was taken', async () => {
    const { owner, sendKey } = await ownerWithQueue(relay, bob)
    const entryId = systemRandom.bytes(16)
    for (let count = 0; count < 3; count += 1) expect(await relay.deposit(sendKey, eve, { entryId })).toBe('stored')
    expect(heldByRelay(store).entries).toBe(1)
    const watch = relay.watch(owner, bob)
    await watch.next()
    watch.say(encodeWatchMessage({ kind: 'taken', numbers: [1] }))
    await expect.poll(() => heldByRelay(store)).toMatchObject({ entries: 0, marks: 1 })
    expect(await relay.deposit(sendKey, eve, { entryId })).toBe('stored')
    expect(heldByRelay(store).entries).toBe(0)
  })

  test('too many at once are throttled, for a gateway and for a queue, and go on after a while', async () => {
    const { sendKey } = await ownerWithQueue(relay, bob)
    const flood = async (from: () => GatewayId): Promise<string[]> => {
      const outcomes: string[] = []
      for (let count = 0; count < 600; count += 1) {
        const outcome = await relay.deposit(sendKey, from())
        outcomes.push(typeof outcome === 'string' ? outcome : 'refused')
      }
      return outcomes
    }
    const fromOne = await flood(() => eve)
    expect(fromOne.filter((outcome) => outcome === 'refused').length).toBeGreaterThan(20)
    const fromMany = await flood(newGateway)
    expect(new Set(fromMany)).toEqual(new Set(['full', 'throttled']))
    clock.advance(3600 * second)
    expect(await relay.deposit(sendKey, eve)).toBe('full')
  })
})

describe('forwarding', () => {
  const sealed = systemRandom.bytes(500)
  const forward = (gateway: string, locators = ['/ip4/203.0.113.9/tcp/1']): Uint8Array =>
    encodeRelayRequest({ kind: 'forward', gateway, locators, sealed })
  const answer = encodeRelayAnswer({ kind: 'deposited', outcome: systemRandom.bytes(32) })

  test('the answer is passed on as it came, and the other relay is asked nothing but the deposit', async () => {
    const asked: { gateway: string; locators: readonly string[]; request: Uint8Array }[] = []
    const ask = async (to: { gateway: GatewayId; locators: readonly string[] }, request: Uint8Array) => {
      asked.push({ ...to, request })
      return await Promise.resolve(answer)
    }
    relay = await directRelay({ store, ambient: ambientWith(clock), known, ask })
    const other = newGateway()
    const answered = await relay.ask(forward(other), bob)
    expect(Buffer.from(encodeRelayAnswer(answered))).toEqual(Buffer.from(answer))
    expect(asked).toMatchObject([{ gateway: other, locators: ['/ip4/203.0.113.9/tcp/1'] }])
    const passed = decodeRelayRequest(asked[0]!.request)
    expect(passed.kind === 'deposit' && Buffer.from(passed.sealed).equals(sealed)).toBe(true)
  })

  test('strangers are not carried for, those who watch here are', async () => {
    relay = await directRelay({
      store,
      ambient: ambientWith(clock),
      known,
      ask: async () => await Promise.resolve(answer),
    })
    expect(await relay.ask(forward(newGateway()), eve)).toEqual(refused('not-offered'))
    const owner = newKey()
    await relay.open(owner, eve, { kind: 'capability', capability: await grant() })
    const watch = relay.watch(owner, eve)
    expect(await watch.next()).toMatchObject({ kind: 'drained' })
    expect((await relay.ask(forward(newGateway()), eve)).kind).toBe('deposited')
    watch.pipe.abort('gone')
    await expect.poll(async () => await relay.ask(forward(newGateway()), eve)).toEqual(refused('not-offered'))
  })

  test('who has it dial in vain is soon refused; the own id and what is none are not dialled', async () => {
    let dials = 0
    const ask = async (): Promise<never> => {
      dials += 1
      return await Promise.reject(new Error('nobody there'))
    }
    relay = await directRelay({ store, ambient: ambientWith(clock), known, ask })
    expect(await relay.ask(forward(relay.self), bob)).toEqual(refused('unreachable'))
    expect(await relay.ask(forward('12D3KooWnonsense'), bob)).toEqual(refused('unreachable'))
    expect(dials).toBe(0)
    const reasons: unknown[] = []
    for (let count = 0; count < 20; count += 1) reasons.push(await relay.ask(forward(newGateway()), bob))
    expect(dials).toBe(8)
    expect(reasons.slice(0, 8)).toEqual(Array.from({ length: 8 }, () => refused('unreachable')))
    expect(reasons.slice(8)).toEqual(Array.from({ length: 12 }, () => refused('throttled')))
  })

  test('a relay that did not answer is left alone for a minute, whoever asks, and costs nobody a dial', async () => {
    let dials = 0
    const ask = async (): Promise<never> => {
      dials += 1
      return await Promise.reject(new Error('nobody there'))
    }
    relay = await directRelay({ store, ambient: ambientWith(clock), known, ask })
    const away = newGateway()
    for (let count = 0; count < 20; count += 1)
      expect(await relay.ask(forward(away), bob)).toEqual(refused('unreachable'))
    expect(dials).toBe(1)
    clock.advance(limits.relayRestMs + 1)
    expect(await relay.ask(forward(away), bob)).toEqual(refused('unreachable'))
    expect(dials).toBe(2)
  })

  test('a relay that never answers holds few of the asks of one gateway, and none of others', async () => {
    let asked = 0
    const never = async (): Promise<never> => {
      asked += 1
      return await new Promise(() => {})
    }
    relay = await directRelay({ store, ambient: ambientWith(clock), known, ask: never })
    const pending = Array.from({ length: limits.relayForwardsPerPeerMax }, () => relay.pipe(bob, 'ask'))
    for (const pipe of pending) {
      const request = forward(newGateway())
      pipe.write(Buffer.concat([Buffer.from([0, 0, 0, request.length >> 8, request.length].slice(1)), request]))
    }
    await expect.poll(() => asked).toBe(limits.relayForwardsPerPeerMax)
    expect(await relay.ask(forward(newGateway()), bob)).toEqual(refused('throttled'))
    const contact = newGateway()
    known.add(contact)
    expect(await relay.open(newKey(), contact)).toMatchObject(done)
  })
})

describe('time', () => {
  const day = 24 * 3600 * second

  test('what expired is forgotten, with its id; what has not is not', async () => {
    const { owner, sendKey } = await ownerWithQueue(relay, bob)
    const entryId = systemRandom.bytes(16)
    for (const days of [1, 3, 1])
      await relay.deposit(sendKey, eve, { expiresAtMs: clock.nowMs() + days * day, ...(days === 3 ? { entryId } : {}) })
    clock.advance(2 * day)
    await relay.server.sweep()
    expect(heldByRelay(store)).toMatchObject({ entries: 1, bytes: 8192 })
    expect(await relay.watch(owner, bob).next()).toMatchObject({ kind: 'entry', number: 2 })
    expect(await relay.deposit(sendKey, eve, { entryId })).toBe('stored')
    expect(heldByRelay(store).entries).toBe(1)
  })

  test('nothing is held longer than it is said, whatever its sender asked for', async () => {
    const { sendKey } = await ownerWithQueue(relay, bob)
    await relay.deposit(sendKey, eve, { expiresAtMs: clock.nowMs() + 400 * day })
    clock.advance(limits.relayHoldMsMax + second)
    await relay.server.sweep()
    expect(heldByRelay(store)).toMatchObject({ entries: 0, bytes: 0 })
  })

  test('ids of what was taken are forgotten after a day, the oldest sooner where there are too many', async () => {
    const { owner, sendKey } = await ownerWithQueue(relay, bob)
    const watch = relay.watch(owner, bob)
    await watch.next()
    for (let number = 1; number <= 8; number += 1) {
      await relay.deposit(sendKey, eve)
      await watch.next()
      watch.say(encodeWatchMessage({ kind: 'taken', numbers: [number] }))
      await watch.next()
    }
    await expect.poll(() => heldByRelay(store).marks).toBe(8)
    await relay.server.sweep()
    expect(heldByRelay(store).marks).toBe(limits.relayMarksMax)
    clock.advance(25 * 3600 * second)
    await relay.server.sweep()
    expect(heldByRelay(store)).toMatchObject({ marks: 0, entries: 0, bytes: 0 })
  })

  test('an owner that nobody has seen for 60 days is forgotten with everything, one who watches is not', async () => {
    const gone = await ownerWithQueue(relay, bob)
    const { owner } = await ownerWithQueue(relay, bob)
    await relay.deposit(gone.sendKey, eve, { expiresAtMs: clock.nowMs() + 21 * day })
    const watch = relay.watch(owner, bob)
    await watch.next()
    clock.advance(61 * day)
    await relay.server.sweep()
    expect(heldByRelay(store)).toMatchObject({ owners: 1, queues: 1, entries: 0, bytes: 0 })
    expect(await relay.deposit(gone.sendKey, eve)).toBe('no-such-queue')
    clock.advance(50 * day)
    await relay.server.sweep()
    expect(heldByRelay(store).owners).toBe(1)
    watch.pipe.abort('gone')
    await sleep(20)
    clock.advance(61 * day)
    await relay.server.sweep()
    expect(heldByRelay(store)).toMatchObject({ owners: 0, queues: 0 })
  })

  test('one who came by work and for whom nothing waits is forgotten after a week', async () => {
    await openByWork()
    const { owner } = await ownerWithQueue(relay, bob)
    clock.advance(8 * day)
    await relay.server.sweep()
    expect(heldByRelay(store)).toMatchObject({ owners: 1, workOwners: 0 })
    expect(await relay.open(owner, bob)).toMatchObject(done)
  })

  test('a clock that jumps ahead by weeks does not empty the queues', async () => {
    const { sendKey } = await ownerWithQueue(relay, bob)
    await relay.deposit(sendKey, eve, { expiresAtMs: clock.nowMs() + day })
    clock.jump(30 * day)
    await relay.server.sweep()
    expect(heldByRelay(store)).toMatchObject({ owners: 1, entries: 1 })
    clock.jump(-30 * day)
    await relay.server.sweep()
    expect(heldByRelay(store).entries).toBe(1)
    clock.advance(2 * day)
    await relay.server.sweep()
    expect(heldByRelay(store).entries).toBe(0)
  })

  test('what a closed owner held goes in slices, and is counted until then', async () => {
    const { owner, sendKey } = await ownerWithQueue(relay, bob)
    const other = newKey()
    await relay.queues(owner, bob, { create: [other.publicKey] })
    for (const key of [sendKey, other, sendKey, other, sendKey]) await relay.deposit(key, eve)
    await relay.close(owner, bob)
    await relay.server.sweep()
    expect(heldByRelay(store)).toMatchObject({ owners: 0, queues: 0, entries: 0, bytes: 0 })
    clock.advance(second)
    expect(await relay.open(owner, bob)).toMatchObject({ ...done, bytes: 0, queues: 0 })
    await relay.queues(owner, bob, { create: [sendKey.publicKey] })
    expect(await relay.deposit(sendKey, eve)).toBe('stored')
    clock.advance(2 * day)
    await relay.server.sweep()
    expect(heldByRelay(store)).toMatchObject({ owners: 1, queues: 1, entries: 0, bytes: 0 })
  })
})

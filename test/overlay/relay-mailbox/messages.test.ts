import fc from 'fast-check'
import { expect, test, vi } from 'vitest'
import { systemRandom } from '../../../src/core/ambient.ts'
import { dhKeyPair } from '../../../src/core/crypto/dh.ts'
import { relayBodySizes } from '../../../src/core/delivery/relay-ports.ts'
import { MyceliumError } from '../../../src/core/errors.ts'
import type { GatewayId } from '../../../src/core/ids.ts'
import { limits } from '../../../src/core/limits.ts'
import {
  decodeRelayAnswer,
  decodeRelayRequest,
  encodeRelayAnswer,
  encodeRelayRequest,
  isSignedFor,
  type OpenProof,
  refusals,
  type RelayAnswer,
  type RelayRequest,
  type SignedRequest,
  signRelayRequest,
} from '../../../src/overlay/relay-mailbox/messages.ts'
import {
  type Deposit,
  isDepositSigned,
  openDeposit,
  outcomes,
  sealDeposit,
  signDeposit,
} from '../../../src/overlay/relay-mailbox/sealed.ts'
import {
  decodeWatchMessage,
  encodeWatchMessage,
  isHelloSigned,
  signHello,
  watchAnswerBytesMax,
  type WatchMessage,
  watchRequestBytesMax,
} from '../../../src/overlay/relay-mailbox/watch-messages.ts'
import { findWork, isWorkDone } from '../../../src/overlay/relay-mailbox/work.ts'
import { newGateway } from './direct.ts'
import { newKey, soon } from './support.ts'

const bytes = (length: number): fc.Arbitrary<Uint8Array> => fc.uint8Array({ minLength: length, maxLength: length })
const u64 = fc.nat(Number.MAX_SAFE_INTEGER)
/** Bytes as hex, so that a view equals what it is a view of. */
function plain(value: unknown): unknown {
  if (value instanceof Uint8Array) return Buffer.from(value).toString('hex')
  if (Array.isArray(value)) return value.map(plain)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([name, one]) => [name, plain(one)]))
}

const proof = fc.oneof<fc.Arbitrary<OpenProof>[]>(
  fc.constant({ kind: 'known' }),
  fc.record({ kind: fc.constant('capability'), capability: bytes(16) }),
  fc.record({ kind: fc.constant('work'), nonce: u64 }),
)
const request = fc.oneof<fc.Arbitrary<RelayRequest>[]>(
  fc.constant({ kind: 'describe' }),
  fc.record({ kind: fc.constant('open'), owner: bytes(32), atMs: u64, proof, signature: bytes(64) }),
  fc.record({
    kind: fc.constant('queues'),
    owner: bytes(32),
    atMs: u64,
    create: fc.array(bytes(32), { maxLength: 128 }),
    remove: fc.array(bytes(16), { maxLength: 128 }),
    signature: bytes(64),
  }),
  fc.record({ kind: fc.constant('deposit'), sealed: fc.uint8Array({ maxLength: 5000 }) }),
  fc.record({
    kind: fc.constant('forward'),
    gateway: fc.string({ maxLength: 20, unit: 'grapheme' }),
    locators: fc.array(fc.string({ maxLength: 60 }), { maxLength: 8 }),
    sealed: fc.uint8Array({ maxLength: 5000 }),
  }),
  fc.record({ kind: fc.constant('close'), owner: bytes(32), atMs: u64, signature: bytes(64) }),
)
const answer = fc.oneof<fc.Arbitrary<RelayAnswer>[]>(
  fc.record({
    kind: fc.constant('offer'),
    sealKey: bytes(32),
    workBits: fc.nat(255),
    known: fc.nat(1),
    bytesMax: u64,
    queuesMax: fc.nat(0xffff_ffff),
    holdMsMax: u64,
  }),
  fc.record({ kind: fc.constant('done'), bytes: u64, bytesMax: u64, queues: fc.nat(0xffff_ffff) }),
  fc.record({ kind: fc.constant('deposited'), outcome: fc.uint8Array({ maxLength: 64 }) }),
  fc.record({ kind: fc.constant('refused'), reason: fc.constantFrom(...refusals) }),
)
const watchMessage = fc.oneof<fc.Arbitrary<WatchMessage>[]>(
  fc.record({ kind: fc.constant('hello'), owner: bytes(32), atMs: u64, stay: fc.nat(1), signature: bytes(64) }),
  fc.record({
    kind: fc.constant('entry'),
    number: u64,
    receiveId: bytes(16),
    heldSinceMs: u64,
    body: fc.uint8Array({ maxLength: 5000 }),
  }),
  fc.record({ kind: fc.constant('taken'), numbers: fc.array(u64, { maxLength: 256 }) }),
  fc.constant({ kind: 'drained' }),
  fc.record({ kind: fc.constant('alive'), filler: bytes(8) }),
  fc.record({ kind: fc.constant('refused'), reason: fc.constantFrom(...refusals) }),
)

const codecs: readonly {
  readonly name: string
  readonly values: fc.Arbitrary<unknown>
  readonly write: (value: never) => Uint8Array
  readonly read: (encoded: Uint8Array) => unknown
}[] = [
  { name: 'requests', values: request, write: encodeRelayRequest, read: decodeRelayRequest },
  { name: 'answers', values: answer, write: encodeRelayAnswer, read: decodeRelayAnswer },
  {
    name: 'watch messages',
    values: watchMessage,
    write: (message) => encodeWatchMessage(message).subarray(4),
    read: decodeWatchMessage,
  },
]

test.each(codecs)('$name come back as they were', ({ values, write, read }) => {
  fc.assert(
    fc.property(values, (value) => {
      expect(plain(read(write(value as never)))).toEqual(plain(value))
    }),
  )
})

test.each(codecs)('$name: garbage, cuts and additions are errors, or are what they say', ({ values, write, read }) => {
  const refuses = (encoded: Uint8Array): void => {
    let value: unknown
    try {
      value = read(encoded)
    } catch (error) {
      expect(error).toBeInstanceOf(MyceliumError)
      return
    }
    expect(Buffer.from(write(value as never))).toEqual(Buffer.from(encoded))
  }
  fc.assert(fc.property(fc.uint8Array({ maxLength: 400 }), refuses))
  fc.assert(
    fc.property(values, fc.nat(), fc.nat(255), (value, at, octet) => {
      const encoded = write(value as never)
      refuses(encoded.slice(0, at % encoded.length))
      refuses(Uint8Array.from([...encoded, octet]))
      const changed = encoded.slice()
      changed[at % changed.length]! ^= octet
      refuses(changed)
    }),
  )
})

test('the largest request and the largest messages are within their bounds', () => {
  const sealed = new Uint8Array(relayBodySizes.at(-1)! + 168)
  const locators = Array.from({ length: limits.locatorsMax }, () => 'x'.repeat(limits.locatorOctetsMax))
  const forward = encodeRelayRequest({ kind: 'forward', gateway: newGateway(), locators, sealed })
  expect(forward.length).toBeLessThanOrEqual(limits.relayRequestBytesMax)
  const entry: WatchMessage = {
    kind: 'entry',
    number: 1,
    receiveId: new Uint8Array(16),
    heldSinceMs: 1,
    body: new Uint8Array(relayBodySizes.at(-1)!),
  }
  expect(encodeWatchMessage(entry).length - 4).toBe(watchAnswerBytesMax)
  const taken: WatchMessage = { kind: 'taken', numbers: Array.from({ length: limits.relayWatchTakenMax }, () => 1) }
  expect(encodeWatchMessage(taken).length - 4).toBe(watchRequestBytesMax)
  const smallest = { ...entry, body: new Uint8Array(relayBodySizes[0]) }
  expect(encodeWatchMessage({ kind: 'drained' }).length).toBe(encodeWatchMessage(smallest).length)
})

test('a signature is good for its kind, its relay and its octets only', () => {
  const owner = newKey()
  const relay = newGateway()
  const requests = [
    { kind: 'open', atMs: 5, proof: { kind: 'known' } },
    { kind: 'queues', atMs: 5, create: [new Uint8Array(32)], remove: [] },
    { kind: 'close', atMs: 5 },
  ] as const
  for (const one of requests) {
    const encoded = signRelayRequest(one, owner, relay)
    const signed = (octets: Uint8Array, at: GatewayId): boolean =>
      isSignedFor(at, decodeRelayRequest(octets) as SignedRequest, octets)
    expect(signed(encoded, relay)).toBe(true)
    expect(signed(encoded, newGateway())).toBe(false)
    for (const at of [1, 40, encoded.length - 1]) {
      const forged = encoded.slice()
      forged[at]! ^= 1
      expect(signed(forged, relay)).toBe(false)
    }
  }
})

test('a hello is good for one recipient at one relay', () => {
  const owner = newKey()
  const [relay, recipient] = [newGateway(), newGateway()]
  const message = decodeWatchMessage(signHello({ atMs: 5, stay: true }, owner, { relay, recipient }).subarray(4))
  if (message.kind !== 'hello') throw new Error('no hello')
  expect(isHelloSigned({ relay, recipient }, message)).toBe(true)
  expect(isHelloSigned({ relay, recipient: newGateway() }, message)).toBe(false)
  expect(isHelloSigned({ relay: newGateway(), recipient }, message)).toBe(false)
  expect(isHelloSigned({ relay, recipient }, { ...message, stay: 0 })).toBe(false)
  expect(isHelloSigned({ relay, recipient }, { ...message, atMs: 6 })).toBe(false)
})

const depositOf = (relay: GatewayId, body: Uint8Array): Deposit =>
  signDeposit(relay, newKey(), { entryId: systemRandom.bytes(16), expiresAtMs: 7, body })

test('only the relay opens a deposit, and only its sender reads the outcome', () => {
  const relay = newGateway()
  const [key, other] = [dhKeyPair(systemRandom.bytes(32)), dhKeyPair(systemRandom.bytes(32))]
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), fc.constantFrom(...outcomes), fc.nat(), (body, outcome, at) => {
      const deposit = depositOf(relay, body)
      const { sealed, readOutcome } = sealDeposit(key.publicKey, deposit, systemRandom)
      expect(openDeposit(other, sealed)).toBeUndefined()
      const opened = openDeposit(key, sealed)!
      expect(plain(opened.deposit)).toEqual(plain(deposit))
      expect(isDepositSigned(relay, opened.deposit)).toBe(true)
      expect(isDepositSigned(newGateway(), opened.deposit)).toBe(false)
      expect(isDepositSigned(relay, { ...opened.deposit, expiresAtMs: 8 })).toBe(false)
      expect(isDepositSigned(relay, { ...opened.deposit, body: Uint8Array.of(...body, 1) })).toBe(false)
      const answer = opened.sealOutcome(outcome)
      expect(readOutcome(answer)).toBe(outcome)
      expect(() => sealDeposit(key.publicKey, deposit, systemRandom).readOutcome(answer)).toThrow(MyceliumError)
      const changed = sealed.slice()
      changed[at % changed.length]! ^= 1
      expect(openDeposit(key, changed)).toBeUndefined()
      expect(openDeposit(key, sealed.subarray(0, at % sealed.length))).toBeUndefined()
    }),
    { numRuns: 50 },
  )
  fc.assert(fc.property(fc.uint8Array({ maxLength: 400 }), (garbage) => openDeposit(key, garbage) === undefined))
})

test('a deposit to a point of low order is refused, and so is one sealed with it', () => {
  const key = dhKeyPair(systemRandom.bytes(32))
  expect(() => sealDeposit(new Uint8Array(32), depositOf(newGateway(), new Uint8Array(1)), systemRandom)).toThrow(
    MyceliumError,
  )
  expect(openDeposit(key, new Uint8Array(400))).toBeUndefined()
})

test('work is found, is good for one relay, owner and time, and never holds the thread for long', async () => {
  const of = { relay: newGateway(), owner: newKey().publicKey, atMs: 1_700_000_000_000 }
  // a clock that goes on by a millisecond with each look at it
  let looks = 0
  const clock = vi.spyOn(performance, 'now').mockImplementation(() => (looks += 1))
  const looksPerTurn: number[] = []
  let before = 0
  const turn = (): void => {
    looksPerTurn.push(looks - before)
    before = looks
    turning = setImmediate(turn)
  }
  let turning = setImmediate(turn)
  const nonce = (await findWork(of, 14, soon(60_000)))!
  clearImmediate(turning)
  clock.mockRestore()
  expect(isWorkDone(of, nonce, 14)).toBe(true)
  expect(isWorkDone({ ...of, atMs: of.atMs + 1 }, nonce, 14)).toBe(false)
  expect(isWorkDone({ ...of, relay: newGateway() }, nonce, 14)).toBe(false)
  expect(Math.max(...looksPerTurn)).toBeLessThanOrEqual(limits.workSliceMs + 1)
  expect(looks).toBeGreaterThanOrEqual(Math.floor(nonce / 500)) // some 500 hashes take a millisecond
  await expect(findWork(of, 60, soon())).rejects.toMatchObject({ code: 'peer-misbehaved' })
  const signal = AbortSignal.timeout(30)
  await expect(findWork(of, 28, { signal })).rejects.toMatchObject({ name: 'TimeoutError' })
})

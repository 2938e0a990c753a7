/** Whose introductions count. */
import { expect, test } from 'vitest'
import { silentLog, systemRandom } from '../../../../src/core/ambient.ts'
import { toHex } from '../../../../src/core/bytes.ts'
import { sign, signingKey } from '../../../../src/core/crypto/sign.ts'
import type { FirstContact } from '../../../../src/core/delivery/first-contact.ts'
import type { Keyring } from '../../../../src/core/delivery/needs.ts'
import { type BodyContent, introductionContent, introductionLabel } from '../../../../src/core/delivery/relay/body.ts'
import { RelayBook } from '../../../../src/core/delivery/relay/book.ts'
import type { Depositor } from '../../../../src/core/delivery/relay/depositor.ts'
import { RelayIntroducer } from '../../../../src/core/delivery/relay/introducer.ts'
import type { GivenQueue } from '../../../../src/core/delivery/relay/queues.ts'
import type { Relays } from '../../../../src/core/delivery/relay-ports.ts'
import { SessionBook, takeOver } from '../../../../src/core/delivery/session-book.ts'
import { MyceliumError } from '../../../../src/core/errors.ts'
import type { DeviceId, GatewayId } from '../../../../src/core/ids.ts'
import { limits } from '../../../../src/core/limits.ts'
import { openMemoryStore } from '../../../support/memory-store.ts'
import { pair as sessionPair, seededRandom } from '../../session/support.ts'
import { account, contact, pair as deskPair } from './support.ts'

const nowMs = Date.UTC(2026, 10, 30)
const capability = Buffer.alloc(16, 9)
const signing = signingKey(Buffer.alloc(32, 7))
const device = toHex(signing.publicKey) as DeviceId
const pair = { ...deskPair, peerDevice: device }
const queueAt = (gateway: string): GivenQueue => ({
  relay: { gateway: gateway as GatewayId, locators: [] },
  sealKey: Buffer.alloc(32, 1),
  sendSeed: Buffer.alloc(32, 2),
  bodyKey: Buffer.alloc(32, 3),
})

type Introduction = Extract<BodyContent, { kind: 'introduction' }>
const introduction = (queues: readonly GivenQueue[], by = signing): Introduction => ({
  kind: 'introduction',
  identity: contact,
  capability,
  bundle: Buffer.from('bundle'),
  device,
  signature: sign(
    by,
    introductionLabel,
    introductionContent({ inviter: account, identity: contact, capability, queues }),
  ),
  queues,
})

function setUp() {
  const time = { ms: nowMs }
  const left: string[] = []
  const flights = { made: 0, isRelayUp: true }
  const ambient = {
    clock: { nowMs: () => time.ms, monotonicMs: () => time.ms },
    random: systemRandom,
    log: silentLog,
  }
  const store = openMemoryStore()
  const book = new RelayBook(store)
  const sessions = new SessionBook(store, ambient)
  const peer = { identity: contact, state: 'active', devices: [{ device }] }
  const introducer = new RelayIntroducer({
    store,
    book,
    sessions,
    ambient,
    relays: {} as Relays,
    keyring: {
      own: () => ({ party: { device: pair.device }, signing }),
      contact: () => peer,
      meet: () => peer,
    } as unknown as Keyring,
    firstContact: () =>
      ({
        flightFor: () => ({
          session: sessionPair(seededRandom(`flight ${(flights.made += 1)}`)).alice,
          request: Buffer.from(`flight ${flights.made}`),
        }),
      }) as unknown as FirstContact,
    here: () => ({ gateway: 'self' as GatewayId, locators: [] }),
    given: () => [queueAt('ours')],
    depositor: () =>
      ({
        leave: async (content: BodyContent) => {
          // it may be on the disk though nobody says so
          if (content.kind === 'flight') left.push(Buffer.from(content.request).toString())
          if (!flights.isRelayUp) throw new MyceliumError('unreachable')
          return await Promise.resolve(1)
        },
      }) as unknown as Depositor,
    carrierFor: () => undefined,
    isHidden: false,
  })
  const relaysOf = (): readonly string[] => (book.out(pair)?.queues ?? []).map(({ relay }) => relay.gateway as string)
  return { introducer, relaysOf, store, sessions, time, left, flights }
}

test('whoever holds a link and somebody’s bundle cannot say where mail for them is to go', async () => {
  const { introducer, relaysOf } = setUp()
  await introducer.introduced(account, introduction([queueAt('thief')], signingKey(Buffer.alloc(32, 8))))
  await introducer.introduced(account, { ...introduction([queueAt('home')]), queues: [queueAt('thief')] })
  expect(relaysOf()).toEqual([])
  await introducer.introduced(account, introduction([queueAt('home')]))
  expect(relaysOf()).toEqual(['home'])
})

test('where there is a session, an old introduction changes nothing about queues', async () => {
  const { introducer, relaysOf, store, sessions } = setUp()
  await introducer.introduced(account, introduction([queueAt('now')]))
  const { alice } = sessionPair(seededRandom('introduced'))
  await store.write((tx) => sessions.replace(tx, takeOver(undefined, pair, alice, { nowMs, reset: false })))
  await introducer.introduced(account, introduction([queueAt('before')]))
  expect(relaysOf()).toEqual(['now'])
})

test('a flight that is left again is the same one, whichever copy is answered; it is a new one when it is too old', async () => {
  const { introducer, time, left, flights, sessions, store } = setUp()
  const { signal } = new AbortController()
  flights.isRelayUp = false
  await introducer.offer(pair, signal)
  // nobody knows whether it lies there: its session is kept
  expect(store.read((tx) => sessions.offered(tx, pair))).toBeDefined()
  flights.isRelayUp = true
  await introducer.offer(pair, signal)
  await introducer.offer(pair, signal)
  time.ms += limits.relayLeaveAgainMs
  await introducer.offer(pair, signal)
  expect(left).toEqual(['flight 1', 'flight 1', 'flight 1'])
  time.ms += limits.messageExpiryMs
  await introducer.offer(pair, signal)
  expect(left.at(-1)).toBe('flight 2')
})

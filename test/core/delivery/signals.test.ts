/** Who types and who is there: told to those who may know, seldom, and forgotten when it is not said again. */
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { silentLog, systemRandom } from '../../../src/core/ambient.ts'
import { Conversations, idOfPartner } from '../../../src/core/conversation/conversations.ts'
import { onlyOwn } from '../../../src/core/conversation/history.ts'
import type { Item } from '../../../src/core/delivery/items.ts'
import type { Keyring, PeerContact } from '../../../src/core/delivery/needs.ts'
import { type Heard, Signals } from '../../../src/core/delivery/signals.ts'
import type { DeviceId, Identity } from '../../../src/core/ids.ts'
import { limits } from '../../../src/core/limits.ts'
import { openMemoryStore } from '../../support/memory-store.ts'

const [alice, bob, eve] = ['a', 'b', 'e'].map((digit) => digit.repeat(64) as Identity) as [Identity, Identity, Identity]
const device = 'd'.repeat(64) as DeviceId
const partner = { kind: 'direct', peer: bob } as const
const conversation = idOfPartner(alice, partner)

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

async function opened(tellsPresence: boolean) {
  const ambient = {
    clock: { nowMs: () => Date.now(), monotonicMs: () => Date.now() },
    random: systemRandom,
    log: silentLog,
  }
  const store = openMemoryStore()
  const conversations = new Conversations({ store, ambient, judge: onlyOwn })
  await store.write((tx) => {
    conversations.history.put(tx, alice, conversations.history.begin(tx, alice, conversation, partner))
    conversations.setSettings(tx, alice, { tellsPresence })
  })
  const people: readonly Pick<PeerContact, 'identity' | 'state'>[] = [
    { identity: bob, state: 'active' },
    { identity: eve, state: 'request' },
  ]
  const said: { readonly to: Identity; readonly item: Item }[] = []
  const heard: Heard[] = []
  const signals = new Signals({
    conversations,
    keyring: {
      contacts: () => people,
      contact: (_: Identity, who: Identity) => people.find(({ identity }) => identity === who),
    } as unknown as Keyring,
    ambient,
    membersOf: () => [],
    whisper: (_, to, item) => void said.push({ to, item }),
  })
  signals.watch((_, one) => void heard.push(one))
  const pairWith = (peer: Identity) => ({ account: alice, device, peer, peerDevice: device })
  return { signals, said, heard, pairWith, [Symbol.dispose]: () => signals[Symbol.dispose]() }
}

test('nothing is said by default, whatever clients tell', async () => {
  using scope = await opened(false)
  scope.signals.setAvailability(alice, 'available', 'xmpp')
  scope.signals.typing(alice, conversation, true)
  vi.advanceTimersByTime(10 * limits.presenceEveryMs)
  expect(scope.said).toEqual([])
})

test('where it is wanted, contacts hear who is there once in a round, and strangers never', async () => {
  using scope = await opened(true)
  for (const availability of ['available', 'away', 'available'] as const)
    scope.signals.setAvailability(alice, availability, 'xmpp')
  vi.advanceTimersByTime(2 * limits.presenceEveryMs)
  const available = { kind: 'signals', signals: [{ kind: 'presence', availability: 'available' }] }
  expect(scope.said).toEqual([
    { to: bob, item: available },
    { to: bob, item: available },
  ])
  scope.signals.setAvailability(alice, 'offline', 'xmpp')
  vi.advanceTimersByTime(5 * limits.presenceEveryMs)
  expect(scope.said).toHaveLength(3)
})

test('typing is told when it begins and ends, and not with every key', async () => {
  using scope = await opened(true)
  for (let key = 0; key < 20; key += 1) scope.signals.typing(alice, conversation, true)
  scope.signals.typing(alice, conversation, false)
  scope.signals.typing(alice, conversation, false)
  expect(scope.said.map(({ item }) => item.kind === 'signals' && item.signals[0])).toMatchObject([
    { kind: 'typing', place: { kind: 'direct', with: bob }, isOn: true },
    { kind: 'typing', isOn: false },
  ])
})

test('what others say is heard once for each change, ends by itself, and counts from contacts only', async () => {
  using scope = await opened(false)
  const { signals, heard, pairWith } = scope
  const available = [{ kind: 'presence', availability: 'available' }] as const
  signals.received(pairWith(bob), available)
  signals.received(pairWith(bob), available)
  signals.received(pairWith(eve), available)
  signals.received(pairWith(bob), [{ kind: 'typing', place: { kind: 'direct', with: alice }, isOn: true }])
  // said of a conversation with somebody else
  signals.received(pairWith(bob), [{ kind: 'typing', place: { kind: 'direct', with: eve }, isOn: true }])
  expect(heard).toEqual([
    { kind: 'presence', who: bob, availability: 'available' },
    { kind: 'typing', conversation, who: bob, isOn: true },
  ])
  expect(signals.availabilityOf(alice, bob)).toBe('available')
  vi.advanceTimersByTime(5 * limits.presenceEveryMs)
  expect(signals.availabilityOf(alice, bob)).toBe('offline')
  expect(heard.at(-1)).toEqual({ kind: 'presence', who: bob, availability: 'offline' })
})

/** Mail that is handed over now to leave later (RFC 4865). */
import { afterEach, beforeEach, expect, test } from 'vitest'
import { type Ambient, type Clock, silentLog, systemClock, systemRandom } from '../../src/core/ambient.ts'
import type { SubmissionRecipient } from '../../src/core/delivery/submission.ts'
import type { Address } from '../../src/core/ids.ts'
import { limits } from '../../src/core/limits.ts'
import { tables } from '../../src/core/store/tables.ts'
import { createAccount } from '../../src/operations/accounts.ts'
import { openWorld, type TestGateway } from '../support/world.ts'

const dayMs = 24 * 3600_000
const ambient: Ambient = { clock: systemClock, random: systemRandom, log: silentLog }
const long = Array.from({ length: 4000 }, (_, line) => `line ${line} of a long letter`).join('\r\n')
const adjustable = limits as Record<keyof typeof limits, number>
const { heldLookMs } = limits
beforeEach(() => void (adjustable.heldLookMs = 50))
afterEach(() => void (adjustable.heldLookMs = heldLookMs))

function movedClock() {
  let aheadMs = 0
  const clock: Clock = { nowMs: () => Date.now() + aheadMs, monotonicMs: () => performance.now() }
  return { ambient: { ...ambient, clock }, clock, advance: (ms: number) => void (aheadMs += ms) }
}

async function submitHeld(
  { node, account, address }: TestGateway,
  to: readonly (Address | SubmissionRecipient)[],
  text: string,
  holdUntilMs: number,
): Promise<void> {
  const raw = Buffer.from(`From: <${address}>\r\nSubject: later\r\n\r\n${text}\r\n`)
  async function* body(): AsyncGenerator<Uint8Array> {
    yield raw
  }
  const recipients = to.map((one) => (typeof one === 'string' ? { address: one } : one))
  await node.delivery.submitter.submit(account, { from: address, recipients, body: body(), holdUntilMs })
}

async function friends(world: Awaited<ReturnType<typeof openWorld>>) {
  const alice = await world.gateway('alice')
  const bob = await world.gateway('bob')
  await world.introduce(alice, bob)
  await bob.submit(alice.address, 'first')
  await expect.poll(() => alice.read()).toEqual(['first'])
  await isIdle(bob)
  return { alice, bob }
}

const isIdle = ({ node }: TestGateway) => expect.poll(() => node.delivery.isIdle()).toBe(true)
const servedBlobs = ({ knowledge: { store } }: TestGateway): number =>
  store.read((tx) => [...tx.keys(tables.servedBlobs, {})].length)

async function addCarol({ knowledge }: TestGateway): Promise<Address> {
  await createAccount(knowledge, ambient, { localName: 'carol', address: undefined, displayName: undefined })
  return knowledge.accounts.byUser('carol')!.address
}

function inboxOfCarol({ knowledge: { accounts, mailboxes } }: TestGateway): number {
  return mailboxes.byName(accounts.byUser('carol')!.identity, 'INBOX')!.messages
}

test.each([
  ['short', 'later'],
  ['long', long],
])('a %s mail is in Sent at once, and with everybody when its time has come', async (_, text) => {
  const { ambient, clock, advance } = movedClock()
  await using world = await openWorld(ambient)
  const { alice, bob } = await friends(world)
  const carol = await addCarol(bob)
  const untilMs = clock.nowMs() + dayMs
  await submitHeld(bob, [alice.address, carol], text, untilMs)

  expect((await bob.read('Sent')).at(-1)).toBe(text)
  expect(bob.node.delivery.waiting().map(({ heldUntilMs, ref }) => [heldUntilMs, ref.address])).toEqual([
    [untilMs, alice.address],
    [untilMs, carol],
  ])
  expect(bob.node.delivery.queued()).toBe(2)
  expect(await alice.read()).toEqual(['first'])
  expect(inboxOfCarol(bob)).toBe(0)

  advance(dayMs)
  await expect.poll(() => alice.read()).toEqual(['first', text])
  await expect.poll(() => inboxOfCarol(bob)).toBe(1)
  await isIdle(bob)
  await expect.poll(() => servedBlobs(bob)).toBe(0)
})

test('mail whose time comes while the gateway is off leaves when it runs again', async () => {
  const { ambient, clock, advance } = movedClock()
  await using world = await openWorld(ambient)
  const { alice, bob } = await friends(world)
  await submitHeld(bob, [alice.address], 'soon', clock.nowMs() + dayMs)
  await submitHeld(bob, [alice.address], 'much later', clock.nowMs() + 2 * dayMs)
  await bob.stop()
  advance(dayMs)
  const again = await world.gateway('bob')
  await expect.poll(() => alice.read()).toEqual(['first', 'soon'])
  await expect.poll(() => again.node.delivery.waiting().length).toBe(1)
  expect(again.node.delivery.waiting()).toMatchObject([{ ref: { address: alice.address } }])
})

test('it is tried for its whole time from when it has left, however late that is', async () => {
  const { ambient, clock, advance } = movedClock()
  await using world = await openWorld(ambient)
  const { alice, bob } = await friends(world)
  const untilMs = clock.nowMs() + dayMs
  await submitHeld(bob, [alice.address], 'at last', untilMs)
  const expiresAtMs = bob.node.delivery.waiting()[0]!.ref.expiresAtMs
  expect(expiresAtMs).toBe(untilMs + 21 * dayMs)

  await bob.stop()
  world.network.partition('alice', 'bob')
  advance(2 * dayMs)
  const again = await world.gateway('bob')
  await expect.poll(() => again.node.delivery.waiting()[0]?.heldUntilMs).toBeUndefined()
  const [waiting] = again.node.delivery.waiting()
  expect(waiting!.ref.expiresAtMs).toBeGreaterThanOrEqual(untilMs + 22 * dayMs)
  world.network.heal('alice', 'bob')
  again.node.delivery.retry()
  await expect.poll(() => alice.read()).toEqual(['first', 'at last'])
})

test('it can be taken back from one recipient or from all', async () => {
  const { ambient, clock, advance } = movedClock()
  await using world = await openWorld(ambient)
  const { alice, bob } = await friends(world)
  const carol = await addCarol(bob)
  await submitHeld(bob, [alice.address, carol], long, clock.nowMs() + dayMs)
  await submitHeld(bob, [alice.address], 'a second one', clock.nowMs() + dayMs)
  const { delivery } = bob.node
  for (const waiting of delivery.waiting()) {
    if (waiting.ref.address !== alice.address) continue
    expect(await delivery.cancel(waiting)).toBe(true)
    expect(await delivery.cancel(waiting)).toBe(false)
  }
  expect(delivery.waiting()).toMatchObject([{ ref: { address: carol } }])
  advance(dayMs)
  await expect.poll(() => inboxOfCarol(bob)).toBe(1)
  await isIdle(bob)
  expect(await alice.read()).toEqual(['first'])
  await expect.poll(() => servedBlobs(bob)).toBe(0)
})

test('a recipient who is no contact any more when it is to leave is reported, and the others get it', async () => {
  const { ambient, clock, advance } = movedClock()
  await using world = await openWorld(ambient)
  const { alice, bob } = await friends(world)
  const carol = await addCarol(bob)
  await submitHeld(bob, [alice.address, carol], 'hello', clock.nowMs() + dayMs)
  await bob.knowledge.store.write((tx) => bob.knowledge.contacts.using(tx).block(bob.account, alice.account))
  advance(dayMs)
  await expect.poll(() => inboxOfCarol(bob)).toBe(1)
  const [report] = await bob.read()
  expect(report).toContain(`Final-Recipient: rfc822; ${alice.address}\r\n`)
  expect(report).toContain('Action: failed\r\nStatus: 5.7.1\r\n')
  expect(bob.node.delivery.isIdle()).toBe(true)
  expect(await alice.read()).toEqual(['first'])
})

test('an address that leads nowhere is refused when it is handed over', async () => {
  await using world = await openWorld()
  const { bob } = await friends(world)
  const sent = submitHeld(bob, ['nobody@nowhere.myc' as Address], 'x', Date.now() + dayMs)
  await expect(sent).rejects.toMatchObject({ code: 'no-such-recipient' })
  expect(bob.node.delivery.isIdle()).toBe(true)
})

/** Strangers: who gets in, where what they write goes, and what a crowd of them cannot do. */
import { expect, test } from 'vitest'
import { systemRandom } from '../../src/core/ambient.ts'
import { doWork } from '../../src/core/crypto/work.ts'
import { readWorkDemand, workLabel } from '../../src/core/delivery/asks.ts'
import type { GatewayAddress, Overlay } from '../../src/core/delivery/ports.ts'
import type { Address } from '../../src/core/ids.ts'
import { parseInvitation } from '../../src/core/identity/invitation.ts'
import { verifyBundle } from '../../src/core/identity/bundle.ts'
import { limits } from '../../src/core/limits.ts'
import { tables } from '../../src/core/store/tables.ts'
import { askOf, freshFlight, hearOf, targetOf } from '../support/strangers.ts'
import { openWorld, type TestGateway, type World } from '../support/world.ts'

const texts = (gateway: TestGateway, mailbox?: string) => expect.poll(() => gateway.read(mailbox))
const later = async (ms: number) => await new Promise((resolve) => setTimeout(resolve, ms))
const change = async (
  { knowledge: { contacts, store }, account }: TestGateway,
  what: 'accept' | 'block' | 'unblock',
  whom: TestGateway,
) => await store.write((tx) => contacts.using(tx)[what](account, whom.account))
const loseSessions = async ({ knowledge: { store }, node: { delivery }, account }: TestGateway) =>
  await store.write((tx) => delivery.retireSessions(tx, account))
const waiting = ({ knowledge: { contacts }, account }: TestGateway) => contacts.requests(account).length

async function aliceAndStranger(world: World) {
  const alice = await world.gateway('alice')
  const carol = await world.gateway('carol')
  await hearOf(carol, alice)
  await carol.submit(alice.address, 'hello')
  await texts(alice, 'Requests').toEqual(['hello'])
  return { alice, carol }
}

test('a stranger writes to Requests with one notice; once accepted, to the inbox, also after a restart', async () => {
  await using world = await openWorld()
  const { alice, carol } = await aliceAndStranger(world)
  await carol.submit(alice.address, 'are you there?')
  await texts(alice, 'Requests').toEqual(['hello', 'are you there?'])
  const [notice, ...more] = await alice.read()
  expect(more).toEqual([])
  expect(notice).toContain(`contact accept ${carol.account.slice(0, 16)}`)

  await alice.stop()
  const again = await world.gateway('alice')
  expect(waiting(again)).toBe(1)
  await change(again, 'accept', carol)
  await carol.submit(alice.address, 'thank you')
  await texts(again).toEqual([notice, 'thank you'])
  await again.submit(carol.address, 'welcome')
  await texts(carol).toEqual(['welcome'])
  expect(await again.read('Requests')).toEqual(['hello', 'are you there?'])
})

test('a stranger who was blocked hears nothing and is not heard, whatever it tries, until it is unblocked', async () => {
  await using world = await openWorld()
  const { alice, carol } = await aliceAndStranger(world)
  const notices = await alice.read()
  await change(alice, 'block', carol)
  await carol.submit(alice.address, 'why not?')
  await later(1000)
  await carol.stop()
  const back = await world.gateway('carol')
  await later(1500)
  await alice.stop()
  const again = await world.gateway('alice')
  back.node.delivery.retry()
  await later(1500)
  expect(await again.read()).toEqual(notices)
  expect(await again.read('Requests')).toEqual(['hello'])
  expect(await back.read()).toEqual([])
  expect(back.node.delivery.queued()).toBe(1)
  expect(waiting(again)).toBe(0)

  await change(again, 'unblock', back)
  await loseSessions(back)
  back.node.delivery.retry()
  await texts(again, 'Requests').toEqual(['hello', 'why not?'])
  expect(await again.read()).toEqual(notices)
})

test('an invitation that was used or has expired brings no more than a request', async () => {
  await using world = await openWorld()
  const alice = await world.gateway('alice')
  const at = { gateway: alice.node.overlay.self, locators: alice.node.overlay.locators() }
  const { link } = await alice.knowledge.invitations.create(alice.knowledge.accounts.get(alice.account), at)
  const accept = async ({ knowledge: { contacts, store }, account }: TestGateway) =>
    await store.write((tx) => contacts.using(tx).addPending(account, parseInvitation(link)))
  const bob = await world.gateway('bob')
  await accept(bob)
  await bob.submit(alice.address, 'invited')
  await texts(alice).toEqual(['invited'])
  const carol = await world.gateway('carol')
  await accept(carol)
  await carol.submit(alice.address, 'second')
  await hearOf(carol, alice) // the bundle is not to be had with it any more, and comes from elsewhere
  carol.node.delivery.retry()
  await texts(alice, 'Requests').toEqual(['second'])
  expect(alice.knowledge.contacts.byIdentity(alice.account, carol.account)?.state).toBe('request')
})

/** A gateway without an account that asks what it likes. */
async function hostileGateway(world: World, name: string): Promise<Overlay> {
  const overlay = await world.network.join(name)
  const refuse = async () => undefined
  overlay.serve({
    onLink: () => {},
    onReachable: () => {},
    onLocatorsChanged: () => {},
    answer: { bundle: refuse, handshake: refuse, blob: refuse, device: refuse },
  })
  return overlay
}

const addressOf = ({ node: { overlay } }: TestGateway): GatewayAddress => ({
  gateway: overlay.self,
  locators: overlay.locators(),
})

/** Sends flights of so many fresh identities, without work or with what is demanded. @returns how many were taken */
async function flood(
  from: Overlay,
  to: TestGateway,
  { count, works }: { readonly count: number; readonly works: boolean },
): Promise<number> {
  const at = addressOf(to)
  const bundle = verifyBundle(to.knowledge.people.bundle(to.account, at), to.account, Date.now())
  const target = targetOf(bundle, Date.now())
  const signal = AbortSignal.timeout(60_000)
  let taken = 0
  for (let number = 0; number < count; number += 1) {
    const made = freshFlight(target, `s${number}@hostile.example` as Address, systemRandom, Date.now())
    const ask = async (request: Uint8Array) =>
      await from.ask(at, 'handshake', request, { signal, answerBytesMax: 4096 }).catch(() => undefined)
    let answer = await ask(askOf(target, made))
    const demand = answer && readWorkDemand(answer)
    if (works && demand !== undefined) {
      const { salt, bits } = demand
      answer = await ask(
        askOf(target, made, { salt, nonce: await doWork(workLabel, [salt, made.flightKey], { bits, signal }) }),
      )
    }
    if (answer !== undefined && readWorkDemand(answer) === undefined) taken += 1
  }
  return taken
}

const rows = ({ knowledge: { store } }: TestGateway) =>
  store.read((tx) =>
    [tables.contacts, tables.sessions, tables.handshakes, tables.requests].map(
      (table) => [...tx.keys(table, {})].length,
    ),
  )

test('a flood of fresh identities is asked for work after a few, and changes nothing for contacts and invited ones', async () => {
  await using world = await openWorld()
  const alice = await world.gateway('alice')
  const bob = await world.gateway('bob')
  await world.introduce(alice, bob)
  await bob.submit(alice.address, 'first')
  await texts(alice).toEqual(['first'])
  const hostile = await hostileGateway(world, 'hostile')
  const taken = await flood(hostile, alice, { count: 200, works: false })
  expect(taken).toBeLessThanOrEqual(limits.sourceFlightsBurst + 20)
  expect(waiting(alice)).toBe(taken)
  expect(rows(alice)).toEqual([taken + 1, taken + 1, taken + 1, taken])

  // a contact who lost its session shakes hands again, and somebody with an invitation comes in
  await loseSessions(alice)
  await loseSessions(bob)
  world.network.disconnect('alice', 'bob')
  await bob.submit(alice.address, 'second')
  const dora = await world.gateway('dora')
  await world.introduce(alice, dora)
  await dora.submit(alice.address, 'invited')
  await texts(alice).toEqual(expect.arrayContaining(['first', 'second', 'invited']))

  // an honest stranger does the work without being told to
  const carol = await world.gateway('carol')
  await hearOf(carol, alice)
  await carol.submit(alice.address, 'honest')
  await texts(alice, 'Requests').toEqual(['honest'])
})

test('strangers who work for it get in, and of one that is gone nothing stays', async () => {
  await using world = await openWorld()
  const alice = await world.gateway('alice')
  const hostile = await hostileGateway(world, 'hostile')
  const taken = await flood(hostile, alice, { count: 12, works: true })
  expect(taken).toBeGreaterThan(limits.sourceFlightsBurst)
  expect(waiting(alice)).toBe(taken)
  const [contacts, sessions, handshakes, requests] = rows(alice)
  expect([contacts, sessions, handshakes, requests]).toEqual([taken, taken, taken, taken])
  const { store, contacts: known, requests: list } = alice.knowledge
  const before = known.requests(alice.account)
  const gone = before[0]!.identity
  await store.write((tx) => known.using(tx).remove(alice.account, gone))
  await expect.poll(() => rows(alice)[1]).toBe(taken - 1)
  expect(list.count(alice.account)).toBe(taken - 1)
})

test('many strangers bring a few notices and then one for all others', async () => {
  await using world = await openWorld()
  const alice = await world.gateway('alice')
  const many = limits.requestNoticesMax + 3
  for (let number = 0; number < many; number += 1) {
    const stranger = await world.gateway(`stranger-${number}`)
    await hearOf(stranger, alice)
    await stranger.submit(alice.address, `from ${number}`)
    await expect.poll(async () => (await alice.read('Requests')).length).toBe(number + 1)
    await stranger.stop()
  }
  const notices = await alice.read()
  expect(notices).toHaveLength(limits.requestNoticesMax + 1)
  expect(notices.at(-1)).toContain('no further notices')
}, 60_000)

test('what a stranger may send before it is let in is bounded in number and size, a first letter always fits', async () => {
  await using world = await openWorld()
  const { alice, carol } = await aliceAndStranger(world)
  for (let number = 1; number < limits.strangerMailsMax + 2; number += 1) await carol.submit(alice.address, `${number}`)
  await expect.poll(async () => (await carol.read()).join()).toMatch(/no room left/)
  expect(await alice.read('Requests')).toHaveLength(limits.strangerMailsMax)
  expect(await alice.read()).toHaveLength(1)
}, 40_000)

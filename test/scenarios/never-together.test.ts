/** Two people whose gateways are never on at the same time: invitation, first contact and mail both ways, over a relay alone. */
import { expect, test } from 'vitest'
import { parseInvitation } from '../../src/core/identity/invitation.ts'
import { tables } from '../../src/core/store/tables.ts'
import { heldByRelay } from '../../src/overlay/relay-mailbox/grants.ts'
import { openWorld, type TestGateway, type World } from '../support/world.ts'

const within = { timeout: 20_000, interval: 50 }
const friendly = { isKnown: () => true }

const entriesAt = (relay: TestGateway): number => heldByRelay(relay.knowledge.store).entries
const usesRelay = (gateway: TestGateway): boolean =>
  gateway.node.delivery.relays!.inUse(gateway.account).some(({ watching }) => watching?.state === 'watching')

/** It has made a first flight for somebody who is not there. */
const hasOffered = ({ knowledge }: TestGateway): boolean =>
  knowledge.store.read((tx) => [...tx.keys(tables.relayFlights, {})].length > 0)

/** As `invite create` makes it: it leads to the relays in use. */
async function invite({ node, knowledge, account }: TestGateway): Promise<string> {
  const relays = node.delivery.relays!
  const at = {
    gateway: node.overlay.self,
    locators: [...node.overlay.locators(), ...relays.locatorsThrough(account)],
  }
  const { link } = await knowledge.invitations.create(knowledge.accounts.get(account), at)
  await relays.invited(account, parseInvitation(link).capability)
  return link
}

async function accept({ knowledge, account }: TestGateway, link: string): Promise<void> {
  await knowledge.store.write((tx) => knowledge.contacts.using(tx).addPending(account, parseInvitation(link)))
}

/** One of the two is on until the relay has something new, and off again. */
async function turnOf(
  world: World,
  name: string,
  relay: TestGateway,
  work: (gateway: TestGateway) => Promise<void>,
): Promise<void> {
  const gateway = await world.gateway(name, { relays: [relay] })
  await work(gateway)
  await expect.poll(() => gateway.node.delivery.relays!.isQuiet(), within).toBe(true)
  await gateway.stop()
}

test(
  'an invitation is accepted, and mail goes both ways, though the two gateways are never on together',
  { timeout: 90_000 },
  async () => {
    await using world = await openWorld()
    const relay = await world.gateway('relay', { relay: friendly })
    let link = ''
    let alice = ''
    await turnOf(world, 'alice', relay, async (gateway) => {
      await expect.poll(() => usesRelay(gateway), within).toBe(true)
      link = await invite(gateway)
      alice = gateway.address
    })
    await turnOf(world, 'bob', relay, async (gateway) => {
      await expect.poll(() => usesRelay(gateway), within).toBe(true)
      await accept(gateway, link)
      await gateway.submit(alice, 'hello from Bob')
      await expect.poll(() => entriesAt(relay), within).toBe(1)
    })
    let bob = ''
    await turnOf(world, 'alice', relay, async (gateway) => {
      const contacts = (): readonly string[] =>
        gateway.knowledge.contacts
          .list(gateway.account)
          .flatMap(({ addresses }) => addresses.map(({ address }) => address))
      await expect.poll(contacts, within).toHaveLength(1)
      bob = contacts()[0]!
      // Bob's introduction is taken, and a flight to him is there
      await expect.poll(() => hasOffered(gateway), within).toBe(true)
      await expect.poll(() => entriesAt(relay), within).toBe(1)
      await gateway.submit(bob, 'hello from Alice')
    })
    await turnOf(world, 'bob', relay, async (gateway) => {
      // the flight is taken; the answer, his mail and what he tells of his queues wait for her
      await expect.poll(() => gateway.node.delivery.waiting()[0]?.atRelays?.count, within).toBe(1)
    })
    await turnOf(world, 'alice', relay, async (gateway) => {
      await expect.poll(() => gateway.read(), within).toContain('hello from Bob')
      await expect.poll(() => gateway.node.delivery.waiting()[0]?.atRelays?.count, within).toBe(1)
    })
    await turnOf(world, 'bob', relay, async (gateway) => {
      await expect.poll(() => gateway.read(), within).toContain('hello from Alice')
      await expect.poll(() => gateway.node.delivery.waiting().length, within).toBe(0)
    })
  },
)

test('what is shown to contacts comes over a relay too', { timeout: 120_000 }, async () => {
  await using world = await openWorld()
  const relay = await world.gateway('relay', { relay: friendly })
  const alice = await world.gateway('alice', { relays: [relay] })
  const bob = await world.gateway('bob', { relays: [relay] })
  await world.introduce(alice, bob)
  for (const one of [alice, bob]) await expect.poll(() => usesRelay(one), within).toBe(true)
  await bob.submit(alice.address, 'hello')
  await expect.poll(() => alice.read(), within).toEqual(['hello'])
  for (const one of [alice, bob]) await expect.poll(() => one.node.delivery.relays!.isQuiet(), within).toBe(true)
  await bob.stop()
  await alice.knowledge.store.write((tx) =>
    alice.node.delivery.profiles.show(tx, alice.account, 'nick', [
      { id: 'current', atMs: 1, value: Buffer.from('Ali') },
    ]),
  )
  await alice.stop()
  let seen: readonly string[] = []
  // a list, a question and an answer, each left by one who is alone
  for (let round = 0; round < 4 && seen.length === 0; round += 1)
    for (const name of ['alice', 'bob'])
      await turnOf(world, name, relay, async (gateway) => {
        await expect.poll(() => usesRelay(gateway), within).toBe(true)
        await new Promise((resolve) => setTimeout(resolve, 2000))
        seen = gateway.node.delivery.profiles.of(gateway.account, alice.account).map(({ topic }) => topic)
        if (name === 'alice') seen = []
      })
  expect(seen).toEqual(['nick'])
})

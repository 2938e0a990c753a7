/** Mail over relays: who is away, who is gone afterwards, and relays that die or do not keep what they take. */
import { expect, test } from 'vitest'
import type { Overlay } from '../../src/core/delivery/ports.ts'
import type { Relays } from '../../src/core/delivery/relay-ports.ts'
import { openWorld, type TestGateway, type World } from '../support/world.ts'

const within = { timeout: 20_000, interval: 50 }
const patient = 60_000
/** Relays that know everybody: nobody has to work for them. */
const friendly = { isKnown: () => true }

/** Alice and Bob are contacts with these relays, and each knows the other's queues. */
async function acquainted(
  world: World,
  relays: readonly TestGateway[],
): Promise<{ readonly alice: TestGateway; readonly bob: TestGateway }> {
  const alice = await world.gateway('alice', { relays })
  const bob = await world.gateway('bob', { relays })
  await world.introduce(alice, bob)
  await alice.submit(bob.address, 'first').catch(() => {})
  await expect.poll(() => knowsQueues(alice, bob, relays.length), within).toBe(true)
  await expect.poll(() => knowsQueues(bob, alice, relays.length), within).toBe(true)
  return { alice, bob }
}

/** Whether mail of the one would find this many relays of the other. */
function knowsQueues(one: TestGateway, other: TestGateway, count: number): boolean {
  return one.node.delivery.relays!.queuesOf(one.account, other.account) === count
}

const atRelays = (gateway: TestGateway): number =>
  Math.min(...gateway.node.delivery.waiting().map((waiting) => waiting.atRelays?.count ?? 0))
const waits = (gateway: TestGateway): number => gateway.node.delivery.waiting().length

test(
  'mail to somebody who is away waits at relays, and arrives though its sender is gone',
  { timeout: patient },
  async () => {
    await using world = await openWorld()
    const relay = await world.gateway('relay', { relay: friendly })
    const { alice, bob } = await acquainted(world, [relay])
    await bob.stop()
    await alice.submit(bob.address, 'while you were away')
    await expect.poll(() => atRelays(alice), within).toBe(1)
    await alice.stop()

    const back = await world.gateway('bob', { relays: [relay] })
    await expect.poll(() => back.read(), within).toContain('while you were away')
    await expect.poll(() => back.node.delivery.relays!.isQuiet(), within).toBe(true)
    await back.stop()

    // the answer waited at a relay too
    const again = await world.gateway('alice', { relays: [relay] })
    await expect.poll(() => waits(again), within).toBe(0)
  },
)

test('one relay of three is enough, the sender and two relays being dead', { timeout: patient }, async () => {
  await using world = await openWorld()
  const relays = await Promise.all(['r1', 'r2', 'r3'].map((name) => world.gateway(name, { relay: friendly })))
  const { alice, bob } = await acquainted(world, relays)
  await bob.stop()
  const long = 'x'.repeat(200_000)
  await alice.submit(bob.address, 'short')
  await alice.submit(bob.address, long)
  await expect.poll(() => atRelays(alice), within).toBe(3)
  await alice.stop()
  await relays[0]!.stop()
  await relays[1]!.stop()
  const back = await world.gateway('bob', { relays })
  await expect.poll(async () => (await back.read()).length, within).toBeGreaterThanOrEqual(2)
  const inbox = await back.read()
  expect(inbox.filter((text) => text === 'short')).toHaveLength(1)
  expect(inbox.filter((text) => text === long)).toHaveLength(1)
})

test('mail that went to relays and then over a link is shown once', { timeout: patient }, async () => {
  await using world = await openWorld()
  const relays = await Promise.all(['r1', 'r2', 'r3'].map((name) => world.gateway(name, { relay: friendly })))
  const { alice, bob } = await acquainted(world, relays)
  world.network.partition('alice', 'bob')
  const texts = Array.from({ length: 40 }, (_, index) => `mail ${index}`)
  for (const text of texts.slice(0, 20)) await alice.submit(bob.address, text)
  await expect.poll(() => waits(alice), within).toBe(0)
  world.network.heal('alice', 'bob')
  for (const text of texts.slice(20)) await alice.submit(bob.address, text)
  await expect.poll(() => waits(alice), within).toBe(0)
  const inbox = (await bob.read()).filter((text) => text !== 'first')
  expect(inbox.toSorted()).toEqual(texts.toSorted())
})

test('what lies at relays is not left there again after a restart', { timeout: patient }, async () => {
  await using world = await openWorld()
  const relay = await world.gateway('relay', { relay: friendly })
  const { alice, bob } = await acquainted(world, [relay])
  await bob.stop()
  await alice.submit(bob.address, 'once')
  await expect.poll(() => atRelays(alice), within).toBe(1)
  await alice.stop()
  let deposits = 0
  const counting = (overlay: Overlay): Overlay =>
    withRelays(overlay, (relays) => ({
      deposit: async (...args: Parameters<Relays['deposit']>) => {
        deposits += 1
        return await relays.deposit(...args)
      },
    }))
  const again = await world.gateway('alice', { relays: [relay], wrap: counting })
  await again.submit(bob.address, 'another')
  await expect.poll(() => atRelays(again), within).toBe(1)
  expect(deposits).toBe(1)
})

test('a relay that does not give back what it took is noticed and replaced', { timeout: patient }, async () => {
  await using world = await openWorld()
  const relays = await Promise.all(['r1', 'r2', 'r3', 'r4'].map((name) => world.gateway(name, { relay: friendly })))
  const [r1, r2, r3, r4] = relays as [TestGateway, TestGateway, TestGateway, TestGateway]
  const senders = [
    await world.gateway('alice', { relays: [r1, r2, r3] }),
    await world.gateway('carol', { relays: [r1, r2, r3] }),
  ]
  let dropped = 0
  /** The first relay loses each second entry. */
  const losing = (overlay: Overlay): Overlay =>
    withRelays(overlay, (real) => ({
      watch: async (at, owner, handlers, options) =>
        await real.watch(
          at,
          owner,
          {
            ...handlers,
            onEntries: async (entries) => {
              if (at.gateway !== r1.node.overlay.self) return await handlers.onEntries(entries)
              const kept = entries.filter(() => (dropped += 1) % 2 === 0)
              if (kept.length > 0) await handlers.onEntries(kept)
              return entries.map(({ number }) => number)
            },
          },
          options,
        ),
    }))
  const bob = await world.gateway('bob', { relays: [r1, r2, r3, r4], wrap: losing })
  const inUse = (): readonly string[] =>
    bob.node.delivery
      .relays!.inUse(bob.account)
      .filter(({ choice }) => choice.retiredAtMs === 0)
      .map(({ choice }) => choice.relay.gateway)
  for (const sender of senders) {
    await world.introduce(sender, bob)
    await expect.poll(() => knowsQueues(sender, bob, 3), within).toBe(true)
    world.network.partition(sender.name, 'bob')
  }
  for (const sender of senders) {
    for (const text of Array.from({ length: 8 }, (_, index) => `mail ${index} of ${sender.name}`)) {
      await sender.submit(bob.address, text)
      await expect.poll(() => bob.read(), within).toContain(text)
    }
    // the word of one contact is not enough
    if (sender === senders[0]) expect(inUse()).toContain(r1.node.overlay.self)
  }
  await expect.poll(inUse, within).not.toContain(r1.node.overlay.self)
  expect(inUse()).toContain(r4.node.overlay.self)
})

test(
  'mail goes to the recipient’s relay through the sender’s own, which alone sees the sender',
  { timeout: patient },
  async () => {
    await using world = await openWorld()
    const mine = await world.gateway('mine', { relay: friendly })
    const theirs = await world.gateway('theirs', { relay: friendly })
    const alice = await world.gateway('alice', { relays: [mine], isHidden: true })
    const bob = await world.gateway('bob', { relays: [theirs] })
    await world.introduce(alice, bob)
    await alice.submit(bob.address, 'first').catch(() => {})
    await expect.poll(() => knowsQueues(alice, bob, 1), within).toBe(true)
    await bob.stop()
    await alice.submit(bob.address, 'from I do not say where')
    await expect.poll(() => atRelays(alice), within).toBe(1)
    const seen = (gateway: TestGateway): readonly string[] => gateway.node.overlay.peers().map((peer) => peer.gateway)
    expect(seen(theirs)).toContain(mine.node.overlay.self)
    expect(seen(theirs)).not.toContain(alice.node.overlay.self)
    await alice.stop()
    const back = await world.gateway('bob', { relays: [theirs] })
    await expect.poll(() => back.read(), within).toContain('from I do not say where')
  },
)

test('who is to stay hidden and has no relay of its own leaves nothing at others’', { timeout: patient }, async () => {
  await using world = await openWorld()
  const theirs = await world.gateway('theirs', { relay: friendly })
  const alice = await world.gateway('alice', { isHidden: true })
  const bob = await world.gateway('bob', { relays: [theirs] })
  await world.introduce(alice, bob)
  await expect.poll(() => knowsQueues(alice, bob, 1), within).toBe(true)
  await bob.stop()
  await alice.submit(bob.address, 'waits here')
  await expect.poll(() => alice.node.delivery.waiting()[0]?.courier?.state, within).toBe('waiting')
  expect(theirs.node.overlay.peers().map((peer) => peer.gateway)).not.toContain(alice.node.overlay.self)
  const back = await world.gateway('bob', { relays: [theirs] })
  await expect.poll(() => back.read(), within).toContain('waits here')
})

test('a contact who runs a relay is used without being named', { timeout: patient }, async () => {
  await using world = await openWorld()
  const carol = await world.gateway('carol', { relay: true })
  const alice = await world.gateway('alice')
  const bob = await world.gateway('bob')
  await world.introduce(carol, bob)
  await world.introduce(alice, bob)
  await expect.poll(() => knowsQueues(alice, bob, 1), within).toBe(true)
  await bob.stop()
  await alice.submit(bob.address, 'by way of Carol')
  await expect.poll(() => atRelays(alice), within).toBe(1)
  await alice.stop()
  const back = await world.gateway('bob')
  await expect.poll(() => back.read(), within).toContain('by way of Carol')
})

function withRelays(overlay: Overlay, change: (relays: Relays) => Partial<Relays>): Overlay {
  const real = overlay.relays!
  const bound: Relays = {
    describe: async (...args) => await real.describe(...args),
    open: async (...args) => await real.open(...args),
    queues: async (...args) => await real.queues(...args),
    close: async (...args) => await real.close(...args),
    deposit: async (...args) => await real.deposit(...args),
    watch: async (...args) => await real.watch(...args),
  }
  return {
    self: overlay.self,
    relays: { ...bound, ...change(bound) },
    locators: () => overlay.locators(),
    listeners: () => overlay.listeners(),
    link: async (...args) => await overlay.link(...args),
    ask: async (...args) => await overlay.ask(...args),
    serve: (handlers) => overlay.serve(handlers),
    peers: () => overlay.peers(),
    [Symbol.asyncDispose]: async () => await overlay[Symbol.asyncDispose](),
  }
}

test('two who both moved while they were apart find each other again over a relay', { timeout: patient }, async () => {
  await using world = await openWorld()
  const relay = await world.gateway('relay', { relay: friendly })
  const { alice, bob } = await acquainted(world, [relay])
  const areLinked = (): boolean =>
    alice.node.delivery.courierOf(alice.account, bob.account)?.state === 'connected' &&
    bob.node.overlay.peers().some(({ gateway, state }) => gateway === alice.node.overlay.self && state === 'connected')
  await expect.poll(areLinked, within).toBe(true)
  world.network.partition('alice', 'bob')
  world.network.move('alice')
  world.network.move('bob')
  world.network.heal('alice', 'bob')
  await expect.poll(areLinked, within).toBe(false)
  await expect.poll(areLinked, within).toBe(true)
})

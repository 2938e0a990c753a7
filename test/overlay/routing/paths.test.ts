import { expect, test } from 'vitest'
import { fromUtf8 } from '../../../src/core/bytes.ts'
import { viaLocator } from '../../../src/overlay/dial-policy.ts'
import { openPeer, text, within } from '../support.ts'
import type { Peer } from '../support.ts'

const patience = { timeout: 5_000, interval: 5 }

/** How somebody is reached through a relay, and only so. */
const through = (relay: Peer, peer: Peer) => ({
  gateway: peer.overlay.self,
  locators: [viaLocator(relay.overlay.self, relay.overlay.locators()[0]!)],
})

test('links and asks work through one gateway that both are connected to', async () => {
  await using relay = await openPeer({ config: { relay: true } })
  await using alice = await openPeer()
  await using bob = await openPeer({ answer: { bundle: async (request) => request.toReversed() } })
  await bob.overlay.link(relay.address, within(5_000))
  const link = await alice.overlay.link(through(relay, bob), within(5_000))
  await link.send(fromUtf8('through the relay'))
  await expect.poll(() => text(bob), patience).toBe('through the relay')
  await bob.links.at(-1)!.send(fromUtf8('and back'))
  await expect.poll(() => text(alice), patience).toBe('and back')
  const answer = await alice.overlay.ask(through(relay, bob), 'bundle', Uint8Array.of(1, 2), {
    ...within(5_000),
    answerBytesMax: 10,
  })
  expect(answer).toEqual(new Uint8Array([2, 1]))
  expect(alice.overlay.peers().find(({ gateway }) => gateway === bob.overlay.self)).toMatchObject({
    state: 'connected',
    how: 'relayed',
    hops: 1,
    transport: 'path+tls',
    remote: `/p2p/${relay.overlay.self}/p2p-circuit`,
  })
})

test('a gateway that does not serve carries nothing', async () => {
  await using relay = await openPeer()
  await using alice = await openPeer()
  await using bob = await openPeer()
  await bob.overlay.link(relay.address, within(5_000))
  await expect(alice.overlay.link(through(relay, bob), within(5_000))).rejects.toMatchObject({ code: 'unreachable' })
})

test('a link moves from a path to a direct connection, and both sides go on', async () => {
  await using relay = await openPeer({ config: { relay: true } })
  await using alice = await openPeer()
  await using bob = await openPeer()
  await bob.overlay.link(relay.address, within(5_000))
  const first = await alice.overlay.link(through(relay, bob), within(5_000))
  await first.send(fromUtf8('by path '))
  await expect.poll(() => text(bob), patience).toBe('by path ')
  await expect(
    alice.overlay.ask(bob.address, 'bundle', new Uint8Array(1), { ...within(5_000), answerBytesMax: 1 }),
  ).rejects.toThrow()
  await expect.poll(() => first.closed.aborted, patience).toBe(true)
  await expect.poll(() => alice.overlay.peers().find((peer) => peer.gateway === bob.overlay.self)?.how).toBe('direct')
  const second = await alice.overlay.link({ gateway: bob.overlay.self, locators: [] }, within(5_000))
  await second.send(fromUtf8('directly'))
  await expect.poll(() => text(bob), patience).toBe('by path directly')
})

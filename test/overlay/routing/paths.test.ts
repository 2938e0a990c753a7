import { expect, test } from 'vitest'
import { fromUtf8 } from '../../../src/core/bytes.ts'
import { systemRandom } from '../../../src/core/ambient.ts'
import { limits } from '../../../src/core/limits.ts'
import { newGatewayKey } from '../../../src/overlay/gateway-key.ts'
import { PipeReader } from '../../../src/overlay/pipe-reader.ts'
import { pathProtocol } from '../../../src/overlay/protocols.ts'
import {
  decodePathAnswer,
  encodePathRequest,
  newPathId,
  pathAnswerBytes,
} from '../../../src/overlay/routing/path-messages.ts'
import type { PathVerdict } from '../../../src/overlay/routing/path-messages.ts'
import { viaLocator } from '../../../src/overlay/dial-policy.ts'
import { openNetwork, openPeer, text, within } from '../support.ts'
import type { Peer } from '../support.ts'

/** How somebody is reached through a relay, and only so. */
const through = (relay: Peer, peer: Peer) => ({
  gateway: peer.overlay.self,
  locators: [viaLocator(relay.overlay.self, relay.overlay.locators()[0]!)],
})

test('links and asks work through one gateway that both are connected to', async () => {
  await using relay = await openPeer({ config: { relay: true } })
  await using alice = await openPeer()
  await using bob = await openPeer({ answer: { bundle: async (request) => request.toReversed() } })
  await bob.overlay.link(relay.address, within(20_000))
  const link = await alice.overlay.link(through(relay, bob), within(20_000))
  await link.send(fromUtf8('through the relay'))
  await expect.poll(() => text(bob)).toBe('through the relay')
  await bob.links.at(-1)!.send(fromUtf8('and back'))
  await expect.poll(() => text(alice)).toBe('and back')
  const answer = await alice.overlay.ask(through(relay, bob), 'bundle', Uint8Array.of(1, 2), {
    ...within(20_000),
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
  await bob.overlay.link(relay.address, within(20_000))
  await expect(alice.overlay.link(through(relay, bob), within(20_000))).rejects.toMatchObject({ code: 'unreachable' })
})

test('a gateway carries for those of its contacts, and for nobody with routing off', async () => {
  for (const routing of [true, false]) {
    await using alice = await openPeer()
    await using bob = await openPeer()
    const known = new Set([alice.overlay.self, bob.overlay.self])
    await using carrier = await openPeer({ config: { routing }, isKnown: (gateway) => known.has(gateway) })
    await bob.overlay.link(carrier.address, within(20_000))
    const linked = alice.overlay.link(through(carrier, bob), within(20_000))
    if (routing) expect((await linked).peer).toBe(bob.overlay.self)
    else await expect(linked).rejects.toMatchObject({ code: 'unreachable' })
  }
})

test('a neighbour that asks for many paths, or twice for one, is told no', async () => {
  await using carrier = await openPeer({ config: { relay: true } })
  await using bob = await openPeer()
  await bob.overlay.link(carrier.address, within(20_000))
  const key = newGatewayKey(systemRandom)
  await using greedy = openNetwork(key)
  const nothing = (): void => {}
  await greedy.start({
    onConnected: nothing,
    onDisconnected: nothing,
    onDirect: nothing,
    onSeen: nothing,
    onLocatorsChanged: nothing,
    onShaken: nothing,
    onMisbehaved: nothing,
    onPipe: (_, pipe) => pipe.abort('nothing here'),
  })
  await greedy.connect(carrier.address, within(20_000))
  const ask = async (id: Uint8Array): Promise<PathVerdict | undefined> => {
    const pipe = await greedy.openDirect(carrier.overlay.self, pathProtocol, within(20_000))
    pipe.write(encodePathRequest({ hopsLeft: 7, id, destination: bob.overlay.self }))
    return decodePathAnswer(await new PipeReader(pipe, 1_000).exactly(pathAnswerBytes, within(20_000).signal))?.verdict
  }
  // at once, since a slow machine would be given more with every second
  const many = Array.from({ length: limits.pathsPerNeighbourMax - 2 }, async () => await ask(newPathId(systemRandom)))
  const verdicts = await Promise.all(many)
  expect(new Set(verdicts)).toEqual(new Set(['accepted', 'busy']))
  await new Promise((resolve) => {
    setTimeout(resolve, 1_100)
  })
  const twice = newPathId(systemRandom)
  expect(new Set(await Promise.all([ask(twice), ask(twice)]))).toEqual(new Set(['accepted', 'loop']))
})

test('a link moves from a path to a direct connection, and both sides go on', async () => {
  await using relay = await openPeer({ config: { relay: true } })
  await using alice = await openPeer()
  await using bob = await openPeer()
  await bob.overlay.link(relay.address, within(20_000))
  const first = await alice.overlay.link(through(relay, bob), within(20_000))
  await first.send(fromUtf8('by path '))
  await expect.poll(() => text(bob)).toBe('by path ')
  await expect(
    alice.overlay.ask(bob.address, 'bundle', new Uint8Array(1), { ...within(20_000), answerBytesMax: 1 }),
  ).rejects.toThrow()
  await expect.poll(() => first.closed.aborted).toBe(true)
  await expect.poll(() => alice.overlay.peers().find((peer) => peer.gateway === bob.overlay.self)?.how).toBe('direct')
  const second = await alice.overlay.link({ gateway: bob.overlay.self, locators: [] }, within(20_000))
  await second.send(fromUtf8('directly'))
  await expect.poll(() => text(bob)).toBe('by path directly')
})

/** Gateways in a row, each connected to the next; every one but the first is a relay. */
async function chain(scope: AsyncDisposableStack, length: number): Promise<Peer[]> {
  const peers: Peer[] = []
  for (let index = 0; index < length; index += 1) {
    const peer = scope.use(
      await openPeer({ config: { relay: true }, answer: { bundle: async (request) => request.toReversed() } }),
    )
    const before = peers.at(-1)
    if (before !== undefined) await peer.overlay.link(before.address, within(20_000))
    peers.push(peer)
  }
  return peers
}

const nowhere = (peer: Peer) => ({ gateway: peer.overlay.self, locators: [] })

test.each([1, 2, 3])('links and asks work over %i gateways that none of the ends was told of', async (hops) => {
  await using scope = new AsyncDisposableStack()
  const peers = await chain(scope, hops + 2)
  const [alice, bob] = [peers[0]!, peers.at(-1)!]
  const link = await alice.overlay.link(nowhere(bob), within(20_000))
  await link.send(fromUtf8('hello'))
  await expect.poll(() => text(bob)).toBe('hello')
  const piece = new Uint8Array(100_000).map((_, index) => index)
  for (let count = 0; count < 50; count += 1) await link.send(piece)
  await expect.poll(() => bob.received.octets).toBe(5 + 50 * piece.length)
  const answer = await alice.overlay.ask(nowhere(bob), 'bundle', Uint8Array.of(1, 2), {
    ...within(20_000),
    answerBytesMax: 10,
  })
  expect(answer).toEqual(new Uint8Array([2, 1]))
  expect(alice.overlay.peers().find(({ gateway }) => gateway === bob.overlay.self)).toMatchObject({
    how: 'relayed',
    hops,
  })
})

test('a gateway that is not reachable from everywhere says through whom it is, and is reached so', async () => {
  await using carrier = await openPeer({ config: { relay: true } })
  const at = `${carrier.overlay.locators()[0]!}/p2p/${carrier.overlay.self}`
  await using bob = await openPeer({ config: { relays: [at] } })
  await using alice = await openPeer()
  const isVia = (locator: string): boolean => locator.endsWith(`/p2p/${carrier.overlay.self}/p2p-circuit`)
  await expect.poll(() => bob.overlay.locators().filter(isVia).length).toBe(1)
  const locators = bob.overlay.locators().filter(isVia)
  const link = await alice.overlay.link({ gateway: bob.overlay.self, locators }, within(20_000))
  await link.send(fromUtf8('by name'))
  await expect.poll(() => text(bob)).toBe('by name')
  await carrier.overlay[Symbol.asyncDispose]()
  await expect.poll(() => bob.overlay.locators().filter(isVia).length).toBe(0)
})

test('who does not carry for others is not named as leading here', async () => {
  await using carrier = await openPeer()
  const at = `${carrier.overlay.locators()[0]!}/p2p/${carrier.overlay.self}`
  await using bob = await openPeer({ config: { relays: [at] } })
  await expect.poll(() => bob.overlay.peers()[0]?.state).toBe('connected')
  await new Promise((resolve) => {
    setTimeout(resolve, 300)
  })
  expect(bob.overlay.locators().filter((locator) => locator.endsWith('/p2p-circuit'))).toEqual([])
})

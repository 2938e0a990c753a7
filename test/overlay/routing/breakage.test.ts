import { expect, test } from 'vitest'
import { fromUtf8 } from '../../../src/core/bytes.ts'
import { signingKey } from '../../../src/core/crypto/sign.ts'
import { systemRandom } from '../../../src/core/ambient.ts'
import { newGatewayKey } from '../../../src/overlay/gateway-key.ts'
import { GatewayOverlay } from '../../../src/overlay/gateway-overlay.ts'
import type { DirectNetwork, Pipe } from '../../../src/overlay/network.ts'
import { PipeReader } from '../../../src/overlay/pipe-reader.ts'
import { pathProtocol } from '../../../src/overlay/protocols.ts'
import { encodePathAnswer, pathRequestBytes } from '../../../src/overlay/routing/path-messages.ts'
import { ambient, observe, openNetwork, openPeer, text, within } from '../support.ts'
import type { Peer } from '../support.ts'

const nowhere = (peer: Peer) => ({ gateway: peer.overlay.self, locators: [] })
const relay = async (): Promise<Peer> => await openPeer({ config: { relay: true } })
const meet = async (a: Peer, b: Peer): Promise<unknown> => await a.overlay.link(b.address, within(20_000))
const remoteOf = (from: Peer, to: Peer) =>
  from.overlay.peers().find(({ gateway }) => gateway === to.overlay.self)?.remote ?? ''

test('a path whose middle goes away is replaced by another at the first attempt', async () => {
  await using alice = await openPeer()
  await using first = await relay()
  await using bob = await openPeer()
  await using left = await relay()
  await using right = await relay()
  await meet(alice, first)
  for (const middle of [left, right]) {
    await meet(first, middle)
    await meet(middle, bob)
  }
  const link = await alice.overlay.link(nowhere(bob), within(20_000))
  await link.send(fromUtf8('before '))
  await expect.poll(() => text(bob)).toBe('before ')
  // whichever of the two carries it
  const isCarrier = (peer: Peer): boolean => remoteOf(bob, alice).includes(peer.overlay.self)
  const carrier = isCarrier(left) ? left : right
  expect(isCarrier(carrier)).toBe(true)
  await carrier.overlay[Symbol.asyncDispose]()
  await expect.poll(() => link.closed.aborted).toBe(true)
  const next = await alice.overlay.link(nowhere(bob), within(20_000))
  await next.send(fromUtf8('after'))
  await expect.poll(() => text(bob)).toBe('before after')
  expect(isCarrier(carrier)).toBe(false)
})

/** A network that agrees to every path and lets its bytes vanish. */
function swallowing(network: DirectNetwork, onSwallowed: () => void): DirectNetwork {
  const swallow = async (pipe: Pipe): Promise<void> => {
    const reader = new PipeReader(pipe, 1_000_000)
    await reader.exactly(pathRequestBytes, AbortSignal.timeout(5_000))
    pipe.write(encodePathAnswer({ verdict: 'accepted', hops: 1 }))
    onSwallowed()
  }
  return {
    self: network.self,
    locators: () => network.locators(),
    listeners: () => network.listeners(),
    path: (gateway) => network.path(gateway),
    isNeighbour: (gateway) => network.isNeighbour(gateway),
    dialledAt: (gateway) => network.dialledAt(gateway),
    isPublic: () => network.isPublic(),
    connect: async (to, options) => await network.connect(to, options),
    open: async (...what) => await network.open(...what),
    openDirect: async (...what) => await network.openDirect(...what),
    adopt: async (...what) => await network.adopt(...what),
    drop: (...what) => network.drop(...what),
    start: async (events) =>
      await network.start({
        ...events,
        onPipe: (protocol, pipe, from) => {
          if (protocol === pathProtocol) void swallow(pipe)
          else events.onPipe(protocol, pipe, from)
        },
      }),
    [Symbol.asyncDispose]: async () => await network[Symbol.asyncDispose](),
  }
}

async function openSwallower(onSwallowed: () => void): Promise<Peer> {
  const key = newGatewayKey(systemRandom)
  const network = openNetwork(key)
  const overlay = new GatewayOverlay(swallowing(network, onSwallowed), {
    ambient,
    key: signingKey(key),
    serves: () => true,
  })
  await overlay.start()
  return observe(overlay, {})
}

/** As whoever has mail to send: what fails is tried again, until the test's own time is over. */
async function persistently<T>(attempt: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await attempt()
    } catch {}
  }
}

test('a gateway that attracts paths and swallows them is noticed and passed by, next to the opener and further on', async () => {
  for (const isFar of [false, true]) {
    await using scope = new AsyncDisposableStack()
    const alice = scope.use(await openPeer())
    const bob = scope.use(await openPeer())
    let swallowed = 0
    const thief = scope.use(await openSwallower(() => (swallowed += 1)))
    const [honest, second] = [scope.use(await relay()), scope.use(await relay())]
    const entry = isFar ? scope.use(await relay()) : alice
    if (isFar) await meet(alice, entry)
    await meet(entry, thief)
    await meet(thief, bob)
    await meet(entry, honest)
    await meet(honest, second)
    await meet(second, bob)
    // the thief's way is the shorter one
    const link = await persistently(async () => await alice.overlay.link(nowhere(bob), within(20_000)))
    await link.send(fromUtf8('got through'))
    await expect.poll(() => text(bob)).toBe('got through')
    expect(swallowed).toBeGreaterThan(0)
    expect(swallowed).toBeLessThan(4)
  }
})

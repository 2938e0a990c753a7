import { expect, test } from 'vitest'
import { openCarrier } from '../../../bench/support/carrier.ts'
import { fromUtf8 } from '../../../src/core/bytes.ts'
import { openPeer, text, within } from '../support.ts'
import type { Peer } from '../support.ts'
import { openSwallower } from './swallower.ts'

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

test('a carrier behind another that falls silent is passed by at the first attempt, and named', async () => {
  await using alice = await openPeer()
  await using bob = await openPeer()
  await using entry = await relay()
  await using left = await openCarrier([entry.address, bob.address])
  await using right = await openCarrier([entry.address, bob.address])
  await meet(alice, entry)
  const link = await alice.overlay.link(nowhere(bob), within(20_000))
  await link.send(fromUtf8('before '))
  await expect.poll(() => text(bob)).toBe('before ')
  const silent = remoteOf(bob, alice).includes(left.address.gateway) ? left : right
  silent.process.freeze()
  await expect.poll(() => link.closed.aborted).toBe(true)
  const next = await alice.overlay.link(nowhere(bob), within(20_000))
  await next.send(fromUtf8('after'))
  await expect.poll(() => text(bob)).toBe('before after')
  expect(entry.overlay.routes!()).toMatchObject([
    {
      destination: bob.overlay.self,
      lastFailure: { neighbour: silent.address.gateway, reason: 'path carries nothing' },
    },
  ])
})

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

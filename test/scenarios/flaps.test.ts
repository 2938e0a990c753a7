import { expect, test } from 'vitest'
import { concat } from '../../src/core/bytes.ts'
import type { Link, Overlay } from '../../src/core/delivery/ports.ts'
import { itemBytes } from '../../src/core/session/items.ts'
import { openWorld } from '../support/world.ts'

/** Links over which hellos pass and no frame, and which end soon after the first lost frame, until it is switched off. */
function flapping() {
  const state = { isBad: false, framesLost: 0, links: 0 }
  const shown = new WeakMap<Link, Link>()
  const faulty = (link: Link): Link => {
    const known = shown.get(link)
    if (known !== undefined) return known
    state.links += 1
    const made: Link = {
      peer: link.peer,
      initiator: link.initiator,
      closed: link.closed,
      incoming: link.incoming,
      close: (reason) => link.close(reason),
      async send(bytes) {
        const passed: Uint8Array[] = []
        for (let at = 0; at < bytes.length; at += itemBytes(bytes[at]!)) {
          const item = bytes.subarray(at, at + itemBytes(bytes[at]!))
          if (!state.isBad || item.length < 100) passed.push(item)
          else state.framesLost += 1
        }
        if (state.isBad && passed.length === 0) setTimeout(() => link.close('test'), 200)
        if (passed.length > 0) await link.send(concat(...passed))
      },
    }
    shown.set(link, made)
    return made
  }
  const wrap = (overlay: Overlay): Overlay => ({
    self: overlay.self,
    locators: () => overlay.locators(),
    listeners: () => overlay.listeners(),
    peers: () => overlay.peers(),
    ask: async (...question) => await overlay.ask(...question),
    link: async (...to) => faulty(await overlay.link(...to)),
    serve: (handlers) => overlay.serve({ ...handlers, onLink: (link) => handlers.onLink(faulty(link)) }),
    [Symbol.asyncDispose]: async () => await overlay[Symbol.asyncDispose](),
  })
  return { state, wrap }
}

test('links that end before any frame arrives do not wear a session out for good', async () => {
  await using world = await openWorld()
  const { state, wrap } = flapping()
  const alice = await world.gateway('alice')
  const bob = await world.gateway('bob', { wrap })
  await world.introduce(alice, bob)
  await bob.submit(alice.address, 'first')
  await expect.poll(() => alice.read()).toEqual(['first'])
  await expect.poll(() => bob.node.delivery.queued()).toBe(0)
  state.isBad = true
  // long enough that none shares a frame with another
  const texts = Array.from({ length: 700 }, (_, number) => `letter ${String(number).padStart(2003, '0')}`)
  await Promise.all(texts.map(async (text) => await bob.submit(alice.address, text)))
  const retry = setInterval(() => bob.node.delivery.retry(), 100)
  await expect.poll(() => state.framesLost, { timeout: 60_000, interval: 50 }).toBeGreaterThan(2500)
  clearInterval(retry)
  state.isBad = false
  bob.node.delivery.retry()
  await expect
    .poll(async () => (await alice.read()).slice(1).toSorted().join(), { timeout: 30_000, interval: 500 })
    .toBe(texts.join())
})

test('a link that ends again and again is not opened without a pause', async () => {
  await using world = await openWorld()
  const { state, wrap } = flapping()
  const alice = await world.gateway('alice')
  const bob = await world.gateway('bob', { wrap })
  await world.introduce(alice, bob)
  await bob.submit(alice.address, 'first')
  await expect.poll(() => alice.read()).toEqual(['first'])
  state.isBad = true
  const before = state.links
  await bob.submit(alice.address, 'second')
  await new Promise((resolve) => setTimeout(resolve, 5000))
  expect(state.links - before).toBeLessThan(8)
  state.isBad = false
  await expect.poll(() => alice.read()).toEqual(['first', 'second'])
})

import { expect, test } from 'vitest'
import type { Overlay } from '../../src/core/delivery/ports.ts'
import { openWorld, type TestGateway } from '../support/world.ts'

/** Handshakes go out once both sides have begun one. */
function crossing() {
  const begun = new Set<string>()
  const both = Promise.withResolvers<void>()
  const wrap = (overlay: Overlay): Overlay => ({
    self: overlay.self,
    locators: () => overlay.locators(),
    listeners: () => overlay.listeners(),
    peers: () => overlay.peers(),
    async ask(to, topic, request, options) {
      if (topic === 'handshake') {
        begun.add(overlay.self)
        if (begun.size === 2) both.resolve()
        await both.promise
      }
      return await overlay.ask(to, topic, request, options)
    },
    link: async (...to) => await overlay.link(...to),
    serve: (handlers) => overlay.serve(handlers),
    [Symbol.asyncDispose]: async () => await overlay[Symbol.asyncDispose](),
  })
  return { begun, wrap }
}

const letters = (name: string): readonly string[] => Array.from({ length: 12 }, (_, at) => `${name} ${100 + at}`)
const inbox = (gateway: TestGateway) =>
  expect.poll(async () => (await gateway.read()).toSorted(), { timeout: 30_000, interval: 50 })

test('two who begin at the same moment end with one session that works, and every mail arrives once', async () => {
  await using world = await openWorld()
  const { begun, wrap } = crossing()
  const alice = await world.gateway('alice', { wrap })
  const bob = await world.gateway('bob', { wrap })
  await world.introduce(alice, bob)
  await world.introduce(bob, alice)
  await Promise.all([
    ...letters('from alice').map(async (text) => await alice.submit(bob.address, text)),
    ...letters('from bob').map(async (text) => await bob.submit(alice.address, text)),
  ])
  await inbox(alice).toEqual(letters('from bob'))
  await inbox(bob).toEqual(letters('from alice'))
  expect(begun.size).toBe(2)
  await expect.poll(() => [alice, bob].map(({ node }) => node.delivery.queued())).toEqual([0, 0])
  await alice.submit(bob.address, 'from alice, later')
  await bob.submit(alice.address, 'from bob, later')
  await inbox(bob).toEqual([...letters('from alice'), 'from alice, later'])
  await inbox(alice).toEqual([...letters('from bob'), 'from bob, later'])
})

import { expect, test } from 'vitest'
import { limits } from '../../src/core/limits.ts'
import { openWorld, type TestGateway } from '../support/world.ts'

const settled = (...gateways: readonly TestGateway[]) =>
  expect.poll(() => gateways.flatMap(({ node }) => node.delivery.waiting())).toEqual([])

test('mail of every size around the one that travels in line arrives, at a contact and at home', async () => {
  await using world = await openWorld()
  const alice = await world.gateway('alice')
  const bob = await world.gateway('bob')
  await world.introduce(alice, bob)
  const sizes = Array.from({ length: 24 }, (_, step) => limits.messageInlineBytesMax - 600 + step * 50)
  for (const size of sizes) await bob.submit([alice.address, bob.address], 'x'.repeat(size))
  const byLength = async (gateway: TestGateway): Promise<readonly number[]> =>
    (await gateway.read()).map(({ length }) => length).toSorted((a, b) => a - b)
  await expect.poll(() => byLength(alice)).toEqual(sizes)
  await expect.poll(() => byLength(bob)).toEqual(sizes)
  await settled(bob)
})

test('a report about mail as long as travels in line reaches its sender and ends the mail', async () => {
  await using world = await openWorld()
  const alice = await world.gateway('alice')
  const bob = await world.gateway('bob')
  await world.introduce(alice, bob)
  await bob.submit(alice.address, 'first')
  await expect.poll(() => alice.read()).toEqual(['first'])
  await alice.knowledge.store.write((tx) => alice.knowledge.contacts.using(tx).block(alice.account, bob.account))
  await bob.submit(alice.address, 'short text', `X-Long: ${'h '.repeat(7900)}\r\n`)
  await expect.poll(async () => (await bob.read()).join()).toMatch(/does not accept/)
  await settled(bob)
})

import { expect, test } from 'vitest'
import { openWorld } from '../support/world.ts'

test('two gateways exchange an invitation and mail in both directions', async () => {
  await using world = await openWorld()
  const alice = await world.gateway('alice')
  const bob = await world.gateway('bob')
  await world.introduce(alice, bob)
  await bob.submit(alice.address, 'hello alice')
  await expect.poll(() => alice.read()).toEqual(['hello alice'])
  await alice.submit(bob.address, 'hello bob')
  await expect.poll(() => bob.read()).toEqual(['hello bob'])
  expect(await alice.read('Sent')).toEqual(['hello bob'])
  await expect.poll(() => alice.node.delivery.isIdle() && bob.node.delivery.isIdle()).toBe(true)
})

test('mail written while the inviter is away arrives when it is back', async () => {
  await using world = await openWorld()
  const alice = await world.gateway('alice')
  const bob = await world.gateway('bob')
  world.network.kill('alice')
  await world.introduce(alice, bob)
  await alice.stop()
  await bob.submit(alice.address, 'are you there')
  const again = await world.gateway('alice')
  await expect.poll(() => again.read()).toEqual(['are you there'])
})

test('a new account subscribes to the folder for strangers, so that mail programs show it', async () => {
  await using world = await openWorld()
  const alice = await world.gateway('alice')
  expect(alice.knowledge.mailboxes.subscriptions(alice.account)).toContain('Requests')
})

/** One person, several devices: how they come together, stay alike, and part. */
import { expect, test } from 'vitest'
import { openWorld, type TestGateway } from '../support/world.ts'

const shows = (gateway: TestGateway, mailbox = 'INBOX') =>
  expect.poll(async () => (await gateway.read(mailbox)).toSorted(), { timeout: 20_000 })
const deviceOf = ({ knowledge, account }: TestGateway) => knowledge.accounts.get(account).device.id
const isConnected = (one: TestGateway, other: TestGateway) =>
  expect.poll(() => one.node.delivery.isConnected(one.account, deviceOf(other)), { timeout: 20_000 })

test('a new device joins the account by a link and digits, without words, and both find each other', async () => {
  await using world = await openWorld()
  const desk = await world.gateway('desk')
  const lap = await world.gateway('lap', { joins: desk })
  expect(lap.account).toBe(desk.account)
  expect(deviceOf(lap)).not.toBe(deviceOf(desk))
  expect(lap.knowledge.accounts.get(lap.account).state.head).toEqual(
    desk.knowledge.accounts.get(desk.account).state.head,
  )
  await isConnected(desk, lap).toBe(true)
  await isConnected(lap, desk).toBe(true)
})

test('a contact learns of a new device and writes to both; both can write to it', async () => {
  await using world = await openWorld()
  const desk = await world.gateway('desk')
  const bob = await world.gateway('bob')
  await world.introduce(desk, bob)
  await bob.submit(desk.address, 'before')
  await shows(desk).toEqual(['before'])
  const lap = await world.gateway('lap', { joins: desk })
  await expect
    .poll(() => bob.knowledge.contacts.byIdentity(bob.account, desk.account)?.devices.length, { timeout: 20_000 })
    .toBe(2)
  await bob.submit(desk.address, 'to both')
  await expect.poll(async () => (await desk.read()).includes('to both'), { timeout: 20_000 }).toBe(true)
  await expect.poll(async () => (await lap.read()).includes('to both'), { timeout: 20_000 }).toBe(true)
}, 60_000)

import { expect, test } from 'vitest'
import type { Overlay } from '../../src/core/delivery/ports.ts'
import { unreliable } from '../support/unreliable-overlay.ts'
import { openWorld, type TestGateway } from '../support/world.ts'

async function settled(...gateways: readonly TestGateway[]): Promise<void> {
  await expect.poll(() => gateways.every(({ node }) => node.delivery.isIdle())).toBe(true)
}
const inbox = (gateway: TestGateway) => expect.poll(() => gateway.read())

test('a mail of two megabytes travels as a blob and arrives byte for byte', async () => {
  await using world = await openWorld()
  const alice = await world.gateway('alice')
  const bob = await world.gateway('bob')
  await world.introduce(alice, bob)
  const text = Array.from({ length: 40_000 }, (_, line) => `line ${line} of a long letter, to be read slowly`).join(
    '\r\n',
  )
  await bob.submit(alice.address, text)
  await inbox(alice).toEqual([text])
  await settled(bob)
})

test('one mail to a contact, to oneself and to a second address of the contact arrives once at each', async () => {
  await using world = await openWorld()
  const alice = await world.gateway('alice')
  const bob = await world.gateway('bob')
  await world.introduce(alice, bob)
  await bob.submit([alice.address, bob.address], 'to both')
  await inbox(alice).toEqual(['to both'])
  await inbox(bob).toEqual(['to both'])
  expect(await bob.read('Sent')).toEqual(['to both'])
})

test('Bcc is not in what recipients get', async () => {
  await using world = await openWorld()
  const alice = await world.gateway('alice')
  const bob = await world.gateway('bob')
  await world.introduce(alice, bob)
  await bob.submit(alice.address, 'hidden copies', 'Bcc: <somebody@example.org>\r\n')
  await inbox(alice).toEqual(['hidden copies'])
  const { mailboxes } = alice.knowledge
  const columns = mailboxes.columns(alice.account, mailboxes.byName(alice.account, 'INBOX')!.id)
  expect(Buffer.from(mailboxes.readInline(alice.account, columns.contentAt(0))!).toString()).not.toMatch(/bcc/i)
})

test('an address that nobody introduced is refused', async () => {
  await using world = await openWorld()
  const alice = await world.gateway('alice')
  await expect(alice.submit('stranger@example.org', 'hello')).rejects.toMatchObject({ code: 'no-such-recipient' })
})

test('mail from a blocked contact is refused and reported to its sender', async () => {
  await using world = await openWorld()
  const alice = await world.gateway('alice')
  const bob = await world.gateway('bob')
  await world.introduce(alice, bob)
  await bob.submit(alice.address, 'first')
  await inbox(alice).toEqual(['first'])
  await alice.knowledge.store.write((tx) => alice.knowledge.contacts.using(tx).block(alice.account, bob.account))
  await bob.submit(alice.address, 'second')
  await expect.poll(async () => (await bob.read()).join()).toMatch(/does not accept messages from you/)
  expect(await alice.read()).toEqual(['first'])
})

test('a restart in the middle of a burst loses nothing and doubles nothing', async () => {
  await using world = await openWorld()
  const alice = await world.gateway('alice')
  const bob = await world.gateway('bob')
  await world.introduce(alice, bob)
  const texts = Array.from({ length: 60 }, (_, number) => `letter ${String(number).padStart(3, '0')}`)
  for (const text of texts.slice(0, 30)) await bob.submit(alice.address, text)
  world.network.kill('bob')
  await bob.stop()
  const again = await world.gateway('bob')
  for (const text of texts.slice(30)) await again.submit(alice.address, text)
  await expect.poll(async () => (await alice.read()).toSorted()).toEqual(texts)
  await settled(again)
})

test('frames lost and doubled above the stream still give every mail once', async () => {
  await using world = await openWorld()
  const wrap = (overlay: Overlay) => unreliable(overlay, { loss: 0.05, doubles: 0.1, swaps: 0.1 })
  const alice = await world.gateway('alice', { wrap })
  const bob = await world.gateway('bob', { wrap })
  await world.introduce(alice, bob)
  const texts = Array.from({ length: 40 }, (_, number) => `letter ${String(number).padStart(3, '0')}`)
  for (const text of texts) await bob.submit(alice.address, text)
  await expect.poll(async () => (await alice.read()).toSorted(), { timeout: 60_000 }).toEqual(texts)
  await expect.poll(() => bob.node.delivery.isIdle(), { timeout: 60_000 }).toBe(true)
}, 150_000)

test('a home put back to an older copy goes on as a new device and loses nothing', async () => {
  const { cp, rm } = await import('node:fs/promises')
  await using world = await openWorld()
  const alice = await world.gateway('alice')
  let bob = await world.gateway('bob')
  await world.introduce(alice, bob)
  await bob.submit(alice.address, 'one')
  await inbox(alice).toEqual(['one'])
  world.network.kill('bob')
  await bob.stop()
  await cp(bob.folder, `${bob.folder}.copy`, { recursive: true })
  bob = await world.gateway('bob')
  for (const text of ['two', 'three', 'four']) await bob.submit(alice.address, text)
  await inbox(alice).toEqual(['one', 'two', 'three', 'four'])
  world.network.kill('bob')
  await bob.stop()
  await rm(bob.folder, { recursive: true })
  await cp(`${bob.folder}.copy`, bob.folder, { recursive: true })
  bob = await world.gateway('bob')
  const oldDevice = bob.knowledge.accounts.get(bob.account).device.id
  await bob.submit(alice.address, 'five')
  await inbox(alice).toEqual(['one', 'two', 'three', 'four', 'five'])
  expect(bob.knowledge.accounts.get(bob.account).device.id).not.toBe(oldDevice)
  await alice.submit(bob.address, 'and back')
  await inbox(bob).toEqual(['and back'])
})

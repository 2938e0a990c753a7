/** What accounts show of themselves reaches contacts, stays there, and goes when it is taken back. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { itemsOfPieces, piecesOf, type ProfileItem } from '../../../src/core/delivery/profile-items.ts'
import { decodeItem } from '../../../src/core/delivery/items.ts'
import { limits } from '../../../src/core/limits.ts'
import { openWorld, type TestGateway } from '../../support/world.ts'

const patience = { timeout: 20_000 }
const value = (text: string): Uint8Array => Buffer.from(text)
const show = async (gateway: TestGateway, topic: string, items: readonly Omit<ProfileItem, 'topic'>[]): Promise<void> =>
  await gateway.knowledge.store.write((tx) => gateway.node.delivery.profiles.show(tx, gateway.account, topic, items))
const seen = (at: TestGateway, of: TestGateway): readonly string[] =>
  at.node.delivery.profiles
    .of(at.account, of.account)
    .map(
      ({ topic, id, value: bytes }) => `${topic} ${id} ${Buffer.from(bytes).toString().slice(0, 20)} ${bytes.length}`,
    )
    .toSorted()

test('what is shown reaches contacts, also who becomes one later, and is taken back', { timeout: 60_000 }, async () => {
  await using world = await openWorld()
  const alice = await world.gateway('alice')
  const bob = await world.gateway('bob')
  await show(alice, 'nick', [{ id: 'current', atMs: 1, value: value('Ali') }])
  await world.introduce(alice, bob)
  await expect.poll(() => seen(bob, alice), patience).toEqual(['nick current Ali 3'])
  const heard: string[] = []
  bob.node.delivery.profiles.watch(({ topic, id }) => void heard.push(`${topic} ${id}`))
  // longer than one piece
  const long = Buffer.alloc(3 * limits.profilePieceBytesMax, 'x')
  await show(alice, 'picture', [{ id: 'p', atMs: 2, value: long }])
  await expect
    .poll(() => seen(bob, alice), patience)
    .toEqual(['nick current Ali 3', `picture p ${'x'.repeat(20)} ${long.length}`])
  await show(alice, 'picture', [])
  await show(alice, 'nick', [{ id: 'current', atMs: 3, value: value('Alice') }])
  await expect.poll(() => seen(bob, alice), patience).toEqual(['nick current Alice 5'])
  expect(heard).toContain('picture p')
  // it is kept here: nobody is asked
  await alice.stop()
  expect(seen(bob, alice)).toEqual(['nick current Alice 5'])
  await bob.knowledge.store.write((tx) => bob.knowledge.contacts.using(tx).remove(bob.account, alice.account))
  await expect.poll(() => seen(bob, alice), patience).toEqual([])
})

test('what changes while a contact is away is told when it is back', { timeout: 60_000 }, async () => {
  await using world = await openWorld()
  const alice = await world.gateway('alice')
  const bob = await world.gateway('bob')
  await world.introduce(alice, bob)
  await show(alice, 'nick', [{ id: 'current', atMs: 1, value: value('Ali') }])
  await expect.poll(() => seen(bob, alice), patience).toEqual(['nick current Ali 3'])
  await bob.stop()
  await show(alice, 'nick', [])
  await show(alice, 'mood', [{ id: 'm', atMs: 2, value: value('well') }])
  const again = await world.gateway('bob')
  await expect.poll(() => seen(again, alice), patience).toEqual(['mood m well 4'])
})

test('nobody shows more than there is room for', async () => {
  await using world = await openWorld()
  const alice = await world.gateway('alice')
  const many = Array.from({ length: limits.profilePiecesMax + 1 }, (_, at) => ({
    id: `${at}`,
    atMs: 1,
    value: value(''),
  }))
  await expect(show(alice, 't', many)).rejects.toMatchObject({ code: 'too-large' })
})

test('an item is whole when all its pieces are there, in any order', () => {
  const item = fc.record({
    topic: fc.string({ maxLength: 8 }),
    id: fc.string({ maxLength: 8 }),
    atMs: fc.nat(),
    value: fc.integer({ min: 0, max: 3 * limits.profilePieceBytesMax }).map((length) => Buffer.alloc(length, 'v')),
  })
  fc.assert(
    fc.property(item, fc.boolean(), (one, isTorn) => {
      const pieces = piecesOf(one).toReversed()
      if (isTorn && pieces.length > 1) expect(itemsOfPieces(pieces.slice(1))).toEqual([])
      else expect(itemsOfPieces(pieces)).toEqual([one])
    }),
    { numRuns: 50 },
  )
})

test('garbage in the place of what is shown is malformed, nothing else', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      try {
        decodeItem(Uint8Array.of(16, ...bytes))
      } catch (error) {
        expect(error).toMatchObject({ name: 'MyceliumError' })
      }
    }),
  )
})

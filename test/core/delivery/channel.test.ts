/** The sending side of one pair while its ways come and go under it, over real sessions and a store whose commits take time. */
import { expect, test } from 'vitest'
import { type ChannelWorld, openChannelWorld } from './channel-support.ts'

const all = (count: number): readonly number[] => Array.from({ length: count }, (_, index) => index)

async function withWays(world: ChannelWorld, count: number): Promise<void> {
  await world.submit(count)
  const before = world.way('link')
  world.channel.opened(before.outlet)
  await expect.poll(() => before.sent.length).toBe(128)
  // the next batch is sealed and not yet durable when another link is there
  await expect.poll(() => world.commits.waiting).toBe(1)
}

test('a way that begins while a batch for the one before commits carries everything', async () => {
  const world = await openChannelWorld()
  world.commits.holdFrom(2)
  await withWays(world, 300)
  const after = world.way('link')
  world.channel.opened(after.outlet)
  world.commits.letGo()
  await expect.poll(() => after.sent.toSorted((a, b) => a - b)).toEqual(all(300))
})

test('what was sealed for a link that is gone does not move the mark of relays past what lies nowhere', async () => {
  const world = await openChannelWorld()
  world.commits.holdFrom(2)
  await withWays(world, 300)
  const after = world.way('relay')
  world.channel.opened(after.outlet)
  world.commits.letGo()
  await expect.poll(() => after.sent.length).toBe(300)
  // in their order: whoever notes the last one of a batch may not leave out earlier ones
  expect(after.sent).toEqual(all(300))
})

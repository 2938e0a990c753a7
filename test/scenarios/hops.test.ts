import { expect, test } from 'vitest'
import { openWorld, type TestGateway, type World } from '../support/world.ts'

const inbox = (gateway: TestGateway) => expect.poll(() => gateway.read())

/** Only neighbours in the row see each other; all who live in between know each other and carry for everybody. */
async function row(world: World, names: readonly string[]): Promise<readonly TestGateway[]> {
  const gateways: TestGateway[] = []
  for (const [index, name] of names.entries()) {
    const gateway = await world.gateway(name, { isRelay: true })
    for (const other of names.slice(0, Math.max(0, index - 1))) world.network.partition(name, other)
    const before = gateways.at(-1)
    if (before !== undefined) {
      await world.introduce(before, gateway)
      await gateway.submit(before.address, `hello ${before.name}`)
      await inbox(before).toContain(`hello ${before.name}`)
    }
    gateways.push(gateway)
  }
  return gateways
}

const howReached = (from: TestGateway, to: TestGateway) =>
  from.node.overlay.peers().find(({ gateway }) => gateway === to.node.overlay.self)

test('mail passes a row of four gateways of which each sees only the next', async () => {
  await using world = await openWorld()
  const [alice, , , dora] = (await row(world, ['alice', 'bob', 'carol', 'dora'])) as [
    TestGateway,
    TestGateway,
    TestGateway,
    TestGateway,
  ]
  await world.introduce(alice, dora)
  await dora.submit(alice.address, 'from the other end')
  await inbox(alice).toContain('from the other end')
  await alice.submit(dora.address, 'and back')
  await inbox(dora).toContain('and back')
  expect(howReached(alice, dora)).toMatchObject({ state: 'connected', how: 'relayed' })
  const opener = [alice, dora].find(({ node }) => node.overlay.routes!().some(({ nextHop }) => nextHop !== undefined))!
  expect(opener.node.overlay.routes!()).toContainEqual(
    expect.objectContaining({ hops: 2, alternatives: 0, lastFailure: undefined }),
  )
  const long = 'a long letter '.repeat(50_000)
  await alice.submit(dora.address, long)
  await inbox(dora).toContain(long.trimEnd())
  // a direct way takes the path's place
  world.network.heal('alice', 'dora')
  world.network.announce('alice')
  await expect.poll(() => howReached(dora, alice)?.how).toBe('direct')
  await dora.submit(alice.address, 'directly')
  await inbox(alice).toContain('directly')
})

test('mail goes on over another gateway when the one in between falls silent', async () => {
  await using world = await openWorld()
  const [alice, bob, dora] = (await row(world, ['alice', 'bob', 'dora'])) as [TestGateway, TestGateway, TestGateway]
  const carol = await world.gateway('carol', { isRelay: true })
  for (const end of [alice, dora]) {
    await world.introduce(end, carol)
    await carol.submit(end.address, 'hello from carol')
    await inbox(end).toContain('hello from carol')
  }
  await world.introduce(alice, dora)
  await dora.submit(alice.address, 'first')
  await inbox(alice).toContain('first')
  const via = howReached(dora, alice)!.remote!
  const silent = via.includes(bob.node.overlay.self) ? 'bob' : 'carol'
  world.network.silence('alice', silent)
  world.network.silence('dora', silent)
  await dora.submit(alice.address, 'second')
  await inbox(alice).toContain('second')
  expect(howReached(dora, alice)!.remote).not.toBe(via)
})

/** Profanity in a terminal, with a person at another gateway who writes with it too. */
import { test } from 'vitest'
import { requirePeer } from './support/peers.ts'
import { Profanity } from './support/profanity.ts'
import { twoGateways } from './support/two-gateways.ts'

test('two people with Profanity see each other in their rosters and write', { timeout: 180_000 }, async (context) => {
  requirePeer(context, 'profanity', 'tmux')
  await using world = await twoGateways()
  const { alice, bob } = world
  await using one = await Profanity.logIn(alice)
  await using other = await Profanity.logIn(bob)
  await one.type('/roster')
  await one.sees('bob')
  await one.type(`/msg ${bob.address} Tea at five?`)
  await other.sees('alice')
  await other.type(`/msg ${alice.address} Yes`)
  await one.sees('Yes')
  await other.sees('Tea at five?')
})

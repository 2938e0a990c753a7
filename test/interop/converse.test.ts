/** Converse.js in a browser: two people, each at the WebSocket of their own gateway. */
import { test } from 'vitest'
import { Converse, serveConverse } from './support/converse.ts'
import { requirePeer } from './support/peers.ts'
import { twoGateways } from './support/two-gateways.ts'

test(
  'two people with Converse see each other, write, correct what they wrote and react to it',
  { timeout: 180_000 },
  async (context) => {
    requirePeer(context, 'chromium')
    await using page = await serveConverse()
    await using world = await twoGateways([`xmpp.origins=["${page.origin}"]`])
    const { alice, bob } = world
    const [atAlice, atBob] = await Promise.all(
      [alice, bob].map(async (gateway) =>
        Converse.logIn(
          page.origin,
          gateway.listeners.http.port,
          `${gateway.name}@localhost`,
          await gateway.addPassword('Converse'),
        ),
      ),
    )
    await using one = atAlice!
    await using other = atBob!
    await one.openChat(bob.name)
    await other.openChat(alice.name)
    await one.say('Tea at fvie?')
    await other.sees('Tea at fvie?')
    await other.say('Yes')
    await one.sees('Tea at fvie?', 'Yes')
    await one.correct('Tea at five?')
    await other.sees('Tea at five?', 'Yes')
    await one.react('👍')
    await other.browser.sees('.chat-msg__reaction', (texts) => texts.some((text) => text.startsWith('👍')))
    await one.browser.keepScreenshot('one')
    await other.browser.keepScreenshot('other')
  },
)

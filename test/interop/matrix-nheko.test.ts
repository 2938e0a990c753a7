/** nheko with its window: it shows what its contact says, marks it as read, and says what is typed in it. */
import { test } from 'vitest'
import { homeserver } from './support/homeserver.ts'
import { MatrixProgram } from './support/matrix-program.ts'
import { Nheko } from './support/nheko.ts'
import { requirePeer } from './support/peers.ts'

test('somebody with nheko reads what a contact wrote, and answers', { timeout: 180_000 }, async (context) => {
  requirePeer(context, 'nheko', 'Xvfb', 'xdotool', 'dbus-run-session')
  await using server = await homeserver()
  const { alice, bob } = server
  await using contact = await MatrixProgram.logIn(bob)
  const chat = await contact.startChat(bob.contact)
  await contact.hearsMember(chat, bob.contact)
  await using nheko = await Nheko.logIn(alice)
  const asked = await contact.say(chat, 'Tea at five?')
  await nheko.hasUnread(1)
  await nheko.screen.keepScreenshot('nheko-heard')
  await nheko.openRoom(alice.contactName)
  await contact.hearsRead(chat, bob.contact, asked)
  await nheko.say('Yes, at five')
  await contact.hearsText(chat, 'Yes, at five')
  await nheko.screen.keepScreenshot('nheko-said')
})

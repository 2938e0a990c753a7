/** The Web UI of Element in a browser: two people, and all that they can do with a message. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test, type TestContext } from 'vitest'
import { ElementWeb, serveElement } from './support/element.ts'
import { type Homeserver, homeserver } from './support/homeserver.ts'
import { requireMade } from './support/made-on-demand.ts'
import { requirePeer } from './support/peers.ts'
import { tempFolder } from './support/temp-folder.ts'

/** 64 pixels wide and high, green. */
const picture =
  'iVBORw0KGgoAAAANSUhEUgAAAEAAAABACAIAAAAlC+aJAAAAT0lEQVR42u3PQQkAAAgEsItiFKMZ3Qi+hcEKLDX9WgQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQELgv7fwDT3fen/wAAAABJRU5ErkJggg=='

interface TwoElements extends AsyncDisposable {
  readonly server: Homeserver
  readonly one: ElementWeb
  readonly other: ElementWeb
}

/** Alice and Bob, logged in. */
async function twoElements(context: TestContext): Promise<TwoElements> {
  requirePeer(context, 'chromium')
  await requireMade(context, 'element')
  await using parts = new AsyncDisposableStack()
  const server = parts.use(await homeserver())
  const pages = parts.use(await serveElement())
  const one = parts.use(await ElementWeb.logIn(pages, server.alice))
  const other = parts.use(await ElementWeb.logIn(pages, server.bob))
  const owned = parts.move()
  return { server, one, other, [Symbol.asyncDispose]: () => owned.disposeAsync() }
}

test(
  'two people with Element make a room, write, edit, react, reply, share files and take back what they said',
  { timeout: 240_000 },
  async (context) => {
    await using world = await twoElements(context)
    await using folder = await tempFolder('element')
    const { server, one, other } = world
    await one.createRoom('Tea party')
    await one.invite(server.alice.contact)
    await other.openRoom('Tea party')
    await one.say('Tea at fvie?')
    await one.sees('Tea at fvie?')
    await other.sees('Tea at fvie?')
    await one.edit('Tea at fvie?', 'Tea at five?')
    await other.sees('Tea at five?')
    await other.say('Yes')
    await one.sees('Yes')
    await one.react('Yes', '👍')
    await other.seesReaction('👍')
    await one.reply('Yes', 'Good')
    await other.seesReply('Yes', 'Good')
    await other.replyInThread('Tea at five?', 'With milk')
    await one.seesThread('With milk')

    const [list, photo] = [join(folder.path, 'list.txt'), join(folder.path, 'tea.png')]
    await writeFile(list, '1 teapot')
    await writeFile(photo, Buffer.from(picture, 'base64'))
    await one.upload(list)
    await other.seesFile('list.txt')
    await one.upload(photo)
    expect(await other.seesPicture()).toBe(64)
    await one.redact('Good')
    await other.seesRemoved()
    await one.browser.keepScreenshot('room-alice')
    await other.browser.keepScreenshot('room-bob')

    await other.reload()
    await other.sees('Tea at five?')
    await other.seesReaction('👍')
    await other.seesRemoved()
    expect(await other.seesPicture()).toBe(64)
    await other.browser.keepScreenshot('room-bob-reloaded')
  },
)

test('somebody with Element starts a chat with a contact, who answers', { timeout: 240_000 }, async (context) => {
  await using world = await twoElements(context)
  const { server, one, other } = world
  await one.startChat(server.alice.contact)
  await one.say('Tea at five?')
  await one.sees('Tea at five?')
  await other.openRoom(server.bob.contactName)
  await other.sees('Tea at five?')
  await other.say('Yes')
  await one.sees('Yes')
  expect(await one.rooms()).toEqual([server.alice.contactName])
  expect(await other.rooms()).toEqual([server.bob.contactName])
  await one.browser.keepScreenshot('chat-alice')
  await other.browser.keepScreenshot('chat-bob')
})

/** Programs made with matrix-js-sdk: two of them in a chat and in a room, each way that the library can listen. */
import { expect, test } from 'vitest'
import { homeserver } from './support/homeserver.ts'
import { MatrixProgram } from './support/matrix-program.ts'

test.for(['sync', 'encrypted sync', 'sliding sync'] as const)(
  'two programs write to each other and hear all of it by %s',
  { timeout: 180_000 },
  async (hearing) => {
    await using server = await homeserver()
    const { alice, bob } = server
    await using one = await MatrixProgram.logIn(alice, hearing)
    await using other = await MatrixProgram.logIn(bob, hearing)

    // what a program asks to be encrypted is plain to it: the gateways encrypt
    const chat = await one.startChat(alice.contact, { isEncrypted: hearing === 'encrypted sync' })
    await other.room(chat)
    await one.hearsMember(chat, alice.contact)

    const asked = await one.say(chat, 'Tea at fvie?')
    const heard = await other.hearsText(chat, 'Tea at fvie?')
    expect([heard.getId(), heard.getSender(), heard.isEncrypted()]).toEqual([asked, bob.contact, false])
    await one.edit(chat, asked, 'Tea at five?')
    await other.hearsText(chat, 'Tea at five?')
    await other.react(chat, asked, '👍')
    await one.hearsReaction(chat, asked, '👍')
    const answer = await other.reply(chat, asked, 'Yes')
    expect((await one.hearsText(chat, 'Yes')).replyEventId).toBe(asked)
    await one.replyInThread(chat, answer, 'With milk')
    const inThread = await other.hearsText(chat, 'With milk')
    expect(inThread.threadRootId).toBe(answer)

    const file = new TextEncoder().encode('1 teapot')
    await one.upload(chat, 'list.txt', file, 'text/plain')
    const { url } = (await other.hearsText(chat, 'list.txt')).getContent()
    expect(await other.download(String(url))).toEqual(file)

    await one.client.sendTyping(chat, true, 20_000)
    await other.hearsTyping(chat, bob.contact)
    const last = await other.hearsText(chat, 'list.txt')
    // a thread is read by itself, and others hear up to where nothing before is unread
    await other.client.sendReadReceipt(inThread)
    await other.client.sendReadReceipt(last)
    await one.hearsRead(chat, alice.contact, last.getId()!)
    await other.redact(chat, answer)
    await one.hearsRedaction(chat, answer)
  },
)

test('a room has a name for everybody in it and all that was said in it', { timeout: 180_000 }, async () => {
  await using server = await homeserver()
  const { alice, bob } = server
  await using one = await MatrixProgram.logIn(alice)
  await using other = await MatrixProgram.logIn(bob)
  const group = await one.createRoom('Tea party', alice.contact)
  await other.room(group)
  expect((await other.room(group)).name).toBe('Tea party')
  const said = Array.from({ length: 50 }, (_, at) => `Cup ${at}`)
  for (const text of said) await one.say(group, text)
  await other.hearsText(group, said.at(-1)!)

  await using late = await MatrixProgram.logIn(bob)
  const history = await late.history(group)
  // beside what the gateway says of the room itself
  const messages = history.filter(
    (event) => event.getType() === 'm.room.message' && event.getContent().msgtype !== 'm.notice',
  )
  const texts = messages.map((event) => String(event.getContent().body))
  expect(texts).toEqual(said)
})

/** Programs made with matrix-nio, which use the oldest paths of the API and send their token in the address. */
import { expect, test } from 'vitest'
import { homeserver } from './support/homeserver.ts'
import { type NioEvent, NioPerson } from './support/matrix-nio.ts'
import { requirePeer } from './support/peers.ts'

const isNotice =
  (name: string, about: string) =>
  ({ type, content }: NioEvent): boolean =>
    type === name && JSON.stringify(content).includes(about)

test('two programs with matrix-nio write to each other and hear all of it', { timeout: 120_000 }, async (context) => {
  requirePeer(context, 'python3', '/usr/lib/python3/dist-packages/nio')
  await using server = await homeserver()
  const { alice, bob } = server
  await using one = await NioPerson.logIn(alice)
  await using other = await NioPerson.logIn(bob)

  const chat = await one.startChat(alice.contact)
  const asked = await one.say(chat, 'Tea at fvie?')
  expect(await other.hearsText(chat, 'Tea at fvie?')).toMatchObject({ sender: bob.contact, event_id: asked })
  await one.edit(chat, asked, 'Tea at five?')
  const { content } = await other.hearsText(chat, '* Tea at five?')
  expect(content['m.relates_to']).toEqual({ rel_type: 'm.replace', event_id: asked })
  await other.react(chat, asked, '👍')
  const reaction = await one.hears(chat, ({ type }) => type === 'm.reaction')
  expect(reaction.content['m.relates_to']).toEqual({ rel_type: 'm.annotation', event_id: asked, key: '👍' })

  const file = new TextEncoder().encode('1 teapot')
  const uploaded = await one.upload(chat, 'list.txt', file, 'text/plain')
  const { url } = (await other.hearsText(chat, 'list.txt')).content
  expect(await other.download(String(url))).toEqual(file)
  await one.startTyping(chat)
  await other.hears(chat, isNotice('TypingNoticeEvent', bob.contact))
  await other.read(chat, uploaded)
  await one.hears(chat, isNotice('ReceiptEvent', uploaded))
  await one.redact(chat, asked)
  await other.hears(chat, ({ type, redacts }) => type === 'm.room.redaction' && redacts === asked)

  const party = await one.createRoom('Tea party', alice.contact)
  await one.say(party, 'Welcome')
  await other.hearsText(party, 'Welcome')
  expect(Object.values(await other.rooms()).toSorted()).toEqual(['Tea party', alice.user])
})

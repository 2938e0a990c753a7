import { randomBytes } from 'node:crypto'
import { expect, test } from 'vitest'
import { child, childText, type Element } from '../../../src/adapters/xmpp/element.ts'
import { readElement } from '../../../src/adapters/xmpp/web/element-reader.ts'
import { openWorld } from '../../support/world.ts'
import { ask, openWebServer, RawWebSocket } from './web-server.ts'

const nsUpload = 'urn:xmpp:http:upload:0'

/** The next that is such; what else comes is passed over. */
async function until(socket: RawWebSocket, isIt: (element: Element) => boolean): Promise<Element> {
  for (;;) {
    const element = readElement(await socket.next(), 1_000_000)
    if (isIt(element)) return element
  }
}

test('a file goes from one program over two gateways to another: slot, upload, message, download', async () => {
  await using world = await openWorld()
  const alice = await world.gateway('alice')
  const bob = await world.gateway('bob')
  await world.introduce(alice, bob)
  await using here = await openWebServer(alice)
  await using there = await openWebServer(bob)
  await bob.node.delivery.chats.say(bob.account, alice.account, { parts: [{ kind: 'text', text: 'hello' }] })
  await expect
    .poll(() => alice.knowledge.contacts.list(alice.account).map(({ identity }) => identity), { timeout: 20_000 })
    .toContain(bob.account)
  using sender = await RawWebSocket.open(here, { tls: true })
  using receiver = await RawWebSocket.open(there, { tls: true })
  for (const [socket, server] of [
    [sender, here],
    [receiver, there],
  ] as const) {
    await socket.login(server, 'page')
    socket.say("<presence xmlns='jabber:client'/>")
  }
  const bytes = randomBytes(500_000)
  sender.say(
    `<iq xmlns='jabber:client' id='slot' type='get' to='upload.localhost'><request xmlns='${nsUpload}' filename='cat.png' size='${bytes.length}' content-type='image/png'/></iq>`,
  )
  const slot = child(await until(sender, ({ attrs }) => attrs.id === 'slot'), `slot ${nsUpload}`)!
  const url = child(slot, 'put')!.attrs.url!
  const pathOf = (text: string): string => new URL(text).pathname
  expect(await ask(here, pathOf(url), { method: 'PUT', tls: true, body: bytes })).toMatchObject({ status: 201 })
  sender.say(
    `<message xmlns='jabber:client' id='m' type='chat' to='${bob.address}'><body>${url}</body><x xmlns='jabber:x:oob'><url>${url}</url></x></message>`,
  )
  const got = await until(
    receiver,
    (element) => element.name === 'message' && childText(element, 'body')?.endsWith('.png') === true,
  )
  const link = childText(got, 'body')!
  expect(new URL(link).host).toBe(`localhost:${there.https.address.port}`)
  const answer = await ask(there, pathOf(link), { tls: true })
  expect(answer.headers['content-type']).toBe('image/png')
  expect(answer.body.equals(bytes)).toBe(true)
})

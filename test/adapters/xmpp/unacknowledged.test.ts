/**
 * Streams that end without their program having acknowledged all (XEP-0198 §5): what it may not have is there for the next
 * one, as what came while nobody was there.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { idOfPartner } from '../../../src/core/conversation/conversations.ts'
import { limits } from '../../../src/core/limits.ts'
import { openWorld, type TestGateway, type World } from '../../support/world.ts'
import { openStreamServer, RawClient, type StreamServer } from './stream-server.ts'

const patience = { timeout: 20_000 }
const ns = 'urn:xmpp:sm:3'

let world: World
let alice: TestGateway
let bob: TestGateway
let server: StreamServer

beforeEach(async () => {
  world = await openWorld()
  alice = await world.gateway('alice')
  bob = await world.gateway('bob')
  await world.introduce(alice, bob)
  await expect
    .poll(() => alice.knowledge.contacts.byIdentity(alice.account, bob.account)?.state, patience)
    .toBe('active')
  server = await openStreamServer(alice)
})
afterEach(async () => {
  await server[Symbol.asyncDispose]()
  await world[Symbol.asyncDispose]()
})

/** @returns once it is in alice's history, and so was sent to every program of hers */
async function bobSays(text: string): Promise<void> {
  await bob.node.delivery.chats.say(bob.account, alice.account, { parts: [{ kind: 'text', text }] })
  const { conversations } = alice.knowledge
  const chat = idOfPartner(alice.account, { kind: 'direct', peer: bob.account })
  await expect
    .poll(() => conversations.page(alice.account, chat, { limit: 1 }).map((one) => one.text), patience)
    .toEqual([text])
}

/** With stream management and presence; it reads no archive. */
async function there(
  resource: string,
  at: { readonly port: number; readonly cert: string } = server,
): Promise<RawClient> {
  const client = await RawClient.plain(at)
  await client.begin()
  await client.login(server)
  await client.bind(resource)
  client.say(`<enable xmlns='${ns}' resume='true'/>`)
  await client.until(/<enabled [^>]*>/)
  client.say('<presence/>')
  return client
}

/** Up to and with a message; the same client is asked once only, so that this is all that it was sent. */
const untilSaid = async (client: RawClient, text: string): Promise<string> =>
  await client.until(new RegExp(`<body>${text}</body>.*?</message>`, 's'))
const acknowledge = (client: RawClient, heard: string): void =>
  client.say(`<a xmlns='${ns}' h='${heard.match(/<(?:message|iq|presence)[ >]/g)!.length}'/>`)
const messages = (heard: string): readonly string[] => heard.match(/<message .*?<\/message>/gs) ?? []
const bodies = (heard: string): readonly string[] =>
  messages(heard).map((message) => /<body>([^<]*)<\/body>/.exec(message)![1]!)

/** It was sent two messages, and has acknowledged the first. */
async function halfAcknowledged(): Promise<RawClient> {
  const client = await there('desk')
  await bobSays('one')
  acknowledge(client, await untilSaid(client, 'one'))
  await bobSays('two')
  await untilSaid(client, 'two')
  return client
}

/** What a program that has just come is given, up to what is said now. */
async function given(client: RawClient): Promise<string> {
  // one that is new is given it once it has asked for no archive
  await sleep(limits.xmppOfflineWaitMs + 500)
  await bobSays('last')
  return await untilSaid(client, 'last')
}

test('a program that takes its resource anew is given what its old stream has not acknowledged, with the time of each', async () => {
  using _ = await halfAcknowledged()
  using client = await there('desk')
  const heard = await given(client)
  expect(bodies(heard)).toEqual(['two', 'last'])
  expect(messages(heard)[0]).toContain("<delay xmlns='urn:xmpp:delay'")
})

test('the same where the gateway was started again before it came back', async () => {
  using old = await halfAcknowledged()
  await server.xmpp[Symbol.asyncDispose]()
  await old.end()
  server = await openStreamServer(alice)
  using client = await there('desk')
  expect(bodies(await given(client))).toEqual(['two', 'last'])
})

test('what another program of the account was given meanwhile is not given again', async () => {
  using _ = await halfAcknowledged()
  using other = await there('phone')
  await bobSays('three')
  acknowledge(other, await untilSaid(other, 'three'))
  other.say(`<r xmlns='${ns}'/>`)
  await other.until(/<a [^>]*>/)
  other.say('</stream:stream>')
  await other.end()
  using client = await there('desk')
  expect(bodies(await given(client))).toEqual(['last'])
})

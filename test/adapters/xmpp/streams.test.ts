import { afterAll, beforeAll, expect, test } from 'vitest'
import { openWorld, type TestGateway, type World } from '../../support/world.ts'
import { openStreamServer, RawClient, type StreamServer } from './stream-server.ts'

let world: World
let alice: TestGateway
let server: StreamServer

beforeAll(async () => {
  world = await openWorld()
  alice = await world.gateway('alice')
  server = await openStreamServer(alice)
})
afterAll(async () => {
  await server[Symbol.asyncDispose]()
  await world[Symbol.asyncDispose]()
})

test('a client goes from a plain connection over STARTTLS and login to a bound resource', async () => {
  using client = await RawClient.plain(server)
  expect(await client.begin()).toContain("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")
  await client.startTls()
  const offered = await client.begin()
  expect(offered).not.toContain('starttls')
  expect(offered).toContain('<mechanism>SCRAM-SHA-256-PLUS</mechanism>')
  expect(offered).toContain("<channel-binding type='tls-exporter'/>")
  expect(await client.login(server)).toContain("<bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/>")
  expect(await client.bind('desk')).toBe('alice@localhost/desk')
  client.say("<iq id='s' type='set'><session xmlns='urn:ietf:params:xml:ns:xmpp-session'/></iq>")
  expect(await client.until("id='s'")).toContain("type='result'")
  client.say("<iq id='u' type='get' to='localhost'><query xmlns='urn:example:unknown'/></iq>")
  expect(await client.until('</iq>')).toContain('service-unavailable')
  client.say('</stream:stream>')
  expect(await client.end()).toContain('</stream:stream>')
})

import { afterEach, beforeEach, expect, test } from 'vitest'
import type { Client } from '../../../src/adapters/xmpp/client.ts'
import { openXmpp, type Xmpp } from '../../../src/adapters/xmpp/adapter.ts'
import { el } from '../../../src/adapters/xmpp/element.ts'
import type { Session } from '../../../src/adapters/xmpp/session.ts'
import { createAccount } from '../../../src/operations/accounts.ts'
import { openWorld, type TestGateway, type World } from '../../support/world.ts'
import { selfSigned } from '../wire/certificate.ts'
import { openStreamServer, RawClient, servicesOf, type StreamServer, testAmbient } from './stream-server.ts'

const patience = { timeout: 20_000 }
const ns = 'urn:xmpp:sm:3'

let world: World
let alice: TestGateway
let server: StreamServer

beforeEach(async () => {
  world = await openWorld()
  alice = await world.gateway('alice')
  server = await openStreamServer(alice)
})
afterEach(async () => {
  await server[Symbol.asyncDispose]()
  await world[Symbol.asyncDispose]()
})

const clients = (at: { readonly xmpp: Xmpp } = server): readonly Client[] => at.xmpp.server.hub.of(alice.account)
const message = (text: string): ReturnType<typeof el> =>
  el('message', { from: 'bob@far.example' }, el('body', {}, text))
const bodies = (heard: string): readonly string[] =>
  [...heard.matchAll(/<body>([^<]*)<\/body>/g)].map(([, text]) => text!)

/** @returns the id by which it may be resumed */
async function enable(client: RawClient, resume: 'true' | '1' | 'false' = 'true'): Promise<string | undefined> {
  client.say(`<enable xmlns='${ns}' resume='${resume}'/>`)
  return /id='([^']*)'/.exec(await client.until(/<enabled [^>]*>/))?.[1]
}

async function loggedIn(at: { readonly port: number; readonly cert: string } = server): Promise<RawClient> {
  const client = await RawClient.plain(at)
  await client.begin()
  await client.login(server)
  return client
}

async function resume(client: RawClient, id: string, h: number): Promise<string> {
  client.say(`<resume xmlns='${ns}' previd='${id}' h='${h}'/>`)
  return await client.until(/<resumed [^>]*>|<\/failed>/)
}

const query = (id: string): string => `<iq id='${id}' type='get' to='localhost'><a xmlns='urn:x'/></iq>`

test('what a client says is counted once it is handled; both forms of an xs:boolean allow resumption', async () => {
  using client = await RawClient.bound(server, 'desk')
  expect(await enable(client, '1')).toMatch(/^[-\w]{22}$/)
  client.say(`${query('1')}${query('2')}<r xmlns='${ns}'/>`)
  expect(await client.until(/<a [^>]*>/)).toContain("h='2'")
  client.say(`<r xmlns='${ns}'/>`)
  expect(await client.until(/<a [^>]*>/)).toContain("h='2'")
})

test('without resumption nothing is kept: the client is gone with its connection', async () => {
  using client = await RawClient.bound(server, 'desk')
  expect(await enable(client, 'false')).toBeUndefined()
  client.socket.destroy()
  await expect.poll(() => clients(), patience).toHaveLength(0)
})

test('a client whose connection is lost stays bound, and gets after it what it had not acknowledged and what came since', async () => {
  using before = await RawClient.bound(server, 'desk')
  const id = (await enable(before))!
  for (const text of ['1', '2', '3']) clients()[0]!.send(message(text))
  await before.until('<body>3</body>')
  before.say(`<a xmlns='${ns}' h='1'/>`)
  before.socket.destroy()
  await expect.poll(() => (clients()[0] as Session).isConnected, patience).toBe(false)
  clients()[0]!.send(message('4'))
  using after = await loggedIn()
  expect(await resume(after, id, 2)).toContain("h='0'")
  expect(bodies(await after.until('<body>4</body>'))).toEqual(['3', '4'])
  after.say(query('q'))
  expect(await after.until('</iq>')).toContain("to='alice@localhost/desk'")
})

test('a new connection takes a stream over from one that nobody has missed yet', async () => {
  using before = await RawClient.bound(server, 'desk')
  const id = (await enable(before))!
  using after = await loggedIn()
  expect(await resume(after, id, 0)).toContain('<resumed ')
  expect(await before.end()).not.toContain('stream:error')
  expect(clients()).toHaveLength(1)
})

test('a farewell ends the stream: it cannot be resumed, but it is still known what was handled of it', async () => {
  using before = await RawClient.bound(server, 'desk')
  const id = (await enable(before))!
  before.say(`${query('1')}</stream:stream>`)
  await before.end()
  await expect.poll(() => clients(), patience).toHaveLength(0)
  using after = await loggedIn()
  expect(await resume(after, id, 0)).toMatch(/<failed xmlns='urn:xmpp:sm:3' h='1'><item-not-found /)
  expect(await after.bind('desk')).toBe('alice@localhost/desk')
  using other = await loggedIn()
  expect(await resume(other, 'AAAAAAAAAAAAAAAAAAAAAA', 0)).toMatch(/<failed xmlns='urn:xmpp:sm:3'><item-not-found /)
})

test('nobody resumes the stream of another account', async () => {
  using before = await RawClient.bound(server, 'desk')
  const id = (await enable(before))!
  const { knowledge } = alice
  await createAccount(knowledge, testAmbient, {
    localName: 'eve',
    address: undefined,
    displayName: undefined,
  })
  const eve = knowledge.accounts.byUser('eve')!.identity
  const { password } = await knowledge.logins.create(eve, 'eve')
  using client = await RawClient.plain(server)
  await client.begin()
  await client.login({ user: 'eve', password })
  expect(await resume(client, id, 0)).toMatch(/<failed xmlns='urn:xmpp:sm:3'><item-not-found /)
  expect(clients()).toHaveLength(1)
})

test('a client that acknowledges more than it was sent is told so, with both counts', async () => {
  using client = await RawClient.bound(server, 'desk')
  await enable(client)
  client.say(`<a xmlns='${ns}' h='7'/>`)
  const heard = await client.end()
  expect(heard).toContain('<undefined-condition ')
  expect(heard).toContain(`<handled-count-too-high xmlns='${ns}' h='7' send-count='0'/>`)
})

test.each([
  ['enabled twice', `<enable xmlns='${ns}'/>`, '<unexpected-request '],
  ['resumed while it is bound', `<resume xmlns='${ns}' previd='x' h='0'/>`, '<unexpected-request '],
  ['a count that is none', `<a xmlns='${ns}' h='x'/>`, '<invalid-xml '],
])('%s is refused', async (_, text, condition) => {
  using client = await RawClient.bound(server, 'desk')
  await enable(client)
  client.say(text)
  expect(await client.until(condition)).toContain(condition)
})

/** The same gateway's server anew, as after a start. */
async function startAgain(): Promise<
  { readonly xmpp: Xmpp; readonly port: number; readonly cert: string } & AsyncDisposable
> {
  const material = await selfSigned()
  const xmpp = await openXmpp(
    { xmpp: { host: '127.0.0.1', port: 0 } },
    servicesOf(alice, () => material),
    testAmbient,
  )
  const dispose = async (): Promise<void> => await xmpp[Symbol.asyncDispose]()
  return { xmpp, port: xmpp.listeners.xmpp!.port, cert: material.cert, [Symbol.asyncDispose]: dispose }
}

test('a stream goes on after the gateway has stopped and started: state, what was not acknowledged, what came meanwhile', async () => {
  using before = await RawClient.bound(server, 'desk')
  const id = (await enable(before))!
  Object.assign(clients()[0]!.state, {
    carbons: true,
    wantsRoster: true,
    presence: el('presence', { from: 'alice@localhost/desk' }, el('show', {}, 'away')),
    priority: -3,
    upTo: 42,
    notes: { test: 'some' },
  })
  before.say(query('1'))
  await before.until('</iq>')
  for (const text of ['1', '2']) clients()[0]!.send(message(text))
  await before.until('<body>2</body>')
  await server.xmpp[Symbol.asyncDispose]()
  expect(await before.end()).toContain('<system-shutdown ')
  await using again = await startAgain()
  expect(clients(again)).toMatchObject([
    {
      state: { carbons: true, wantsRoster: true, priority: -3, upTo: 42, notes: { test: 'some' } },
      jid: { resource: 'desk' },
    },
  ])
  expect(clients(again)[0]!.state.presence).toEqual(
    el('presence', { from: 'alice@localhost/desk' }, el('show', {}, 'away')),
  )
  clients(again)[0]!.send(message('3'))
  using after = await loggedIn(again)
  // it has had the answer to its query and the first message
  expect(await resume(after, id, 2)).toContain("h='1'")
  expect(bodies(await after.until('<body>3</body>'))).toEqual(['2', '3'])
})

test('a process that ends at once loses nothing that was on its way, and doubles nothing that a client had', async () => {
  using before = await RawClient.bound(server, 'desk')
  const id = (await enable(before))!
  const count = 500
  for (let at = 0; at < count; at += 1) clients()[0]!.send(message(String(at)))
  const heard = await before.until('<body>200</body>')
  // the old process is left as it stands: it hears and says nothing more
  await using again = await startAgain()
  using after = await loggedIn(again)
  await resume(after, id, bodies(heard).length)
  const rest = bodies(await after.until(`<body>${count - 1}</body>`))
  expect([...bodies(heard), ...rest]).toEqual(Array.from({ length: count }, (_, at) => String(at)))
})

test('who reads slowly but acknowledges is not cut: what is for it waits, in order', async () => {
  using client = await RawClient.bound(server, 'desk')
  await enable(client)
  client.socket.pause()
  const text = 'x'.repeat(20_000)
  for (let at = 0; at < 400; at += 1) clients()[0]!.send(message(`${at} ${text}`))
  await expect.poll(() => server.xmpp.connections, patience).toBe(1)
  client.socket.resume()
  const heard = bodies(await client.until(`<body>399 ${text}</body>`))
  expect(heard.map((body) => Number.parseInt(body, 10))).toEqual(Array.from({ length: 400 }, (_, at) => at))
})

test('a client that acknowledges nothing for too long loses its stream', async () => {
  using client = await RawClient.bound(server, 'desk')
  await enable(client)
  for (let at = 0; at <= 10_000; at += 1) clients()[0]?.send(message(String(at)))
  await expect.poll(() => clients(), patience).toHaveLength(0)
})

/** Connections that a server still believes in when their client is back (XEP-0198 §5, RFC 6120 §7.7.2.2). */
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { el } from '../../../src/adapters/xmpp/element.ts'
import { StreamRows } from '../../../src/adapters/xmpp/resumption/stream-rows.ts'
import { Session } from '../../../src/adapters/xmpp/session.ts'
import { limits } from '../../../src/core/limits.ts'
import { openWorld, type TestGateway, type World } from '../../support/world.ts'
import { openStreamServer, RawClient, type StreamServer } from './stream-server.ts'

const patience = { timeout: 20_000 }
const ns = 'urn:xmpp:sm:3'
/** Bodies of this size soon fill what the system holds for a connection that is not read. */
const large = 'x'.repeat(20_000)
const many = 400

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

const sessions = (): readonly Session[] =>
  server.xmpp.server.hub.of(alice.account).filter((client) => client instanceof Session)
const numbers = (heard: string): readonly number[] =>
  [...heard.matchAll(/<body>(\d+) /g)].map(([, number]) => Number(number))
const query = (id: string): string => `<iq id='${id}' type='get' to='localhost'><a xmlns='urn:x'/></iq>`

async function managed(resource = 'desk'): Promise<{ readonly client: RawClient; readonly id: string } & Disposable> {
  const client = await RawClient.bound(server, resource)
  client.say(`<enable xmlns='${ns}' resume='true'/>`)
  const id = /id='([^']*)'/.exec(await client.until(/<enabled [^>]*>/))![1]!
  return { client, id, [Symbol.dispose]: () => client[Symbol.dispose]() }
}

async function back(): Promise<RawClient> {
  const client = await RawClient.plain(server)
  await client.begin()
  await client.login(server)
  return client
}

const resume = (client: RawClient, id: string, h: number): void =>
  client.say(`<resume xmlns='${ns}' previd='${id}' h='${h}'/>`)
const answer = async (client: RawClient): Promise<string> => await client.until(/<resumed [^>]*>|<\/failed>/)
async function handled(client: RawClient): Promise<number> {
  client.say(`<r xmlns='${ns}'/>`)
  return Number(/h='(\d+)'/.exec(await client.until(/<a [^>]*>/))![1])
}

/** Stanzas of the client whose handling takes until they are let go. */
function slowStanzas(count: number): { readonly letGo: () => void } {
  const gate = Promise.withResolvers<void>()
  for (let at = 0; at < count; at += 1) void sessions()[0]!.handle(async () => await gate.promise)
  return { letGo: gate.resolve }
}

async function fill(): Promise<void> {
  for (let at = 0; at < many; at += 1)
    sessions()[0]!.send(el('message', { from: 'bob@far.example' }, el('body', {}, `${at} ${large}`)))
  // until what is for it waits here rather than in the system
  await sleep(500)
}

test.each([
  ['an iq that waits for what was said before it', 1, query('late')],
  [
    'a message that waits for its turn',
    limits.xmppMessagesAtOnce,
    "<message to='nobody@localhost'><body>late</body></message>",
  ],
])(
  '%s is not handled on a connection that another one has replaced: the client says it again, and it counts once',
  async (_, before, late) => {
    using old = await managed()
    const { letGo } = slowStanzas(before)
    old.client.say(late)
    using client = await back()
    resume(client, old.id, 0)
    await expect.poll(() => sessions()[0]!.isConnected, patience).toBe(false)
    letGo()
    expect(await answer(client)).toContain(`h='${before}'`)
    client.say(late)
    expect(await handled(client)).toBe(before + 1)
  },
)

test('a client that is cut off while it resumes resumes again: the later connection has the stream', async () => {
  using old = await managed()
  const { letGo } = slowStanzas(1)
  using cutOff = await back()
  resume(cutOff, old.id, 0)
  await expect.poll(() => sessions()[0]!.isConnected, patience).toBe(false)
  using client = await back()
  resume(client, old.id, 0)
  await sleep(100)
  letGo()
  expect(await answer(client)).toContain("<resumed xmlns='urn:xmpp:sm:3'")
  expect(sessions()).toHaveLength(1)
  client.say(query('q'))
  expect(await client.until('</iq>')).toContain("to='alice@localhost/desk'")
  expect(cutOff.heard).not.toContain('<resumed ')
})

test('a stream goes on while the queue of its old connection is full: in order, without gaps', async () => {
  using old = await managed()
  old.client.socket.pause()
  await fill()
  using client = await back()
  resume(client, old.id, 0)
  expect(await answer(client)).toContain('<resumed ')
  const heard = await client.until(`<body>${many - 1} ${large}</body>`)
  expect(numbers(heard)).toEqual(Array.from({ length: many }, (_, at) => at))
  old.client.socket.resume()
  await old.client.end()
  expect(server.xmpp.connections).toBe(1)
})

test('a resource taken anew while the queue of its old connection is full is there at once, and the old stream is over', async () => {
  using old = await managed()
  old.client.socket.pause()
  await fill()
  using client = await back()
  await client.bind('desk')
  client.say(query('q'))
  await client.until('</iq>')
  expect(sessions()).toHaveLength(1)
  old.client.socket.resume()
  await old.client.end()
  await expect.poll(() => server.xmpp.connections, patience).toBe(1)
  using late = await back()
  resume(late, old.id, 0)
  expect(await answer(late)).toContain('<item-not-found ')
})

test('of streams of one resource that were not noted as over when the process ended, the latest is restored', async () => {
  const rows = new StreamRows(alice.knowledge.store)
  const scope = new DisposableStack()
  let latest = ''
  for (let at = 0; at < 8; at += 1) {
    latest = scope.use(await managed()).id
    await sleep(5)
  }
  await expect.poll(() => rows.all().filter(({ row }) => row.overAtMs > 0), patience).toHaveLength(7)
  await rows.store.write((tx) => {
    for (const { id, row } of rows.all()) rows.put(tx, id, { ...row, overAtMs: 0 })
  })
  // the old process is left as it stands
  await using again = await openStreamServer(alice)
  using client = await RawClient.plain(again)
  await client.begin()
  await client.login(server)
  resume(client, latest, 0)
  expect(await answer(client)).toContain('<resumed ')
  scope.dispose()
})

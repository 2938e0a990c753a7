import { setDefaultCACertificates } from 'node:tls'
import { client, type Element, xml, type XmppClient } from '@xmpp/client'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { openWorld, type TestGateway, type World } from '../../support/world.ts'
import { openStreamServer, type StreamServer } from './stream-server.ts'

let world: World
let alice: TestGateway
let server: StreamServer

beforeAll(async () => {
  world = await openWorld()
  alice = await world.gateway('alice')
  server = await openStreamServer(alice)
  setDefaultCACertificates([server.cert])
})
afterAll(async () => {
  await server[Symbol.asyncDispose]()
  await world[Symbol.asyncDispose]()
})

interface Seen {
  readonly xmpp: XmppClient
  /** Elements that it has sent, by name. */
  readonly sent: Element[]
}

function openClient(): Seen {
  const xmpp = client({
    service: `xmpp://127.0.0.1:${server.port}`,
    domain: 'localhost',
    username: server.user,
    password: server.password,
    resource: 'library',
  })
  const sent: Element[] = []
  xmpp.on('send', (element: Element) => sent.push(element))
  // beside a server in its own process it may see an answer before its own write is done, and wait for it once more
  xmpp.on('error', (error: Error) => {
    if (error.name !== 'TimeoutError') throw error
  })
  return { xmpp, sent }
}

const patience = { timeout: 20_000 }
const bound = (): number => server.xmpp.server.hub.of(alice.account).length

test('a client library logs in, binds and enables stream management in one go, and what it asks is answered and acknowledged', async () => {
  const { xmpp, sent } = openClient()
  await xmpp.start()
  expect(xmpp.jid!.toString()).toMatch(/^alice@localhost\/library\./)
  expect(sent.map(({ name }) => name)).toEqual(['starttls', 'authenticate', 'response'])
  expect(xmpp.streamManagement.enabled).toBe(true)
  const unknown = xml('iq', { type: 'get', to: 'localhost' }, xml('query', { xmlns: 'urn:example:unknown' }))
  await expect(xmpp.iqCaller.request(unknown)).rejects.toThrow('service-unavailable')
  await expect.poll(() => xmpp.streamManagement.outbound_q.length, patience).toBe(0)
  await xmpp.stop()
  await expect.poll(bound, patience).toBe(0)
})

test('a client library that lost its connection logs in by its token and goes on with the same stream', async () => {
  const { xmpp, sent } = openClient()
  await xmpp.start()
  const before = xmpp.jid!.toString()
  const { id } = xmpp.streamManagement
  const resumed = new Promise<void>((resolve) => xmpp.streamManagement.once('resumed', resolve))
  sent.length = 0
  xmpp.socket!.socket.destroy()
  await resumed
  const authenticate = sent.find(({ name }) => name === 'authenticate')!
  expect(authenticate.attrs['mechanism']).toBe('HT-SHA-256-NONE')
  expect(authenticate.getChild('resume')!.attrs['previd']).toBe(id)
  expect(xmpp.jid!.toString()).toBe(before)
  expect(bound()).toBe(1)
  await xmpp.stop()
  await expect.poll(bound, patience).toBe(0)
})

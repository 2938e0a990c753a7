import { setDefaultCACertificates } from 'node:tls'
import { client, xml } from '@xmpp/client'
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

const openClient = (options: object = {}): ReturnType<typeof client> =>
  client({
    service: `xmpp://127.0.0.1:${server.port}`,
    domain: 'localhost',
    username: server.user,
    password: server.password,
    ...options,
  })

test('a client library logs in, binds and enables stream management in one go, pings, and gets a token', async () => {
  const xmpp = openClient({ resource: 'library' })
  const tokens: { readonly mechanism: string }[] = []
  xmpp.fast.saveToken = async (token: { readonly mechanism: string }) => void tokens.push(token)
  const online = new Promise<string>((resolve) => xmpp.once('online', (jid: { toString(): string }) => resolve(jid.toString())))
  xmpp.on('error', (error: Error) => console.log('error', error))
  await xmpp.start()
  expect(await online).toMatch(/^alice@localhost\/library\./)
  await expect.poll(() => tokens).toMatchObject([{ mechanism: 'HT-SHA-256-NONE' }])
  expect(xmpp.streamManagement.enabled).toBe(true)
  const answer = await xmpp.iqCaller.request(xml('iq', { type: 'get', to: 'localhost' }, xml('x', 'urn:x'))).catch((error: Error) => error.message)
  expect(answer).toContain('service-unavailable')
  await expect.poll(() => xmpp.streamManagement.outbound_q.length).toBe(0)
  await xmpp.stop()
})

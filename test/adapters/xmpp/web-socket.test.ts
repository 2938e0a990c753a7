import { client, xml } from '@xmpp/client'
import fc from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { el, parsedBack } from './written.ts'
import { WebSocket } from 'ws'
import { limits } from '../../../src/core/limits.ts'
import { serialise } from '../../../src/adapters/xmpp/element.ts'
import { readElement } from '../../../src/adapters/xmpp/web/element-reader.ts'
import { standaloneStanzas } from '../../../src/adapters/xmpp/web/framing.ts'
import { StreamError } from '../../../src/adapters/xmpp/transport.ts'
import { openWorld, type TestGateway, type World } from '../../support/world.ts'
import { ask, openWebServer, RawWebSocket, type WebServer } from './web-server.ts'

let world: World
let alice: TestGateway
let server: WebServer

beforeAll(async () => {
  world = await openWorld()
  alice = await world.gateway('alice')
  server = await openWebServer(alice, { origins: ['https://chat.example'] })
})
afterAll(async () => {
  await server[Symbol.asyncDispose]()
  await world[Symbol.asyncDispose]()
})

const framing = 'urn:ietf:params:xml:ns:xmpp-framing'

test.each([
  ['ws', false],
  ['wss', true],
] as const)('over %s a program logs in and binds, each element a message of its own', async (_, tls) => {
  using socket = await RawWebSocket.open(server, { tls })
  expect(socket.socket.protocol).toBe('xmpp')
  socket.say(RawWebSocket.opening)
  const opened = readElement(await socket.next(), 10_000)
  expect(opened).toMatchObject({ name: 'open', ns: framing, attrs: { from: 'localhost', version: '1.0' } })
  const features = await socket.next()
  expect(features).toMatch(/^<stream:features xmlns:stream='http:\/\/etherx\.jabber\.org\/streams'>/)
  expect(features).toContain('<mechanism>SCRAM-SHA-1</mechanism>')
  expect(features).not.toContain('starttls')
})

test('after login the stream begins anew, stanzas have their namespace, and close is answered by close', async () => {
  using socket = await RawWebSocket.open(server)
  expect(await socket.login(server, 'hand')).toBe('alice@localhost/hand')
  socket.say("<iq xmlns='jabber:client' id='u' type='get' to='localhost'><query xmlns='urn:example:unknown'/></iq>")
  expect(readElement(await socket.next(), 10_000)).toMatchObject({
    name: 'iq',
    ns: 'jabber:client',
    attrs: { id: 'u' },
  })
  socket.say(`<close xmlns='${framing}'/>`)
  expect(await socket.end()).toEqual({ code: 1000, heard: [`<close xmlns='${framing}'/>`] })
  await expect.poll(() => server.xmpp.server.hub.of(alice.account).map(({ jid }) => jid.resource)).not.toContain('hand')
})

test('@xmpp/client logs in over a WebSocket', async () => {
  const program = client({
    service: `ws://localhost:${server.http.address.port}/xmpp-websocket`,
    domain: 'localhost',
    resource: 'program',
    username: server.user,
    password: server.password,
  })
  program.on('error', () => {})
  const jid = await program.start()
  expect(String(jid)).toMatch(/^alice@localhost\/program/)
  await expect(
    program.iqCaller.request(xml('iq', { type: 'get' }, xml('query', 'urn:example:unknown'))),
  ).rejects.toMatchObject({
    condition: 'service-unavailable',
  })
  await program.stop()
})

test('pages of other sites get no WebSocket; those of this listener, of an allowed origin, and programs do', async () => {
  const statusOf = async (origin: string | undefined, host?: string): Promise<number | 'open'> => {
    const headers = { ...(origin === undefined ? {} : { origin }), ...(host === undefined ? {} : { host }) }
    const socket = new WebSocket(`ws://localhost:${server.http.address.port}/xmpp-websocket`, ['xmpp'], { headers })
    return await new Promise((resolve) => {
      socket.on('open', () => {
        socket.terminate()
        resolve('open')
      })
      socket.on('unexpected-response', (_, response) => {
        socket.terminate()
        resolve(response.statusCode!)
      })
      socket.on('error', () => {})
    })
  }
  const { port } = server.http.address
  expect(await statusOf('https://evil.example')).toBe(403)
  expect(await statusOf('null')).toBe(403)
  expect(await statusOf(`http://localhost:${port + 1}`)).toBe(403)
  expect(await statusOf('http://chat.example')).toBe(403)
  expect(await statusOf('https://chat.example.evil.example')).toBe(403)
  expect(await statusOf(undefined, 'evil.example')).toBe(421)
  expect(await statusOf(`http://evil.example`, 'evil.example')).toBe(421)
  expect(await statusOf('https://chat.example')).toBe('open')
  expect(await statusOf(`http://localhost:${port}`)).toBe('open')
  expect(await statusOf(undefined)).toBe('open')
})

test('without the subprotocol, or without an upgrade, there is no stream', async () => {
  await expect(RawWebSocket.open(server, { protocols: [] })).rejects.toThrow('400')
  await expect(RawWebSocket.open(server, { protocols: ['mqtt'] })).rejects.toThrow('400')
  await expect(RawWebSocket.open(server, { path: '/healthz' })).rejects.toThrow('200')
  expect(await ask(server, '/xmpp-websocket')).toMatchObject({ status: 426 })
  expect(await ask(server, '/xmpp-websocket', { method: 'POST', body: 'x' })).toMatchObject({ status: 413 })
})

test.each([
  ['two elements in one message', "<presence xmlns='jabber:client'/><presence xmlns='jabber:client'/>", 'bad-format'],
  ['half an element', "<presence xmlns='jabber:client'>", 'not-well-formed'],
  ['no element', 'hello', 'not-well-formed'],
  ['a comment', "<presence xmlns='jabber:client'><!-- --></presence>", 'restricted-xml'],
  ['a DTD', "<!DOCTYPE x [<!ENTITY a 'b'>]><presence xmlns='jabber:client'/>", 'not-well-formed'],
  [
    'the header of a TCP stream',
    "<stream:stream xmlns:stream='http://etherx.jabber.org/streams' to='localhost'>",
    'not-well-formed',
  ],
  ['an unknown frame', `<frame xmlns='${framing}'/>`, 'bad-format'],
  [
    'more than is taken before login',
    `<presence xmlns='jabber:client'>${' '.repeat(11_000)}</presence>`,
    'policy-violation',
  ],
  ['a stanza before login', "<presence xmlns='jabber:client'/>", 'not-authorized'],
])('%s ends the stream with its error, and the gateway goes on', async (_, text, condition) => {
  using socket = await RawWebSocket.open(server)
  await socket.begin()
  socket.say(text)
  const { code, heard } = await socket.end()
  expect(code).toBe(1000)
  expect(heard.at(0)).toContain(`<${condition} xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>`)
  expect(heard.at(-1)).toBe(`<close xmlns='${framing}'/>`)
  using another = await RawWebSocket.open(server)
  expect(await another.begin()).toContain('features')
})

test('binary messages and messages of any length end the connection', async () => {
  using binary = await RawWebSocket.open(server)
  await binary.begin()
  binary.socket.send(Buffer.from("<presence xmlns='jabber:client'/>"))
  expect((await binary.end()).code).toBe(1003)
  using long = await RawWebSocket.open(server)
  await long.begin()
  long.say('x'.repeat(2 * limits.xmppStanzaBytesMax + 1))
  expect((await long.end()).code).toBe(1009)
})

test('a client that does not read is cut once too much waits for it', async () => {
  using socket = await RawWebSocket.open(server)
  await socket.login(server, 'deaf')
  const [deaf] = server.xmpp.server.hub.of(alice.account).filter(({ jid }) => jid.resource === 'deaf')
  socket.socket.pause()
  const stanza = el('message', {}, el('body', {}, 'x'.repeat(200_000)))
  for (let count = 0; count < 100; count += 1) deaf!.send(stanza)
  await expect
    .poll(() => server.xmpp.server.hub.of(alice.account).map(({ jid }) => jid.resource), { timeout: 20_000 })
    .not.toContain('deaf')
})

test('many messages at once are answered in order', async () => {
  using socket = await RawWebSocket.open(server)
  await socket.login(server, 'quick')
  const count = 3 * limits.xmppWebMessagesAhead
  for (let id = 0; id < count; id += 1)
    socket.say(
      `<iq xmlns='jabber:client' id='${id}' type='get' to='localhost'><query xmlns='urn:example:unknown'/></iq>`,
    )
  for (let id = 0; id < count; id += 1) expect(await socket.next()).toContain(`id='${id}'`)
})

test('what is written for a TCP stream comes apart into the same stanzas, each with its namespace', () => {
  fc.assert(
    fc.property(fc.array(parsedBack, { maxLength: 5 }), (stanzas) => {
      const text = stanzas.map((stanza) => serialise(stanza)).join('')
      expect([...standaloneStanzas(text)].map((one) => readElement(one, 1_000_000))).toEqual(stanzas)
    }),
  )
})

test('no text makes the reader fail otherwise than with an error of the stream', () => {
  const piece = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.constantFrom('<', '>', '/>', '</', '<a>', '</a>', '<!--', '<![CDATA[', ']]>', '<?', "='", '&#x0;', '&lt;'),
  )
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 12 }), (pieces) => {
      try {
        readElement(pieces.join(''), 1000)
      } catch (error) {
        expect(error).toBeInstanceOf(StreamError)
      }
    }),
    { numRuns: 500 },
  )
})

test('host-meta names this server under the name and with the security by which it was asked', async () => {
  const asked = async (path: string, tls: boolean) => await ask(server, path, { tls })
  const plain = await asked('/.well-known/host-meta', false)
  expect(plain.headers['content-type']).toBe('application/xrd+xml; charset=utf-8')
  expect(plain.body.toString()).toContain(
    `<Link rel='urn:xmpp:alt-connections:websocket' href='ws://localhost:${server.http.address.port}/xmpp-websocket'/>`,
  )
  const secure = await asked('/.well-known/host-meta.json', true)
  expect(JSON.parse(secure.body.toString())).toEqual({
    links: [
      {
        rel: 'urn:xmpp:alt-connections:websocket',
        href: `wss://localhost:${server.https.address.port}/xmpp-websocket`,
      },
      { rel: 'urn:xmpp:alt-connections:xbosh', href: `https://localhost:${server.https.address.port}/http-bind` },
    ],
  })
  const page = { origin: 'https://chat.example' }
  expect((await ask(server, '/.well-known/host-meta', { headers: page })).headers['access-control-allow-origin']).toBe(
    'https://chat.example',
  )
  expect(await ask(server, '/.well-known/host-meta', { headers: { origin: 'https://evil.example' } })).toMatchObject({
    status: 403,
  })
})

test('when the gateway goes, a WebSocket is told so', async () => {
  const passing = await openWebServer(alice)
  using socket = await RawWebSocket.open(passing)
  await socket.login(passing, 'last')
  const [{ heard }] = await Promise.all([socket.end(), passing[Symbol.asyncDispose]()])
  expect(heard.join('')).toContain('system-shutdown')
})

test('a stream that was cut is resumed over another WebSocket, with what came meanwhile', async () => {
  const sm = 'urn:xmpp:sm:3'
  const socket = await RawWebSocket.open(server)
  await socket.login(server, 'resumes')
  socket.say(`<enable xmlns='${sm}' resume='true'/>`)
  const { id } = readElement(await socket.next(), 10_000).attrs
  const [bound] = server.xmpp.server.hub.of(alice.account).filter(({ jid }) => jid.resource === 'resumes')
  socket.socket.terminate()
  bound!.send(el('message', { id: 'meanwhile' }, el('body', {}, 'there?')))
  using again = await RawWebSocket.open(server)
  await again.authenticate(server)
  again.say(`<resume xmlns='${sm}' previd='${id}' h='0'/>`)
  expect(readElement(await again.next(), 10_000)).toMatchObject({ name: 'resumed', ns: sm })
  expect(readElement(await again.next(), 10_000)).toMatchObject({ name: 'message', attrs: { id: 'meanwhile' } })
})

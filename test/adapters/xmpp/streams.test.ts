import type { TLSSocket } from 'node:tls'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Client } from '../../../src/adapters/xmpp/client.ts'
import { type Element, el, serialise } from '../../../src/adapters/xmpp/element.ts'
import type { StreamEvent, Transport } from '../../../src/adapters/xmpp/transport.ts'
import { XmlReader } from '../../../src/adapters/xmpp/xml-reader.ts'
import { limits } from '../../../src/core/limits.ts'
import { openWorld, type TestGateway, type World } from '../../support/world.ts'
import { ScramClient } from '../wire/scram-client.ts'
import { header, openStreamServer, RawClient, type StreamServer } from './stream-server.ts'

const patience = { timeout: 20_000 }

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

const saslNs = 'urn:ietf:params:xml:ns:xmpp-sasl'
const base64 = (text: string | Uint8Array): string => Buffer.from(text).toString('base64')
const auth = (mechanism: string, text: string): string =>
  `<auth xmlns='${saslNs}' mechanism='${mechanism}'>${text}</auth>`
const errorOf = (heard: string): string | undefined => /<stream:error><([a-z-]+) /.exec(heard)?.[1]

describe('the beginning of a stream', () => {
  test.each([
    ['another host', header('other.example'), 'host-unknown'],
    ['no host', header().replace(" to='localhost'", ''), 'improper-addressing'],
    ['no version', header().replace(" version='1.0'>", '>'), 'unsupported-version'],
    ['an old version', header().replace("1.0'>", "0.9'>"), 'unsupported-version'],
    ['another namespace', header().replace('jabber:client', 'jabber:server'), 'invalid-namespace'],
    ['no stream', '<message/>', 'invalid-namespace'],
    ['a DTD', '<!DOCTYPE a>', 'restricted-xml'],
    ['nonsense', 'hello >', 'not-well-formed'],
    ['a stanza before login', `${header()}<message to='bob@localhost'/>`, 'not-authorized'],
    ['a stanza over the bound of strangers', `${header()}<auth>${'x'.repeat(11_000)}</auth>`, 'policy-violation'],
  ])('%s is answered inside a stream', async (_, text, condition) => {
    using client = await RawClient.plain(server)
    client.say(text)
    const heard = await client.end()
    expect(heard.startsWith("<?xml version='1.0'?><stream:stream ")).toBe(true)
    expect(errorOf(heard)).toBe(condition)
    expect(heard.endsWith('</stream:stream>')).toBe(true)
  })

  test.each([
    ['a browser', 'GET / HTTP/1.1\r\nHost: localhost\r\n\r\n'],
    ['a TLS client', Uint8Array.of(0x16, 3, 1, 0, 1, 1)],
  ])('%s at this port hears nothing', async (_, text) => {
    using client = await RawClient.plain(server)
    client.say(text)
    expect(await client.end()).toBe('')
  })

  test('what was put in clear behind STARTTLS is never taken for protected: there is no TLS', async () => {
    using client = await RawClient.plain(server)
    await client.begin()
    client.say(`<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>${header()}${auth('PLAIN', '=')}`)
    expect(await client.end()).not.toContain('features')
  })

  test('direct TLS speaks for itself by its ALPN name, and with no other', async () => {
    using client = await RawClient.direct(server)
    expect((client.socket as TLSSocket).alpnProtocol).toBe('xmpp-client')
    expect(await client.begin()).not.toContain('starttls')
    await expect(RawClient.direct(server, ['http/1.1'])).rejects.toThrow()
  })

  test('where somebody else could listen in there is STARTTLS and nothing else', async () => {
    const far = new ScriptedTransport(header())
    await server.xmpp.serve(far)
    expect(far.said).toContain("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'><required/></starttls>")
    expect(far.said).not.toContain('mechanism')
    const rash = new ScriptedTransport(`${header()}${auth('PLAIN', base64(`\0${server.user}\0${server.password}`))}`)
    await server.xmpp.serve(rash)
    expect(rash.said).toContain('<invalid-mechanism/>')
  })
})

describe('login', () => {
  test.each(['SHA-256', 'SHA-1'] as const)('SCRAM-%s-PLUS is bound to the channel of the connection', async (hash) => {
    using client = await RawClient.direct(server)
    const offered = await client.begin()
    expect(offered).toContain(`<mechanism>SCRAM-${hash}-PLUS</mechanism>`)
    const binding = (client.socket as TLSSocket).exportKeyingMaterial(32, 'EXPORTER-Channel-Binding', Buffer.alloc(0))
    const right = scram(hash, 'p=tls-exporter,,', binding)
    expect(await exchange(client, `SCRAM-${hash}-PLUS`, right)).toBe('success')
  })

  test('a proof for another channel is wrong, and so is one that says that the server offered none', async () => {
    using client = await RawClient.direct(server)
    await client.begin()
    const elsewhere = scram('SHA-256', 'p=tls-exporter,,', Buffer.alloc(32, 1))
    expect(await exchange(client, 'SCRAM-SHA-256-PLUS', elsewhere)).toBe('not-authorized')
    expect(await exchange(client, 'SCRAM-SHA-256', scram('SHA-256', 'y,,'))).toBe('malformed-request')
    expect(await exchange(client, 'SCRAM-SHA-256-PLUS', scram('SHA-256', 'p=tls-unique,,'))).toBe('malformed-request')
    expect(await exchange(client, 'SCRAM-SHA-256', scram('SHA-256', 'n,,'))).toBe('success')
  })

  test('any address of the account is a name to log in by', async () => {
    using client = await RawClient.plain(server)
    await client.begin()
    expect(await client.login({ user: alice.address, password: server.password })).toContain('<bind')
  })

  test.each([
    ['an unknown mechanism', auth('EXTERNAL', '='), 'invalid-mechanism'],
    ['-PLUS without a channel', auth('SCRAM-SHA-256-PLUS', '='), 'invalid-mechanism'],
    ['no base64', auth('PLAIN', '!'), 'incorrect-encoding'],
    ['nothing of that mechanism', auth('PLAIN', base64('alice')), 'malformed-request'],
    ['a wrong password', auth('PLAIN', base64('\0alice\0wrong')), 'not-authorized'],
    ['an unknown user', auth('PLAIN', base64('\0nobody\0wrong')), 'not-authorized'],
    ["somebody else's name", auth('PLAIN', base64('bob\0alice\0wrong')), 'not-authorized'],
    ['a response to nothing', `<response xmlns='${saslNs}'/>`, 'malformed-request'],
    ['giving up', `<abort xmlns='${saslNs}'/>`, 'aborted'],
  ])('%s is refused, and a right password is taken after it', async (_, text, condition) => {
    using client = await RawClient.plain(server)
    await client.begin()
    client.say(text)
    expect(await client.until('</failure>')).toContain(`<${condition}/>`)
    expect(await client.login(server)).toContain('<bind')
  })

  test('five failures end the stream', async () => {
    using client = await RawClient.plain(server)
    await client.begin()
    client.say(`<abort xmlns='${saslNs}'/>`.repeat(5))
    expect(errorOf(await client.end())).toBe('policy-violation')
  })
})

describe('a bound client', () => {
  test('without a wish the server makes the resource; with one it gets it', async () => {
    using one = await RawClient.plain(server)
    await one.begin()
    await one.login(server)
    expect(await one.bind()).toMatch(/^alice@localhost\/.{10,}$/)
    using other = await RawClient.plain(server)
    await other.begin()
    await other.login(server)
    expect(await other.bind('Täsk 1')).toBe('alice@localhost/Täsk 1')
  })

  test('takes the place of the one before with the same resource', async () => {
    using before = await RawClient.bound(server, 'same')
    using after = await RawClient.bound(server, 'same')
    expect(errorOf(await before.end())).toBe('conflict')
    after.say("<iq id='x' type='get' to='localhost'><a xmlns='urn:x'/></iq>")
    expect(await after.until('</iq>')).toContain("id='x'")
    expect(server.xmpp.server.hub.of(alice.account).filter(({ jid }) => jid.resource === 'same')).toHaveLength(1)
  })

  test('stream management is refused before there is a resource, and the login goes on', async () => {
    using client = await RawClient.plain(server)
    await client.begin()
    const enable = "<enable xmlns='urn:xmpp:sm:3'/>"
    const refused = '<unexpected-request '
    client.say(enable)
    expect(await client.until('</failed>')).toContain(refused)
    await client.login(server)
    client.say(enable)
    expect(await client.until('</failed>')).toContain(refused)
    await client.bind('later')
    client.say(enable)
    expect(await client.until('/>')).toContain('<enabled ')
  })

  test.each([
    ['a stanza before a resource is bound', "<message to='a@localhost'/>", 'not-authorized', false],
    ["somebody else's name", "<message from='bob@localhost' to='a@localhost'/>", 'invalid-from', true],
    ['another resource', "<message from='alice@localhost/other' to='a@localhost'/>", 'invalid-from', true],
    ['no stanza', '<other/>', 'unsupported-stanza-type', true],
    ['another namespace', "<message xmlns='urn:x'/>", 'unsupported-stanza-type', true],
    [
      'a stanza over the bound',
      `<message><body>${'x'.repeat(limits.xmppStanzaBytesMax)}</body></message>`,
      'policy-violation',
      true,
    ],
    ['ill-formed', '<message></presence>', 'not-well-formed', true],
    ['no UTF-8', Uint8Array.of(0x3c, 0x61, 0x3e, 0xff), 'bad-format', true],
  ])('%s ends the stream', async (_, text, condition, isBound) => {
    using client = await RawClient.plain(server)
    await client.begin()
    await client.login(server)
    if (isBound) await client.bind('wrong')
    client.say(text)
    expect(errorOf(await client.end())).toBe(condition)
  })

  test('is gone when it says good-bye, and when its password is revoked', async () => {
    const { logins } = alice.knowledge
    const { id, password } = await logins.create(alice.account, 'revoked')
    using client = await RawClient.plain(server)
    await client.begin()
    await client.login({ user: 'alice', password })
    await client.bind('revoked')
    await logins.revoke(alice.account, id)
    expect(errorOf(await client.end())).toBe('not-authorized')
    const there = (): number =>
      server.xmpp.server.hub.of(alice.account).filter(({ jid }) => jid.resource === 'revoked').length
    await expect.poll(there, patience).toBe(0)
  })

  test('that does not read is cut, and nobody else notices', async () => {
    using slow = await RawClient.bound(server, 'slow')
    using other = await RawClient.bound(server, 'other')
    slow.socket.pause()
    const find = (): Client | undefined =>
      server.xmpp.server.hub.of(alice.account).find(({ jid }) => jid.resource === 'slow')
    const large = el('message', {}, el('body', {}, 'x'.repeat(100_000)))
    for (let sent = 0; sent < 300 && find() !== undefined; sent += 1) {
      find()?.send(large)
      await new Promise((resolve) => setImmediate(resolve))
    }
    await expect.poll(find, patience).toBeUndefined()
    other.say("<iq id='y' type='get' to='localhost'><a xmlns='urn:x'/></iq>")
    expect(await other.until('</iq>')).toContain("id='y'")
  })

  test('an inactive client hears of presence only when it is active again, and of writing never', async () => {
    using client = await RawClient.bound(server, 'quiet')
    client.say("<inactive xmlns='urn:xmpp:csi:0'/><iq id='1' type='get' to='localhost'><a xmlns='urn:x'/></iq>")
    await client.until('</iq>')
    const bound = server.xmpp.server.hub.of(alice.account).find(({ jid }) => jid.resource === 'quiet')!
    bound.send(el('presence', { from: 'bob@far.example/1' }))
    bound.send(el('message', { from: 'bob@far.example' }, el('composing http://jabber.org/protocol/chatstates')))
    bound.send(el('presence', { from: 'bob@far.example/1', type: 'unavailable' }))
    bound.send(el('message', { from: 'bob@far.example' }, el('body', {}, 'hello')))
    expect(await client.until('</message>')).toBe("<message from='bob@far.example'><body>hello</body></message>")
    client.say("<active xmlns='urn:xmpp:csi:0'/>")
    expect(await client.until('/>')).toBe("<presence from='bob@far.example/1' type='unavailable'/>")
  })
})

const scramHash = { 'SHA-256': 'sha256', 'SHA-1': 'sha1' } as const
const scram = (hash: 'SHA-256' | 'SHA-1', gs2: string, binding?: Uint8Array): ScramClient =>
  new ScramClient(scramHash[hash], server.user, server.password, 'client-nonce', gs2, binding)

/** @returns `success`, or the condition of the failure */
async function exchange(client: RawClient, mechanism: string, side: ScramClient): Promise<string> {
  client.say(auth(mechanism, base64(side.first())))
  const answer = await client.until(/<\/(challenge|failure)>/)
  const challenge = /<challenge [^>]*>([^<]*)</.exec(answer)?.[1]
  if (challenge === undefined) return /<failure [^>]*><([a-z-]+)\/>/.exec(answer)![1]!
  client.say(
    `<response xmlns='${saslNs}'>${base64(side.final(Buffer.from(challenge, 'base64').toString()))}</response>`,
  )
  const last = await client.until(/<\/(success|failure)>/)
  const success = /<success [^>]*>([^<]*)</.exec(last)?.[1]
  if (success === undefined) return /<failure [^>]*><([a-z-]+)\/>/.exec(last)![1]!
  expect(side.accepts(Buffer.from(success, 'base64').toString())).toBe(true)
  return 'success'
}

/** A client that is not on this machine and has all its words ready. */
class ScriptedTransport implements Transport {
  readonly remote = '192.0.2.1'
  readonly isSecure = false
  readonly isPrivate = false
  readonly canStartTls = true
  readonly waitingBytes = 0
  readonly #reader = new XmlReader()
  said = ''

  constructor(text: string) {
    this.#reader.give(Buffer.from(text))
  }
  async next(): Promise<StreamEvent> {
    return await Promise.resolve(this.#reader.take(10_000) ?? { kind: 'end', isOrderly: false })
  }
  send(element: Element): void {
    this.said += serialise(element)
  }
  sendText(xml: string): void {
    this.said += xml
  }
  restart(): void {}
  open(): void {}
  channelBinding(): undefined {}
  destroy(): void {}
  async flush(): Promise<void> {}
  async startTls(): Promise<void> {}
  async end(): Promise<void> {}
}

import { createHash } from 'node:crypto'
import { Readable } from 'node:stream'
import fc from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Element, el, elements } from '../../../src/adapters/xmpp/element.ts'
import { StreamError } from '../../../src/adapters/xmpp/transport.ts'
import { parseBody, writeBody } from '../../../src/adapters/xmpp/web/bosh/body.ts'
import { BoshSessions } from '../../../src/adapters/xmpp/web/bosh/sessions.ts'
import { BoshSession } from '../../../src/adapters/xmpp/web/bosh/session.ts'
import { readElement } from '../../../src/adapters/xmpp/web/element-reader.ts'
import { limits } from '../../../src/core/limits.ts'
import { openWorld, type TestGateway, type World } from '../../support/world.ts'
import { testAmbient } from './stream-server.ts'
import type { HttpRequest } from '../../../src/adapters/wire/http.ts'
import { ask, openWebServer, plainOf, type WebServer } from './web-server.ts'

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

const ns = 'http://jabber.org/protocol/httpbind'
const unknown = (id: string | number): string =>
  `<iq xmlns='jabber:client' id='${id}' type='get' to='localhost'><query xmlns='urn:example:unknown'/></iq>`

interface Sending {
  readonly attrs?: string
  readonly tls?: boolean
  readonly signal?: AbortSignal
}

/** What a client does by hand: it numbers its requests. */
class Binding {
  sid = ''
  rid: number
  readonly #server: WebServer

  constructor(whose: WebServer, rid = 1_000_000) {
    this.#server = whose
    this.rid = rid
  }

  /** The request with this number. */
  async send(rid: number, inside = '', { attrs = '', tls = false, signal }: Sending = {}): Promise<Element> {
    const body = `<body xmlns='${ns}' xmlns:xmpp='urn:xmpp:xbosh' rid='${rid}'${this.sid === '' ? '' : ` sid='${this.sid}'`} ${attrs}>${inside}</body>`
    const headers = { 'content-type': 'text/xml; charset=utf-8' }
    const options = { method: 'POST', headers, body, tls, ...(signal === undefined ? {} : { signal }) }
    const answer = await ask(this.#server, '/http-bind', options)
    expect(answer.status).toBe(200)
    expect(answer.headers['content-type']).toBe('text/xml; charset=utf-8')
    return readElement(answer.body.toString(), 1_000_000)
  }

  /** The next request. */
  async next(inside = '', sending: Sending = {}): Promise<Element> {
    this.rid += 1
    return await this.send(this.rid, inside, sending)
  }

  async begin(attrs = "wait='60' hold='1'", sending: Sending = {}): Promise<Element> {
    const opening = `to='localhost' xml:lang='en' ver='1.6' xmpp:version='1.0' ${attrs}`
    const answer = await this.send(this.rid, '', { ...sending, attrs: opening })
    this.sid = answer.attrs.sid ?? ''
    return answer
  }

  async login(resource: string): Promise<string> {
    await this.begin()
    const auth = `<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>${plainOf(this.#server)}</auth>`
    expect(elements(await this.next(auth))[0]).toMatchObject({ name: 'success' })
    expect(names(await this.next('', { attrs: "xmpp:restart='true' to='localhost'" }))).toEqual(['features'])
    const bind = `<iq xmlns='jabber:client' id='b' type='set'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>${resource}</resource></bind></iq>`
    const answer = await this.next(bind)
    return JSON.stringify(answer)
  }
}

const names = (body: Element): readonly string[] => elements(body).map(({ name }) => name)
const ids = (body: Element): readonly (string | undefined)[] => elements(body).map(({ attrs }) => attrs.id)
const resources = () => server.xmpp.server.hub.of(alice.account).map(({ jid }) => jid.resource)

test('a session begins with what it may do and the features of its stream, and goes on after login', async () => {
  const binding = new Binding(server)
  const opened = await binding.begin()
  expect(opened.attrs).toMatchObject({
    wait: '60',
    hold: '1',
    requests: '2',
    inactivity: '60',
    polling: '5',
    ver: '1.6',
    from: 'localhost',
  })
  expect(opened.attrs.sid).toMatch(/^[\w-]{32}$/)
  expect(elements(opened)[0]).toMatchObject({ name: 'features', ns: 'http://etherx.jabber.org/streams' })
  const another = new Binding(server)
  expect(await another.login('bosh')).toContain('alice@localhost/bosh')
  expect(resources()).toContain('bosh')
  expect(ids(await another.next(unknown('u')))).toEqual(['u'])
  expect(await another.next('', { attrs: "type='terminate'" })).toMatchObject({ attrs: { type: 'terminate' } })
  await expect.poll(resources).not.toContain('bosh')
  expect(await another.next()).toMatchObject({ attrs: { type: 'terminate' } })
})

test('a request waits for what there is to say; a second one frees it', async () => {
  const binding = new Binding(server)
  await binding.login('waiting')
  const held = binding.next()
  await new Promise((resolve) => setTimeout(resolve, 50))
  const [client] = server.xmpp.server.hub.of(alice.account).filter(({ jid }) => jid.resource === 'waiting')
  client!.send(el('message', { id: 'm1' }))
  client!.send(el('message', { id: 'm2' }))
  expect(ids(await held)).toEqual(['m1', 'm2'])
  const first = binding.next()
  await new Promise((resolve) => setTimeout(resolve, 50))
  const second = binding.next(unknown('q'))
  expect(ids(await first).concat(ids(await Promise.race([second, Promise.resolve(el('body'))])))).toEqual(['q'])
  client!.send(el('message', { id: 'm3' }))
  expect(ids(await second)).toEqual(['m3'])
})

test('requests that overtake each other are taken in order', async () => {
  const binding = new Binding(server)
  await binding.login('order')
  const { rid } = binding
  const later = binding.send(rid + 2, unknown('second'))
  await new Promise((resolve) => setTimeout(resolve, 50))
  const sooner = binding.send(rid + 1, unknown('first'))
  const answered = ids(await sooner)
  expect(answered.length === 1 ? [...answered, ...ids(await later)] : answered).toEqual(['first', 'second'])
})

test('whoever asks again for the last answers gets the same ones, and nothing is done twice', async () => {
  const binding = new Binding(server)
  await binding.login('again')
  const one = await binding.next(unknown('one'))
  const two = await binding.next(unknown('two'))
  expect(await binding.send(binding.rid - 1, unknown('one'))).toEqual(one)
  expect(await binding.send(binding.rid, unknown('two'))).toEqual(two)
  expect(ids(await binding.next(unknown('three')))).toEqual(['three'])
})

test('a request whose connection broke is asked again, and has what came meanwhile', async () => {
  const binding = new Binding(server)
  await binding.login('broken')
  const abort = new AbortController()
  const lost = binding.next('', { signal: abort.signal })
  await new Promise((resolve) => setTimeout(resolve, 50))
  abort.abort()
  await expect(lost).rejects.toThrow()
  const [client] = server.xmpp.server.hub.of(alice.account).filter(({ jid }) => jid.resource === 'broken')
  await new Promise((resolve) => setTimeout(resolve, 50))
  client!.send(el('message', { id: 'missed' }))
  expect(ids(await binding.send(binding.rid))).toEqual(['missed'])
})

test.each([
  ['far ahead', 10],
  ['long over', -10],
])('a number that is %s ends the session', async (_, distance) => {
  const binding = new Binding(server)
  await binding.login('numbers')
  expect(await binding.send(binding.rid + distance)).toMatchObject({
    attrs: { type: 'terminate', condition: 'item-not-found' },
  })
  await expect.poll(resources).not.toContain('numbers')
})

test('an unknown session, and one of TLS outside TLS, are not found', async () => {
  const binding = new Binding(server)
  binding.sid = 'none'
  expect(await binding.next()).toMatchObject({ attrs: { condition: 'item-not-found' } })
  const secure = new Binding(server)
  await secure.begin("wait='5' hold='1'", { tls: true })
  expect(await secure.next(unknown('x'))).toMatchObject({ attrs: { condition: 'item-not-found' } })
})

test('a client that pauses is answered at once, and what comes meanwhile waits for it', async () => {
  const binding = new Binding(server)
  await binding.login('pausing')
  const held = binding.next()
  await new Promise((resolve) => setTimeout(resolve, 50))
  const pausing = binding.next('', { attrs: "pause='60'" })
  expect([names(await held), names(await pausing)]).toEqual([[], []])
  const [client] = server.xmpp.server.hub.of(alice.account).filter(({ jid }) => jid.resource === 'pausing')
  client!.send(el('message', { id: 'kept' }))
  expect(ids(await binding.next())).toEqual(['kept'])
})

test('a stream error is the last word, for every request that comes after it too', async () => {
  const binding = new Binding(server)
  await binding.begin()
  const answer = await binding.next("<presence xmlns='jabber:client'/>")
  expect(answer.attrs).toMatchObject({ type: 'terminate', condition: 'remote-stream-error' })
  expect(elements(elements(answer)[0]!)[0]).toMatchObject({ name: 'not-authorized' })
  expect(await binding.next()).toEqual(answer)
})

test('a host that is not here is named as such', async () => {
  const binding = new Binding(server)
  const answer = await binding.send(1, '', { attrs: "to='elsewhere.example' wait='5' hold='1' ver='1.6'" })
  expect(answer).toMatchObject({ attrs: { type: 'terminate', condition: 'host-unknown' } })
})

test('a key sequence that is not kept ends the session', async () => {
  const sha1 = (text: string): string => createHash('sha1').update(text).digest('hex')
  const keys = ['a', sha1('a'), sha1(sha1('a'))]
  const binding = new Binding(server)
  await binding.begin(`wait='5' hold='1' newkey='${keys[2]}'`)
  const auth = `<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>eA==</auth>`
  expect(names(await binding.next(auth, { attrs: `key='${keys[1]}'` }))).toEqual(['failure'])
  expect(names(await binding.next(auth, { attrs: `key='a' newkey='${sha1('new')}'` }))).toEqual(['failure'])
  expect(names(await binding.next(auth, { attrs: "key='new'" }))).toEqual(['failure'])
  expect(await binding.next(auth, { attrs: "key='wrong'" })).toMatchObject({ attrs: { condition: 'item-not-found' } })
})

test('a client that wants nothing held is answered at once, and may not ask all the time', async () => {
  const binding = new Binding(server)
  expect(await binding.begin("wait='0' hold='0'")).toMatchObject({ attrs: { requests: '1', hold: '0' } })
  expect(names(await binding.next())).toEqual([])
  expect(await binding.next()).toMatchObject({ attrs: { type: 'terminate', condition: 'policy-violation' } })
})

test('what is no body, too long, or from a page of another site begins nothing', async () => {
  const statusOf = async (body: string | Uint8Array, headers: Record<string, string> = {}) => {
    const answer = await ask(server, '/http-bind', { method: 'POST', body, headers })
    return answer.status === 200 ? readElement(answer.body.toString(), 10_000).attrs.condition : answer.status
  }
  const opening = `<body xmlns='${ns}' rid='1' to='localhost' wait='1' hold='0'/>`
  expect(await statusOf('')).toBe('bad-request')
  expect(await statusOf('<body/>')).toBe('bad-request')
  expect(await statusOf(`<body xmlns='${ns}'/>`)).toBe('bad-request')
  expect(await statusOf(`<body xmlns='${ns}' rid='9999999999999999'/>`)).toBe('bad-request')
  expect(await statusOf(`<!DOCTYPE body>${opening}`)).toBe('bad-request')
  expect(await statusOf(Uint8Array.of(0x3c, 0xff, 0xfe))).toBe('bad-request')
  expect(await statusOf(opening.replace('/>', `>${'<a>'.repeat(100)}${'</a>'.repeat(100)}</body>`))).toBe('bad-request')
  expect(await statusOf(`${opening}${' '.repeat(limits.boshWrapperBytesMax)}`)).toBe('policy-violation')
  expect(await statusOf(`${opening}${' '.repeat(limits.boshBodyBytesMax)}`)).toBe(413)
  expect(await statusOf(opening, { origin: 'https://evil.example' })).toBe(403)
  expect(await statusOf(opening, { origin: 'null' })).toBe(403)
  expect(await statusOf(opening, { host: 'evil.example' })).toBe(421)
  expect((await ask(server, '/http-bind')).status).toBe(405)
  const before = await ask(server, '/http-bind', {
    method: 'OPTIONS',
    headers: { origin: 'https://chat.example', 'access-control-request-method': 'POST' },
  })
  expect(before).toMatchObject({ status: 204, headers: { 'access-control-allow-origin': 'https://chat.example' } })
  expect(before.headers['access-control-allow-credentials']).toBeUndefined()
  const foreign = { origin: 'https://evil.example', 'access-control-request-method': 'POST' }
  expect(await ask(server, '/http-bind', { method: 'OPTIONS', headers: foreign })).toMatchObject({ status: 403 })
})

test('a session that asks no more is over after a while', async () => {
  const gone: string[] = []
  const opening = parseBody(`<body xmlns='${ns}' rid='1' to='localhost' wait='1' hold='1'/>`, 1000)!
  const answers: string[] = []
  const session = new BoshSession(
    { sid: 's', remote: '127.0.0.1', isSecure: false, onGone: () => gone.push('s'), inactivityMs: 30 },
    opening,
    (body) => answers.push(body),
  )
  const bounds = { stanzaBytesMax: 1000, idleMs: 10_000 }
  expect(await session.next(bounds)).toMatchObject({ kind: 'open' })
  session.open({ from: 'localhost', id: 'i' })
  session.send(el('message', { id: 'm' }))
  expect(await session.next(bounds)).toEqual({ kind: 'end', isOrderly: false })
  expect(answers).toHaveLength(1)
  expect(gone).toEqual(['s'])
})

test('whatever the order in which requests come and break, each stanza arrives once and in order', async () => {
  const step = fc.record({
    kind: fc.constantFrom('next', 'ahead', 'again', 'lost', 'say'),
  })
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
      const run = new Play()
      try {
        for (const { kind } of steps) await run.step(kind)
        await run.settle()
        expect(run.heard).toEqual(run.said.slice(0, run.heard.length))
        expect(run.heard.length).toBe(run.said.length)
        expect(run.received).toEqual(run.sent)
      } finally {
        run.session.destroy()
      }
    }),
    { numRuns: 60 },
  )
})

/** A client of the window's size whose connections break now and then, and what stands behind the session. */
class Play {
  readonly session: BoshSession
  readonly said: string[] = []
  readonly sent: string[] = []
  readonly received: string[] = []
  readonly #open = new Map<
    number,
    { answer: string | undefined; readonly respond: (body: string) => void; inside: string }
  >()
  readonly #answered = new Map<number, string>()
  #rid = 1
  #stanza = 0

  constructor() {
    this.session = new BoshSession(
      { sid: 's', remote: '127.0.0.1', isSecure: false, onGone: () => {} },
      this.#body(1, ''),
      (body) => this.#answered.set(1, body),
    )
    this.session.open({ from: 'localhost', id: 'i' })
    void this.#read()
  }

  async #read(): Promise<void> {
    for (;;) {
      const event = await this.session.next({ stanzaBytesMax: 10_000, idleMs: 10_000 })
      if (event.kind === 'end') return
      if (event.kind === 'stanza') this.received.push(event.element.attrs.id!)
    }
  }

  #body(rid: number, inside: string) {
    return parseBody(writeBody({ rid, sid: 's', to: 'localhost', wait: 60, hold: 1 }, inside), 10_000)!
  }

  #send(rid: number, inside: string): void {
    const open = {
      answer: undefined as string | undefined,
      inside,
      respond: (body: string): void => {
        if (this.#open.get(rid) !== open) return
        this.#open.delete(rid)
        this.#answered.set(rid, body)
      },
    }
    this.#open.set(rid, open)
    this.session.receive(this.#body(rid, inside), open.respond)
  }

  #stanzaText(): string {
    const id = `c${(this.#stanza += 1)}`
    this.sent.push(id)
    return `<message xmlns='jabber:client' id='${id}'/>`
  }

  async step(kind: string): Promise<void> {
    const room = 2 - this.#open.size
    if (kind === 'say') {
      const id = `s${this.said.length}`
      this.said.push(id)
      this.session.send(el('message', { id }))
    } else if (kind === 'next' && room > 0) this.#send((this.#rid += 1), this.#stanzaText())
    else if (kind === 'ahead' && room > 1) {
      const [first, second] = [this.#stanzaText(), this.#stanzaText()]
      this.#send(this.#rid + 2, second)
      this.#send(this.#rid + 1, first)
      this.#rid += 2
    } else if (kind === 'lost') {
      const [rid, open] = [...this.#open].at(-1) ?? []
      if (rid !== undefined) {
        this.#open.delete(rid)
        this.session.lost(rid, open!.respond)
        this.#send(rid, open!.inside)
      }
    } else if (kind === 'again') {
      // the answer was lost on its way
      const inside = ''
      if (this.#answered.has(this.#rid) && this.#rid > 1) {
        const before = this.#answered.get(this.#rid)
        this.#send(this.#rid, inside)
        await turn()
        expect(this.#answered.get(this.#rid)).toBe(before)
      }
    }
    await turn()
  }

  /** Asks until everything has come. */
  async settle(): Promise<void> {
    for (let count = 0; count < 4; count += 1) {
      await turn()
      if (this.#open.size < 2) this.#send((this.#rid += 1), '')
      await turn()
    }
  }

  /** Stanzas of all answers, in the order of their requests. */
  get heard(): readonly string[] {
    return [...this.#answered]
      .sort(([a], [b]) => a - b)
      .flatMap(([, body]) => elements(readElement(body, 100_000)).map(({ attrs }) => attrs.id!))
  }
}

const turn = async (): Promise<void> => {
  await new Promise((resolve) => setImmediate(resolve))
  await new Promise((resolve) => setImmediate(resolve))
}

test('no request makes the reader of bodies fail otherwise than with an error of the stream', () => {
  const piece = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.constantFrom(
      `<body xmlns='${ns}'`,
      " rid='1'",
      " sid='s'",
      " xmpp:restart='true'",
      " xmlns:xmpp='urn:xmpp:xbosh'",
      '>',
      '/>',
      '</body>',
      '<?xml version="1.0"?>',
    ),
  )
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 12 }), (pieces) => {
      try {
        const body = parseBody(pieces.join(''), 2000)
        if (body !== undefined) expect(Number.isSafeInteger(body.rid)).toBe(true)
      } catch (error) {
        expect(error).toBeInstanceOf(StreamError)
      }
    }),
    { numRuns: 500 },
  )
})

test('whatever is posted, the listener answers and goes on', async () => {
  const known = "rid='1'|rid='2'|rid='x'|sid='s'|to='localhost'|to=''|wait='0'|wait='-1'|hold='0'|hold='99999999999'"
  const rare = "key='a'|newkey='b'|pause='0'|pause='x'|type='terminate'|ver='9.9'|xmpp:restart='true'"
  const attr = fc.constantFrom(...`${known}|${rare}`.split('|'))
  const inside = fc.constantFrom(
    '',
    "<presence xmlns='jabber:client'/>",
    '<a/>',
    'text',
    "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>",
    '<',
    '&x;',
  )
  const posted = fc.tuple(fc.uniqueArray(attr, { maxLength: 8 }), inside)
  for (const [attrs, text] of fc.sample(posted, 120)) {
    const body = `<body xmlns='${ns}' xmlns:xmpp='urn:xmpp:xbosh' ${attrs.join(' ')}>${text}</body>`
    const answer = await ask(server, '/http-bind', { method: 'POST', body })
    expect(answer.status).toBe(200)
    expect(readElement(answer.body.toString(), 100_000)).toMatchObject({ name: 'body', ns })
  }
  expect((await new Binding(server).begin()).attrs.sid).toBeDefined()
})

test('from one address beyond this machine come so many sessions and no more', async () => {
  const open: BoshSession[] = []
  const sessions = new BoshSessions((session) => {
    open.push(session)
    session.open({ from: 'localhost', id: 'i' })
    session.send(el('message'))
  }, testAmbient)
  const route = sessions.route([])
  const statusFrom = async (remote: string): Promise<number> => {
    const body = Readable.from([Buffer.from(`<body xmlns='${ns}' rid='1' to='localhost' wait='1' hold='1'/>`)])
    const { signal } = new AbortController()
    const request = { remote, isSecure: true, signal, body } as unknown as HttpRequest
    return (await route.answer(request)).status
  }
  for (let count = 0; count < limits.xmppWebPerAddressMax; count += 1) expect(await statusFrom('192.0.2.1')).toBe(200)
  expect(await statusFrom('192.0.2.1')).toBe(503)
  expect([await statusFrom('192.0.2.2'), await statusFrom('127.0.0.1')]).toEqual([200, 200])
  open[0]!.destroy()
  expect(await statusFrom('192.0.2.1')).toBe(200)
  for (const session of open) session.destroy()
})

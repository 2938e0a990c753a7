import { connect } from 'node:tls'
import { randomBytes } from 'node:crypto'
import fc from 'fast-check'
import { afterAll, beforeAll, beforeEach, expect, test, vi } from 'vitest'
import { child, childText, type Element, el, elements } from '../../../src/adapters/xmpp/element.ts'
import type { FileUrls } from '../../../src/adapters/xmpp/uploads/file-urls.ts'
import { fileIdOf } from '../../../src/adapters/xmpp/uploads/file-urls.ts'
import { disposition, mediaTypeOf } from '../../../src/adapters/wire/media-type.ts'
import { parseRange } from '../../../src/adapters/wire/range.ts'
import type { Ambient } from '../../../src/core/ambient.ts'
import type { MessageId } from '../../../src/core/ids.ts'
import { limits } from '../../../src/core/limits.ts'
import { openWorld, type TestGateway, type World } from '../../support/world.ts'
import { openTestXmpp } from './harness.ts'
import { testAmbient } from './stream-server.ts'
import { type Answered, ask, type Asking, openWebServer, type WebServer } from './web-server.ts'

const patience = { timeout: 20_000 }
const ns = 'urn:xmpp:http:upload:0'
let aheadMs = 0
const ambient: Ambient = { ...testAmbient, clock: { ...testAmbient.clock, nowMs: () => Date.now() + aheadMs } }
let world: World
let alice: TestGateway
let bob: TestGateway
let server: WebServer
let bobs: WebServer

beforeAll(async () => {
  world = await openWorld(ambient)
  alice = await world.gateway('alice')
  bob = await world.gateway('bob')
  await world.introduce(alice, bob)
  server = await openWebServer(alice, { ambient, origins: ['https://chat.example'] })
  bobs = await openWebServer(bob, { ambient })
  await bob.node.delivery.chats.say(bob.account, alice.account, { parts: [{ kind: 'text', text: 'hello' }] })
  const { contacts } = alice.knowledge
  await vi.waitUntil(() => contacts.list(alice.account).some(({ identity }) => identity === bob.account), patience)
})
afterAll(async () => {
  await bobs[Symbol.asyncDispose]()
  await server[Symbol.asyncDispose]()
  await world[Symbol.asyncDispose]()
})
beforeEach(() => {
  aheadMs = 0
})

const used = (whose: TestGateway): number => whose.knowledge.fileUse.bytes(whose.account)
const promise = (size: number, name = 'plan.pdf', mediaType: string | undefined = 'application/pdf'): string =>
  server.fileUrls.promise(alice.account, { name, mediaType, size })
const pathOf = (url: string): string => new URL(url).pathname
const put = async (url: string, body: Uint8Array, headers: Asking['headers'] = {}): Promise<Answered> =>
  await ask(server, pathOf(url), {
    method: 'PUT',
    tls: true,
    body,
    headers: { 'content-length': body.length, ...headers },
  })
const get = async (url: string, options: Asking = {}, of = server): Promise<Answered> =>
  await ask(of, pathOf(url), { tls: true, ...options })
async function uploaded(bytes: Uint8Array, name?: string, mediaType?: string): Promise<string> {
  const url = promise(bytes.length, name, mediaType)
  expect(await put(url, bytes)).toMatchObject({ status: 201 })
  return url
}

/** As the chats part does it when a message names the URL. */
async function say(urls: FileUrls, from: TestGateway, to: TestGateway, url: string): Promise<MessageId> {
  const { files, chats } = from.node.delivery
  const found = (await urls.takeUpload(from.account, url))!
  const { signal } = new AbortController()
  using prepared = await files.prepare(from.account, found.source, { ...found, bytes: found.size, signal })
  const { id } = await chats.say(from.account, to.account, { parts: [prepared.part] })
  await urls.said(from.account, url, id)
  return id
}

test('a file is put where a slot was promised, once, and had from the same URL', async () => {
  const bytes = randomBytes(300_000)
  const url = promise(bytes.length, 'Plan größer.pdf')
  expect(url).toMatch(
    new RegExp(`^https://localhost:${server.https.address.port}/xmpp/files/[\\w-]{24}/Plan%20gr%C3%B6%C3%9Fer\\.pdf$`),
  )
  expect(await get(url)).toMatchObject({ status: 404 })
  expect(await put(url, bytes)).toMatchObject({ status: 201 })
  expect(await put(url, bytes)).toMatchObject({ status: 409 })
  const answer = await get(url)
  expect(answer.body.equals(bytes)).toBe(true)
  expect(answer.headers).toMatchObject({
    'content-type': 'application/pdf',
    'content-length': '300000',
    'content-disposition': `attachment; filename="Plan gr__er.pdf"; filename*=UTF-8''Plan%20gr%C3%B6%C3%9Fer.pdf`,
    'x-content-type-options': 'nosniff',
    'accept-ranges': 'bytes',
  })
  expect(answer.headers['content-security-policy']).toContain('sandbox')
  const head = await get(url, { method: 'HEAD' })
  expect([head.status, head.headers['content-length'], head.body.length]).toEqual([200, '300000', 0])
})

test('more or fewer octets than were promised are refused, and nothing of them is kept or counted', async () => {
  const before = used(alice)
  const url = promise(1000)
  expect(await put(url, randomBytes(1001))).toMatchObject({ status: 413 })
  expect(await put(url, randomBytes(999))).toMatchObject({ status: 400 })
  const chunked = { 'transfer-encoding': 'chunked' }
  const unsized = async (bytes: number) =>
    await ask(server, pathOf(url), { method: 'PUT', tls: true, body: randomBytes(bytes), headers: chunked })
  expect(await unsized(50_000)).toMatchObject({ status: 413 })
  expect(await unsized(10)).toMatchObject({ status: 400 })
  expect(await get(url)).toMatchObject({ status: 404 })
  expect(used(alice)).toBe(before)
  expect(await unsized(1000)).toMatchObject({ status: 201 })
  expect(used(alice)).toBeGreaterThanOrEqual(before + 1000)
})

test('a promise is over after a while', async () => {
  const url = promise(10)
  aheadMs = limits.uploadSlotMs + 1
  expect(await put(url, randomBytes(10))).toMatchObject({ status: 404 })
})

test('an upload whose connection breaks leaves nothing, and may be tried again', async () => {
  const url = promise(1_000_000)
  const { port } = server.https.address
  const socket = connect({ port, host: '127.0.0.1', ca: server.cert, servername: 'localhost' })
  await new Promise((resolve) => socket.once('secureConnect', resolve))
  socket.write(`PUT ${pathOf(url)} HTTP/1.1\r\nHost: localhost:${port}\r\nContent-Length: 1000000\r\n\r\n`)
  await new Promise<void>((resolve) => socket.write(randomBytes(400_000), () => resolve()))
  socket.destroy()
  await expect.poll(async () => (await put(url, randomBytes(1_000_000))).status, patience).toBe(201)
})

test('of two who put at the same time only one does', async () => {
  const bytes = randomBytes(200_000)
  const url = promise(bytes.length)
  const statuses = (await Promise.all([put(url, bytes), put(url, bytes)])).map(({ status }) => status)
  expect(statuses.filter((status) => status === 201)).toHaveLength(1)
})

test('parts of a file are had by range', async () => {
  const bytes = randomBytes(100_000)
  const url = await uploaded(bytes)
  const part = async (range: string, headers = {}) => {
    const { status, body, headers: got } = await get(url, { headers: { range, ...headers } })
    return { status, body, range: got['content-range'] }
  }
  expect(await part('bytes=10-19')).toEqual({ status: 206, body: bytes.subarray(10, 20), range: 'bytes 10-19/100000' })
  expect(await part('bytes=99990-')).toMatchObject({ status: 206, body: bytes.subarray(99_990) })
  expect(await part('bytes=-5')).toMatchObject({ status: 206, body: bytes.subarray(99_995) })
  expect(await part('bytes=5-999999999')).toMatchObject({ status: 206, body: bytes.subarray(5) })
  expect(await part('bytes=100000-')).toMatchObject({ status: 416, range: 'bytes */100000' })
  expect(await part('bytes=0-1,5-6')).toMatchObject({ status: 200 })
  expect(await part('lines=1-2')).toMatchObject({ status: 200 })
  expect(await part('bytes=0-0', { 'if-range': '"another"' })).toMatchObject({ status: 200 })
})

test('no range reads outside the file', () => {
  const header = fc.oneof(
    fc.string(),
    fc.tuple(fc.nat(), fc.nat()).map(([from, to]) => `bytes=${from}-${to}`),
    fc.nat().map((count) => `bytes=-${count}`),
    fc.nat().map((from) => `bytes=${from}-`),
  )
  fc.assert(
    fc.property(header, fc.nat({ max: 1000 }), (text, size) => {
      const range = parseRange(text, size)
      if (typeof range !== 'object') return
      expect(range.from).toBeGreaterThanOrEqual(0)
      expect(range.from).toBeLessThan(range.to)
      expect(range.to).toBeLessThanOrEqual(size)
    }),
  )
})

test('files are had over HTTPS alone, under names of this machine, by no page of another site', async () => {
  const url = await uploaded(randomBytes(10), 'cat.png', 'image/png')
  const statusOf = async (options: Asking) => (await get(url, options)).status
  expect(await statusOf({ tls: false })).toBe(403)
  expect(await statusOf({ headers: { host: 'evil.example' } })).toBe(421)
  expect(await statusOf({ headers: { origin: 'https://evil.example' } })).toBe(403)
  expect(await statusOf({ headers: { origin: 'https://chat.example' } })).toBe(200)
  expect(await statusOf({ method: 'DELETE' })).toBe(405)
  expect(await put(promise(10), randomBytes(10), { origin: 'https://evil.example' })).toMatchObject({ status: 403 })
})

test.each([
  '/xmpp/files/',
  '/xmpp/files/x/y',
  '/xmpp/files/../../etc/passwd',
  '/xmpp/files/..%2f..%2fetc%2fpasswd/x',
  `/xmpp/files/${'a'.repeat(24)}/../../../etc/passwd`,
  `/xmpp/files/${'a'.repeat(24)}/a/b`,
  `/xmpp/files/${'a'.repeat(24)}`,
  `/xmpp/files/${'0'.repeat(96)}/x`,
])('%s is no file', async (path) => {
  expect((await ask(server, path, { tls: true })).status).toBe(404)
  // outside the folder no body is taken at all
  expect([404, 413]).toContain((await ask(server, path, { tls: true, method: 'PUT', body: 'x' })).status)
})

test('no path makes the reader of ids fail, and only its own form is an id', () => {
  fc.assert(
    fc.property(fc.webPath(), (path) => {
      expect(fileIdOf(`/xmpp/files${path}`)).toBeUndefined()
    }),
  )
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (name) => {
      expect(disposition(mediaTypeOf(name), name)).toMatch(/^[\x20-\x7e]+$/)
    }),
  )
})

test('only pictures that hold no script, sound and film are shown in place', async () => {
  const shown = async (type: string) =>
    String((await get(await uploaded(randomBytes(3), 'x', type))).headers['content-disposition']).split(';')[0]
  expect(await shown('image/jpeg')).toBe('inline')
  expect(await shown('audio/ogg')).toBe('inline')
  for (const type of ['image/svg+xml', 'text/html', 'application/xhtml+xml', 'application/pdf', 'video'])
    expect(await shown(type)).toBe('attachment')
})

test('the quota is asked before a slot is promised and again when the file comes', async () => {
  const { quotas, store } = alice.knowledge
  const limit = async (bytes: number | undefined) => await store.write((tx) => quotas.set(tx, alice.account, bytes))
  const url = promise(100_000)
  await limit(used(alice) + alice.knowledge.mailboxes.usedBytes(alice.account) + 50_000)
  try {
    expect(() => promise(100_000)).toThrow('mailbox-full')
    expect(await put(url, randomBytes(100_000))).toMatchObject({ status: 507 })
  } finally {
    await limit(undefined)
  }
})

test('an upload that no message takes goes with its octets after a while', async () => {
  const before = used(alice)
  const url = await uploaded(randomBytes(50_000))
  expect(used(alice)).toBeGreaterThan(before)
  aheadMs = limits.uploadKeepMs - 60_000
  await alice.node.delivery.uploads.sweep()
  expect((await get(url)).status).toBe(200)
  aheadMs = limits.uploadKeepMs + 60_000
  await alice.node.delivery.uploads.sweep()
  expect((await get(url)).status).toBe(404)
  expect(used(alice)).toBeLessThanOrEqual(before)
})

test('an uploaded file travels in its message, is had at both ends, counts once, and goes when it is taken back', async () => {
  const bytes = randomBytes(700_000)
  const before = used(alice)
  const url = await uploaded(bytes, 'plan.pdf', 'application/pdf')
  const id = await say(server.fileUrls, alice, bob, url)
  expect(used(alice)).toBe(before + bytes.length)
  expect((await get(url)).body.equals(bytes)).toBe(true)
  const own = server.fileUrls.urlOf(alice.account, id, 'plan.pdf')!
  expect(server.fileUrls.urlOf(alice.account, id, 'plan.pdf')).toBe(own)
  expect((await get(own, { headers: { range: 'bytes=1000-1999' } })).body.equals(bytes.subarray(1000, 2000))).toBe(true)

  await expect.poll(() => bob.knowledge.conversations.message(bob.account, id), patience).toBeDefined()
  const theirs = bobs.fileUrls.urlOf(bob.account, id, 'plan.pdf')!
  expect(theirs).not.toBe(own)
  const answer = await get(theirs, {}, bobs)
  expect(answer.body.equals(bytes)).toBe(true)
  expect(answer.headers).toMatchObject({ 'content-type': 'application/pdf' })
  // alice's id says nothing at bob's gateway
  expect((await ask(bobs, pathOf(own), { tls: true })).status).toBe(404)

  await alice.node.delivery.chats.say(alice.account, bob.account, { parts: [{ kind: 'redaction', target: id }] })
  expect((await get(url)).status).toBe(404)
  expect((await get(own)).status).toBe(404)
  expect(used(alice)).toBe(before)
})

test('small files travel inside their message', async () => {
  const url = await uploaded(Buffer.from('hello'), 'hello.txt', 'text/plain')
  const id = await say(server.fileUrls, alice, bob, url)
  await expect.poll(() => bob.knowledge.conversations.message(bob.account, id), patience).toBeDefined()
  expect((await get(bobs.fileUrls.urlOf(bob.account, id, 'hello.txt')!, {}, bobs)).body.toString()).toBe('hello')
  expect((await get(url)).body.toString()).toBe('hello')
})

test('the file of a message can be sent on by its URL; nobody else’s can', async () => {
  const bytes = randomBytes(40_000)
  const id = await say(server.fileUrls, alice, bob, await uploaded(bytes))
  await expect.poll(() => bob.node.delivery.files.standing(bob.account, id)?.state, patience).toBe('here')
  const theirs = bobs.fileUrls.urlOf(bob.account, id, 'plan.pdf')!
  const again = await say(bobs.fileUrls, bob, alice, theirs)
  await expect.poll(() => alice.node.delivery.files.standing(alice.account, again)?.state, patience).toBe('here')
  expect((await get(server.fileUrls.urlOf(alice.account, again, 'plan.pdf')!)).body.equals(bytes)).toBe(true)
  expect(await server.fileUrls.takeUpload(alice.account, theirs)).toBeUndefined()
  expect(await server.fileUrls.takeUpload(alice.account, 'https://elsewhere.example/x/y.pdf')).toBeUndefined()
  const url = await uploaded(bytes)
  expect(await server.fileUrls.takeUpload(bob.account, url)).toBeUndefined()
  expect(
    await server.fileUrls.takeUpload(alice.account, url.replace('localhost', 'localhost.evil.example')),
  ).toBeUndefined()
  expect(await server.fileUrls.takeUpload(alice.account, url.replace('https:', 'http:'))).toBeUndefined()
})

test('a file that was refused for want of room is answered with that, and fetched when there is room', async () => {
  const { quotas, store } = bob.knowledge
  const limit = async (bytes: number | undefined) => await store.write((tx) => quotas.set(tx, bob.account, bytes))
  await limit(used(bob) + bob.knowledge.mailboxes.usedBytes(bob.account) + 100_000)
  const bytes = randomBytes(400_000)
  const id = await say(server.fileUrls, alice, bob, await uploaded(bytes))
  await expect.poll(() => bob.node.delivery.files.standing(bob.account, id)?.state, patience).toBe('refused')
  const theirs = bobs.fileUrls.urlOf(bob.account, id, 'plan.pdf')!
  expect(await get(theirs, {}, bobs)).toMatchObject({ status: 503 })
  expect((await get(theirs, { method: 'HEAD' }, bobs)).headers['content-length']).toBe('400000')
  await limit(undefined)
  expect((await get(theirs, {}, bobs)).body.equals(bytes)).toBe(true)
})

test('uploads are asked for as XEP-0363 says, and refused as it says', async () => {
  using xmpp = openTestXmpp(alice)
  const bound = xmpp.bind()
  const request = async (attrs: Record<string, string | number>): Promise<Element> => {
    const iq = el('iq', { id: 'u', type: 'get', to: 'upload.localhost' }, el(`request ${ns}`, attrs))
    const [answer] = await bound.say(iq)
    return answer!
  }
  const slot = await request({ filename: 'très cool.jpg', size: 23456, 'content-type': 'image/jpeg' })
  expect(slot.attrs).toMatchObject({ type: 'result', from: 'upload.localhost' })
  const inside = child(slot, `slot ${ns}`)!
  expect(child(inside, 'get')!.attrs.url).toMatch(
    /^https:\/\/localhost:8443\/xmpp\/files\/[\w-]{24}\/tr%C3%A8s%20cool\.jpg$/,
  )
  expect(child(inside, 'put')!.attrs.url).toMatch(/^https:/)
  const refusal = async (attrs: Record<string, string | number>): Promise<Element> =>
    child(await request(attrs), 'error')!
  const large = await refusal({ filename: 'a', size: limits.fileBytesMax + 1 })
  expect(elements(large)[0]!.name).toBe('not-acceptable')
  expect(childText(child(large, `file-too-large ${ns}`)!, 'max-file-size')).toBe(String(limits.fileBytesMax))
  for (const attrs of [
    { filename: 'a' },
    { filename: 'a', size: 0 },
    { filename: 'a', size: -1 },
    { filename: 'a', size: '1e3' },
  ])
    expect(elements(await refusal(attrs))[0]!.name).toBe('bad-request')
  for (const filename of ['', '..', '../a', 'a\\b', 'x'.repeat(1000)])
    expect(elements(await refusal({ filename, size: 1 }))[0]!.name).toBe('not-acceptable')
  for (let count = 0; count < limits.uploadSlotsMax - 1; count += 1) await request({ filename: 'a', size: 1 })
  const many = await refusal({ filename: 'a', size: 1 })
  expect([many.attrs.type, elements(many)[0]!.name]).toEqual(['wait', 'resource-constraint'])
  expect(child(many, `retry ${ns}`)!.attrs.stamp).toMatch(/^\d{4}-/)
})

test('the place for uploads says what it is and how much it takes', () => {
  using xmpp = openTestXmpp(alice)
  const { client } = xmpp.bind()
  const told = xmpp.server.features.flatMap(
    (feature) =>
      feature.disclose?.(
        { local: '', domain: 'upload.localhost', resource: '' },
        { kind: 'uploads' },
        client,
        undefined,
      ) ?? [],
  )
  expect(told.flatMap(({ features = [] }) => features)).toContain(ns)
  expect(told.flatMap(({ identities = [] }) => identities)).toContainEqual({
    category: 'store',
    type: 'file',
    name: 'Files',
  })
  expect(JSON.stringify(told.flatMap(({ forms = [] }) => forms))).toContain(String(limits.fileBytesMax))
})

test('an account that goes takes its uploads with it', async () => {
  const { uploads } = alice.node.delivery
  const { forgetUploads } = await import('../../../src/core/delivery/uploads.ts')
  const url = await uploaded(randomBytes(20_000))
  await alice.knowledge.store.write((tx) => forgetUploads(tx, alice.account, alice.knowledge))
  expect((await get(url)).status).toBe(404)
  await uploads.sweep()
})

test('no request for a file makes the listener fail', async () => {
  const url = await uploaded(randomBytes(100))
  const [, id] = /files\/([\w-]+)\//.exec(url)!
  const segment = fc.oneof(
    fc.constantFrom(id!, '..', '.', '%00', '%2f', '%', 'a'.repeat(24), '0'.repeat(96)),
    fc.string(),
  )
  const path = fc.array(segment, { maxLength: 4 })
  const method = fc.constantFrom('GET', 'HEAD', 'PUT', 'OPTIONS', 'POST')
  const range = fc.oneof(
    fc.constantFrom('bytes=0-', 'bytes=-0', 'bytes=5-4', 'bytes=,', 'bytes=0-0,0-0'),
    fc.stringMatching(/^[ -~]{0,20}$/),
  )
  for (const [parts, how, part] of fc.sample(fc.tuple(path, method, range), 120)) {
    const target = `/xmpp/files/${parts.join('/')}`.replaceAll(/[^!-~]/g, (one) =>
      one.isWellFormed() ? encodeURIComponent(one) : '_',
    )
    const { status } = await ask(server, target, { tls: true, method: how, headers: { range: part } })
    expect(status).toBeLessThan(500)
  }
  expect((await get(url)).status).toBe(200)
})

import type { IncomingMessage, ServerResponse } from 'node:http'
import { connect } from 'node:net'
import { PassThrough } from 'node:stream'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { openHttp, type HttpListener } from '../../../src/adapters/http/adapter.ts'
import { requestBody } from '../../../src/adapters/http/request-body.ts'
import type { HttpRequest, HttpRoute } from '../../../src/adapters/wire/http.ts'
import { silentLog } from '../../../src/core/ambient.ts'
import { limits } from '../../../src/core/limits.ts'

const services = {
  listeners: () => ({ overlay: [] }),
  authorityPem: () => '',
  isHealthy: () => true,
  metrics: () => [],
  metricsToken: 'none',
}
const patience = { timeout: 20_000 }
let asked: HttpRequest | undefined
let sent = 0
let isReaderGone = false
let isHeldGone = false

async function* endless(): AsyncGenerator<Uint8Array> {
  try {
    for (;;) {
      sent += 64 * 1024
      yield Buffer.alloc(64 * 1024)
    }
  } finally {
    isReaderGone = true
  }
}

async function octets(body: AsyncIterable<Uint8Array>): Promise<number> {
  let bytes = 0
  for await (const piece of body) bytes += piece.length
  return bytes
}

const routes: readonly HttpRoute[] = [
  {
    path: '/count',
    methods: ['POST'],
    bodyBytesMax: 1000,
    origins: ['https://page.example'],
    answer: async (request) => ({ status: 200, body: String(await octets(request.body)) }),
  },
  {
    path: '/below/',
    methods: ['GET', 'HEAD'],
    bodyBytesMax: 0,
    origins: [],
    answer: (request) => {
      asked = request
      return { status: 200, body: request.path }
    },
  },
  {
    path: '/much',
    methods: ['GET'],
    bodyBytesMax: 0,
    origins: [],
    answer: () => ({ status: 200, body: { bytes: endless(), size: 2 ** 40 } }),
  },
  {
    path: '/held',
    methods: ['GET'],
    bodyBytesMax: 0,
    origins: [],
    answer: async ({ signal }) =>
      await new Promise((resolve) =>
        signal.addEventListener('abort', () => {
          isHeldGone = true
          resolve({ status: 200 })
        }),
      ),
  },
  {
    path: '/secure',
    methods: ['GET'],
    bodyBytesMax: 0,
    origins: [],
    isHttpsOnly: true,
    answer: () => ({ status: 200 }),
  },
  {
    path: '/echo',
    methods: ['GET'],
    bodyBytesMax: 0,
    origins: ['https://page.example'],
    answer: () => ({ status: 426, body: 'upgrade' }),
    upgrade: ({ socket, head }) => {
      socket.unshift(head)
      socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n')
      socket.pipe(socket)
    },
  },
  {
    path: '/broken',
    methods: ['GET'],
    bodyBytesMax: 0,
    origins: [],
    answer: () => Promise.reject(new TypeError('bug')),
  },
]

let listener: HttpListener
beforeAll(async () => {
  listener = await openHttp({
    name: 'http',
    host: '127.0.0.1',
    port: 0,
    hostnames: [],
    services,
    routes,
    log: silentLog,
  })
})
afterAll(async () => await listener[Symbol.asyncDispose]())

/** Bytes as they are; what came until the server closed, or until it was enough. */
async function raw(bytes: string, isEnough: (heard: string) => boolean = () => false): Promise<string> {
  return await new Promise((resolve) => {
    const socket = connect(listener.address.port, '127.0.0.1', () => socket.write(bytes))
    let heard = ''
    socket.on('data', (piece) => {
      heard += piece.toString('latin1')
      if (isEnough(heard)) socket.destroy()
    })
    socket.on('error', () => {})
    socket.on('close', () => resolve(heard))
  })
}
const request = (line: string, headers: readonly string[] = [], body = ''): string =>
  `${line} HTTP/1.1\r\n${['Host: localhost', ...headers].join('\r\n')}\r\n\r\n${body}`
const close = 'Connection: close'
const status = (answer: string): number => Number(/^HTTP\/1\.1 (\d{3})/.exec(answer)?.[1])

test('a route has bodies up to its bound, counted whatever they say of themselves', async () => {
  const post = async (headers: readonly string[], body: string) =>
    await raw(request('POST /count', [close, ...headers], body))
  expect(await post(['Content-Length: 5'], 'hello')).toMatch(/\r\n\r\n5$/)
  expect(await post(['Transfer-Encoding: chunked'], '5\r\nhello\r\n0\r\n\r\n')).toMatch(/\r\n\r\n5$/)
  expect(status(await post(['Content-Length: 1001'], ''))).toBe(413)
  const chunk = `3e8\r\n${'x'.repeat(1000)}\r\n`
  expect(status(await post(['Transfer-Encoding: chunked'], `${chunk}1\r\nx\r\n0\r\n\r\n`))).toBe(413)
  expect(status(await post(['Content-Length: 5', 'Transfer-Encoding: chunked'], '0\r\n\r\n'))).toBe(400)
})

test('a body is asked for only where it is wanted', async () => {
  const expecting = ['Expect: 100-continue', 'Content-Length: 5', close]
  expect(await raw(request('POST /count', expecting, 'hello'))).toMatch(
    /^HTTP\/1\.1 100 Continue\r\n\r\nHTTP\/1\.1 200/,
  )
  expect(await raw(request('POST /count', [...expecting, 'Origin: https://evil.example']))).toMatch(/^HTTP\/1\.1 403/)
  expect(await raw(request('POST /healthz', expecting))).toMatch(/^HTTP\/1\.1 413/)
})

test('what is left of a body is not taken for the next request', async () => {
  const smuggled = request('GET /healthz', [close])
  const answer = await raw(request('GET /count', [`Content-Length: ${smuggled.length}`], smuggled))
  expect(answer.match(/HTTP\/1\.1/g)).toHaveLength(1)
  expect(status(answer)).toBe(405)
})

test('everything below a prefix goes to its route, with dot segments taken out', async () => {
  expect(await raw(request('GET /below/a/../b%2Fc?d=1', [close]))).toMatch(/\/below\/b%2Fc$/)
  expect(asked).toMatchObject({ method: 'GET', authority: 'localhost', remote: '127.0.0.1', isSecure: false })
  expect(asked!.query.get('d')).toBe('1')
  expect(status(await raw(request('GET /below/../healthz', [close])))).toBe(200)
  expect(status(await raw(request('GET /below', [close])))).toBe(404)
  expect(status(await raw(request('GET /belowx/', [close])))).toBe(404)
})

test('pages of an origin that a route names may ask it, and no other route', async () => {
  const from = async (origin: string, path: string, ...headers: string[]) =>
    await raw(request(path, [close, `Origin: ${origin}`, ...headers]))
  const allowed = await from('https://page.example', 'POST /count', 'Content-Length: 0')
  expect(allowed).toMatch(/^HTTP\/1\.1 200[\s\S]*access-control-allow-origin: https:\/\/page\.example\r\n/)
  expect(allowed).not.toContain('allow-credentials')
  expect(status(await from('https://other.example', 'POST /count', 'Content-Length: 0'))).toBe(403)
  expect(status(await from('https://page.example', 'GET /healthz'))).toBe(403)
  expect(status(await from('https://page.example', 'GET /below/x'))).toBe(403)
  expect(await from('https://page.example', 'OPTIONS /count')).toMatch(/^HTTP\/1\.1 204[\s\S]*allow-methods: POST\r\n/)
  expect(status(await from('https://other.example', 'OPTIONS /count'))).toBe(403)
  expect(status(await from('https://page.example', 'OPTIONS /below/x'))).toBe(403)
})

test('an upgrade goes to its route, and is refused like a request', async () => {
  const upgrade = (path: string, ...headers: string[]): string =>
    request(`GET ${path}`, ['Connection: Upgrade', 'Upgrade: echo', ...headers])
  const echoed = await raw(`${upgrade('/echo')}ping`, (heard) => heard.endsWith('ping'))
  expect(echoed).toMatch(/^HTTP\/1\.1 101/)
  expect(status(await raw(upgrade('/echo', 'Origin: https://evil.example')))).toBe(403)
  expect(status(await raw(upgrade('/healthz'), (heard) => heard.includes('ok')))).toBe(200)
  expect(status(await raw(upgrade('/echo').replace('Host: localhost', 'Host: evil.example')))).toBe(421)
  expect(status(await raw(request('GET /echo', [close])))).toBe(426)
})

test('an answer is written no faster than it is read, and ends with its reader', async () => {
  const socket = connect(listener.address.port, '127.0.0.1', () => socket.write(request('GET /much')))
  socket.pause()
  await expect.poll(() => sent, patience).toBeGreaterThan(0)
  let before = -1
  await expect
    .poll(() => {
      const isSteady = sent === before
      before = sent
      return isSteady
    }, patience)
    .toBe(true)
  expect(sent).toBeLessThan(64 * 1024 * 1024)
  socket.destroy()
  await expect.poll(() => isReaderGone, patience).toBe(true)
})

test('whoever is asked hears that the asker has gone', async () => {
  const socket = connect(listener.address.port, '127.0.0.1', () => socket.write(request('GET /held')))
  await new Promise((resolve) => setTimeout(resolve, 50))
  socket.destroy()
  await expect.poll(() => isHeldGone, patience).toBe(true)
})

test('what is for HTTPS alone, and what fails inside, is told as such', async () => {
  expect(status(await raw(request('GET /secure', [close])))).toBe(403)
  const broken = await raw(request('GET /broken', [close]))
  expect(status(broken)).toBe(500)
  expect(broken).not.toContain('bug')
})

test('upgraded connections and held answers do not keep the listener from closing', async () => {
  const passing = await openHttp({
    name: 'http',
    host: '127.0.0.1',
    port: 0,
    hostnames: [],
    services,
    routes,
    log: silentLog,
  })
  const open = async (bytes: string): Promise<void> => {
    const socket = connect(passing.address.port, '127.0.0.1', () => socket.write(bytes))
    socket.on('error', () => {})
    socket.resume()
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  await open(request('GET /held'))
  await open(request('GET /echo', ['Connection: Upgrade', 'Upgrade: echo']))
  await passing[Symbol.asyncDispose]()
})

test.each([
  ['says nothing', []],
  ['sends a byte now and then', Array.from({ length: 200 }, () => 'x')],
])('a body whose sender %s is given up', async (_, pieces) => {
  vi.useFakeTimers()
  try {
    const stream = new PassThrough()
    const incoming = Object.assign(stream, { headers: {}, complete: false }) as unknown as IncomingMessage
    const reading = octets(requestBody(incoming, {} as ServerResponse, 1000)).catch((error: unknown) => error)
    for (const piece of pieces) {
      stream.write(piece)
      await vi.advanceTimersByTimeAsync(limits.httpBodyIdleMs / 2)
    }
    await vi.advanceTimersByTimeAsync(limits.httpBodyIdleMs + 1)
    expect(await reading).toMatchObject({ code: 'timeout' })
  } finally {
    vi.useRealTimers()
  }
})

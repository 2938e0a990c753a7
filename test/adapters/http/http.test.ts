import { spawnSync } from 'node:child_process'
import { X509Certificate } from 'node:crypto'
import { request as httpRequest } from 'node:http'
import { request as httpsRequest } from 'node:https'
import { connect } from 'node:net'
import type { TLSSocket } from 'node:tls'
import fc from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { openHttp, type HttpListener } from '../../../src/adapters/http/adapter.ts'
import { escapeXml } from '../../../src/adapters/http/xml.ts'
import { createAuthority, createLeaf, type Credential, localNames } from '../../../src/certificates/authority.ts'
import { type Log, silentLog, systemClock, systemRandom } from '../../../src/core/ambient.ts'

const ambient = { clock: systemClock, random: systemRandom, log: silentLog }
const token = 'T0k3n-of-the-test'
const logged: string[] = []
const note = (event: string, fields?: object): void => void logged.push(`${event} ${JSON.stringify(fields)}`)
const log: Log = { debug: note, info: note, warn: note, error: note }

let healthy = true
let authority: Credential
let leaf: Credential
let http: HttpListener
let https: HttpListener
const services = {
  listeners: () => ({
    imap: { host: '127.0.0.1', port: 1143 },
    imaps: { host: '127.0.0.1', port: 1993 },
    smtp: { host: '127.0.0.1', port: 1025 },
    smtps: { host: '127.0.0.1', port: 1465 },
    overlay: [],
  }),
  authorityPem: () => authority.certificatePem,
  isHealthy: () => healthy,
  metricsToken: token,
  metrics: () => [
    { name: 'mycelium_queue_messages', help: 'Waiting.', type: 'gauge', read: () => 3 } as const,
    {
      name: 'mycelium_connections',
      help: 'Open.',
      type: 'gauge',
      read: () => [
        { labels: { listener: 'imap' }, value: 2 },
        { labels: { listener: 'a"b\\c\n' }, value: 1 },
      ],
    } as const,
  ],
}

beforeAll(async () => {
  authority = await createAuthority(localNames, ambient)
  leaf = await createLeaf(authority, localNames, ambient)
  const common = { host: '127.0.0.1', port: 0, hostnames: ['box.example'], services, log }
  http = await openHttp({ ...common, name: 'http' })
  const material = () => ({ key: leaf.keyPem, cert: leaf.certificatePem })
  https = await openHttp({ ...common, name: 'https', material })
})
afterAll(async () => {
  await http[Symbol.asyncDispose]()
  await https[Symbol.asyncDispose]()
})

interface Response {
  readonly status: number
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  readonly body: string
}
async function get(
  path: string,
  options: { method?: string; headers?: Record<string, string>; tls?: boolean; body?: string } = {},
): Promise<Response> {
  return await new Promise((resolve, reject) => {
    const { method = 'GET', headers = {}, tls = false, body } = options
    const port = tls ? https.address.port : http.address.port
    const shared = { host: '127.0.0.1', port, path, method, headers, agent: false as const }
    const made = tls ? httpsRequest({ ...shared, ca: authority.certificatePem }) : httpRequest(shared)
    made.on('error', reject)
    made.on('response', (response) => {
      let text = ''
      response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk))
      response.on('end', () => resolve({ status: response.statusCode!, headers: response.headers, body: text }))
    })
    made.end(body)
  })
}
/** Bytes as they are, answer as it comes, until the server closes. */
async function raw(bytes: string): Promise<string> {
  return await new Promise((resolve) => {
    const socket = connect(http.address.port, '127.0.0.1', () => socket.write(bytes))
    let text = ''
    socket.on('data', (chunk) => (text += chunk.toString('latin1')))
    socket.on('error', () => {})
    socket.on('close', () => resolve(text))
  })
}
/** Fails when the text is not well-formed XML. */
function wellFormed(xml: string): void {
  const check = `import sys, xml.dom.minidom; xml.dom.minidom.parseString(sys.stdin.buffer.read())`
  const run = spawnSync('python3', ['-c', check], { input: xml, encoding: 'utf8' })
  expect(run.stderr).toBe('')
  expect(run.status).toBe(0)
}

test('health is told without any token', async () => {
  expect(await get('/healthz')).toMatchObject({ status: 200, body: 'ok\n' })
  healthy = false
  expect(await get('/healthz')).toMatchObject({ status: 503 })
  healthy = true
})

test.each(['/mail/config-v1.1.xml', '/.well-known/autoconfig/mail/config-v1.1.xml'])(
  '%s has the settings',
  async (path) => {
    const answer = await get(`${path}?emailaddress=Alice%40Example.org`)
    expect(answer.status).toBe(200)
    expect(answer.headers['content-type']).toBe('text/xml; charset=utf-8')
    wellFormed(answer.body)
    expect(answer.body.replaceAll(/\s+/g, '')).toContain(
      '<incomingServertype="imap"><hostname>localhost</hostname><port>1993</port><socketType>SSL</socketType><username>alice@example.org</username>',
    )
    expect(answer.body).toContain('<port>1025</port>')
    expect((await get(path)).body).toContain('%EMAILADDRESS%')
  },
)

test('every address gets the same answer, so that nobody learns which ones exist', async () => {
  const [one, two] = await Promise.all(
    ['a@x.org', 'b@x.org'].map((who) => get(`/mail/config-v1.1.xml?emailaddress=${who}`)),
  )
  expect(one!.body.replaceAll('a@x.org', 'b@x.org')).toBe(two!.body)
})

test('the Apple profile carries the account and the certificate of the authority', async () => {
  const address = `o'brien&co@example.org`
  const answer = await get(`/apple.mobileconfig?address=${encodeURIComponent(address)}`)
  expect(answer.headers['content-type']).toBe('application/x-apple-aspen-config')
  wellFormed(answer.body)
  expect(answer.body).toContain('<string>o&apos;brien&amp;co@example.org</string>')
  const data = /<data>([^<]+)<\/data>/.exec(answer.body)![1]!
  expect(new X509Certificate(Buffer.from(data, 'base64')).fingerprint256).toBe(
    new X509Certificate(authority.certificatePem).fingerprint256,
  )
  const again = await get(`/apple.mobileconfig?address=${encodeURIComponent(address)}`)
  expect(again.body).toBe(answer.body)
  const uuids = [...answer.body.matchAll(/PayloadUUID<\/key><string>([^<]+)</g)].map((match) => match[1])
  expect(new Set(uuids).size).toBe(3)
  for (const uuid of uuids) expect(uuid).toMatch(/^[\da-f]{8}-[\da-f]{4}-8[\da-f]{3}-[89ab][\da-f]{3}-[\da-f]{12}$/)
})

test('what is not an address is refused, markup never reaches a document', async () => {
  for (const bad of ['', 'x', '<script>@x.org', 'a@b"><x', 'a@x.org\r\nb']) {
    expect(await get(`/apple.mobileconfig?address=${encodeURIComponent(bad)}`)).toMatchObject({ status: 400 })
  }
  expect(await get('/mail/config-v1.1.xml?emailaddress=%3Cx%3E%40y')).toMatchObject({ status: 400 })
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      expect(escapeXml(text)).not.toMatch(/[<>"']|&(?!(?:amp|lt|gt|quot|apos);)|[\0-\x08\v\f\x0e-\x1f\ufffe\uffff]/)
    }),
  )
})

test('metrics need the token', async () => {
  expect(await get('/metrics')).toMatchObject({ status: 401, headers: { 'www-authenticate': 'Bearer' } })
  expect(await get('/metrics', { headers: { authorization: `Bearer ${token}x` } })).toMatchObject({ status: 401 })
  const answer = await get('/metrics', { headers: { authorization: `Bearer ${token}` } })
  expect(answer.status).toBe(200)
  expect(answer.body).toMatch(/^process_uptime_seconds \d+/m)
  expect(answer.body).toContain(
    [
      '# HELP mycelium_queue_messages Waiting.',
      '# TYPE mycelium_queue_messages gauge',
      'mycelium_queue_messages 3',
      '# HELP mycelium_connections Open.',
      '# TYPE mycelium_connections gauge',
      'mycelium_connections{listener="imap"} 2',
      'mycelium_connections{listener="a\\"b\\\\c\\n"} 1',
      '',
    ].join('\n'),
  )
})

test('names that are not ours (DNS rebinding) and pages of other sites get nothing', async () => {
  const named = async (host: string) => (await get('/healthz', { headers: { host } })).status
  const port = http.address.port
  expect(
    await Promise.all([`localhost:${port}`, '127.0.0.1', `[::1]:${port}`, 'BOX.example', 'localhost'].map(named)),
  ).toEqual(Array.from({ length: 5 }, () => 200))
  expect(
    await Promise.all(['evil.example', `localhost.evil.example:${port}`, '127.0.0.1.evil', '-'].map(named)),
  ).toEqual(Array.from({ length: 4 }, () => 421))
  const from = async (origin: string) =>
    (await get('/ca.crt', { headers: { origin, host: `localhost:${port}` } })).status
  expect(await from('https://evil.example')).toBe(403)
  expect(await from('null')).toBe(403)
  expect(await from('http://localhost:3000')).toBe(403)
  expect(await from(`http://localhost:${port}`)).toBe(200)
})

test('every answer is closed to sniffing, framing, caching and cookies', async () => {
  for (const path of ['/', '/healthz', '/ca.crt', '/metrics', '/absent', '/mail/config-v1.1.xml']) {
    const { headers } = await get(path, { headers: { cookie: 'a=b' } })
    expect(headers).toMatchObject({ 'x-content-type-options': 'nosniff', 'cache-control': 'no-store' })
    expect(headers['content-security-policy']).toContain("default-src 'none'")
    expect(headers['set-cookie']).toBeUndefined()
    expect(headers['access-control-allow-origin']).toBeUndefined()
  }
})

test('other methods, bodies and unknown paths are refused; HEAD has no body', async () => {
  expect(await get('/healthz', { method: 'POST' })).toMatchObject({ status: 405, headers: { allow: 'GET, HEAD' } })
  expect(await get('/healthz', { method: 'DELETE' })).toMatchObject({ status: 405 })
  expect(await get('/healthz', { method: 'POST', body: 'x' })).toMatchObject({ status: 413 })
  expect(await get('/healthz', { body: 'x', headers: { 'transfer-encoding': 'chunked' } })).toMatchObject({
    status: 413,
  })
  expect(await get('/../../etc/passwd')).toMatchObject({ status: 404 })
  expect(await get('//evil.example/healthz')).toMatchObject({ status: 404 })
  expect(await get('/healthz', { method: 'HEAD' })).toMatchObject({
    status: 200,
    body: '',
    headers: { 'content-length': '3' },
  })
})

test('over TLS the certificate of the authority is enough, and a renewed one is presented at once', async () => {
  expect(await get('/healthz', { tls: true })).toMatchObject({ status: 200 })
  const first = leaf
  leaf = await createLeaf(authority, ['localhost', '127.0.0.1'], ambient)
  const presented = await new Promise<string>((resolve, reject) => {
    const made = httpsRequest({
      host: '127.0.0.1',
      port: https.address.port,
      ca: authority.certificatePem,
      agent: false,
      path: '/healthz',
    })
    made.on('error', reject)
    made.on('response', (response) => {
      const socket = response.socket as TLSSocket
      resolve(socket.getPeerX509Certificate()!.fingerprint256)
      response.resume()
    })
    made.end()
  })
  expect(presented).toBe(new X509Certificate(leaf.certificatePem).fingerprint256)
  expect(presented).not.toBe(new X509Certificate(first.certificatePem).fingerprint256)
})

test('garbage, an endless header and a missing host each get one answer and the end of the connection', async () => {
  expect(await raw('EHLO mail\r\n\r\n')).toMatch(/^HTTP\/1\.1 400 /)
  expect(await raw(`GET / HTTP/1.1\r\nHost: localhost\r\nX: ${'a'.repeat(20_000)}\r\n\r\n`)).toMatch(/^HTTP\/1\.1 431 /)
  expect(await raw('GET / HTTP/1.1\r\n\r\n')).toMatch(/^HTTP\/1\.1 400 /)
  expect(await raw('GET http://localhost/healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n')).toMatch(
    /^HTTP\/1\.1 404 /,
  )
})

test('no target makes the routes fail', async () => {
  const targets = fc.sample(fc.string({ unit: 'binary-ascii', maxLength: 60 }), 100)
  for (const target of targets) {
    const encoded = `/${target.replaceAll(/[^!-~]/g, (character) => encodeURIComponent(character))}`
    expect((await get(encoded)).status).toBeLessThan(500)
  }
})

test('the log has neither paths nor addresses', async () => {
  await get('/apple.mobileconfig?address=secret%40example.org')
  expect(logged.length).toBeGreaterThan(0)
  expect(logged.join('\n')).not.toMatch(/secret|example\.org|apple/)
})

test('a port that is taken is named', async () => {
  await expect(
    openHttp({ name: 'http', host: '127.0.0.1', port: http.address.port, hostnames: [], services, log }),
  ).rejects.toMatchObject({ code: 'port-in-use', details: { listener: 'http', port: http.address.port } })
})

test('a listener on every address does not answer to the name of every address', async () => {
  const everywhere = await openHttp({ name: 'http', host: '0.0.0.0', port: 0, hostnames: [], services, log })
  try {
    const statusOf = async (host: string): Promise<number | undefined> =>
      await new Promise((resolve, reject) => {
        const asked = { host: '127.0.0.1', port: everywhere.address.port, path: '/healthz', headers: { host } }
        httpRequest({ ...asked, agent: false }, (response) => {
          response.resume()
          resolve(response.statusCode)
        })
          .on('error', reject)
          .end()
      })
    expect(await Promise.all(['localhost', '0.0.0.0', '0.0.0.0:8008', '[::]'].map(statusOf))).toEqual([
      200, 421, 421, 421,
    ])
  } finally {
    await everywhere[Symbol.asyncDispose]()
  }
})

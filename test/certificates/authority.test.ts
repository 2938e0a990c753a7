import { spawnSync } from 'node:child_process'
import { X509Certificate } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { hostname, tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect, createServer } from 'node:tls'
import type { AddressInfo } from 'node:net'
import { afterAll, expect, test } from 'vitest'
import {
  createAuthority,
  createLeaf,
  fingerprintOf,
  localNames,
  namesFor,
  needsRenewal,
} from '../../src/certificates/authority.ts'
import { type CertificatePair, openCertificates } from '../../src/certificates/certificates.ts'
import { encodeNameConstraints } from '../../src/certificates/name-constraints.ts'
import { silentLog, systemClock, systemRandom } from '../../src/core/ambient.ts'
import { parseDomain } from '../../src/core/message/address.ts'
import { toHex } from '../../src/core/bytes.ts'

const ambient = { clock: systemClock, random: systemRandom, log: silentLog }
const at = (nowMs: number) => ({ ...ambient, clock: { ...systemClock, nowMs: () => nowMs } })
const dayMs = 86_400_000
const folder = mkdtempSync(join(tmpdir(), 'mycelium-ca-'))
afterAll(() => rmSync(folder, { recursive: true }))

function openssl(...args: string[]) {
  const run = spawnSync('openssl', args, { encoding: 'utf8' })
  return { status: run.status, output: run.stdout + run.stderr }
}
function file(name: string, content: string): string {
  const path = join(folder, name)
  writeFileSync(path, content)
  return path
}

const names = namesFor(['Box.example', '192.0.2.7', '2001:db8::7'])
const authority = await createAuthority(names, ambient)
const ca = file('ca.pem', authority.certificatePem)

test.each(['localhost', 'box.example'])('openssl accepts the certificate for %s', async (name) => {
  const leaf = file('leaf.pem', (await createLeaf(authority, names, ambient)).certificatePem)
  const run = openssl('verify', '-x509_strict', '-purpose', 'sslserver', '-CAfile', ca, '-verify_hostname', name, leaf)
  expect(run).toEqual({ status: 0, output: `${leaf}: OK\n` })
})

test.each(['127.0.0.1', '::1', '192.0.2.7', '2001:db8::7'])(
  'openssl accepts the certificate for %s',
  async (address) => {
    const leaf = file('leaf.pem', (await createLeaf(authority, names, ambient)).certificatePem)
    const run = openssl('verify', '-x509_strict', '-purpose', 'sslserver', '-CAfile', ca, '-verify_ip', address, leaf)
    expect(run).toEqual({ status: 0, output: `${leaf}: OK\n` })
  },
)

test.each([['example.com'], ['127.0.0.2'], ['::2'], ['notbox.example'], ['localhost', 'example.com']])(
  'a certificate that the authority signs for %s is refused',
  async (...foreign) => {
    const leaf = file('foreign.pem', (await createLeaf(authority, foreign, ambient)).certificatePem)
    const run = openssl('verify', '-purpose', 'sslserver', '-CAfile', ca, leaf)
    expect(run.status).not.toBe(0)
    expect(run.output).toContain('permitted subtree violation')
  },
)

test('the authority cannot make a further authority, nor vouch for mail or code', async () => {
  const sub = await createLeaf(authority, ['localhost'], ambient)
  const nested = await createLeaf(sub, ['localhost'], ambient)
  const chain = file('chain.pem', sub.certificatePem)
  const leaf = file('nested.pem', nested.certificatePem)
  expect(openssl('verify', '-CAfile', ca, '-untrusted', chain, leaf).status).not.toBe(0)
  const own = file('own.pem', sub.certificatePem)
  expect(openssl('verify', '-purpose', 'smimesign', '-CAfile', ca, own).status).not.toBe(0)
})

test('the certificate has what Apple asks for', async () => {
  const leaf = await createLeaf(authority, names, ambient)
  const text = openssl('x509', '-noout', '-text', '-in', file('apple.pem', leaf.certificatePem)).output
  expect(text).toContain('TLS Web Server Authentication')
  expect(text).toContain('DNS:localhost, IP Address:127.0.0.1, IP Address:0:0:0:0:0:0:0:1')
  expect((leaf.notAfterMs - leaf.notBeforeMs) / dayMs).toBeLessThanOrEqual(825)
  const caText = openssl('x509', '-noout', '-text', '-in', ca).output
  expect(caText).toMatch(
    /Name Constraints: critical\s+Permitted:\s+DNS:localhost\s+IP:127\.0\.0\.1\/255\.255\.255\.255/,
  )
  expect(caText).toContain('CA:TRUE, pathlen:0')
  expect(fingerprintOf(authority)).toBe(new X509Certificate(authority.certificatePem).fingerprint256)
})

test('a TLS client that trusts only the authority connects, one that does not is refused', async () => {
  const leaf = await createLeaf(authority, names, ambient)
  const server = createServer({ key: leaf.keyPem, cert: leaf.certificatePem }, (socket) => socket.end('hi'))
  server.on('tlsClientError', () => {})
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  const outcome = async (trusted: string | undefined) =>
    await new Promise<string>((resolve) => {
      const options = { host: '127.0.0.1', port, ...(trusted === undefined ? {} : { ca: trusted }) }
      const socket = connect(options, () => resolve('trusted'))
      socket.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? 'error'))
      socket.on('data', () => socket.destroy())
    })
  expect(await outcome(authority.certificatePem)).toBe('trusted')
  expect(await outcome(undefined)).not.toBe('trusted')
  await new Promise((resolve) => server.close(resolve))
})

test('IPv4, IPv6 and host names become the DER of RFC 5280', () => {
  expect(toHex(encodeNameConstraints(['localhost', '127.0.0.1', '::1']))).toBe(
    [
      '303fa03d',
      '300b82096c6f63616c686f7374',
      '300a87087f000001ffffffff',
      `30228720${'00'.repeat(15)}01${'ff'.repeat(16)}`,
    ].join(''),
  )
  const many = encodeNameConstraints([...localNames, ...Array.from({ length: 60 }, (_, index) => `h-${index}.example`)])
  expect([many[0], many[1], (many[2]! << 8) | many[3]!]).toEqual([0x30, 0x82, many.length - 4])
})

test('constraints that would leave a form of name open are never made', () => {
  for (const open of [[], ['localhost'], ['127.0.0.1', '::1']]) expect(() => encodeNameConstraints(open)).toThrow()
})

test('renewal: near the end, after the clock was set back, and for a name that is missing', () => {
  expect(needsRenewal(authority, names, Date.now())).toBe(false)
  expect(needsRenewal(authority, localNames, Date.now())).toBe(false)
  expect(needsRenewal(authority, [...names, 'new.example'], Date.now())).toBe(true)
  expect(needsRenewal(authority, names, authority.notAfterMs - 60 * dayMs + 1)).toBe(true)
  expect(needsRenewal(authority, names, authority.notAfterMs - 61 * dayMs)).toBe(false)
  expect(needsRenewal(authority, names, authority.notBeforeMs - 1)).toBe(true)
})

test('certificates survive a restart, the leaf renews under the same authority, a new name makes a new one', async () => {
  let saved: CertificatePair | undefined
  const store = {
    load: () => saved,
    save: async (pair: CertificatePair) => {
      saved = pair
      await Promise.resolve()
    },
  }
  using first = await openCertificates(store, [], ambient)
  using again = await openCertificates(store, [], ambient)
  expect(again.material()).toEqual(first.material())
  using later = await openCertificates(store, [], at(Date.now() + 380 * dayMs))
  expect(later.authority()).toEqual(first.authority())
  expect(later.material()).not.toEqual(first.material())
  const constraints = openssl(
    'x509',
    '-noout',
    '-ext',
    'nameConstraints',
    '-in',
    file('made.pem', first.authority().certificate),
  )
  expect(constraints.output).toContain('DNS:localhost')
  expect(constraints.output.toLowerCase()).toContain(`dns:${parseDomain(hostname()) ?? 'localhost'}`)
  using wrongClock = await openCertificates(store, [], at(0))
  expect(wrongClock.authority()).toEqual(first.authority())
  using renamed = await openCertificates(store, ['box.example'], ambient)
  expect(renamed.authority().fingerprint).not.toBe(first.authority().fingerprint)
})

test('a running gateway presents the renewed certificate without a restart', async () => {
  let saved: CertificatePair | undefined
  let nowMs = Date.now()
  const store = { load: () => saved, save: async (pair: CertificatePair) => void (saved = await Promise.resolve(pair)) }
  using certificates = await openCertificates(store, [], { ...ambient, clock: { ...systemClock, nowMs: () => nowMs } })
  const before = certificates.material().cert
  await certificates.renewIfNeeded()
  expect(certificates.material().cert).toBe(before)
  nowMs += 350 * dayMs
  await certificates.renewIfNeeded()
  expect(certificates.material().cert).not.toBe(before)
})

import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect } from 'node:tls'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createAuthority, createLeaf, type Credential } from '../../src/certificates/authority.ts'
import { openCertificateFiles } from '../../src/certificates/certificate-files.ts'
import { silentLog, systemClock, systemRandom } from '../../src/core/ambient.ts'
import { gateway, onLoopback, startGateway, tempHome } from '../cli/process-support.ts'
import { openBox } from './support.ts'

const ambient = { clock: systemClock, random: systemRandom, log: silentLog }
const folder = mkdtempSync(join(tmpdir(), 'mycelium-certificates-'))
afterAll(() => rmSync(folder, { recursive: true }))
const paths = { cert: join(folder, 'cert.pem'), key: join(folder, 'key.pem') }

let authority: Credential
let first: Credential
let second: Credential
beforeAll(async () => {
  const names = ['mail.office.example', '127.0.0.1', '::1']
  authority = await createAuthority(names, ambient)
  first = await createLeaf(authority, names, ambient)
  second = await createLeaf(authority, names, ambient)
})

/** As renewing programs do: a new file takes the old one's place. */
function install(cert: string, key: string): void {
  for (const [path, text] of [
    [paths.cert, cert],
    [paths.key, key],
  ] as const) {
    writeFileSync(`${path}.new`, text)
    renameSync(`${path}.new`, path)
  }
}

/** Serial number of what a listener presents, verified against the office's authority. */
async function presented(port: number): Promise<string> {
  return await new Promise((resolve, reject) => {
    const options = { host: '127.0.0.1', port, servername: 'mail.office.example', ca: authority.certificatePem }
    const socket = connect(options, () => {
      resolve(socket.getPeerCertificate().serialNumber)
      socket.destroy()
    })
    socket.on('error', reject)
  })
}

test("every listener presents the office's own certificate, and the renewed one after SIGHUP", async () => {
  install(first.certificatePem, first.keyPem)
  await using box = await openBox(`certificates.cert=${paths.cert}`, `certificates.key=${paths.key}`)
  const { imaps, smtps, https } = box.gateway.listeners
  const ports = [imaps!.port, smtps!.port, https!.port]
  const before = await Promise.all(ports.map(presented))
  expect(new Set(before).size).toBe(1)
  install(second.certificatePem, second.keyPem)
  process.emit('SIGHUP')
  const after = await Promise.all(ports.map(presented))
  expect(new Set(after).size).toBe(1)
  expect(after[0]).not.toBe(before[0])
})

test('a service without certificate files goes on when it is reloaded', async () => {
  using place = tempHome()
  await using running = await startGateway(['--home', place.home, '--ports', 'auto', ...onLoopback])
  process.kill(running.pid, 'SIGHUP')
  expect((await gateway(['stop', '--home', place.home])).code).toBe(0)
  expect(await running.ended).toBe(0)
})

test('a renewal that went wrong changes nothing', () => {
  install(first.certificatePem, first.keyPem)
  using files = openCertificateFiles(paths, ambient)
  for (const [cert, key] of [
    [second.certificatePem, first.keyPem],
    ['nothing', first.keyPem],
    [first.certificatePem, ''],
  ] as const) {
    install(cert, key)
    expect(files.reload()).toBe(false)
    expect(files.material().cert).toBe(first.certificatePem)
  }
  install(second.certificatePem, second.keyPem)
  expect(files.reload()).toBe(true)
  expect(files.material().cert).toBe(second.certificatePem)
})

test('a start with files that do not fit is refused and names the file', () => {
  install(second.certificatePem, first.keyPem)
  expect(() => openCertificateFiles(paths, ambient)).toThrow(
    expect.objectContaining({ code: 'certificate-invalid', details: { file: paths.key, reason: expect.any(String) } }),
  )
  const absent = { ...paths, cert: join(folder, 'absent.pem') }
  expect(() => openCertificateFiles(absent, ambient)).toThrow(
    expect.objectContaining({ details: { file: absent.cert, reason: 'cannot be read' } }),
  )
})

/** The image and the compose file, built and run: two boxes that write to each other, one killed, one moved. */
import { chownSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeEach, expect, test, type TestContext } from 'vitest'
import { requirePeer, skipWithReason } from '../interop/support/peers.ts'
import { run } from './support/commands.ts'
import { type Engine, startEngine } from './support/engine.ts'
import { buildImage, imageName } from './support/image.ts'
import type { MailOrder } from './support/mail-client-process.ts'

const gatewayUser = 10_001
const healthyMs = 90_000
const hardening = ['--read-only', '--tmpfs', '/tmp', '--cap-drop', 'ALL', '--security-opt', 'no-new-privileges']

let engine: Engine
afterAll(async () => await engine?.[Symbol.asyncDispose](), 180_000)

beforeEach((context: TestContext) => {
  requirePeer(context, 'dockerd', 'docker-compose', 'debootstrap', 'slirp4netns')
  if (process.getuid?.() !== 0) skipWithReason(context, 'a container engine needs root')
})

/** What the command line inside a box prints. */
async function ask<T>(container: string, ...args: readonly string[]): Promise<T> {
  return JSON.parse(await engine.docker(['exec', container, 'mycelium-gateway', ...args, '--json'])) as T
}

async function healthy(container: string): Promise<void> {
  const deadline = performance.now() + healthyMs
  for (;;) {
    const state = await engine.docker(['inspect', '-f', '{{.State.Health.Status}} {{.State.Status}}', container])
    if (state.startsWith('healthy')) return
    if (performance.now() > deadline || state.includes('exited'))
      throw new Error(`${container} is ${state.trim()}: ${await engine.docker(['logs', '--tail', '20', container])}`)
    await sleep(300)
  }
}

interface Person {
  readonly address: string
  readonly user: string
  readonly password: string
  readonly authority: string
}

async function personIn(container: string): Promise<Person> {
  const [account] = await ask<{ localName: string; addresses: string[] }[]>(container, 'account', 'list')
  const { password } = await ask<{ password: string }>(container, 'password', 'add')
  const { certificate } = await ask<{ certificate: string }>(container, 'trust', 'export')
  return { address: account!.addresses[0]!, user: account!.localName, password, authority: certificate }
}

async function mail<T>(order: MailOrder): Promise<T> {
  const client = [resolve('test/docker/support/mail-client-process.ts')]
  const stdin = JSON.stringify(order)
  return JSON.parse(await engine.inNetwork(process.execPath, client, { stdin, timeout: 90_000 })) as T
}

/** Where the two boxes' TLS ports are published. */
const ports = { a: { smtp: 1465, imap: 1993 }, b: { smtp: 2465, imap: 2993 } } as const

const send = async (from: Person, port: number, to: Person, subject: string): Promise<string> =>
  await mail({ ...from, port, send: { from: from.address, to: to.address, subject } })
const inbox = async (of: Person, port: number, count: number): Promise<readonly string[]> =>
  await mail({ ...of, port, read: count })

async function runB(name: string): Promise<void> {
  const publish = ['-p', `127.0.0.1:${ports.b.smtp}:1465`, '-p', `127.0.0.1:${ports.b.imap}:1993`]
  const options = ['-d', '--name', name, '--network', 'office_default', '-v', 'moved:/var/lib/mycelium']
  await engine.docker(['run', ...options, ...publish, ...hardening, imageName])
}

let ann: Person
let ben: Person
let boxA: string

/** Host addresses by port, of those that the compose file publishes for mail programs; other gateways' have none. */
async function published(lan: Readonly<Record<string, string>>): Promise<Readonly<Record<string, string>>> {
  const text = await run('docker-compose', ['-f', 'docker/compose.yaml', 'config'], { env: { ...process.env, ...lan } })
  const ports = [...text.matchAll(/^ +- ([\d.]+):(\d+):\d+\/tcp$/gm)]
  return Object.fromEntries(ports.map(([, host, port]) => [port!, host!]))
}

test('the network of the office sees ports with TLS only, and those only when it is told to', async () => {
  const plain = { 1025: '127.0.0.1', 1143: '127.0.0.1', 5222: '127.0.0.1', 8008: '127.0.0.1' }
  const closed = { ...plain, 1465: '127.0.0.1', 1993: '127.0.0.1', 5223: '127.0.0.1', 8443: '127.0.0.1' }
  expect(await published({ MYCELIUM_LAN: '' })).toEqual(closed)
  const open = { ...plain, 1465: '0.0.0.0', 1993: '0.0.0.0', 5223: '0.0.0.0', 8443: '0.0.0.0' }
  expect(await published({ MYCELIUM_LAN: '0.0.0.0' })).toEqual(open)
})

test('the Dockerfile builds an image without npm, for a user that is not root', async () => {
  engine = await startEngine()
  await buildImage(engine)
  const inside = 'id -u; command -v npm npx corepack || echo none; ls /app'
  expect(await engine.docker(['run', '--rm', '--entrypoint', 'sh', imageName, '-c', inside])).toBe(
    `${gatewayUser}\nnone\nnode_modules\npackage-lock.json\npackage.json\nsrc\n`,
  )
  expect(await engine.docker(['run', '--rm', ...hardening, imageName, '--version'])).toMatch(/^\d+\.\d+\.\d+\n$/)
}, 900_000)

test('a box from the compose file and one from a plain run turn healthy and write to each other', async () => {
  const passphrase = join(engine.folder, 'passphrase')
  writeFileSync(passphrase, 'correct horse battery staple\n', { mode: 0o400 })
  chownSync(passphrase, gatewayUser, gatewayUser)
  const env = { MYCELIUM_IMAGE: imageName, MYCELIUM_PASSPHRASE_FILE: passphrase }
  await engine.compose(['-p', 'office', '-f', 'docker/compose.yaml', 'up', '-d', '--no-build'], env)
  boxA = (await engine.compose(['-p', 'office', '-f', 'docker/compose.yaml', 'ps', '-q', 'gateway'], env)).trim()
  await runB('box-b')
  await Promise.all([healthy(boxA), healthy('box-b')])
  expect(await ask(boxA, 'status')).toMatchObject({ running: true, keyStore: 'passphrase' })

  ann = await personIn(boxA)
  ben = await personIn('box-b')
  const { link } = await ask<{ link: string }>(boxA, 'invite', 'create')
  await ask('box-b', 'invite', 'accept', link)
  expect(await send(ann, ports.a.smtp, ben, 'one')).toMatch(/^250/)
  expect(await inbox(ben, ports.b.imap, 1)).toEqual(['one'])
  expect(await send(ben, ports.b.smtp, ann, 'two')).toMatch(/^250/)
  expect(await inbox(ann, ports.a.imap, 1)).toEqual(['two'])
}, 180_000)

test('a box that is killed comes back with its mail, and gets what was written meanwhile, once', async () => {
  await engine.docker(['kill', boxA])
  expect(await send(ben, ports.b.smtp, ann, 'three')).toMatch(/^250/)
  await engine.docker(['start', boxA])
  await healthy(boxA)
  expect(await inbox(ann, ports.a.imap, 2)).toEqual(['two', 'three'])
}, 180_000)

test('a volume goes on in another container, whose log names nobody', async () => {
  await engine.docker(['stop', '-t', '15', 'box-b'])
  expect(await engine.docker(['inspect', '-f', '{{.State.ExitCode}}', 'box-b'])).toBe('0\n')
  await engine.docker(['rm', 'box-b'])
  await runB('box-c')
  await healthy('box-c')
  expect(await inbox(ben, ports.b.imap, 1)).toEqual(['one'])
  expect(await send(ann, ports.a.smtp, ben, 'four')).toMatch(/^250/)
  expect(await inbox(ben, ports.b.imap, 2)).toEqual(['one', 'four'])
  const log = await engine.docker(['logs', boxA])
  for (const text of [ann.address, ben.address, 'three']) expect(log).not.toContain(text)
}, 180_000)

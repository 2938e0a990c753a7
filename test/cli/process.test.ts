import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import type { Results } from '../../src/core/control.ts'
import type { NewAccount } from '../../src/core/control-views.ts'
import { gateway, onLoopback, startGateway, tempHome } from './process-support.ts'

async function json<T>(home: string, ...args: string[]): Promise<T> {
  const { code, stdout, stderr } = await gateway([...args, '--home', home, '--json'])
  expect(stderr).toBe('')
  expect(code).toBe(0)
  expect(stdout.indexOf('\n')).toBe(stdout.length - 1)
  return JSON.parse(stdout) as T
}
const init = async (home: string) => await json<NewAccount>(home, 'init', '--address', 'alice@alice.example')
const start = async (home: string, ...args: string[]) =>
  await startGateway(['--home', home, '--ports', 'auto', ...onLoopback, ...args])

function filesBelow(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
}

test('init makes a home with one account, once; its files are for the owner only and hold no secret in clear', async () => {
  using temp = tempHome()
  const created = await init(temp.home)
  expect(created.address).toBe('alice@alice.example')
  expect(created.identity).toMatch(/^[\da-f]{64}$/)
  expect(created.fingerprint.replaceAll(/\s/g, '')).toMatch(/^\d{60}$/)
  expect(created.mnemonic.split(' ')).toHaveLength(24)
  expect(created.appPassword.length).toBeGreaterThanOrEqual(22) // 128 bits need 22 characters of base64

  expect(statSync(temp.home).mode & 0o777).toBe(0o700)
  const files = filesBelow(temp.home)
  expect(files.length).toBeGreaterThan(2)
  for (const file of files) {
    expect(`${file} ${(statSync(file).mode & 0o077).toString(8)}`).toBe(`${file} 0`)
    const content = readFileSync(file)
    for (const secret of [created.appPassword, created.mnemonic.slice(0, 20), created.address]) {
      expect(content.includes(secret)).toBe(false)
    }
  }

  const again = await gateway(['init', '--home', temp.home])
  expect(again).toMatchObject({ code: 1, stdout: '' })
  expect(again.stderr).toContain('nothing was changed')
  expect(await json<Results['accountList']>(temp.home, 'account', 'list')).toMatchObject([
    { identity: created.identity, addresses: ['alice@alice.example'] },
  ])
})

test('run: ready line, live verbs, a second one refused, a drained end on SIGTERM, and no secret in argv or log', async () => {
  using temp = tempHome()
  const created = await init(temp.home)
  await using running = await start(temp.home, '--set', 'log.level=debug')
  expect(Object.keys(running.listeners).toSorted()).toEqual([
    'http',
    'https',
    'imap',
    'imaps',
    'overlay',
    'smtp',
    'smtps',
    'xmpp',
    'xmpps',
  ])
  expect(running.listeners.overlay.join()).toContain('/p2p/')

  const status = await json<Results['status']>(temp.home, 'status')
  expect(status).toMatchObject({ running: true, pid: running.pid, listeners: running.listeners })
  const { password } = await json<Results['passwordAdd']>(temp.home, 'password', 'add', '--name', 'phone')
  expect(await json<unknown[]>(temp.home, 'password', 'list')).toHaveLength(2)

  const second = await gateway(['run', '--home', temp.home, '--ports', 'auto', ...onLoopback])
  expect(second).toMatchObject({ code: 1, stdout: '' })
  expect(second.stderr).toMatch(/^mycelium-gateway: another gateway is running on this home \(process \d+\)[^\n]*\n$/)

  const health = await fetch(`http://127.0.0.1:${running.listeners.http.port}/healthz`)
  expect(await health.text()).toBe('ok\n')
  const token = readFileSync(join(temp.home, 'metrics-token'), 'utf8').trim()
  const metrics = await fetch(`http://127.0.0.1:${running.listeners.http.port}/metrics`, {
    headers: { authorization: `Bearer ${token}` },
  })
  expect(await metrics.text()).toContain('process_resident_memory_bytes')

  expect(await running.end('SIGTERM')).toBe(0)
  expect(running.output().stderr).not.toContain('not everything closed')
  const printed = running.output().stdout + running.output().stderr
  for (const secret of [created.appPassword, password, created.mnemonic.slice(0, 20), created.address]) {
    expect(printed).not.toContain(secret)
  }
  expect(await json<Results['status']>(temp.home, 'status')).toMatchObject({ running: false })
})

test('after kill -9 the home is free, and everything acknowledged is there', async () => {
  using temp = tempHome()
  await init(temp.home)
  await using first = await start(temp.home)
  await json(temp.home, 'password', 'add', '--name', 'phone')
  await first.end('SIGKILL')
  const stopped = await json<Results['passwordList']>(temp.home, 'password', 'list')
  expect(stopped.map(({ name }) => name)).toContain('phone')
  await using second = await start(temp.home)
  expect(await json<unknown[]>(temp.home, 'password', 'list')).toHaveLength(2)
  expect(await second.end('SIGINT')).toBe(0)
})

test('a first start without a terminal shows no secret; words and passwords can be had later', async () => {
  using temp = tempHome()
  await using running = await start(temp.home)
  const { mnemonic } = await json<Results['recoveryShow']>(temp.home, 'recovery', 'show')
  expect(mnemonic.split(' ')).toHaveLength(24)
  const printed = running.output().stdout + running.output().stderr
  expect(printed).toContain(`localhost port ${running.listeners.imap.port}`)
  expect(printed).toContain('recovery show')
  expect(printed).not.toContain(mnemonic.split(' ').slice(0, 3).join(' '))
  const [account] = await json<Results['accountList']>(temp.home, 'account', 'list')
  expect(account!.addresses[0]).toMatch(/^[^@]+@[a-z\d]{52}\.myc$/)

  const wrong = mnemonic.split(' ').toReversed().join(' ')
  const refused = await gateway(['recovery', 'confirm', '--words-stdin', '--home', temp.home], wrong)
  expect(refused).toMatchObject({ code: 1, stdout: '' })
  const confirmed = await gateway(['recovery', 'confirm', '--words-stdin', '--home', temp.home], mnemonic)
  expect(confirmed.code).toBe(0)
  expect(await gateway(['recovery', 'show', '--home', temp.home])).toMatchObject({ code: 1, stdout: '' })
})

test('stop ends the running gateway; without one it says so', async () => {
  using temp = tempHome()
  await init(temp.home)
  await using running = await start(temp.home)
  await json(temp.home, 'stop')
  expect(await running.ended).toBe(0)
  const again = await gateway(['stop', '--home', temp.home])
  expect(again).toMatchObject({ code: 1, stdout: '' })
  expect(again.stderr).toContain('not running')
})

test('a home with a passphrase opens with it only', async () => {
  using temp = tempHome()
  const passphrase = 'correct horse battery staple'
  const made = await gateway(['init', '--home', temp.home, '--passphrase-stdin', '--json'], `${passphrase}\n`)
  expect(made.code).toBe(0)
  const list = ['account', 'list', '--home', temp.home]
  expect(await gateway(list)).toMatchObject({ code: 1 })
  expect(await gateway([...list, '--passphrase-stdin'], 'wrong horse battery staple')).toMatchObject({ code: 1 })
  expect(await gateway([...list, '--passphrase-stdin'], passphrase)).toMatchObject({ code: 0 })
  const args = ['--home', temp.home, '--ports', 'auto', ...onLoopback, '--passphrase-stdin']
  await using running = await startGateway(args, passphrase)
  const cmdline = readFileSync(`/proc/${running.pid}/cmdline`, 'latin1')
  expect(cmdline).not.toContain(passphrase)
  expect(await gateway(list)).toMatchObject({ code: 0 })
})

test('a port that is taken is named, with what to do; --set wins over --ports auto', async () => {
  using temp = tempHome()
  await init(temp.home)
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as { port: number }
  const taken = await gateway([
    'run',
    '--home',
    temp.home,
    '--ports',
    'auto',
    ...onLoopback,
    '--set',
    `imap.port=${port}`,
  ])
  expect(taken).toMatchObject({ code: 1, stdout: '' })
  expect(taken.stderr).toContain(`port ${port} for imap is taken`)
  await new Promise((resolve) => server.close(resolve))
  await using running = await start(temp.home, '--set', `imap.port=${port}`, '--set', 'smtps.enabled=false')
  expect(running.listeners.imap.port).toBe(port)
  expect(running.listeners.smtps).toBeUndefined()
})

test('a home whose path is too long for a socket works all the same', async () => {
  using temp = tempHome()
  const home = join(temp.home, 'x'.repeat(120))
  await init(home)
  await using running = await start(home)
  expect(await json<Results['status']>(home, 'status')).toMatchObject({ running: true, pid: running.pid })
})

test('wrong usage ends with 2, an unusable home with 1, each with one line', async () => {
  using temp = tempHome()
  expect(await gateway(['run', '--set', 'imap.prot=1', '--home', temp.home])).toMatchObject({
    code: 2,
    stderr: "mycelium-gateway: unknown key 'imap.prot'; did you mean 'imap.port'?\n",
  })
  expect(await gateway(['status', '--home', temp.home])).toMatchObject({
    code: 1,
    stderr: 'mycelium-gateway: no home here yet; create one with: init\n',
  })
  expect((await gateway(['status', '--home', '/dev/null'])).stderr).toContain('not a directory')
  expect((await gateway(['nonsense'])).code).toBe(2)
})

test('trust export gives a certificate that HTTPS clients verify', async () => {
  using temp = tempHome()
  await init(temp.home)
  const { certificate } = await json<Results['trustExport']>(temp.home, 'trust', 'export')
  await using running = await start(temp.home)
  const { get } = await import('node:https')
  const status = await new Promise((resolve, reject) => {
    get(`https://localhost:${running.listeners.https.port}/healthz`, { ca: certificate, agent: false }, (response) => {
      response.resume()
      resolve(response.statusCode)
    }).on('error', reject)
  })
  expect(status).toBe(200)
})

test.runIf(existsSync('/dev/full'))('a result that cannot be written is a failure', async () => {
  const command = `exec ./bin/mycelium-gateway --version > /dev/full`
  const { status, stderr } = spawnSync('sh', ['-c', command], { encoding: 'utf8' })
  expect({ status, stderr }).toEqual({
    status: 1,
    stderr: 'mycelium-gateway: the result could not be written (ENOSPC)\n',
  })
})

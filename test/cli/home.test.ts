import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { systemRandom } from '../../src/core/ambient.ts'
import { beginCreation, endCreation, homePaths, inspectHome, metricsTokenOf, secureHome } from '../../src/home.ts'
import { isHomeLocked, lockHome } from '../../src/home-lock.ts'

let home: string
beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'mycelium-home-'))
})
afterEach(() => rmSync(home, { recursive: true, force: true }))
const lock = () => lockHome(home, homePaths(home).controlSocket)

/** A process that takes the lock, says so, and keeps it. */
const holder = `
  import { lockHome } from '${new URL('../../src/home-lock.ts', import.meta.url).href}'
  try { await lockHome(process.argv[1], process.argv[1] + '/control.sock'); console.log('held') }
  catch (error) { console.log(error.code) }
  setInterval(() => {}, 1000)`
async function startHolder() {
  const child = spawn(process.execPath, ['--input-type=module', '-e', holder, home], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const [said] = (await once(child.stdout, 'data')) as [Buffer]
  return {
    said: said.toString().trim(),
    async kill() {
      child.kill('SIGKILL')
      await once(child, 'exit')
    },
  }
}

test('a home is locked once, and free again after release', async () => {
  const first = await lock()
  await expect(lock()).rejects.toMatchObject({ code: 'home-locked', details: { pid: process.pid } })
  first[Symbol.dispose]()
  expect(await isHomeLocked(home, homePaths(home).controlSocket)).toBe(false)
  const second = await lock()
  second[Symbol.dispose]()
})

test('another process that holds the lock keeps us out, and its death by SIGKILL lets us in', async () => {
  const other = await startHolder()
  expect(other.said).toBe('held')
  await expect(lock()).rejects.toMatchObject({ code: 'home-locked' })
  expect(await isHomeLocked(home, homePaths(home).controlSocket)).toBe(true)
  await other.kill()
  const own = await lock()
  own[Symbol.dispose]()
})

test('of several processes that find a dead holder, exactly one gets the lock', async () => {
  const dead = await startHolder()
  await dead.kill()
  const contenders = await Promise.all(Array.from({ length: 5 }, startHolder))
  expect(contenders.map(({ said }) => said).toSorted()).toEqual([
    'held',
    ...Array.from({ length: 4 }, () => 'home-locked'),
  ])
  await Promise.all(contenders.map(async (contender) => await contender.kill()))
})

test('a pid that another process has by now does not hold the lock', async () => {
  const own = await lock()
  const [name] = readdirSync(home)
  own[Symbol.dispose]()
  writeFileSync(join(home, name!), JSON.stringify({ pid: process.pid, startedAt: '1', scope: 'elsewhere' }))
  const again = await lock()
  again[Symbol.dispose]()
})

test('a lock file cut short by power loss counts as free', async () => {
  writeFileSync(join(home, 'lock.7'), '{"pid":')
  const own = await lock()
  expect(readdirSync(home)).toEqual(['lock.8'])
  own[Symbol.dispose]()
})

test('a home is recognised, and anything else is named', () => {
  const marker = { createdAtMs: 1, keyStore: 'key-file', serviceDomain: 'localhost' } as const
  expect(inspectHome(join(home, 'absent'))).toEqual({ kind: 'nothing' })
  expect(inspectHome(home)).toEqual({ kind: 'nothing' })
  endCreation(home, marker)
  expect(inspectHome(home)).toMatchObject({ kind: 'home', marker })
  const refuses = (reason: string) =>
    expect(() => inspectHome(home)).toThrow(
      expect.objectContaining({ code: 'home-invalid', details: expect.objectContaining({ reason }) }),
    )
  writeFileSync(homePaths(home).marker, '{"format":"mycelium-gateway home","version":2,"more":1}')
  refuses('made by a later version')
  writeFileSync(homePaths(home).marker, '{"format":"mycelium-gateway home","version":1}')
  refuses('home.json is damaged')
  writeFileSync(homePaths(home).marker, '\0\0\0')
  refuses('home.json is damaged')
  rmSync(homePaths(home).marker)
  writeFileSync(join(home, 'letter.txt'), 'x')
  refuses('a directory with other files, without home.json')
  expect(() => inspectHome(join(home, 'letter.txt'))).toThrow(
    expect.objectContaining({ details: { reason: 'not a directory' } }),
  )
})

test('the home and its marker are for the owner only', () => {
  chmodSync(home, 0o755)
  secureHome(home)
  expect(statSync(home).mode & 0o777).toBe(0o700)
  endCreation(home, { createdAtMs: 1, keyStore: 'key-file', serviceDomain: 'localhost' })
  expect(statSync(homePaths(home).marker).mode & 0o777).toBe(0o600)
})

test('a home with a long path has its control socket in an owner-only folder elsewhere', () => {
  const long = join(home, 'x'.repeat(90), 'y'.repeat(60))
  mkdirSync(long, { recursive: true })
  const { controlSocket } = homePaths(long)
  expect(controlSocket.length).toBeLessThanOrEqual(103)
  expect(controlSocket).toBe(homePaths(`${long}/`).controlSocket)
  expect(existsSync(join(controlSocket, '..'))).toBe(true)
  expect(statSync(join(controlSocket, '..')).mode & 0o777).toBe(0o700)
  expect(homePaths(home).controlSocket).toBe(join(home, 'control.sock'))
})

test('an interrupted creation starts anew and leaves nothing of the first attempt', () => {
  beginCreation(home)
  writeFileSync(homePaths(home).key, 'half')
  expect(inspectHome(home)).toEqual({ kind: 'nothing' })
  beginCreation(home)
  expect(existsSync(homePaths(home).key)).toBe(false)
  endCreation(home, { createdAtMs: 1, keyStore: 'key-file', serviceDomain: 'localhost' })
  expect(readdirSync(home)).toEqual(['home.json'])
})

test('a home that lost its home.json is never taken for an empty one', () => {
  endCreation(home, { createdAtMs: 1, keyStore: 'key-file', serviceDomain: 'localhost' })
  writeFileSync(homePaths(home).key, 'secret')
  rmSync(homePaths(home).marker)
  expect(() => inspectHome(home)).toThrow(expect.objectContaining({ code: 'home-invalid' }))
})

test('the metrics token is made once, for the owner only', () => {
  const paths = homePaths(home)
  const token = metricsTokenOf(paths, systemRandom)
  expect(token).toMatch(/^[\w-]{43}$/)
  expect(metricsTokenOf(paths, systemRandom)).toBe(token)
  expect(statSync(paths.metricsToken).mode & 0o777).toBe(0o600)
})

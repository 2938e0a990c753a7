/** Homes that cannot be opened: each says which file it is and what to do, and nothing is made in its place. */
import { copyFileSync, existsSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { lineFor } from '../../src/cli/errors.ts'
import { secureHome } from '../../src/home.ts'
import { gateway, onLoopback, tempHome } from './process-support.ts'

const run = async (home: string) => await gateway(['run', '--home', home, '--ports', 'auto', ...onLoopback])

test('a home whose store or key has gone or changed is not taken for a new one', async () => {
  using temp = tempHome()
  using other = tempHome()
  for (const { home } of [temp, other]) expect(await gateway(['init', '--home', home])).toMatchObject({ code: 0 })
  const store = join(temp.home, 'store', 'data.mdb')
  const key = join(temp.home, 'key')
  for (const [file, harm, says] of [
    [store, () => truncateSync(store), `damaged (${store})`],
    [store, () => rmSync(store), `damaged (${store})`],
    [store, () => writeFileSync(store, Buffer.alloc(64 * 1024, 0x5a)), `damaged (${store})`],
    [key, () => rmSync(key), `its key file is missing (${key})`],
    [key, () => writeFileSync(key, '{}'), 'its key file is damaged'],
    [key, () => copyFileSync(join(other.home, 'key'), key), 'another home'],
  ] as const) {
    copyFileSync(file, `${temp.home}.kept`)
    harm()
    for (const outcome of [await run(temp.home), await gateway(['account', 'list', '--home', temp.home])]) {
      expect(outcome).toMatchObject({ code: 1, stdout: '' })
      expect(outcome.stderr).toContain(says)
      expect(outcome.stderr).toMatch(/backup|put it back/)
    }
    copyFileSync(`${temp.home}.kept`, file)
  }
  rmSync(`${temp.home}.kept`)
  expect(await gateway(['account', 'list', '--home', temp.home])).toMatchObject({ code: 0 })
}, 40_000)

test.runIf(existsSync('/proc/self'))('a folder in which none can be made is said, not tried for ever', () => {
  expect(() => secureHome('/proc/mycelium/home')).toThrow(/ENOENT|EACCES|EPERM/)
})

test('what the operating system refuses comes with what to do', () => {
  const refused = Object.assign(new Error('EROFS: read-only file system'), { code: 'EROFS', path: '/home/x/lock.1' })
  expect(lineFor(refused)).toMatch(/read-only: make it writable.*\(\/home\/x\/lock\.1\)$/)
  expect(lineFor(new Error('first\nsecond'))).toBe('first')
})

/** Backups as a person makes them: of a stopped home and of a running gateway. */
import { readdirSync, readFileSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { expect, test } from 'vitest'
import { gateway, onLoopback, startGateway, tempHome } from './process-support.ts'

const passphrase = 'correct horse battery'

test('a backup of a running gateway restores into an empty place, and every mistake is answered before it harms', async () => {
  using temp = tempHome()
  const { home } = temp
  const folder = dirname(home)
  const [file, other] = [join(folder, 'backup'), join(folder, 'restored')]
  const run = async (...args: string[]) => await gateway(args, passphrase)
  await gateway(['init', '--address', 'alice@alice.example', '--home', home])
  writeFileSync(
    join(folder, 'mail.mbox'),
    `From x Fri Nov 20 10:11:12 2026\nSubject: kept\n\n${'long\n'.repeat(30_000)}`,
  )
  await gateway(['import', '--mbox', join(folder, 'mail.mbox'), '--home', home])
  {
    await using _ = await startGateway(['--home', home, '--ports', 'auto', ...onLoopback])
    const created = await run('backup', 'create', file, '--home', home, '--passphrase-stdin', '--json')
    expect(created).toMatchObject({ code: 0, stderr: '' })
    expect(JSON.parse(created.stdout)).toMatchObject({ files: 1, missing: 0 })
  }
  expect(statSync(file).mode & 0o777).toBe(0o600)
  const bytes = readFileSync(file)
  const again = await run('backup', 'create', file, '--home', home, '--passphrase-stdin')
  expect(again).toMatchObject({ code: 2 })
  expect(Buffer.compare(readFileSync(file), bytes)).toBe(0)

  expect(await run('backup', 'restore', file, '--home', home, '--passphrase-stdin')).toMatchObject({ code: 1 })
  const wrong = await gateway(['backup', 'restore', file, '--home', other, '--passphrase-stdin'], 'another passphrase')
  expect(wrong).toMatchObject({ code: 1 })
  expect(wrong.stderr).toContain('wrong passphrase')
  writeFileSync(join(folder, 'cut'), bytes)
  truncateSync(join(folder, 'cut'), bytes.length - 10)
  const cut = await run('backup', 'restore', join(folder, 'cut'), '--home', other, '--passphrase-stdin')
  expect(cut).toMatchObject({ code: 1 })
  expect(cut.stderr).toContain('cut off')
  expect(readdirSync(folder).toSorted()).toEqual(['backup', 'cut', 'home', 'mail.mbox'])

  expect(await run('backup', 'restore', file, '--home', other, '--passphrase-stdin')).toMatchObject({ code: 0 })
  const maildir = join(folder, 'maildir')
  expect(await gateway(['export', '--maildir', maildir, '--home', other])).toMatchObject({ code: 0 })
  expect(readFileSync(join(maildir, 'cur', readdirSync(join(maildir, 'cur'))[0]!), 'utf8')).toContain('Subject: kept')
  const accounts = await Promise.all([home, other].map(async (at) => await gateway(['account', 'list', '--home', at])))
  expect(accounts[1]).toEqual(accounts[0])
}, 180_000)

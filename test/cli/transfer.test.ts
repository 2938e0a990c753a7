/** Mail in and out: files of other programs, through the command line, on a stopped home and on a running gateway. */
import { lstatSync, mkdirSync, readdirSync, readFileSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { maildirMessages } from '../../src/cli/mail-files/maildir-source.ts'
import { MaildirTarget } from '../../src/cli/mail-files/maildir-target.ts'
import { MboxTarget, thunderbirdPath } from '../../src/cli/mail-files/mbox-target.ts'
import { newCounts } from '../../src/cli/mail-files/source.ts'
import { size, standingLine } from '../../src/cli/progress.ts'
import { decodeMail, encodeMail, GivenUp } from '../../src/core/transfer/mail-stream.ts'
import { exportedMail } from '../../src/operations/mail-export.ts'
import { MailImport } from '../../src/operations/mail-import.ts'
import { openWorld, type TestGateway } from '../support/world.ts'
import { gateway, onLoopback, startGateway, tempHome } from './process-support.ts'

type Files = Readonly<Record<string, { readonly content: string; readonly dateMs: number; readonly flags: string }>>

/** By folder and content, with flags as keywords say them: names of files are each program's own. */
function filesIn(root: string): readonly unknown[] {
  const found: unknown[] = []
  for (const entry of readdirSync(root, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name)
    const folder = dirname(entry.parentPath)
    if (!entry.isFile() || !/\/(?:cur|new)$/.test(entry.parentPath)) continue
    const keywords = readKeywords(folder)
    const letters = /:2,(.*)$/.exec(entry.name)?.[1] ?? ''
    found.push({
      folder: folder.slice(root.length),
      content: readFileSync(path, 'latin1'),
      dateMs: lstatSync(path).mtimeMs,
      flags: Array.from(letters, (letter) => keywords.get(letter) ?? letter).sort(),
    })
  }
  return found.map((file) => JSON.stringify(file)).sort()
}

function readKeywords(folder: string): ReadonlyMap<string, string> {
  try {
    const lines = readFileSync(join(folder, 'dovecot-keywords'), 'utf8').trim().split('\n')
    return new Map(lines.map((line) => [String.fromCharCode(97 + Number(line.split(' ')[0])), line.split(' ')[1]!]))
  } catch {
    return new Map()
  }
}

function writeMaildir(root: string, files: Files): void {
  for (const [name, { content, dateMs, flags }] of Object.entries(files)) {
    for (const part of ['cur', 'new', 'tmp']) mkdirSync(join(root, dirname(name), '..', part), { recursive: true })
    const path = join(root, `${name}:2,${flags}`)
    writeFileSync(path, content, 'latin1')
    utimesSync(path, dateMs / 1000, dateMs / 1000)
    writeFileSync(join(root, dirname(name), '..', 'dovecot-keywords'), '0 $Label1\n3 NonJunk\n')
  }
}

async function importFrom({ knowledge, account }: TestGateway, root: string, under?: string) {
  const counts = newCounts()
  const run = new MailImport(knowledge, account)
  for await (const event of decodeMail(encodeMail(maildirMessages(root, under, counts)))) await run.take(event)
  return { ...(await run.finish()), problems: counts.reports }
}

async function exportTo({ knowledge, account }: TestGateway, root: string, under: string): Promise<void> {
  const target = new MaildirTarget(root, (name) => (name === under ? undefined : name.slice(under.length + 1)))
  for await (const event of decodeMail(encodeMail(exportedMail(knowledge, account, under, { messages: 0 })))) {
    if (event.kind === 'mailbox') await target.mailbox(event.mailbox)
    else if (event.kind === 'message') await target.message(event.head, event.body)
  }
  await target.finish()
}

const folder = fc.constantFrom('', '.Sent', '.Work.Projekt &APw-ber', '.a&AC4-b')
const content = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.string({ minLength: 1, maxLength: 200 }).map((text) => Buffer.from(text).toString('latin1')),
  },
  {
    weight: 1,
    arbitrary: fc.constantFrom('x'.repeat(16_384), 'y'.repeat(16_385), 'z'.repeat(300_000), 'a\nb\r\nc\r\0\n'),
  },
)
const files = fc
  .array(
    fc.record({
      folder,
      content,
      dateMs: fc.integer({ min: 1, max: 4_000_000 }).map((seconds) => seconds * 1000),
      flags: fc.subarray(['D', 'F', 'P', 'R', 'S', 'T', 'a', 'd']).map((letters) => letters.join('')),
    }),
    { maxLength: 12 },
  )
  .map((list) =>
    Object.fromEntries(list.map(({ folder: at, ...file }, index) => [join(at, 'cur', `${index}.M1.host`), file])),
  )

test('Maildir → gateway → Maildir gives the same octets, dates and flags, and a second import adds nothing', async () => {
  await using world = await openWorld()
  const home = await world.gateway('alice')
  using temp = tempHome()
  let run = 0
  await fc.assert(
    fc.asyncProperty(files, async (made) => {
      run += 1
      const [from, to, under] = [join(temp.home, `${run}a`), join(temp.home, `${run}b`), `Run${run}`]
      for (const part of ['cur', 'new', 'tmp']) mkdirSync(join(from, part), { recursive: true })
      writeMaildir(from, made)
      const count = Object.keys(made).length
      expect(await importFrom(home, from, under)).toMatchObject({ added: count, known: 0, refused: 0, problems: [] })
      expect(await importFrom(home, from, under)).toMatchObject({ added: 0, known: count })
      await exportTo(home, to, under)
      expect(filesIn(to)).toEqual(filesIn(from))
      const before = filesIn(to)
      await exportTo(home, to, under)
      expect(filesIn(to)).toEqual(before)
    }),
    { numRuns: 15 },
  )
}, 120_000)

test('links, folders among the files and empty files are left out and named; an interrupted import goes on', async () => {
  await using world = await openWorld()
  const home = await world.gateway('alice')
  using temp = tempHome()
  const root = temp.home
  writeMaildir(root, {
    'cur/1': { content: 'Subject: one\r\n\r\n', dateMs: 1000, flags: 'S' },
    'cur/2': { content: 'Subject: two\r\n\r\n', dateMs: 1000, flags: '' },
    'cur/3': { content: '', dateMs: 1000, flags: '' },
  })
  symlinkSync('/etc/hostname', join(root, 'cur', '4:2,'))
  symlinkSync('/etc', join(root, '.Etc'))
  mkdirSync(join(root, 'cur', '5:2,'))
  const stopped = new MailImport(home.knowledge, home.account)
  for await (const event of maildirMessages(root, undefined, newCounts())) {
    await stopped.take(event)
    if (event.kind === 'message') break
  }
  await stopped.finish()
  expect(await importFrom(home, root)).toMatchObject({
    added: 1,
    known: 1,
    refusals: [{ name: join(root, 'cur', '3:2,'), reason: 'is empty' }],
    problems: [
      { name: join(root, 'cur', '4:2,'), reason: 'is a symbolic link, which is not followed' },
      { name: join(root, 'cur', '5:2,'), reason: 'is not a regular file' },
    ],
  })
  expect(home.knowledge.mailboxes.byName(home.account, 'Etc')).toBeUndefined()
})

test('import and export over the command line: stopped, running, Maildir, mbox and Thunderbird’s folders', async () => {
  using temp = tempHome()
  const { home } = temp
  const run = async (...args: string[]): Promise<Record<string, unknown>> => {
    const { code, stdout, stderr } = await gateway([...args, '--home', home, '--json'])
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    return JSON.parse(stdout) as Record<string, unknown>
  }
  await run('init', '--address', 'alice@alice.example')
  const profile = join(dirname(home), 'Mail', 'Local Folders')
  mkdirSync(join(profile, 'Inbox.sbd'), { recursive: true })
  const from = 'From - Fri Nov 20 10:11:12 2026\nX-Mozilla-Status: 0001\nX-Mozilla-Status2: 00000000\n'
  writeFileSync(
    join(profile, 'Inbox'),
    `${from}Subject: one\n\nx\n\n${from}Subject: two\n\n${'long\n'.repeat(20_000)}\n`,
  )
  writeFileSync(join(profile, 'Inbox.msf'), '// an index')
  writeFileSync(join(profile, 'Inbox.sbd', 'Bills'), `${from}Subject: three\n\nx\n`)
  const imported = ['import', '--mbox', join(dirname(home), 'Mail')]
  expect(await run(...imported)).toEqual({ added: 3, known: 0, skipped: 0, problems: [] })

  await using _ = await startGateway(['--home', home, '--ports', 'auto', ...onLoopback])
  expect(await run(...imported)).toEqual({ added: 0, known: 3, skipped: 0, problems: [] })
  const [maildir, mbox, one] = ['maildir', 'mbox', 'one.mbox'].map((name) => join(dirname(home), name))
  expect(await run('export', '--maildir', maildir!)).toMatchObject({ messages: 3, skipped: 0 })
  expect(await run('export', '--mbox', mbox!)).toMatchObject({ messages: 3, skipped: 0 })
  writeFileSync(`${one!}.part`, 'not ours')
  expect(await run('export', '--mbox', one!, '--mailbox', 'INBOX/Bills')).toMatchObject({ messages: 1 })
  expect(readFileSync(`${one!}.part`, 'utf8')).toBe('not ours')
  expect(readdirSync(join(maildir!, '.INBOX.Bills', 'cur'))).toHaveLength(1)
  expect(await run('import', '--maildir', maildir!)).toMatchObject({ added: 0, known: 3 })
  expect(await run('import', '--mbox', mbox!)).toMatchObject({ added: 0, known: 3 })
  expect(await run('import', '--mbox', one!, '--mailbox', 'Copy')).toMatchObject({ added: 1, known: 0 })

  const again = await gateway(['export', '--mbox', one!, '--mailbox', 'INBOX/Bills', '--home', home])
  expect(again).toMatchObject({ code: 2, stdout: '' })
  expect(again.stderr).toContain('--force')
  expect(await gateway(['export', '--home', home])).toMatchObject({ code: 2 })
  expect(await gateway(['import', '--mbox', '/nowhere', '--home', home])).toMatchObject({ code: 2 })
}, 120_000)

test('a mailbox with a name too long for a file is named, and no other is left out for it', async () => {
  using temp = tempHome()
  const name = ['ä'.repeat(100), 'ö'.repeat(100)].join('/')
  const maildir = new MaildirTarget(join(temp.home, 'maildir'), (mailbox) => mailbox)
  await expect(maildir.mailbox(name)).rejects.toThrow(GivenUp)
  await maildir.mailbox('Short')
  await maildir.finish()
  const mbox = new MboxTarget((mailbox) => thunderbirdPath(temp.home, mailbox), { force: false })
  await expect(mbox.mailbox(`Short/${'x'.repeat(300)}`)).rejects.toThrow(GivenUp)
  await mbox.mailbox('Short')
  await mbox.finish()
  expect(readdirSync(temp.home).toSorted()).toEqual(['Short', 'Short.sbd', 'maildir'])
})

test('a progress line says how far, how fast and how long', () => {
  expect(standingLine({ bytes: 5_000_000, bytesTotal: 20_000_000, messages: 12 }, 10)).toBe(
    `[${'#'.repeat(6)}${'.'.repeat(18)}]   25%  5.0 MB of 20.0 MB  12 messages  500.0 kB/s  0:30 left`.replace(
      ']   25%',
      ']   25%',
    ),
  )
  expect(standingLine({ bytes: 0, bytesTotal: 0 }, 0)).toContain('100%')
  expect([size(999), size(1000), size(2_500_000_000)]).toEqual(['999 B', '1.0 kB', '2.5 GB'])
})

/**
 * mbsync with ten thousand messages, changed in the Maildir and on the account at once, and on the account while mbsync
 * runs. After every change has had its run, both sides hold what a model says: nothing lost, nothing doubled.
 */
import { expect, test } from 'vitest'
import fc from 'fast-check'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { flagOf, folders, Model, rawMail, sortedLetters, type Changes, type Folder } from './support/both-sides.ts'
import { Gateway } from './support/gateway-process.ts'
import { Imap } from './support/imap.ts'
import type { LocalMessage, Maildir } from './support/maildir.ts'
import { Mbsync } from './support/mbsync.ts'
import { requirePeer } from './support/peers.ts'
import { tempFolder } from './support/temp-folder.ts'

/** A run over ten thousand messages writes as many files. */
const syncMsMax = 240_000

async function importMails(gateway: Gateway, mails: readonly (readonly [subject: string, folder: Folder])[]) {
  await using maildir = await tempFolder('import')
  const pathOf = (folder: Folder) => (folder === 'INBOX' ? maildir.path : join(maildir.path, `.${folder}`))
  for (const folder of folders) {
    for (const part of ['new', 'cur', 'tmp']) await mkdir(join(pathOf(folder), part), { recursive: true })
  }
  for (const [subject, folder] of mails) await writeFile(join(pathOf(folder), 'cur', `${subject}:2,`), rawMail(subject))
  await gateway.verb('import', '--maildir', maildir.path)
}

interface Local {
  readonly folder: Folder
  readonly message: LocalMessage
}

async function localMails(mail: Maildir): Promise<ReadonlyMap<string, Local>> {
  const found = new Map<string, Local>()
  for (const folder of folders) {
    for (const message of await mail.messages(folder)) found.set(message.subject, { folder, message })
  }
  return found
}

interface Remote {
  readonly folder: Folder
  readonly uid: number
}

async function remoteMails(imap: Imap): Promise<ReadonlyMap<string, Remote>> {
  const found = new Map<string, Remote>()
  for (const folder of folders) {
    for (const { subject, uid } of await imap.list(folder)) found.set(subject, { folder, uid })
  }
  return found
}

async function changeLocally(mail: Maildir, known: ReadonlyMap<string, Local>, changes: Changes): Promise<void> {
  for (const [subject, letter] of changes.flag) {
    const { message } = known.get(subject)!
    await mail.setFlags(message, sortedLetters(message.flags + letter))
  }
  for (const [subject, to] of changes.move) await mail.move(known.get(subject)!.message, to)
  for (const subject of changes.remove) await mail.remove(known.get(subject)!.message)
  for (const [subject, folder] of changes.add) await mail.add(folder, subject, rawMail(subject).replaceAll('\r', ''))
}

async function changeRemotely(imap: Imap, known: ReadonlyMap<string, Remote>, changes: Changes): Promise<void> {
  const uidsIn = (folder: Folder, subjects: readonly string[]): string =>
    subjects.flatMap((subject) => (known.get(subject)?.folder === folder ? [known.get(subject)!.uid] : [])).join(',')
  for (const folder of folders) {
    await imap.inFolder(folder, async (client) => {
      for (const letter of ['S', 'F', 'R'] as const) {
        const uids = uidsIn(
          folder,
          changes.flag.filter(([, one]) => one === letter).map(([subject]) => subject),
        )
        if (uids !== '') await client.messageFlagsAdd(uids, [flagOf[letter]], { uid: true })
      }
      for (const target of folders) {
        const uids = uidsIn(
          folder,
          changes.move.filter(([, to]) => to === target).map(([subject]) => subject),
        )
        if (uids !== '') await client.messageMove(uids, target, { uid: true })
      }
      const uids = uidsIn(folder, changes.remove)
      if (uids !== '') await client.messageDelete(uids, { uid: true })
    })
  }
  for (const [subject, folder] of changes.add) await imap.client.append(folder, rawMail(subject), [flagOf.S])
}

/** Every copy counts: a doubled message is a doubled line. */
async function localLines(mail: Maildir): Promise<readonly string[]> {
  const lists = folders.map(async (folder) =>
    (await mail.messages(folder)).map(({ subject, flags }) => `${folder} ${subject} ${flags}`),
  )
  return (await Promise.all(lists)).flat().sort()
}

async function remoteLines(imap: Imap): Promise<readonly string[]> {
  const lines: string[] = []
  for (const folder of folders) {
    for (const { subject, flags } of await imap.list(folder)) {
      const letters = (['F', 'R', 'S'] as const).filter((letter) => flags.has(flagOf[letter]))
      lines.push(`${folder} ${subject} ${letters.join('')}`)
    }
  }
  return lines.sort()
}

test('ten thousand messages, changed on both sides at once, end up the same on both', async (context) => {
  requirePeer(context, 'mbsync')
  const model = new Model(fc.readConfigureGlobal().seed ?? 1)
  await using parts = new AsyncDisposableStack()
  const alice = parts.use(await Gateway.create('alice'))
  await alice.start()
  const settings = await alice.settings('plain')
  const imap = parts.use(await Imap.open(settings))
  const synced = parts.use(await Mbsync.open(settings))
  const { mail } = synced

  const folderFor = (number: number): Folder => folders[number % 2]!
  const there = Array.from(
    { length: 8000 },
    (_, number) => [model.add(folderFor(number), ''), folderFor(number)] as const,
  )
  await importMails(alice, there)
  for (const folder of folders) await mail.create(folder)
  for (let number = 0; number < 2000; number += 1) {
    const subject = model.add(folderFor(number), 'S')
    await mail.add(folderFor(number), subject, rawMail(subject).replaceAll('\r', ''))
  }
  await synced.sync(syncMsMax)
  expect(await localLines(mail)).toEqual(model.lines())

  for (let round = 0; round < 3; round += 1) {
    const [here, atOnce, meanwhile] = [model.choose(round, 60), model.choose(round, 60), model.choose(round, 60)]
    const both = model.chooseForBoth(round, 60)
    const [local, remote] = [await localMails(mail), await remoteMails(imap)]
    const none = { move: [], remove: [], add: [] }
    await changeLocally(mail, local, here)
    await changeLocally(mail, local, { ...none, flag: both.map((subject) => [subject, 'F']) })
    await changeRemotely(imap, remote, atOnce)
    await changeRemotely(imap, remote, { ...none, flag: both.map((subject) => [subject, 'R']) })
    await Promise.all([synced.sync(syncMsMax), changeRemotely(imap, remote, meanwhile)])
  }
  await synced.sync(syncMsMax)
  expect(await localLines(mail)).toEqual(model.lines())
  expect(await remoteLines(imap)).toEqual(model.lines())
}, 600_000)

/**
 * Two people with Thunderbird, each with a gateway of their own and no server between them. Alice's Thunderbird uses
 * STARTTLS and her local name, Bob's implicit TLS and his address; both trust their gateway's own certificate authority.
 * Nothing here presses "Get Messages": what appears, IDLE has brought.
 */
import { afterAll, beforeAll, expect, test, type TestContext } from 'vitest'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { simpleParser } from 'mailparser'
import { Imap } from './support/imap.ts'
import type { MailSettings } from './support/mail-settings.ts'
import { Mutt } from './support/mutt.ts'
import { requirePeer } from './support/peers.ts'
import { submit } from './support/submit.ts'
import { tempFolder } from './support/temp-folder.ts'
import { Thunderbird } from './support/thunderbird.ts'
import { twoGateways, type TwoGateways } from './support/two-gateways.ts'
import { openDisplay, type Display } from './support/xvfb.ts'

const parts = new AsyncDisposableStack()
let world: TwoGateways
let display: Display | undefined
const open = new Map<'alice' | 'bob', Thunderbird>()

beforeAll(async () => {
  world = parts.use(await twoGateways())
}, 120_000)
afterAll(async () => {
  await parts.disposeAsync()
})

/** One Thunderbird for each of the two, started by the first test that needs it; it shows the inbox. */
async function thunderbirdOf(context: TestContext, who: 'alice' | 'bob'): Promise<Thunderbird> {
  requirePeer(context, 'thunderbird', 'Xvfb')
  display ??= parts.use(await openDisplay())
  const running = open.get(who)
  if (running !== undefined) {
    await running.openFolder('Inbox')
    return running
  }
  const started = parts.use(await Thunderbird.open(display, await settingsOf(who)))
  open.set(who, started)
  return started
}

async function settingsOf(who: 'alice' | 'bob'): Promise<MailSettings> {
  const password = await world[who].addPassword('Thunderbird')
  if (who === 'alice') return await world.alice.settings('starttls', password)
  return { ...(await world.bob.settings('tls', password)), user: world.bob.address }
}

test('Alice writes in her compose window, Bob answers in his, and each sees the other’s mail arrive', async (context) => {
  const [alices, bobs] = [await thunderbirdOf(context, 'alice'), await thunderbirdOf(context, 'bob')]
  const text = 'Dear Bob,\n.\n.a line with a dot, über alles ünd ändere\nYours, Alice'
  await alices.send(world.bob.address, 'Grüße from Alice', text)

  const question = await bobs.sees('Grüße from Alice')
  expect(question.author).toContain(world.alice.address)
  expect(question.read).toBe(false)
  expect(question.shown).toContain('Grüße from Alice')
  expect(await bobs.read('Grüße from Alice')).toContain(text)

  await bobs.reply('Grüße from Alice', 'Dear Alice, thank you!\n')
  const answer = await alices.sees('Re: Grüße from Alice')
  expect(answer.author).toContain(world.bob.address)
  expect(answer.shown).toContain('Unread')
  const shown = await alices.read('Re: Grüße from Alice')
  expect(shown).toContain('Dear Alice, thank you!')
  expect(shown).toContain('a line with a dot, über alles')
  await bobs.seesRows('the question marked as answered', (rows) => rows.some((row) => row.answered))
}, 120_000)

test('Sent holds one copy of what was sent, though gateway and Thunderbird both keep one', async (context) => {
  const alices = await thunderbirdOf(context, 'alice')
  await alices.send(world.bob.address, 'kept once', 'one copy, please')
  await alices.openFolder('SentMail')
  const row = await alices.sees('kept once')
  await using imap = await Imap.open(await world.alice.settings('plain'))
  const copies = (await imap.list('Sent')).filter((mail) => mail.subject === 'kept once')
  expect(copies.map((mail) => mail.messageId)).toEqual([`<${row.messageId}>`])
  expect((await alices.rows()).filter((one) => one.subject === 'kept once')).toHaveLength(1)
}, 60_000)

test('flags go both ways: what Thunderbird marks, others see, and what others mark, Thunderbird shows', async (context) => {
  const alices = await thunderbirdOf(context, 'alice')
  await submit(await world.bob.settings('plain'), { to: world.alice.address, subject: 'flag me', text: 'hello' })
  await alices.sees('flag me')
  await using imap = await Imap.open(await world.alice.settings('plain'))
  const { uid } = await imap.sees('INBOX', 'flag me')

  await alices.read('flag me')
  await alices.command('flag me', 'cmd_markAsFlagged')
  await imap.until('INBOX', 'read mark and star from Thunderbird', (mails) =>
    mails.find((mail) => mail.uid === uid && mail.flags.has(String.raw`\Seen`) && mail.flags.has(String.raw`\Flagged`)),
  )

  await imap.inFolder('INBOX', (client) =>
    client.messageFlagsRemove(String(uid), [String.raw`\Flagged`], { uid: true }),
  )
  await alices.seesRows('the star gone', (rows) => rows.some((row) => row.subject === 'flag me' && !row.flagged))
}, 60_000)

test('moving to Archive and deleting to Trash in Thunderbird happen on the gateway', async (context) => {
  const alices = await thunderbirdOf(context, 'alice')
  for (const subject of ['please archive', 'please delete']) {
    await submit(await world.bob.settings('plain'), { to: world.alice.address, subject, text: 'hello' })
    await alices.sees(subject)
  }
  await alices.move('please archive', 'Archive')
  await alices.command('please delete', 'cmd_delete')
  await using imap = await Imap.open(await world.alice.settings('plain'))
  await imap.sees('Archive', 'please archive')
  await imap.sees('Trash', 'please delete')
  const isGone = (subjects: readonly string[]): boolean => !subjects.some((subject) => subject.startsWith('please '))
  await imap.until('INBOX', 'removal of both', (mails) => isGone(mails.map((mail) => mail.subject)) || undefined)
  await alices.seesRows('both gone', (rows) => isGone(rows.map((row) => row.subject)))
}, 60_000)

test('a message that another program deletes disappears from the list by itself', async (context) => {
  const alices = await thunderbirdOf(context, 'alice')
  await submit(await world.bob.settings('plain'), { to: world.alice.address, subject: 'soon gone', text: 'hello' })
  await alices.sees('soon gone')
  await using imap = await Imap.open(await world.alice.settings('plain'))
  const { uid } = await imap.sees('INBOX', 'soon gone')
  await imap.inFolder('INBOX', (client) => client.messageDelete(String(uid), { uid: true }))
  await alices.seesRows('it gone', (rows) => !rows.some((row) => row.subject === 'soon gone'))
}, 60_000)

test('Thunderbird and neomutt on one account agree: each reads, flags, moves, deletes and searches', async (context) => {
  requirePeer(context, 'neomutt')
  const alices = await thunderbirdOf(context, 'alice')
  const settings = await world.alice.settings('starttls', await world.alice.addPassword('neomutt'))
  await using mutt = await Mutt.open('neomutt', settings)
  const subjects = ['agree on reading', 'agree on moving here', 'agree on moving there', 'agree on deleting']
  for (const subject of subjects) {
    const text = `a secret ${subject.split(' ').at(-1)} word`
    await submit(await world.bob.settings('plain'), { to: world.alice.address, subject, text })
    await alices.sees(subject)
  }
  expect(await alices.searchOnServer('secret reading word')).toEqual(['agree on reading'])
  expect((await alices.searchOnServer('SECRET')).toSorted()).toEqual(subjects.toSorted())
  const found = await mutt.searchOnServer('INBOX', 'secret deleting')
  expect(found.match(/^Subject: .*$/gm)).toEqual(['Subject: agree on deleting'])

  await mutt.flag('INBOX', 'agree on reading')
  await alices.seesRows('star from neomutt', (rows) =>
    rows.some((row) => row.subject === 'agree on reading' && row.flagged),
  )
  expect(await mutt.read('INBOX', 'agree on reading')).toContain('a secret reading word')
  await alices.seesRows('read mark from neomutt', (rows) =>
    rows.some((row) => row.subject === 'agree on reading' && row.read),
  )
  await mutt.move('INBOX', 'agree on moving here', 'Archive')
  await mutt.delete('INBOX', 'agree on deleting')
  await alices.seesRows(
    'what neomutt moved and deleted gone',
    (rows) => rows.filter((row) => row.subject.startsWith('agree on ')).length === 2,
  )
  await alices.move('agree on moving there', 'Archive')
  await alices.openFolder('Archive')
  await alices.sees('agree on moving here')
  await using imap = await Imap.open(await world.alice.settings('plain'))
  await imap.sees('Archive', 'agree on moving there')
  expect(await mutt.read('Archive', 'agree on moving there')).toContain('a secret there word')
  await alices.command('agree on moving here', 'cmd_delete')
  await imap.sees('Trash', 'agree on moving here')
  expect(await mutt.read('Trash', 'agree on moving here')).toContain('a secret here word')
}, 120_000)

test('a draft with an attachment that was saved twice is sent once and leaves Drafts empty', async (context) => {
  const alices = await thunderbirdOf(context, 'alice')
  const bobs = await thunderbirdOf(context, 'bob')
  await using folder = await tempFolder('attachment')
  const path = join(folder.path, 'Übersicht.bin')
  const content = Buffer.alloc(400_000, 'every byte counts')
  await writeFile(path, content)

  const window = await alices.newMessage()
  await window.typeTo(world.bob.address)
  await window.typeSubject('with a file')
  await window.attach(path)
  await window.typeText('First version. ')
  await window.saveDraft()
  await using imap = await Imap.open(await world.alice.settings('plain'))
  const first = await imap.sees('Drafts', 'with a file')
  expect(first.flags).toContain(String.raw`\Draft`)
  await window.typeText('Second version.')
  await window.saveDraft()
  await imap.until('Drafts', 'second version alone', (mails) =>
    mails.length === 1 && mails[0]!.uid > first.uid ? true : undefined,
  )
  await window.send()
  await imap.until('Drafts', 'end of the draft', (mails) => mails.length === 0 || undefined)

  await bobs.sees('with a file')
  expect(await bobs.read('with a file')).toContain('First version. Second version.')
  expect(await bobs.attachments()).toEqual(['Übersicht.bin'])
  await using bobsMail = await Imap.open(await world.bob.settings('plain'))
  const { uid } = await bobsMail.sees('INBOX', 'with a file')
  const parsed = await simpleParser(await bobsMail.source('INBOX', uid))
  expect(parsed.attachments[0]?.content.equals(content)).toBe(true)
}, 90_000)

test('a folder of five hundred mails is listed whole', async (context) => {
  const alices = await thunderbirdOf(context, 'alice')
  await using imap = await Imap.open(await world.alice.settings('plain'))
  for (let number = 1; number <= 500; number += 1) {
    const raw = `From: Friend ${number} <friend@far.example>\r\nSubject: letter ${number}\r\n\r\nletter ${number}\r\n`
    await imap.client.append('Junk', raw, number % 2 === 0 ? [String.raw`\Seen`] : [])
  }
  await alices.openFolder('Junk')
  const rows = await alices.seesRows('all of them', (all) => all.length === 500, 30_000)
  expect(new Set(rows.map((row) => row.subject)).size).toBe(500)
  expect(rows.filter((row) => row.read)).toHaveLength(250)
  expect(await alices.read('letter 77')).toContain('letter 77')
}, 90_000)

test('mail written while the other gateway is off is there, once, when it is back', async (context) => {
  const alices = await thunderbirdOf(context, 'alice')
  const bobs = await thunderbirdOf(context, 'bob')
  await world.bob.kill()
  await alices.send(world.bob.address, 'while you were away', 'it waits')
  await world.bob.start()
  await using imap = await Imap.open(await world.bob.settings('plain'))
  await imap.sees('INBOX', 'while you were away', 30_000)
  await bobs.openFolder('SentMail')
  await bobs.openFolder('Inbox')
  await bobs.sees('while you were away', 30_000)
  const twice = (rows: readonly { readonly subject: string }[]): number =>
    rows.filter((row) => row.subject === 'while you were away').length
  expect(twice(await bobs.rows())).toBe(1)
  expect(twice(await imap.list('INBOX'))).toBe(1)
}, 120_000)

test('Thunderbird’s own reader takes the settings file that the gateway serves', async (context) => {
  const alices = await thunderbirdOf(context, 'alice')
  const { http, imap, imaps, smtp, smtps } = world.alice.listeners
  for (const path of ['/mail/config-v1.1.xml', '/.well-known/autoconfig/mail/config-v1.1.xml']) {
    const answer = await fetch(
      `http://${http.host}:${http.port}${path}?emailaddress=${encodeURIComponent(world.alice.address)}`,
    )
    expect(answer.status).toBe(200)
    const servers = await alices.readAutoconfig(await answer.text())
    expect([imap.port, imaps.port]).toContain(servers.imap)
    expect([smtp.port, smtps.port]).toContain(servers.smtp)
  }
})

test('without TLS on loopback Thunderbird works too; mail to oneself is in Inbox and Sent', async (context) => {
  requirePeer(context, 'thunderbird', 'Xvfb')
  display ??= parts.use(await openDisplay())
  await using thunderbird = await Thunderbird.open(display, await world.alice.settings('plain'))
  await thunderbird.send(world.alice.address, 'note to self', 'remember the milk')
  await thunderbird.sees('note to self')
  expect(await thunderbird.read('note to self')).toContain('remember the milk')
  await using imap = await Imap.open(await world.alice.settings('plain'))
  for (const folder of ['INBOX', 'Sent']) {
    const copies = (await imap.list(folder)).filter((mail) => mail.subject === 'note to self')
    expect(copies, folder).toHaveLength(1)
  }
}, 60_000)

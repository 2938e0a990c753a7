/** Mail programs without windows, each against a real gateway whose user has a contact on another real gateway. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import { simpleParser } from 'mailparser'
import { Imap } from './support/imap.ts'
import { Mutt } from './support/mutt.ts'
import { requirePeer } from './support/peers.ts'
import { submit } from './support/submit.ts'
import { swaks } from './support/swaks.ts'
import { twoGateways, type TwoGateways } from './support/two-gateways.ts'

const parts = new AsyncDisposableStack()
let world: TwoGateways
beforeAll(async () => {
  world = parts.use(await twoGateways())
}, 120_000)
afterAll(async () => {
  await parts.disposeAsync()
})

const securities = ['plain', 'starttls', 'tls'] as const
const isRead = (flags: ReadonlySet<string>): boolean => flags.has(String.raw`\Seen`)
const isFlagged = (flags: ReadonlySet<string>): boolean => flags.has(String.raw`\Flagged`)

for (const security of securities) {
  test(`swaks sends over ${security}, and the bytes arrive as they were sent`, async (context) => {
    requirePeer(context, 'swaks')
    const { alice, bob } = world
    const subject = `swaks ${security}`
    const sent = [
      `From: ${alice.address}`,
      `To: ${bob.address}`,
      `Subject: ${subject}`,
      'Message-ID: <swaks-' + security + '@alice.example>',
      'Date: Fri, 20 Nov 2026 12:00:00 +0000',
      'X-Odd:   folded',
      '\tand  spaced ',
      '',
      '.leading dot',
      '..two of them',
      'trailing space ',
      'grüße',
      '',
      'end',
      '',
    ].join('\r\n')
    const { code, text } = await swaks(await alice.settings(security), { to: bob.address, data: sent })
    expect(code, text).toBe(0)

    await using inbox = await Imap.open(await bob.settings(security))
    const { uid } = await inbox.sees('INBOX', subject)
    const received = await inbox.source('INBOX', uid)
    expect(received.toString('utf8').endsWith(sent), received.toString('utf8')).toBe(true)
  })
}

test('swaks logs in with AUTH LOGIN too', async (context) => {
  requirePeer(context, 'swaks')
  const { alice, bob } = world
  const { code, text } = await swaks(await alice.settings('starttls'), { to: bob.address, mechanism: 'LOGIN' })
  expect(code, text).toBe(0)
})

test('swaks is told what is wrong: unknown recipient, false sender, wrong password', async (context) => {
  requirePeer(context, 'swaks')
  const { alice, bob } = world
  const settings = await alice.settings('plain')

  const unknown = await swaks(settings, { to: 'nobody@nowhere.example' })
  expect(unknown.text).toMatch(/^<\*\* +550[ -]5\.1\.1/m)
  expect(unknown.code).toBe(24)

  const falseSender = await swaks(settings, { to: bob.address, from: 'carol@elsewhere.example' })
  expect(falseSender.text).toMatch(/^<\*\* +553[ -]5\.7\.1/m)
  expect(falseSender.code).toBe(23)

  const wrongPassword = await swaks({ ...settings, password: 'not-the-password' }, { to: bob.address })
  expect(wrongPassword.text).toMatch(/^<\*\* +535[ -]5\.7\.8/m)
  expect(wrongPassword.code).toBe(28)
})

const terminalPrograms = [
  ['neomutt', 'plain'],
  ['neomutt', 'starttls'],
  ['mutt', 'plain'],
  ['mutt', 'tls'],
] as const

for (const [program, security] of terminalPrograms) {
  test(`${program} over ${security} sends, reads the answer, finds, flags, moves and deletes it`, async (context) => {
    requirePeer(context, program)
    const { alice, bob } = world
    const subject = `${program} over ${security}`
    await using mutt = await Mutt.open(program, await alice.settings(security))
    await using alicesMail = await Imap.open(await alice.settings('plain'))
    await using bobsMail = await Imap.open(await bob.settings('plain'))

    await mutt.send(bob.address, subject, 'First line\n.\nLast line\n')
    const arrived = await bobsMail.sees('INBOX', subject)
    const parsed = await simpleParser(await bobsMail.source('INBOX', arrived.uid))
    expect(parsed.text?.trim()).toBe('First line\n.\nLast line')

    // The gateway keeps a copy in Sent and so does the program: the user must see one.
    const copies = (await alicesMail.list('Sent')).filter((mail) => mail.subject === subject)
    expect(copies.map((mail) => mail.messageId)).toEqual([arrived.messageId])

    const answer = `Answer to ${subject}`
    await submit(await bob.settings('plain'), { to: alice.address, subject: answer, text: `Thank you for ${subject}.` })
    const { uid } = await alicesMail.sees('INBOX', answer)
    expect(await mutt.read('INBOX', answer)).toContain(`Thank you for ${subject}.`)
    await alicesMail.until('INBOX', 'read mark', (mails) =>
      mails.find((mail) => mail.uid === uid && isRead(mail.flags)),
    )
    const found = await mutt.searchOnServer('INBOX', `thank you for ${subject}`)
    expect(found.match(/^Subject: .*$/gm)).toEqual([`Subject: ${answer}`])

    await mutt.flag('INBOX', answer)
    const flagged = (await alicesMail.list('INBOX')).find((mail) => mail.subject === answer)
    expect(isFlagged(flagged!.flags)).toBe(true)

    await mutt.move('INBOX', answer, 'Archive')
    expect((await alicesMail.list('INBOX')).some((mail) => mail.subject === answer)).toBe(false)
    expect((await alicesMail.list('Archive')).filter((mail) => mail.subject === answer)).toHaveLength(1)

    await mutt.delete('Archive', answer)
    expect((await alicesMail.list('Archive')).some((mail) => mail.subject === answer)).toBe(false)
  }, 60_000)
}

test('a mail with formatted text, an inline image and an attachment arrives part by part as it was sent', async () => {
  const { alice, bob } = world
  const subject = 'Größe 📎 and a very long subject that has to be folded because it is longer than one line may be'
  const picture = Buffer.from(
    'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==',
    'base64',
  )
  const file = Buffer.alloc(3_000_000, 'every byte counts \u0000\u00ff', 'latin1')
  await submit(await alice.settings('tls'), {
    to: bob.address,
    subject,
    text: 'plain text',
    html: '<p>formatted <img src="cid:picture@alice.example"></p>',
    attachments: [
      { filename: 'pixel.png', content: picture, cid: 'picture@alice.example' },
      { filename: 'Übersicht.bin', content: file },
    ],
  })

  await using inbox = await Imap.open(await bob.settings('tls'))
  const { uid } = await inbox.sees('INBOX', subject, 30_000)
  const parsed = await simpleParser(await inbox.source('INBOX', uid), { keepCidLinks: true })
  expect(parsed.subject).toBe(subject)
  expect(parsed.text?.trim()).toBe('plain text')
  expect(parsed.html).toContain('formatted')
  expect(parsed.attachments.map((part) => part.filename)).toEqual(['pixel.png', 'Übersicht.bin'])
  expect(parsed.attachments[0]?.content.equals(picture)).toBe(true)
  expect(parsed.attachments[1]?.content.equals(file)).toBe(true)

  const structure = await inbox.inFolder('INBOX', (client) =>
    client.fetchOne(String(uid), { bodyStructure: true }, { uid: true }),
  )
  if (!structure) throw new Error('the message is gone')
  expect(structure.bodyStructure?.type).toBe('multipart/mixed')
  const attachment = structure.bodyStructure?.childNodes?.at(-1)
  const downloaded = await inbox.inFolder('INBOX', (client) =>
    client.download(String(uid), attachment?.part, { uid: true }),
  )
  const chunks: Buffer[] = []
  for await (const chunk of downloaded.content ?? []) chunks.push(chunk as Buffer)
  expect(Buffer.concat(chunks).equals(file)).toBe(true)
}, 60_000)

test('one mail to a contact, to oneself and to a hidden recipient reaches each once, and names no hidden one', async () => {
  const { alice, bob } = world
  const subject = 'to both of us'
  await submit(await alice.settings('plain'), { to: alice.address, bcc: bob.address, subject, text: 'hello' })
  await using alicesMail = await Imap.open(await alice.settings('plain'))
  await using bobsMail = await Imap.open(await bob.settings('plain'))
  for (const mail of [alicesMail, bobsMail]) {
    const { uid } = await mail.sees('INBOX', subject)
    expect((await mail.source('INBOX', uid)).toString()).not.toMatch(/^bcc:/im)
    expect((await mail.list('INBOX')).filter((one) => one.subject === subject)).toHaveLength(1)
  }
  const copies = (await alicesMail.list('Sent')).filter((mail) => mail.subject === subject)
  expect(copies).toHaveLength(1)
})

test('imapflow in IDLE is told of new mail without asking', async () => {
  const { alice, bob } = world
  await using inbox = await Imap.open(await alice.settings('plain'))
  await inbox.inFolder('INBOX', async (client) => {
    const { promise: told, resolve } = Promise.withResolvers<number>()
    client.on('exists', ({ count, prevCount }) => {
      if (count > prevCount) resolve(count)
    })
    const idle = client.idle()
    const before = client.mailbox === false || client.mailbox === undefined ? 0 : client.mailbox.exists
    await submit(await bob.settings('plain'), { to: alice.address, subject: 'pushed', text: 'now' })
    expect(await told).toBe(before + 1)
    await client.noop()
    await idle
  })
})

test('imapflow finds the folders by use, makes, renames and removes one, and files a draft in it', async () => {
  const { alice } = world
  await using imap = await Imap.open(await alice.settings('starttls'))
  const { client } = imap
  const byUse = new Map((await client.list()).map((folder) => [folder.specialUse, folder.path]))
  expect(byUse.get(String.raw`\Sent`)).toBe('Sent')
  expect(byUse.get(String.raw`\Drafts`)).toBe('Drafts')
  expect(byUse.get(String.raw`\Trash`)).toBe('Trash')
  expect(byUse.get(String.raw`\Junk`)).toBe('Junk')
  expect(byUse.get(String.raw`\Archive`)).toBe('Archive')

  await client.mailboxCreate('Plans/Größe')
  const draft = 'From: alice@alice.example\r\nSubject: plan\r\n\r\nbody text to search\r\n'
  await client.append('Plans/Größe', draft, [String.raw`\Draft`, '$Label1'], new Date('2025-06-01T10:00:00Z'))
  await client.mailboxRename('Plans/Größe', 'Plans/Weite')
  const [mail] = await imap.list('Plans/Weite')
  expect(mail?.subject).toBe('plan')
  expect(mail?.flags).toEqual(new Set([String.raw`\Draft`, '$Label1']))
  expect((await imap.source('Plans/Weite', mail!.uid)).toString()).toBe(draft)
  await imap.inFolder('Plans/Weite', async () => {
    expect(await client.search({ body: 'text to search' }, { uid: true })).toEqual([mail!.uid])
    expect(await client.search({ keyword: '$Label1', before: new Date('2025-06-02') }, { uid: true })).toEqual([
      mail!.uid,
    ])
    expect(await client.search({ subject: 'no such thing' }, { uid: true })).toEqual([])
  })
  await client.mailboxDelete('Plans/Weite')
  expect((await client.list()).map((folder) => folder.path)).not.toContain('Plans/Weite')
})

test('what one program changes, another that is connected sees: flags, moves and deletions', async () => {
  const { alice, bob } = world
  const subject = 'seen from two places'
  await submit(await bob.settings('plain'), { to: alice.address, subject, text: 'hello' })
  await using first = await Imap.open(await alice.settings('plain', await alice.addPassword('first')))
  await using second = await Imap.open(await alice.settings('plain', await alice.addPassword('second')))
  const { uid } = await first.sees('INBOX', subject)
  await second.sees('INBOX', subject)

  await first.inFolder('INBOX', (client) => client.messageFlagsAdd(String(uid), [String.raw`\Seen`], { uid: true }))
  await second.until('INBOX', 'read mark', (mails) => mails.find((mail) => mail.uid === uid && isRead(mail.flags)))

  await second.inFolder('INBOX', (client) => client.messageMove(String(uid), 'Archive', { uid: true }))
  await first.until('INBOX', 'removal', (mails) => (mails.some((mail) => mail.uid === uid) ? undefined : true))
  const archived = await first.sees('Archive', subject)
  expect(isRead(archived.flags)).toBe(true)

  await first.inFolder('Archive', (client) => client.messageDelete(String(archived.uid), { uid: true }))
  await second.until('Archive', 'deletion', (mails) =>
    mails.some((mail) => mail.subject === subject) ? undefined : true,
  )
})

test('a revoked app password ends that program only', async () => {
  const { alice } = world
  const password = await alice.addPassword('lost phone')
  const settings = await alice.settings('plain', password)
  await using before = await Imap.open(settings)
  await before.list('INBOX')
  await alice.verb('password', 'revoke', 'lost phone')
  await expect(Imap.open(settings)).rejects.toThrow()
  await using other = await Imap.open(await alice.settings('plain'))
  await other.list('INBOX')
})

test('neither gateway logs an address, a subject, a password or a text', async () => {
  const { alice, bob } = world
  const password = await alice.addPassword('named secretly')
  const subject = 'only for the two of us'
  await submit(await alice.settings('plain', password), { to: bob.address, subject, text: 'a private text' })
  await submit(await bob.settings('plain'), { to: alice.address, subject, text: 'a private text' })
  for (const gateway of [alice, bob]) {
    await using imap = await Imap.open(await gateway.settings('plain'))
    await imap.sees('INBOX', subject)
  }
  const secrets = [alice.address, bob.address, subject, 'a private text', password, 'named secretly', 'swaks plain']
  for (const { log } of [alice, bob]) {
    expect(log).toContain('smtp.accepted')
    for (const secret of secrets) expect(log).not.toContain(secret)
  }
})

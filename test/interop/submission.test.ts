/** Programs that only send mail, the reports they ask for, and the receipts that readers send back. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import { simpleParser } from 'mailparser'
import { Imap } from './support/imap.ts'
import { requirePeer } from './support/peers.ts'
import { curl, msmtp } from './support/senders.ts'
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

const mail = (fields: readonly string[], body: string): string => `${fields.join('\r\n')}\r\n\r\n${body}`

for (const security of ['plain', 'starttls', 'tls'] as const) {
  for (const [program, send] of [
    ['msmtp', msmtp],
    ['curl', curl],
  ] as const) {
    test(`${program} sends over ${security}, and the bytes arrive as they were sent`, async (context) => {
      requirePeer(context, program)
      const { alice, bob } = world
      const subject = `${program} ${security}`
      const data = mail(
        [
          `From: ${alice.address}`,
          `To: ${bob.address}`,
          `Subject: ${subject}`,
          `Message-ID: <${program}-${security}@a.example>`,
          'Date: Fri, 20 Nov 2026 12:00:00 +0000',
        ],
        '.leading dot\r\n..two\r\ngrüße\r\n',
      )
      const { code, stderr } = await send(await alice.settings(security), { to: [bob.address, alice.address], data })
      expect(code, stderr).toBe(0)
      for (const reader of [bob, alice]) {
        await using inbox = await Imap.open(await reader.settings('plain'))
        const { uid } = await inbox.sees('INBOX', subject)
        const received = (await inbox.source('INBOX', uid)).toString('utf8')
        expect(received.endsWith(data), received).toBe(true)
      }
    })
  }
}

test('msmtp asks for a report of success, and gets one for a contact and one for an address at home', async (context) => {
  requirePeer(context, 'msmtp')
  const { alice, bob } = world
  const data = mail([`From: ${alice.address}`, 'Subject: tell me', 'Message-ID: <tell@a.example>'], 'hello\r\n')
  const { code, stderr } = await msmtp(await alice.settings('plain'), {
    to: [bob.address, alice.address],
    data,
    options: ['--dsn-notify=success,failure', '--dsn-return=headers'],
  })
  expect(code, stderr).toBe(0)
  await using inbox = await Imap.open(await alice.settings('plain'))
  const reports = await inbox.until('INBOX', 'two reports', (mails) => {
    const found = mails.filter(({ subject }) => subject === 'Delivered')
    return found.length === 2 ? found : undefined
  })
  const sources = await Promise.all(reports.map(async ({ uid }) => (await inbox.source('INBOX', uid)).toString()))
  for (const address of [alice.address, bob.address])
    expect(sources.some((one) => one.includes(`Final-Recipient: rfc822; ${address}\r\nAction: delivered`))).toBe(true)
})

test('a request for a read receipt arrives untouched, and nothing but the reader answers it: with an empty sender', async (context) => {
  requirePeer(context, 'swaks')
  const { alice, bob } = world
  const subject = 'please confirm'
  await submit(await alice.settings('plain'), {
    to: bob.address,
    subject,
    text: 'read me',
    messageId: '<asked@a.example>',
    headers: { 'Disposition-Notification-To': alice.address },
  })
  await using bobsMail = await Imap.open(await bob.settings('plain'))
  const { uid } = await bobsMail.sees('INBOX', subject)
  const asked = await simpleParser(await bobsMail.source('INBOX', uid))
  expect(asked.headers.get('disposition-notification-to')).toMatchObject({ text: alice.address })

  for (const [number, by] of (['swaks', 'nodemailer'] as const).entries()) {
    const receipt = mail(
      [
        `From: ${bob.address}`,
        `To: ${alice.address}`,
        `Subject: Read: ${by}`,
        `Message-ID: <receipt-${number}@b.example>`,
        'MIME-Version: 1.0',
        'Content-Type: multipart/report; report-type=disposition-notification; boundary="b"',
      ],
      '--b\r\nContent-Type: text/plain\r\n\r\nIt was displayed.\r\n--b\r\nContent-Type: message/disposition-notification\r\n\r\n' +
        `Final-Recipient: rfc822; ${bob.address}\r\nOriginal-Message-ID: <asked@a.example>\r\n` +
        'Disposition: manual-action/MDN-sent-manually; displayed\r\n\r\n--b--\r\n',
    )
    const settings = await bob.settings('plain')
    if (by === 'swaks') {
      const { code, text } = await swaks(settings, { to: alice.address, from: '<>', data: receipt })
      expect(code, text).toBe(0)
    } else await submit(settings, { envelope: { from: '', to: alice.address }, raw: receipt })

    await using alicesMail = await Imap.open(await alice.settings('plain'))
    const arrived = await alicesMail.sees('INBOX', `Read: ${by}`)
    const source = (await alicesMail.source('INBOX', arrived.uid)).toString()
    expect(source.startsWith('Return-Path: <>\r\n')).toBe(true)
    expect(source.endsWith(receipt)).toBe(true)
  }
})

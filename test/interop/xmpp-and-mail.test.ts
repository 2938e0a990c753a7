/** One conversation in mail programs and in XMPP programs, at both sides. */
import { type Element, xml } from '@xmpp/client'
import { type ParsedMail, simpleParser } from 'mailparser'
import { setDefaultCACertificates } from 'node:tls'
import { expect, test } from 'vitest'
import { Converse, serveConverse } from './support/converse.ts'
import { Imap } from './support/imap.ts'
import { logInWithLibrary } from './support/library-client.ts'
import { requirePeer } from './support/peers.ts'
import { Profanity } from './support/profanity.ts'
import { swaks } from './support/swaks.ts'
import { twoGateways } from './support/two-gateways.ts'

const patience = { timeout: 60_000 }
const markersNs = 'urn:xmpp:chat-markers:0'

test('a chat goes on between mail and XMPP: answers, corrections and what was read are seen in both', async (context) => {
  requirePeer(context, 'swaks', 'profanity', 'tmux', 'chromium')
  await using page = await serveConverse()
  await using world = await twoGateways([`xmpp.origins=["${page.origin}"]`])
  const { alice, bob } = world
  for (const gateway of [alice, bob]) await gateway.verb('chat', 'settings', '--read-receipts', 'on')
  await using converse = await Converse.logIn(
    page.origin,
    bob.listeners.http.port,
    `${bob.name}@localhost`,
    await bob.addPassword('Converse'),
  )
  await using profanity = await Profanity.logIn(bob)
  await converse.openChat(alice.name)

  // bob begins in XMPP, alice answers by mail
  await profanity.type(`/msg ${alice.address} Tea at five?`)
  await converse.sees('Tea at five?')
  const settings = await alice.settings('starttls')
  await using imap = await Imap.open(settings)
  const question = await imap.sees('INBOX', 'Chat with bob')
  const sent = await swaks(settings, {
    to: bob.address,
    data: [
      `From: ${alice.address}`,
      `To: ${bob.address}`,
      'Subject: Re: Chat with bob',
      'Message-ID: <answer@alice.example>',
      `In-Reply-To: ${question.messageId}`,
      `References: ${question.messageId}`,
      '',
      'At six.',
      '',
    ].join('\r\n'),
  })
  expect(sent.code).toBe(0)
  await converse.sees('Tea at five?', 'At six.')
  await profanity.sees('At six.')

  // answered with Converse, which says what it answers, and with Profanity, which does not
  await converse.answer('At six then')
  await converse.sees('Tea at five?', 'At six.', 'At six then')
  await profanity.type(`/msg ${alice.address} Bring cake`)
  await imap.until('INBOX', 'both answers', (mails) => (mails.length === 3 ? mails : undefined), 30_000)
  await using bobsImap = await Imap.open(await bob.settings('starttls'))
  const there = await mailsOf(bobsImap, 'Chats/alice')
  const here = await mailsOf(imap, 'INBOX')
  const byText = (mails: readonly ParsedMail[], text: string) =>
    mails.find((mail) => mail.text?.split('\n')[0] === text)
  const answer = byText(there, 'At six.')
  expect(answer?.inReplyTo).toBe(question.messageId)
  // alice has her answer as she sent it
  expect(byText(here, 'At six then')?.inReplyTo).toBe('<answer@alice.example>')
  expect(byText(here, 'Bring cake')?.inReplyTo).toBeUndefined()
  const threads = new Set([...here, ...there].map(({ references }) => [references].flat()[0]))
  expect(threads.size).toBe(1)

  // what Profanity said is corrected with Converse
  await converse.sees('Tea at five?', 'At six.', 'At six then', 'Bring cake')
  await converse.correct('Bring two cakes')
  await profanity.sees('Bring two cakes')
  const corrected = async () => byText(await mailsOf(imap, 'INBOX'), 'Bring two cakes')?.messageId
  await expect.poll(corrected, patience).toBe(byText(here, 'Bring cake')?.messageId)
  expect(byText(await mailsOf(imap, 'INBOX'), 'Bring cake')).toBeUndefined()
  await converse.browser.keepScreenshot('mail')

  // read in IMAP, and shown as read to the program that said it
  setDefaultCACertificates([await bob.authority()])
  const library = await logInWithLibrary(bob)
  const marked: (string | undefined)[] = []
  library.on('element', (element: Element) => {
    const displayed = element.getChild('displayed', markersNs)
    if (displayed !== undefined) marked.push(displayed.attrs['id'])
  })
  const body = xml('body', {}, 'Bring tea, too')
  await library.send(
    xml('message', { to: alice.address, type: 'chat', id: 'tea-too' }, body, xml('markable', { xmlns: markersNs })),
  )
  await imap.until('INBOX', 'the last', (mails) => (mails.length === 4 ? mails : undefined), 30_000)
  expect(marked).toEqual([])
  await imap.inFolder('INBOX', (flow) => flow.messageFlagsAdd('1:*', [String.raw`\Seen`]))
  await expect.poll(() => marked.at(-1), patience).toBe('tea-too')
  await library.stop()
}, 180_000)

async function mailsOf(imap: Imap, folder: string): Promise<readonly ParsedMail[]> {
  const sources = []
  for (const { uid } of await imap.list(folder)) sources.push(await imap.source(folder, uid))
  return await Promise.all(sources.map(async (source) => await simpleParser(source)))
}

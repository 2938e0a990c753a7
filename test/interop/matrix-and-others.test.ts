/** One conversation in Thunderbird at one side, in Element and an XMPP program at the other. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type ParsedMail, simpleParser } from 'mailparser'
import { expect, test } from 'vitest'
import { ElementWeb, serveElement } from './support/element.ts'
import { matrixPerson } from './support/homeserver.ts'
import { Imap } from './support/imap.ts'
import { requireMade } from './support/made-on-demand.ts'
import { requirePeer } from './support/peers.ts'
import { Profanity } from './support/profanity.ts'
import { tempFolder } from './support/temp-folder.ts'
import { Thunderbird } from './support/thunderbird.ts'
import { twoGateways } from './support/two-gateways.ts'
import { openDisplay } from './support/xvfb.ts'

const patience = { timeout: 30_000 }

test('what Thunderbird sends is answered with Element, seen in XMPP, and back in mail as its answer', async (context) => {
  requirePeer(context, 'thunderbird', 'Xvfb', 'chromium', 'profanity', 'tmux')
  await requireMade(context, 'element')
  await using world = await twoGateways()
  const { alice, bob } = world
  await using display = await openDisplay()
  await using pages = await serveElement()
  await using folder = await tempFolder('cross')
  await using mail = await Imap.open(await alice.settings('plain'))
  await using thunderbird = await Thunderbird.open(
    display,
    await alice.settings('starttls', await alice.addPassword('Thunderbird')),
  )
  const person = await matrixPerson(bob, alice)
  await using element = await ElementWeb.logIn(pages, person)
  await using profanity = await Profanity.logIn(bob)

  // begun in XMPP, so that there is a chat; answered by mail
  await profanity.type(`/msg ${alice.address} Tea at five?`)
  await thunderbird.sees('Chat with bob')
  await thunderbird.reply('Chat with bob', 'At six.\n')
  await element.openRoom(person.contactName)
  await element.sees('Tea at five?')
  await element.sees('At six.')
  await profanity.sees('At six.')

  // answered with Element, which says what it answers
  await element.reply('At six.', 'At sxi then')
  await profanity.sees('At sxi then')
  const mails = async (): Promise<readonly ParsedMail[]> => await mailsOf(mail, 'INBOX')
  const textOf = (one: ParsedMail): string | undefined => one.text?.split('\n')[0]
  await expect.poll(async () => (await mails()).map(textOf), patience).toContain('At sxi then')
  const answer = (await mails()).find((one) => textOf(one) === 'At sxi then')
  const [sent] = await mailsOf(mail, 'Sent')
  expect(answer?.inReplyTo).toBe(sent?.messageId)

  // corrected with Element: what mail and XMPP show in the end
  await element.edit('At sxi then', 'At six then')
  await profanity.sees('At six then')
  await expect.poll(async () => (await mails()).map(textOf), patience).toContain('At six then')
  expect((await mails()).map(textOf)).not.toContain('At sxi then')
  expect((await mails()).find((one) => textOf(one) === 'At six then')?.messageId).toBe(answer?.messageId)

  // a reaction with Element: in the mail at both sides
  await element.react('At six then', '👍')
  await using bobsMail = await Imap.open(await bob.settings('plain'))
  const reacted = (one: ParsedMail): boolean => textOf(one) === 'At six then' && one.text?.includes('👍') === true
  await expect.poll(async () => (await mails()).some(reacted), patience).toBe(true)
  await expect.poll(async () => (await mailsOf(bobsMail, 'Chats/alice')).some(reacted), patience).toBe(true)

  // a file, whole in mail
  const content = Buffer.alloc(300_000, 'every byte counts')
  const path = join(folder.path, 'list.bin')
  await writeFile(path, content)
  await element.upload(path)
  const files = async (): Promise<readonly Buffer[]> =>
    (await mails()).flatMap(({ attachments }) => attachments.map((file) => file.content))
  await expect.poll(async () => (await files()).map((file) => file.equals(content)), patience).toEqual([true])
  await profanity.sees('list.bin')

  // taken back with Element: gone from mail
  await element.redact('At six then')
  await expect.poll(async () => (await mails()).map(textOf), patience).not.toContain('At six then')
  await element.browser.keepScreenshot('and-mail')
}, 240_000)

async function mailsOf(imap: Imap, folder: string): Promise<readonly ParsedMail[]> {
  const sources = []
  for (const { uid } of await imap.list(folder)) sources.push(await imap.source(folder, uid))
  return await Promise.all(sources.map(async (source) => await simpleParser(source)))
}

/** Bob chats from his command line; Alice has nothing but mail programs, and reads, answers and marks there. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import { simpleParser } from 'mailparser'
import { setTimeout as sleep } from 'node:timers/promises'
import { Imap } from './support/imap.ts'
import { requirePeer } from './support/peers.ts'
import { submit } from './support/submit.ts'
import { Thunderbird } from './support/thunderbird.ts'
import { twoGateways, type TwoGateways } from './support/two-gateways.ts'
import { openDisplay } from './support/xvfb.ts'

interface Said {
  readonly id: string
  readonly text?: string
  readonly replyTo?: string
  readonly file?: { readonly name: string }
}

const parts = new AsyncDisposableStack()
let world: TwoGateways
beforeAll(async () => {
  world = parts.use(await twoGateways())
}, 120_000)
afterAll(async () => {
  await parts.disposeAsync()
})

const bobSays = async (...args: readonly string[]): Promise<Said> =>
  await world.bob.verb<Said>('chat', 'send', world.alice.address, ...args)

/** Waits until Bob is shown this in his chat with Alice, or in another one. */
async function bobSees(what: string, isIt: (message: Said) => boolean, where = world.alice.address): Promise<Said> {
  const deadline = performance.now() + 20_000
  for (;;) {
    const messages = await world.bob.verb<readonly Said[]>('chat', 'show', where)
    const found = messages.find(isIt)
    if (found !== undefined) return found
    if (performance.now() > deadline) throw new Error(`Bob does not see ${what}: ${JSON.stringify(messages)}`)
    await sleep(100)
  }
}

test('imapflow shows a chat in INBOX, nodemailer answers it, and Bob sees an answer in his chat', async () => {
  const { alice, bob } = world
  const question = await bobSays('Grüße! Shall we meet?')
  const settings = await alice.settings('plain')
  await using imap = await Imap.open(settings)
  const mail = await imap.sees('INBOX', 'Chat with bob')
  expect(mail.messageId).toBe(`<${question.id}@chat.invalid>`)
  const shown = await simpleParser(await imap.source('INBOX', mail.uid))
  expect(shown.from?.value).toEqual([{ name: 'bob', address: bob.address }])
  expect(shown.text?.trimEnd()).toBe('Grüße! Shall we meet?')

  await submit(settings, {
    to: bob.address,
    subject: 'Re: Chat with bob',
    inReplyTo: mail.messageId,
    references: [shown.references ?? [], mail.messageId].flat(),
    text: 'At six.\n\nOn 1 Dec 2026, bob wrote:\n> Grüße! Shall we meet?\n',
    attachments: [{ filename: 'Wegbeschreibung für dich.txt', content: 'left, then right' }],
  })
  const answer = await bobSees('the answer', ({ text }) => text === 'At six.')
  expect(answer.replyTo).toBe(question.id)
  await bobSees('the file', ({ file }) => file?.name === 'Wegbeschreibung für dich.txt')
}, 60_000)

test('an edit and a reaction replace the mail that imapflow has open, with the flags that it has set', async () => {
  const { alice, bob } = world
  const said = await bobSays('one typo hier')
  await using imap = await Imap.open(await alice.settings('plain'))
  const messageId = `<${said.id}@chat.invalid>`
  const isIt = (mails: Awaited<ReturnType<Imap['list']>>) => mails.find((mail) => mail.messageId === messageId)
  const { uid } = await imap.until('INBOX', 'the chat', isIt)
  await imap.inFolder('INBOX', (client) => client.messageFlagsAdd(String(uid), [String.raw`\Flagged`], { uid: true }))
  await bob.verb('chat', 'edit', said.id, 'one typo here')
  const edited = await imap.until('INBOX', 'the edit', (mails) =>
    mails.find((mail) => mail.messageId === messageId && mail.uid > uid),
  )
  expect([...edited.flags]).toEqual(expect.arrayContaining([String.raw`\Flagged`, '$MyceliumEdited']))
  await bob.verb('chat', 'react', said.id, '👍')
  const reacted = await imap.until('INBOX', 'the reaction', (mails) =>
    mails.find((mail) => mail.messageId === messageId && mail.flags.has('$MyceliumReaction')),
  )
  const { text } = await simpleParser(await imap.source('INBOX', reacted.uid))
  expect(text).toMatch(/^one typo here\n\n-- \nEdited .*\n👍 bob\n$/)
}, 60_000)

test('with chats in folders of their own, a folder appears for Bob, and what is read in it is read', async () => {
  const { alice } = world
  await alice.verb('chat', 'settings', '--in-inbox', 'off')
  await bobSays('in the folder')
  await using imap = await Imap.open(await alice.settings('plain'))
  await untilFolder(imap, 'Chats/bob')
  await imap.until('Chats/bob', 'one chat', (mails) => (mails.length === 1 ? mails : undefined))
  for (const folder of ['INBOX', 'Chats/bob'])
    await imap.inFolder(folder, (client) => client.messageFlagsAdd('1:*', [String.raw`\Seen`]))
  const unread = async () =>
    (await alice.verb<readonly { readonly unread: number }[]>('chat', 'list')).map(
      (conversation) => conversation.unread,
    )
  await expect.poll(unread, { timeout: 20_000 }).toEqual([0])
  await alice.verb('chat', 'settings', '--in-inbox', 'on')
}, 60_000)

/** Waits for a folder that mail programs show. */
async function untilFolder(imap: Imap, wanted: string): Promise<void> {
  const deadline = performance.now() + 20_000
  for (;;) {
    const folders = await imap.client.list()
    if (folders.some(({ path, subscribed }) => path === wanted && subscribed)) return
    if (performance.now() > deadline) throw new Error(folders.map(({ path }) => path).join(' '))
    await sleep(100)
  }
}

test('imapflow shows a group, and what is sent to its address, as an answer or anew, is said in it', async () => {
  const { alice, bob } = world
  const { address } = await bob.verb<{ readonly address: string }>('group', 'create', 'Hikes', alice.address)
  const question = await bob.verb<Said>('chat', 'send', address, 'To the lake?')
  const settings = await alice.settings('plain')
  await using imap = await Imap.open(settings)
  await untilFolder(imap, 'Groups/Hikes')
  const mail = await imap.sees('Groups/Hikes', 'Hikes')
  const shown = await simpleParser(await imap.source('Groups/Hikes', mail.uid))
  expect(shown.from?.value).toEqual([{ name: 'bob', address: bob.address }])
  expect(shown.replyTo?.value).toEqual([{ name: 'Hikes', address }])
  expect(shown.headers.get('list')).toMatchObject({ post: { mail: address } })
  await submit(settings, { to: address, subject: 'Re: Hikes', inReplyTo: mail.messageId, text: 'Yes!' })
  const answer = await bobSees('the answer', ({ text }) => text === 'Yes!', address)
  expect(answer.replyTo).toBe(question.id)
  await submit(settings, { to: address, subject: 'Lunch', text: 'Who brings what?' })
  await bobSees('a subject of its own', ({ text }) => text === 'Lunch\n\nWho brings what?', address)
  await imap.until('Groups/Hikes', 'all three', (mails) => (mails.length === 3 ? mails : undefined))
  const nobody = `hikes@${'a'.repeat(20)}.group.myc`
  await expect(submit(settings, { to: nobody, text: 'x' })).rejects.toMatchObject({ responseCode: 550 })
}, 60_000)

test('Thunderbird shows a chat, and what is typed in its compose window is said in it, without the quotation', async (context) => {
  requirePeer(context, 'thunderbird', 'Xvfb')
  const { alice } = world
  const display = parts.use(await openDisplay())
  const settings = await alice.settings('starttls', await alice.addPassword('Thunderbird'))
  const thunderbird = parts.use(await Thunderbird.open(display, settings))
  // the list is one thread: its newest question stands alone only when the others are gone
  await using imap = await Imap.open(await alice.settings('plain'))
  await imap.inFolder('INBOX', (client) => client.messageDelete('1:*'))
  await thunderbird.seesRows('an empty inbox', (rows) => rows.length === 0)
  const question = await bobSays('Do you see this in Thunderbird?')
  const row = await thunderbird.sees('Chat with bob')
  expect(row.author).toContain('bob')
  expect(row.messageId).toBe(`${question.id}@chat.invalid`)
  expect(await thunderbird.read('Chat with bob')).toContain('Do you see this in Thunderbird?')
  await thunderbird.reply('Chat with bob', 'Yes, and I answer there.\n')
  const answer = await bobSees('the answer', ({ replyTo }) => replyTo === question.id)
  expect(answer.text).toBe('Yes, and I answer there.')

  const [, ...copies] = (await imap.list('Sent')).filter(({ subject }) => subject === 'Re: Chat with bob')
  expect(copies).toHaveLength(1)

  await alice.verb('chat', 'settings', '--in-inbox', 'off')
  const second = await bobSays('And in a folder of its own?')
  await imap.inFolder('Chats/bob', (client) => client.messageDelete('1'))
  await imap.until('Chats/bob', 'the chat alone', (mails) => (mails.length === 1 ? mails : undefined))
  await thunderbird.openFolderAt('Chats/bob')
  await thunderbird.seesRows('the chat in its folder', (rows) =>
    rows.some(({ messageId }) => messageId === `${second.id}@chat.invalid`),
  )
  await thunderbird.reply('Chat with bob', 'There, too.\n')
  const there = await bobSees('the second answer', ({ replyTo }) => replyTo === second.id)
  expect(there.text).toBe('There, too.')
  await imap.until('Chats/bob', 'both sides', (mails) =>
    mails.find(({ messageId }) => messageId === `<${there.id}@chat.invalid>`),
  )

  const [{ address } = { address: '' }] = await world.bob.verb<readonly { readonly address: string }[]>('group', 'list')
  await imap.inFolder('Groups/Hikes', (client) => client.messageDelete('1:*'))
  const plan = await world.bob.verb<Said>('chat', 'send', address, 'And who drives?')
  await imap.sees('Groups/Hikes', 'Hikes')
  await thunderbird.openFolderAt('Groups/Hikes')
  await thunderbird.sees('Hikes')
  expect(await thunderbird.read('Hikes')).toContain('And who drives?')
  await thunderbird.reply('Hikes', 'I do.\n', 'list')
  const driver = await bobSees('the answer in the group', ({ replyTo }) => replyTo === plan.id, address)
  expect(driver.text).toBe('I do.')
}, 120_000)

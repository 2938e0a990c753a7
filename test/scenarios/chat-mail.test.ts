/** Conversations in mail programs: what is said in a chat is read, answered, marked and moved there. */
import { expect, test } from 'vitest'
import { idOfPartner } from '../../src/core/conversation/conversations.ts'
import type { BlobRoot, MessageId } from '../../src/core/ids.ts'
import { limits } from '../../src/core/limits.ts'
import type { Part } from '../../src/core/message/part.ts'
import { mailsIn } from '../support/mailbox-mails.ts'
import { hearOf } from '../support/strangers.ts'
import { openWorld, type TestGateway } from '../support/world.ts'

const patience = { timeout: 20_000 }

async function say(from: TestGateway, to: TestGateway, parts: readonly Part[] | string): Promise<MessageId> {
  const said: readonly Part[] = typeof parts === 'string' ? [{ kind: 'text', text: parts }] : parts
  return (await from.node.delivery.chats.say(from.account, to.account, { parts: said })).id
}

const between = (one: TestGateway, other: TestGateway) =>
  idOfPartner(one.account, { kind: 'direct', peer: other.account })
const words = (whose: TestGateway, mailbox: string) =>
  expect.poll(async () => (await mailsIn(whose, mailbox)).map((mail) => mail.words), patience)
const useChatClient = async ({ knowledge: { store, conversations }, account }: TestGateway) =>
  await store.write((tx) => conversations.setSettings(tx, account, { hasChatClient: true }))
const mark = async (whose: TestGateway, mailbox: string, uids: readonly number[], flag: string) => {
  const { mailboxes } = whose.knowledge
  const { id } = mailboxes.byName(whose.account, mailbox)!
  await mailboxes.setFlags(whose.account, id, uids as never, { mode: 'add', flags: [flag] })
}
const unread = (whose: TestGateway, other: TestGateway) =>
  whose.knowledge.conversations.get(whose.account, between(whose, other))?.unread

/** Two contacts who chat; both are called by their names. */
async function friends({ hasChatClient = true } = {}) {
  const world = await openWorld()
  const alice = await world.gateway('alice')
  const bob = await world.gateway('bob')
  await world.introduce(alice, bob)
  if (hasChatClient) for (const one of [alice, bob]) await useChatClient(one)
  await say(bob, alice, 'hello')
  await expect.poll(() => alice.knowledge.conversations.list(alice.account).length, patience).toBe(1)
  for (const [one, other] of [
    [alice, bob],
    [bob, alice],
  ] as const)
    await one.knowledge.store.write((tx) =>
      one.knowledge.contacts.using(tx).rename(one.account, other.account, other.name),
    )
  return { world, alice, bob, [Symbol.asyncDispose]: async () => await world[Symbol.asyncDispose]() }
}

test('until there is a chat program, chats come to the inbox and own ones to Sent; then to a folder of their own', async () => {
  await using scope = await friends({ hasChatClient: false })
  const { alice, bob } = scope
  await words(alice, 'INBOX').toEqual(['hello'])
  await say(alice, bob, 'hello yourself')
  await words(alice, 'Sent').toEqual(['hello yourself'])
  expect((await mailsIn(alice, 'Sent'))[0]?.flags).toContain('\\Seen')

  await useChatClient(alice)
  await say(bob, alice, 'and now?')
  await words(alice, 'Chats/bob').toEqual(['and now?'])
  await say(alice, bob, 'here')
  await words(alice, 'Chats/bob').toEqual(['and now?', 'here'])
  await words(alice, 'INBOX').toEqual(['hello'])
  expect(alice.knowledge.mailboxes.subscriptions(alice.account)).toEqual(expect.arrayContaining(['Chats', 'Chats/bob']))
})

test('a chat is a mail from its author, in one thread, and what the author changes takes its place with its flags', async () => {
  await using scope = await friends()
  const { alice, bob } = scope
  const question = await say(alice, bob, 'shall we met?')
  await words(bob, 'Chats/alice').toEqual(['hello', 'shall we met?'])
  const [, first] = await mailsIn(bob, 'Chats/alice')
  expect(first?.mail.from?.value).toEqual([{ address: alice.address, name: 'alice' }])
  expect(first?.mail).toMatchObject({
    subject: 'Chat with alice',
    messageId: `<${question}@chat.invalid>`,
    to: { value: [{ address: bob.address }] },
    references: `<${between(bob, alice)}@conversation.invalid>`,
  })
  expect(first?.mail.headers.get('mycelium-trust')).toMatch(/^zone; at delivery; /)
  expect(first?.flags).toEqual(['$MyceliumTrust-zone'])
  await mark(bob, 'Chats/alice', [first!.uid], '\\Flagged')

  await say(alice, bob, [{ kind: 'edit', target: question, body: [{ kind: 'text', text: 'shall we meet?' }] }])
  await words(bob, 'Chats/alice').toEqual(['hello', 'shall we meet?'])
  await say(bob, alice, [{ kind: 'reaction', target: question, reactions: ['👍', '🎉'] }])
  for (const [whose, other] of [
    [bob, alice],
    [alice, bob],
  ] as const) {
    await expect
      .poll(async () => (await mailsIn(whose, `Chats/${other.name}`))[1]?.notes, patience)
      .toEqual([expect.stringMatching(/^Edited /), expect.stringMatching(/^👍 \S+; 🎉 \S+$/)])
  }
  const [, edited] = await mailsIn(bob, 'Chats/alice')
  expect(edited?.mail.messageId).toBe(first?.mail.messageId)
  expect(edited?.uid).toBeGreaterThan(first!.uid)
  expect(edited?.flags).toEqual(
    expect.arrayContaining(['\\Flagged', '$MyceliumTrust-zone', '$MyceliumEdited', '$MyceliumReaction']),
  )

  await say(alice, bob, [{ kind: 'redaction', target: question }])
  await words(bob, 'Chats/alice').toEqual(['hello', 'This message was taken back.'])
  const [, gone] = await mailsIn(bob, 'Chats/alice')
  expect(gone?.source).not.toContain('meet')
  expect(gone?.flags).toContain('$MyceliumTakenBack')
})

test('what a person reads in mail is read in the chat, and the other way round', async () => {
  await using scope = await friends()
  const { alice, bob } = scope
  await say(bob, alice, 'second')
  await say(bob, alice, 'third')
  await words(alice, 'Chats/bob').toEqual(['hello', 'second', 'third'])
  const uids = (await mailsIn(alice, 'Chats/bob')).map(({ uid }) => uid)
  expect(unread(alice, bob)).toBe(3)
  // out of order: nothing before it becomes read by that
  await mark(alice, 'Chats/bob', [uids[1]!], '\\Seen')
  await mark(alice, 'Chats/bob', [uids[0]!], '\\Seen')
  await expect.poll(() => unread(alice, bob), patience).toBe(1)
  expect((await mailsIn(alice, 'Chats/bob')).map(({ flags }) => flags.includes('\\Seen'))).toEqual([true, true, false])

  const last = alice.knowledge.conversations.page(alice.account, between(alice, bob), { limit: 1 })[0]!
  await alice.node.delivery.chats.markRead(alice.account, between(alice, bob), last.id)
  expect((await mailsIn(alice, 'Chats/bob')).map(({ flags }) => flags.includes('\\Seen'))).toEqual([true, true, true])
})

test('a folder stays the conversation’s when it is renamed, and is made again when it is deleted', async () => {
  await using scope = await friends()
  const { alice, bob } = scope
  const { mailboxes } = alice.knowledge
  await words(alice, 'Chats/bob').toEqual(['hello'])
  await mailboxes.rename(alice.account, 'Chats/bob', 'Friends/Bob')
  await say(bob, alice, 'second')
  await words(alice, 'Friends/Bob').toEqual(['hello', 'second'])
  await mailboxes.remove(alice.account, 'Friends/Bob')
  await say(bob, alice, 'third')
  await words(alice, 'Chats/bob').toEqual(['third'])
})

test('a message that its person moved or deleted stays as they left it', async () => {
  await using scope = await friends()
  const { alice, bob } = scope
  const { mailboxes } = alice.knowledge
  const moved = await say(bob, alice, 'keep me')
  await words(alice, 'Chats/bob').toEqual(['hello', 'keep me'])
  const [, { uid }] = (await mailsIn(alice, 'Chats/bob')) as [unknown, { readonly uid: number }]
  const idOf = (name: string) => mailboxes.byName(alice.account, name)!.id
  await mailboxes.move(alice.account, idOf('Chats/bob'), [uid as never], idOf('Archive'))
  await say(bob, alice, [{ kind: 'edit', target: moved, body: [{ kind: 'text', text: 'changed' }] }])
  await say(bob, alice, 'last')
  await words(alice, 'Chats/bob').toEqual(['hello', 'last'])
  await words(alice, 'Archive').toEqual(['keep me'])
})

test('a stranger’s chats stay out of the inbox: in Requests, with one notice for all of them', async () => {
  await using world = await openWorld()
  const alice = await world.gateway('alice')
  const carol = await world.gateway('carol')
  await hearOf(carol, alice)
  await say(carol, alice, 'hello')
  await say(carol, alice, 'are you there?')
  await words(alice, 'Requests').toEqual(['hello', 'are you there?'])
  const inbox = await mailsIn(alice, 'INBOX')
  expect(inbox.map(({ mail }) => mail.subject)).toEqual(['Contact request'])
  expect((await mailsIn(alice, 'Requests'))[0]?.flags).toEqual(['$MyceliumTrust-unverified'])
})

test('a full mailbox takes no chat, and its sender is told in their own mail', async () => {
  await using scope = await friends()
  const { alice, bob } = scope
  await words(alice, 'Chats/bob').toEqual(['hello'])
  const quota = async (bytes: number) =>
    await alice.knowledge.store.write((tx) => alice.knowledge.quotas.set(tx, alice.account, bytes))
  await quota(alice.knowledge.mailboxes.usedBytes(alice.account) + 100)
  await say(bob, alice, 'is there room?')
  await expect
    .poll(async () => (await mailsIn(bob, 'Chats/alice')).map(({ notes, flags }) => ({ notes, flags })), patience)
    .toEqual([
      { notes: [], flags: ['\\Seen'] },
      { notes: ['Not delivered.'], flags: ['$MyceliumFailed'] },
    ])
  await expect(say(alice, bob, 'no room for this either')).rejects.toMatchObject({ code: 'mailbox-full' })
  await quota(1024 * 1024)
  await say(bob, alice, 'and now?')
  await words(alice, 'Chats/bob').toContain('and now?')
})

test('a long file is announced, and is in the mail once it is here, also when something is said about it meanwhile', async () => {
  await using scope = await friends()
  const { alice, bob } = scope
  const { store, mailboxes, conversations } = alice.knowledge
  const bytes = Buffer.from(Array.from({ length: 200_001 }, (_, index) => index % 251))
  const content = {
    kind: 'blob',
    root: 'ab'.repeat(32) as BlobRoot,
    key: new Uint8Array(32),
    size: bytes.length,
    chunkBytes: 65_536,
  } as const
  const file = {
    kind: 'file',
    name: 'hike.gpx',
    mediaType: 'application/gpx+xml',
    content,
    thumbnail: undefined,
  } as const
  const id = await say(bob, alice, [file])
  await words(alice, 'Chats/bob').toEqual(['hello', '[hike.gpx, 200 KB]'])
  expect((await mailsIn(alice, 'Chats/bob'))[1]?.notes).toEqual(['The file is not here yet.'])
  const { uid } = (await mailsIn(alice, 'Chats/bob'))[1]!
  await mark(alice, 'Chats/bob', [uid], '\\Seen')

  const stored = await mailboxes.store(
    alice.account,
    (async function* () {
      yield await Promise.resolve(bytes)
    })(),
    { bytesMax: 1_000_000 },
  )
  await store.write((tx) => {
    mailboxes.retain(tx, alice.account, stored.content)
    conversations.history.setFile(tx, alice.account, id, stored.content)
  })
  await say(alice, bob, [{ kind: 'reaction', target: id, reactions: ['👍'] }])
  const attached = async () => {
    const found = (await mailsIn(alice, 'Chats/bob'))[1]
    const [attachment] = found?.mail.attachments ?? []
    const { filename, contentType, content: octets } = attachment ?? {}
    return { words: found?.words, notes: found?.notes, flags: found?.flags.toSorted(), filename, contentType, octets }
  }
  await expect.poll(attached, patience).toEqual({
    words: '[hike.gpx, 200 KB]',
    notes: [expect.stringMatching(/^👍 /)],
    flags: ['$MyceliumReaction', '$MyceliumTrust-zone', '\\Seen'],
    filename: 'hike.gpx',
    contentType: 'application/gpx+xml',
    octets: bytes,
  })
  await say(bob, alice, [{ kind: 'redaction', target: id }])
  await words(alice, 'Chats/bob').toEqual(['hello', 'This message was taken back.'])
})

test('a folder that has all the keywords that there may be shows chats without them', async () => {
  await using scope = await friends()
  const { alice, bob } = scope
  await words(alice, 'Chats/bob').toEqual(['hello'])
  const uid = (await mailsIn(alice, 'Chats/bob'))[0]!.uid
  const { mailboxes } = alice.knowledge
  const flags = Array.from({ length: limits.keywordsMax }, (_, index) => `own-${index}`)
  const { id } = mailboxes.byName(alice.account, 'Chats/bob')!
  for (let at = 0; at < flags.length; at += 5)
    await mailboxes
      .setFlags(alice.account, id, [uid as never], { mode: 'replace', flags: flags.slice(at, at + 5) })
      .catch(() => undefined)
  const said = await say(bob, alice, 'still here?')
  await say(bob, alice, [{ kind: 'edit', target: said, body: [{ kind: 'text', text: 'still here' }] }])
  await words(alice, 'Chats/bob').toEqual(['hello', 'still here'])
})

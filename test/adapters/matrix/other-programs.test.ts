/** The same conversations in other programs: what they say is an event here, and what is said here is theirs. */
import { expect, test } from 'vitest'
import { type Answer, openStages } from './support.ts'

test('with the first program chats leave the inbox, and what is said here is mail in their folder', async () => {
  await using stages = await openStages()
  const { alice: ofAlice, bob: ofBob } = { alice: stages.of('alice').gateway, bob: stages.of('bob').gateway }
  const { knowledge, account } = ofAlice
  const { chats } = ofBob.node.delivery
  await chats.say(ofBob.account, account, { parts: [{ kind: 'text', text: 'Before' }] })
  await expect.poll(() => ofAlice.read('INBOX')).toHaveLength(1)
  const alice = await stages.of('alice').logIn()
  const room = Object.keys((await alice.sync()).rooms.join)[0]!
  expect(await alice.words(room)).toEqual(['Before'])
  await chats.say(ofBob.account, account, { parts: [{ kind: 'text', text: 'After' }] })
  await alice.event(({ content }) => content.body === 'After')
  await expect.poll(() => ofAlice.read('Chats/bob')).toHaveLength(1)
  expect(knowledge.conversations.settings(account).hasChatClient).toBe(true)
})

test('a chat read in mail is read here, and one read here is read in mail', async () => {
  await using stages = await openStages()
  const { gateway: ofAlice } = stages.of('alice')
  const { gateway: ofBob } = stages.of('bob')
  const alice = await stages.of('alice').logIn()
  const room = Object.keys((await alice.sync()).rooms.join)[0]!
  const say = async (text: string) =>
    await ofBob.node.delivery.chats.say(ofBob.account, ofAlice.account, { parts: [{ kind: 'text', text }] })
  await say('One')
  await alice.event(({ content }) => content.body === 'One')
  const { mailboxes } = ofAlice.knowledge
  const folder = () => mailboxes.byName(ofAlice.account, 'Chats/bob')!
  await expect.poll(() => folder().unseen).toBe(1)
  const { uidNext } = folder()
  await mailboxes.setFlags(ofAlice.account, folder().id, [(uidNext - 1) as never], { mode: 'add', flags: ['\\Seen'] })
  const seen = await alice.until((answer) =>
    answer.rooms?.join?.[room]?.ephemeral.events.find(({ type }: Answer) => type === 'm.receipt'),
  )
  expect(JSON.stringify(seen.content)).toContain(alice.user)
  await say('Two')
  const second = await alice.event(({ content }) => content.body === 'Two')
  await alice.post(`/rooms/${room}/read_markers`, { 'm.fully_read': second.event_id, 'm.read': second.event_id })
  await expect.poll(() => folder().unseen).toBe(0)
})

test('what did not reach its recipient says so in the room', async () => {
  await using stages = await openStages()
  const { gateway: ofAlice } = stages.of('alice')
  const alice = await stages.of('alice').logIn()
  const room = Object.keys((await alice.sync()).rooms.join)[0]!
  const said = await alice.say(room, 'Are you there?')
  const { store, conversations } = ofAlice.knowledge
  const [row] = conversations.list(ofAlice.account)
  const peer = row!.partner.kind === 'direct' ? row!.partner.peer : ofAlice.account
  const message = Buffer.from(said.slice(1), 'base64url').toString('hex') as never
  await store.write((tx) => conversations.history.setFate(tx, ofAlice.account, message, peer, 'failed'))
  const note = await alice.event(
    ({ content }) => content.msgtype === 'm.notice' && content['m.relates_to'] !== undefined,
  )
  expect(note.content['m.relates_to']['m.in_reply_to'].event_id).toBe(said)
  expect(note.content.body).toContain('did not reach')
})

test('that a contact is surer now who they are is said in the chat, and stands in their profile', async () => {
  await using stages = await openStages()
  const { gateway: ofAlice } = stages.of('alice')
  const { gateway: ofBob } = stages.of('bob')
  const alice = await stages.of('alice').logIn()
  const { rooms } = await alice.sync()
  const [room] = Object.keys(rooms.join)
  const [bob] = rooms.join[room!].summary['m.heroes']
  const { contacts, store } = ofAlice.knowledge
  const digits = contacts.byIdentity(ofAlice.account, ofBob.account)!.fingerprint
  await store.write((tx) => contacts.using(tx).verify(ofAlice.account, ofBob.account, digits))
  const note = await alice.event(({ content }) => content.msgtype === 'm.notice')
  expect(note.content.body).toContain('in-person')
  expect(await alice.get(`/profile/${bob}`)).toMatchObject({ 'net.mycelium.trust': 'in-person' })
})

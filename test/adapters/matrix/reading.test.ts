/** How far somebody has read: in threads and outside of them, in public and in private, and in other programs. */
import { expect, test } from 'vitest'
import type { ConversationId } from '../../../src/core/ids.ts'
import { type Answer, openStages, type Program, type Server } from './support.ts'

interface Office extends AsyncDisposable {
  readonly server: Server
  readonly alice: Program
  readonly bob: Program
  readonly room: string
  /** Of the room. */
  readonly conversation: ConversationId
}

/** Two accounts of one gateway, who let each other know what they have read, in a room. */
async function openOffice(): Promise<Office> {
  const stages = await openStages(['alice'])
  const server = stages.of('alice')
  const { accounts, conversations, store } = server.gateway.knowledge
  const { identity } = await accounts.create({ localName: 'bob' })
  for (const who of [server.gateway.account, identity])
    await store.write((tx) => conversations.setSettings(tx, who, { tellsRead: true }))
  const [alice, bob] = [await server.logIn(), await server.logIn(identity)]
  const { room_id: room } = await alice.post('/createRoom', { name: 'Team', invite: [bob.user] })
  await bob.until((answer) => answer.rooms?.join?.[room])
  const conversation = Buffer.from(room.slice(1, 44), 'base64url').toString('hex') as ConversationId
  return { server, alice, bob, room, conversation, [Symbol.asyncDispose]: () => stages[Symbol.asyncDispose]() }
}

const inThread = (root: string) => ({ 'm.relates_to': { rel_type: 'm.thread', event_id: root } })
const withThreads = { filter: JSON.stringify({ room: { timeline: { unread_thread_notifications: true } } }) }
const receipt = ({ room }: Office, kind: string, id: string): string =>
  `/rooms/${room}/receipt/${kind}/${encodeURIComponent(id)}`

/** As a program sees it that has just come: of the room itself, and of its threads. */
async function unread({ bob, room }: Office): Promise<Answer> {
  const answer = await bob.get(`/sync?${new URLSearchParams(withThreads).toString()}`)
  const { unread_notifications: main, unread_thread_notifications: threads } = answer.rooms.join[room]
  return [main.notification_count, ...Object.entries<Answer>(threads).map(([id, of]) => [id, of.notification_count])]
}

/** Receipts of a room that a program is shown. */
async function receipts(program: Program, room: string): Promise<readonly string[]> {
  const answer = await program.get('/sync')
  return answer.rooms.join[room].ephemeral.events
    .filter(({ type }: Answer) => type === 'm.receipt')
    .flatMap(({ content }: Answer) =>
      Object.entries<Answer>(content).flatMap(([event, kinds]) =>
        Object.entries<Answer>(kinds).flatMap(([kind, users]) =>
          Object.entries<Answer>(users).map(
            ([user, { thread_id: thread = '' }]) => `${user} ${kind} ${event} ${thread}`,
          ),
        ),
      ),
    )
    .toSorted()
}

/** What mail and XMPP take for unread. */
const unreadElsewhere = ({ server, conversation }: Office): number => {
  const { accounts, conversations } = server.gateway.knowledge
  return conversations.get(accounts.byUser('bob')!.identity, conversation)!.unread
}

test('a thread is counted for itself, and read for itself', async () => {
  await using office = await openOffice()
  const { alice, bob, room } = office
  const root = await alice.say(room, 'Plans')
  const first = await alice.say(room, 'In the thread', inThread(root))
  const last = await alice.say(room, 'After it')
  const second = await alice.say(room, 'In the thread, again', inThread(root))
  expect(await unread(office)).toEqual([2, [root, 2]])
  const whole = await bob.get('/sync')
  expect(whole.rooms.join[room].unread_notifications.notification_count).toBe(4)
  await bob.post(receipt(office, 'm.read', last), { thread_id: 'main' })
  expect(await unread(office)).toEqual([0, [root, 2]])
  // elsewhere there are no threads: nothing that is unread is taken for read there
  expect(unreadElsewhere(office)).toBe(3)
  await bob.post(receipt(office, 'm.read', first), { thread_id: root })
  expect(await unread(office)).toEqual([0, [root, 1]])
  expect(unreadElsewhere(office)).toBe(1)
  await bob.post(receipt(office, 'm.read', second), { thread_id: root })
  expect(await unread(office)).toEqual([0])
  expect(unreadElsewhere(office)).toBe(0)
  await expect.poll(() => receipts(alice, room)).toEqual([`${bob.user} m.read ${second} `])
})

test('a receipt of no thread covers all that came before it, whatever thread it is in', async () => {
  await using office = await openOffice()
  const { alice, bob, room } = office
  const root = await alice.say(room, 'Plans')
  await alice.say(room, 'In the thread', inThread(root))
  const third = await alice.say(room, 'Third')
  await alice.say(room, 'In the thread, again', inThread(root))
  await alice.say(room, 'Fifth')
  await bob.post(receipt(office, 'm.read', third))
  expect(await unread(office)).toEqual([1, [root, 1]])
  // a receipt does not go back
  await bob.post(receipt(office, 'm.read', root))
  expect(await unread(office)).toEqual([1, [root, 1]])
  expect(await receipts(bob, room)).toEqual([`${bob.user} m.read ${third} `])
})

test('what is about a message of a thread is in that thread', async () => {
  await using office = await openOffice()
  const { alice, bob, room } = office
  const root = await alice.say(room, 'Plans')
  const inside = await alice.say(room, 'In the thread', inThread(root))
  const relation = { rel_type: 'm.annotation', event_id: inside, key: '👍' }
  const reaction = await alice.send(room, { 'm.relates_to': relation }, 'm.reaction')
  expect(await bob.refused('POST', receipt(office, 'm.read', reaction), { thread_id: 'main' })).toBe(
    '400 M_INVALID_PARAM',
  )
  await bob.post(receipt(office, 'm.read', reaction), { thread_id: root })
  expect(await unread(office)).toEqual([1])
})

test('a private receipt clears the counts and is shown to its own programs only', async () => {
  await using office = await openOffice()
  const { alice, bob, room } = office
  const [first, second] = [await alice.say(room, 'First'), await alice.say(room, 'Second')]
  await bob.post(receipt(office, 'm.read.private', second))
  expect(await unread(office)).toEqual([0])
  expect(unreadElsewhere(office)).toBe(0)
  expect(await receipts(bob, room)).toEqual([`${bob.user} m.read.private ${second} `])
  // longer than it takes to tell others
  await new Promise((resolve) => setTimeout(resolve, 3000))
  expect(await receipts(alice, room)).toEqual([])
  // one in public behind it is told as it is, and brings nothing back
  await bob.post(`/rooms/${room}/read_markers`, { 'm.read': first, 'm.read.private': second })
  expect(await unread(office)).toEqual([0])
  await expect.poll(() => receipts(alice, room)).toEqual([`${bob.user} m.read ${first} `])
})

test('what was read in another program is read here', async () => {
  await using office = await openOffice()
  const { alice, bob, room, server, conversation } = office
  const said = await alice.say(room, 'Seen in mail')
  await bob.sync()
  const { accounts, conversations } = server.gateway.knowledge
  const { identity } = accounts.byUser('bob')!
  const { id } = conversations.page(identity, conversation, { limit: 1 })[0]!
  expect(await unread(office)).toEqual([1])
  await server.gateway.node.delivery.chats.markRead(identity, conversation, id)
  const told = await bob.until((answer) => answer.rooms?.join?.[room])
  expect(told.unread_notifications.notification_count).toBe(0)
  expect(await receipts(bob, room)).toEqual([`${bob.user} m.read ${said} `])
})

test('who answers has read what came before, and what was taken back is unread no more', async () => {
  await using office = await openOffice()
  const { alice, bob, room } = office
  await alice.say(room, 'First')
  await bob.say(room, 'Answer')
  expect(await unread(office)).toEqual([0])
  const [second] = [await alice.say(room, 'Second'), await alice.say(room, 'Third')]
  expect(await unread(office)).toEqual([2])
  await alice.redact(room, second)
  expect(await unread(office)).toEqual([1])
})

test('a mention is counted by itself, and rules of one’s own count as they stood when it came', async () => {
  await using office = await openOffice()
  const { alice, bob, room } = office
  await bob.put('/pushrules/global/content/tea', { pattern: 'tea', actions: ['notify', { set_tweak: 'highlight' }] })
  await bob.put(`/pushrules/global/sender/${encodeURIComponent(alice.user)}`, { actions: [] })
  await alice.say(room, 'Coffee?')
  await alice.say(room, 'Or tea?')
  await alice.say(room, 'Well?', { 'm.mentions': { user_ids: [bob.user] } })
  const { unread_notifications: counts } = (await bob.get('/sync')).rooms.join[room]
  expect(counts).toEqual({ notification_count: 2, highlight_count: 2 })
})

test('a room that is turned off as Element does it counts nothing', async () => {
  await using office = await openOffice()
  const { alice, bob, room } = office
  await bob.put(`/pushrules/global/override/${encodeURIComponent(room)}`, {
    conditions: [{ kind: 'event_match', key: 'room_id', pattern: room }],
    actions: [],
  })
  await alice.say(room, 'Unheard')
  expect(await unread(office)).toEqual([0])
})

test('receipts that cannot be are refused', async () => {
  await using office = await openOffice()
  const { alice, bob, room } = office
  const said = await alice.say(room, 'Plans')
  const refused = (kind: string, id: string, body: unknown) => bob.refused('POST', receipt(office, kind, id), body)
  expect(await refused('m.read', said, { thread_id: '' })).toBe('400 M_BAD_JSON')
  expect(await refused('m.read', said, { thread_id: 1 })).toBe('400 M_BAD_JSON')
  expect(await refused('m.read', said, { thread_id: `$${'A'.repeat(43)}` })).toBe('400 M_INVALID_PARAM')
  expect(await refused('m.fully_read', said, { thread_id: 'main' })).toBe('400 M_INVALID_PARAM')
  expect(await refused('m.seen', said, {})).toBe('400 M_INVALID_PARAM')
  expect(await refused('m.read', `$${'A'.repeat(43)}`, {})).toBe('404 M_NOT_FOUND')
})

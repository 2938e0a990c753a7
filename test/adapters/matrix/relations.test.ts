/** What is about an event, and threads: found by themselves, and told beside what they are about. */
import { expect, test } from 'vitest'
import { type Answer, openStages, type Program } from './support.ts'

async function openRoom() {
  const stages = await openStages(['alice'])
  const alice = await stages.of('alice').logIn()
  const { room_id: room } = await alice.post('/createRoom', { name: 'Notes' })
  return { stages, alice, room, [Symbol.asyncDispose]: () => stages[Symbol.asyncDispose]() }
}

const inThread = (root: string) => ({ 'm.relates_to': { rel_type: 'm.thread', event_id: root } })
const idsIn = ({ chunk }: Answer): string[] => chunk.map(({ event_id: id }: Answer) => id)
const related = (alice: Program, room: string, id: string, rest = '', query = ''): Promise<Answer> =>
  alice.get(`/_matrix/client/v1/rooms/${room}/relations/${encodeURIComponent(id)}${rest}?${query}`)

test('edits, reactions and answers of a thread are found by what they are about, page by page', async () => {
  await using one = await openRoom()
  const { alice, room } = one
  const root = await alice.say(room, 'Plans')
  const answers: string[] = []
  for (let at = 0; at < 5; at += 1) answers.push(await alice.say(room, `Answer ${at}`, inThread(root)))
  const reaction = await alice.send(
    room,
    { 'm.relates_to': { rel_type: 'm.annotation', event_id: root, key: '👍' } },
    'm.reaction',
  )
  expect(idsIn(await related(alice, room, root))).toEqual([reaction, ...answers.toReversed()])
  expect(idsIn(await related(alice, room, root, '/m.thread', 'dir=f'))).toEqual(answers)
  expect(idsIn(await related(alice, room, root, '/m.annotation/m.reaction'))).toEqual([reaction])
  const pages: string[] = []
  let from = ''
  do {
    const page = await related(alice, room, root, '/m.thread', `limit=2${from}`)
    pages.push(...idsIn(page))
    from = page.next_batch === undefined ? '' : `&from=${page.next_batch}`
  } while (from !== '')
  expect(pages).toEqual(answers.toReversed())
})

test('a thread is told beside its root, and counts what stands in it', async () => {
  await using one = await openRoom()
  const { alice, room } = one
  const [older, root] = [await alice.say(room, 'Older'), await alice.say(room, 'Plans')]
  await alice.say(room, 'In the older one', inThread(older))
  const first = await alice.say(room, 'First', inThread(root))
  const last = await alice.say(room, 'Last', inThread(root))
  const thread = async () =>
    (await alice.get(`/rooms/${room}/event/${encodeURIComponent(root)}`)).unsigned['m.relations']?.['m.thread']
  expect(await thread()).toMatchObject({ count: 2, current_user_participated: true, latest_event: { event_id: last } })
  expect(idsIn(await alice.get(`/_matrix/client/v1/rooms/${room}/threads`))).toEqual([root, older])
  await alice.redact(room, last)
  expect(await thread()).toMatchObject({ count: 1, latest_event: { event_id: first } })
  await alice.redact(room, first)
  expect(await thread()).toBeUndefined()
  expect(idsIn(await alice.get(`/_matrix/client/v1/rooms/${room}/threads`))).toEqual([older])
})

test('what is about an event of another room is not found in this one', async () => {
  await using one = await openRoom()
  const { alice, room } = one
  const { room_id: other } = await alice.post('/createRoom', { name: 'Other' })
  const said = await alice.say(other, 'Elsewhere')
  expect(await alice.refused('GET', `/_matrix/client/v1/rooms/${room}/relations/${encodeURIComponent(said)}`)).toBe(
    '404 M_NOT_FOUND',
  )
})

test('what is about what is about an event is found where that is asked for, and between two places', async () => {
  await using one = await openRoom()
  const { alice, room } = one
  const root = await alice.say(room, 'Plans')
  const answer = await alice.say(room, 'Answer', inThread(root))
  const reaction = await alice.send(
    room,
    { 'm.relates_to': { rel_type: 'm.annotation', event_id: answer, key: '👍' } },
    'm.reaction',
  )
  const edit = await alice.say(room, '* Better', {
    'm.new_content': { msgtype: 'm.text', body: 'Better' },
    'm.relates_to': { rel_type: 'm.replace', event_id: answer },
  })
  const last = await alice.say(room, 'Last', inThread(root))
  const flat = await related(alice, room, root)
  expect(idsIn(flat)).toEqual([last, answer])
  expect(flat).not.toHaveProperty('recursion_depth')
  const deep = await related(alice, room, root, '', 'recurse=true')
  expect(idsIn(deep)).toEqual([last, edit, reaction, answer])
  expect(deep.recursion_depth).toBe(3)
  expect(idsIn(await related(alice, room, root, '/m.replace', 'recurse=true&dir=f'))).toEqual([edit])
  const first = await related(alice, room, root, '', 'recurse=true&limit=2')
  expect(idsIn(first)).toEqual([last, edit])
  const second = await related(alice, room, root, '', `recurse=true&from=${first.next_batch}`)
  expect([idsIn(second), second.prev_batch]).toEqual([[reaction, answer], first.next_batch])
  expect(idsIn(await related(alice, room, root, '', `recurse=true&to=${first.next_batch}`))).toEqual([last, edit])
  expect(
    await alice.refused('GET', `/_matrix/client/v1/rooms/${room}/relations/${encodeURIComponent(root)}?to=x`),
  ).toBe('400 M_INVALID_PARAM')
})

test('what refers to an event is told beside it, and the latest answer of a thread as it reads now', async () => {
  await using one = await openRoom()
  const { alice, room } = one
  const root = await alice.say(room, 'Which day?')
  const vote = (day: number) =>
    alice.send(room, { 'm.relates_to': { rel_type: 'm.reference', event_id: root }, day }, 'org.example.vote')
  const votes = [await vote(1), await vote(2)]
  const answer = await alice.say(room, 'Answer', inThread(root))
  await alice.say(room, '* Better', {
    'm.new_content': { msgtype: 'm.text', body: 'Better' },
    'm.relates_to': { rel_type: 'm.replace', event_id: answer },
  })
  const { 'm.reference': references, 'm.thread': thread } = (
    await alice.get(`/rooms/${room}/event/${encodeURIComponent(root)}`)
  ).unsigned['m.relations']
  expect(idsIn(references)).toEqual(votes)
  const edit = thread.latest_event.unsigned['m.relations']['m.replace']
  expect([thread.latest_event.event_id, edit.content['m.new_content'].body]).toEqual([answer, 'Better'])
  expect(
    await alice.refused('PUT', `/rooms/${room}/send/m.room.message/x`, {
      msgtype: 'm.text',
      body: 'A thread in a thread',
      ...inThread(answer),
    }),
  ).toBe('400 M_UNKNOWN')
})

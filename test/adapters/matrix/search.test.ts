/** Looking for words: in all rooms of the account and in no other, as the messages read now. */
import { expect, test } from 'vitest'
import { type Answer, openStages, type Program } from './support.ts'

const look = async (program: Program, term: string, more: object = {}, query = ''): Promise<Answer> =>
  (await program.post(`/search${query}`, { search_categories: { room_events: { search_term: term, ...more } } }))
    .search_categories.room_events
const bodies = ({ results }: Answer): string[] => results.map(({ result }: Answer) => result.content.body)

test('words are found whatever their case, the latest first, page by page', async () => {
  await using stages = await openStages(['alice'])
  const alice = await stages.of('alice').logIn()
  const { room_id: room } = await alice.post('/createRoom', { name: 'Notes' })
  const { room_id: other } = await alice.post('/createRoom', { name: 'Other' })
  for (let at = 0; at < 5; at += 1) await alice.say(at % 2 === 0 ? room : other, `Cup ${at} of TEA`)
  await alice.say(room, 'Coffee')
  expect(bodies(await look(alice, 'tea cup'))).toEqual([
    'Cup 4 of TEA',
    'Cup 3 of TEA',
    'Cup 2 of TEA',
    'Cup 1 of TEA',
    'Cup 0 of TEA',
  ])
  expect(bodies(await look(alice, 'tea', { filter: { rooms: [other] } }))).toEqual(['Cup 3 of TEA', 'Cup 1 of TEA'])
  const first = await look(alice, 'tea', { filter: { limit: 2 } })
  const second = await look(alice, 'tea', { filter: { limit: 2 } }, `?next_batch=${first.next_batch}`)
  expect([...bodies(first), ...bodies(second)]).toEqual([
    'Cup 4 of TEA',
    'Cup 3 of TEA',
    'Cup 2 of TEA',
    'Cup 1 of TEA',
  ])
  const { context } = (await look(alice, 'coffee', { event_context: { before_limit: 1, after_limit: 1 } })).results[0]
  expect(context.events_before.map(({ content }: Answer) => content.body)).toEqual(['Cup 4 of TEA'])
})

test('what was edited is found by its new words, what was taken back by none', async () => {
  await using stages = await openStages(['alice'])
  const alice = await stages.of('alice').logIn()
  const { room_id: room } = await alice.post('/createRoom', { name: 'Notes' })
  const said = await alice.say(room, 'Apples')
  await alice.say(room, '* Pears', {
    'm.new_content': { msgtype: 'm.text', body: 'Pears' },
    'm.relates_to': { rel_type: 'm.replace', event_id: said },
  })
  expect((await look(alice, 'apples')).results).toEqual([])
  expect((await look(alice, 'pears')).results[0].result.event_id).toBe(said)
  await alice.redact(room, said)
  expect((await look(alice, 'pears')).results).toEqual([])
})

test('nothing of other people’s rooms is found', async () => {
  await using stages = await openStages()
  const [alice, bob] = [await stages.of('alice').logIn(), await stages.of('bob').logIn()]
  const { room_id: room } = await alice.post('/createRoom', { name: 'Mine' })
  await alice.say(room, 'A secret')
  expect((await look(bob, 'secret')).results).toEqual([])
  expect(await bob.refused('POST', '/search', { search_categories: { room_events: { search_term: ' ' } } })).toBe(
    '400 M_INVALID_PARAM',
  )
})

test('what fits most closely comes first unless the latest are asked for, in groups where those are', async () => {
  await using stages = await openStages(['alice'])
  const alice = await stages.of('alice').logIn()
  const { room_id: room } = await alice.post('/createRoom', { name: 'Notes' })
  const { room_id: other } = await alice.post('/createRoom', { name: 'Other' })
  const exact = await alice.say(room, 'ＴＥＡ')
  const close = await alice.say(other, 'Tea, tea!')
  const loose = await alice.say(room, 'There was some tea and a lot of cake on the table')
  const ids = ({ results }: Answer): string[] => results.map(({ result }: Answer) => result.event_id)
  expect(ids(await look(alice, 'tea'))).toEqual([exact, close, loose])
  expect(ids(await look(alice, 'tea', { order_by: 'recent' }))).toEqual([loose, close, exact])
  for (const order of ['rank', 'recent']) {
    const pages: string[] = []
    let query = ''
    do {
      const page = await look(alice, 'tea', { order_by: order, filter: { limit: 1 } }, query)
      pages.push(...ids(page))
      query = page.next_batch === undefined ? '' : `?next_batch=${page.next_batch}`
    } while (query !== '')
    expect(pages).toEqual(order === 'rank' ? [exact, close, loose] : [loose, close, exact])
  }
  const { groups, state, highlights } = await look(alice, 'tea', {
    groupings: { group_by: [{ key: 'room_id' }, { key: 'sender' }] },
    include_state: true,
  })
  expect(groups.room_id).toEqual({
    [room]: { order: 0, results: [exact, loose] },
    [other]: { order: 1, results: [close] },
  })
  expect(groups.sender[alice.user].results).toEqual([exact, close, loose])
  expect(Object.keys(state).toSorted((a, b) => (a < b ? -1 : 1))).toEqual(
    [room, other].toSorted((a, b) => (a < b ? -1 : 1)),
  )
  expect(highlights).toEqual(['tea'])
  const { context } = (await look(alice, 'cake', { event_context: { include_profile: true } })).results[0]
  expect(Object.keys(context.profile_info)).toContain(alice.user)
  const wrong = { search_categories: { room_events: { search_term: 'tea' } } }
  expect(await alice.refused('POST', '/search?next_batch=x', wrong)).toBe('400 M_INVALID_PARAM')
})

/** /sync: nothing missing and nothing twice, from any token that was ever given, also after the gateway began anew. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { type Answer, openStages, type Program, Server } from './support.ts'

async function openOne() {
  const stages = await openStages(['alice'])
  const alice = await stages.of('alice').logIn()
  const { room_id: room } = await alice.post('/createRoom', { name: 'Notes' })
  return { stages, alice, room, [Symbol.asyncDispose]: () => stages[Symbol.asyncDispose]() }
}

const eventsIn = (answer: Answer, room: string): readonly string[] =>
  answer.rooms?.join?.[room]?.timeline.events.map(({ event_id: id }: Answer) => id) ?? []

/** All of a room, oldest first. */
async function history(program: Program, room: string): Promise<readonly string[]> {
  const { chunk } = await program.get(`/rooms/${room}/messages?dir=f&limit=1000`)
  return chunk.map(({ event_id: id }: Answer) => id)
}

test('from each token on there is what came after it, in order', async () => {
  await using one = await openOne()
  const { alice, room } = one
  const tokens: string[] = []
  for (let at = 0; at < 12; at += 1) {
    tokens.push((await alice.sync()).next_batch)
    await alice.say(room, `Note ${at}`)
  }
  const all = await history(alice, room)
  for (const [at, token] of tokens.entries()) {
    const answer = await alice.get(`/sync?since=${token}`)
    expect(eventsIn(answer, room)).toEqual(all.slice(all.length - 12 + at))
    expect(answer.rooms.join[room].timeline.limited).toBe(false)
  }
})

test('where there is more than a program takes at once, the rest is before the token it gets', async () => {
  await using one = await openOne()
  const { alice, room } = one
  const { next_batch: since } = await alice.sync()
  for (let at = 0; at < 25; at += 1) await alice.say(room, `Note ${at}`)
  await alice.put(`/rooms/${room}/state/m.room.name`, { name: 'Many notes' })
  for (let at = 25; at < 30; at += 1) await alice.say(room, `Note ${at}`)
  const filter = encodeURIComponent(JSON.stringify({ room: { timeline: { limit: 3 } } }))
  const answer = await alice.get(`/sync?since=${since}&filter=${filter}`)
  const { timeline, state } = answer.rooms.join[room]
  expect(timeline.limited).toBe(true)
  expect(timeline.events).toHaveLength(3)
  expect(state.events.map(({ content }: Answer) => content.name)).toEqual(['Many notes'])
  const before: string[] = []
  let from: string | undefined = timeline.prev_batch
  while (from !== undefined) {
    const page: Answer = await alice.get(`/rooms/${room}/messages?dir=b&from=${from}&limit=7`)
    before.unshift(...page.chunk.map(({ event_id: id }: Answer) => id).toReversed())
    from = page.end
  }
  expect([...before, ...eventsIn(answer, room)]).toEqual(await history(alice, room))
})

test('pages from any event in either direction meet without a gap', async () => {
  await using one = await openOne()
  const { alice, room } = one
  for (let at = 0; at < 20; at += 1) await alice.say(room, `Note ${at}`)
  const all = await history(alice, room)
  await fc.assert(
    fc.asyncProperty(fc.nat(all.length - 1), fc.integer({ min: 1, max: 9 }), async (at, limit) => {
      const around = await alice.get(`/rooms/${room}/context/${encodeURIComponent(all[at]!)}?limit=${limit}`)
      const ids = (list: Answer): string[] => list.map(({ event_id: id }: Answer) => id)
      const middle = [...ids(around.events_before).toReversed(), around.event.event_id, ...ids(around.events_after)]
      const page = (dir: string, from: string) =>
        alice.get(`/rooms/${room}/messages?dir=${dir}&from=${from}&limit=1000`)
      const [before, after] = [await page('b', around.start), await page('f', around.end)]
      expect([...ids(before.chunk).toReversed(), ...middle, ...ids(after.chunk)]).toEqual(all)
    }),
    { numRuns: 30 },
  )
})

test('a held request ends with the first news, and tells nothing twice', async () => {
  await using one = await openOne()
  const { alice, room } = one
  await alice.sync()
  const held = alice.sync({ timeout: '20000' })
  const said = await alice.say(room, 'News')
  expect(eventsIn(await held, room)).toEqual([said])
  expect((await alice.sync()).rooms).toBeUndefined()
})

test('after the gateway has begun anew tokens, rooms and logins are what they were', async () => {
  await using one = await openOne()
  const { alice, room, stages } = one
  const { next_batch: since } = await alice.sync()
  const said = await alice.say(room, 'Before')
  const old = stages.of('alice')
  await old[Symbol.asyncDispose]()
  await using server = await Server.open(old.gateway)
  const again = async (path: string) => (await server.ask('GET', path, { token: alice.token })).body
  const answer = await again(`/sync?since=${since}`)
  expect(eventsIn(answer, room)).toEqual([said])
  expect((await again('/account/whoami')).user_id).toBe(alice.user)
})

test('what came while no program was there is told to the first that comes', async () => {
  await using stages = await openStages()
  const bob = await stages.of('bob').logIn()
  await bob.sync()
  const { results } = await bob.post('/user_directory/search', { search_term: 'alice' })
  const room = await bob.chatWith(results[0].user_id)
  for (const text of ['One', 'Two', 'Three']) await bob.say(room, text)
  const { knowledge, account } = stages.of('alice').gateway
  await expect.poll(() => knowledge.conversations.list(account)[0]?.shown, { timeout: 10_000 }).toBe(3)
  const alice = await stages.of('alice').logIn()
  await alice.sync()
  expect(await alice.words(room)).toEqual(['One', 'Two', 'Three'])
})

test('members are told as they are needed, where a program wants it so', async () => {
  await using stages = await openStages(['alice', 'bob', 'carol'])
  const [alice, bob] = [await stages.of('alice').logIn(), await stages.of('bob').logIn()]
  await alice.sync()
  const find = async (name: string) =>
    (await alice.post('/user_directory/search', { search_term: name })).results[0].user_id as string
  const { room_id: room } = await alice.post('/createRoom', {
    name: 'Team',
    invite: [await find('bob'), await find('carol')],
  })
  await bob.until((answer) => answer.rooms?.join?.[room])
  for (let at = 0; at < 5; at += 1) await bob.say(room, `Note ${at}`)
  await alice.event(({ content }) => content.body === 'Note 4')
  const lazy = { room: { timeline: { limit: 2 }, state: { lazy_load_members: true } } }
  const answer = await alice.get(`/sync?filter=${encodeURIComponent(JSON.stringify(lazy))}`)
  const members = answer.rooms.join[room].state.events
    .filter(({ type }: Answer) => type === 'm.room.member')
    .map(({ state_key: who }: Answer) => who)
  expect(members.toSorted()).toEqual([await find('bob'), alice.user].toSorted())
})

test('a token of nowhere is refused, and so is a filter that is none', async () => {
  await using one = await openOne()
  const { alice } = one
  expect(await alice.refused('GET', '/sync?since=nonsense')).toBe('400 M_INVALID_PARAM')
  expect(await alice.refused('GET', '/sync?filter=%7Bbroken')).toBe('400 M_BAD_JSON')
  expect(await alice.refused('GET', `/rooms/!nowhere:localhost/messages?dir=b`)).toBe('403 M_FORBIDDEN')
})

/** What programs look up: what they were told of, events by time, rooms in few words, and tokens that show who somebody is. */
import { expect, test } from 'vitest'
import { type Answer, openStages, type Program, type Server } from './support.ts'

interface Office extends AsyncDisposable {
  readonly server: Server
  readonly alice: Program
  readonly bob: Program
  readonly room: string
}

/** Two accounts of one gateway in a room. */
async function openOffice(): Promise<Office> {
  const stages = await openStages(['alice'])
  const server = stages.of('alice')
  const { identity } = await server.gateway.knowledge.accounts.create({ localName: 'bob' })
  const [alice, bob] = [await server.logIn(), await server.logIn(identity)]
  const { room_id: room } = await alice.post('/createRoom', { name: 'Team', invite: [bob.user] })
  await bob.until((answer) => answer.rooms?.join?.[room])
  return { server, alice, bob, room, [Symbol.asyncDispose]: () => stages[Symbol.asyncDispose]() }
}

test('what somebody was told of is listed over all rooms, with what they have read of it', async () => {
  await using office = await openOffice()
  const { alice, bob, room } = office
  const chat = await alice.chatWith(bob.user)
  const said = [await alice.say(room, 'One'), await alice.say(chat, 'Two')]
  const mention = { 'm.mentions': { user_ids: [bob.user] } }
  said.push(await alice.say(room, 'Three', mention), await bob.say(chat, 'Four'))
  await alice.send(room, { msgtype: 'm.notice', body: 'A notice' })
  const told = (await bob.get('/notifications')).notifications
  expect(told.map((one: Answer) => [one.event.content.body, one.room_id, one.read])).toEqual([
    ['Three', room, false],
    ['Two', chat, true],
    ['One', room, false],
  ])
  expect(told[0].actions).toContainEqual({ set_tweak: 'highlight' })
  expect(told[0].ts).toBeGreaterThan(Date.now() - 60_000)
  const highlights = (await bob.get('/notifications?only=highlight')).notifications
  expect(highlights.map((one: Answer) => one.event.event_id)).toEqual([said[2]])
  const pages: string[] = []
  let from = ''
  do {
    const page = await bob.get(`/notifications?limit=1${from}`)
    pages.push(...page.notifications.map((one: Answer) => one.event.content.body))
    from = page.next_token === undefined ? '' : `&from=${page.next_token}`
  } while (from !== '')
  expect(pages).toEqual(['Three', 'Two', 'One'])
  expect(await bob.refused('GET', '/notifications?from=nonsense')).toBe('400 M_INVALID_PARAM')
})

test('the event nearest to a moment is found on the side that is asked for', async () => {
  await using office = await openOffice()
  const { alice, room } = office
  const ids: string[] = []
  const times: number[] = []
  for (const words of ['One', 'Two', 'Three']) {
    const id = await alice.say(room, words)
    const event = await alice.get(`/rooms/${room}/event/${encodeURIComponent(id)}`)
    ids.push(id)
    times.push(event.origin_server_ts)
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
  const path = `/_matrix/client/v1/rooms/${room}/timestamp_to_event`
  const near = async (ts: number, dir: string) => (await alice.get(`${path}?ts=${ts}&dir=${dir}`)).event_id
  expect(await near(times[1]!, 'f')).toBe(ids[1])
  expect(await near(times[1]!, 'b')).toBe(ids[1])
  expect(await near(times[1]! + 1, 'f')).toBe(ids[2])
  expect(await near(times[2]! - 1, 'b')).toBe(ids[1])
  const refused = (query: string) => alice.refused('GET', `${path}?${query}`)
  expect(await refused(`ts=${times[2]! + 1}&dir=f`)).toBe('404 M_NOT_FOUND')
  expect(await refused('ts=1&dir=b')).toBe('404 M_NOT_FOUND')
  expect(await refused('dir=b')).toBe('400 M_MISSING_PARAM')
  for (const ts of ['-1', 'x', '1.5', '1e300']) expect(await refused(`ts=${ts}&dir=f`)).toBe('400 M_INVALID_PARAM')
})

test('a room is told in few words to who is in it, and to nobody else', async () => {
  await using office = await openOffice()
  const { alice, bob, room, server } = office
  const words = {
    room_id: room,
    name: 'Team',
    num_joined_members: 2,
    join_rule: 'invite',
    guest_can_join: false,
    world_readable: false,
  }
  expect(await bob.get(`/_matrix/client/v1/room_summary/${room}`)).toMatchObject({ ...words, membership: 'join' })
  const { rooms } = await alice.get(`/_matrix/client/v1/rooms/${room}/hierarchy?limit=5&max_depth=0`)
  expect(rooms).toMatchObject([{ ...words, children_state: [] }])
  const { identity } = await server.gateway.knowledge.accounts.create({ localName: 'carol' })
  const carol = await server.logIn(identity)
  expect(await carol.refused('GET', `/_matrix/client/v1/room_summary/${room}`)).toBe('404 M_NOT_FOUND')
  expect(await carol.refused('GET', `/_matrix/client/v1/rooms/${room}/hierarchy`)).toBe('403 M_FORBIDDEN')
  for (const query of ['limit=0', 'limit=x', 'max_depth=-1', 'from=x'])
    expect(await alice.refused('GET', `/_matrix/client/v1/rooms/${room}/hierarchy?${query}`)).toBe(
      '400 M_INVALID_PARAM',
    )
  expect(await carol.refused('GET', `/directory/list/room/${room}`)).toBe('403 M_FORBIDDEN')
})

test('a token for services says whose it is, and opens nothing', async () => {
  await using office = await openOffice()
  const { alice, bob, server } = office
  const path = `/user/${encodeURIComponent(alice.user)}/openid/request_token`
  const token = await alice.post(path)
  expect(token).toEqual({
    access_token: expect.any(String),
    token_type: 'Bearer',
    matrix_server_name: 'localhost',
    expires_in: 3600,
  })
  const whose = async (of: string) =>
    await server.ask('GET', `/_matrix/federation/v1/openid/userinfo?access_token=${encodeURIComponent(of)}`)
  expect((await whose(token.access_token)).body).toEqual({ sub: alice.user })
  for (const of of ['', 'x', alice.token]) expect((await whose(of)).body.errcode).toBe('M_UNKNOWN_TOKEN')
  expect((await server.ask('GET', '/account/whoami', { token: token.access_token })).status).toBe(401)
  expect(await bob.refused('POST', path, {})).toBe('403 M_FORBIDDEN')
})

/** What SyTest and Complement found: behaviour that programs count on and that nothing here showed before. */
import { expect, test } from 'vitest'
import { membershipOf } from '../../../src/adapters/matrix/rooms/room-state.ts'
import { type Answer, openStages, type Program, type Stages } from './support.ts'

interface Office extends AsyncDisposable {
  readonly stages: Stages
  readonly alice: Program
  readonly bob: Program
}

/** Two accounts of one gateway. */
async function openOffice(): Promise<Office> {
  const stages = await openStages(['alice'])
  const server = stages.of('alice')
  const { identity } = await server.gateway.knowledge.accounts.create({ localName: 'bob' })
  const [alice, bob] = [await server.logIn(), await server.logIn(identity)]
  return { stages, alice, bob, [Symbol.asyncDispose]: () => stages[Symbol.asyncDispose]() }
}

async function sharedRoom({ alice, bob }: Office): Promise<string> {
  const { room_id: room } = await alice.post('/createRoom', { name: 'Team', invite: [bob.user] })
  await bob.until((answer) => answer.rooms?.join?.[room])
  await alice.sync()
  return room
}

const filtered = (filter: object): Readonly<Record<string, string>> => ({ filter: JSON.stringify(filter) })

test('a type below m.room. that the specification does not know is sent and read like any other', async () => {
  await using office = await openOffice()
  const room = await sharedRoom(office)
  const sent = await office.alice.send(room, { is: 'new' }, 'm.room.of_tomorrow')
  const { type, content } = await office.bob.event(({ event_id: id }) => id === sent)
  expect([type, content]).toEqual(['m.room.of_tomorrow', { is: 'new' }])
  expect(await office.alice.refused('PUT', `/rooms/${room}/send/m.room.member/1`, {})).toBe('403 M_FORBIDDEN')
})

test('a body that is no UTF-8 is no JSON', async () => {
  await using stages = await openStages(['alice'])
  const { port } = stages.of('alice')
  const answer = await fetch(`http://127.0.0.1:${port}/_matrix/client/v3/login`, {
    method: 'POST',
    body: Buffer.from('{"type":"\xff"}', 'latin1'),
  })
  expect([answer.status, ((await answer.json()) as Answer).errcode]).toEqual([400, 'M_NOT_JSON'])
})

test('numbers of events are whole and exact', async () => {
  await using office = await openOffice()
  const room = await sharedRoom(office)
  const send = (body: unknown, at: number) => office.alice.refused('PUT', `/rooms/${room}/send/x.y/${at}`, body)
  for (const [at, of] of ['1.5', '9007199254740992', '-9007199254740992', '[{"deep":0.1}]'].entries())
    expect(await send(`{"of":${of}}`, at)).toBe('400 M_BAD_JSON')
  await office.alice.send(room, { of: [9_007_199_254_740_991, 1] }, 'x.y')
})

test('a session for one device is no yes to another, and another’s password is none', async () => {
  await using office = await openOffice()
  const { alice, bob, stages } = office
  const server = stages.of('alice')
  const others = [await server.logInWith(alice.password), await server.logInWith(alice.password)]
  const ask = (device: string, auth?: object) =>
    server.ask('DELETE', `/devices/${device}`, { token: alice.token, body: { auth } })
  const [first, second] = [others[0]!.device, others[1]!.device]
  const { status, body } = await ask(first)
  expect(status).toBe(401)
  expect(body).toEqual({ flows: [{ stages: ['m.login.password'] }], params: {}, session: expect.any(String) })
  const auth = { type: 'm.login.password', password: alice.password, session: body.session }
  expect((await ask(second, auth)).status).toBe(403)
  const identifier = { type: 'm.id.user', user: bob.user }
  expect((await ask(first, { ...auth, identifier, password: bob.password })).status).toBe(403)
  const wrong = await ask(first, { ...auth, password: 'wrong' })
  expect([wrong.status, wrong.body.errcode, wrong.body.session]).toEqual([401, 'M_FORBIDDEN', body.session])
  expect((await ask(first, auth)).status).toBe(200)
  const { devices } = await alice.get('/devices')
  expect(devices.map(({ device_id: id }: Answer) => id)).not.toContain(first)
  expect(devices.map(({ device_id: id }: Answer) => id)).toContain(second)
})

test('the limit of a timeline counts what the filter leaves, and 0 is nothing', async () => {
  await using office = await openOffice()
  const room = await sharedRoom(office)
  const { alice } = office
  const said = [await alice.say(room, 'one'), await alice.say(room, 'two')]
  for (let at = 0; at < 30; at += 1) await alice.send(room, { at }, 'x.filler')
  const timelineOf = async (timeline: object, since?: string): Promise<Answer> => {
    const asked = new URLSearchParams({
      ...filtered({ room: { timeline } }),
      ...(since === undefined ? {} : { since }),
    })
    return (await alice.get(`/sync?${asked.toString()}`)).rooms.join[room].timeline
  }
  for (const since of [undefined, alice.since]) {
    const two = await timelineOf({ types: ['m.room.message'], senders: [alice.user], limit: 2 }, since)
    expect(two.events.map(({ event_id: id }: Answer) => id)).toEqual(said)
    expect(two.limited).toBe(false)
    const one = await timelineOf({ types: ['m.room.message'], limit: 1 }, since)
    expect([one.events.map(({ event_id: id }: Answer) => id), one.limited]).toEqual([[said[1]], true])
    const { chunk } = await alice.get(`/rooms/${room}/messages?dir=b&from=${one.prev_batch}&limit=1`)
    expect(chunk[0].event_id).toBe(said[0])
    expect(await timelineOf({ limit: 0 }, since)).toMatchObject({ events: [], limited: true })
  }
})

test('a room of which the filter leaves nothing is not there', async () => {
  await using office = await openOffice()
  const room = await sharedRoom(office)
  await office.alice.say(room, 'hello')
  const none = { types: [] }
  const answer = await office.alice.sync(filtered({ room: { timeline: none, state: none } }))
  expect(answer.rooms).toBeUndefined()
})

test('a program that loads members as it needs them hears who came and went since', async () => {
  await using office = await openOffice()
  const { alice, bob } = office
  const { room_id: room } = await alice.post('/createRoom', { name: 'Team' })
  const lazy = filtered({ room: { state: { lazy_load_members: true }, timeline: { limit: 2 } } })
  const members = (answer: Answer): unknown =>
    answer.rooms.join[room].state.events
      .filter(({ type, state_key: who }: Answer) => type === 'm.room.member' && who === bob.user)
      .map(({ content }: Answer) => content.membership)
  await alice.sync(lazy)
  await alice.post(`/rooms/${room}/invite`, { user_id: bob.user })
  await bob.until((answer) => answer.rooms?.join?.[room])
  for (let at = 0; at < 3; at += 1) await alice.say(room, `${at}`)
  expect(members(await alice.sync(lazy))).toEqual(['join'])
  await alice.post(`/rooms/${room}/kick`, { user_id: bob.user })
  for (let at = 0; at < 3; at += 1) await alice.say(room, `${at}`)
  expect(members(await alice.sync(lazy))).toEqual(['leave'])
})

test('who leaves a room hears of that, and of nothing that changes in it', async () => {
  await using office = await openOffice()
  const { alice } = office
  const { room_id: room } = await alice.post('/createRoom', { name: 'Alone' })
  await alice.sync()
  await alice.post(`/rooms/${room}/leave`)
  const left = await alice.until((answer) => answer.rooms?.leave?.[room])
  expect(left.timeline.events.map(({ type, content }: Answer) => [type, content.membership])).toEqual([
    ['m.room.member', 'leave'],
  ])
})

test('what ignored people say is not told, and what they are in a room is', async () => {
  await using office = await openOffice()
  const { alice, bob } = office
  const room = await sharedRoom(office)
  await alice.put(`/user/${alice.user}/account_data/m.ignored_user_list`, { ignored_users: { [bob.user]: {} } })
  await alice.sync()
  const unheard = await bob.say(room, 'Do you hear me?')
  await bob.put(`/profile/${bob.user}/displayname`, { displayname: 'Robert' })
  const heard = await alice.say(room, 'No')
  const told: Answer[] = []
  await alice.until((answer) => {
    told.push(...(answer.rooms?.join?.[room]?.timeline.events ?? []))
    return told.some(({ event_id: id }) => id === heard) || undefined
  })
  expect(told.map(({ event_id: id }) => id)).not.toContain(unheard)
  expect(told.some(({ state_key: who }) => who === bob.user)).toBe(true)
  await alice.put(`/user/${alice.user}/account_data/m.ignored_user_list`, { ignored_users: {} })
  const later = await bob.say(room, 'And now?')
  expect((await alice.event(({ event_id: id }) => id === later)).content.body).toBe('And now?')
})

test('state that stands already is set by anybody, and changes nothing', async () => {
  await using office = await openOffice()
  const { bob } = office
  const room = await sharedRoom(office)
  const stands = await bob.get(`/rooms/${room}/state/m.room.guest_access?format=event`)
  const again = await bob.put(`/rooms/${room}/state/m.room.guest_access`, stands.content)
  expect(again.event_id).toBe(stands.event_id)
  const change = { guest_access: 'can_join' }
  expect(await bob.refused('PUT', `/rooms/${room}/state/m.room.guest_access`, change)).toBe('403 M_FORBIDDEN')
})

test('a name for one room only is refused, not taken and forgotten', async () => {
  await using office = await openOffice()
  const room = await sharedRoom(office)
  const { alice } = office
  const path = `/rooms/${room}/state/m.room.member/${alice.user}`
  const own = await alice.get(path)
  await alice.put(path, own)
  expect(await alice.refused('PUT', path, { ...own, displayname: 'Only here' })).toBe('403 M_FORBIDDEN')
})

test('who is not in a room is neither removed from it nor banned', async () => {
  await using office = await openOffice()
  const { alice, bob } = office
  const { room_id: room } = await alice.post('/createRoom', { name: 'Alone' })
  for (const action of ['kick', 'ban'])
    for (const user of [bob.user, '@nobody:example.com'])
      expect(await alice.refused('POST', `/rooms/${room}/${action}`, { user_id: user })).toBe('403 M_FORBIDDEN')
})

test('rooms are made in the version that there is, and are listed nowhere', async () => {
  await using office = await openOffice()
  const { alice, stages } = office
  const { capabilities } = await alice.get('/capabilities')
  const version = capabilities['m.room_versions'].default
  const { room_id: room } = await alice.post('/createRoom', { room_version: version })
  expect(await alice.refused('POST', '/createRoom', { room_version: '2' })).toBe('400 M_UNSUPPORTED_ROOM_VERSION')
  expect(await alice.get(`/directory/list/room/${room}`)).toEqual({ visibility: 'private' })
  await alice.put(`/directory/list/room/${room}`, { visibility: 'private' })
  expect(await alice.refused('PUT', `/directory/list/room/${room}`, {})).toBe('403 M_FORBIDDEN')
  const alias = encodeURIComponent('#team:localhost')
  expect(await alice.refused('PUT', `/directory/room/${alias}`, { room_id: room })).toBe('403 M_FORBIDDEN')
  const open = await stages.of('alice').ask('GET', '/publicRooms')
  expect([open.status, open.body.chunk]).toEqual([200, []])
})

test('filters that name no rooms or people are refused', async () => {
  await using stages = await openStages(['alice'])
  const alice = await stages.of('alice').logIn()
  for (const timeline of [{ rooms: ['none'] }, { senders: ['none'] }, { not_senders: ['none'] }, { limit: 'many' }])
    expect(await alice.refused('POST', `/user/${alice.user}/filter`, { room: { timeline } })).toBe('400 M_BAD_JSON')
})

test('one’s own presence is what one said, and colleagues see it where it is told', async () => {
  await using office = await openOffice()
  const { alice, bob, stages } = office
  await sharedRoom(office)
  const { knowledge } = stages.of('alice').gateway
  const bobs = knowledge.accounts.byUser('bob')!.identity
  const seen = async (program: Program): Promise<string> => (await program.get(`/presence/${bob.user}/status`)).presence
  await bob.put(`/presence/${bob.user}/status`, { presence: 'unavailable' })
  expect([await seen(bob), await seen(alice)]).toEqual(['unavailable', 'offline'])
  await knowledge.store.write((tx) => knowledge.conversations.setSettings(tx, bobs, { tellsPresence: true }))
  await alice.sync()
  await bob.put(`/presence/${bob.user}/status`, { presence: 'online' })
  const told = await alice.until((answer) => answer.presence?.events.find(({ sender }: Answer) => sender === bob.user))
  expect(told.content.presence).toBe('online')
})

test('a room that was left is told to a program that asks for those, and a forgotten one is read no more', async () => {
  await using office = await openOffice()
  const { alice } = office
  const { room_id: room } = await alice.post('/createRoom', { name: 'Over' })
  const said = await alice.say(room, 'The last word')
  await alice.sync()
  await alice.post(`/rooms/${room}/leave`)
  const all = await alice.get(`/sync?filter=${encodeURIComponent('{"room":{"include_leave":true}}')}`)
  const { timeline, state } = all.rooms.leave[room]
  expect(timeline.events.map(({ event_id: id }: Answer) => id)).toContain(said)
  expect(timeline.events.at(-1).content.membership).toBe('leave')
  expect([...state.events, ...timeline.events].some(({ type }: Answer) => type === 'm.room.create')).toBe(true)
  expect(await alice.refused('GET', `/rooms/${room}/joined_members`)).toBe('403 M_FORBIDDEN')
  await alice.get(`/rooms/${room}/messages?dir=b`)
  await alice.post(`/rooms/${room}/forget`)
  expect(await alice.refused('GET', `/rooms/${room}/messages?dir=b`)).toBe('403 M_FORBIDDEN')
  expect((await alice.sync()).rooms.leave[room]).toBeDefined()
  expect((await alice.get('/sync?full_state=true')).rooms?.leave).toBeUndefined()
})

test('members are told as they were at a token', async () => {
  await using office = await openOffice()
  const { alice, bob } = office
  const { room_id: room } = await alice.post('/createRoom', { name: 'Team' })
  const { next_batch: alone } = await alice.sync()
  await alice.post(`/rooms/${room}/invite`, { user_id: bob.user })
  const { next_batch: both } = await alice.sync()
  await alice.post(`/rooms/${room}/kick`, { user_id: bob.user })
  const at = async (token: string): Promise<readonly unknown[]> =>
    (await alice.get(`/rooms/${room}/members?at=${token}`)).chunk.map(({ state_key: who, content }: Answer) => [
      who,
      content.membership,
    ])
  expect(await at(alone)).toEqual([[alice.user, 'join']])
  expect(new Map((await at(both)) as [string, string][])).toEqual(
    new Map([
      [alice.user, 'join'],
      [bob.user, 'join'],
    ]),
  )
})

test('colleagues in a group see who types, where that is told', async () => {
  await using office = await openOffice()
  const { alice, bob, stages } = office
  const room = await sharedRoom(office)
  const { knowledge } = stages.of('alice').gateway
  const typing = async (program: Program): Promise<readonly string[]> => {
    const { ephemeral } = await program.until((answer) => answer.rooms?.join?.[room])
    return ephemeral.events.find(({ type }: Answer) => type === 'm.typing')?.content.user_ids
  }
  await bob.put(`/rooms/${room}/typing/${bob.user}`, { typing: true })
  expect(await typing(bob)).toEqual([bob.user])
  expect((await alice.sync()).rooms).toBeUndefined()
  await bob.put(`/rooms/${room}/typing/${bob.user}`, { typing: false })
  const bobs = knowledge.accounts.byUser('bob')!.identity
  await knowledge.store.write((tx) => knowledge.conversations.setSettings(tx, bobs, { tellsPresence: true }))
  await bob.put(`/rooms/${room}/typing/${bob.user}`, { typing: true })
  expect(await typing(alice)).toEqual([bob.user])
})

test('power levels that a group has not are refused, not taken and forgotten', async () => {
  await using office = await openOffice()
  const { alice } = office
  const room = await sharedRoom(office)
  const path = `/rooms/${room}/state/m.room.power_levels`
  const levels = await alice.get(path)
  for (const change of [{ ban: 50 }, { users_default: 10 }, { events_default: 50 }, { events: { 'm.room.name': 0 } }])
    expect(await alice.refused('PUT', path, { ...levels, ...change })).toBe('403 M_FORBIDDEN')
  await alice.put(path, { ...levels, events_default: 100 })
  expect(await alice.get(path)).toEqual({ ...levels, events_default: 100 })
})

test('an event that is too large is refused as such, state too', async () => {
  await using office = await openOffice()
  const room = await sharedRoom(office)
  const content = { name: 'x'.repeat(70_000) }
  for (const path of [`send/x.y/1`, 'state/m.room.name', 'state/x.y'])
    expect(await office.alice.refused('PUT', `/rooms/${room}/${path}`, content)).toBe('413 M_TOO_LARGE')
})

test('with a room comes who of its people is there', async () => {
  await using office = await openOffice()
  const { alice, bob, stages } = office
  const { knowledge } = stages.of('alice').gateway
  const bobs = knowledge.accounts.byUser('bob')!.identity
  await knowledge.store.write((tx) => knowledge.conversations.setSettings(tx, bobs, { tellsPresence: true }))
  await bob.sync()
  await alice.sync()
  await alice.post('/createRoom', { name: 'Team', invite: [bob.user] })
  const told = (await alice.sync()).presence.events.find(({ sender }: Answer) => sender === bob.user)
  expect(told.content.presence).toBe('online')
  const anew = await alice.get('/sync')
  expect(anew.presence.events.some(({ sender }: Answer) => sender === bob.user)).toBe(true)
})

test('a context for programs that load members as they need them names who wrote in it', async () => {
  await using office = await openOffice()
  const { alice, bob } = office
  const room = await sharedRoom(office)
  const said = await alice.say(room, 'Only me')
  await alice.say(room, 'And me again')
  const members = async (filter: object): Promise<readonly string[]> => {
    const query = `limit=2&filter=${encodeURIComponent(JSON.stringify(filter))}`
    const { state } = await alice.get(`/rooms/${room}/context/${encodeURIComponent(said)}?${query}`)
    expect(state.some(({ type }: Answer) => type === 'm.room.create')).toBe(true)
    return state.filter(({ type }: Answer) => type === 'm.room.member').map(({ state_key: who }: Answer) => who)
  }
  expect((await members({})).toSorted()).toEqual([alice.user, bob.user].toSorted())
  expect(await members({ lazy_load_members: true, senders: [alice.user] })).toEqual([alice.user])
})

test('the token before a timeline tells of members what they were when it was given', async () => {
  await using office = await openOffice()
  const { alice, bob } = office
  const { room_id: room } = await alice.post('/createRoom', { name: 'Team' })
  const at = (await alice.sync()).rooms.join[room].timeline.prev_batch
  await alice.post(`/rooms/${room}/invite`, { user_id: bob.user })
  const { chunk } = await alice.get(`/rooms/${room}/members?at=${at}`)
  expect(chunk.map(({ state_key: who }: Answer) => who)).toEqual([alice.user])
  // and it goes on being a place in the room
  expect((await alice.get(`/rooms/${room}/messages?dir=b&from=${at}`)).chunk).toEqual([])
  expect((await alice.get(`/sync?since=${at}`)).rooms.join[room]).toBeDefined()
})

test('push rules come with the first sync, also those that nobody has changed', async () => {
  await using stages = await openStages(['alice'])
  const alice = await stages.of('alice').logIn()
  const first = await alice.sync()
  const rules = first.account_data.events.find(({ type }: Answer) => type === 'm.push_rules').content
  expect(rules).toEqual(await alice.get('/pushrules/'))
  expect((await alice.sync()).account_data).toBeUndefined()
})

test('a room is made as its first state says who may read what was said before', async () => {
  await using office = await openOffice()
  const { alice } = office
  const made = async (visibility: string): Promise<string> => {
    const content = { history_visibility: visibility }
    const { room_id: room } = await alice.post('/createRoom', {
      initial_state: [{ type: 'm.room.history_visibility', state_key: '', content }],
    })
    return (await alice.get(`/rooms/${room}/state/m.room.history_visibility`)).history_visibility
  }
  expect([await made('shared'), await made('joined')]).toEqual(['shared', 'joined'])
  const open = { type: 'm.room.history_visibility', content: { history_visibility: 'world_readable' } }
  expect(await alice.refused('POST', '/createRoom', { initial_state: [open] })).toBe('403 M_FORBIDDEN')
})

test('that others have read brings no room to a program that does not want to hear it', async () => {
  await using office = await openOffice()
  const { alice, bob, stages } = office
  const room = await sharedRoom(office)
  const { knowledge } = stages.of('alice').gateway
  const bobs = knowledge.accounts.byUser('bob')!.identity
  await knowledge.store.write((tx) => knowledge.conversations.setSettings(tx, bobs, { tellsRead: true }))
  const said = await alice.say(room, 'Read this')
  await bob.event(({ event_id: id }) => id === said)
  const { next_batch: since } = await alice.sync()
  await bob.post(`/rooms/${room}/receipt/m.read/${encodeURIComponent(said)}`)
  await alice.until((answer) =>
    answer.rooms?.join?.[room]?.ephemeral.events.find(({ type }: Answer) => type === 'm.receipt'),
  )
  const asked = new URLSearchParams({ since, ...filtered({ room: { ephemeral: { types: [] } } }) })
  expect((await alice.get(`/sync?${asked.toString()}`)).rooms).toBeUndefined()
})

test('a group is a room in the commit that makes it: nothing comes between its first step and the group', async () => {
  await using stages = await openStages(['alice'])
  const { knowledge, node, account } = stages.of('alice').gateway
  await knowledge.store.write((tx) => {
    const group = node.delivery.groups.createIn(tx, account, 'Team')
    expect(membershipOf(knowledge, tx, account, { kind: 'group', group })).toBe('join')
  })
})

test('rooms that are made all at once are all there when that is answered', async () => {
  await using stages = await openStages(['alice'])
  const alice = await stages.of('alice').logIn()
  const made = await Promise.all(
    Array.from({ length: 40 }, async (_, at) => {
      const { room_id: room } = await alice.post('/createRoom', { name: `Room ${at}` })
      await alice.say(room, 'It is there')
      return room
    }),
  )
  const { joined_rooms: joined } = await alice.get('/joined_rooms')
  expect(new Set(joined)).toEqual(new Set(made))
})

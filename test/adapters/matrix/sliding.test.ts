/** Sliding sync, in both of its forms: the rooms that are looked at, whole at first and then what is new in them. */
import { expect, test } from 'vitest'
import { type Answer, openStages, type Program } from './support.ts'

const simplified = '/_matrix/client/unstable/org.matrix.simplified_msc3575/sync'

/** A connection of the earlier form. */
class Connection {
  readonly #program: Program
  readonly #request: object
  pos: string | undefined

  constructor(program: Program, request: object) {
    this.#program = program
    this.#request = request
  }

  async ask(more: object = {}, timeout = 0): Promise<Answer> {
    const query = `timeout=${timeout}${this.pos === undefined ? '' : `&pos=${encodeURIComponent(this.pos)}`}`
    const answer = await this.#program.post(`${simplified}?${query}`, { ...this.#request, ...more })
    this.pos = answer.pos
    return answer
  }
}

async function openRooms(count: number) {
  const stages = await openStages(['alice'])
  const alice = await stages.of('alice').logIn()
  const rooms: string[] = []
  for (let at = 0; at < count; at += 1) rooms.push((await alice.post('/createRoom', { name: `Room ${at}` })).room_id)
  return { stages, alice, rooms, [Symbol.asyncDispose]: () => stages[Symbol.asyncDispose]() }
}

const list = (range: readonly [number, number], more: object = {}) => ({
  lists: { all: { ranges: [range], timeline_limit: 5, required_state: [['m.room.name', '']], ...more } },
})

test('the busiest rooms come first, whole, and after that only what is new', async () => {
  await using world = await openRooms(5)
  const { alice, rooms } = world
  const connection = new Connection(alice, list([0, 1]))
  const first = await connection.ask()
  expect(first.lists.all.count).toBe(5)
  expect(Object.keys(first.rooms).toSorted()).toEqual([rooms[4]!, rooms[3]!].toSorted())
  const whole = first.rooms[rooms[4]!]
  expect(whole).toMatchObject({ initial: true, name: 'Room 4', joined_count: 1, num_live: 0 })
  expect(whole.required_state.map(({ type }: Answer) => type)).toEqual(['m.room.name'])
  expect((await connection.ask()).rooms).toEqual({})

  const said = await alice.say(rooms[4]!, 'News')
  const second = await connection.ask()
  expect(Object.keys(second.rooms)).toEqual([rooms[4]!])
  expect(second.rooms[rooms[4]!]).toMatchObject({ timeline: [{ event_id: said }], num_live: 1, required_state: [] })
  expect(second.rooms[rooms[4]!].initial).toBeUndefined()
  expect(second.rooms[rooms[4]!].bump_stamp).toBeGreaterThan(whole.bump_stamp)

  const older = await alice.say(rooms[0]!, 'From below')
  const third = await connection.ask()
  expect(Object.keys(third.rooms)).toEqual([rooms[0]!])
  expect(third.rooms[rooms[0]!].timeline.at(-1).event_id).toBe(older)
})

test('an answer that was not heard is given again, and a position of nowhere begins anew', async () => {
  await using world = await openRooms(2)
  const { alice, rooms } = world
  const connection = new Connection(alice, list([0, 9]))
  await connection.ask()
  const before = connection.pos
  const said = await alice.say(rooms[0]!, 'Once')
  expect((await connection.ask()).rooms[rooms[0]!].timeline).toMatchObject([{ event_id: said }])
  connection.pos = before
  expect((await connection.ask()).rooms[rooms[0]!].timeline).toMatchObject([{ event_id: said }])
  expect((await connection.ask()).rooms).toEqual({})
  expect(await alice.refused('POST', `${simplified}?pos=nowhere`, {})).toBe('400 M_UNKNOWN_POS')
  expect(await alice.refused('POST', `${simplified}?pos=${encodeURIComponent(before!)}`, {})).toBe('400 M_UNKNOWN_POS')
})

test('a request that is held ends with the first news', async () => {
  await using world = await openRooms(1)
  const { alice, rooms } = world
  const connection = new Connection(alice, list([0, 9]))
  await connection.ask()
  const held = connection.ask({}, 20_000)
  const said = await alice.say(rooms[0]!, 'News')
  expect((await held).rooms[rooms[0]!].timeline).toMatchObject([{ event_id: said }])
})

test('more of a timeline is told at once when it is asked for', async () => {
  await using world = await openRooms(1)
  const { alice, rooms } = world
  for (let at = 0; at < 8; at += 1) await alice.say(rooms[0]!, `Note ${at}`)
  const connection = new Connection(alice, list([0, 9], { timeline_limit: 1 }))
  expect((await connection.ask()).rooms[rooms[0]!].timeline).toHaveLength(1)
  const more = await connection.ask({ room_subscriptions: { [rooms[0]!]: { timeline_limit: 6, required_state: [] } } })
  expect(more.rooms[rooms[0]!]).toMatchObject({ unstable_expanded_timeline: true, num_live: 0 })
  expect(more.rooms[rooms[0]!].timeline).toHaveLength(6)
})

test('lists are of those rooms that fit, and nobody subscribes to a room of others', async () => {
  await using stages = await openStages()
  const [alice, bob] = [await stages.of('alice').logIn(), await stages.of('bob').logIn()]
  const { room_id: group } = await alice.post('/createRoom', { name: 'Team' })
  const direct = Object.keys((await bob.sync()).rooms.join)[0]!
  await alice.put(`/user/${alice.user}/rooms/${group}/tags/m.favourite`, {})
  const of = async (filters: object) =>
    Object.keys((await new Connection(alice, list([0, 9], { filters })).ask()).rooms)
  expect(await of({ is_dm: true })).toEqual([direct])
  expect(await of({ is_dm: false })).toEqual([group])
  expect(await of({ is_invite: true })).toEqual([])
  expect(await of({ tags: ['m.favourite'] })).toEqual([group])
  expect(await of({ not_tags: ['m.favourite'] })).toEqual([direct])
  expect(await of({ not_room_types: [null] })).toEqual([])
  const spy = new Connection(bob, {
    room_subscriptions: { [group]: { timeline_limit: 10, required_state: [['*', '*']] } },
  })
  expect((await spy.ask()).rooms).toEqual({})
})

test('what concerns the account is told where it is asked for', async () => {
  await using world = await openRooms(1)
  const { alice, rooms } = world
  const extensions = {
    account_data: { enabled: true },
    receipts: { enabled: true },
    to_device: { enabled: true },
    e2ee: { enabled: true },
    typing: { enabled: true },
  }
  const connection = new Connection(alice, { ...list([0, 9]), extensions })
  const said = await alice.say(rooms[0]!, 'Read this')
  const first = await connection.ask()
  expect(first.extensions.e2ee.device_one_time_keys_count).toEqual({ signed_curve25519: 0 })
  await alice.put(`/user/${alice.user}/account_data/org.example`, { a: 1 })
  await alice.post(`/rooms/${rooms[0]!}/receipt/m.read/${encodeURIComponent(said)}`)
  await alice.put(`/sendToDevice/m.test/1`, { messages: { [alice.user]: { [alice.device]: { n: 1 } } } })
  const second = await connection.ask()
  expect(second.extensions.account_data.global).toEqual([{ type: 'org.example', content: { a: 1 } }])
  expect(Object.keys(second.extensions.receipts.rooms)).toEqual(rooms)
  expect(second.extensions.to_device.events).toMatchObject([{ type: 'm.test', content: { n: 1 } }])
  const since = second.extensions.to_device.next_batch
  const third = await connection.ask({ extensions: { to_device: { enabled: true, since } } })
  expect(third.extensions.to_device.events).toEqual([])
})

test('the merged form says the same in its own words', async () => {
  await using world = await openRooms(1)
  const { alice, rooms } = world
  const lists = {
    all: {
      range: [0, 9],
      timeline_limit: 3,
      required_state: { include: [{ type: 'm.room.create' }], lazy_members: true },
    },
  }
  const first = await alice.post('/_matrix/client/v4/sync', { conn_id: 'main', lists })
  const room = first.rooms[rooms[0]!]
  expect(room).toMatchObject({ initial: true, membership: 'join', lists: ['all'], name: 'Room 0' })
  expect(room.timeline_events).toHaveLength(3)
  expect(room.required_state.map(({ type }: Answer) => type).toSorted()).toEqual(['m.room.create', 'm.room.member'])
  const said = await alice.say(rooms[0]!, 'News')
  const second = await alice.post('/_matrix/client/v4/sync', { conn_id: 'main', pos: first.pos, timeout: 1000, lists })
  expect(second.rooms[rooms[0]!].timeline_events).toMatchObject([{ event_id: said }])
})

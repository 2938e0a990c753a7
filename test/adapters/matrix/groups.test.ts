/** Groups as rooms: who is in them, who may do what, and what everybody else sees of it. */
import { expect, test } from 'vitest'
import { type Answer, openStages, type Program } from './support.ts'

async function openGroup(names: readonly string[] = ['alice', 'bob']) {
  const stages = await openStages(names)
  const programs = new Map<string, Program>()
  for (const name of names) {
    const program = await stages.of(name).logIn()
    await program.sync()
    programs.set(name, program)
  }
  const alice = programs.get('alice')!
  const users = new Map<string, string>()
  for (const name of names.slice(1)) users.set(name, await userOf(alice, name))
  return {
    stages,
    of: (name: string) => programs.get(name)!,
    /** As alice knows them. */
    user: (name: string) => users.get(name)!,
    [Symbol.asyncDispose]: () => stages[Symbol.asyncDispose](),
  }
}

async function userOf(program: Program, name: string): Promise<string> {
  const { results } = await program.post('/user_directory/search', { search_term: name })
  return results[0].user_id
}

const membersIn = async (program: Program, room: string): Promise<Record<string, string>> => {
  const { chunk } = await program.get(`/rooms/${room}/members`)
  return Object.fromEntries(chunk.map(({ state_key: who, content }: Answer) => [who, content.membership]))
}

const joined = (program: Program, room: string): Promise<Answer> =>
  program.until((answer) => answer.rooms?.join?.[room])

test('a contact who is added is in the room, and everybody reads what is said there', async () => {
  await using group = await openGroup(['alice', 'bob', 'carol'])
  const [alice, bob, carol] = [group.of('alice'), group.of('bob'), group.of('carol')]
  const { room_id: room } = await alice.post('/createRoom', {
    name: 'Team',
    preset: 'private_chat',
    invite: [group.user('bob')],
    initial_state: [{ type: 'm.room.encryption', state_key: '', content: { algorithm: 'm.megolm.v1.aes-sha2' } }],
  })
  const come = await joined(bob, room)
  const state = [...come.state.events, ...come.timeline.events]
  expect(state.find(({ type }: Answer) => type === 'm.room.name').content).toEqual({ name: 'Team' })
  expect(state.some(({ type }: Answer) => type === 'm.room.encryption')).toBe(false)

  await alice.post(`/rooms/${room}/invite`, { user_id: group.user('carol') })
  await joined(carol, room)
  const said = await carol.say(room, 'Hello all')
  for (const program of [alice, bob]) await program.event(({ event_id: id }) => id === said)
  expect(Object.values(await membersIn(alice, room))).toEqual(['join', 'join', 'join'])
})

test('who is removed leaves the room, and hears no more of it', async () => {
  await using group = await openGroup()
  const [alice, bob] = [group.of('alice'), group.of('bob')]
  const { room_id: room } = await alice.post('/createRoom', { name: 'Team', invite: [group.user('bob')] })
  await joined(bob, room)
  await alice.post(`/rooms/${room}/kick`, { user_id: group.user('bob') })
  await bob.until((answer) => answer.rooms?.leave?.[room])
  await alice.say(room, 'Now we are alone')
  expect((await bob.sync({ timeout: '300' })).rooms?.join?.[room]).toBeUndefined()
  expect(await bob.words(room)).toEqual([])
  expect(await bob.refused('PUT', `/rooms/${room}/send/m.room.message/1`, { msgtype: 'm.text', body: 'x' })).toBe(
    '403 M_FORBIDDEN',
  )
  expect(await membersIn(alice, room)).toMatchObject({ [group.user('bob')]: 'leave' })
})

test('who leaves is gone for the others, and may be added again', async () => {
  await using group = await openGroup()
  const [alice, bob] = [group.of('alice'), group.of('bob')]
  const { room_id: room } = await alice.post('/createRoom', { name: 'Team', invite: [group.user('bob')] })
  await joined(bob, room)
  await bob.post(`/rooms/${room}/leave`)
  await bob.until((answer) => answer.rooms?.leave?.[room])
  await expect.poll(async () => (await membersIn(alice, room))[group.user('bob')], { timeout: 10_000 }).toBe('leave')
  await bob.post(`/rooms/${room}/forget`)
  expect((await bob.get('/joined_rooms')).joined_rooms).not.toContain(room)
  await alice.post(`/rooms/${room}/invite`, { user_id: group.user('bob') })
  await bob.until((answer) => answer.rooms?.join?.[room] ?? answer.rooms?.invite?.[room])
})

test('only admins rename, remove and appoint; what the group forbids is refused as a whole', async () => {
  await using group = await openGroup()
  const [alice, bob] = [group.of('alice'), group.of('bob')]
  const { room_id: room } = await alice.post('/createRoom', { name: 'Team', invite: [group.user('bob')] })
  await joined(bob, room)
  const name = `/rooms/${room}/state/m.room.name`
  expect(await bob.refused('PUT', name, { name: 'Mine' })).toBe('403 M_FORBIDDEN')
  const ofAlice = Object.keys((await bob.get(`/rooms/${room}/state/m.room.power_levels`)).users)[0]!
  expect(await bob.refused('POST', `/rooms/${room}/kick`, { user_id: ofAlice })).toBe('403 M_FORBIDDEN')

  await alice.put(name, { name: 'Team of two' })
  await bob.event(({ type, content }) => type === 'm.room.name' && content.name === 'Team of two')
  const powers = await alice.get(`/rooms/${room}/state/m.room.power_levels`)
  const levels = `/rooms/${room}/state/m.room.power_levels`
  const half = { ...powers, users: { ...powers.users, [group.user('bob')]: 50 } }
  expect(await alice.refused('PUT', levels, half)).toBe('403 M_FORBIDDEN')
  await alice.put(levels, { ...powers, users: { ...powers.users, [group.user('bob')]: 100 } })
  await bob.event(({ type, content }) => type === 'm.room.power_levels' && Object.keys(content.users).length === 2)
  await bob.put(name, { name: 'Ours' })
  await alice.event(({ type, content }) => type === 'm.room.name' && content.name === 'Ours')
})

test('encryption is not turned on, public rooms and rooms with strangers are not made', async () => {
  await using group = await openGroup(['alice'])
  const alice = group.of('alice')
  const { room_id: room } = await alice.post('/createRoom', { name: 'Team' })
  const encryption = `/rooms/${room}/state/m.room.encryption`
  expect(await alice.refused('PUT', encryption, { algorithm: 'm.megolm.v1.aes-sha2' })).toBe('403 M_FORBIDDEN')
  expect(await alice.refused('POST', '/createRoom', { preset: 'public_chat' })).toBe('403 M_FORBIDDEN')
  expect(await alice.refused('POST', '/createRoom', { invite: ['@nobody:nowhere.example'] })).toBe('404 M_NOT_FOUND')
  expect((await alice.get('/joined_rooms')).joined_rooms).toEqual([room])
})

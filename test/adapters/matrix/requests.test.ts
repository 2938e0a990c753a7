/** Strangers who write: an invitation to a chat, which is accepted by joining it and refused by leaving it. */
import { expect, test } from 'vitest'
import { hearOf } from '../../support/strangers.ts'
import { openWorld } from '../../support/world.ts'
import { type Answer, type Program, Server } from './support.ts'

/** Bob knows of alice, who does not know of him. */
async function openStrangers() {
  await using scope = new AsyncDisposableStack()
  const world = scope.use(await openWorld())
  const [alice, bob] = [await world.gateway('alice'), await world.gateway('bob')]
  await hearOf(bob, alice)
  const [ofAlice, ofBob] = [scope.use(await Server.open(alice)), scope.use(await Server.open(bob))]
  const programs = { alice: await ofAlice.logIn(), bob: await ofBob.logIn() }
  const { results } = await programs.bob.post('/user_directory/search', { search_term: 'alice' })
  const room = await programs.bob.chatWith(results[0].user_id)
  await programs.bob.say(room, 'You do not know me')
  const owned = scope.move()
  return { ...programs, room, gateways: { alice, bob }, [Symbol.asyncDispose]: () => owned.disposeAsync() }
}

const invitedTo = (program: Program, room: string): Promise<Answer> =>
  program.until((answer) => answer.rooms?.invite?.[room])

test('a request is an invitation that shows who asks, and nothing of what they say', async () => {
  await using strangers = await openStrangers()
  const { alice, room } = strangers
  const { invite_state: state } = await invitedTo(alice, room)
  const own = state.events.find(({ state_key: key }: Answer) => key === alice.user)
  expect(own).toMatchObject({ type: 'm.room.member', content: { membership: 'invite', is_direct: true } })
  expect(own.sender).toMatch(/^@bob:/)
  expect(JSON.stringify(state)).not.toContain('You do not know me')
  for (const path of ['messages?dir=b', 'state', 'members', 'joined_members'])
    expect(await alice.refused('GET', `/rooms/${room}/${path}`)).toBe('403 M_FORBIDDEN')
  expect(await alice.refused('PUT', `/rooms/${room}/send/m.room.message/1`, { msgtype: 'm.text', body: 'Who?' })).toBe(
    '403 M_FORBIDDEN',
  )
})

test('who joins accepts the contact, and reads what was said', async () => {
  await using strangers = await openStrangers()
  const { alice, bob, room, gateways } = strangers
  await invitedTo(alice, room)
  await alice.post(`/join/${encodeURIComponent(room)}`)
  expect(await alice.words(room)).toEqual(['You do not know me'])
  const { knowledge, account } = gateways.alice
  expect(knowledge.contacts.byIdentity(account, gateways.bob.account)?.state).toBe('active')
  const answer = await alice.say(room, 'Now I do')
  await bob.event(({ event_id: id }) => id === answer)
})

test('who leaves refuses, and hears no more of them', async () => {
  await using strangers = await openStrangers()
  const { alice, bob, room, gateways } = strangers
  await invitedTo(alice, room)
  await alice.post(`/rooms/${room}/leave`)
  await alice.until((answer) => answer.rooms?.leave?.[room])
  const { knowledge, account } = gateways.alice
  expect(knowledge.contacts.byIdentity(account, gateways.bob.account)?.blocked).toBe(true)
  await bob.say(room, 'Please')
  expect((await alice.sync({ timeout: '500' })).rooms?.invite).toBeUndefined()
})

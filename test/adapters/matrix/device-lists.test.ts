/** Whose devices a program hears of: accounts of one gateway, as long as they are in a room together. */
import { expect, test } from 'vitest'
import { type Answer, openStages, type Program } from './support.ts'

async function openOffice() {
  const stages = await openStages(['alice'])
  const server = stages.of('alice')
  const { identity } = await server.gateway.knowledge.accounts.create({ localName: 'bob' })
  const [alice, bob] = [await server.logIn(), await server.logIn(identity)]
  await alice.sync()
  await bob.sync()
  return { alice, bob, bobs: identity, server, [Symbol.asyncDispose]: () => stages[Symbol.asyncDispose]() }
}

const publish = async (program: Program, key = 'e'): Promise<Answer> =>
  await program.post('/keys/upload', {
    device_keys: {
      user_id: program.user,
      device_id: program.device,
      algorithms: [],
      keys: { [`ed25519:${program.device}`]: key },
    },
  })

const heardOf = async (program: Program, user: string, list: 'changed' | 'left'): Promise<true> =>
  await program.until(({ device_lists: lists }: Answer) => (lists?.[list].includes(user) ? (true as const) : undefined))

test('devices of accounts here are heard of from the first room together on, and no more after the last', async () => {
  await using office = await openOffice()
  const { alice, bob } = office
  await publish(bob, 'before')
  expect(await alice.sync()).not.toHaveProperty('device_lists')
  const { room_id: room } = await alice.post('/createRoom', { name: 'Team', invite: [bob.user] })
  await heardOf(alice, bob.user, 'changed')
  await heardOf(bob, alice.user, 'changed')
  const { next_batch: together } = await alice.sync()
  await publish(bob, 'after')
  await heardOf(alice, bob.user, 'changed')
  await publish(alice)
  await heardOf(bob, alice.user, 'changed')
  await bob.post('/logout')
  await heardOf(alice, bob.user, 'changed')
  const { device_keys: found } = await alice.post('/keys/query', { device_keys: { [bob.user]: [] } })
  expect(found).toEqual({ [bob.user]: {} })
  expect(await alice.get(`/keys/changes?from=${together}&to=${alice.since}`)).toEqual({
    changed: expect.arrayContaining([alice.user, bob.user]),
    left: [],
  })
  await alice.post(`/rooms/${room}/kick`, { user_id: bob.user })
  await heardOf(alice, bob.user, 'left')
})

test('who leaves a group hears no more of devices of those in it', async () => {
  await using office = await openOffice()
  const { alice, bob } = office
  const { room_id: room } = await alice.post('/createRoom', { name: 'Team', invite: [bob.user] })
  await heardOf(bob, alice.user, 'changed')
  await bob.post(`/rooms/${room}/leave`)
  await heardOf(bob, alice.user, 'left')
  await heardOf(alice, bob.user, 'left')
  await publish(alice)
  await alice.sync()
  expect(await bob.sync()).not.toHaveProperty('device_lists')
})

test('a member who is called otherwise is no change of devices', async () => {
  await using office = await openOffice()
  const { alice, bob } = office
  await alice.post('/createRoom', { name: 'Team', invite: [bob.user] })
  await heardOf(alice, bob.user, 'changed')
  await bob.sync()
  await alice.sync()
  await bob.put(`/profile/${bob.user}/displayname`, { displayname: 'Robert' })
  const answer = await alice.until((one) => (JSON.stringify(one).includes('Robert') ? one : undefined))
  expect(answer).not.toHaveProperty('device_lists')
})

test('changes of keys are asked for between two tokens', async () => {
  await using office = await openOffice()
  const { alice } = office
  const before = alice.since
  await publish(alice)
  await alice.sync()
  const changes = (query: string): Promise<Answer> => alice.get(`/keys/changes?${query}`)
  expect(await changes(`from=${before}&to=${alice.since}`)).toEqual({ changed: [alice.user], left: [] })
  expect(await changes(`from=${alice.since}&to=${alice.since}`)).toEqual({ changed: [], left: [] })
  // of a token from another life nobody knows what came after it
  expect(await changes(`from=s999999&to=${alice.since}`)).toEqual({ changed: [alice.user], left: [] })
  expect(await alice.refused('GET', `/keys/changes?from=${before}`)).toBe('400 M_MISSING_PARAM')
  expect(await alice.refused('GET', '/keys/changes?from=x&to=y')).toBe('400 M_INVALID_PARAM')
})

/** What HTTP brings: logins, pages of other sites, and requests that are none. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { isTooDeep } from '../../../src/adapters/matrix/http/json-depth.ts'
import { forgetSaid } from '../../../src/adapters/matrix/events/said.ts'
import { systemClock } from '../../../src/core/ambient.ts'
import { limits } from '../../../src/core/limits.ts'
import { tables } from '../../../src/core/store/tables.ts'
import { openStages } from './support.ts'

test('nothing is told or done without a token, and nothing with one that has ended', async () => {
  await using stages = await openStages(['alice'])
  const server = stages.of('alice')
  const asked = ['/sync', '/joined_rooms', '/devices', '/account/whoami', '/capabilities']
  for (const path of asked) {
    const { status, body } = await server.ask('GET', path)
    expect([status, body.errcode]).toEqual([401, 'M_MISSING_TOKEN'])
  }
  const alice = await server.logIn()
  await alice.post('/logout')
  expect(await alice.refused('GET', '/account/whoami')).toBe('401 M_UNKNOWN_TOKEN')
  const { knowledge, account } = server.gateway
  const other = await server.logIn()
  for (const { id } of knowledge.logins.list(account)) await knowledge.logins.revoke(account, id)
  expect(await other.refused('GET', '/account/whoami')).toBe('401 M_UNKNOWN_TOKEN')
})

test('a program that can get another token gets it, and those before end once it has shown the new one', async () => {
  await using stages = await openStages(['alice'])
  const server = stages.of('alice')
  const { account, knowledge } = server.gateway
  const { password } = await knowledge.logins.create(account, 'refreshing')
  const user = knowledge.accounts.get(account).localName
  const { body: first } = await server.ask('POST', '/login', {
    body: { type: 'm.login.password', identifier: { type: 'm.id.user', user }, password, refresh_token: true },
  })
  expect(first).toMatchObject({ expires_in_ms: expect.any(Number), refresh_token: expect.any(String) })
  const whoIs = async (token: string) => (await server.ask('GET', '/account/whoami', { token })).status
  const refresh = async (token: string) => await server.ask('POST', '/refresh', { body: { refresh_token: token } })
  const { body: unheard } = await refresh(first.refresh_token)
  const { body: second } = await refresh(first.refresh_token)
  expect(await whoIs(unheard.access_token)).toBe(401)
  expect(await whoIs(first.access_token)).toBe(200)
  expect(await whoIs(second.access_token)).toBe(200)
  await expect.poll(() => whoIs(first.access_token)).toBe(401)
  expect((await refresh(first.refresh_token)).body.errcode).toBe('M_UNKNOWN_TOKEN')
  expect(await whoIs(second.refresh_token)).toBe(401)
  const { body: third } = await refresh(second.refresh_token)
  expect((await server.ask('GET', '/devices', { token: third.access_token })).body.devices).toHaveLength(1)
})

test('a wrong password is refused like an unknown user, and too many are held back', async () => {
  await using stages = await openStages(['alice'])
  const server = stages.of('alice')
  const body = (user: string) => ({
    type: 'm.login.password',
    identifier: { type: 'm.id.user', user },
    password: 'guess',
  })
  const wrong = await server.ask('POST', '/login', { body: body('alice') })
  const unknown = await server.ask('POST', '/login', { body: body('nobody') })
  expect([wrong.status, wrong.body]).toEqual([unknown.status, unknown.body])
  expect(wrong.body.errcode).toBe('M_FORBIDDEN')
  // each wrong one takes its time: many at once
  const guesses = Array.from({ length: 40 }, () => server.ask('POST', '/login', { body: body('alice') }))
  const last = (await Promise.all(guesses)).find(({ status }) => status !== 403)!
  expect(last.status).toBe(429)
  expect(last.body).toMatchObject({ errcode: 'M_LIMIT_EXCEEDED', retry_after_ms: expect.any(Number) })
})

test('pages of any site may ask, errors included; names that are not this machine’s may not', async () => {
  await using stages = await openStages(['alice'])
  const server = stages.of('alice')
  const headers = { origin: 'https://chat.example' }
  const refused = await server.ask('GET', '/sync', { headers })
  expect(refused.headers.get('access-control-allow-origin')).toBe('*')
  const preflight = await server.ask('OPTIONS', '/sync', {
    headers: { ...headers, 'access-control-request-method': 'GET' },
  })
  expect(preflight.status).toBe(204)
  expect(preflight.headers.get('access-control-allow-headers')).toContain('authorization')
  expect(Number(preflight.headers.get('access-control-max-age'))).toBeGreaterThan(0)
  const nowhere = await server.ask('GET', '/nothing/of/that')
  expect([nowhere.status, nowhere.body.errcode]).toEqual([404, 'M_UNRECOGNIZED'])
})

test('bodies that are no JSON, of another shape, too deep or too long are refused by name', async () => {
  await using stages = await openStages(['alice'])
  const alice = await stages.of('alice').logIn()
  const { room_id: room } = await alice.post('/createRoom', { name: 'Notes' })
  let count = 0
  const send = (body: unknown) => {
    count += 1
    return alice.refused('PUT', `/rooms/${room}/send/m.room.message/${count}`, body)
  }
  expect(await send('{"msgtype":')).toBe('400 M_NOT_JSON')
  expect(await send('[1]')).toBe('400 M_BAD_JSON')
  expect(await send({ msgtype: 'm.text', body: 7 })).toBe('400 M_BAD_JSON')
  expect(await send(`{"a":${'['.repeat(1000)}${']'.repeat(1000)}}`)).toBe('400 M_BAD_JSON')
  expect(await send({ msgtype: 'm.text', body: 'x'.repeat(limits.matrixEventBytesMax) })).toBe('413 M_TOO_LARGE')
  expect(await alice.refused('POST', '/createRoom', { name: 7 })).toBe('400 M_BAD_JSON')
})

test('another’s room, data and devices are nobody’s to read', async () => {
  await using stages = await openStages()
  const [alice, bob] = [await stages.of('alice').logIn(), await stages.of('bob').logIn()]
  const { room_id: room } = await alice.post('/createRoom', { name: 'Mine' })
  for (const path of ['state', 'messages?dir=b', 'members', 'joined_members'])
    expect(await bob.refused('GET', `/rooms/${room}/${path}`)).toBe('403 M_FORBIDDEN')
  const event = await alice.say(room, 'For me')
  expect(await bob.refused('GET', `/rooms/${room}/event/${event}`)).toBe('404 M_NOT_FOUND')
  const other = '@carol:localhost'
  expect(await alice.refused('GET', `/user/${other}/account_data/m.direct`)).toBe('403 M_FORBIDDEN')
  expect(await alice.refused('PUT', `/profile/${other}/displayname`, { displayname: 'x' })).toBe('403 M_FORBIDDEN')
})

test('what was said long ago is not kept to be asked for again', async () => {
  await using stages = await openStages(['alice'])
  const alice = await stages.of('alice').logIn()
  const { room_id: room } = await alice.post('/createRoom', { name: 'Notes' })
  for (let at = 0; at < 3; at += 1) await alice.say(room, `Note ${at}`)
  const { store } = stages.of('alice').gateway.knowledge
  const { account } = stages.of('alice').gateway
  const rows = () => store.read((tx) => [...tx.keys(tables.matrixSaid, {})].length)
  const clock = { ...systemClock, nowMs: () => Date.now() + 2 * limits.matrixTransactionMs }
  await forgetSaid(store, systemClock, account)
  expect(rows()).toBe(6)
  await forgetSaid(store, clock, account)
  expect(rows()).toBe(0)
})

test('depth is told of any text, and is that of its brackets', () => {
  fc.assert(
    fc.property(fc.jsonValue({ maxDepth: 12 }), fc.integer({ min: 0, max: 14 }), (value, max) => {
      const depth = (of: unknown): number =>
        typeof of === 'object' && of !== null ? 1 + Math.max(0, ...Object.values(of).map(depth)) : 0
      expect(isTooDeep(JSON.stringify(value), max)).toBe(depth(value) > max)
    }),
  )
  fc.assert(fc.property(fc.string(), (text) => void isTooDeep(text, 3)))
})

test('no request of any shape brings the server down', async () => {
  await using stages = await openStages(['alice'])
  const alice = await stages.of('alice').logIn()
  const { room_id: room } = await alice.post('/createRoom', { name: 'Notes' })
  const paths = [
    '/createRoom',
    `/rooms/${room}/send/m.room.message/1`,
    `/rooms/${room}/send/m.reaction/2`,
    `/rooms/${room}/state/m.room.power_levels/`,
    `/rooms/${room}/receipt/m.read/$x`,
    `/rooms/${room}/read_markers`,
    `/user/${alice.user}/filter`,
    `/user/${alice.user}/account_data/x`,
    '/user_directory/search',
    '/login',
  ]
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(...paths),
      fc.constantFrom('GET', 'POST', 'PUT', 'DELETE'),
      fc.oneof(
        fc.jsonValue({ maxDepth: 4 }),
        fc.object({ key: fc.constantFrom('msgtype', 'body', 'm.relates_to', 'users', 'event_id', 'type') }),
      ),
      async (path, method, body) => {
        const { status } = await stages
          .of('alice')
          .ask(method, path, { token: alice.token, ...(method === 'GET' ? {} : { body: JSON.stringify(body) }) })
        expect(status).toBeLessThan(500)
      },
    ),
    { numRuns: 150 },
  )
}, 60_000)

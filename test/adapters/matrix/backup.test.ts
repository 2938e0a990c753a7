/** Backups of room keys: their versions, what is kept of several copies, and how much. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { Backups, isBetter, type Session } from '../../../src/adapters/matrix/encryption/backup.ts'
import { Kept } from '../../../src/adapters/matrix/kept.ts'
import type { Identity } from '../../../src/core/ids.ts'
import { openMemoryStore } from '../../support/memory-store.ts'
import { openStages } from './support.ts'

const account = 'aa'.repeat(32) as Identity
const body = { algorithm: 'm.megolm_backup.v1.curve25519-aes-sha2', auth_data: {} }
const session = (more: Partial<Session> = {}): Session => ({
  first_message_index: 1,
  forwarded_count: 0,
  is_verified: true,
  session_data: { ciphertext: 'c' },
  ...more,
})

async function openProgram() {
  const stages = await openStages(['alice'])
  const desk = await stages.of('alice').logIn()
  return { desk, [Symbol.asyncDispose]: () => stages[Symbol.asyncDispose]() }
}

test('of several copies of a session the best is kept, in whatever order they come', async () => {
  const copy = fc.record({
    first_message_index: fc.nat(3),
    forwarded_count: fc.nat(3),
    is_verified: fc.boolean(),
    session_data: fc.record({ ciphertext: fc.string() }),
  })
  await fc.assert(
    fc.asyncProperty(fc.array(copy, { minLength: 1, maxLength: 8 }), async (copies) => {
      await using store = openMemoryStore()
      const backups = new Backups(store, new Kept())
      const version = await backups.create(account, body)
      for (const value of copies) await backups.put(account, version, [{ room: '!r:x', session: 's', value }])
      const [kept] = await Array.fromAsync(backups.sessions(account, { version }))
      for (const value of copies) expect(isBetter(value, kept!.value)).toBe(false)
      const same = copies.find((value) => !isBetter(kept!.value, value))
      expect(kept!.value).toEqual(same)
      const now = store.read((tx) => backups.version(tx, account))
      expect([now.count, now.octets]).toEqual([1, Buffer.byteLength(JSON.stringify(kept!.value))])
    }),
  )
})

test('a number of a version that was deleted comes to no other one', async () => {
  await using world = await openProgram()
  const { desk } = world
  const create = async (): Promise<string> => (await desk.post('/room_keys/version', body)).version
  const [first, second] = [await create(), await create()]
  await desk.call('DELETE', `/room_keys/version/${second}`)
  expect((await desk.get('/room_keys/version')).version).toBe(first)
  const third = await create()
  expect(new Set([first, second, third]).size).toBe(3)
  expect(await desk.refused('GET', `/room_keys/version/${second}`)).toBe('404 M_NOT_FOUND')
  expect(await desk.refused('PUT', `/room_keys/keys/r/s?version=${second}`, session())).toBe('404 M_NOT_FOUND')
  expect(await desk.refused('DELETE', `/room_keys/version/${second}`)).toBe('404 M_NOT_FOUND')
})

test('what many slices hold is read whole, and removed whole', async () => {
  await using world = await openProgram()
  const { desk } = world
  const { version } = await desk.post('/room_keys/version', body)
  const at = (path: string): string => `/room_keys/keys${path}?version=${version}`
  const many = Object.fromEntries(Array.from({ length: 2500 }, (_, number) => [`s/${number}+`, session()]))
  const rooms = { '!one:x': { sessions: many }, '!two:x': { sessions: { one: session() } } }
  expect(await desk.put(at(''), { rooms })).toEqual({ count: 2501, etag: '2501' })
  expect((await desk.get(at(''))).rooms).toEqual(rooms)
  const one = `/!one:x/${encodeURIComponent('s/7+')}`
  expect(await desk.get(at(one))).toEqual(session())
  expect((await desk.call('DELETE', at(one))).count).toBe(2500)
  expect(await desk.refused('GET', at(one))).toBe('404 M_NOT_FOUND')
  expect((await desk.call('DELETE', at('/!one:x'))).count).toBe(1)
  expect((await desk.get(at('/!one:x'))).sessions).toEqual({})
  await desk.call('DELETE', `/room_keys/version/${version}`)
  const { version: next } = await desk.post('/room_keys/version', body)
  expect(await desk.get(`/room_keys/keys?version=${next}`)).toEqual({ rooms: {} })
})

test('after a gateway that ended while it removed a backup, the rest goes with the next one', async () => {
  await using store = openMemoryStore()
  const kept = new Kept()
  const backups = new Backups(store, kept)
  const version = await backups.create(account, body)
  await backups.put(account, version, [{ room: 'r', session: 's', value: session() }])
  const known = store.read((tx) => backups.version(tx, account))
  await store.write((tx) => kept.put(tx, account, 'backup', [version], { ...known, isRemoved: true }))
  await backups.create(account, body)
  expect(store.read((tx) => [kept.count(tx, account, 'backedUp'), kept.count(tx, account, 'backup')])).toEqual([0, 1])
})

test('sessions that are too long, no numbers, or called too long are refused, and their request with them', async () => {
  await using world = await openProgram()
  const { desk } = world
  const { version } = await desk.post('/room_keys/version', body)
  const put = (path: string, value: unknown): Promise<string> =>
    desk.refused('PUT', `/room_keys/keys${path}?version=${version}`, value)
  const long = session({ session_data: { ciphertext: 'c'.repeat(65_536) } })
  expect(await put('/r', { sessions: { good: session(), long } })).toBe('413 M_TOO_LARGE')
  expect(await put('/r/s', session({ first_message_index: -1 }))).toBe('400 M_BAD_JSON')
  expect(await put(`/r/${'s'.repeat(300)}`, session())).toBe('400 M_INVALID_PARAM')
  expect(await desk.refused('PUT', '/room_keys/keys/r/s', session())).toBe('400 M_MISSING_PARAM')
  expect(await desk.refused('GET', `/room_keys/keys/r/constructor?version=${version}`)).toBe('404 M_NOT_FOUND')
  expect((await desk.get('/room_keys/version')).count).toBe(0)
})

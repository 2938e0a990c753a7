/** Keys of programs, messages to single devices, and backups of keys. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { isBetter, type Session } from '../../../src/adapters/matrix/encryption/backup.ts'
import { type Answer, openStages, type Program } from './support.ts'

async function twoDevices() {
  const stages = await openStages(['alice'])
  const [desk, phone] = [await stages.of('alice').logIn(), await stages.of('alice').logIn()]
  await desk.sync()
  await phone.sync()
  return { stages, desk, phone, [Symbol.asyncDispose]: () => stages[Symbol.asyncDispose]() }
}

const deviceKeys = ({ user, device }: Program) => ({
  user_id: user,
  device_id: device,
  algorithms: ['m.olm.v1.curve25519-aes-sha2'],
  keys: { [`curve25519:${device}`]: 'c', [`ed25519:${device}`]: 'e' },
  signatures: { [user]: { [`ed25519:${device}`]: 's' } },
})

test('keys that a device publishes are found, and the others of its person hear of it', async () => {
  await using world = await twoDevices()
  const { desk, phone } = world
  const { one_time_key_counts: counts } = await desk.post('/keys/upload', {
    device_keys: deviceKeys(desk),
    one_time_keys: { 'signed_curve25519:AAAA': { key: 'one' }, 'signed_curve25519:AAAB': { key: 'two' } },
    fallback_keys: { 'signed_curve25519:F': { key: 'fallback', fallback: true } },
  })
  expect(counts).toEqual({ signed_curve25519: 2 })
  const { device_lists: lists } = await phone.sync()
  expect(lists.changed).toEqual([desk.user])
  const { device_keys: found } = await phone.post('/keys/query', {
    device_keys: { [desk.user]: [], '@nobody:x.example': [] },
  })
  expect(found).toMatchObject({ [desk.user]: { [desk.device]: deviceKeys(desk) } })
  const synced = await desk.sync()
  expect(synced.device_one_time_keys_count).toEqual({ signed_curve25519: 2 })
  expect(synced.device_unused_fallback_key_types).toEqual(['signed_curve25519'])
})

test('each one-time key is given to one asker, then the fallback key to everybody', async () => {
  await using world = await twoDevices()
  const { desk, phone } = world
  const once = Object.fromEntries(Array.from({ length: 5 }, (_, at) => [`signed_curve25519:K${at}`, { key: `${at}` }]))
  await desk.post('/keys/upload', { one_time_keys: once, fallback_keys: { 'signed_curve25519:F': { key: 'f' } } })
  const claim = async (): Promise<string> => {
    const wanted = { one_time_keys: { [desk.user]: { [desk.device]: 'signed_curve25519' } } }
    const { one_time_keys: keys } = await phone.post('/keys/claim', wanted)
    return Object.keys(keys[desk.user][desk.device])[0]!
  }
  const claimed = await Promise.all(Array.from({ length: 7 }, claim))
  expect(new Set(claimed).size).toBe(6)
  expect(claimed.filter((name) => name === 'signed_curve25519:F')).toHaveLength(2)
  expect((await desk.sync()).device_unused_fallback_key_types).toEqual([])
  await desk.post('/keys/upload', { one_time_keys: { 'signed_curve25519:K9': { key: 'a' } } })
  expect(await desk.refused('POST', '/keys/upload', { one_time_keys: { 'signed_curve25519:K9': { key: 'b' } } })).toBe(
    '400 M_INVALID_PARAM',
  )
})

async function claimed(asker: Program, of: Program): Promise<string | undefined> {
  const wanted = { one_time_keys: { [of.user]: { [of.device]: 'signed_curve25519' } } }
  const { one_time_keys: keys } = await asker.post('/keys/claim', wanted)
  return Object.keys(keys[of.user]?.[of.device] ?? {})[0]
}

test('one-time keys are given in the order in which they came, and not again when their upload is repeated', async () => {
  await using world = await twoDevices()
  const { desk, phone } = world
  const once = Object.fromEntries(['Z', 'A', 'M'].map((name) => [`signed_curve25519:${name}`, { key: name }]))
  await desk.post('/keys/upload', { one_time_keys: once })
  await desk.post('/keys/upload', { one_time_keys: { 'signed_curve25519:B': { key: 'B' } } })
  expect(await claimed(phone, desk)).toBe('signed_curve25519:Z')
  expect(await claimed(phone, desk)).toBe('signed_curve25519:A')
  expect(await desk.post('/keys/upload', { one_time_keys: once })).toEqual({
    one_time_key_counts: { signed_curve25519: 2 },
  })
  expect(await claimed(phone, desk)).toBe('signed_curve25519:M')
  expect(await claimed(phone, desk)).toBe('signed_curve25519:B')
  expect(await claimed(phone, desk)).toBeUndefined()
})

test('a fallback key that was used is used still when its upload is repeated, and another one is not', async () => {
  await using world = await twoDevices()
  const { desk, phone } = world
  const upload = async (name: string) =>
    await desk.post('/keys/upload', { fallback_keys: { [`signed_curve25519:${name}`]: { key: name, fallback: true } } })
  await upload('first')
  await claimed(phone, desk)
  await upload('first')
  expect((await desk.sync()).device_unused_fallback_key_types).toEqual([])
  await upload('second')
  expect((await desk.sync()).device_unused_fallback_key_types).toEqual(['signed_curve25519'])
  expect(await claimed(phone, desk)).toBe('signed_curve25519:second')
})

test('a device whose keys are others has none of the one-time keys that belonged to those before', async () => {
  await using world = await twoDevices()
  const { desk, phone } = world
  await desk.post('/keys/upload', {
    device_keys: deviceKeys(desk),
    one_time_keys: { 'signed_curve25519:AAAA': { key: 'one' } },
  })
  await phone.sync()
  await desk.post('/keys/upload', { device_keys: deviceKeys(desk) })
  expect(await phone.sync()).not.toHaveProperty('device_lists')
  expect((await desk.sync()).device_one_time_keys_count).toEqual({ signed_curve25519: 1 })
  await desk.post('/keys/upload', {
    device_keys: { ...deviceKeys(desk), keys: { [`ed25519:${desk.device}`]: 'another' } },
  })
  expect((await phone.sync()).device_lists.changed).toEqual([desk.user])
  expect(await claimed(phone, desk)).toBeUndefined()
})

test('keys that are too many, too long, or of another device are refused', async () => {
  await using world = await twoDevices()
  const { desk, phone } = world
  const upload = (body: object): Promise<string> => desk.refused('POST', '/keys/upload', body)
  const many = Array.from({ length: 251 }, (_, at) => [`signed_curve25519:${at}`, { key: `${at}` }])
  expect(await upload({ one_time_keys: Object.fromEntries(many) })).toBe('403 M_RESOURCE_LIMIT_EXCEEDED')
  expect(await upload({ one_time_keys: { 'signed_curve25519:A': { key: 'k'.repeat(17_000) } } })).toBe(
    '413 M_TOO_LARGE',
  )
  expect(await upload({ one_time_keys: { '__proto__:A': { key: 'k' } } })).toBe('400 M_BAD_JSON')
  expect(await upload({ device_keys: deviceKeys(phone) })).toBe('400 M_INVALID_PARAM')
  expect((await desk.sync()).device_one_time_keys_count).toEqual({ signed_curve25519: 0 })
})

test('what one device says to another comes once, also when the answer was not heard', async () => {
  await using world = await twoDevices()
  const { desk, phone } = world
  const send = (txn: string, to: string, content: object) =>
    desk.put(`/sendToDevice/m.room_key_request/${txn}`, { messages: { [desk.user]: { [to]: content } } })
  await send('1', phone.device, { number: 1 })
  await send('1', phone.device, { number: 1 })
  await send('2', '*', { number: 2 })
  const before = phone.since
  const numbers = (answer: Answer) => answer.to_device?.events.map(({ content }: Answer) => content.number)
  expect(numbers(await phone.sync())).toEqual([1, 2])
  const after = phone.since
  phone.since = before
  expect(numbers(await phone.sync())).toEqual([1, 2])
  phone.since = after
  expect(numbers(await phone.sync())).toBeUndefined()
  await expect.poll(async () => numbers(await phone.get(`/sync?since=${before}`))).toBeUndefined()
  expect(numbers(await desk.sync())).toEqual([2])
})

test('a device that has gone has no keys, and nothing waits for it', async () => {
  await using world = await twoDevices()
  const { desk, phone } = world
  await phone.post('/keys/upload', { device_keys: deviceKeys(phone) })
  await phone.post('/logout')
  const { device_keys: found } = await desk.post('/keys/query', { device_keys: { [desk.user]: [] } })
  expect(found[desk.user]).toEqual({})
  expect((await desk.sync()).device_lists.changed).toEqual([desk.user])
})

const session = (more: Partial<Session> = {}): Session => ({
  first_message_index: 1,
  forwarded_count: 0,
  is_verified: true,
  session_data: { ciphertext: 'c' },
  ...more,
})

test('a backup keeps the better copy of each session, and knows how many it has', async () => {
  await using world = await twoDevices()
  const { desk } = world
  expect(await desk.refused('GET', '/room_keys/version')).toBe('404 M_NOT_FOUND')
  const { version } = await desk.post('/room_keys/version', {
    algorithm: 'm.megolm_backup.v1.curve25519-aes-sha2',
    auth_data: {},
  })
  const at = (path: string) => `/room_keys/keys${path}?version=${version}`
  expect(await desk.put(at('/!r:x/one'), session())).toEqual({ count: 1, etag: '1' })
  expect(await desk.put(at('/!r:x/one'), session({ first_message_index: 5 }))).toEqual({ count: 1, etag: '1' })
  await desk.put(at('/!r:x'), { sessions: { two: session() } })
  await desk.put(at(''), { rooms: { '!s:x': { sessions: { three: session() } } } })
  expect(Object.keys((await desk.get(at(''))).rooms)).toHaveLength(2)
  expect((await desk.get(at('/!r:x'))).sessions.one).toEqual(session())
  expect(await desk.get(`/room_keys/version/${version}`)).toMatchObject({ version, count: 3, etag: '3' })
  expect((await desk.call('DELETE', at('/!r:x'))).count).toBe(1)
  expect(await desk.refused('GET', at('/!r:x/one'))).toBe('404 M_NOT_FOUND')
  await desk.post('/room_keys/version', { algorithm: 'a', auth_data: {} })
  expect(await desk.refused('PUT', at('/!r:x/one'), session())).toBe('403 M_WRONG_ROOM_KEYS_VERSION')
  await desk.call('DELETE', `/room_keys/version/${version}`)
  expect(await desk.refused('GET', at(''))).toBe('404 M_NOT_FOUND')
})

test('which of two copies is better is an order: never both, and none over itself', () => {
  const copy = fc.record({
    first_message_index: fc.nat(3),
    forwarded_count: fc.nat(3),
    is_verified: fc.boolean(),
    session_data: fc.constant({}),
  })
  fc.assert(
    fc.property(copy, copy, copy, (a, b, c) => {
      expect(isBetter(a, a)).toBe(false)
      expect(isBetter(a, b) && isBetter(b, a)).toBe(false)
      if (isBetter(a, b) && isBetter(b, c)) expect(isBetter(a, c)).toBe(true)
      if (a.is_verified && !b.is_verified) expect(isBetter(a, b)).toBe(true)
    }),
  )
})

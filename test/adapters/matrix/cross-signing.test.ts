/** Cross-signing keys and signatures: whose they are, what is checked, and who sees them. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { isSignedBy, type Signed } from '../../../src/adapters/matrix/encryption/signed-json.ts'
import { deviceKeysOf, Key, Person } from './signing.ts'
import { type Answer, openStages, type Program } from './support.ts'

const path = '/keys/device_signing/upload'

async function openOffice() {
  const stages = await openStages(['alice'])
  const server = stages.of('alice')
  const { identity } = await server.gateway.knowledge.accounts.create({ localName: 'bob' })
  const [desk, phone, bob] = [await server.logIn(), await server.logIn(), await server.logIn(identity)]
  return { desk, phone, bob, [Symbol.asyncDispose]: () => stages[Symbol.asyncDispose]() }
}

const queried = async (asker: Program, user: string): Promise<Answer> =>
  await asker.post('/keys/query', { device_keys: { [user]: [] } })
const passwordOf = ({ user, password }: Program, session: string) => ({
  type: 'm.login.password',
  session,
  identifier: { type: 'm.id.user', user },
  password,
})

test('the first cross-signing keys come without asking again, the same again too, other ones with the password', async () => {
  await using office = await openOffice()
  const { desk, phone } = office
  const [first, second] = [new Person(desk.user), new Person(desk.user)]
  await desk.post(path, first.upload)
  await phone.post(path, first.upload)
  const { status, body } = await desk.server.ask('POST', path, { token: desk.token, body: second.upload })
  expect([status, body.flows]).toEqual([401, [{ stages: ['m.login.password'] }]])
  const auth = passwordOf(desk, body.session)
  expect(await desk.refused('POST', path, { ...second.upload, auth: { ...auth, password: 'guess' } })).toBe(
    '401 M_FORBIDDEN',
  )
  await desk.post(path, { ...second.upload, auth })
  const { master_keys: masters } = await queried(phone, desk.user)
  expect(Object.values(masters[desk.user].keys)).toEqual([second.master.base64])
})

test('of two devices that upload first keys at once, one is asked for the password', async () => {
  await using office = await openOffice()
  const { desk, phone } = office
  const both = await Promise.all(
    [desk, phone].map((one) =>
      one.server
        .ask('POST', path, { token: one.token, body: new Person(one.user).upload })
        .then(({ status }) => status),
    ),
  )
  expect(both.toSorted((a, b) => a - b)).toEqual([200, 401])
})

test('cross-signing keys that are not signed by their master key, or not one’s own, are refused', async () => {
  await using office = await openOffice()
  const { desk, bob } = office
  const person = new Person(desk.user)
  const { master_key: master, self_signing_key: own } = person.upload
  const foreign = new Person(desk.user).upload.self_signing_key
  const upload = (body: object): Promise<string> => desk.refused('POST', path, body)
  expect(await upload({ self_signing_key: own })).toBe('400 M_MISSING_PARAM')
  expect(await upload({ master_key: master, self_signing_key: foreign })).toBe('400 M_INVALID_SIGNATURE')
  expect(await upload({ master_key: { ...master, usage: ['user_signing'] } })).toBe('400 M_INVALID_PARAM')
  expect(await upload({ master_key: { ...master, keys: { 'ed25519:x': 'y' } } })).toBe('400 M_INVALID_PARAM')
  expect(await upload(new Person(bob.user).upload)).toBe('400 M_INVALID_PARAM')
  expect((await queried(desk, desk.user)).master_keys).toEqual({})
})

test('signatures on one’s own devices and master key are seen by everybody in a room, those that do not hold are refused', async () => {
  await using office = await openOffice()
  const { desk, phone, bob } = office
  const person = new Person(desk.user)
  const deskKey = new Key()
  await desk.post(path, person.upload)
  await desk.post('/keys/upload', { device_keys: deviceKeysOf(desk, deskKey) })
  await phone.post('/keys/upload', { device_keys: deviceKeysOf(phone) })
  await bob.sync()
  await desk.post('/createRoom', { invite: [bob.user] })
  await bob.until(({ device_lists: lists }) => (lists?.changed.includes(desk.user) ? true : undefined))

  const { device_keys: found, master_keys: masters } = await queried(desk, desk.user)
  const { signatures: _signatures, unsigned: _unsigned, ...device } = found[desk.user][phone.device]
  const sign = async (objects: object): Promise<Answer> =>
    (await desk.post('/keys/signatures/upload', { [desk.user]: objects })).failures[desk.user] ?? {}
  const signed = person.selfSigning.sign(desk.user, device)
  expect(await sign({ [phone.device]: signed })).toEqual({})
  await bob.until(({ device_lists: lists }) => (lists?.changed.includes(desk.user) ? true : undefined))
  const { base64: master } = person.master
  expect(await sign({ [master]: deskKey.sign(desk.user, masters[desk.user], desk.device) })).toEqual({})
  const seen = await queried(bob, desk.user)
  expect(Object.keys(seen.device_keys[desk.user][phone.device].signatures[desk.user])).toEqual([
    `ed25519:${phone.device}`,
    `ed25519:${person.selfSigning.base64}`,
  ])
  expect(Object.keys(seen.master_keys[desk.user].signatures[desk.user])).toEqual([`ed25519:${desk.device}`])
  expect(seen.user_signing_keys).toEqual({})

  await bob.sync()
  const failure = async (name: string, object: object): Promise<string> =>
    (await sign({ [name]: object }))[name].errcode
  const wrong = new Key().sign(desk.user, device, person.selfSigning.base64)
  expect(await failure(phone.device, wrong)).toBe('M_INVALID_SIGNATURE')
  expect(await failure(phone.device, new Key().sign(desk.user, device))).toBe('M_INVALID_SIGNATURE')
  const another = { ...device, algorithms: [] }
  expect(await failure(phone.device, person.selfSigning.sign(desk.user, another))).toBe('M_INVALID_SIGNATURE')
  expect(await failure('NOBODY', signed)).toBe('M_NOT_FOUND')
  expect(await bob.sync()).not.toHaveProperty('device_lists')

  await phone.post('/logout')
  expect(Object.keys((await queried(bob, desk.user)).device_keys[desk.user])).toEqual([desk.device])
})

test('whose master key somebody has signed is known to their own programs alone', async () => {
  await using office = await openOffice()
  const { desk, phone, bob } = office
  const [hers, his] = [new Person(desk.user), new Person(bob.user)]
  await desk.post(path, hers.upload)
  await bob.post(path, his.upload)
  await phone.sync()
  await desk.sync()
  await bob.sync()
  await desk.post('/createRoom', { invite: [bob.user] })
  await phone.until(({ device_lists: lists }) => (lists?.changed.includes(bob.user) ? true : undefined))
  const { master_keys: masters } = await queried(desk, bob.user)
  const upload = async (key: Key): Promise<Answer> =>
    await desk.post('/keys/signatures/upload', {
      [bob.user]: { [his.master.base64]: key.sign(desk.user, masters[bob.user]) },
    })
  expect((await upload(hers.master)).failures[bob.user][his.master.base64].errcode).toBe('M_INVALID_SIGNATURE')
  expect((await upload(hers.userSigning)).failures).toEqual({})
  await phone.until(({ device_lists: lists }) => (lists?.changed.includes(bob.user) ? true : undefined))
  const signers = async (asker: Program): Promise<readonly string[]> =>
    Object.keys((await queried(asker, bob.user)).master_keys[bob.user].signatures ?? {})
  expect(await signers(phone)).toEqual([desk.user])
  expect(await signers(bob)).toEqual([])
})

test('another identity begins without the signatures of the one before', async () => {
  await using office = await openOffice()
  const { desk } = office
  const [first, second] = [new Person(desk.user), new Person(desk.user)]
  const device = deviceKeysOf(desk)
  await desk.post('/keys/upload', { device_keys: device })
  await desk.post(path, first.upload)
  const signed = first.selfSigning.sign(desk.user, device)
  expect(await desk.post('/keys/signatures/upload', { [desk.user]: { [desk.device]: signed } })).toEqual({
    failures: {},
  })
  const body = { master_key: second.upload.master_key }
  const { body: asked } = await desk.server.ask('POST', path, { token: desk.token, body })
  await desk.post(path, { ...body, auth: passwordOf(desk, asked.session) })
  const seen = await queried(desk, desk.user)
  expect(seen.self_signing_keys).toEqual({})
  expect(Object.keys(seen.device_keys[desk.user][desk.device].signatures[desk.user])).toEqual([
    `ed25519:${desk.device}`,
  ])
})

test('a signature holds for the object that was signed, in any order and with other signatures, and for no other', () => {
  fc.assert(
    fc.property(fc.dictionary(fc.string(), fc.jsonValue(), { minKeys: 1 }), fc.string(), (object, more) => {
      const key = new Key()
      const { signatures: _signatures, unsigned: _unsigned, ...plain } = object as Signed
      const signed: Signed = key.sign('@a:x', plain)
      const shown = { ...Object.fromEntries(Object.entries(signed).toReversed()), unsigned: { age: 1 } }
      expect(isSignedBy(shown, '@a:x', key.base64)).toBe(true)
      expect(isSignedBy({ ...signed, [`${more} added`]: 1 }, '@a:x', key.base64)).toBe(false)
      expect(isSignedBy(signed, '@a:x', new Key().base64)).toBe(false)
      expect(isSignedBy(signed, '@b:x', key.base64)).toBe(false)
    }),
  )
})

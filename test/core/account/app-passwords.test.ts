import { createHash, createHmac } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import fc from 'fast-check'
import { describe, expect, test, vi } from 'vitest'
import { fromBase64, fromUtf8, toBase64, toHex } from '../../../src/core/bytes.ts'
import { makePassword, scramVerifier } from '../../../src/core/account/app-password.ts'
import { openLogins } from '../../../src/core/account/app-passwords.ts'
import type { ScramChallenge, ScramHash } from '../../../src/core/account/logins.ts'
import { Throttle } from '../../../src/core/account/throttle.ts'
import { systemRandom } from '../../../src/core/ambient.ts'
import { pbkdf2 } from '../../../src/core/crypto/kdf.ts'
import { openWorld, setClock, stores, type World } from './support.ts'

/** The real ones, watched. */
vi.mock(import('../../../src/core/account/app-password.ts'), { spy: true })
vi.mock(import('node:timers/promises'), { spy: true })

const hmac = (hash: ScramHash, key: Uint8Array, text: string) => createHmac(hash, key).update(text).digest()
const digest = (hash: ScramHash, bytes: Uint8Array) => createHash(hash).update(bytes).digest()
const xor = (a: Uint8Array, b: Uint8Array) => Uint8Array.from(a, (byte, i) => byte ^ b[i]!)

/** RFC 5802 §3, the client's side: what it sends as p= and what it expects as v=. */
function clientOf(
  hash: ScramHash,
  password: string,
  { salt, iterations }: Pick<ScramChallenge, 'salt' | 'iterations'>,
  auth: string,
) {
  const salted = pbkdf2(hash, fromUtf8(password), salt, iterations, hash === 'sha1' ? 20 : 32)
  const clientKey = hmac(hash, salted, 'Client Key')
  const proof = xor(clientKey, hmac(hash, digest(hash, clientKey), auth))
  return { proof, expects: hmac(hash, hmac(hash, salted, 'Server Key'), auth) }
}
/** The server's side, from a verifier alone. */
function serverTakes(
  hash: ScramHash,
  verifier: { storedKey: Uint8Array; serverKey: Uint8Array },
  proof: Uint8Array,
  auth: string,
) {
  const clientKey = xor(proof, hmac(hash, verifier.storedKey, auth))
  return {
    ok: digest(hash, clientKey).equals(verifier.storedKey),
    signature: hmac(hash, verifier.serverKey, auth),
  }
}

describe('SCRAM verifiers', () => {
  const published = [
    {
      source: 'RFC 5802 §5',
      hash: 'sha1',
      salt: 'QSXCR+Q6sek8bf92',
      auth: 'n=user,r=fyko+d2lbbFgONRv9qkxdawL,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096,c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j',
      proof: 'v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=',
      signature: 'rmF9pqV8S7suAoZWja4dJRkFsKQ=',
    },
    {
      source: 'RFC 7677 §3',
      hash: 'sha256',
      salt: 'W22ZaJ0SNY7soEsUEjb6gQ==',
      auth: 'n=user,r=rOprNGfwEbeRWgbNEkqO,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0',
      proof: 'dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=',
      signature: '6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=',
    },
  ] as const
  test.each(published)('follow $source', ({ hash, salt, auth, proof, signature }) => {
    const verifier = scramVerifier(hash, 'pencil', fromBase64(salt)!, 4096)
    const server = serverTakes(hash, verifier, fromBase64(proof)!, auth)
    expect(server.ok).toBe(true)
    expect(toBase64(server.signature)).toBe(signature)
  })
})

async function withLogins(world: World) {
  const { identity } = await world.accounts.create({ localName: 'alice' })
  const logins = await openLogins(world.store, world.ambient, world.accounts)
  return { identity, logins }
}
const local = '127.0.0.1'

describe.each(stores)('app passwords %s', (_name, open) => {
  test('log in under any of the account’s names until revoked, and only with the right password', async () => {
    await using world = await openWorld(open)
    const { identity, logins } = await withLogins(world)
    const made = await logins.create(identity, 'laptop')
    const { address } = world.accounts.get(identity)
    expect(made.password).toMatch(/^([a-z2-7]{4}-){6}[a-z2-7]{4}$/)
    for (const user of ['alice', 'ALICE', address]) {
      expect(await logins.byPassword(user, made.password, local)).toEqual({ account: identity, passwordId: made.id })
    }
    for (const [user, password] of [
      ['alice', ''],
      ['alice', made.password.slice(1)],
      ['bob', made.password],
    ] as const) {
      expect(await logins.byPassword(user, password, local)).toBeUndefined()
    }
    await logins.revoke(identity, 'laptop')
    expect(await logins.byPassword('alice', made.password, local)).toBeUndefined()
    await expect(logins.revoke(identity, 'laptop')).rejects.toMatchObject({ code: 'no-such-password' })
  })

  test('are there after opening again, with the same salts', async () => {
    await using world = await openWorld(open)
    const { identity, logins } = await withLogins(world)
    const made = await logins.create(identity, 'phone')
    const again = await openLogins(world.store, world.ambient, world.accounts)
    expect(await again.byPassword('alice', made.password, local)).toMatchObject({ passwordId: made.id })
    for (const user of ['alice', 'nobody']) {
      expect(again.scram(user, 'sha256', local).salt).toEqual(logins.scram(user, 'sha256', local).salt)
    }
  })

  test('have names, one each; use is noted', async () => {
    await using world = await openWorld(open)
    const { identity, logins } = await withLogins(world)
    const { password } = await logins.create(identity, 'laptop')
    await expect(logins.create(identity, 'laptop')).rejects.toMatchObject({ code: 'name-taken' })
    expect(logins.list(identity)).toMatchObject([{ name: 'laptop', lastUsedMs: undefined }])
    world.clock.wallMs += 1000
    await logins.byPassword('alice', password, local)
    await expect.poll(() => logins.list(identity)[0]!.lastUsedMs).toBe(world.clock.wallMs)
  })

  test.each(['sha1', 'sha256'] as const)('a client that knows one logs in by SCRAM with %s', async (hash) => {
    await using world = await openWorld(open)
    const { identity, logins } = await withLogins(world)
    const [, second] = [await logins.create(identity, 'one'), await logins.create(identity, 'two')]
    const challenge = logins.scram('alice', hash, local)
    expect(challenge.verifiers).toHaveLength(2)
    const client = clientOf(hash, second.password, challenge, 'auth')
    const right = challenge.verifiers.filter((verifier) => serverTakes(hash, verifier, client.proof, 'auth').ok)
    expect(right.map(({ login }) => login)).toEqual([{ account: identity, passwordId: second.id }])
    expect(toHex(serverTakes(hash, right[0]!, client.proof, 'auth').signature)).toBe(toHex(client.expects))
  })
})

describe('who watches a login', () => {
  test('hears once that its password was revoked, its account disabled or removed, and of no other', async () => {
    await using world = await openWorld()
    const { identity, logins } = await withLogins(world)
    const [one, two] = [await logins.create(identity, 'one'), await logins.create(identity, 'two')]
    const ended: string[] = []
    const watch = (id: string) => logins.watch({ account: identity, passwordId: id }, () => void ended.push(id))
    watch(one.id)
    watch(two.id)
    const stop = watch(two.id)
    stop()
    await logins.revoke(identity, 'one')
    await logins.create(identity, 'three')
    expect(ended).toEqual([one.id])
    await world.accounts.setDisabled(identity, true)
    expect(ended).toEqual([one.id, two.id])
    await world.accounts.setDisabled(identity, false)
    watch(two.id)
    await world.accounts.remove(identity)
    logins.forget(identity)
    expect(ended).toEqual([one.id, two.id, two.id])
    watch(two.id)
    await Promise.resolve()
    expect(ended).toHaveLength(4)
  })
})

describe('who asks for somebody that is not there', () => {
  test('gets the salt that everybody gets, whatever the name, and no verifiers', async () => {
    await using world = await openWorld()
    const { identity, logins } = await withLogins(world)
    await logins.create(identity, 'laptop')
    await world.accounts.create({ localName: 'carol' })
    const { address } = world.accounts.get(identity)
    const known = logins.scram('alice', 'sha1', local)
    expect(known.salt).toHaveLength(16)
    for (const user of [address, 'carol', 'bob', 'alice@example.org', 'carol@example.org', 'bob@example.org']) {
      expect(logins.scram(user, 'sha1', local)).toMatchObject({ salt: known.salt, iterations: known.iterations })
    }
    for (const user of ['bob', 'alice@example.org']) expect(logins.scram(user, 'sha1', local).verifiers).toEqual([])
  })

  test('costs and waits as much as with a wrong password', async () => {
    await using world = await openWorld()
    const { identity, logins } = await withLogins(world)
    await logins.create(identity, 'laptop')
    /** Keys derived, and milliseconds waited. */
    const spentOn = async (user: string, source: string) => {
      vi.mocked(scramVerifier).mockClear()
      vi.mocked(delay).mockClear()
      for (let guess = 0; guess < 3; guess += 1) await logins.byPassword(user, `wrong ${guess}`, source)
      return [vi.mocked(scramVerifier).mock.calls.length, ...vi.mocked(delay).mock.calls.map(([ms]) => ms)]
    }
    expect(await spentOn('alice', '192.0.2.1')).toEqual([3, 100, 200, 400])
    expect(await spentOn('bob', '192.0.2.2')).toEqual([3, 100, 200, 400])
  })

  test('and a disabled account, is refused alike', async () => {
    await using world = await openWorld()
    const { identity, logins } = await withLogins(world)
    const { password } = await logins.create(identity, 'laptop')
    await world.accounts.setDisabled(identity, true)
    expect(await logins.byPassword('alice', password, local)).toBeUndefined()
    expect(logins.scram('alice', 'sha1', local).verifiers).toEqual([])
  })
})

describe('throttling', () => {
  test('of somebody who guesses from the same machine does not keep out a password that was right before', async () => {
    await using world = await openWorld()
    const { identity, logins } = await withLogins(world)
    const [used, fresh] = [await logins.create(identity, 'used'), await logins.create(identity, 'fresh')]
    expect(await logins.byPassword('alice', used.password, local)).toMatchObject({ passwordId: used.id })
    for (let guess = 0; guess < 20; guess += 1) logins.scramEnded('alice', local, false)
    await expect(logins.byPassword('alice', 'wrong', local)).rejects.toMatchObject({ code: 'throttled' })
    await expect(logins.byPassword('alice', fresh.password, local)).rejects.toMatchObject({ code: 'throttled' })
    expect(await logins.byPassword('alice', used.password, local)).toMatchObject({ passwordId: used.id })
  })

  test('stops a source that guesses, for a time, and only for that user', () => {
    const clock = setClock()
    const throttle = new Throttle(clock)
    const delays: number[] = []
    while (throttle.allows('192.0.2.1', 'alice')) delays.push(throttle.failed('192.0.2.1', 'alice'))
    expect(delays).toEqual([100, 200, 400, 800, 1600, 3000, 3000, 3000, 3000, 3000])
    expect(throttle.allows('192.0.2.1', 'bob')).toBe(true)
    expect(throttle.allows('192.0.2.2', 'alice')).toBe(true)
    clock.runMs += 1000
    expect(throttle.allows('192.0.2.1', 'alice')).toBe(true)
    throttle.failed('192.0.2.1', 'alice')
    expect(throttle.allows('192.0.2.1', 'alice')).toBe(false)
  })

  test('stops a source that tries many users, but not who has logged in from there before', () => {
    const throttle = new Throttle(setClock())
    throttle.succeeded(local, 'alice')
    let tried = 0
    while (throttle.allows(local, `user${tried}`)) {
      throttle.failed(local, `user${tried}`)
      tried += 1
    }
    expect(tried).toBe(40)
    expect(throttle.allows(local, 'carol')).toBe(false)
    expect(throttle.allows(local, 'alice')).toBe(true)
  })

  test('a program that retries an old password every two seconds keeps nobody out', () => {
    const clock = setClock()
    const throttle = new Throttle(clock)
    for (let i = 0; i < 1000; i += 1) {
      expect(throttle.allows(local, 'alice')).toBe(true)
      throttle.failed(local, 'alice')
      clock.runMs += 2000
    }
  })

  test('counts all of an IPv6 /64 as one source, and a mapped IPv4 address as itself', () => {
    const throttle = new Throttle(setClock())
    for (let i = 0; throttle.allows(`2001:db8::${i.toString(16)}`, 'alice'); i += 1) {
      throttle.failed(`2001:db8::${i.toString(16)}`, 'alice')
      expect(i).toBeLessThan(20)
    }
    expect(throttle.allows('2001:db8:0:1::1', 'alice')).toBe(true)
    for (let i = 0; i < 20; i += 1) throttle.failed('::ffff:192.0.2.1', 'bob')
    expect(throttle.allows('192.0.2.1', 'bob')).toBe(false)
    expect(throttle.allows('::ffff:192.0.2.2', 'bob')).toBe(true)
  })

  test('remembers a bounded number, whatever is thrown at it', () => {
    const throttle = new Throttle(setClock(), 100)
    fc.assert(
      fc.property(fc.string(), fc.string(), (source, user) => {
        throttle.failed(source, user)
        expect(throttle.size).toBeLessThanOrEqual(100)
      }),
      { numRuns: 500 },
    )
  })

  test('is what the logins answer with', async () => {
    await using world = await openWorld()
    const { logins } = await withLogins(world)
    for (let i = 0; i < 10; i += 1) logins.scramEnded('alice', local, false)
    expect(() => logins.scram('alice', 'sha1', local)).toThrow('throttled')
    await expect(logins.byPassword('alice', 'x', local)).rejects.toMatchObject({ code: 'throttled' })
    expect(logins.scram('alice', 'sha1', '192.0.2.1').iterations).toBe(4096)
  })
})

test('a password has 140 random bits', () => {
  const passwords = Array.from({ length: 200 }, () => makePassword(systemRandom).replaceAll('-', ''))
  expect(new Set(passwords).size).toBe(200)
  expect(passwords.every((password) => password.length === 28)).toBe(true)
  expect(new Set(passwords.join('')).size).toBe(32)
})

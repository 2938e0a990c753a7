import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { fromUtf8, toUtf8 } from '../../../src/core/bytes.ts'
import { type SaslMechanism, saslMechanisms, type SaslOutcome, startSasl } from '../../../src/adapters/wire/sasl.ts'
import { identityOf, MemoryLogins } from './memory-logins.ts'
import { ScramClient } from './scram-client.ts'

const entry = (user: string, password: string) => ({ user, password, account: identityOf(user) })
const fixedRandom = { bytes: (length: number) => new Uint8Array(length).fill(1) }
const tim = new MemoryLogins([entry('tim', 'tanstaaftanstaaf')])

async function run(
  mechanism: SaslMechanism,
  logins: MemoryLogins,
  responses: readonly (string | Uint8Array)[],
  random = fixedRandom,
): Promise<{ readonly challenges: readonly string[]; readonly outcome: SaslOutcome | undefined }> {
  const exchange = startSasl(mechanism, { logins, random, source: '127.0.0.1' })
  const challenges: string[] = []
  let next = await exchange.next()
  for (const response of responses) {
    if (next.done === true) break
    challenges.push(toUtf8(next.value)!)
    next = await exchange.next(typeof response === 'string' ? fromUtf8(response) : response)
  }
  return { challenges, outcome: next.done === true ? next.value : undefined }
}

describe('PLAIN', () => {
  test('the example of RFC 4616 §4 logs in', async () => {
    const { outcome } = await run('PLAIN', tim, ['\0tim\0tanstaaftanstaaf'])
    expect(outcome).toMatchObject({ kind: 'success', login: { account: identityOf('tim') } })
  })
  test('an authorization identity may repeat the user and nobody else (RFC 4616 §4, "Ursel" acting for "Kurt")', async () => {
    expect((await run('PLAIN', tim, ['tim\0tim\0tanstaaftanstaaf'])).outcome?.kind).toBe('success')
    expect((await run('PLAIN', tim, ['Ursel\0tim\0tanstaaftanstaaf'])).outcome?.kind).toBe('wrong-credentials')
  })
  test.each([
    ['wrong password', '\0tim\0nope', 'wrong-credentials'],
    ['unknown user', '\0nobody\0tanstaaftanstaaf', 'wrong-credentials'],
    ['nothing', '', 'malformed'],
    ['two fields', 'tim\0tanstaaftanstaaf', 'malformed'],
    ['four fields', '\0tim\0tanstaaftanstaaf\0', 'malformed'],
    ['no password', '\0tim\0', 'malformed'],
    ['a control character', '\0tim\0tan\nstaaf', 'malformed'],
    ['a long name', `\0${'t'.repeat(321)}\0x`, 'malformed'],
    ['a long password', `\0tim\0${'x'.repeat(1025)}`, 'malformed'],
    ['ill-formed UTF-8', Uint8Array.of(0, 0x74, 0xff, 0, 0x70), 'malformed'],
  ])('%s is refused', async (_, response, kind) => {
    expect((await run('PLAIN', tim, [response])).outcome).toEqual({ kind })
  })
  test('a throttled source learns so before its password is tried', async () => {
    const logins = new MemoryLogins([entry('tim', 'right')], { failuresMax: 2 })
    await run('PLAIN', logins, ['\0tim\0a'])
    await run('PLAIN', logins, ['\0tim\0b'])
    await expect(run('PLAIN', logins, ['\0tim\0right'])).rejects.toThrow('throttled')
  })
})

describe('LOGIN', () => {
  test('asks for the name, then the password', async () => {
    const { challenges, outcome } = await run('LOGIN', tim, ['tim', 'tanstaaftanstaaf'])
    expect(challenges).toEqual(['Username:', 'Password:'])
    expect(outcome?.kind).toBe('success')
  })
  test('a bad name is refused only after the password was asked for', async () => {
    expect(await run('LOGIN', tim, ['ti\nm', 'tanstaaftanstaaf'])).toEqual({
      challenges: ['Username:', 'Password:'],
      outcome: { kind: 'malformed' },
    })
  })
})

describe('SCRAM', () => {
  // The RFCs' server nonces are not ours to draw, so their exchanges check the client that then checks the server.
  test('the client of these tests computes the exchanges of RFC 5802 §5 and RFC 7677 §3', () => {
    const sha1 = new ScramClient('sha1', 'user', 'pencil', 'fyko+d2lbbFgONRv9qkxdawL')
    expect(sha1.first()).toBe('n,,n=user,r=fyko+d2lbbFgONRv9qkxdawL')
    expect(sha1.final('r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096')).toBe(
      'c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=',
    )
    expect(sha1.accepts('v=rmF9pqV8S7suAoZWja4dJRkFsKQ=')).toBe(true)
    const sha256 = new ScramClient('sha256', 'user', 'pencil', 'rOprNGfwEbeRWgbNEkqO')
    expect(sha256.final('r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096')).toBe(
      'c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=',
    )
    expect(sha256.accepts('v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=')).toBe(true)
  })

  test.each([
    ['SCRAM-SHA-1', 'sha1'],
    ['SCRAM-SHA-256', 'sha256'],
  ] as const)('%s with the right password succeeds, and the server proves itself', async (mechanism, hash) => {
    const logins = new MemoryLogins([entry('user', 'pencil'), entry('user', 'second')])
    for (const password of ['pencil', 'second']) {
      const client = new ScramClient(hash, 'user', password, 'rOprNGfwEbeRWgbNEkqO')
      const exchange = startSasl(mechanism, { logins, random: fixedRandom, source: '::1' })
      expect((await exchange.next()).value).toEqual(new Uint8Array())
      const serverFirst = await exchange.next(fromUtf8(client.first()))
      const serverFinal = await exchange.next(fromUtf8(client.final(toUtf8(serverFirst.value as Uint8Array)!)))
      expect(client.accepts(toUtf8(serverFinal.value as Uint8Array)!)).toBe(true)
      const end = await exchange.next(new Uint8Array())
      expect(end).toMatchObject({ done: true, value: { kind: 'success', login: { account: identityOf('user') } } })
    }
    expect(logins.ended).toEqual([
      { user: 'user', success: true },
      { user: 'user', success: true },
    ])
  })

  test('a wrong password and an unknown user look the same until the end', async () => {
    for (const [user, password] of [
      ['user', 'wrong'],
      ['nobody', 'pencil'],
    ] as const) {
      const logins = new MemoryLogins([entry('user', 'pencil')])
      const client = new ScramClient('sha256', user, password, 'abc')
      const exchange = startSasl('SCRAM-SHA-256', { logins, random: fixedRandom, source: '::1' })
      await exchange.next()
      const serverFirst = await exchange.next(fromUtf8(client.first()))
      const end = await exchange.next(fromUtf8(client.final(toUtf8(serverFirst.value as Uint8Array)!)))
      expect(end).toEqual({ done: true, value: { kind: 'wrong-credentials' } })
      expect(logins.ended).toEqual([{ user, success: false }])
    }
  })

  test('the header in the final message must repeat the first one', async () => {
    const logins = new MemoryLogins([entry('user', 'pencil')])
    const client = new ScramClient('sha1', 'user', 'pencil', 'abc', 'y,,')
    const exchange = startSasl('SCRAM-SHA-1', { logins, random: fixedRandom, source: '::1' })
    await exchange.next()
    const serverFirst = await exchange.next(fromUtf8('n,,n=user,r=abc'))
    const end = await exchange.next(fromUtf8(client.final(toUtf8(serverFirst.value as Uint8Array)!)))
    expect(end).toEqual({ done: true, value: { kind: 'malformed' } })
  })

  test('the final message must repeat the nonce, even where its proof is right', async () => {
    const logins = new MemoryLogins([entry('user', 'pencil')])
    const client = new ScramClient('sha1', 'user', 'pencil', 'abc')
    const exchange = startSasl('SCRAM-SHA-1', { logins, random: fixedRandom, source: '::1' })
    await exchange.next()
    const serverFirst = await exchange.next(fromUtf8(client.first()))
    const end = await exchange.next(fromUtf8(client.final(toUtf8(serverFirst.value as Uint8Array)!, 'abc')))
    expect(end).toEqual({ done: true, value: { kind: 'malformed' } })
  })

  test.each([
    ['channel binding', 'p=tls-unique,,n=user,r=abc'],
    ['a mandatory extension', 'n,,m=x,n=user,r=abc'],
    ['another authorization identity', 'n,a=bob,n=user,r=abc'],
    ['a bad escape in the name', 'n,,n=us=er,r=abc'],
    ['no nonce', 'n,,n=user,r='],
    ['a long nonce', `n,,n=user,r=${'x'.repeat(257)}`],
    ['a control character in the nonce', 'n,,n=user,r=a\u0001b'],
    ['nothing', ''],
  ])('%s is refused', async (_, first) => {
    const logins = new MemoryLogins([entry('user', 'pencil')])
    expect((await run('SCRAM-SHA-1', logins, [first])).outcome).toEqual({ kind: 'malformed' })
  })

  test('names with comma and equals sign travel escaped', async () => {
    const logins = new MemoryLogins([entry('a,b=c', 'pencil')])
    const client = new ScramClient('sha1', 'a=2Cb=3Dc', 'pencil', 'abc')
    const exchange = startSasl('SCRAM-SHA-1', { logins, random: fixedRandom, source: '::1' })
    await exchange.next()
    const serverFirst = await exchange.next(fromUtf8(client.first()))
    const serverFinal = await exchange.next(fromUtf8(client.final(toUtf8(serverFirst.value as Uint8Array)!)))
    expect(serverFinal.done).toBe(false)
  })
})

test('no sequence of garbage logs in or throws', async () => {
  const logins = new MemoryLogins([entry('user', 'pencil')], { failuresMax: Infinity })
  const response = fc.oneof(
    fc.uint8Array({ maxLength: 40 }),
    fc
      .string({ maxLength: 40, unit: fc.constantFrom('n', ',', '=', 'r', 'u', 'y', '\0', 'a', 'p', 'c') })
      .map(fromUtf8),
  )
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(...saslMechanisms),
      fc.array(response, { minLength: 1, maxLength: 4 }),
      async (mechanism, responses) => {
        expect((await run(mechanism, logins, responses)).outcome?.kind).not.toBe('success')
      },
    ),
    { numRuns: 300 },
  )
})

import { hkdf as nobleHkdf } from '@noble/hashes/hkdf.js'
import { sha512 } from '@noble/hashes/sha2.js'
import { spawnSync } from 'node:child_process'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { toHex } from '../../../src/core/bytes.ts'
import { argon2id, hkdf } from '../../../src/core/crypto/kdf.ts'
import { loadNative } from '../../../src/core/crypto/native.ts'
import { portable } from '../../../src/core/crypto/portable.ts'
import type { Primitives } from '../../../src/core/crypto/primitives.ts'
import { sodium, useImplementation } from '../../../src/core/crypto/sodium.ts'
import { hex, vectors } from './support.ts'

const native = loadNative()!
const bytes = (length: number): fc.Arbitrary<Uint8Array> => fc.uint8Array({ minLength: length, maxLength: length })
const message = fc.uint8Array({ maxLength: 300 })
/** What `run` writes into `length` bytes, and what it answers, with each implementation. */
function both(
  length: number,
  run: (by: Primitives, out: Uint8Array) => unknown,
): { native: unknown; portable: unknown } {
  const outcome = (implementation: Primitives): unknown => {
    const out = Buffer.alloc(length)
    const answer = run(implementation, out)
    return answer === false ? false : toHex(out)
  }
  return { native: outcome(native), portable: outcome(portable) }
}
const agree = (length: number, run: (by: Primitives, out: Uint8Array) => unknown): void => {
  const results = both(length, run)
  expect(results.portable).toEqual(results.native)
}

describe('native and portable primitives agree', () => {
  test('BLAKE2b, keyed and not, of every length', () => {
    fc.assert(
      fc.property(
        message,
        fc.option(fc.uint8Array({ minLength: 16, maxLength: 64 })),
        fc.integer({ min: 16, max: 64 }),
        (input, key, length) => agree(length, (by, out) => by.blake2b(out, input, key ?? undefined)),
      ),
      { numRuns: 300 },
    )
  })

  test('both AEADs, sealing and opening, whole and changed, in place', () => {
    fc.assert(
      fc.property(bytes(32), bytes(24), message, fc.option(message), fc.nat(), (key, nonce, plain, associated, bit) => {
        const ad = associated ?? undefined
        for (const [sealName, openName, nonceBytes] of [
          ['seal', 'open', 12],
          ['sealX', 'openX', 24],
        ] as const) {
          const short = nonce.subarray(0, nonceBytes)
          agree(plain.length + 16, (by, out) => by[sealName](out, plain, ad, short, key))
          agree(plain.length + 16, (by, out) => {
            out.set(plain)
            by[sealName](out, out.subarray(0, plain.length), ad, short, key)
          })
          const sealed = Buffer.alloc(plain.length + 16)
          native[sealName](sealed, plain, ad, short, key)
          agree(plain.length, (by, out) => by[openName](out, sealed, ad, short, key))
          sealed[(bit >> 3) % sealed.length]! ^= 1 << (bit & 7)
          for (const by of [native, portable]) {
            expect(by[openName](Buffer.alloc(plain.length), sealed, ad, short, key)).toBe(false)
          }
        }
      }),
      { numRuns: 150 },
    )
  })

  test('X25519, on random and on low-order points', () => {
    fc.assert(
      fc.property(bytes(32), bytes(32), (secret, point) => {
        agree(32, (by, out) => by.dhPublic(out, secret))
        agree(32, (by, out) => by.dh(out, secret, point))
      }),
      { numRuns: 60 },
    )
    for (const point of vectors('x25519/low-order.json') as readonly string[]) {
      agree(32, (by, out) => by.dh(out, hex('42'.repeat(32)), hex(point)))
    }
  })

  test('Ed25519: keys, signatures, and what each accepts of changed ones', () => {
    let accepted = 0
    fc.assert(
      fc.property(bytes(32), message, fc.nat({ max: 96 * 8 - 1 }), fc.boolean(), (seed, text, bit, changes) => {
        agree(96, (by, out) => by.signKeyPair(out.subarray(0, 32), out.subarray(32), seed))
        const [publicKey, secretKey] = [Buffer.alloc(32), Buffer.alloc(64)]
        native.signKeyPair(publicKey, secretKey, seed)
        agree(64, (by, out) => by.sign(out, text, secretKey))
        const both = Buffer.alloc(96)
        both.set(publicKey)
        native.sign(both.subarray(32), text, secretKey)
        if (changes) both[bit >> 3]! ^= 1 << (bit & 7)
        const verdicts = [native, portable].map((by) => by.verify(both.subarray(0, 32), text, both.subarray(32)))
        expect(verdicts[1]).toBe(verdicts[0])
        accepted += verdicts[0] === true ? 1 : 0
      }),
      { numRuns: 60 },
    )
    expect(accepted).toBeGreaterThan(5)
  })

  test('Ed25519: every pair of a small-order key and a small-order R', () => {
    const points = (vectors('ed25519/small-order.json') as readonly string[]).map(hex)
    for (const key of points) {
      for (const r of points) {
        const signature = Buffer.concat([r, Buffer.alloc(32)])
        expect(native.verify(key, Buffer.from('x'), signature)).toBe(false)
        expect(portable.verify(key, Buffer.from('x'), signature)).toBe(false)
      }
    }
  })

  test('ML-KEM-768: keys, secrets in both directions, implicit rejection', () => {
    fc.assert(
      fc.property(bytes(64), bytes(32), fc.nat({ max: 1087 }), (seed, entropy, at) => {
        const publicKey = native.kemPublicKey(seed)
        expect(toHex(portable.kemPublicKey(seed))).toBe(toHex(publicKey))
        for (const [maker, taker] of [
          [native, portable],
          [portable, native],
        ] as const) {
          const { ciphertext, shared } = maker.encapsulate(publicKey, () => entropy)!
          expect(toHex(taker.decapsulate(seed, ciphertext))).toBe(toHex(shared))
          const forged = Uint8Array.from(ciphertext)
          forged[at]! ^= 0x10
          const rejected = toHex(taker.decapsulate(seed, forged))
          expect(rejected).toBe(toHex(maker.decapsulate(seed, forged)))
          expect(rejected).not.toBe(toHex(shared))
        }
      }),
      { numRuns: 15 },
    )
  })

  test('HKDF-SHA-512 as noble computes it', () => {
    fc.assert(
      fc.property(
        message,
        message,
        fc.string({ maxLength: 40 }),
        fc.integer({ min: 1, max: 300 }),
        (secret, salt, label, length) => {
          const expected = nobleHkdf(sha512, secret, salt, Buffer.from(label), length)
          expect(toHex(hkdf(secret, salt, label, length))).toBe(toHex(expected))
        },
      ),
      { numRuns: 100 },
    )
  })

  test('Argon2id with small parameters', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 40 }),
        bytes(16),
        fc.integer({ min: 1, max: 3 }),
        (password, salt, passes) => {
          const parameters = { memoryBytes: 64 * 1024, passes, length: 32 }
          try {
            const [fast, slow] = (['native', 'portable'] as const).map((name) => {
              useImplementation(name)
              return toHex(argon2id(password, salt, parameters))
            })
            expect(slow).toBe(fast)
          } finally {
            useImplementation('native')
          }
        },
      ),
      { numRuns: 20 },
    )
  })
})

describe('the implementation in use', () => {
  test('is the native one where it loads', () => expect(sodium.name).toBe('native'))

  test('is the portable one in a process where the native module does not load', () => {
    const block = `
      import { Module } from 'node:module'
      const load = Module._load
      Module._load = (name, ...rest) => {
        if (name === 'sodium-native') throw new Error('no prebuild for this machine')
        return load(name, ...rest)
      }
      const { sodium } = await import(${JSON.stringify(new URL('../../../src/core/crypto/sodium.ts', import.meta.url).href)})
      const out = new Uint8Array(32)
      sodium.blake2b(out, new Uint8Array())
      process.stdout.write(sodium.name + ' ' + Buffer.from(out).toString('hex'))`
    const run = spawnSync(process.execPath, ['--input-type=module', '--eval', block], { encoding: 'utf8' })
    const expected = Buffer.alloc(32)
    native.blake2b(expected, new Uint8Array(), undefined)
    expect(run.stdout, run.stderr).toBe(`portable ${expected.toString('hex')}`)
  })
})

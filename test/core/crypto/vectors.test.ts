import { argon2id as nobleArgon2id } from '@noble/hashes/argon2.js'
import { hkdf as nobleHkdf } from '@noble/hashes/hkdf.js'
import { sha256 as nobleSha256 } from '@noble/hashes/sha2.js'
import { shake128 } from '@noble/hashes/sha3.js'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { toHex } from '../../../src/core/bytes.ts'
import { open, openRandom, seal, sealRandom } from '../../../src/core/crypto/aead.ts'
import { dh, dhKeyPair } from '../../../src/core/crypto/dh.ts'
import { blake2b, hmac, sha256 } from '../../../src/core/crypto/kdf.ts'
import { decapsulate, encapsulate, kemCiphertextBytes, kemKeyPair } from '../../../src/core/crypto/kem.ts'
import { portable } from '../../../src/core/crypto/portable.ts'
import { signingKey, signRaw, verifyRaw } from '../../../src/core/crypto/sign.ts'
import { sodium, useImplementation } from '../../../src/core/crypto/sodium.ts'
import { hex, vectors } from './support.ts'

interface Aead {
  readonly key: string
  readonly nonce: string
  readonly associated: string
  readonly plaintext: string
  readonly sealed: string
}

describe.each(['native', 'portable'] as const)('the %s primitives meet the published vectors', (implementation) => {
  beforeAll(() => useImplementation(implementation))
  afterAll(() => useImplementation('native'))

  test('the implementation that was asked for is in use', () => expect(sodium.name).toBe(implementation))

  test('ChaCha20-Poly1305 (RFC 8439)', () => {
    for (const each of vectors('chacha20-poly1305/rfc8439.json') as readonly Aead[]) {
      const [key, nonce, associated] = [hex(each.key), hex(each.nonce), hex(each.associated)]
      expect(toHex(seal(key, nonce, hex(each.plaintext), associated))).toBe(each.sealed)
      expect(toHex(open(key, nonce, hex(each.sealed), associated)!)).toBe(each.plaintext)
      for (let bit = 0; bit < each.sealed.length * 4; bit += 5) {
        const changed = Buffer.from(hex(each.sealed))
        changed[bit >> 3]! ^= 1 << (bit & 7)
        expect(open(key, nonce, changed, associated)).toBeUndefined()
      }
      expect(open(key, nonce, hex(each.sealed).subarray(0, 15), associated)).toBeUndefined()
    }
  })

  test('XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha)', () => {
    for (const each of vectors('chacha20-poly1305/xchacha.json') as readonly Aead[]) {
      const [key, nonce, associated] = [hex(each.key), hex(each.nonce), hex(each.associated)]
      expect(toHex(sealRandom(key, nonce, hex(each.plaintext), associated))).toBe(each.nonce + each.sealed)
      const sealed = Buffer.from(hex(each.nonce + each.sealed))
      expect(toHex(openRandom(key, sealed, associated)!)).toBe(each.plaintext)
      sealed[3]! ^= 1
      expect(openRandom(key, sealed, associated)).toBeUndefined()
    }
  })

  test('X25519 (RFC 7748)', () => {
    const given = vectors('x25519/rfc7748.json') as {
      multiply: { scalar: string; u: string; result: string }[]
      iterated: Record<'1' | '1000', string>
      agreement: Record<'alice' | 'bob', { secret: string; public: string }> & { shared: string }
    }
    for (const { scalar, u, result } of given.multiply) expect(toHex(dh(hex(scalar), hex(u))!)).toBe(result)
    let [k, u] = [hex(`09${'00'.repeat(31)}`), hex(`09${'00'.repeat(31)}`)]
    const rounds = implementation === 'native' ? 1000 : 1
    for (let round = 0; round < rounds; round += 1) [k, u] = [dh(k, u)!, k]
    expect(toHex(k)).toBe(given.iterated[implementation === 'native' ? '1000' : '1'])
    const { alice, bob, shared } = given.agreement
    expect(toHex(dhKeyPair(hex(alice.secret)).publicKey)).toBe(alice.public)
    expect(toHex(dhKeyPair(hex(bob.secret)).publicKey)).toBe(bob.public)
    expect(toHex(dh(hex(alice.secret), hex(bob.public))!)).toBe(shared)
    expect(toHex(dh(hex(bob.secret), hex(alice.public))!)).toBe(shared)
  })

  test('X25519 refuses every point of low order', () => {
    for (const point of vectors('x25519/low-order.json') as readonly string[]) {
      expect(dh(hex('a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4'), hex(point))).toBeUndefined()
    }
    expect(dh(hex('01'.repeat(32)), hex('09'))).toBeUndefined()
  })

  test('Ed25519 (RFC 8032)', () => {
    for (const each of vectors('ed25519/rfc8032.json') as Record<
      'seed' | 'public' | 'message' | 'signature',
      string
    >[]) {
      const key = signingKey(hex(each.seed))
      expect(toHex(key.publicKey)).toBe(each.public)
      expect(toHex(signRaw(key, hex(each.message)))).toBe(each.signature)
      expect(verifyRaw(hex(each.public), hex(each.message), hex(each.signature))).toBe(true)
      expect(verifyRaw(hex(each.public), hex(`${each.message}00`), hex(each.signature))).toBe(false)
    }
  })

  test('Ed25519 refuses S + L, points of small order as key or R, and keys that are no point', () => {
    const key = signingKey(hex('01'.repeat(32)))
    const message = Buffer.from('strict')
    const signature = signRaw(key, message)
    const order = 2n ** 252n + 27742317777372353535851937790883648493n
    const s = BigInt(`0x${toHex(signature.subarray(32).toReversed())}`)
    const malleable = Buffer.concat([
      signature.subarray(0, 32),
      Buffer.from((s + order).toString(16).padStart(64, '0'), 'hex').toReversed(),
    ])
    expect(verifyRaw(key.publicKey, message, signature)).toBe(true)
    expect(verifyRaw(key.publicKey, message, malleable)).toBe(false)
    for (const point of vectors('ed25519/small-order.json') as readonly string[]) {
      // R of small order, S = 0: holds for every message under a cofactored check with such a key
      expect(verifyRaw(hex(point), message, Buffer.concat([hex(point), Buffer.alloc(32)]))).toBe(false)
      expect(verifyRaw(hex(point), message, signature)).toBe(false)
      expect(verifyRaw(key.publicKey, message, Buffer.concat([hex(point), signature.subarray(32)]))).toBe(false)
    }
    expect(verifyRaw(hex('02'.padEnd(64, '0')), message, signature)).toBe(false)
    expect(verifyRaw(key.publicKey.subarray(1), message, signature)).toBe(false)
    expect(verifyRaw(key.publicKey, message, signature.subarray(1))).toBe(false)
  })

  test('BLAKE2b (RFC 7693)', () => {
    const given = vectors('blake2b/rfc7693.json') as { abc: string; selfTest: string }
    expect(toHex(blake2b(64, Buffer.from('abc')))).toBe(given.abc)
    const hashes: Uint8Array[] = []
    for (const length of [20, 32, 48, 64]) {
      for (const inputLength of [0, 3, 128, 129, 255, 1024]) {
        const input = selfTestBytes(inputLength, inputLength)
        hashes.push(blake2b(length, input), blake2b(length, input, selfTestBytes(length, length)))
      }
    }
    expect(toHex(blake2b(32, Buffer.concat(hashes)))).toBe(given.selfTest)
  })

  test('ML-KEM-768 (FIPS 203, accumulated vectors of C2SP CCTV)', () => {
    const given = vectors('ml-kem-768/accumulated.json') as { rounds: number; hash: string }
    const source = shake128.create({})
    const sum = shake128.create({})
    for (let round = 0; round < given.rounds; round += 1) {
      const { publicKey, seed } = kemKeyPair(source.xof(64))
      sum.update(publicKey)
      // only the portable implementation can be told its randomness; the native one decapsulates what it makes
      const { ciphertext, shared } = portable.encapsulate(publicKey, () => source.xof(32))!
      sum.update(ciphertext).update(shared)
      expect(toHex(decapsulate(seed, ciphertext)!)).toBe(toHex(shared))
      sum.update(decapsulate(seed, source.xof(kemCiphertextBytes))!)
    }
    expect(toHex(sum.xof(32))).toBe(given.hash)
  })

  test('ML-KEM-768 refuses keys over the modulus and ciphertexts of another length', () => {
    const { publicKey, seed } = kemKeyPair(hex('07'.repeat(64)))
    const own = encapsulate(publicKey)!
    expect(toHex(decapsulate(seed, own.ciphertext)!)).toBe(toHex(own.shared))
    for (const at of [0, 3, 600, 1149]) {
      const over = Uint8Array.from(publicKey)
      over[at] = 0x01 // the 12 bits 0xd01 = 3329 = q: the smallest value that is not reduced
      over[at + 1] = (over[at + 1]! & 0xf0) | 0x0d
      expect(encapsulate(over)).toBeUndefined()
    }
    expect(encapsulate(publicKey.subarray(1))).toBeUndefined()
    expect(decapsulate(seed, own.ciphertext.subarray(1))).toBeUndefined()
  })
})

/** The generator of RFC 7693 appendix E. */
function selfTestBytes(length: number, seed: number): Uint8Array {
  const out = new Uint8Array(length)
  let [a, b] = [Math.imul(0xdead4bad, seed), 1]
  for (let at = 0; at < length; at += 1) {
    const sum = (a + b) | 0
    a = b
    b = sum
    out[at] = sum >>> 24
  }
  return out
}

test('HMAC (RFC 4231)', () => {
  for (const each of vectors('hmac/rfc4231.json') as Record<'key' | 'data' | 'sha256' | 'sha512', string>[]) {
    expect(toHex(hmac('sha256', hex(each.key), hex(each.data)))).toBe(each.sha256)
    expect(toHex(hmac('sha512', hex(each.key), hex(each.data)))).toBe(each.sha512)
  }
})

test('the oracles themselves: HKDF (RFC 5869), Argon2id (RFC 9106 and its reference implementation)', () => {
  for (const each of vectors('hkdf/rfc5869.json') as {
    secret: string
    salt: string
    info: string
    length: number
    okm: string
  }[]) {
    const okm = nobleHkdf(nobleSha256, hex(each.secret), hex(each.salt), hex(each.info), each.length)
    expect(toHex(okm)).toBe(each.okm)
  }
  type Argon2 = Record<'password' | 'salt' | 'tag', string> &
    Record<'passes' | 'memoryKib' | 'lanes', number> & { secret?: string; associated?: string }
  for (const each of Object.values(vectors('argon2id/rfc9106.json') as Record<string, Argon2>)) {
    const tag = nobleArgon2id(hex(each.password), hex(each.salt), {
      t: each.passes,
      m: each.memoryKib,
      p: each.lanes,
      dkLen: 32,
      ...(each.secret === undefined ? {} : { key: hex(each.secret) }),
      ...(each.associated === undefined ? {} : { personalization: hex(each.associated) }),
    })
    expect(toHex(tag)).toBe(each.tag)
  }
})

test('SHA-256 of "abc" (FIPS 180-4)', () => {
  expect(toHex(sha256(Buffer.from('abc')))).toBe('ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad')
})

import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { toHex } from '../../../src/core/bytes.ts'
import { open, seal } from '../../../src/core/crypto/aead.ts'
import { dh } from '../../../src/core/crypto/dh.ts'
import { decapsulate, encapsulate, kemKeyPair } from '../../../src/core/crypto/kem.ts'
import { hkdf } from '../../../src/core/crypto/kdf.ts'
import { verifyRaw } from '../../../src/core/crypto/sign.ts'
import { sodium, useImplementation } from '../../../src/core/crypto/sodium.ts'
import { hex, vectors } from './support.ts'

type Result = 'valid' | 'invalid' | 'acceptable'
interface Case {
  readonly tcId: number
  readonly result: Result
}
interface Aead extends Case, Record<'key' | 'iv' | 'aad' | 'msg' | 'ct' | 'tag', string> {
  readonly tcId: number
}

/** All 21 signatures under mixed-order keys: they satisfy the equation, and harm nobody but who chose such a key. */
const mixedOrderAccepted = 21

const cases = (name: string): readonly unknown[] => {
  const found = vectors(`wycheproof/${name}.json`) as readonly unknown[]
  expect(found.length).toBeGreaterThan(20)
  return found
}

describe.each(['native', 'portable'] as const)('the %s primitives meet Wycheproof', (implementation) => {
  beforeAll(() => useImplementation(implementation))
  afterAll(() => useImplementation('native'))

  /** RFC 8032 leaves keys outside the prime-order group open; ours: small order never, a mixed one as its equation says. */
  test('Ed25519: what verifies and what must not', () => {
    interface Signature extends Case, Record<'pk' | 'msg' | 'sig', string> {
      readonly tcId: number
      readonly smallOrder?: true
    }
    let mixed = 0
    for (const { tcId, pk, msg, sig, result, smallOrder } of cases('ed25519') as readonly Signature[]) {
      const verifies = verifyRaw(hex(pk), hex(msg), hex(sig))
      if (result === 'acceptable' && smallOrder === undefined) mixed += verifies ? 1 : 0
      else expect([tcId, verifies]).toEqual([tcId, result === 'valid'])
    }
    // both implementations must say the same of these, or two gateways could disagree about one signature
    expect(mixed).toBe(mixedOrderAccepted)
  })

  test('X25519: every shared secret, and none from a point of low order', () => {
    for (const each of cases('x25519') as readonly (Case & Record<'public' | 'private' | 'shared', string>)[]) {
      const shared = dh(hex(each.private), hex(each.public))
      const expected = /^0+$/.test(each.shared) ? undefined : each.shared
      expect([each.tcId, shared && toHex(shared)]).toEqual([each.tcId, expected])
    }
  })

  test('ChaCha20-Poly1305', () => {
    for (const { tcId, key, iv, aad, msg, ct, tag, result } of cases('chacha20_poly1305') as readonly Aead[]) {
      const opened = open(hex(key), hex(iv), hex(ct + tag), hex(aad))
      expect([tcId, opened && toHex(opened)]).toEqual([tcId, result === 'valid' ? msg : undefined])
      if (result === 'valid') expect(toHex(seal(hex(key), hex(iv), hex(msg), hex(aad)))).toBe(ct + tag)
    }
  })

  test('XChaCha20-Poly1305', () => {
    for (const { tcId, key, iv, aad, msg, ct, tag, result } of cases('xchacha20_poly1305') as readonly Aead[]) {
      const out = Buffer.alloc(hex(ct).length)
      const isGood = sodium.openX(
        out,
        Buffer.from(hex(ct + tag)),
        Buffer.from(hex(aad)),
        Buffer.from(hex(iv)),
        Buffer.from(hex(key)),
      )
      expect([tcId, isGood]).toEqual([tcId, result === 'valid'])
      if (result === 'valid') expect(toHex(out)).toBe(msg)
    }
  })

  test('ML-KEM-768: key pairs from seeds', () => {
    for (const { tcId, seed, ek } of cases('mlkem_768_keygen') as readonly (Case & Record<'seed' | 'ek', string>)[]) {
      expect([tcId, toHex(kemKeyPair(Buffer.from(hex(seed))).publicKey)]).toEqual([tcId, ek])
    }
  })

  test('ML-KEM-768: decapsulation, and ciphertexts that must be refused', () => {
    for (const { tcId, seed, c, K, result } of cases('mlkem_768_decaps') as readonly (Case &
      Record<'seed' | 'c' | 'K', string>)[]) {
      const shared = decapsulate(Buffer.from(hex(seed)), hex(c))
      expect([tcId, shared && toHex(shared)]).toEqual([tcId, result === 'valid' ? K : undefined])
    }
  })

  test('ML-KEM-768: encapsulation, and keys that must be refused', () => {
    for (const { tcId, m, ek, c, K, result } of cases('mlkem_768_encaps') as readonly (Case &
      Record<'m' | 'ek' | 'c' | 'K', string>)[]) {
      const made = encapsulate(hex(ek), () => hex(m))
      expect([tcId, made !== undefined]).toEqual([tcId, result === 'valid'])
      // node:crypto draws its own randomness, so only the portable one can be held to the exact bytes
      if (made !== undefined && implementation === 'portable') {
        expect([toHex(made.ciphertext), toHex(made.shared)]).toEqual([c, K])
      }
    }
  })
})

test('HKDF-SHA-512 meets Wycheproof', () => {
  interface Derivation extends Record<'ikm' | 'salt' | 'info' | 'okm', string> {
    readonly tcId: number
    readonly size: number
  }
  // our labels are text: the cases without info are the ones that can be asked
  const plain = (cases('hkdf_sha512') as readonly Derivation[]).filter(({ info }) => info === '')
  expect(plain.length).toBeGreaterThan(10)
  for (const { tcId, ikm, salt, size, okm } of plain) {
    expect([tcId, toHex(hkdf(hex(ikm), hex(salt), '', size))]).toEqual([tcId, okm])
  }
})

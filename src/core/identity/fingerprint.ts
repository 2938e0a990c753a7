/**
 * ◆ 60 digits that stand for one identity: what two people compare in person. They cover the identity, and once the
 * root key was rotated the current root key too, so that comparing again after a rotation means something. For an
 * account that never rotated they follow from the identity alone, which is all that an invitation carries.
 */
import { concat, equalConstantTime, fromUtf8 } from '../bytes.ts'
import { hkdf } from '../crypto/kdf.ts'
import type { Identity } from '../ids.ts'

/** What the digits cover. */
export interface Fingerprinted {
  readonly identity: Identity
  /** 0 until the root key is rotated. */
  readonly generation: number
  /** Current root key; counts only from generation 1 on. */
  readonly rootKey: Uint8Array | undefined
}

const groups = 12
const noSalt = new Uint8Array()

/** The bytes that the digits, and the online confirmation, are made from: 32, or 64 after a rotation. */
export function fingerprintedBytes({ identity, generation, rootKey }: Fingerprinted): Uint8Array {
  const id = Buffer.from(identity, 'hex')
  if (generation === 0) return id
  if (rootKey === undefined) throw new TypeError('a rotated root key is part of the fingerprint')
  return concat(id, rootKey)
}

/** 12 groups of 5 decimal digits, separated by spaces: each is 5 bytes, big-endian, modulo 100,000. */
export function fingerprintOf(whose: Fingerprinted): string {
  return digitGroups(hkdf(fingerprintedBytes(whose), noSalt, 'mycelium/fingerprint/1', groups * 5))
}

/** One group of 5 digits for every 5 bytes. */
export function digitGroups(bytes: Uint8Array): string {
  const texts: string[] = []
  for (let at = 0; at + 5 <= bytes.length; at += 5) {
    const value = bytes.subarray(at, at + 5).reduce((sum, byte) => sum * 256 + byte, 0)
    texts.push(String(value % 100_000).padStart(5, '0'))
  }
  return texts.join(' ')
}

/** Compares digits as a person typed them: anything that is no digit is passed over. */
export const sameDigits = (typed: string, expected: string): boolean => {
  const digits = (text: string): Uint8Array => fromUtf8(text.replace(/\D/g, ''))
  return equalConstantTime(digits(typed), digits(expected))
}

/** ML-KEM-768 (FIPS 203): key pairs from a 64-byte seed, encapsulation, decapsulation. */
import { randomBytes } from 'node:crypto'
import type { Encapsulated } from './primitives.ts'
import { sodium } from './sodium.ts'

export const kemPublicKeyBytes = 1184
export const kemCiphertextBytes = 1088
export const kemSeedBytes = 64

export interface KemKeyPair {
  readonly publicKey: Uint8Array
  /** d ‖ z of FIPS 203, 64 bytes. */
  readonly seed: Uint8Array
}

/** The key pair of a 64-byte seed. Takes ownership of `seed`. */
export const kemKeyPair = (seed: Uint8Array): KemKeyPair => ({ publicKey: sodium.kemPublicKey(seed), seed })

/**
 * `undefined` when the encapsulation key is malformed or fails the modulus check (FIPS 203 §7.2). `entropy` gives the 32
 * random bytes where the implementation can be told (the portable one); the native one draws its own.
 */
export function encapsulate(
  publicKey: Uint8Array,
  entropy: () => Uint8Array = () => randomBytes(32),
): Encapsulated | undefined {
  return publicKey.length === kemPublicKeyBytes ? sodium.encapsulate(publicKey, entropy) : undefined
}

/** 32 bytes; a forged ciphertext gives an unrelated secret (implicit rejection), a malformed one `undefined`. */
export const decapsulate = (seed: Uint8Array, ciphertext: Uint8Array): Uint8Array | undefined =>
  ciphertext.length === kemCiphertextBytes ? sodium.decapsulate(seed, ciphertext) : undefined

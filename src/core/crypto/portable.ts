/** Primitives by @noble in JavaScript: the oracle of the tests, and the fallback where the native module does not load. */
import { randomFillSync } from 'node:crypto'
import { chacha20poly1305, xchacha20poly1305 } from '@noble/ciphers/chacha.js'
import { ed25519, x25519 } from '@noble/curves/ed25519.js'
import { argon2id } from '@noble/hashes/argon2.js'
import { blake2b } from '@noble/hashes/blake2.js'
import { ml_kem768 } from '@noble/post-quantum/ml-kem.js'
import type { Primitives } from './primitives.ts'

type Cipher = typeof chacha20poly1305 | typeof xchacha20poly1305

const sealWith =
  (cipher: Cipher): Primitives['seal'] =>
  (out, plaintext, associated, nonce, key) =>
    out.set(cipher(key, nonce, associated).encrypt(Uint8Array.from(plaintext)))

const openWith =
  (cipher: Cipher): Primitives['open'] =>
  (out, sealed, associated, nonce, key) => {
    const input = Uint8Array.from(sealed)
    try {
      out.set(cipher(key, nonce, associated).decrypt(input))
      return true
    } catch {
      return false
    }
  }

/** A function that throws on bad input, as one that returns `undefined`. */
function attempt<T>(make: () => T): T | undefined {
  try {
    return make()
  } catch {
    return undefined
  }
}

/** `zip215: false` alone still takes a small-order R, which libsodium refuses: both points are checked here. */
function verify(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
  return (
    attempt(() => {
      const points = [publicKey, signature.subarray(0, 32)].map((bytes) => ed25519.Point.fromBytes(bytes, false))
      if (points.some((point) => point.isSmallOrder())) return false
      return ed25519.verify(signature, message, publicKey, { zip215: false })
    }) ?? false
  )
}

export const portable: Primitives = {
  name: 'portable',
  randomFill: (out) => randomFillSync(out),
  blake2b: (out, input, key) => out.set(blake2b(input, { dkLen: out.length, ...(key === undefined ? {} : { key }) })),
  seal: sealWith(chacha20poly1305),
  open: openWith(chacha20poly1305),
  sealX: sealWith(xchacha20poly1305),
  openX: openWith(xchacha20poly1305),
  dhPublic: (out, secretKey) => out.set(x25519.getPublicKey(secretKey)),
  dh(out, secretKey, publicKey) {
    const shared = attempt(() => x25519.getSharedSecret(secretKey, publicKey))
    if (shared === undefined) return false
    out.set(shared)
    return true
  },
  signKeyPair(publicKey, secretKey, seed) {
    publicKey.set(ed25519.getPublicKey(seed))
    secretKey.set(seed)
    secretKey.set(publicKey, 32)
  },
  sign: (out, message, secretKey) => out.set(ed25519.sign(message, secretKey.subarray(0, 32))),
  verify,
  argon2id: (out, password, salt, passes, memoryBytes) =>
    out.set(argon2id(password, salt, { t: passes, m: Math.floor(memoryBytes / 1024), p: 1, dkLen: out.length })),
  kemPublicKey: (seed) => ml_kem768.keygen(seed).publicKey,
  encapsulate(publicKey, entropy) {
    const made = attempt(() => ml_kem768.encapsulate(publicKey, entropy()))
    return made === undefined ? undefined : { ciphertext: made.cipherText, shared: made.sharedSecret }
  },
  decapsulate: (seed, ciphertext) => ml_kem768.decapsulate(ciphertext, ml_kem768.keygen(seed).secretKey),
}

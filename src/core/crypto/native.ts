/** Primitives by sodium-native (libsodium), and ML-KEM-768 by node:crypto: the fast implementation. */
import {
  createPrivateKey,
  createPublicKey,
  decapsulate as nodeDecapsulate,
  encapsulate as nodeEncapsulate,
  type KeyObject,
} from 'node:crypto'
import { createRequire } from 'node:module'
import { concat } from '../bytes.ts'
import type { Encapsulated, Primitives } from './primitives.ts'

type Bytes = Uint8Array
/** The few functions of sodium-native that are used here; its own argument checks throw `AssertionError`. */
interface Sodium {
  readonly crypto_pwhash_ALG_ARGON2ID13: number
  randombytes_buf(out: Bytes): void
  crypto_generichash(out: Bytes, input: Bytes, key?: Bytes): void
  crypto_aead_chacha20poly1305_ietf_encrypt(c: Bytes, m: Bytes, ad: Bytes | null, nsec: null, n: Bytes, k: Bytes): void
  crypto_aead_chacha20poly1305_ietf_decrypt(m: Bytes, nsec: null, c: Bytes, ad: Bytes | null, n: Bytes, k: Bytes): void
  crypto_aead_xchacha20poly1305_ietf_encrypt(c: Bytes, m: Bytes, ad: Bytes | null, nsec: null, n: Bytes, k: Bytes): void
  crypto_aead_xchacha20poly1305_ietf_decrypt(m: Bytes, nsec: null, c: Bytes, ad: Bytes | null, n: Bytes, k: Bytes): void
  crypto_scalarmult_base(q: Bytes, n: Bytes): void
  crypto_scalarmult(q: Bytes, n: Bytes, p: Bytes): void
  crypto_sign_seed_keypair(pk: Bytes, sk: Bytes, seed: Bytes): void
  crypto_sign_detached(sig: Bytes, m: Bytes, sk: Bytes): void
  crypto_sign_verify_detached(sig: Bytes, m: Bytes, pk: Bytes): boolean
  crypto_pwhash(out: Bytes, password: Bytes, salt: Bytes, passes: number, memoryBytes: number, algorithm: number): void
}

// DER of SubjectPublicKeyInfo, and of PKCS #8 with the seed alone (RFC 9935 §4, §6), id-alg-ml-kem-768
const spkiPrefix = Buffer.from('308204b2300b0609608648016503040402038204a100', 'hex')
const pkcs8Prefix = Buffer.from('3054020100300b060960864801650304040204428040', 'hex')

const kemPrivateKey = (seed: Bytes): KeyObject => {
  const der = Buffer.concat([pkcs8Prefix, seed])
  try {
    return createPrivateKey({ key: der, format: 'der', type: 'pkcs8' })
  } finally {
    der.fill(0)
  }
}

function kemPublicKey(seed: Bytes): Bytes {
  const spki = createPublicKey(kemPrivateKey(seed)).export({ format: 'der', type: 'spki' })
  return Uint8Array.from(spki.subarray(spkiPrefix.length))
}

function encapsulate(publicKey: Bytes): Encapsulated | undefined {
  try {
    const key = createPublicKey({ key: Buffer.from(concat(spkiPrefix, publicKey)), format: 'der', type: 'spki' })
    const { ciphertext, sharedKey } = nodeEncapsulate(key)
    return { ciphertext: new Uint8Array(ciphertext), shared: new Uint8Array(sharedKey) }
  } catch {
    return undefined
  }
}

/** `undefined` where the native module does not load, or this Node was built without ML-KEM. */
export function loadNative(): Primitives | undefined {
  let sodium: Sodium
  try {
    sodium = createRequire(import.meta.url)('sodium-native') as Sodium
    kemPublicKey(new Uint8Array(64))
  } catch {
    return undefined
  }
  return {
    name: 'native',
    randomFill: (out) => sodium.randombytes_buf(out),
    blake2b: (out, input, key) => sodium.crypto_generichash(out, input, key),
    seal: (out, plaintext, associated, nonce, key) =>
      sodium.crypto_aead_chacha20poly1305_ietf_encrypt(out, plaintext, associated ?? null, null, nonce, key),
    open(out, sealed, associated, nonce, key) {
      try {
        sodium.crypto_aead_chacha20poly1305_ietf_decrypt(out, null, sealed, associated ?? null, nonce, key)
        return true
      } catch {
        return false
      }
    },
    sealX: (out, plaintext, associated, nonce, key) =>
      sodium.crypto_aead_xchacha20poly1305_ietf_encrypt(out, plaintext, associated ?? null, null, nonce, key),
    openX(out, sealed, associated, nonce, key) {
      try {
        sodium.crypto_aead_xchacha20poly1305_ietf_decrypt(out, null, sealed, associated ?? null, nonce, key)
        return true
      } catch {
        return false
      }
    },
    dhPublic: (out, secretKey) => sodium.crypto_scalarmult_base(out, secretKey),
    dh(out, secretKey, publicKey) {
      try {
        sodium.crypto_scalarmult(out, secretKey, publicKey)
        return true
      } catch {
        return false
      }
    },
    signKeyPair: (publicKey, secretKey, seed) => sodium.crypto_sign_seed_keypair(publicKey, secretKey, seed),
    sign: (out, message, secretKey) => sodium.crypto_sign_detached(out, message, secretKey),
    verify: (publicKey, message, signature) => sodium.crypto_sign_verify_detached(signature, message, publicKey),
    argon2id: (out, password, salt, passes, memoryBytes) =>
      sodium.crypto_pwhash(out, password, salt, passes, memoryBytes, sodium.crypto_pwhash_ALG_ARGON2ID13),
    kemPublicKey,
    encapsulate,
    decapsulate: (seed, ciphertext) => new Uint8Array(nodeDecapsulate(kemPrivateKey(seed), ciphertext)),
  }
}

/** Ed25519 (RFC 8032), verification strict: canonical encodings only, no small-order keys. Every signature is over a labelled hash. */
import { labelledHash } from './kdf.ts'
import { sodium } from './sodium.ts'

export const signatureBytes = 64
const verifyKeyBytes = 32
const signingKeyBytes = 64

export interface SigningKey {
  readonly publicKey: Uint8Array
  /** libsodium's 64-byte form: seed, then public key. */
  readonly secretKey: Uint8Array
}

/** The key pair of a 32-byte seed. */
export function signingKey(seed: Uint8Array): SigningKey {
  const publicKey = Buffer.allocUnsafe(verifyKeyBytes)
  const secretKey = Buffer.allocUnsafe(signingKeyBytes)
  sodium.signKeyPair(publicKey, secretKey, seed)
  return { publicKey, secretKey }
}

/** Plain Ed25519 over `message`, for published vectors and foreign formats. */
export function signRaw(key: SigningKey, message: Uint8Array): Uint8Array {
  const signature = Buffer.allocUnsafe(signatureBytes)
  sodium.sign(signature, message, key.secretKey)
  return signature
}

export function verifyRaw(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
  if (publicKey.length !== verifyKeyBytes || signature.length !== signatureBytes) return false
  return sodium.verify(publicKey, message, signature)
}

/** Signs the labelled hash of `message`: one label per kind of statement, so that none can be taken for another. */
export const sign = (key: SigningKey, label: string, message: Uint8Array): Uint8Array =>
  signRaw(key, labelledHash(label, message))

export const verify = (publicKey: Uint8Array, label: string, message: Uint8Array, signature: Uint8Array): boolean =>
  verifyRaw(publicKey, labelledHash(label, message), signature)

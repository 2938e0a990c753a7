/** X25519 (RFC 7748). Shared secrets from low-order points are refused. */
import { sodium } from './sodium.ts'

export interface DhKeyPair {
  readonly publicKey: Uint8Array
  readonly secretKey: Uint8Array
}
export const dhKeyBytes = 32

/** The key pair of 32 secret bytes (clamped inside the multiplication). Takes ownership of `secretKey`. */
export function dhKeyPair(secretKey: Uint8Array): DhKeyPair {
  const publicKey = Buffer.allocUnsafe(dhKeyBytes)
  sodium.dhPublic(publicKey, secretKey)
  return { publicKey, secretKey }
}

/** 32 bytes, or `undefined` when the peer's point is of low order or malformed. */
export function dh(secretKey: Uint8Array, publicKey: Uint8Array): Uint8Array | undefined {
  if (publicKey.length !== dhKeyBytes) return undefined
  const shared = Buffer.allocUnsafe(dhKeyBytes)
  return sodium.dh(shared, secretKey, publicKey) ? shared : undefined
}

/** ChaCha20-Poly1305, IETF form (RFC 8439), 12-byte nonces; and XChaCha20-Poly1305 where nonces are random (values at rest). */
import { sodium } from './sodium.ts'

export const aeadKeyBytes = 32
export const aeadNonceBytes = 12
export const aeadTagBytes = 16
export const xaeadNonceBytes = 24
const xaeadOverheadBytes = xaeadNonceBytes + 16 // nonce and tag

/** Ciphertext followed by its tag. */
export function seal(key: Uint8Array, nonce: Uint8Array, plaintext: Uint8Array, associated: Uint8Array): Uint8Array {
  const sealed = Buffer.allocUnsafe(plaintext.length + aeadTagBytes)
  sodium.seal(sealed, plaintext, associated, nonce, key)
  return sealed
}

/** `undefined` when the tag does not match. */
export function open(
  key: Uint8Array,
  nonce: Uint8Array,
  sealed: Uint8Array,
  associated: Uint8Array,
): Uint8Array | undefined {
  if (sealed.length < aeadTagBytes) return undefined
  const plaintext = Buffer.allocUnsafe(sealed.length - aeadTagBytes)
  return sodium.open(plaintext, sealed, associated, nonce, key) ? plaintext : undefined
}

/** As `seal`, into memory of the caller: `out` is 16 bytes longer, and may begin at the first byte of `plaintext`. */
export const sealInto = (
  out: Uint8Array,
  key: Uint8Array,
  nonce: Uint8Array,
  plaintext: Uint8Array,
  associated?: Uint8Array,
): void => sodium.seal(out, plaintext, associated, nonce, key)

/** As `open`, into memory of the caller, 16 bytes shorter than `sealed`; false when the tag does not match. */
export const openInto = (
  out: Uint8Array,
  key: Uint8Array,
  nonce: Uint8Array,
  sealed: Uint8Array,
  associated?: Uint8Array,
): boolean => sodium.open(out, sealed, associated, nonce, key)

/** As `seal`, XChaCha20-Poly1305 with a 24-byte nonce. */
export function sealLong(
  key: Uint8Array,
  nonce: Uint8Array,
  plaintext: Uint8Array,
  associated: Uint8Array,
): Uint8Array {
  const sealed = Buffer.allocUnsafe(plaintext.length + aeadTagBytes)
  sodium.sealX(sealed, plaintext, associated, nonce, key)
  return sealed
}

/** `undefined` when the tag does not match. */
export function openLong(
  key: Uint8Array,
  nonce: Uint8Array,
  sealed: Uint8Array,
  associated: Uint8Array,
): Uint8Array | undefined {
  if (sealed.length < aeadTagBytes) return undefined
  const plaintext = Buffer.allocUnsafe(sealed.length - aeadTagBytes)
  return sodium.openX(plaintext, sealed, associated, nonce, key) ? plaintext : undefined
}

/** 24-byte nonce, ciphertext, tag: safe with a fresh random nonce for each value under one key. */
export function sealRandom(
  key: Uint8Array,
  nonce: Uint8Array,
  plaintext: Uint8Array,
  associated: Uint8Array,
): Uint8Array {
  const sealed = Buffer.allocUnsafe(xaeadNonceBytes + plaintext.length + aeadTagBytes)
  sealed.set(nonce, 0)
  sodium.sealX(sealed.subarray(xaeadNonceBytes), plaintext, associated, nonce, key)
  return sealed
}

/** `undefined` when the tag does not match or the input is too short. */
export function openRandom(key: Uint8Array, sealed: Uint8Array, associated: Uint8Array): Uint8Array | undefined {
  if (sealed.length < xaeadOverheadBytes) return undefined
  const plaintext = Buffer.allocUnsafe(sealed.length - xaeadOverheadBytes)
  return openRandomInto(plaintext, key, sealed, associated) === undefined ? undefined : plaintext
}

/** The same at the beginning of `target`; the octets written. @throws RangeError when they do not fit */
export function openRandomInto(
  target: Uint8Array,
  key: Uint8Array,
  sealed: Uint8Array,
  associated: Uint8Array,
): number | undefined {
  const length = sealed.length - xaeadOverheadBytes
  if (length < 0) return undefined
  if (length > target.length) throw new RangeError(`${length} bytes do not fit into ${target.length}`)
  const nonce = sealed.subarray(0, xaeadNonceBytes)
  const plaintext = target.subarray(0, length)
  return sodium.openX(plaintext, sealed.subarray(xaeadNonceBytes), associated, nonce, key) ? length : undefined
}

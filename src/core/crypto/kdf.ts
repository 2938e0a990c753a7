/** Hashes and key derivation, each call bound to a label: BLAKE2b (RFC 7693), SHA-256, HKDF-SHA-512 (RFC 5869), HMAC, Argon2id (RFC 9106). */
import { createHash, hash, createHmac, createSecretKey, hkdfSync, pbkdf2Sync } from 'node:crypto'
import { fromUtf8 } from '../bytes.ts'
import { sodium } from './sodium.ts'

/** BLAKE2b of `length` (16 … 64) bytes, keyed when `key` is given. */
export function blake2b(length: number, input: Uint8Array, key?: Uint8Array): Uint8Array {
  const out = Buffer.allocUnsafe(length)
  sodium.blake2b(out, input, key)
  return out
}

/** As `blake2b`, into memory of the caller: `out` says how long. */
export const blake2bInto = (out: Uint8Array, input: Uint8Array, key: Uint8Array): void =>
  sodium.blake2b(out, input, key)

/** SHA-256 over `label`, a zero byte, and the parts, each after its u32 length: 32 bytes. */
export function labelledHash(label: string, ...parts: readonly Uint8Array[]): Uint8Array {
  let length = Buffer.byteLength(label) + 1
  for (const part of parts) length += 4 + part.length
  if (length > copiedBytesMax) return labelledHashOfLong(label, parts)
  // one call over one buffer: each `update` would cost more than the copy
  const input = Buffer.allocUnsafe(length)
  let at = input.write(label)
  input[at] = 0
  at += 1
  for (const part of parts) {
    at = input.writeUInt32BE(part.length, at)
    input.set(part, at)
    at += part.length
  }
  return hash('sha256', input, 'buffer')
}

/** Above it the copy costs more than the calls. */
const copiedBytesMax = 16 * 1024

function labelledHashOfLong(label: string, parts: readonly Uint8Array[]): Uint8Array {
  const sum = createHash('sha256').update(`${label}\0`)
  const length = Buffer.alloc(4)
  for (const part of parts) {
    length.writeUInt32BE(part.length)
    sum.update(length).update(part)
  }
  return sum.digest()
}

/** For SCRAM-SHA-1 only (RFC 5802). */
export const sha1 = (input: Uint8Array): Uint8Array => createHash('sha1').update(input).digest()
export const sha256 = (input: Uint8Array): Uint8Array => hash('sha256', input, 'buffer')
/** For many in a row: text costs half of what a buffer does. */
export const sha256Hex = (input: Uint8Array): string => hash('sha256', input, 'hex')

export const hmac = (algorithm: 'sha1' | 'sha256' | 'sha512', key: Uint8Array, input: Uint8Array): Uint8Array =>
  createHmac(algorithm, key).update(input).digest()

/** HKDF-SHA-512 with `label` as info. A key object costs Node 24 a third less than raw bytes. */
export const hkdf = (secret: Uint8Array, salt: Uint8Array, label: string, length: number): Uint8Array =>
  new Uint8Array(hkdfSync('sha512', createSecretKey(secret), salt, fromUtf8(label), length))

export const pbkdf2 = (
  algorithm: 'sha1' | 'sha256' | 'sha512',
  password: Uint8Array,
  salt: Uint8Array,
  iterations: number,
  length: number,
): Uint8Array => pbkdf2Sync(password, salt, iterations, length, algorithm)

export const argon2SaltBytes = 16

/** Argon2id, one lane. Blocks for about 90 ms at 64 MiB and 3 passes: call it from a worker where it must not. */
export function argon2id(
  password: Uint8Array,
  salt: Uint8Array,
  { memoryBytes, passes, length }: { memoryBytes: number; passes: number; length: number },
): Uint8Array {
  const out = Buffer.allocUnsafe(length)
  sodium.argon2id(out, password, salt, passes, memoryBytes)
  return out
}

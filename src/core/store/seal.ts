/**
 * ◆ How values and keys are protected at rest. Each value is XChaCha20-Poly1305 under a key of this home, with a fresh
 * random nonce and the table number and key as associated data: a value moved to another key or table does not open.
 */
import type { Random } from '../ambient.ts'
import { concat, fromUtf8 } from '../bytes.ts'
import { openRandom, openRandomInto, sealRandom, xaeadNonceBytes } from '../crypto/aead.ts'
import { blake2b, hkdf, sha256 } from '../crypto/kdf.ts'
import { Secret } from '../crypto/secret.ts'

export const homeKeyBytes = 32
const opaqueBytes = 16
const nothing = new Uint8Array()
const nonceBatch = 256

export class ValueSeal implements Disposable {
  readonly #random: Random
  readonly #valueKey: Secret
  readonly #nameKey: Secret
  readonly #check: Uint8Array
  #nonces: Uint8Array = nothing
  #nonceAt = 0

  constructor(home: Secret, random: Random) {
    this.#random = random
    const derive = (label: string): Uint8Array => home.read((key) => hkdf(key, nothing, label, 32))
    this.#valueKey = new Secret(derive('mycelium/store/values/1'))
    this.#nameKey = new Secret(derive('mycelium/store/names/1'))
    const check = derive('mycelium/store/check/1').subarray(0, 16)
    this.#check = concat(check, sha256(check).subarray(0, 4))
  }

  /** 24 bytes, never used before: drawn from the random source in batches because single draws cost more than sealing. */
  #nonce(): Uint8Array {
    if (this.#nonceAt === this.#nonces.length) {
      this.#nonces = this.#random.bytes(xaeadNonceBytes * nonceBatch)
      this.#nonceAt = 0
    }
    const at = this.#nonceAt
    this.#nonceAt = at + xaeadNonceBytes
    return this.#nonces.subarray(at, at + xaeadNonceBytes)
  }

  /** @param rowKey table number and key, as stored */
  seal(rowKey: Uint8Array, value: Uint8Array): Uint8Array {
    return this.#valueKey.read((key) => sealRandom(key, this.#nonce(), value, rowKey))
  }

  /** `undefined` when the value is not what was sealed for this row. */
  open(rowKey: Uint8Array, sealed: Uint8Array): Uint8Array | undefined {
    return this.#valueKey.read((key) => openRandom(key, sealed, rowKey))
  }

  /** The same at the beginning of `target`; the octets written. */
  openInto(target: Uint8Array, rowKey: Uint8Array, sealed: Uint8Array): number | undefined {
    return this.#valueKey.read((key) => openRandomInto(target, key, sealed, rowKey))
  }

  opaque(parts: readonly Uint8Array[]): Uint8Array {
    let length = 0
    for (const part of parts) length += 4 + part.length
    const joined = Buffer.allocUnsafe(length)
    let at = 0
    for (const part of parts) {
      at = joined.writeUInt32BE(part.length, at)
      joined.set(part, at)
      at += part.length
    }
    return this.#nameKey.read((key) => blake2b(opaqueBytes, joined, key))
  }

  /** What a new store keeps in the clear so that a wrong key is told apart from damage: 16 bytes and their checksum. */
  get checkValue(): Uint8Array {
    return this.#check
  }

  verdict(stored: Uint8Array | undefined): 'right-key' | 'wrong-key' | 'damaged' {
    if (stored?.length !== this.#check.length) return 'damaged'
    if (Buffer.compare(stored, this.#check) === 0) return 'right-key'
    const checksum = sha256(stored.subarray(0, 16)).subarray(0, 4)
    return Buffer.compare(checksum, stored.subarray(16)) === 0 ? 'wrong-key' : 'damaged'
  }

  [Symbol.dispose](): void {
    this.#valueKey[Symbol.dispose]()
    this.#nameKey[Symbol.dispose]()
  }
}

/** The key of a row as stored: its table's number in one byte, then the key. */
export function rowKeyOf(table: number, key: Uint8Array): Buffer {
  const row = Buffer.allocUnsafe(key.length + 1)
  row[0] = table
  row.set(key, 1)
  return row
}

export const checkRowKey = concat(Uint8Array.of(0), fromUtf8('check'))

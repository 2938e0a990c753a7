/** An app password: 140 random bits in seven groups of four, and the SCRAM verifiers made of it at creation. */
import { type Codec, decode, encode, fixed, record, text, u64 } from '../codec.ts'
import { fromUtf8 } from '../bytes.ts'
import { hmac, pbkdf2, sha1, sha256 } from '../crypto/kdf.ts'
import { toBase32 } from '../identity/names.ts'
import type { Random } from '../ambient.ts'
import { limits } from '../limits.ts'
import type { ScramHash } from './logins.ts'

/**
 * RFC 5802 §5.1 and RFC 7677 §4 ask for at least 4096. More would slow every login and protect nothing: 140 random
 * bits cannot be guessed however fast each guess is.
 */
export const scramIterations = 4096
export const saltBytes = 16
const digestBytes = { sha1: 20, sha256: 32 } as const
const plainHash = { sha1, sha256 } as const

export interface ScramVerifier {
  readonly storedKey: Uint8Array
  readonly serverKey: Uint8Array
}

/** RFC 5802 §3. The password must be its own SASLprep, which ours are. */
export function scramVerifier(hash: ScramHash, password: string, salt: Uint8Array, iterations: number): ScramVerifier {
  const salted = pbkdf2(hash, fromUtf8(password), salt, iterations, digestBytes[hash])
  const storedKey = plainHash[hash](hmac(hash, salted, fromUtf8('Client Key')))
  return { storedKey, serverKey: hmac(hash, salted, fromUtf8('Server Key')) }
}

/** `abcd-efgh-…`: lower-case base32, 28 characters and six hyphens, so that one click selects it all. */
export function makePassword(random: Random): string {
  const text = toBase32(random.bytes(18)).slice(0, 28)
  return text.match(/.{4}/g)!.join('-')
}

export interface AppPassword {
  /** Chosen by the person, one per client; unique in the account. */
  readonly name: string
  /** Unix milliseconds, as the one below. */
  readonly createdAtMs: number
  /** 0 before the first login; noted at most once an hour. */
  readonly lastUsedMs: number
  readonly sha1: ScramVerifier
  readonly sha256: ScramVerifier
}

const verifierCodec = (length: number): Codec<ScramVerifier> =>
  record<ScramVerifier>({ storedKey: fixed(length), serverKey: fixed(length) })
const passwordCodec = record<AppPassword>({
  name: text(limits.displayNameOctetsMax),
  createdAtMs: u64,
  lastUsedMs: u64,
  sha1: verifierCodec(digestBytes.sha1),
  sha256: verifierCodec(digestBytes.sha256),
})

export const encodeAppPassword = (password: AppPassword): Uint8Array => encode(passwordCodec, password)
/** @throws `malformed` */
export const decodeAppPassword = (encoded: Uint8Array): AppPassword => decode(passwordCodec, encoded)

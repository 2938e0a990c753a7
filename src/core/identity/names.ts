/**
 * ◆ Zones: a domain whose key signs (address → identity). `<zone key>.myc` certifies itself: its label is the key, in
 * lower-case base32 (RFC 4648 §6, without padding), 52 characters.
 */
import { bytes, type Codec, decode, encode, fixed, hexId, record, text, u64 } from '../codec.ts'
import { sign, type SigningKey, verify } from '../crypto/sign.ts'
import type { Address, Identity } from '../ids.ts'
import { limits } from '../limits.ts'

const alphabet = 'abcdefghijklmnopqrstuvwxyz234567'
const zoneSuffix = '.myc'
const zoneLabelChars = 52 // 32 bytes: 256 bits in groups of five, the last one holding one bit

/** Unpadded lower-case base32. */
export function toBase32(input: Uint8Array): string {
  let text = ''
  let held = 0
  let bits = 0
  for (const byte of input) {
    held = (held << 8) | byte
    bits += 8
    while (bits >= 5) {
      bits -= 5
      text += alphabet[(held >> bits) & 31]
    }
    held &= (1 << bits) - 1
  }
  return bits > 0 ? text + alphabet[(held << (5 - bits)) & 31] : text
}

/** `undefined` when the text is not the one encoding of any bytes. */
export function fromBase32(text: string): Uint8Array | undefined {
  const out = new Uint8Array(Math.floor((text.length * 5) / 8))
  let held = 0
  let bits = 0
  let at = 0
  for (const char of text) {
    const value = alphabet.indexOf(char)
    if (value < 0) return undefined
    held = ((held << 5) | value) & 0xfff
    bits += 5
    if (bits >= 8) {
      bits -= 8
      out[at] = (held >> bits) & 0xff
      at += 1
    }
  }
  return toBase32(out) === text ? out : undefined
}

/** `<52 characters>.myc` */
export const zoneDomain = (zoneKey: Uint8Array): string => toBase32(zoneKey) + zoneSuffix

/** The key that a self-certifying domain names; `undefined` for any other domain. */
export function zoneKeyOf(domain: string): Uint8Array | undefined {
  if (!domain.endsWith(zoneSuffix) || domain.length !== zoneLabelChars + zoneSuffix.length) return undefined
  return fromBase32(domain.slice(0, zoneLabelChars))
}

export interface NameRecord {
  readonly zone: Uint8Array
  readonly address: Address
  readonly identity: Identity
  /** Unix milliseconds. */
  readonly issuedAtMs: number
  readonly expiresAtMs: number
}
export interface SignedName {
  readonly body: Uint8Array
  readonly signature: Uint8Array
}

const label = 'mycelium/name/1'
const nameCodec = record<NameRecord>({
  zone: fixed(32),
  address: text(limits.addressOctetsMax) as unknown as Codec<Address>,
  identity: hexId<Identity>(32),
  issuedAtMs: u64,
  expiresAtMs: u64,
})
export const signedNameCodec: Codec<SignedName> = record({
  body: bytes(84 + limits.addressOctetsMax),
  signature: fixed(64),
})

export function signName(zone: SigningKey, address: Address, identity: Identity, nowMs: number): SignedName {
  const body = encode(nameCodec, {
    zone: zone.publicKey,
    address,
    identity,
    issuedAtMs: nowMs,
    expiresAtMs: nowMs + limits.nameRecordMs,
  })
  return { body, signature: sign(zone, label, body) }
}

/**
 * The record, when its own zone key signed it and it is valid now; `undefined` otherwise. That the key may speak for
 * the address's domain is for `speaksFor` to say.
 * @throws `malformed`, `too-large` when the body is no such record
 */
export function verifyName(signed: SignedName, nowMs: number): NameRecord | undefined {
  const name = decode(nameCodec, signed.body)
  if (name.issuedAtMs > nowMs + limits.clockSkewMs || name.expiresAtMs <= nowMs) return undefined
  return verify(name.zone, label, signed.body, signed.signature) ? name : undefined
}

/** A self-certifying domain is spoken for by the key that it names, every other one by nobody yet. */
export function speaksFor(zone: Uint8Array, address: Address): boolean {
  const key = zoneKeyOf(address.slice(address.lastIndexOf('@') + 1))
  return key !== undefined && Buffer.compare(key, zone) === 0
}

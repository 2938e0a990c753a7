/**
 * ◆ Prekeys: one X25519 and one ML-KEM-768 key for each week, published ahead, so that somebody can write first to a
 * device that is away. Each is signed by its device, outside the account log. The id is the week's number since the
 * Unix epoch, so a device has one prekey per week whatever happens to its clock.
 */
import { bytes, type Codec, decode, encode, fixed, hexId, record, u32 } from '../codec.ts'
import { dhKeyPair, type DhKeyPair } from '../crypto/dh.ts'
import { kemKeyPair, type KemKeyPair, kemPublicKeyBytes, kemSeedBytes } from '../crypto/kem.ts'
import { sign, verify } from '../crypto/sign.ts'
import type { Random } from '../ambient.ts'
import type { DeviceId, Identity } from '../ids.ts'
import { limits } from '../limits.ts'
import { type DeviceSecrets, verifyKeyOf } from './device.ts'

/** Week since the Unix epoch. */
export type PrekeyId = number

export interface Prekey {
  readonly identity: Identity
  readonly device: DeviceId
  readonly id: PrekeyId
  readonly dhPublic: Uint8Array
  readonly kemPublic: Uint8Array
}

export interface SignedPrekey {
  /** The encoded prekey. */
  readonly body: Uint8Array
  readonly signature: Uint8Array
}

/** Private halves; wiped and forgotten `limits.prekeyKeepMs` after the last use. */
export interface PrekeySecret {
  readonly id: PrekeyId
  readonly dh: DhKeyPair
  readonly kem: KemKeyPair
}

const label = 'mycelium/prekey/1'
const prekeyCodec = record<Prekey>({
  identity: hexId<Identity>(32),
  device: hexId<DeviceId>(32),
  id: u32,
  dhPublic: fixed(32),
  kemPublic: fixed(kemPublicKeyBytes),
})
/** 1,284 + 4 + 64 bytes. */
export const signedPrekeyCodec: Codec<SignedPrekey> = record({
  body: bytes(32 + 32 + 4 + 32 + kemPublicKeyBytes),
  signature: fixed(64),
})

/** The week that a moment belongs to. */
export const prekeyIdAt = (nowMs: number): PrekeyId => Math.max(0, Math.floor(nowMs / limits.prekeyPeriodMs))
/** First millisecond after the week. */
export const prekeyEndsMs = (id: PrekeyId): number => (id + 1) * limits.prekeyPeriodMs

export const makePrekey = (id: PrekeyId, random: Random): PrekeySecret => ({
  id,
  dh: dhKeyPair(random.bytes(32)),
  kem: kemKeyPair(random.bytes(kemSeedBytes)),
})

export function signPrekey(identity: Identity, device: DeviceSecrets, { id, dh, kem }: PrekeySecret): SignedPrekey {
  const body = encode(prekeyCodec, {
    identity,
    device: device.id,
    id,
    dhPublic: dh.publicKey,
    kemPublic: kem.publicKey,
  })
  return { body, signature: sign(device.signing, label, body) }
}

/** Unchecked: for a prekey that was verified before it was kept. @throws `malformed`, `too-large` */
export const readPrekey = (signed: SignedPrekey): Prekey => decode(prekeyCodec, signed.body)

/**
 * The prekey, when it was signed by that device for that identity; `undefined` otherwise.
 * @throws `malformed`, `too-large` when the body is no prekey
 */
export function verifyPrekey(signed: SignedPrekey, identity: Identity, device: DeviceId): Prekey | undefined {
  const prekey = readPrekey(signed)
  if (prekey.identity !== identity || prekey.device !== device) return undefined
  return verify(verifyKeyOf(device), label, signed.body, signed.signature) ? prekey : undefined
}

/** Which one a sender uses now: this week's, else the latest before it, else the earliest after it. */
export function choosePrekey(prekeys: readonly Prekey[], nowMs: number): Prekey | undefined {
  const week = prekeyIdAt(nowMs)
  const past = prekeys.filter(({ id }) => id <= week)
  const pick = (list: readonly Prekey[], better: (a: number, b: number) => boolean): Prekey | undefined =>
    list.reduce<Prekey | undefined>((best, next) => (best && !better(next.id, best.id) ? best : next), undefined)
  return pick(past, (a, b) => a > b) ?? pick(prekeys, (a, b) => a < b)
}

const secretCodec = record<{ readonly id: PrekeyId; readonly dhSecret: Uint8Array; readonly kemSeed: Uint8Array }>({
  id: u32,
  dhSecret: fixed(32),
  kemSeed: fixed(kemSeedBytes),
})

/** 100 bytes that must be kept sealed; the caller wipes them. */
export const encodePrekeySecret = ({ id, dh, kem }: PrekeySecret): Uint8Array =>
  encode(secretCodec, { id, dhSecret: dh.secretKey, kemSeed: kem.seed })

/** @throws `malformed` */
export function decodePrekeySecret(encoded: Uint8Array): PrekeySecret {
  const { id, dhSecret, kemSeed } = decode(secretCodec, encoded)
  return { id, dh: dhKeyPair(Uint8Array.from(dhSecret)), kem: kemKeyPair(Uint8Array.from(kemSeed)) }
}

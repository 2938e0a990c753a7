/**
 * ◆ Where a device is: its gateway and how to reach it, and which log head it stands by, signed by the device. The
 * record with the highest sequence counts.
 */
import { array, bytes, type Codec, decode, encode, fixed, hexId, record, text, u32, u64 } from '../codec.ts'
import { sign, verify } from '../crypto/sign.ts'
import type { DeviceId, GatewayId, Identity } from '../ids.ts'
import { limits } from '../limits.ts'
import { type DeviceSecrets, verifyKeyOf } from './device.ts'

/** A libp2p peer id in text form: base58btc of a multihash (52 characters for Ed25519) or a CIDv1. */
export const gatewayIdOctetsMax = 80

export interface LocatorRecord {
  readonly identity: Identity
  readonly device: DeviceId
  readonly gateway: GatewayId
  /** Multiaddrs without /p2p; at most `limits.locatorsMax`. */
  readonly locators: readonly string[]
  /** Ascends with each record of one device. */
  readonly sequence: number
  /** Unix milliseconds, as the two below. */
  readonly issuedAtMs: number
  readonly expiresAtMs: number
  /** The account log as the device knew it: hash of its last entry and number of entries. */
  readonly logHead: Uint8Array
  readonly logLength: number
}

export interface SignedLocatorRecord {
  readonly body: Uint8Array
  readonly signature: Uint8Array
}

const label = 'mycelium/locators/1'
const gatewayIdCodec = text(gatewayIdOctetsMax) as unknown as Codec<GatewayId>

const recordCodec = record<LocatorRecord>({
  identity: hexId<Identity>(32),
  device: hexId<DeviceId>(32),
  gateway: gatewayIdCodec,
  locators: array(text(limits.locatorOctetsMax), limits.locatorsMax),
  sequence: u64,
  issuedAtMs: u64,
  expiresAtMs: u64,
  logHead: fixed(32),
  logLength: u32,
})

const bodyBytesMax = 212 + gatewayIdOctetsMax + limits.locatorsMax * (4 + limits.locatorOctetsMax)
export const signedLocatorsCodec: Codec<SignedLocatorRecord> = record({
  body: bytes(bodyBytesMax),
  signature: fixed(64),
})

export function signLocators(
  device: DeviceSecrets,
  fields: Omit<LocatorRecord, 'device' | 'expiresAtMs'>,
): SignedLocatorRecord {
  const expiresAtMs = fields.issuedAtMs + limits.locatorRecordMs
  const body = encode(recordCodec, { ...fields, device: device.id, expiresAtMs })
  return { body, signature: sign(device.signing, label, body) }
}

/** Unchecked: for a record that was verified before it was kept. @throws `malformed`, `too-large` */
export const readLocators = (signed: SignedLocatorRecord): LocatorRecord => decode(recordCodec, signed.body)

/**
 * The record, when it was signed by that device for that identity; `undefined` otherwise. One that has expired still
 * verifies: old locators are better than none.
 * @throws `malformed`, `too-large` when the body is no such record
 */
export function verifyLocators(
  signed: SignedLocatorRecord,
  identity: Identity,
  device: DeviceId,
): LocatorRecord | undefined {
  const found = readLocators(signed)
  if (found.identity !== identity || found.device !== device) return undefined
  return verify(verifyKeyOf(device), label, signed.body, signed.signature) ? found : undefined
}

/** Dated from beyond the allowed skew: left out, since its sequence would stand in the way of later ones. */
export const isFromFuture = ({ issuedAtMs }: LocatorRecord, nowMs: number): boolean =>
  issuedAtMs > nowMs + limits.clockSkewMs

/** Which of two records of one device to keep: the later sequence, unless the known one has run out. */
export const supersedes = (offered: LocatorRecord, known: LocatorRecord | undefined, nowMs: number): boolean =>
  known === undefined ||
  offered.sequence > known.sequence ||
  (known.expiresAtMs < nowMs && offered.expiresAtMs >= nowMs)

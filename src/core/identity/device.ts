/**
 * A device: one gateway serving one account. Its Ed25519 key signs log entries and records, its X25519 key takes part
 * in handshakes; both are made here, never derived from the words and never copied to another device.
 */
import { toHex } from '../bytes.ts'
import { type Codec, decode, encode, fixed, hexId, record, u8 } from '../codec.ts'
import { dhKeyPair, type DhKeyPair } from '../crypto/dh.ts'
import { sign, signingKey, type SigningKey, verify } from '../crypto/sign.ts'
import { MyceliumError } from '../errors.ts'
import type { Random } from '../ambient.ts'
import type { DeviceId } from '../ids.ts'

/** What a device may do to its account's log. `link`: add and revoke devices. `name`: name addresses and zones. */
export interface Grants {
  readonly link: boolean
  readonly name: boolean
}
export const allGrants: Grants = { link: true, name: true }
export const noGrants: Grants = { link: false, name: false }

/** What the log says of a device when it adds it. */
export interface DeviceDescription {
  /** Its Ed25519 public key, in hex: also its id. */
  readonly id: DeviceId
  readonly dhPublic: Uint8Array
  readonly grants: Grants
  /** The new device's signature over root key, X25519 key and grants: nobody adds a device that did not agree. */
  readonly proof: Uint8Array
}

export interface DeviceSecrets {
  readonly id: DeviceId
  readonly signing: SigningKey
  readonly dh: DhKeyPair
}

export const grantsCodec: Codec<Grants> = {
  write: (out, { link, name }) => out.u8((link ? 1 : 0) | (name ? 2 : 0)),
  read: (from) => {
    const bits = u8.read(from)
    if (bits > 3) throw new MyceliumError('malformed', { grants: bits })
    return { link: (bits & 1) !== 0, name: (bits & 2) !== 0 }
  },
}

export const deviceDescriptionCodec: Codec<DeviceDescription> = record({
  id: hexId<DeviceId>(32),
  dhPublic: fixed(32),
  grants: grantsCodec,
  proof: fixed(64),
})

const proofLabel = 'mycelium/device-proof/1'
const proven: Codec<{ rootKey: Uint8Array; dhPublic: Uint8Array; grants: Grants }> = record({
  rootKey: fixed(32),
  dhPublic: fixed(32),
  grants: grantsCodec,
})

export function makeDevice(random: Random): DeviceSecrets {
  return deviceFrom(random.bytes(32), random.bytes(32))
}

function deviceFrom(seed: Uint8Array, dhSecret: Uint8Array): DeviceSecrets {
  const signing = signingKey(seed)
  return { id: toHex(signing.publicKey) as DeviceId, signing, dh: dhKeyPair(dhSecret) }
}

/** Agrees to join the account whose current root key is given. */
export function describeDevice(device: DeviceSecrets, rootKey: Uint8Array, grants: Grants): DeviceDescription {
  const dhPublic = device.dh.publicKey
  const proof = sign(device.signing, proofLabel, encode(proven, { rootKey, dhPublic, grants }))
  return { id: device.id, dhPublic, grants, proof }
}

export function agreesToJoin(description: DeviceDescription, rootKey: Uint8Array): boolean {
  const { id, dhPublic, grants, proof } = description
  return verify(verifyKeyOf(id), proofLabel, encode(proven, { rootKey, dhPublic, grants }), proof)
}

/** A device id is its Ed25519 public key. */
export const verifyKeyOf = (id: DeviceId): Uint8Array => Buffer.from(id, 'hex')

const stored: Codec<{ seed: Uint8Array; dhSecret: Uint8Array }> = record({ seed: fixed(32), dhSecret: fixed(32) })

/** 64 bytes that must be kept sealed; the caller wipes them. */
export const encodeDeviceSecrets = ({ signing, dh }: DeviceSecrets): Uint8Array =>
  encode(stored, { seed: signing.secretKey.subarray(0, 32), dhSecret: dh.secretKey })

/** @throws `malformed` */
export function decodeDeviceSecrets(bytes: Uint8Array): DeviceSecrets {
  const { seed, dhSecret } = decode(stored, bytes)
  return deviceFrom(seed, Uint8Array.from(dhSecret))
}

/**
 * ◆ One message of a group as it travels: sealed under the chain of its sender's device, and signed by that device, so that
 * any member can hand it on and none can change or invent one. Format: docs/protocol/groups.md.
 */
import { toHex } from '../bytes.ts'
import { bytes, type Codec, decode, encode, fixed, record, u32, u64, versionByte } from '../codec.ts'
import { labelledHash } from '../crypto/kdf.ts'
import { sign, type SigningKey, verify } from '../crypto/sign.ts'
import { MyceliumError } from '../errors.ts'
import { verifyKeyOf } from '../identity/device.ts'
import type { DeviceId, GroupEnvelopeId, GroupId, GroupOpId, Identity } from '../ids.ts'
import { limits } from '../limits.ts'
import { deviceId, envelopeId, groupId, groupOpId, headsCodec, identityId, noId } from './op.ts'

export interface EnvelopeHeader {
  readonly group: GroupId
  readonly author: Identity
  readonly device: DeviceId
  /** How many messages this device sent in this group before, over all epochs. */
  readonly sequence: number
  /** The last of them; 64 zeros for the first. */
  readonly previous: GroupEnvelopeId
  /** Heads of the group's operations that the author knew, ascending: whether it may write is judged there. */
  readonly heads: readonly GroupOpId[]
  readonly epoch: GroupOpId
  /** Place in the device's key chain of the epoch. */
  readonly index: number
  /** The author's clock, Unix milliseconds. */
  readonly atMs: number
  /** 16 random bytes that go into the key. */
  readonly salt: Uint8Array
}

/** As it is kept and handed on. */
export interface SignedEnvelope {
  readonly body: Uint8Array
  readonly signature: Uint8Array
}

export interface ReadEnvelope {
  readonly id: GroupEnvelopeId
  readonly header: EnvelopeHeader
  readonly sealed: Uint8Array
  readonly signed: SignedEnvelope
}

const signatureLabel = 'mycelium/group-envelope/1'
const hashLabel = 'mycelium/group-envelope-hash/1'

const headerFields: { readonly [Name in keyof EnvelopeHeader]: Codec<EnvelopeHeader[Name]> } = {
  group: groupId,
  author: identityId,
  device: deviceId,
  sequence: u32,
  previous: envelopeId,
  heads: headsCodec,
  epoch: groupOpId,
  index: u32,
  atMs: u64,
  salt: fixed(16),
}
const headerCodec = record<EnvelopeHeader & { readonly version: 1 }>({ version: versionByte(1), ...headerFields })
const bodyCodec = record<{ header: EnvelopeHeader & { readonly version: 1 }; sealed: Uint8Array }>({
  header: headerCodec,
  sealed: bytes(limits.groupEnvelopeBytesMax),
})
export const signedEnvelopeCodec: Codec<SignedEnvelope> = record({
  body: bytes(limits.groupEnvelopeBytesMax),
  signature: fixed(64),
})

/** What the ciphertext is bound to. */
export const headerBytes = (header: EnvelopeHeader): Uint8Array => encode(headerCodec, { version: 1, ...header })

export function signEnvelope(key: SigningKey, header: EnvelopeHeader, sealed: Uint8Array): ReadEnvelope {
  const body = encode(bodyCodec, { header: { version: 1, ...header }, sealed })
  const signed = { body, signature: sign(key, signatureLabel, body) }
  return { id: hashOf(body), header, sealed, signed }
}

/** @throws `malformed`, `too-large` */
export function readEnvelope(signed: SignedEnvelope): ReadEnvelope {
  if (signed.body.length > limits.groupEnvelopeBytesMax) throw new MyceliumError('too-large')
  const { header: versioned, sealed } = decode(bodyCodec, signed.body)
  const { version: _, ...header } = versioned
  if ((header.sequence === 0) !== (header.previous === noId))
    throw new MyceliumError('malformed', { reason: 'previous' })
  if (header.heads.length === 0) throw new MyceliumError('malformed', { reason: 'heads' })
  return { id: hashOf(signed.body), header, sealed, signed }
}

const hashOf = (body: Uint8Array): GroupEnvelopeId => toHex(labelledHash(hashLabel, body)) as GroupEnvelopeId

export const isEnvelopeSigned = ({ header, signed }: ReadEnvelope): boolean =>
  verify(verifyKeyOf(header.device), signatureLabel, signed.body, signed.signature)

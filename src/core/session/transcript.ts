/** ◆ What a handshake binds: two hashes over typed, length-prefixed fields. Format: docs/protocol/handshake.md. */
import { labelledHash } from '../crypto/kdf.ts'
import type { DeviceId, Identity } from '../ids.ts'

export interface TranscriptParty {
  readonly identity: Identity
  readonly device: DeviceId
  readonly deviceDhPublic: Uint8Array
  readonly logHead: Uint8Array
}
export interface Transcript {
  readonly suite: number
  readonly initiator: TranscriptParty
  readonly responder: TranscriptParty
  /** The responder's. */
  readonly prekey: { readonly id: number; readonly dh: Uint8Array; readonly kem: Uint8Array }
  /** The initiator's X25519 keys of this handshake. */
  readonly ephemeral: Uint8Array
  readonly ratchet: Uint8Array
  readonly ciphertext: Uint8Array
  readonly introduction: Uint8Array
}

const firstLabel = 'mycelium/handshake/first/1'
const transcriptLabel = 'mycelium/handshake/transcript/1'

// the first byte of each field: what it is
const types = {
  suite: 0x01,
  prekeyId: 0x02,
  initiatorIdentity: 0x10,
  initiatorDevice: 0x11, // Ed25519
  initiatorDeviceDh: 0x12, // X25519
  initiatorLogHead: 0x13,
  ephemeral: 0x14, // X25519
  ratchet: 0x15, // X25519
  introduction: 0x16,
  responderIdentity: 0x20,
  responderDevice: 0x21, // Ed25519
  responderDeviceDh: 0x22, // X25519
  responderLogHead: 0x23,
  prekeyDh: 0x24, // X25519
  prekeyKem: 0x25, // ML-KEM-768 encapsulation key
  ciphertext: 0x30, // ML-KEM-768
} as const

const field = (type: number, value: Uint8Array): Uint8Array => Buffer.concat([Uint8Array.of(type), value])
const hex = (id: string): Uint8Array => Buffer.from(id, 'hex')

/** Everything that is known before the initiator is: salt of stage one. */
export type FirstPart = Pick<Transcript, 'suite' | 'prekey' | 'ephemeral' | 'ratchet' | 'ciphertext'> & {
  readonly responder: Omit<TranscriptParty, 'logHead'>
}

function firstFields({ suite, prekey, responder, ephemeral, ratchet, ciphertext }: FirstPart): Uint8Array[] {
  const id = Buffer.alloc(4)
  id.writeUInt32BE(prekey.id)
  return [
    field(types.suite, Uint8Array.of(suite)),
    field(types.prekeyId, id),
    field(types.responderIdentity, hex(responder.identity)),
    field(types.responderDevice, hex(responder.device)),
    field(types.responderDeviceDh, responder.deviceDhPublic),
    field(types.prekeyDh, prekey.dh),
    field(types.prekeyKem, prekey.kem),
    field(types.ephemeral, ephemeral),
    field(types.ratchet, ratchet),
    field(types.ciphertext, ciphertext),
  ]
}

export const firstHash = (part: FirstPart): Uint8Array => labelledHash(firstLabel, ...firstFields(part))

/** The session's id: salt of stage two. */
export const transcriptHash = (transcript: Transcript): Uint8Array =>
  labelledHash(
    transcriptLabel,
    ...firstFields(transcript),
    field(types.responderLogHead, transcript.responder.logHead),
    field(types.initiatorIdentity, hex(transcript.initiator.identity)),
    field(types.initiatorDevice, hex(transcript.initiator.device)),
    field(types.initiatorDeviceDh, transcript.initiator.deviceDhPublic),
    field(types.initiatorLogHead, transcript.initiator.logHead),
    field(types.introduction, transcript.introduction),
  )

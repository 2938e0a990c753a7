/**
 * ◆ The handshake: X3DH with ML-KEM-768 mixed in, one flight, two stages. Stage one carries the initiator's identity and
 * introduction under a key from DH2, DH3 and the KEM secret; the responder checks the introduction; stage two mixes in
 * DH1, which needs the initiator's own device key. Format: docs/protocol/handshake.md.
 */
import type { Random } from '../ambient.ts'
import { wipe } from '../bytes.ts'
import { bytes as sizedBytes, type Codec, encode, fixed, hexId, Reader, record } from '../codec.ts'
import { aeadKeyBytes, aeadNonceBytes, aeadTagBytes, open, seal } from '../crypto/aead.ts'
import { dh, type DhKeyPair, dhKeyBytes, dhKeyPair } from '../crypto/dh.ts'
import { hkdf, labelledHash } from '../crypto/kdf.ts'
import { decapsulate, encapsulate, kemCiphertextBytes, kemKeyPair } from '../crypto/kem.ts'
import { MyceliumError } from '../errors.ts'
import type { DeviceId, Identity } from '../ids.ts'
import { limits } from '../limits.ts'
import { initiatorState, responderState, type SessionKeys } from './first-state.ts'
import { Session } from './session.ts'
import { firstHash, type FirstPart, transcriptHash, type Transcript } from './transcript.ts'

/** The only suite: X25519, ML-KEM-768, ChaCha20-Poly1305, BLAKE2b, HKDF-SHA-512, SHA-256. */
const suite = 1
const flightStepBytes = 4096
const identityLabel = 'mycelium/handshake/identity/1'
const sessionLabel = 'mycelium/handshake/session/1'
const cacheLabel = 'mycelium/handshake/cache/1'

// suite (1) | prekey id (4) | ephemeral (32) | ratchet (32) | ciphertext (1088) | sealed stage one | stage two (16)
const ephemeralAt = 5
const ratchetAt = ephemeralAt + dhKeyBytes
const ciphertextAt = ratchetAt + dhKeyBytes
const stageOneAt = ciphertextAt + kemCiphertextBytes
const sealOverheadBytes = stageOneAt + 2 * aeadTagBytes

/** A device and its account, as the account's log says. */
export interface Party {
  readonly identity: Identity
  readonly device: DeviceId
  readonly deviceDh: DhKeyPair
}
export interface Peer {
  readonly identity: Identity
  readonly device: DeviceId
  readonly deviceDhPublic: Uint8Array
  /** Hash of the newest entry of the peer's account log that is known here, 32 bytes. */
  readonly logHead: Uint8Array
  /** Published by the peer's device: X25519 and ML-KEM-768 public keys. */
  readonly prekey: { readonly id: number; readonly dh: Uint8Array; readonly kem: Uint8Array }
}
/** Private halves of a prekey: X25519 secret key (32 bytes) and ML-KEM seed (64 bytes). They stay the caller's. */
export interface PrekeySecrets {
  readonly dh: Uint8Array
  readonly kem: Uint8Array
}

interface StageOne {
  readonly identity: Identity
  readonly device: DeviceId
  readonly logHead: Uint8Array
  readonly peerLogHead: Uint8Array
  readonly introduction: Uint8Array
}
const stageOneCodec: Codec<StageOne> = record<StageOne>({
  identity: hexId<Identity>(32),
  device: hexId<DeviceId>(32),
  logHead: fixed(32),
  peerLogHead: fixed(32),
  introduction: sizedBytes(limits.introductionBytesMax),
})

interface Secrets {
  readonly dh2: Uint8Array
  readonly dh3: Uint8Array
  readonly kem: Uint8Array
}

const refuse = (reason: string): MyceliumError => new MyceliumError('handshake-refused', { reason })

function agree(secretKey: Uint8Array, publicKey: Uint8Array): Uint8Array {
  const shared = dh(secretKey, publicKey)
  if (shared === undefined) throw refuse('low-order point')
  return shared
}

/**
 * Starts a session: `flight` goes to the peer. Store the session before anything is sealed in it.
 * @throws `handshake-refused` for a low-order point or an invalid encapsulation key; `too-large` for the introduction
 */
export function initiate({
  self,
  peer,
  introduction,
  random,
  nowMs,
}: {
  readonly self: Party & { readonly logHead: Uint8Array }
  readonly peer: Peer
  /** Opaque here: log segment and device record, by which the responder learns who this is. */
  readonly introduction: Uint8Array
  readonly random: Random
  readonly nowMs: number
}): { readonly session: Session; readonly flight: Uint8Array } {
  const { prekey } = peer
  const stageOne = encode(stageOneCodec, { ...self, peerLogHead: peer.logHead, introduction })
  const ephemeral = dhKeyPair(random.bytes(dhKeyBytes))
  const ratchet = dhKeyPair(random.bytes(dhKeyBytes))
  const made = encapsulate(prekey.kem, () => random.bytes(32))
  if (made === undefined) throw refuse('encapsulation key')
  const secrets: Secrets = {
    dh2: agree(ephemeral.secretKey, peer.deviceDhPublic),
    dh3: agree(ephemeral.secretKey, prekey.dh),
    kem: made.shared,
  }
  const transcript: Transcript = {
    suite,
    initiator: { ...self, deviceDhPublic: self.deviceDh.publicKey },
    responder: peer,
    prekey,
    ephemeral: ephemeral.publicKey,
    ratchet: ratchet.publicKey,
    ciphertext: made.ciphertext,
    introduction,
  }
  const flight = Buffer.alloc(Math.ceil((sealOverheadBytes + stageOne.length) / flightStepBytes) * flightStepBytes)
  flight[0] = suite
  flight.writeUInt32BE(prekey.id, 1)
  flight.set(ephemeral.publicKey, ephemeralAt)
  flight.set(ratchet.publicKey, ratchetAt)
  flight.set(made.ciphertext, ciphertextAt)
  const padded = Buffer.alloc(flight.length - sealOverheadBytes)
  padded.set(stageOne)
  const first = stageOneKey(firstHash(transcript), secrets)
  flight.set(seal(first.key, first.nonce, padded, flight.subarray(0, stageOneAt)), stageOneAt)
  const dh1 = agree(self.deviceDh.secretKey, prekey.dh)
  const keys = sessionKeys(transcriptHash(transcript), dh1, secrets)
  flight.set(proofOf(keys, flight), flight.length - aeadTagBytes)
  const start = { keys, self: self.device, peer: peer.device, random, nowMs }
  const session = new Session(initiatorState(start, { ratchet, prekeyDh: prekey.dh }))
  for (const bytes of [ephemeral.secretKey, first.key, dh1, ...Object.values<Uint8Array>({ ...secrets })]) wipe(bytes)
  return { session, flight }
}

/** A flight whose first stage was opened. Nothing in it is proven before `finish`. */
export interface Claim {
  readonly identity: Identity
  readonly device: DeviceId
  /** The head of its own log that the initiator named: to be found in `introduction`. */
  readonly logHead: Uint8Array
  /** The head of the responder's log that the initiator knew: the caller checks that it is one. */
  readonly seenLogHead: Uint8Array
  /** The caller verifies it, and takes the device's X25519 key and the log head from it. */
  readonly introduction: Uint8Array
  /** May be called once. @throws `handshake-refused` unless the initiator holds the device key of that log */
  finish(
    peer: { readonly deviceDhPublic: Uint8Array; readonly logHead: Uint8Array },
    moment: { readonly random: Random; readonly nowMs: number },
  ): Session
}

/**
 * The responder's first step. Check `flightCacheKey` against the handshakes seen before.
 * @throws `handshake-refused`
 */
export function readFlight(
  flight: Uint8Array,
  { self, prekey: find }: { readonly self: Party; readonly prekey: (id: number) => PrekeySecrets | undefined },
): Claim {
  if (!isFlight(flight)) throw refuse('length or suite')
  const prekeyId = new DataView(flight.buffer, flight.byteOffset).getUint32(1)
  const prekeySecrets = find(prekeyId)
  if (prekeySecrets === undefined) throw refuse('unknown prekey')
  const prekeyDh = dhKeyPair(Buffer.from(prekeySecrets.dh))
  const ephemeral = Buffer.from(flight.subarray(ephemeralAt, ratchetAt))
  const ratchet = Buffer.from(flight.subarray(ratchetAt, ciphertextAt))
  const ciphertext = Buffer.from(flight.subarray(ciphertextAt, stageOneAt))
  const secrets: Secrets = {
    dh2: agree(self.deviceDh.secretKey, ephemeral),
    dh3: agree(prekeyDh.secretKey, ephemeral),
    kem: decapsulate(prekeySecrets.kem, ciphertext)!,
  }
  wipe(agree(prekeyDh.secretKey, ratchet)) // refuses a ratchet key of low order now
  const part: FirstPart = {
    suite,
    responder: { identity: self.identity, device: self.device, deviceDhPublic: self.deviceDh.publicKey },
    prekey: { id: prekeyId, dh: prekeyDh.publicKey, kem: kemKeyPair(prekeySecrets.kem).publicKey },
    ephemeral,
    ratchet,
    ciphertext,
  }
  const { peerLogHead: seenLogHead, ...claim } = openStageOne(flight, stageOneKey(firstHash(part), secrets))
  return {
    ...claim,
    seenLogHead,
    finish({ deviceDhPublic, logHead }, { random, nowMs }) {
      const dh1 = agree(prekeyDh.secretKey, deviceDhPublic)
      const transcript: Transcript = {
        ...part,
        responder: { ...part.responder, logHead: seenLogHead },
        initiator: { identity: claim.identity, device: claim.device, deviceDhPublic, logHead },
        introduction: claim.introduction,
      }
      const keys = sessionKeys(transcriptHash(transcript), dh1, secrets)
      const end = flight.length - aeadTagBytes
      const isProven =
        open(keys.proof.key, keys.proof.nonce, flight.subarray(end), flight.subarray(0, end)) !== undefined
      if (!isProven) throw refuse('device key')
      const start = { keys, self: self.device, peer: claim.device, random, nowMs }
      const session = new Session(responderState(start, { prekey: prekeyDh, ratchet }))
      for (const bytes of [dh1, secrets.dh2, secrets.dh3, secrets.kem, prekeyDh.secretKey]) wipe(bytes)
      return session
    },
  }
}

const isFlight = (flight: Uint8Array): boolean =>
  flight.length > 0 &&
  flight.length % flightStepBytes === 0 &&
  flight.length <= limits.handshakeFlightBytesMax &&
  flight[0] === suite

function openStageOne(flight: Uint8Array, { key, nonce }: SealKey): StageOne {
  const sealed = flight.subarray(stageOneAt, flight.length - aeadTagBytes)
  const padded = open(key, nonce, sealed, flight.subarray(0, stageOneAt))
  wipe(key)
  if (padded === undefined) throw refuse('first stage')
  try {
    return stageOneCodec.read(new Reader(padded))
  } catch (error) {
    throw new MyceliumError('handshake-refused', { reason: 'first stage' }, { cause: error })
  }
}

interface SealKey {
  readonly key: Uint8Array
  readonly nonce: Uint8Array
}

function stageOneKey(salt: Uint8Array, { dh2, dh3, kem }: Secrets): SealKey {
  const secret = Buffer.concat([dh2, dh3, kem])
  const out = hkdf(secret, salt, identityLabel, aeadKeyBytes + aeadNonceBytes)
  wipe(secret)
  return { key: out.subarray(0, aeadKeyBytes), nonce: out.subarray(aeadKeyBytes) }
}

function sessionKeys(
  id: Uint8Array,
  dh1: Uint8Array,
  { dh2, dh3, kem }: Secrets,
): SessionKeys & { readonly proof: SealKey } {
  const secret = Buffer.concat([dh1, dh2, dh3, kem])
  const out = Buffer.from(hkdf(secret, id, sessionLabel, 6 * 32 + aeadNonceBytes))
  wipe(secret)
  const key = (index: number): Uint8Array => out.subarray(32 * index, 32 * (index + 1))
  return {
    id,
    root: key(0),
    initiatorHeader: key(1),
    responderHeader: key(2),
    epoch: key(3),
    contact: key(4),
    proof: { key: key(5), nonce: out.subarray(6 * 32) },
  }
}

/** Stage two: the tag of an empty message over the whole flight before it. */
function proofOf({ proof }: { readonly proof: SealKey }, flight: Uint8Array): Uint8Array {
  return seal(proof.key, proof.nonce, new Uint8Array(), flight.subarray(0, flight.length - aeadTagBytes))
}

/** Under which a flight is remembered, so that a second copy makes no second session. `undefined` if it is none. */
export const flightCacheKey = (flight: Uint8Array): Uint8Array | undefined =>
  isFlight(flight)
    ? labelledHash(cacheLabel, flight.subarray(ephemeralAt, ratchetAt), flight.subarray(ciphertextAt, stageOneAt))
    : undefined

/** Order of two session ids: negative when `one` is the lower, which sends. */
export const compareTranscripts = (one: string, other: string): number => (one < other ? -1 : one > other ? 1 : 0)

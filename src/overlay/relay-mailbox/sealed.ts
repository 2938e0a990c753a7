/** ◆ A deposit as it travels to its relay, sealed so that whoever carries it learns nothing, and its outcome (docs/protocol/relay.md §2). */
import type { Random } from '../../core/ambient.ts'
import { concat, fromUtf8 } from '../../core/bytes.ts'
import { aeadNonceBytes, aeadTagBytes, open, seal, sealInto } from '../../core/crypto/aead.ts'
import { dh, dhKeyBytes, type DhKeyPair, dhKeyPair } from '../../core/crypto/dh.ts'
import { hkdf, labelledHash, sha256 } from '../../core/crypto/kdf.ts'
import { signatureBytes, type SigningKey, signRaw, verifyRaw } from '../../core/crypto/sign.ts'
import { decode, encode, fixed, record, u64 } from '../../core/codec.ts'
import { MyceliumError } from '../../core/errors.ts'
import type { GatewayId } from '../../core/ids.ts'

const entryIdBytes = 16
const sendIdBytes = 32

export interface Deposit {
  /** Public half of the queue's send key, 32 bytes. */
  readonly sendId: Uint8Array
  /** 16 random bytes. */
  readonly entryId: Uint8Array
  readonly expiresAtMs: number
  readonly signature: Uint8Array
  readonly body: Uint8Array
}
const headCodec = record<Omit<Deposit, 'body'>>({
  sendId: fixed(sendIdBytes),
  entryId: fixed(entryIdBytes),
  expiresAtMs: u64,
  signature: fixed(signatureBytes),
})
const headBytes = sendIdBytes + entryIdBytes + 8 + signatureBytes

const entryHash = (relay: GatewayId, { sendId, entryId, expiresAtMs, body }: Omit<Deposit, 'signature'>): Uint8Array =>
  labelledHash('mycelium/relay/entry/1', fromUtf8(relay), sendId, entryId, encode(u64, expiresAtMs), sha256(body))

export function signDeposit(
  relay: GatewayId,
  sendKey: SigningKey,
  entry: Omit<Deposit, 'sendId' | 'signature'>,
): Deposit {
  const unsigned = { ...entry, sendId: sendKey.publicKey }
  return { ...unsigned, signature: signRaw(sendKey, entryHash(relay, unsigned)) }
}
export const isDepositSigned = (relay: GatewayId, deposit: Deposit): boolean =>
  verifyRaw(deposit.sendId, entryHash(relay, deposit), deposit.signature)

/** In the order of their numbers. */
export const outcomes = ['stored', 'full', 'no-such-queue', 'size', 'expired', 'throttled', 'signature'] as const
export type Outcome = (typeof outcomes)[number]
const outcomeBytes = 16
const zeroNonce = new Uint8Array(aeadNonceBytes)

interface Keys {
  readonly deposit: Uint8Array
  readonly outcome: Uint8Array
}
function keysOf(secret: Uint8Array, ephemeral: Uint8Array, sealKey: Uint8Array): Keys {
  const salt = concat(ephemeral, sealKey)
  return {
    deposit: hkdf(secret, salt, 'mycelium/relay/deposit/1', 32),
    outcome: hkdf(secret, salt, 'mycelium/relay/outcome/1', 32),
  }
}

export interface SealedDeposit {
  readonly sealed: Uint8Array
  /** @throws `peer-misbehaved` when it is not the answer of this deposit's relay */
  readonly readOutcome: (sealed: Uint8Array) => Outcome
}

/** @throws `malformed` for a seal key that is no point */
export function sealDeposit(sealKey: Uint8Array, deposit: Deposit, random: Random): SealedDeposit {
  const ephemeral = dhKeyPair(Uint8Array.from(random.bytes(dhKeyBytes)))
  const secret = dh(ephemeral.secretKey, sealKey)
  if (secret === undefined) throw new MyceliumError('malformed', { key: 'relay-seal' })
  const keys = keysOf(secret, ephemeral.publicKey, sealKey)
  const sealed = Buffer.allocUnsafeSlow(dhKeyBytes + headBytes + deposit.body.length + aeadTagBytes)
  sealed.set(ephemeral.publicKey)
  sealed.set(encode(headCodec, deposit), dhKeyBytes)
  sealed.set(deposit.body, dhKeyBytes + headBytes)
  const content = sealed.subarray(dhKeyBytes)
  sealInto(content, keys.deposit, zeroNonce, content.subarray(0, -aeadTagBytes), ephemeral.publicKey)
  return {
    sealed,
    readOutcome: (answer) => {
      const opened = open(keys.outcome, zeroNonce, answer, ephemeral.publicKey)
      const outcome = opened?.length === outcomeBytes ? outcomes[opened[0]!] : undefined
      if (outcome === undefined) throw new MyceliumError('peer-misbehaved', { reason: 'garbled outcome' })
      return outcome
    },
  }
}

export interface OpenedDeposit {
  readonly deposit: Deposit
  readonly sealOutcome: (outcome: Outcome) => Uint8Array
}

/** `undefined` for what was not sealed to this key. */
export function openDeposit(relayKey: DhKeyPair, sealed: Uint8Array): OpenedDeposit | undefined {
  if (sealed.length < dhKeyBytes + headBytes + aeadTagBytes) return undefined
  const ephemeral = sealed.subarray(0, dhKeyBytes)
  const secret = dh(relayKey.secretKey, ephemeral)
  if (secret === undefined) return undefined
  const keys = keysOf(secret, ephemeral, relayKey.publicKey)
  const content = open(keys.deposit, zeroNonce, sealed.subarray(dhKeyBytes), ephemeral)
  if (content === undefined) return undefined
  let head: Omit<Deposit, 'body'>
  try {
    head = decode(headCodec, content.subarray(0, headBytes))
  } catch {
    return undefined // a time beyond 2⁵³: sealed by somebody who means harm
  }
  return {
    deposit: { ...head, body: content.subarray(headBytes) },
    sealOutcome: (outcome) => {
      const plain = new Uint8Array(outcomeBytes)
      plain[0] = outcomes.indexOf(outcome)
      return seal(keys.outcome, zeroNonce, plain, ephemeral)
    },
  }
}

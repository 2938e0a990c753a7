/**
 * ◆ The sparse ML-KEM ratchet: whole keys, one epoch at a time, the owner alternating. The owner of epoch e offers an
 * encapsulation key; the other answers with a ciphertext and keeps sending under e−1 until a frame of epoch e arrives
 * from the owner, which proves that the answer arrived. Offer and answer are repeated until that is so, hence any of
 * these frames may be lost or overtaken. Epoch 0 comes from the handshake, whose KEM key was the responder's: the
 * initiator owns the odd epochs. Format: docs/protocol/ratchet.md.
 */
import type { Random } from '../ambient.ts'
import { wipe } from '../bytes.ts'
import {
  decapsulate,
  encapsulate,
  kemCiphertextBytes,
  kemKeyPair,
  kemPublicKeyBytes,
  kemSeedBytes,
} from '../crypto/kem.ts'
import { limits } from '../limits.ts'
import { epochStep } from './key-schedule.ts'

export type Role = 'initiator' | 'responder'

export type Pending =
  | { readonly kind: 'none' }
  /** We own the epoch and wait for an answer. `secret` is the key's 64-byte seed. */
  | { readonly kind: 'offered'; readonly epoch: number; readonly secret: Uint8Array }
  /** We answered and wait for a frame of the epoch. `secret` is the ciphertext, 1088 bytes. */
  | { readonly kind: 'answered'; readonly epoch: number; readonly secret: Uint8Array }

export interface KemState {
  /** Keys by epoch, ascending, 32 bytes each. */
  readonly keys: Map<number, Uint8Array>
  /** The newest epoch whose key is known here. */
  latest: number
  sendEpoch: number
  /** The highest epoch seen in a frame of the peer. */
  receiveEpoch: number
  pending: Pending
  /** When `pending` was last put into a frame, Unix ms; 0 when it is due at once. */
  pendingSentAtMs: number
  /** Payloads sent and received since `pending` was last put into a frame. */
  payloadsSinceSent: number
  /** Payloads sent and received in this epoch. */
  payloads: number
  epochSinceMs: number
  /** The peer must hear from us, whatever it is: it waits for proof that we hold the newest epoch. */
  owesFrame: boolean
}

export const newKemState = (key: Uint8Array, owesFrame: boolean, nowMs: number): KemState => ({
  keys: new Map([[0, key]]),
  latest: 0,
  sendEpoch: 0,
  receiveEpoch: 0,
  pending: { kind: 'none' },
  pendingSentAtMs: 0,
  payloadsSinceSent: 0,
  payloads: 0,
  epochSinceMs: nowMs,
  owesFrame,
})

const ownerOf = (epoch: number): Role => (epoch % 2 === 1 ? 'initiator' : 'responder')

/** What a KEM frame of the peer asks for: computed before the frame is accepted, applied by `run` after. */
export interface KemStep {
  readonly run: (state: KemState, nowMs: number) => void
}
const nothing: KemStep = { run: () => {} }

function parse(body: Uint8Array, length: number): { epoch: number; content: Uint8Array } | undefined {
  if (body.length !== 4 + length) return undefined
  const epoch = new DataView(body.buffer, body.byteOffset, 4).getUint32(0)
  return { epoch, content: body.subarray(4) }
}

/** `undefined` when the offer is malformed, not the peer's to make, or its key fails the modulus check. */
export function readOffer(state: KemState, peer: Role, body: Uint8Array, random: Random): KemStep | undefined {
  const offer = parse(body, kemPublicKeyBytes)
  if (offer === undefined || ownerOf(offer.epoch) !== peer || offer.epoch > state.latest + 1) return undefined
  const { epoch, content } = offer
  if (epoch <= state.latest) return nothing // a repetition: our answer is repeated by `maintenance`
  const made = encapsulate(content, () => random.bytes(32))
  if (made === undefined) return undefined
  const key = epochStep(state.keys.get(state.latest)!, made.shared, content, made.ciphertext)
  wipe(made.shared)
  return {
    run(target) {
      target.keys.set(epoch, key)
      target.latest = epoch
      setPending(target, { kind: 'answered', epoch, secret: made.ciphertext })
    },
  }
}

/** `undefined` when the answer is malformed or answers nothing that was offered. */
export function readAnswer(state: KemState, self: Role, body: Uint8Array): KemStep | undefined {
  const answer = parse(body, kemCiphertextBytes)
  if (answer === undefined || ownerOf(answer.epoch) !== self) return undefined
  const { pending } = state
  const { epoch, content } = answer
  if (epoch <= state.latest) return { run: (target) => void (target.owesFrame = true) }
  if (pending.kind !== 'offered' || pending.epoch !== epoch) return undefined
  const shared = decapsulate(pending.secret, content)!
  const key = epochStep(state.keys.get(state.latest)!, shared, kemKeyPair(pending.secret).publicKey, content)
  wipe(shared)
  return {
    run(target, nowMs) {
      target.keys.set(epoch, key)
      target.latest = epoch
      target.owesFrame = true
      beginEpoch(target, epoch, nowMs)
    },
  }
}

/** Notes that an authenticated frame of the peer carried `epoch`. */
export function noteEpoch(state: KemState, epoch: number, nowMs: number): void {
  if (epoch <= state.receiveEpoch) return
  state.receiveEpoch = epoch
  if (state.pending.kind === 'answered' && state.pending.epoch <= epoch) beginEpoch(state, epoch, nowMs)
}

/** Wipes the keys that no frame can need any more. */
export function forgetEpochs(state: KemState, neededBySkipped: number): void {
  const lowest = Math.min(state.sendEpoch, state.receiveEpoch, neededBySkipped)
  for (const [epoch, key] of state.keys) {
    if (epoch >= lowest && state.keys.size <= limits.kemEpochsMax) break
    wipe(key)
    state.keys.delete(epoch)
  }
}

/** The KEM frame to send now, if any; makes a new key when this side's turn has come. */
export function due(
  state: KemState,
  self: Role,
  random: Random,
  nowMs: number,
): { readonly kind: 'kemOffer' | 'kemAnswer'; readonly body: Uint8Array } | undefined {
  if (state.pending.kind === 'none') {
    const isTurn = ownerOf(state.latest + 1) === self && state.receiveEpoch === state.latest
    const isOld = elapsed(state.epochSinceMs, nowMs) >= limits.kemEpochMs && state.payloads > 0
    if (!isTurn || (state.payloads < limits.kemEpochMessages && !isOld)) return undefined
    setPending(state, { kind: 'offered', epoch: state.latest + 1, secret: random.bytes(kemSeedBytes) })
  } else if (state.pendingSentAtMs > 0) {
    const rested = elapsed(state.pendingSentAtMs, nowMs) >= limits.kemResendMs
    if (!rested || state.payloadsSinceSent === 0) return undefined
  }
  const { pending } = state
  if (pending.kind === 'none') return undefined
  state.pendingSentAtMs = Math.max(1, nowMs)
  state.payloadsSinceSent = 0
  const epoch = Buffer.allocUnsafe(4)
  epoch.writeUInt32BE(pending.epoch)
  return pending.kind === 'offered'
    ? { kind: 'kemOffer', body: Buffer.concat([epoch, kemKeyPair(pending.secret).publicKey]) }
    : { kind: 'kemAnswer', body: Buffer.concat([epoch, pending.secret]) }
}

function beginEpoch(state: KemState, epoch: number, nowMs: number): void {
  setPending(state, { kind: 'none' })
  state.sendEpoch = epoch
  state.payloads = 0
  state.epochSinceMs = nowMs
}

function setPending(state: KemState, pending: Pending): void {
  if (state.pending.kind !== 'none') wipe(state.pending.secret)
  state.pending = pending
  state.pendingSentAtMs = 0
  state.payloadsSinceSent = 0
}

/** Also when the clock was set back: then nothing waits forever. */
const elapsed = (sinceMs: number, nowMs: number): number => Math.abs(nowMs - sinceMs)

/**
 * ◆ Online confirmation: two people who can talk, but not meet, read each other 15 digits (49.8 bits). Commit, then
 * reveal: whoever stands between has one guess, because the first nonce is fixed before the second is seen.
 *
 * initiator → commit(H(nonce)) → responder → reveal(nonce) → initiator → reveal(nonce) → responder; both then show
 * digits made from both nonces and from what each believes of both identities. When both start at once, the one with
 * the lower identity stays the initiator. The steps are pure; messages travel inside the session.
 */
import { compare, concat, equalConstantTime } from '../bytes.ts'
import { type Codec, fixed, literal, record, union } from '../codec.ts'
import { hkdf, labelledHash } from '../crypto/kdf.ts'
import { unreachable } from '../errors.ts'
import { digitGroups, type Fingerprinted, fingerprintedBytes } from './fingerprint.ts'

export type ConfirmationMessage =
  | { readonly kind: 'commit'; readonly commitment: Uint8Array }
  | { readonly kind: 'reveal'; readonly nonce: Uint8Array }

export const confirmationCodec: Codec<ConfirmationMessage> = union<ConfirmationMessage>({
  commit: { tag: 0, codec: record({ kind: literal('commit'), commitment: fixed(32) }) },
  reveal: { tag: 1, codec: record({ kind: literal('reveal'), nonce: fixed(32) }) },
})

interface Parties {
  readonly self: Fingerprinted
  readonly other: Fingerprinted
}
export type Confirmation =
  | (Parties & { readonly at: 'committed'; readonly nonce: Uint8Array })
  | (Parties & { readonly at: 'answered'; readonly nonce: Uint8Array; readonly commitment: Uint8Array })
  /** Both people compare `digits` and say whether they are the same. They are about `other` as it was, not as it may be now. */
  | { readonly at: 'compare'; readonly digits: string; readonly other: Fingerprinted }
  | { readonly at: 'failed'; readonly reason: 'commitment-mismatch' | 'out-of-order' }

export interface ConfirmationStep {
  readonly state: Confirmation
  readonly send: ConfirmationMessage | undefined
}

const commitTo = (initiator: Fingerprinted, responder: Fingerprinted, nonce: Uint8Array): Uint8Array =>
  labelledHash('mycelium/confirmation-commit/1', fingerprintedBytes(initiator), fingerprintedBytes(responder), nonce)

/** @param nonce 32 fresh random bytes, owned by the state from now on */
export function startConfirmation(parties: Parties, nonce: Uint8Array): ConfirmationStep {
  const commitment = commitTo(parties.self, parties.other, nonce)
  return { state: { ...parties, at: 'committed', nonce }, send: { kind: 'commit', commitment } }
}

/** The first message from somebody whom this side did not ask. */
export function answerConfirmation(
  parties: Parties,
  message: ConfirmationMessage,
  nonce: Uint8Array,
): ConfirmationStep {
  if (message.kind !== 'commit') return failed('out-of-order')
  const { commitment } = message
  return { state: { ...parties, at: 'answered', nonce, commitment }, send: { kind: 'reveal', nonce } }
}

const failed = (reason: 'commitment-mismatch' | 'out-of-order'): ConfirmationStep => ({
  state: { at: 'failed', reason },
  send: undefined,
})

/** One message from the other side. A state that has ended stays as it is. */
export function stepConfirmation(state: Confirmation, message: ConfirmationMessage): ConfirmationStep {
  switch (state.at) {
    case 'committed': {
      const { self, other, nonce } = state
      if (message.kind === 'commit') return bothStarted(state, message)
      const digits = digitsFrom(self, other, nonce, message.nonce)
      return { state: { at: 'compare', digits, other }, send: { kind: 'reveal', nonce } }
    }
    case 'answered': {
      const { self, other, nonce, commitment } = state
      if (message.kind !== 'reveal') return failed('out-of-order')
      if (!equalConstantTime(commitTo(other, self, message.nonce), commitment)) return failed('commitment-mismatch')
      const digits = digitsFrom(other, self, message.nonce, nonce)
      return { state: { at: 'compare', digits, other }, send: undefined }
    }
    case 'compare':
    case 'failed':
      return { state, send: undefined }
    default:
      return unreachable(state)
  }
}

/** The lower identity's commitment stands; the other side's own is forgotten, its nonce never shown. */
function bothStarted(
  state: Extract<Confirmation, { at: 'committed' }>,
  message: ConfirmationMessage,
): ConfirmationStep {
  const stays = compare(fingerprintedBytes(state.self), fingerprintedBytes(state.other)) < 0
  if (stays) return { state, send: undefined }
  return answerConfirmation({ self: state.self, other: state.other }, message, state.nonce)
}

function digitsFrom(
  initiator: Fingerprinted,
  responder: Fingerprinted,
  initiatorNonce: Uint8Array,
  responderNonce: Uint8Array,
): string {
  const transcript = labelledHash(
    'mycelium/confirmation/1',
    fingerprintedBytes(initiator),
    fingerprintedBytes(responder),
  )
  const bytes = hkdf(concat(initiatorNonce, responderNonce), transcript, 'mycelium/confirmation-digits/1', 15)
  return digitGroups(bytes)
}

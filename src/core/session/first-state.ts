/** ◆ From the keys of a finished handshake to the first state of a session, on either side. */
import type { Random } from '../ambient.ts'
import { dh, type DhKeyPair } from '../crypto/dh.ts'
import type { DeviceId } from '../ids.ts'
import { newKemState, type Role } from './kem-ratchet.ts'
import { keyBytes, rootStep } from './key-schedule.ts'
import { beginSendingChain, type RatchetState } from './ratchet.ts'
import type { SessionState } from './session-state.ts'

/** Cut from one HKDF output; see `sessionKeys` of the handshake. The session owns them. */
export interface SessionKeys {
  /** Transcript hash. */
  readonly id: Uint8Array
  readonly root: Uint8Array
  /** Header keys of the initiator's and of the responder's first chain. */
  readonly initiatorHeader: Uint8Array
  readonly responderHeader: Uint8Array
  /** ML-KEM epoch 0. */
  readonly epoch: Uint8Array
  readonly contact: Uint8Array
}
interface Start {
  readonly keys: SessionKeys
  readonly self: DeviceId
  readonly peer: DeviceId
  readonly random: Random
  readonly nowMs: number
}

/** The initiator sends its first chain under its handshake ratchet key, towards the responder's prekey. */
export function initiatorState(
  start: Start,
  { ratchet, prekeyDh }: { readonly ratchet: DhKeyPair; readonly prekeyDh: Uint8Array },
): SessionState {
  const { keys } = start
  const step = rootStep(keys.root, dh(ratchet.secretKey, prekeyDh)!)
  return stateOf(start, 'initiator', {
    ...emptyRatchet(ratchet),
    root: step.root,
    send: { headerKey: keys.initiatorHeader, chainKey: step.chain, next: 0 },
    nextSendHeader: step.nextHeader,
    nextReceiveHeader: keys.responderHeader,
  })
}

/**
 * The responder takes the initiator's ratchet key from the flight as if its first frame had arrived, and so can send at
 * once. `ratchet` must not be of low order.
 */
export function responderState(
  start: Start,
  { prekey, ratchet }: { readonly prekey: DhKeyPair; readonly ratchet: Uint8Array },
): SessionState {
  const { keys, random } = start
  const step = rootStep(keys.root, dh(prekey.secretKey, ratchet)!)
  const state: RatchetState = {
    ...emptyRatchet({ publicKey: prekey.publicKey, secretKey: Buffer.from(prekey.secretKey) }),
    nextSendHeader: keys.responderHeader,
    nextReceiveHeader: step.nextHeader,
    receiveChainKey: step.chain,
    receiving: [{ headerKey: keys.initiatorHeader, skipped: new Map() }],
  }
  beginSendingChain(state, step.root, ratchet, random)
  return stateOf(start, 'responder', state)
}

const emptyRatchet = (self: DhKeyPair): RatchetState => ({
  root: Buffer.alloc(keyBytes),
  self,
  send: { headerKey: Buffer.alloc(keyBytes), chainKey: Buffer.alloc(keyBytes), next: 0 },
  previous: 0,
  nextSendHeader: Buffer.alloc(keyBytes),
  nextReceiveHeader: Buffer.alloc(keyBytes),
  receiveChainKey: undefined,
  receiveNext: 0,
  receiving: [],
  sent: 0,
  receivedBefore: 0,
})

/** The responder owes a frame from the start: the initiator waits for proof that its flight arrived. */
const stateOf = ({ keys, self, peer, nowMs }: Start, role: Role, ratchet: RatchetState): SessionState => ({
  role,
  id: keys.id,
  contactKey: keys.contact,
  selfDevice: Buffer.from(self, 'hex'),
  peerDevice: Buffer.from(peer, 'hex'),
  createdAtMs: nowMs,
  receiveOnlyUntilMs: 0,
  ratchet,
  kem: newKemState(keys.epoch, role === 'responder', nowMs),
})

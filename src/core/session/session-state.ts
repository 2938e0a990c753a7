/** ◆ The state of one session as it is stored: type and codec. Stored only sealed at rest; not a wire format. */
import { Reader, Writer } from '../codec.ts'
import { kemCiphertextBytes, kemSeedBytes } from '../crypto/kem.ts'
import { MyceliumError } from '../errors.ts'
import { limits } from '../limits.ts'
import type { KemState, Pending, Role } from './kem-ratchet.ts'
import { keyBytes } from './key-schedule.ts'
import type { RatchetState } from './ratchet.ts'
import type { ReceivingChain, SkippedSecret } from './skipped-keys.ts'

export interface SessionState {
  readonly role: Role
  /** Transcript hash of the handshake, 32 bytes. */
  readonly id: Uint8Array
  /** Keys tags and hellos, 32 bytes. */
  readonly contactKey: Uint8Array
  /** Ed25519 public keys, 32 bytes. */
  readonly selfDevice: Uint8Array
  readonly peerDevice: Uint8Array
  readonly createdAtMs: number
  /** When this session, which only receives, ends; 0 while it sends. Unix ms. */
  receiveOnlyUntilMs: number
  readonly ratchet: RatchetState
  readonly kem: KemState
}

const version = 1
const pendingKinds = ['none', 'offered', 'answered'] as const
const pendingBytes = { none: 0, offered: kemSeedBytes, answered: kemCiphertextBytes } as const

export function encodeState(state: SessionState): Uint8Array {
  const out = new Writer(1024)
  out.u8(version)
  out.u8(state.role === 'initiator' ? 0 : 1)
  for (const bytes of [state.id, state.contactKey, state.selfDevice, state.peerDevice]) out.raw(bytes)
  out.u64(state.createdAtMs)
  out.u64(state.receiveOnlyUntilMs)
  writeRatchet(out, state.ratchet)
  writeKem(out, state.kem)
  return out.finish()
}

/** Copies what it keeps. @throws `malformed`, `too-large` */
export function decodeState(bytes: Uint8Array): SessionState {
  if (bytes.length > limits.sessionBytesMax) throw new MyceliumError('too-large', { bytes: bytes.length })
  const from = new Reader(Buffer.from(bytes))
  if (from.u8() !== version) throw new MyceliumError('malformed', { at: 0 })
  const state: SessionState = {
    role: oneOf(from, ['initiator', 'responder'] as const),
    id: from.raw(32),
    contactKey: from.raw(keyBytes),
    selfDevice: from.raw(32),
    peerDevice: from.raw(32),
    createdAtMs: from.u64(),
    receiveOnlyUntilMs: from.u64(),
    ratchet: readRatchet(from),
    kem: readKem(from),
  }
  from.end()
  return state
}

function oneOf<T>(from: Reader, choices: readonly T[]): T {
  const choice = choices[from.u8()]
  if (choice === undefined) throw new MyceliumError('malformed', { at: from.position })
  return choice
}

function writeRatchet(out: Writer, state: RatchetState): void {
  out.raw(state.root)
  out.raw(state.self.publicKey)
  out.raw(state.self.secretKey)
  out.raw(state.send.headerKey)
  out.raw(state.send.chainKey)
  out.u32(state.send.next)
  out.u32(state.previous)
  out.raw(state.nextSendHeader)
  out.raw(state.nextReceiveHeader)
  out.u32(state.receiveNext)
  out.u64(state.sent)
  out.u64(state.receivedBefore)
  out.u8(state.receiving.length)
  if (state.receiveChainKey !== undefined) out.raw(state.receiveChainKey)
  for (const chain of state.receiving) writeChain(out, chain)
}

function readRatchet(from: Reader): RatchetState {
  const root = from.raw(keyBytes)
  const self = { publicKey: from.raw(keyBytes), secretKey: from.raw(keyBytes) }
  const send = { headerKey: from.raw(keyBytes), chainKey: from.raw(keyBytes), next: from.u32() }
  const state: RatchetState = {
    root,
    self,
    send,
    previous: from.u32(),
    nextSendHeader: from.raw(keyBytes),
    nextReceiveHeader: from.raw(keyBytes),
    receiveNext: from.u32(),
    sent: from.u64(),
    receivedBefore: from.u64(),
    receiveChainKey: undefined,
    receiving: [],
  }
  const chains = from.u8()
  if (chains > limits.receivingChainsMax) throw new MyceliumError('too-large', { chains })
  if (chains > 0) state.receiveChainKey = from.raw(keyBytes)
  for (let index = 0; index < chains; index += 1) state.receiving.push(readChain(from))
  return state
}

function writeChain(out: Writer, chain: ReceivingChain): void {
  out.raw(chain.headerKey)
  out.u16(chain.skipped.size)
  for (const [number, entry] of chain.skipped) {
    out.u32(number)
    out.u64(entry.skippedAtMs)
    out.u32(entry.epochMin)
    out.raw(entry.secret)
  }
}

function readChain(from: Reader): ReceivingChain {
  const headerKey = from.raw(keyBytes)
  const count = from.u16()
  if (count > limits.skippedKeysMax) throw new MyceliumError('too-large', { count })
  const skipped = new Map<number, SkippedSecret>()
  for (let index = 0; index < count; index += 1) {
    skipped.set(from.u32(), { skippedAtMs: from.u64(), epochMin: from.u32(), secret: from.raw(keyBytes) })
  }
  return { headerKey, skipped }
}

function writeKem(out: Writer, state: KemState): void {
  out.u32(state.latest)
  out.u32(state.sendEpoch)
  out.u32(state.receiveEpoch)
  out.u8(state.keys.size)
  for (const [epoch, key] of state.keys) {
    out.u32(epoch)
    out.raw(key)
  }
  out.u8(pendingKinds.indexOf(state.pending.kind))
  if (state.pending.kind !== 'none') {
    out.u32(state.pending.epoch)
    out.raw(state.pending.secret)
  }
  out.u64(state.pendingSentAtMs)
  out.u32(state.payloadsSinceSent)
  out.u32(state.payloads)
  out.u64(state.epochSinceMs)
  out.u8(state.owesFrame ? 1 : 0)
}

function readKem(from: Reader): KemState {
  const [latest, sendEpoch, receiveEpoch] = [from.u32(), from.u32(), from.u32()]
  const keys = new Map<number, Uint8Array>()
  const count = from.u8()
  for (let index = 0; index < count; index += 1) keys.set(from.u32(), from.raw(keyBytes))
  if (!keys.has(latest) || !keys.has(sendEpoch)) throw new MyceliumError('malformed', { at: from.position })
  const kind = oneOf(from, pendingKinds)
  const pending: Pending =
    kind === 'none' ? { kind } : { kind, epoch: from.u32(), secret: from.raw(pendingBytes[kind]) }
  return {
    latest,
    sendEpoch,
    receiveEpoch,
    keys,
    pending,
    pendingSentAtMs: from.u64(),
    payloadsSinceSent: from.u32(),
    payloads: from.u32(),
    epochSinceMs: from.u64(),
    owesFrame: oneOf(from, [false, true]),
  }
}

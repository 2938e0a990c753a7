/**
 * ◆ The double ratchet with header encryption. `sealBody` advances the sending chain; `openFrame` works out what a frame
 * would change and changes the state only once its body is authenticated. Format: docs/protocol/ratchet.md.
 */
import type { Random } from '../ambient.ts'
import { wipe } from '../bytes.ts'
import { openInto, sealInto } from '../crypto/aead.ts'
import { dh, type DhKeyPair, dhKeyPair } from '../crypto/dh.ts'
import type { ErrorCode } from '../errors.ts'
import { limits } from '../limits.ts'
import {
  type BodyKind,
  bodyAt,
  type FrameClass,
  headerPlainBytes,
  isFrameLength,
  nonceBytes,
  packBody,
  saltBytes,
  tagBytes,
  unpackBody,
} from './frame.ts'
import { bodyKey, bodyNonce, chainStep, keyBytes, messageKey, rootStep, wipeBodyKey } from './key-schedule.ts'
import { isFresh, prune, type ReceivingChain, useUp } from './skipped-keys.ts'

export interface SendingChain {
  readonly headerKey: Uint8Array
  readonly chainKey: Uint8Array
  /** Number of the next frame in this chain. */
  next: number
}

export interface RatchetState {
  root: Uint8Array
  self: DhKeyPair
  send: SendingChain
  /** Length of the sending chain before this one. */
  previous: number
  /** Header key of our next sending chain, and of the peer's. */
  nextSendHeader: Uint8Array
  nextReceiveHeader: Uint8Array
  /** Chain key of `receiving[0]`; absent until the first frame of the responder. */
  receiveChainKey: Uint8Array | undefined
  /** Number expected next in `receiving[0]`. */
  receiveNext: number
  /** The chain in use, then older ones whose late frames still open. */
  receiving: ReceivingChain[]
  /** Frames sealed in all chains. */
  sent: number
  /** Frames of the peer's chains before `receiving[0]`. */
  receivedBefore: number
}

const saltAt = 44

// working memory of the synchronous steps below; nothing in it outlives a call
const header = Buffer.alloc(headerPlainBytes)
const chainKeyNow = Buffer.alloc(keyBytes)
const secretNow = Buffer.alloc(keyBytes)

/** Writes a frame of `classBytes` at `at` of `out`. The sending state advances: store it before the frame leaves. */
export function sealBody(
  state: RatchetState,
  epoch: number,
  epochKey: Uint8Array,
  kind: BodyKind,
  payload: Uint8Array,
  random: Random,
  out: Uint8Array,
  at: number,
  classBytes: FrameClass,
): void {
  const { send } = state
  const fresh = random.bytes(nonceBytes + saltBytes)
  const nonce = out.subarray(at, at + nonceBytes)
  nonce.set(fresh.subarray(0, nonceBytes))
  header.set(state.self.publicKey)
  header.writeUInt32BE(send.next, 32)
  header.writeUInt32BE(state.previous, 36)
  header.writeUInt32BE(epoch, 40)
  header[saltAt] = fresh[12]!
  header[saltAt + 1] = fresh[13]!
  header[saltAt + 2] = fresh[14]!
  header[saltAt + 3] = fresh[15]!
  sealInto(out.subarray(at + nonceBytes, at + bodyAt), send.headerKey, nonce, header)
  chainStep(send.chainKey, secretNow)
  messageKey(secretNow, epochKey, nonce, header, saltAt)
  const end = at + classBytes
  const body = out.subarray(at + bodyAt, end - tagBytes)
  packBody(body, kind, payload)
  sealInto(out.subarray(at + bodyAt, end), bodyKey, bodyNonce, body, out.subarray(at, at + bodyAt))
  send.next += 1
  state.sent += 1
  wipeWorking()
}

/** What an authenticated frame holds; `commit` applies it to the state, and is called at most once. */
export interface Opened {
  readonly kind: BodyKind
  readonly payload: Uint8Array
  readonly epoch: number
  readonly commit: (nowMs: number) => void
}
export interface Refused {
  readonly kind: 'refused'
  readonly code: ErrorCode
}
const refused = (code: ErrorCode): Refused => ({ kind: 'refused', code })

export interface OpenContext {
  readonly epochKeys: ReadonlyMap<number, Uint8Array>
  /** The highest epoch seen in a frame of the peer so far. */
  readonly receiveEpoch: number
  readonly random: Random
  readonly nowMs: number
}

/** At most seven trial decryptions of the header, then one of the body. */
export function openFrame(state: RatchetState, frame: Uint8Array, context: OpenContext): Opened | Refused {
  if (!isFrameLength(frame.length)) return refused('malformed')
  try {
    const current = state.receiving[0]
    if (current !== undefined && opensHeader(current.headerKey, frame)) return openCurrent(state, frame, context)
    if (opensHeader(state.nextReceiveHeader, frame)) return openNext(state, frame, context)
    for (let index = 1; index < state.receiving.length; index += 1) {
      const chain = state.receiving[index]!
      if (opensHeader(chain.headerKey, frame)) return openSkipped(state, chain, frame, context)
    }
    return refused('decryption-failed')
  } finally {
    wipeWorking()
  }
}

function opensHeader(key: Uint8Array, frame: Uint8Array): boolean {
  return openInto(header, key, frame.subarray(0, nonceBytes), frame.subarray(nonceBytes, bodyAt))
}

/** A frame of the chain in use: the next one, one further ahead, or one that was skipped. */
function openCurrent(state: RatchetState, frame: Uint8Array, context: OpenContext): Opened | Refused {
  const chain = state.receiving[0]!
  const number = header.readUInt32BE(32)
  const jump = number - state.receiveNext
  if (jump < 0) return openSkipped(state, chain, frame, context)
  if (jump > limits.jumpMax) return refused('jump-too-far')
  chainKeyNow.set(state.receiveChainKey!)
  const skipped = skip(chainKeyNow, jump)
  chainStep(chainKeyNow, secretNow)
  const body = openBody(secretNow, frame, context)
  if (body === undefined) {
    wipe(skipped)
    return refused('decryption-failed')
  }
  const next = Buffer.from(chainKeyNow)
  return {
    ...body,
    commit(nowMs) {
      keep(chain, skipped, state.receiveNext, context)
      state.receiveChainKey!.set(next)
      wipe(next)
      state.receiveNext = number + 1
      if (state.receiving.length > 1 || chain.skipped.size > 0) prune(state.receiving, nowMs)
    },
  }
}

/** A frame whose message secret was set aside, in this chain or an older one. */
function openSkipped(
  state: RatchetState,
  chain: ReceivingChain,
  frame: Uint8Array,
  context: OpenContext,
): Opened | Refused {
  const number = header.readUInt32BE(32)
  const entry = chain.skipped.get(number)
  if (entry === undefined) return refused('replayed')
  if (!isFresh(entry, context.nowMs)) return refused('expired')
  const body = openBody(entry.secret, frame, context)
  if (body === undefined) return refused('decryption-failed')
  return {
    ...body,
    commit(nowMs) {
      useUp(chain, number)
      prune(state.receiving, nowMs)
    },
  }
}

/** The first frame to arrive of the peer's next chain: a DH step for both directions. */
function openNext(state: RatchetState, frame: Uint8Array, context: OpenContext): Opened | Refused {
  const peerKey = Buffer.from(header.subarray(0, keyBytes))
  const number = header.readUInt32BE(32)
  const previous = header.readUInt32BE(36)
  const current = state.receiving[0]
  const leftOver = previous - (current === undefined ? 0 : state.receiveNext)
  if (leftOver < 0) return refused('malformed')
  if (leftOver > limits.jumpMax || number > limits.jumpMax) return refused('jump-too-far')
  const shared = dh(state.self.secretKey, peerKey)
  if (shared === undefined) return refused('malformed')
  const received = rootStep(state.root, shared)
  wipe(shared)
  const skipped = skip(received.chain, number)
  chainStep(received.chain, secretNow)
  const body = openBody(secretNow, frame, context)
  if (body === undefined) {
    for (const bytes of [skipped, received.root, received.chain, received.nextHeader]) wipe(bytes)
    return refused('decryption-failed')
  }
  return {
    ...body,
    commit(nowMs) {
      if (current !== undefined) keep(current, skip(state.receiveChainKey!, leftOver), state.receiveNext, context)
      const chain: ReceivingChain = { headerKey: state.nextReceiveHeader, skipped: new Map() }
      keep(chain, skipped, 0, context)
      state.receiving.unshift(chain)
      state.receivedBefore += previous
      state.receiveChainKey?.fill(0)
      state.receiveChainKey = received.chain
      state.receiveNext = number + 1
      state.nextReceiveHeader = received.nextHeader
      beginSendingChain(state, received.root, peerKey, context.random)
      prune(state.receiving, nowMs)
    },
  }
}

/**
 * A new key pair and a new sending chain towards `peerKey`, whose point is known not to be of low order. Takes ownership
 * of `root`.
 */
export function beginSendingChain(state: RatchetState, root: Uint8Array, peerKey: Uint8Array, random: Random): void {
  const self = dhKeyPair(random.bytes(keyBytes))
  const shared = dh(self.secretKey, peerKey)!
  const step = rootStep(root, shared)
  for (const old of [shared, root, state.root, state.self.secretKey, state.send.headerKey, state.send.chainKey])
    wipe(old)
  state.previous = state.send.next
  state.root = step.root
  state.self = self
  state.send = { headerKey: state.nextSendHeader, chainKey: step.chain, next: 0 }
  state.nextSendHeader = step.nextHeader
}

/** Advances `chainKey` in place by `count` steps; the message secrets passed over, one after the other. */
function skip(chainKey: Uint8Array, count: number): Uint8Array {
  const secrets = Buffer.alloc(count * keyBytes)
  for (let at = 0; at < secrets.length; at += keyBytes) chainStep(chainKey, secrets.subarray(at, at + keyBytes))
  return secrets
}

function keep(chain: ReceivingChain, secrets: Uint8Array, from: number, context: OpenContext): void {
  const { nowMs: skippedAtMs, receiveEpoch: epochMin } = context
  for (let at = 0; at < secrets.length; at += keyBytes) {
    const secret = secrets.subarray(at, at + keyBytes)
    chain.skipped.set(from + at / keyBytes, { secret, skippedAtMs, epochMin })
  }
}

/** `undefined` unless the body is authentic. `header` holds the frame's header. */
function openBody(
  secret: Uint8Array,
  frame: Uint8Array,
  { epochKeys }: OpenContext,
): { kind: BodyKind; payload: Uint8Array; epoch: number } | undefined {
  const epoch = header.readUInt32BE(40)
  const epochKey = epochKeys.get(epoch)
  if (epochKey === undefined) return undefined
  messageKey(secret, epochKey, frame.subarray(0, nonceBytes), header, saltAt)
  const plain = Buffer.allocUnsafe(frame.length - bodyAt - tagBytes)
  if (!openInto(plain, bodyKey, bodyNonce, frame.subarray(bodyAt), frame.subarray(0, bodyAt))) return undefined
  const body = unpackBody(plain)
  return body === undefined ? undefined : { kind: body.kind, payload: body.payload, epoch }
}

function wipeWorking(): void {
  header.fill(0)
  chainKeyNow.fill(0)
  secretNow.fill(0)
  wipeBodyKey()
}

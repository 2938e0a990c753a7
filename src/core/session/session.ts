/**
 * One end of an encrypted conversation between two devices. Pure: it holds no store and does no I/O; whoever calls
 * `seal`, `open` or `maintenance` stores `encode()` in the same transaction, before a frame leaves or an
 * acknowledgement is given.
 */
import type { Random } from '../ambient.ts'
import { toHex } from '../bytes.ts'
import { type ErrorCode, MyceliumError } from '../errors.ts'
import type { DeviceId } from '../ids.ts'
import { limits } from '../limits.ts'
import { acceptedTags, channelTag, tagWeek } from './channel-tag.ts'
import { type BodyKind, type FrameClass, frameClassFor } from './frame.ts'
import { due, forgetEpochs, type KemStep, noteEpoch, readAnswer, readOffer, type Role } from './kem-ratchet.ts'
import { type Opened, openFrame, sealBody } from './ratchet.ts'
import { decodeState, encodeState, type SessionState } from './session-state.ts'
import { epochNeeded } from './skipped-keys.ts'

export interface Moment {
  readonly random: Random
  readonly nowMs: number
}
export interface SealOptions extends Moment {
  /** Chats: 512. */
  readonly classMin?: FrameClass
}

export type OpenResult =
  | { readonly kind: 'payload'; readonly payload: Uint8Array }
  /** A frame of the ratchet itself: nothing for the caller but to store the state. */
  | { readonly kind: 'control' }
  /** The state is as it was before. */
  | { readonly kind: 'refused'; readonly code: ErrorCode }

/** How far a device has sent and received, as the hello tells it. */
export interface Counters {
  readonly sent: number
  readonly received: number
}

const empty = new Uint8Array()
const noStep: KemStep = { run: () => {} }
const otherRole = (role: Role): Role => (role === 'initiator' ? 'responder' : 'initiator')

export class Session {
  readonly #state: SessionState

  /** Takes ownership of `state`: made by the handshake and by `decode`. */
  constructor(state: SessionState) {
    this.#state = state
  }

  /** @throws `malformed`, `too-large` */
  static decode(bytes: Uint8Array): Session {
    return new Session(decodeState(bytes))
  }
  encode(): Uint8Array {
    return encodeState(this.#state)
  }

  /** Transcript hash of the handshake, hex: equal on both sides, and of this handshake only. */
  get id(): string {
    return toHex(this.#state.id)
  }
  get selfDevice(): DeviceId {
    return toHex(this.#state.selfDevice) as DeviceId
  }
  get peerDevice(): DeviceId {
    return toHex(this.#state.peerDevice) as DeviceId
  }
  /** Whether this side sent the first flight. */
  get role(): Role {
    return this.#state.role
  }
  get createdAtMs(): number {
    return this.#state.createdAtMs
  }
  /** Frames sealed here in all. */
  get sent(): number {
    return this.#state.ratchet.sent
  }
  /** How far into the peer's frames this side has seen: one more than the highest position opened. */
  get received(): number {
    return this.#state.ratchet.receivedBefore + this.#state.ratchet.receiveNext
  }
  /** Whether the peer is known to hold this session: for the initiator, once a frame of the responder was opened. */
  get isConfirmed(): boolean {
    return this.#state.role === 'responder' || this.received > 0
  }
  get canSend(): boolean {
    return this.#state.receiveOnlyUntilMs === 0
  }
  get skippedKeys(): number {
    return this.#state.ratchet.receiving.reduce((sum, chain) => sum + chain.skipped.size, 0)
  }
  /** The newest ML-KEM epoch under which this side seals. */
  get kemEpoch(): number {
    return this.#state.kem.sendEpoch
  }

  /** From now on it only receives, for seven days: a newer session took its place. */
  retire(nowMs: number): void {
    if (this.canSend) this.#state.receiveOnlyUntilMs = Math.max(1, nowMs) + limits.receiveOnlyMs
  }
  /** Whether a retired session may be deleted. */
  hasEnded(nowMs: number): boolean {
    return !this.canSend && nowMs >= this.#state.receiveOnlyUntilMs
  }

  /** Tag in front of the frames that this side sends now, 8 bytes. */
  sendTag(nowMs: number): Uint8Array {
    return channelTag(this.#state.contactKey, this.#state.role, tagWeek(nowMs))
  }
  /** Tags that the peer's frames may carry now: of last week, this week and the next. */
  receiveTags(nowMs: number): readonly Uint8Array[] {
    return acceptedTags(this.#state.contactKey, otherRole(this.#state.role), nowMs)
  }
  /** Lends the key of tags and hellos. */
  withContactKey<T>(use: (key: Uint8Array) => T): T {
    return use(this.#state.contactKey)
  }

  /**
   * The next frame. Store the state before it leaves.
   * @throws `too-large` over 4,002 bytes; `session-unknown` when the session only receives
   */
  seal(payload: Uint8Array, options: SealOptions): Uint8Array {
    const frame = Buffer.allocUnsafe(frameClassFor(payload.length, options.classMin))
    this.sealInto(frame, 0, payload, options)
    return frame
  }

  /** As `seal`, into `out` from `at` on; how many bytes it wrote. */
  sealInto(out: Uint8Array, at: number, payload: Uint8Array, { classMin, random }: SealOptions): FrameClass {
    const classBytes = frameClassFor(payload.length, classMin)
    this.#seal(out, at, classBytes, 'payload', payload, random)
    this.#state.kem.payloads += 1
    this.#state.kem.payloadsSinceSent += 1
    return classBytes
  }

  #seal(
    out: Uint8Array,
    at: number,
    classBytes: FrameClass,
    kind: BodyKind,
    payload: Uint8Array,
    random: Random,
  ): void {
    if (!this.canSend) throw new MyceliumError('session-unknown', { reason: 'receives only' })
    const { ratchet, kem } = this.#state
    sealBody(ratchet, kem.sendEpoch, kem.keys.get(kem.sendEpoch)!, kind, payload, random, out, at, classBytes)
    kem.owesFrame = false
  }

  /** Opens a frame. Nothing changes unless it is authentic and new; store the state before acting on the payload. */
  open(frame: Uint8Array, { random, nowMs }: Moment): OpenResult {
    const { ratchet, kem } = this.#state
    if (this.hasEnded(nowMs)) return { kind: 'refused', code: 'session-unknown' }
    const opened = openFrame(ratchet, frame, { epochKeys: kem.keys, receiveEpoch: kem.receiveEpoch, random, nowMs })
    if (opened.kind === 'refused') return opened
    const step = this.#kemStep(opened, random)
    if (step === undefined) return { kind: 'refused', code: 'malformed' }
    opened.commit(nowMs)
    noteEpoch(kem, opened.epoch, nowMs)
    step.run(kem, nowMs)
    if (kem.keys.size > 1) forgetEpochs(kem, epochNeeded(ratchet.receiving))
    if (opened.kind !== 'payload') return { kind: 'control' }
    kem.payloads += 1
    kem.payloadsSinceSent += 1
    return { kind: 'payload', payload: opened.payload }
  }

  #kemStep({ kind, payload }: Opened, random: Random): KemStep | undefined {
    const { kem, role } = this.#state
    if (kind === 'kemOffer') return readOffer(kem, otherRole(role), payload, random)
    if (kind === 'kemAnswer') return readAnswer(kem, role, payload)
    return noStep
  }

  /**
   * Frames that the ratchet itself has to send now: an offer or answer of the ML-KEM ratchet, or an empty frame that
   * confirms one. Call it after each batch, and on a new link; idle sessions give none. Store the state before they leave.
   */
  maintenance({ random, nowMs }: Moment): Uint8Array[] {
    if (!this.canSend) return []
    const { kem, role } = this.#state
    const frames: Uint8Array[] = []
    const step = due(kem, role, random, nowMs)
    if (step !== undefined) frames.push(this.#control(step.kind, step.body, random))
    if (kem.owesFrame) frames.push(this.#control('confirm', empty, random))
    return frames
  }

  #control(kind: BodyKind, body: Uint8Array, random: Random): Uint8Array {
    const frame = Buffer.allocUnsafe(frameClassFor(body.length))
    this.#seal(frame, 0, frame.length as FrameClass, kind, body, random)
    return frame
  }
}

/**
 * ◆ The hello: what two gateways say for a session on each new link before any frame. The initiator of the link proves
 * first that it holds the session, and the responder says nothing until that proof holds. Each side's counters come
 * under a key that both sides' fresh randomness went into, so that an old hello proves nothing. The three messages:
 *
 *     open     initiator → responder   proof only
 *     answer   responder → initiator   counters of the responder
 *     confirm  initiator → responder   counters of the initiator
 *
 * Each is 64 bytes: kind (1) | nonce of its sender (16) | sealed (31 + 16). Format: docs/protocol/frames.md.
 */
import type { Random } from '../ambient.ts'
import { fromUtf8 } from '../bytes.ts'
import { Reader, Writer } from '../codec.ts'
import { aeadNonceBytes, open, seal } from '../crypto/aead.ts'
import { blake2b, labelledHash } from '../crypto/kdf.ts'
import { type ErrorCode, MyceliumError } from '../errors.ts'
import type { GatewayId } from '../ids.ts'
import { helloBytes } from './items.ts'
import type { Counters, Session } from './session.ts'

const kinds = { open: 1, answer: 2, confirm: 3 } as const
type Kind = keyof typeof kinds
const nonceBytes = 16
const plainBytes = 31
const version = 1
const label = Buffer.from('mycelium/session/hello/1', 'ascii')
const gatewaysLabel = 'mycelium/session/hello-gateways/1'
const noNonce = new Uint8Array(nonceBytes)
const zeroNonce = new Uint8Array(aeadNonceBytes) // each key seals once

export type HelloStep =
  /** Send `bytes`, and wait for the next hello. */
  | { readonly kind: 'answer'; readonly bytes: Uint8Array }
  /** The exchange is over; send `bytes` when there are any. */
  | { readonly kind: 'done'; readonly bytes: Uint8Array | undefined; readonly remote: Counters }
  /** Say nothing. */
  | { readonly kind: 'refused'; readonly code: ErrorCode }

const refused: HelloStep = { kind: 'refused', code: 'peer-misbehaved' }

/** One session's hello on one link. */
export class HelloExchange {
  readonly #session: Session
  readonly #isInitiator: boolean
  /** Initiator's gateway first. */
  readonly #gateways: Uint8Array
  readonly #nonce: Uint8Array
  readonly #countersNow: () => Counters
  #peerNonce: Uint8Array | undefined
  #expects: Kind | undefined

  /** `isInitiator`: whether this gateway opened the link (not the session). */
  constructor(
    session: Session,
    {
      self,
      peer,
      isInitiator,
      random,
      countersNow = () => session,
    }: {
      readonly self: GatewayId
      readonly peer: GatewayId
      readonly isInitiator: boolean
      readonly random: Random
      /** How far the session is when a message is written: it may have moved on since the exchange began. */
      readonly countersNow?: () => Counters
    },
  ) {
    this.#session = session
    this.#isInitiator = isInitiator
    const [first, second] = isInitiator ? [self, peer] : [peer, self]
    this.#gateways = labelledHash(gatewaysLabel, fromUtf8(first), fromUtf8(second))
    this.#nonce = random.bytes(nonceBytes)
    this.#countersNow = countersNow
    this.#expects = isInitiator ? undefined : 'open'
  }

  /** The initiator's first hello. */
  start(): Uint8Array {
    if (!this.#isInitiator) throw new MyceliumError('peer-misbehaved', { reason: 'the other side begins' })
    this.#expects = 'answer'
    return this.#write('open', { sent: 0, received: 0 })
  }

  /** Reads the peer's hello. A refusal changes nothing: the exchange still waits for the right one. */
  read(body: Uint8Array): HelloStep {
    const kind = this.#expects
    if (kind === undefined || body.length !== helloBytes || body[0] !== kinds[kind]) return refused
    const nonce = Buffer.from(body.subarray(1, 1 + nonceBytes))
    if (kind === 'confirm' && !nonce.equals(this.#peerNonce!)) return refused
    const remote = this.#open(kind, nonce, body.subarray(1 + nonceBytes))
    if (remote === undefined) return refused
    this.#peerNonce = nonce
    if (kind === 'open') {
      this.#expects = 'confirm'
      return { kind: 'answer', bytes: this.#write('answer', this.#countersNow()) }
    }
    this.#expects = undefined
    const bytes = kind === 'answer' ? this.#write('confirm', this.#countersNow()) : undefined
    return { kind: 'done', bytes, remote }
  }

  #write(kind: Kind, { sent, received }: Counters): Uint8Array {
    const plain = new Writer(plainBytes)
    plain.u16(version)
    plain.u64(sent)
    plain.u64(received)
    plain.raw(new Uint8Array(plainBytes - 18))
    const prefix = Buffer.concat([Uint8Array.of(kinds[kind]), this.#nonce])
    return Buffer.concat([prefix, seal(this.#key(kind, undefined), zeroNonce, plain.finish(), prefix)])
  }

  #open(kind: Kind, nonce: Uint8Array, sealed: Uint8Array): Counters | undefined {
    const prefix = Buffer.concat([Uint8Array.of(kinds[kind]), nonce])
    const plain = open(this.#key(kind, nonce), zeroNonce, sealed, prefix)
    if (plain === undefined) return undefined
    const from = new Reader(plain)
    return from.u16() < version ? undefined : { sent: from.u64(), received: from.u64() }
  }

  /** Fresh for each message: kind, both gateways, the initiator's nonce and (from the answer on) the responder's. */
  #key(kind: Kind, theirs: Uint8Array | undefined): Uint8Array {
    const other = theirs ?? this.#peerNonce ?? noNonce
    const [initiator, responder] = this.#isInitiator ? [this.#nonce, other] : [other, this.#nonce]
    const parts = [label, Uint8Array.of(kinds[kind]), this.#gateways, initiator, kind === 'open' ? noNonce : responder]
    return this.#session.withContactKey((key) => blake2b(32, Buffer.concat(parts), key))
  }
}

/**
 * Whether one of the two homes went back to an older state: the peer has seen more of our frames than we have sent, or
 * has sent fewer than we have seen. `remote` must come from a finished exchange.
 */
export function detectRollback(local: Counters, remote: Counters): 'ok' | 'self-rolled-back' | 'peer-rolled-back' {
  if (remote.received > local.sent) return 'self-rolled-back'
  return remote.sent < local.received ? 'peer-rolled-back' : 'ok'
}

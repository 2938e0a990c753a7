/** ◆ What a relay is asked and answers (docs/protocol/relay.md §2). */
import {
  array,
  bytes,
  type Codec,
  decode,
  encode,
  fixed,
  literal,
  record,
  text,
  u32,
  u64,
  u8,
  union,
} from '../../core/codec.ts'
import { fromUtf8 } from '../../core/bytes.ts'
import { labelledHash } from '../../core/crypto/kdf.ts'
import { signatureBytes, type SigningKey, signRaw, verifyRaw } from '../../core/crypto/sign.ts'
import type { GatewayAddress } from '../../core/delivery/ports.ts'
import { MyceliumError } from '../../core/errors.ts'
import type { GatewayId } from '../../core/ids.ts'
import { limits } from '../../core/limits.ts'

/** Asks a relay. @throws `unreachable`, `peer-misbehaved` */
export type AskRelay = (
  to: GatewayAddress,
  request: Uint8Array,
  options: { readonly signal: AbortSignal },
) => Promise<Uint8Array>

export const keyBytes = 32
export const receiveIdBytes = 16
export const capabilityBytes = 16
const gatewayOctetsMax = 80

/** Why the relay should hold something for this owner. */
export type OpenProof =
  | { readonly kind: 'known' }
  | { readonly kind: 'capability'; readonly capability: Uint8Array }
  | { readonly kind: 'work'; readonly nonce: number }

interface Signed {
  /** Ed25519, 32 bytes. */
  readonly owner: Uint8Array
  readonly atMs: number
  readonly signature: Uint8Array
}
export interface OpenRequest extends Signed {
  readonly kind: 'open'
  readonly proof: OpenProof
}
export interface QueuesRequest extends Signed {
  readonly kind: 'queues'
  /** Send ids, 32 bytes each. */
  readonly create: readonly Uint8Array[]
  /** Receive ids, 16 bytes each. */
  readonly remove: readonly Uint8Array[]
}
export interface CloseRequest extends Signed {
  readonly kind: 'close'
}
export interface ForwardRequest {
  readonly kind: 'forward'
  readonly gateway: string
  readonly locators: readonly string[]
  readonly sealed: Uint8Array
}
export type SignedRequest = OpenRequest | QueuesRequest | CloseRequest
export type RelayRequest =
  | SignedRequest
  | ForwardRequest
  | { readonly kind: 'describe' }
  | { readonly kind: 'deposit'; readonly sealed: Uint8Array }

const proofCodec = union<OpenProof>({
  known: { tag: 0, codec: record({ kind: literal('known') }) },
  capability: { tag: 1, codec: record({ kind: literal('capability'), capability: fixed(capabilityBytes) }) },
  work: { tag: 2, codec: record({ kind: literal('work'), nonce: u64 }) },
})
const sealedDeposit = bytes(limits.relayRequestBytesMax)

const requestCodec = union<RelayRequest>({
  describe: { tag: 0, codec: record({ kind: literal('describe') }) },
  open: {
    tag: 1,
    codec: record({
      kind: literal('open'),
      owner: fixed(keyBytes),
      atMs: u64,
      proof: proofCodec,
      signature: fixed(signatureBytes),
    }),
  },
  queues: {
    tag: 2,
    codec: record({
      kind: literal('queues'),
      owner: fixed(keyBytes),
      atMs: u64,
      create: array(fixed(keyBytes), limits.relayQueueChangesMax),
      remove: array(fixed(receiveIdBytes), limits.relayQueueChangesMax),
      signature: fixed(signatureBytes),
    }),
  },
  deposit: { tag: 3, codec: record({ kind: literal('deposit'), sealed: sealedDeposit }) },
  forward: {
    tag: 4,
    codec: record({
      kind: literal('forward'),
      gateway: text(gatewayOctetsMax),
      locators: array(text(limits.locatorOctetsMax), limits.locatorsMax),
      sealed: sealedDeposit,
    }),
  },
  close: {
    tag: 5,
    codec: record({ kind: literal('close'), owner: fixed(keyBytes), atMs: u64, signature: fixed(signatureBytes) }),
  },
})
export const encodeRelayRequest = (request: RelayRequest): Uint8Array => encode(requestCodec, request)
/** Byte fields are views into `encoded`. @throws `malformed`, `too-large` */
export const decodeRelayRequest = (encoded: Uint8Array): RelayRequest => decode(requestCodec, encoded)

type Unsigned<T> = T extends SignedRequest ? Omit<T, 'owner' | 'signature'> : never
const labels: Readonly<Record<SignedRequest['kind'], string>> = {
  open: 'mycelium/relay/open/1',
  queues: 'mycelium/relay/queues/1',
  close: 'mycelium/relay/close/1',
}
const nothingSigned = new Uint8Array(signatureBytes)

const signedHash = (kind: SignedRequest['kind'], relay: GatewayId, encoded: Uint8Array): Uint8Array =>
  labelledHash(labels[kind], fromUtf8(relay), encoded.subarray(0, encoded.length - signatureBytes))

/** The encoded request, signed for one relay. */
export function signRelayRequest(request: Unsigned<SignedRequest>, owner: SigningKey, relay: GatewayId): Uint8Array {
  const encoded = encodeRelayRequest({ ...request, owner: owner.publicKey, signature: nothingSigned })
  encoded.set(signRaw(owner, signedHash(request.kind, relay, encoded)), encoded.length - signatureBytes)
  return encoded
}

export const isSignedFor = (relay: GatewayId, request: SignedRequest, encoded: Uint8Array): boolean =>
  verifyRaw(request.owner, signedHash(request.kind, relay, encoded), request.signature)

/** In the order of their numbers. */
export const refusals = [
  'not-offered',
  'proof',
  'signature',
  'full',
  'throttled',
  'unknown-owner',
  'unreachable',
] as const
export type Refusal = (typeof refusals)[number]

/** One of a list by its number. @throws `malformed` */
export const oneOf = <const T extends string>(names: readonly T[]): Codec<T> => ({
  write: (out, value) => out.u8(names.indexOf(value)),
  read: (from) => {
    const found = names[from.u8()]
    if (found === undefined) throw new MyceliumError('malformed', { at: from.position })
    return found
  },
})
export const refusalCodec = oneOf(refusals)

export interface Offer {
  readonly kind: 'offer'
  readonly sealKey: Uint8Array
  readonly workBits: number
  /** 1 when `known` would do for who asks. */
  readonly known: number
  readonly bytesMax: number
  readonly queuesMax: number
  readonly holdMsMax: number
}
export interface Done {
  readonly kind: 'done'
  readonly bytes: number
  readonly bytesMax: number
  readonly queues: number
}
export type RelayAnswer =
  | Offer
  | Done
  | { readonly kind: 'deposited'; readonly outcome: Uint8Array }
  | { readonly kind: 'refused'; readonly reason: Refusal }

const outcomeBytesMax = 64

const answerCodec = union<RelayAnswer>({
  offer: {
    tag: 0,
    codec: record({
      kind: literal('offer'),
      sealKey: fixed(keyBytes),
      workBits: u8,
      known: u8,
      bytesMax: u64,
      queuesMax: u32,
      holdMsMax: u64,
    }),
  },
  done: { tag: 1, codec: record({ kind: literal('done'), bytes: u64, bytesMax: u64, queues: u32 }) },
  deposited: { tag: 2, codec: record({ kind: literal('deposited'), outcome: bytes(outcomeBytesMax) }) },
  refused: { tag: 3, codec: record({ kind: literal('refused'), reason: refusalCodec }) },
})
export const encodeRelayAnswer = (answer: RelayAnswer): Uint8Array => encode(answerCodec, answer)
/** @throws `malformed`, `too-large` */
export const decodeRelayAnswer = (encoded: Uint8Array): RelayAnswer => decode(answerCodec, encoded)

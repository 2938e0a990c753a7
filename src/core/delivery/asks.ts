/** ◆ The questions by which two gateways come to a session: for a bundle, and with a first flight. docs/protocol/delivery.md */
import {
  bytes,
  type Codec,
  decode,
  encode,
  fixed,
  hexId,
  literal,
  optional,
  record,
  u32,
  u64,
  u8,
  union,
} from '../codec.ts'
import type { DeviceId, Identity } from '../ids.ts'
import { limits } from '../limits.ts'

const capabilityBytes = 16
const resetStatementBytes = 184

/** Why the asker may have the bundle: it holds an invitation, or a device of a contact signs. */
export type BundleProof =
  | { readonly kind: 'capability'; readonly capability: Uint8Array }
  | {
      readonly kind: 'contact'
      readonly identity: Identity
      readonly device: DeviceId
      readonly atMs: number
      readonly signature: Uint8Array
    }

export interface BundleAsk {
  /** Whose bundle. */
  readonly identity: Identity
  readonly proof: BundleProof
}

const bundleAskCodec = record<BundleAsk>({
  identity: hexId<Identity>(32),
  proof: union<BundleProof>({
    capability: { tag: 0, codec: record({ kind: literal('capability'), capability: fixed(capabilityBytes) }) },
    contact: {
      tag: 1,
      codec: record({
        kind: literal('contact'),
        identity: hexId<Identity>(32),
        device: hexId<DeviceId>(32),
        atMs: u64,
        signature: fixed(64),
      }),
    },
  }),
})
export const encodeBundleAsk = (ask: BundleAsk): Uint8Array => encode(bundleAskCodec, ask)
export const decodeBundleAsk = (encoded: Uint8Array): BundleAsk => decode(bundleAskCodec, encoded)

/** Label and content of the signature in a contact's proof: names both sides and the gateway that is asked. */
export const bundleAskLabel = 'mycelium/bundle-ask/1'
interface Signed {
  readonly asker: Identity
  readonly asked: Identity
  readonly atMs: number
}
const signedCodec: Codec<Signed> = record<Signed>({ asker: hexId<Identity>(32), asked: hexId<Identity>(32), atMs: u64 })
export const bundleAskContent = (signed: Signed): Uint8Array => encode(signedCodec, signed)

/** Work that a stranger shows: see `workLabel`. */
export interface FlightWork {
  /** As it was demanded, 16 bytes. */
  readonly salt: Uint8Array
  readonly nonce: number
}

export interface HandshakeAsk {
  /** The device whose prekey the flight uses. */
  readonly device: DeviceId
  readonly flight: Uint8Array
  /** After an answer that demanded it; nothing follows the flight otherwise. */
  readonly work: FlightWork | undefined
}

const workCodec: Codec<FlightWork> = record<FlightWork>({ salt: fixed(16), nonce: u64 })
const handshakeAskCodec = record<HandshakeAsk>({
  device: hexId<DeviceId>(32),
  flight: bytes(limits.handshakeFlightBytesMax),
  work: {
    write: (out, value) => {
      if (value !== undefined) workCodec.write(out, value)
    },
    read: (from) => (from.remaining === 0 ? undefined : workCodec.read(from)),
  },
})
export const encodeHandshakeAsk = (ask: HandshakeAsk): Uint8Array => encode(handshakeAskCodec, ask)
export const decodeHandshakeAsk = (encoded: Uint8Array): HandshakeAsk => decode(handshakeAskCodec, encoded)

/** Over salt (16), the flight's cache key (32) and nonce (u64): the hash begins with as many zero bits as demanded. */
export const workLabel = 'mycelium/handshake-work/1'

/** An answer in place of the first frame, and shorter than any: the same flight again, with this work. */
export interface WorkDemand {
  readonly salt: Uint8Array
  readonly bits: number
}
const workDemandBytes = 17
const workDemandCodec = record<WorkDemand>({ salt: fixed(16), bits: u8 })
export const encodeWorkDemand = (demand: WorkDemand): Uint8Array => encode(workDemandCodec, demand)
export const readWorkDemand = (answer: Uint8Array): WorkDemand | undefined =>
  answer.length === workDemandBytes ? decode(workDemandCodec, answer) : undefined

/** What the handshake carries under its first-stage key. */
export interface Greeting {
  /** One-time, from the invitation that the responder made. */
  readonly capability: Uint8Array | undefined
  /** Signed by the initiator's device when an earlier session is given up. */
  readonly reset: Uint8Array | undefined
  /** Log, device records and names of the initiator (docs/protocol/identity.md). */
  readonly introduction: Uint8Array
}
const greetingCodec = record<Greeting>({
  capability: optional(fixed(capabilityBytes)),
  reset: optional(fixed(resetStatementBytes)),
  introduction: bytes(limits.introductionBytesMax),
})
export const encodeGreeting = (greeting: Greeting): Uint8Array => encode(greetingCodec, greeting)
export const decodeGreeting = (encoded: Uint8Array): Greeting => decode(greetingCodec, encoded)

/** What is kept of a flight that was taken, so that a copy of it is known: forgotten with the prekey that opens it. */
interface SeenFlight {
  readonly account: Identity
  readonly prekeyId: number
}
const seenCodec = record<SeenFlight>({ account: hexId<Identity>(32), prekeyId: u32 })
export const encodeSeen = (seen: SeenFlight): Uint8Array => encode(seenCodec, seen)
/** @throws `malformed` */
export const decodeSeen = (encoded: Uint8Array): SeenFlight => decode(seenCodec, encoded)

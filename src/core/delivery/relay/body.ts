/**
 * ◆ What lies in an entry at a relay, as only the sender's and the recipient's devices see it: sealed under the queue's own
 * key, so that copies at several relays have nothing in common, and padded to one of a few sizes. docs/protocol/relay.md §5
 */
import type { Random } from '../../ambient.ts'
import { bytes, type Codec, decode, encode, fixed, hexId, literal, record, u32, u64, u8, union } from '../../codec.ts'
import { aeadTagBytes, openRandom, sealRandom, xaeadNonceBytes } from '../../crypto/aead.ts'
import { MyceliumError } from '../../errors.ts'
import { capabilityBytes } from '../../identity/invitation.ts'
import type { BlobRoot, DeviceId, Identity } from '../../ids.ts'
import { limits } from '../../limits.ts'
import { relayBodySizes } from '../relay-ports.ts'
import { type GivenQueue, givenQueuesCodec } from './queues.ts'

export const leavingIdBytes = 16

export type BodyContent =
  /** Items of a link (docs/protocol/frames.md): frames with their channel tags, no hellos. */
  | { readonly kind: 'frames'; readonly items: Uint8Array }
  /** One chunk of a blob, as the answer to an ask for it would be. */
  | { readonly kind: 'chunk'; readonly root: BlobRoot; readonly index: number; readonly answer: Uint8Array }
  /** From somebody who accepted an invitation while the inviter was away, in the invitation's own queue. */
  | {
      readonly kind: 'introduction'
      readonly identity: Identity
      readonly capability: Uint8Array
      readonly bundle: Uint8Array
      /** One of its devices, which signs `introductionContent`: everybody who met the identity has its bundle. */
      readonly device: DeviceId
      readonly signature: Uint8Array
      /** Where the inviter is to answer. */
      readonly queues: readonly GivenQueue[]
    }
  /** A first flight, to a contact who cannot be asked. */
  | { readonly kind: 'flight'; readonly request: Uint8Array; readonly queues: readonly GivenQueue[] }
  /** From the recipient to itself, to see whether the relay keeps what it takes. */
  | { readonly kind: 'probe' }

export interface Body {
  /** How many this sender has left in this queue, this one included: gaps are what a relay lost. */
  readonly number: number
  /** The same in all copies of one body. */
  readonly leavingId: Uint8Array
  /** When it was sealed, by the sender's clock, Unix milliseconds. */
  readonly leftAtMs: number
  readonly content: BodyContent
}

const signatureBytes = 64
export const introductionLabel = 'mycelium/relay/introduction/1'
const introductionCodec = record<Introduced>({
  inviter: hexId<Identity>(32),
  identity: hexId<Identity>(32),
  capability: fixed(capabilityBytes),
  queues: givenQueuesCodec,
})
interface Introduced {
  readonly inviter: Identity
  readonly identity: Identity
  readonly capability: Uint8Array
  readonly queues: readonly GivenQueue[]
}
/** What the signature of an introduction is over. */
export const introductionContent = (introduced: Introduced): Uint8Array => encode(introductionCodec, introduced)

const sizeMax = relayBodySizes.at(-1)!
const contentCodec: Codec<BodyContent> = union<BodyContent>({
  frames: { tag: 0, codec: record({ kind: literal('frames'), items: bytes(sizeMax) }) },
  chunk: {
    tag: 1,
    codec: record({ kind: literal('chunk'), root: hexId<BlobRoot>(32), index: u32, answer: bytes(sizeMax) }),
  },
  probe: { tag: 2, codec: record({ kind: literal('probe') }) },
  introduction: {
    tag: 3,
    codec: record({
      kind: literal('introduction'),
      identity: hexId<Identity>(32),
      capability: fixed(capabilityBytes),
      bundle: bytes(limits.bundleBytesMax),
      device: hexId<DeviceId>(32),
      signature: fixed(signatureBytes),
      queues: givenQueuesCodec,
    }),
  },
  flight: {
    tag: 4,
    codec: record({ kind: literal('flight'), request: bytes(limits.askRequestBytesMax), queues: givenQueuesCodec }),
  },
})
const bodyCodec = record<Body & { readonly version: number }>({
  version: u8,
  number: u64,
  leavingId: fixed(leavingIdBytes),
  leftAtMs: u64,
  content: contentCodec,
})
const version = 1
const overheadBytes = xaeadNonceBytes + aeadTagBytes + 4
const associated = Buffer.from('mycelium/relay/body/1', 'ascii')
/** Version, number, leaving id, time, kind and the length of the items. */
const framesHeadBytes = 1 + 8 + leavingIdBytes + 8 + 1 + 4

/** How many octets of items one entry takes, so that it stays in the class of 64 KB. */
export const itemsBytesMax = relayBodySizes[2] - overheadBytes - framesHeadBytes

/** @param key 32 bytes, of one queue @throws `too-large` */
export function sealBody(key: Uint8Array, body: Body, random: Random): Uint8Array {
  const encoded = encode(bodyCodec, { version, ...body })
  const size = relayBodySizes.find((one) => encoded.length + overheadBytes <= one)
  if (size === undefined) throw new MyceliumError('too-large', { bytes: encoded.length })
  const plain = new Uint8Array(size - xaeadNonceBytes - aeadTagBytes)
  new DataView(plain.buffer).setUint32(0, encoded.length)
  plain.set(encoded, 4)
  return sealRandom(key, random.bytes(xaeadNonceBytes), plain, associated)
}

/** `undefined` when it was not sealed under this key or makes no sense. */
export function openBody(key: Uint8Array, sealed: Uint8Array): Body | undefined {
  const plain = openRandom(key, sealed, associated)
  if (plain === undefined || plain.length < 4) return undefined
  const length = new DataView(plain.buffer, plain.byteOffset).getUint32(0)
  if (length > plain.length - 4) return undefined
  try {
    const { version: found, ...body } = decode(bodyCodec, plain.subarray(4, 4 + length))
    return found === version ? body : undefined
  } catch (error) {
    if (error instanceof MyceliumError) return undefined
    throw error
  }
}

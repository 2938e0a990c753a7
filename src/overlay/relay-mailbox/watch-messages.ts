/** ◆ What goes over the stream on which an owner takes what waits (docs/protocol/relay.md §3): length (4) | kind (1) | content. */
import { fromUtf8 } from '../../core/bytes.ts'
import { array, type Codec, decode, encode, fixed, literal, record, u64, u8, union } from '../../core/codec.ts'
import { labelledHash } from '../../core/crypto/kdf.ts'
import { signatureBytes, type SigningKey, signRaw, verifyRaw } from '../../core/crypto/sign.ts'
import { relayBodySizes } from '../../core/delivery/relay-ports.ts'
import { MyceliumError } from '../../core/errors.ts'
import type { GatewayId } from '../../core/ids.ts'
import { limits } from '../../core/limits.ts'
import type { PipeReader } from '../pipe-reader.ts'
import { keyBytes, receiveIdBytes, type Refusal, refusalCodec } from './messages.ts'

export interface Hello {
  readonly kind: 'hello'
  readonly owner: Uint8Array
  readonly atMs: number
  /** 1 to hear of what comes later, too. */
  readonly stay: number
  readonly signature: Uint8Array
}
export interface EntryMessage {
  readonly kind: 'entry'
  readonly number: number
  readonly receiveId: Uint8Array
  readonly heldSinceMs: number
  readonly body: Uint8Array
}
export type WatchMessage =
  | Hello
  | EntryMessage
  | { readonly kind: 'taken'; readonly numbers: readonly number[] }
  | { readonly kind: 'drained' }
  | { readonly kind: 'alive'; readonly filler: Uint8Array }
  | { readonly kind: 'refused'; readonly reason: Refusal }

const lengthBytes = 4
const entryHeadBytes = 8 + receiveIdBytes + 8
/** As long as the smallest entry: who looks on does not see whether something waited. */
const drainedBytes = entryHeadBytes + relayBodySizes[0]

const rest: Codec<Uint8Array> = { write: (out, value) => out.raw(value), read: (from) => from.raw(from.remaining) }
const zeros = (length: number): Codec<'drained'> => ({
  write: (out) => out.raw(new Uint8Array(length)),
  read: (from) => {
    if (from.raw(length).some((octet) => octet !== 0)) throw new MyceliumError('malformed', { at: from.position })
    return 'drained'
  },
})

const codec = union<WatchMessage>({
  hello: {
    tag: 0,
    codec: record({
      kind: literal('hello'),
      owner: fixed(keyBytes),
      atMs: u64,
      stay: u8,
      signature: fixed(signatureBytes),
    }),
  },
  entry: {
    tag: 1,
    codec: record({
      kind: literal('entry'),
      number: u64,
      receiveId: fixed(receiveIdBytes),
      heldSinceMs: u64,
      body: rest,
    }),
  },
  taken: {
    tag: 2,
    codec: record({ kind: literal('taken'), numbers: array(u64, limits.relayWatchTakenMax) }),
  },
  drained: { tag: 3, codec: record({ kind: zeros(drainedBytes) }) },
  alive: { tag: 4, codec: record({ kind: literal('alive'), filler: fixed(8) }) },
  refused: { tag: 5, codec: record({ kind: literal('refused'), reason: refusalCodec }) },
})

/** Octets after the length that a recipient's message, and a relay's, may have. */
export const watchRequestBytesMax = 1 + 4 + 8 * limits.relayWatchTakenMax
export const watchAnswerBytesMax = 1 + entryHeadBytes + relayBodySizes.at(-1)!

/** With its length in front. */
export function encodeWatchMessage(message: WatchMessage): Uint8Array {
  const content = encode(codec, message)
  const framed = Buffer.allocUnsafeSlow(lengthBytes + content.length)
  framed.writeUInt32BE(content.length)
  framed.set(content, lengthBytes)
  return framed
}
/** @param content without its length. @throws `malformed`, `too-large` */
export const decodeWatchMessage = (content: Uint8Array): WatchMessage => decode(codec, content)

/** @throws `peer-misbehaved` for what is no message, `unreachable` when the stream ends, the signal's reason */
export async function readWatchMessage(
  reader: PipeReader,
  octetsMax: number,
  signal: AbortSignal,
): Promise<WatchMessage> {
  const octets = lengthOf(await reader.exactly(lengthBytes, signal))
  if (octets > octetsMax) throw new MyceliumError('peer-misbehaved', { reason: 'watch: message too large', octets })
  const content = await reader.exactly(octets, signal)
  try {
    return decodeWatchMessage(content)
  } catch (error) {
    throw new MyceliumError('peer-misbehaved', { reason: 'watch: garbled message' }, { cause: error })
  }
}

/** Whether the next message has arrived whole. */
export function hasWatchMessage(reader: PipeReader): boolean {
  const head = reader.peek(lengthBytes)
  return head.length === lengthBytes && reader.held >= lengthBytes + lengthOf(head)
}

const lengthOf = (head: Uint8Array): number => Buffer.from(head.buffer, head.byteOffset, lengthBytes).readUInt32BE()

interface Ends {
  readonly relay: GatewayId
  readonly recipient: GatewayId
}
const helloHash = ({ relay, recipient }: Ends, framed: Uint8Array): Uint8Array => {
  const signed = framed.subarray(lengthBytes, framed.length - signatureBytes)
  return labelledHash('mycelium/relay/watch/1', fromUtf8(relay), fromUtf8(recipient), signed)
}

/** The framed first message. */
export function signHello(
  hello: { readonly atMs: number; readonly stay: boolean },
  owner: SigningKey,
  ends: Ends,
): Uint8Array {
  const framed = encodeWatchMessage({
    kind: 'hello',
    owner: owner.publicKey,
    atMs: hello.atMs,
    stay: hello.stay ? 1 : 0,
    signature: new Uint8Array(signatureBytes),
  })
  framed.set(signRaw(owner, helloHash(ends, framed)), framed.length - signatureBytes)
  return framed
}
export const isHelloSigned = (ends: Ends, hello: Hello): boolean =>
  verifyRaw(hello.owner, helloHash(ends, encodeWatchMessage(hello)), hello.signature)

/**
 * The octets of a link stream (docs/protocol/overlay.md §3): segments of kind (1) | length (3, big-endian) | content.
 * Data is the link's own byte stream; ping, pong and credit keep it alive and bounded; goodbye says why it ends.
 */
import { limits } from '../core/limits.ts'

export const segmentHeaderBytes = 4
export const segmentKinds = { data: 0, ping: 1, pong: 2, credit: 3, goodbye: 4 } as const
export const dataBytesMax = limits.linkSegmentBytesMax - segmentHeaderBytes
/** Content of every kind but data has one length. */
const contentBytes: Readonly<Record<number, number>> = {
  [segmentKinds.ping]: 8,
  [segmentKinds.pong]: 8,
  [segmentKinds.credit]: 8,
  [segmentKinds.goodbye]: 1,
}

export const goodbyes = { closed: 0, replaced: 1, stopping: 2, stalled: 3, misbehaved: 4 } as const
export type Goodbye = keyof typeof goodbyes
const goodbyeOf = (code: number): Goodbye =>
  (Object.keys(goodbyes) as Goodbye[]).find((name) => goodbyes[name] === code) ?? 'closed'

export function writeHeader(target: Uint8Array, at: number, kind: number, length: number): void {
  target[at] = kind
  target[at + 1] = length >>> 16
  target[at + 2] = (length >>> 8) & 0xff
  target[at + 3] = length & 0xff
}

export const pingSegment = (token: bigint): Uint8Array => numberSegment(segmentKinds.ping, token)
export const pongSegment = (token: bigint): Uint8Array => numberSegment(segmentKinds.pong, token)
/** @param octets how many data octets the peer may have sent in total since the link began */
export const creditSegment = (octets: number): Uint8Array => numberSegment(segmentKinds.credit, BigInt(octets))

export function goodbyeSegment(reason: Goodbye): Uint8Array {
  const segment = new Uint8Array(segmentHeaderBytes + 1)
  writeHeader(segment, 0, segmentKinds.goodbye, 1)
  segment[segmentHeaderBytes] = goodbyes[reason]
  return segment
}

function numberSegment(kind: number, value: bigint): Uint8Array {
  const segment = Buffer.alloc(segmentHeaderBytes + 8)
  writeHeader(segment, 0, kind, 8)
  segment.writeBigUInt64BE(value, segmentHeaderBytes)
  return segment
}

export interface SegmentHandler {
  /** A part of the stream's bytes, to be copied if it is kept. */
  data(part: Uint8Array): void
  ping(token: bigint): void
  pong(token: bigint): void
  credit(octets: number): void
  goodbye(reason: Goodbye): void
}

/** Takes a link stream apart however it was cut on the way. Holds at most 12 octets of its own. */
export class SegmentReader {
  readonly #handler: SegmentHandler
  readonly #held = Buffer.alloc(segmentHeaderBytes + 8)
  #heldBytes = 0
  #dataLeft = 0

  constructor(handler: SegmentHandler) {
    this.#handler = handler
  }

  /** False when the octets are no link stream: nothing after that can be understood. */
  feed(bytes: Uint8Array): boolean {
    let at = 0
    while (at < bytes.length) {
      if (this.#dataLeft > 0) {
        const part = bytes.subarray(at, at + this.#dataLeft)
        this.#dataLeft -= part.length
        at += part.length
        this.#handler.data(part)
        continue
      }
      const wanted = this.#wanted()
      if (wanted === undefined) return false
      const part = bytes.subarray(at, at + wanted - this.#heldBytes)
      this.#held.set(part, this.#heldBytes)
      this.#heldBytes += part.length
      at += part.length
      if (this.#heldBytes === wanted && !this.#complete()) return false
    }
    return true
  }

  /** Octets the segment at hand needs before it can be acted on; `undefined` for a kind or length that does not exist. */
  #wanted(): number | undefined {
    if (this.#heldBytes < segmentHeaderBytes) return segmentHeaderBytes
    const content = contentBytes[this.#held[0]!]
    return content === undefined ? undefined : segmentHeaderBytes + content
  }

  /** Acts on what is held once it is whole. */
  #complete(): boolean {
    const kind = this.#held[0]!
    const length = this.#held.readUIntBE(1, 3)
    if (this.#heldBytes === segmentHeaderBytes) {
      if (kind !== segmentKinds.data) return contentBytes[kind] === length
      this.#heldBytes = 0
      this.#dataLeft = length
      return length > 0 && length <= dataBytesMax
    }
    this.#heldBytes = 0
    return this.#act(kind)
  }

  #act(kind: number): boolean {
    if (kind === segmentKinds.goodbye) {
      this.#handler.goodbye(goodbyeOf(this.#held[segmentHeaderBytes]!))
      return true
    }
    const value = this.#held.readBigUInt64BE(segmentHeaderBytes)
    if (kind === segmentKinds.ping) this.#handler.ping(value)
    else if (kind === segmentKinds.pong) this.#handler.pong(value)
    else if (value > BigInt(Number.MAX_SAFE_INTEGER)) return false
    else this.#handler.credit(Number(value))
    return true
  }
}

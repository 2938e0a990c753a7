/**
 * What two neighbours say to each other about routes (docs/protocol/routing.md §2): frames of fixed length, one kind
 * each, one direction of speech for each stream.
 */
import {
  type Codec,
  decode,
  encode,
  fixed,
  hexId,
  literal,
  record,
  u16,
  u32,
  u64,
  u8,
  union,
  bool,
} from '../../core/codec.ts'
import { signatureBytes } from '../../core/crypto/sign.ts'
import { MyceliumError } from '../../core/errors.ts'
import type { GatewayId } from '../../core/ids.ts'
import { limits } from '../../core/limits.ts'
import { gatewayIdOfPublicKey, gatewayKeyOctets, publicKeyOf } from '../gateway-key.ts'
import type { RoutingMessage } from './babel.ts'

export type RoutingFrame =
  | RoutingMessage
  /** First on every stream, and again when it changes: whether the sender carries the reader's connections on. */
  | { readonly kind: 'hello'; readonly serves: boolean }
  | { readonly kind: 'ping'; readonly token: string }
  | { readonly kind: 'pong'; readonly token: string }

const gatewayKey: Codec<GatewayId> = {
  write: (out, gateway) => out.raw(publicKeyOf(gateway)),
  read: (from) => {
    const key = Uint8Array.from(from.raw(gatewayKeyOctets))
    try {
      return gatewayIdOfPublicKey(key)
    } catch (cause) {
      throw new MyceliumError('malformed', { at: from.position }, { cause })
    }
  },
}

function bounded(codec: Codec<number>, max: number): Codec<number> {
  return {
    write: (out, value) => codec.write(out, Math.min(max, Math.round(value))),
    read: (from) => {
      const value = codec.read(from)
      if (value > max) throw new MyceliumError('malformed', { at: from.position })
      return value
    },
  }
}

/** Whole seconds, at least one. */
const seconds: Codec<number> = {
  write: (out, ms) => out.u16(Math.max(1, Math.ceil(Math.min(ms, limits.routeInterestMs) / 1000))),
  read: (from) => u16.read(from) * 1000,
}

const token = hexId<string>(8)
const hops = bounded(u8, limits.pathHopsMax)

const frameCodec: Codec<RoutingFrame> = union<RoutingFrame>({
  hello: { tag: 0, codec: record({ kind: literal('hello'), serves: bool }) },
  ping: { tag: 1, codec: record({ kind: literal('ping'), token }) },
  pong: { tag: 2, codec: record({ kind: literal('pong'), token }) },
  request: {
    tag: 3,
    codec: record({
      kind: literal('request'),
      destination: gatewayKey,
      id: token,
      hopsLeft: hops,
      seqno: u64,
      forMs: seconds,
    }),
  },
  update: {
    tag: 4,
    codec: record({
      kind: literal('update'),
      destination: gatewayKey,
      seqno: u64,
      metric: bounded(u32, limits.routeMetricMax),
      hops,
      proof: fixed(signatureBytes),
    }),
  },
  retraction: { tag: 5, codec: record({ kind: literal('retraction'), destination: gatewayKey }) },
})

/** Octets of each kind, by its tag. */
const lengths: readonly number[] = [2, 9, 9, 1 + 32 + 8 + 1 + 8 + 2, 1 + 32 + 8 + 4 + 1 + signatureBytes, 33]

export const encodeFrame = (frame: RoutingFrame): Uint8Array => encode(frameCodec, frame)

/** Takes the stream apart. Holds less than one frame. */
export class FrameReader {
  #pending: Uint8Array = new Uint8Array()

  /** @throws `malformed` for what is no routing stream; nothing can be read after it */
  feed(bytes: Uint8Array): RoutingFrame[] {
    const frames: RoutingFrame[] = []
    let rest: Uint8Array = this.#pending.length === 0 ? bytes : Buffer.concat([this.#pending, bytes])
    while (rest.length > 0) {
      const length = lengths[rest[0]!]
      if (length === undefined) throw new MyceliumError('malformed', { tag: rest[0]! })
      if (rest.length < length) break
      frames.push(decode(frameCodec, Uint8Array.from(rest.subarray(0, length))))
      rest = rest.subarray(length)
    }
    this.#pending = Uint8Array.from(rest)
    return frames
  }
}

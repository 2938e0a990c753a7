/**
 * The ask `/mycelium/reach/1` (docs/protocol/overlay.md §6): where do you see me, can you connect to these ports of mine,
 * and where does your punch socket listen?
 */
import { type Codec, decode, encode, type Reader, type Writer } from '../../core/codec.ts'
import { MyceliumError } from '../../core/errors.ts'
import { limits } from '../../core/limits.ts'
import { type Endpoint, endpointCodec } from './endpoint.ts'

const version = 1
export const reachRequestBytesMax = 64
export const reachAnswerBytesMax = 128

export interface ReachRequest {
  /** TCP ports to connect to at the address that the asker is seen at. */
  readonly ports: readonly number[]
}

/** `untried`: asked too often, or an address that the answerer does not dial. */
export const reachResults = ['no', 'yes', 'untried'] as const
export type ReachResult = (typeof reachResults)[number]

export interface ReachAnswer {
  readonly seen: Endpoint
  /** UDP port of the answerer's punch socket of the same family, 0 for none. */
  readonly punchPort: number
  /** As many as ports were asked for. */
  readonly results: readonly ReachResult[]
}

function countIn(from: Reader): number {
  const count = from.u8()
  if (count > limits.reachPortsMax) throw new MyceliumError('too-large', { count })
  return count
}

const requestCodec: Codec<ReachRequest> = {
  write(out: Writer, { ports }) {
    out.u8(version)
    out.u8(ports.length)
    for (const port of ports) out.u16(port)
  },
  read(from) {
    if (from.u8() !== version) throw new MyceliumError('malformed', { reason: 'another version' })
    return { ports: Array.from({ length: countIn(from) }, () => from.u16()) }
  },
}

const answerCodec: Codec<ReachAnswer> = {
  write(out: Writer, { seen, punchPort, results }) {
    endpointCodec.write(out, seen)
    out.u16(punchPort)
    out.u8(results.length)
    for (const result of results) out.u8(reachResults.indexOf(result))
  },
  read(from) {
    const seen = endpointCodec.read(from)
    const punchPort = from.u16()
    const results = Array.from({ length: countIn(from) }, () => resultIn(from))
    return { seen, punchPort, results }
  },
}

function resultIn(from: Reader): ReachResult {
  const result = reachResults[from.u8()]
  if (result === undefined) throw new MyceliumError('malformed', { reason: 'no such result' })
  return result
}

export const encodeReachRequest = (request: ReachRequest): Uint8Array => encode(requestCodec, request)
/** @throws `malformed`, `too-large` */
export const decodeReachRequest = (bytes: Uint8Array): ReachRequest => decode(requestCodec, bytes)
export const encodeReachAnswer = (answer: ReachAnswer): Uint8Array => encode(answerCodec, answer)
/** @throws `malformed`, `too-large` */
export const decodeReachAnswer = (bytes: Uint8Array): ReachAnswer => decode(answerCodec, bytes)

/**
 * What opens a path (docs/protocol/routing.md §4): one request of fixed length towards the destination, one answer
 * back, then the raw bytes of whoever is at both ends. The request does not say who asked first.
 */
import type { GatewayId } from '../../core/ids.ts'
import { limits } from '../../core/limits.ts'
import { gatewayIdOfPublicKey, gatewayKeyOctets, publicKeyOf } from '../gateway-key.ts'

const version = 1
const pathIdBytes = 16
export const pathRequestBytes = 1 + 1 + pathIdBytes + gatewayKeyOctets
export const pathAnswerBytes = 2

export interface PathRequest {
  /** How many further gateways may stand between the one that reads this and the destination. */
  readonly hopsLeft: number
  /** Random, chosen by the opener, the same on the whole path: a gateway that meets it twice is in a loop. */
  readonly id: Uint8Array
  readonly destination: GatewayId
}

export const newPathId = (random: { bytes(count: number): Uint8Array }): Uint8Array => random.bytes(pathIdBytes)

export function encodePathRequest({ hopsLeft, id, destination }: PathRequest): Uint8Array {
  const bytes = Buffer.alloc(pathRequestBytes)
  bytes[0] = version
  bytes[1] = hopsLeft
  bytes.set(id, 2)
  bytes.set(publicKeyOf(destination), 2 + pathIdBytes)
  return bytes
}

/** `undefined` for another version or length, too many hops, and what is no gateway's key. */
export function decodePathRequest(bytes: Uint8Array): PathRequest | undefined {
  if (bytes.length !== pathRequestBytes || bytes[0] !== version || bytes[1]! >= limits.pathHopsMax) return undefined
  try {
    const destination = gatewayIdOfPublicKey(bytes.slice(2 + pathIdBytes))
    return { hopsLeft: bytes[1]!, id: bytes.slice(2, 2 + pathIdBytes), destination }
  } catch {
    return undefined
  }
}

export const pathVerdicts = ['accepted', 'no-route', 'busy', 'refused', 'loop'] as const
/** `no-route`: nobody here leads there, or whoever should did not answer; `refused`: not for you. */
export type PathVerdict = (typeof pathVerdicts)[number]

export interface PathAnswer {
  readonly verdict: PathVerdict
  /** Gateways between whoever reads this and the destination, once accepted. */
  readonly hops: number
}

export const encodePathAnswer = ({ verdict, hops }: PathAnswer): Uint8Array =>
  Uint8Array.of(pathVerdicts.indexOf(verdict), hops)

export function decodePathAnswer(bytes: Uint8Array): PathAnswer | undefined {
  const verdict = pathVerdicts[bytes[0] ?? pathVerdicts.length]
  const hops = bytes[1]
  if (bytes.length !== pathAnswerBytes || verdict === undefined || hops! > limits.pathHopsMax) return undefined
  return { verdict, hops: hops! }
}

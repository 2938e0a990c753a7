/**
 * What two gateways that know a common secret send each other to open their routers: a datagram of fixed length that
 * nobody else can make, and that means nothing when it is sent back or again.
 */
import { equalConstantTime } from '../../core/bytes.ts'
import { blake2b, labelledHash } from '../../core/crypto/kdf.ts'

const magic = 0x6d79_6370 // "mycp"
export const sessionBytes = 8
const tagBytes = 16
const probeBytes = 4 + 1 + 1 + sessionBytes + tagBytes

/** `probe`: can you hear me? `answer`: I heard a probe of yours, at the address this comes from. */
const probeKinds = ['probe', 'answer'] as const
type ProbeKind = (typeof probeKinds)[number]
/** Which side sent it: nothing that is reflected counts. */
const sides = ['opener', 'answerer'] as const
export type Side = (typeof sides)[number]

export interface Probe {
  readonly kind: ProbeKind
  readonly side: Side
  readonly session: Uint8Array
}

/** From what each side chose at random. */
export const probeKey = (opener: Uint8Array, answerer: Uint8Array): Uint8Array =>
  labelledHash('mycelium punch 1', opener, answerer)

export function encodeProbe({ kind, side, session }: Probe, key: Uint8Array): Uint8Array {
  const bytes = Buffer.alloc(probeBytes)
  bytes.writeUInt32BE(magic, 0)
  bytes[4] = probeKinds.indexOf(kind)
  bytes[5] = sides.indexOf(side)
  bytes.set(session, 6)
  bytes.set(tagOf(bytes, key), 6 + sessionBytes)
  return bytes
}

/** Whether a datagram may be a probe; its tag is not checked yet. */
export const isProbe = (bytes: Uint8Array): boolean =>
  bytes.length === probeBytes && Buffer.from(bytes.buffer, bytes.byteOffset, 4).readUInt32BE() === magic

export const sessionOf = (bytes: Uint8Array): Uint8Array => bytes.subarray(6, 6 + sessionBytes)

/** `undefined` unless the key made it. */
export function openProbe(bytes: Uint8Array, key: Uint8Array): Probe | undefined {
  const kind = probeKinds[bytes[4] ?? probeKinds.length]
  const side = sides[bytes[5] ?? sides.length]
  if (!isProbe(bytes) || kind === undefined || side === undefined) return undefined
  if (!equalConstantTime(tagOf(bytes, key), bytes.subarray(6 + sessionBytes))) return undefined
  return { kind, side, session: sessionOf(bytes) }
}

const tagOf = (bytes: Uint8Array, key: Uint8Array): Uint8Array =>
  blake2b(tagBytes, bytes.subarray(0, 6 + sessionBytes), key)

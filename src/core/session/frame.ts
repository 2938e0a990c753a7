/**
 * ◆ The frame: one fixed-size unit on the wire, `12 nonce | 64 encrypted header | body | 16 tag`. What a frame says of
 * itself is its class (its length); everything else is under a header key that only the two devices hold.
 *
 * The 16 fresh random bytes of each frame are its 12-byte nonce and 4 bytes inside the encrypted header; together they
 * are mixed into the key of its body, so that one chain position sealed twice (a restored copy of a home) never uses a
 * key twice. Format: docs/protocol/frames.md.
 */
import { MyceliumError } from '../errors.ts'

/** Length of a frame in bytes, smallest first. A class code is the index plus one. */
export const frameClasses = [128, 512, 2048, 4096] as const
export type FrameClass = (typeof frameClasses)[number]

export const nonceBytes = 12
export const saltBytes = 4
/** Plaintext of the header: 32 ratchet key | u32 number | u32 previous | u32 epoch | 4 salt. */
export const headerPlainBytes = 48
/** The header as it travels, with its tag. */
const headerBytes = 64
export const bodyAt = nonceBytes + headerBytes
export const tagBytes = 16
/** u16 before the payload: kind in the upper 4 bits, length of the payload in the lower 12. */
const bodyPrefixBytes = 2
/** Bytes of a frame that are not payload. */
const frameOverheadBytes = bodyAt + bodyPrefixBytes + tagBytes

/** What the body holds. Numbers are on the wire. */
export const bodyKinds = { payload: 0, confirm: 1, kemOffer: 2, kemAnswer: 3 } as const
export type BodyKind = keyof typeof bodyKinds
const kindOf: readonly BodyKind[] = ['payload', 'confirm', 'kemOffer', 'kemAnswer']

/** How many bytes of payload a frame of this class carries: 34, 418, 1954 or 4002. */
export const payloadBytesMax = (classBytes: FrameClass): number => classBytes - frameOverheadBytes

export const isFrameLength = (length: number): length is FrameClass =>
  length === 128 || length === 512 || length === 2048 || length === 4096

/**
 * The smallest class that holds `payloadBytes` and is at least `classMin`.
 * @throws `too-large` over 4002 bytes
 */
export function frameClassFor(payloadBytes: number, classMin: FrameClass = 128): FrameClass {
  for (const classBytes of frameClasses) {
    if (classBytes >= classMin && payloadBytes <= classBytes - frameOverheadBytes) return classBytes
  }
  throw new MyceliumError('too-large', { bytes: payloadBytes, bytesMax: payloadBytesMax(4096) })
}

/** Writes kind, length, payload and zero padding over `body` (the plaintext of a frame's body, without tag). */
export function packBody(body: Uint8Array, kind: BodyKind, payload: Uint8Array): void {
  body[0] = (bodyKinds[kind] << 4) | (payload.length >> 8)
  body[1] = payload.length & 0xff
  body.set(payload, bodyPrefixBytes)
  body.fill(0, bodyPrefixBytes + payload.length)
}

/** A view of the payload; `undefined` when kind or length cannot be. Padding is authenticated but not looked at. */
export function unpackBody(body: Uint8Array): { readonly kind: BodyKind; readonly payload: Uint8Array } | undefined {
  const first = body[0]!
  const kind = kindOf[first >> 4]
  const end = bodyPrefixBytes + (((first & 0xf) << 8) | body[1]!)
  return kind === undefined || end > body.length ? undefined : { kind, payload: body.subarray(bodyPrefixBytes, end) }
}

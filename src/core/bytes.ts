/** Helpers over Uint8Array: joining, comparing, text forms, wiping. */

const utf8Encoder = new TextEncoder()
const utf8Decoder = new TextDecoder('utf-8', { fatal: true })

export function concat(...parts: readonly Uint8Array[]): Uint8Array {
  let length = 0
  for (const part of parts) length += part.length
  const joined = new Uint8Array(length)
  let at = 0
  for (const part of parts) {
    joined.set(part, at)
    at += part.length
  }
  return joined
}

/** Equality in time that depends on the lengths only. */
export function equalConstantTime(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false
  let difference = 0
  for (let i = 0; i < a.length; i += 1) difference |= a[i]! ^ b[i]!
  return difference === 0
}

/** Lexicographic order, as the store orders keys: negative, zero or positive. */
export const compare = (a: Uint8Array, b: Uint8Array): number => Buffer.compare(a, b)

const asBuffer = (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)

export const toHex = (bytes: Uint8Array): string => asBuffer(bytes).toString('hex')
export const toBase64 = (bytes: Uint8Array): string => asBuffer(bytes).toString('base64')
export const toBase64Url = (bytes: Uint8Array): string => asBuffer(bytes).toString('base64url')
/** One character per octet: how protocol text with 8-bit content is handled without loss. */
export const toLatin1 = (bytes: Uint8Array): string => asBuffer(bytes).toString('latin1')
export const fromLatin1 = (text: string): Uint8Array => Buffer.from(text, 'latin1')
export const fromUtf8 = (text: string): Uint8Array => utf8Encoder.encode(text)

/** `undefined` when the bytes are not well-formed UTF-8. */
export function toUtf8(bytes: Uint8Array): string | undefined {
  try {
    return utf8Decoder.decode(bytes)
  } catch {
    return undefined
  }
}

/** Bytes of lower- or upper-case hex; `undefined` when the text is anything else. */
export function fromHex(text: string): Uint8Array | undefined {
  return text.length % 2 === 0 && /^[\da-f]*$/i.test(text) ? Buffer.from(text, 'hex') : undefined
}

/** Bytes of unpadded base64url; `undefined` when the text is not in canonical form. */
export function fromBase64Url(text: string): Uint8Array | undefined {
  const bytes = Buffer.from(text, 'base64url')
  return bytes.toString('base64url') === text ? bytes : undefined
}

/** Bytes of padded base64 (RFC 4648 §4); `undefined` when the text is not in canonical form. */
export function fromBase64(text: string): Uint8Array | undefined {
  const bytes = Buffer.from(text, 'base64')
  return bytes.toString('base64') === text ? bytes : undefined
}

/** Overwrites in place; the caller must own the bytes. */
export const wipe = (bytes: Uint8Array): void => void bytes.fill(0)

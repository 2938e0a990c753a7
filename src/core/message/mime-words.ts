/** Text inside mail: encoded words (RFC 2047), parameters with continuations and charsets (RFC 2231), transfer encodings. Linear, never throws. */
import { fromLatin1, toLatin1, toUtf8 } from '../bytes.ts'
import { limits } from '../limits.ts'
import { decoderOf } from './charsets.ts'

export const isKnownCharset = (charset: string): boolean => decoderOf(charset) !== undefined

/** Text in any charset that is known; unknown ones as UTF-8 where well-formed, else Latin-1. */
export function decodeCharset(bytes: Uint8Array, charset: string | undefined): string {
  const isAscii = charset === undefined || /^(?:us-)?ascii$/i.test(charset)
  const decode = isAscii ? undefined : decoderOf(charset)
  return decode === undefined ? (toUtf8(bytes) ?? toLatin1(bytes)) : decode(bytes)
}

/** Replaces encoded words by what they say; white space between two of them disappears (RFC 2047 §6.2). */
export function decodeWords(value: string): string {
  if (!value.includes('=?')) return value
  let decoded = ''
  let at = 0
  let afterWord = false
  // Bytes of neighbouring words in one charset are joined before decoding: senders split characters.
  let pending: { charset: string; bytes: Uint8Array[] } | undefined
  const flush = (): void => {
    if (pending !== undefined) decoded += decodeCharset(Buffer.concat(pending.bytes), pending.charset)
    pending = undefined
  }
  while (at < value.length) {
    const start = value.indexOf('=?', at)
    const word = start < 0 ? undefined : encodedWord(value, start)
    const stop = start < 0 ? value.length : word === undefined ? start + 2 : start
    const between = value.slice(at, stop)
    if (!(afterWord && word !== undefined && between.trim() === '')) {
      if (between !== '') flush()
      decoded += between
    }
    afterWord = word !== undefined
    if (word === undefined) {
      at = stop
      continue
    }
    if (pending?.charset !== word.charset) flush()
    pending ??= { charset: word.charset, bytes: [] }
    pending.bytes.push(word.bytes)
    at = word.end
  }
  flush()
  return decoded
}

const encodedWordCharsMax = 1024 // ours; RFC 2047 §2 says 75, senders exceed it

function encodedWord(value: string, start: number): { charset: string; bytes: Uint8Array; end: number } | undefined {
  const charsetEnd = value.indexOf('?', start + 2)
  if (charsetEnd < 0 || charsetEnd - start > 64 || value[charsetEnd + 2] !== '?') return undefined
  const encoding = value[charsetEnd + 1]!.toUpperCase()
  const textStart = charsetEnd + 3
  const end = value.slice(textStart, textStart + encodedWordCharsMax).indexOf('?=')
  if (end < 0) return undefined
  const text = value.slice(textStart, textStart + end)
  const charset = value
    .slice(start + 2, charsetEnd)
    .split('*')[0]!
    .toLowerCase()
  if (encoding === 'B') return { charset, bytes: Buffer.from(text, 'base64'), end: textStart + end + 2 }
  if (encoding !== 'Q') return undefined
  return { charset, bytes: percentLike(text.replaceAll('_', ' '), '='), end: textStart + end + 2 }
}

/** Undoes `=41` or `%41` escapes; others stay as they are. */
function percentLike(text: string, escape: string): Uint8Array {
  const raw = fromLatin1(text)
  const mark = escape.charCodeAt(0)
  const out = Buffer.alloc(raw.length)
  let length = 0
  for (let at = 0; at < raw.length; at += 1) {
    const high = raw[at] === mark ? hexDigit(raw[at + 1]) : -1
    const low = high < 0 ? -1 : hexDigit(raw[at + 2])
    if (low >= 0) {
      out[length] = high * 16 + low
      at += 2
    } else out[length] = raw[at]!
    length += 1
  }
  return out.subarray(0, length)
}

function hexDigit(octet: number | undefined): number {
  if (octet === undefined) return -1
  if (octet >= 0x30 && octet <= 0x39) return octet - 0x30
  const lower = octet | 0x20
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : -1
}

export interface FieldWithParameters {
  /** Before the first semicolon, trimmed, case as written. */
  readonly value: string
  /** Names in lower case, continuations joined, in order of first appearance; values decoded. */
  readonly parameters: ReadonlyMap<string, string>
  /** Names in lower case and values without quotes, otherwise as written: continuations apart, nothing decoded. */
  readonly written: readonly (readonly [name: string, value: string])[]
}

interface Piece {
  readonly section: number
  readonly isExtended: boolean
  readonly text: string
}

/** Content-Type and Content-Disposition (RFC 2045 §5.1, RFC 2231). */
export function parseParameters(field: string): FieldWithParameters {
  const text = field.slice(0, limits.mimeFieldCharsMax)
  const pieces = new Map<string, Piece[]>()
  const written: [string, string][] = []
  const head = scanValue(text, 0)
  let at = head.end
  while (at < text.length && written.length < limits.mimeParametersMax) {
    const equals = scanName(text, at + 1)
    if (equals.found) {
      const value = scanParameterValue(text, equals.end + 1)
      written.push([equals.name, value.text])
      addPiece(pieces, equals.name, value.text)
      at = value.end
    } else at = equals.end
  }
  const parameters = new Map<string, string>()
  for (const [name, parts] of pieces) parameters.set(name, joinPieces(parts).slice(0, limits.mimeParameterOctetsMax))
  return { value: head.text, parameters, written }
}

function scanValue(text: string, start: number): { text: string; end: number } {
  const semicolon = text.indexOf(';', start)
  const end = semicolon < 0 ? text.length : semicolon
  return { text: withoutComment(text.slice(start, end)), end }
}

const withoutComment = (text: string): string => {
  const open = text.indexOf('(')
  return (open < 0 ? text : text.slice(0, open)).trim()
}

/** A name up to `=`, or nothing up to the next semicolon. */
function scanName(text: string, start: number): { found: boolean; name: string; end: number } {
  for (let at = start; at < text.length; at += 1) {
    if (text[at] === '=') return { found: at > start, name: text.slice(start, at).trim().toLowerCase(), end: at }
    if (text[at] === ';') return { found: false, name: '', end: at }
  }
  return { found: false, name: '', end: text.length }
}

/** Token or quoted string, up to the next semicolon. */
function scanParameterValue(text: string, start: number): { text: string; end: number } {
  let at = start
  while (text[at] === ' ' || text[at] === '\t') at += 1
  if (text[at] !== '"') return scanValue(text, at)
  let value = ''
  for (at += 1; at < text.length && text[at] !== '"'; at += 1) {
    if (text[at] === '\\' && at + 1 < text.length) at += 1
    value += text[at]!
  }
  const semicolon = text.indexOf(';', at)
  return { text: value, end: semicolon < 0 ? text.length : semicolon }
}

function addPiece(pieces: Map<string, Piece[]>, written: string, text: string): void {
  const match = /^([^*\s]{1,128})(?:\*(\d{1,3}))?(\*)?$/.exec(written)
  if (match === null) return
  const section = match[2] === undefined ? -1 : Number(match[2])
  const known = pieces.get(match[1]!) ?? []
  // The first one of a name wins, as in every reader we know of.
  if (section < 0 && match[3] === undefined && known.length > 0) return
  known.push({ section, isExtended: match[3] === '*', text })
  pieces.set(match[1]!, known)
}

function joinPieces(parts: readonly Piece[]): string {
  const extended = parts.find(({ section, isExtended }) => section < 0 && isExtended)
  if (extended !== undefined) return decodeExtended([extended])
  const plain = parts.find(({ section }) => section < 0)
  if (plain !== undefined) return decodeWords(plain.text)
  return decodeExtended(parts.toSorted((a, b) => a.section - b.section))
}

function decodeExtended(parts: readonly Piece[]): string {
  const first = parts[0]!
  const quoted = first.isExtended ? /^([^']*)'[^']*'/.exec(first.text) : null
  const bytes = parts.map(({ isExtended, text }, index) => {
    const own = index === 0 && quoted !== null ? text.slice(quoted[0].length) : text
    return isExtended ? percentLike(own, '%') : Buffer.from(own, 'utf8')
  })
  return decodeCharset(Buffer.concat(bytes), quoted?.[1] === '' ? undefined : quoted?.[1])
}

export const transferEncodings = ['7bit', '8bit', 'binary', 'base64', 'quoted-printable'] as const
export type TransferEncoding = (typeof transferEncodings)[number]

/** The octets stand for themselves. */
export const isIdentityEncoding = (encoding: TransferEncoding | undefined): boolean =>
  encoding === '7bit' || encoding === '8bit' || encoding === 'binary'

/** Content octets of a part's body. Broken input gives what can be read of it. */
export function decodeTransfer(body: Uint8Array, encoding: TransferEncoding): Uint8Array {
  if (encoding === 'base64') return Buffer.from(toLatin1(body), 'base64')
  return encoding === 'quoted-printable' ? decodeQuotedPrintable(body) : body
}

const LF = 0x0a
const CR = 0x0d
const EQUALS = 0x3d

function decodeQuotedPrintable(body: Uint8Array): Uint8Array {
  const out = Buffer.alloc(body.length)
  let length = 0
  let written = 0 // up to here, as the sender wrote it: an encoded space stays
  let at = 0
  while (at < body.length) {
    const octet = body[at]!
    if (octet !== EQUALS) {
      // RFC 2045 §6.7 (3): white space at the end of a line was added on the way.
      if (octet === LF || (octet === CR && body[at + 1] === LF)) {
        while (length > written && (out[length - 1] === 0x20 || out[length - 1] === 0x09)) length -= 1
      }
      out[length] = octet
      length += 1
      at += 1
      continue
    }
    const high = hexDigit(body[at + 1])
    const low = hexDigit(body[at + 2])
    if (high >= 0 && low >= 0) {
      out[length] = high * 16 + low
      length += 1
      written = length
      at += 3
      continue
    }
    let end = at + 1
    while (body[end] === 0x20 || body[end] === 0x09 || body[end] === 0x0d) end += 1
    if (body[end] === LF || end >= body.length) at = end + 1
    else {
      out[length] = octet
      length += 1
      at += 1
    }
  }
  return out.subarray(0, length)
}

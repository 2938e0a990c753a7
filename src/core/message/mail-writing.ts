/**
 * Words of others put into mail that the gateway writes: header fields in which nothing can end the field (RFC 2047,
 * RFC 2231), and bodies whose text is given back exactly whatever stands in it (RFC 2045).
 */
import { fromUtf8, toBase64, toHex } from '../bytes.ts'

const lineOctetsMax = 998 // RFC 5322 §2.1.1
const encodedLineChars = 76 // RFC 2045 §6.7, §6.8
/** Of the 75 that an encoded word may have (RFC 2047 §2), without `=?utf-8?B?` and `?=`. */
const wordOctetsMax = 45

/** On one line, without what steers a terminal or the direction of writing; unpaired surrogates replaced. */
export const oneLine = (text: string): string =>
  text
    .toWellFormed()
    .replaceAll(/[\p{Cc}\p{Zl}\p{Zp}]+/gu, ' ')
    .replaceAll(/[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]/g, '')
    .replaceAll(/\s+/g, ' ')
    .trim()

/** As much of a text as has so many octets in UTF-8, cut between characters. */
export function cutToOctets(text: string, octetsMax: number): string {
  if (text.length * 3 <= octetsMax || fromUtf8(text).length <= octetsMax) return text
  let octets = 0
  let cut = ''
  for (const character of text) {
    octets += fromUtf8(character).length
    if (octets > octetsMax) break
    cut += character
  }
  return cut
}

/** An unstructured field's value: as it is where it is short and plain, else encoded words, folded. */
export function fieldText(text: string): string {
  const line = oneLine(text)
  return line === '' || (/^[\x21-\x7e]([\x20-\x7e]{0,58}[\x21-\x7e])?$/.test(line) && !line.includes('=?'))
    ? line
    : encodedWords(line)
}

/** A display name before an address (RFC 5322 §3.4), an empty one too: quoted where it is short and plain, else encoded words. */
export function phrase(name: string): string {
  const line = oneLine(name)
  return /^[\w .'+-]{0,60}$/.test(line) ? `"${line}"` : encodedWords(line)
}

function encodedWords(line: string): string {
  const words: string[] = []
  let word = ''
  let octets = 0
  for (const character of line) {
    const size = fromUtf8(character).length
    if (octets + size > wordOctetsMax) {
      words.push(word)
      word = ''
      octets = 0
    }
    word += character
    octets += size
  }
  return [...words, word].map((one) => `=?utf-8?B?${toBase64(fromUtf8(one))}?=`).join('\r\n ')
}

/** A parameter of Content-Type or Content-Disposition, on lines of its own: `;\r\n name="value"`, or as RFC 2231 has it. */
export function parameter(name: string, value: string): string {
  const line = oneLine(value)
  if (/^[\w .()+-]{1,60}$/.test(line)) return `;\r\n ${name}="${line}"`
  const escaped = Array.from(line, percentEncoded)
  const pieces = [`UTF-8''`]
  for (const one of escaped) {
    if (pieces.at(-1)!.length + one.length > 60) pieces.push('')
    pieces[pieces.length - 1] += one
  }
  if (pieces.length === 1) return `;\r\n ${name}*=${pieces[0]!}`
  return pieces.map((piece, index) => `;\r\n ${name}*${index}*=${piece}`).join('')
}

const percentEncoded = (character: string): string =>
  /^[\w.-]$/.test(character)
    ? character
    : toHex(fromUtf8(character))
        .toUpperCase()
        .replaceAll(/../g, (pair) => `%${pair}`)

export interface WrittenBody {
  readonly encoding: '7bit' | '8bit' | 'quoted-printable' | 'base64'
  /** Whole lines, each with its CRLF. */
  readonly body: string
}

/** A text with its line ends as CRLF: readable as it stands where mail allows, else in the shorter of two encodings. */
export function textBody(text: string): WrittenBody {
  const lines = text.toWellFormed().split(/\r\n|\n/)
  const canonical = `${lines.join('\r\n')}\r\n`
  const isPlain = lines.every((line) => /^[^\p{Cc}]*$/u.test(line.replaceAll('\t', '')) && line.length <= lineOctetsMax)
  if (isPlain && lines.every((line) => fromUtf8(line).length <= lineOctetsMax))
    return { encoding: /^[\x00-\x7f]*$/.test(canonical) ? '7bit' : '8bit', body: canonical }
  const quoted = lines.map((line) => `${quotedLine(line)}\r\n`).join('')
  const base64 = base64Body(fromUtf8(canonical))
  return quoted.length <= base64.length
    ? { encoding: 'quoted-printable', body: quoted }
    : { encoding: 'base64', body: base64 }
}

function quotedLine(line: string): string {
  const octets = fromUtf8(line)
  let written = ''
  let length = 0
  for (const [index, octet] of octets.entries()) {
    const isEnd = index === octets.length - 1
    const isSpace = octet === 0x20 || octet === 0x09
    const stands = (octet > 0x20 && octet < 0x7f && octet !== 0x3d) || (isSpace && !isEnd)
    const one = stands ? String.fromCharCode(octet) : `=${octet.toString(16).toUpperCase().padStart(2, '0')}`
    if (length + one.length > encodedLineChars - 1) {
      written += '=\r\n'
      length = 0
    }
    written += one
    length += one.length
  }
  return written
}

export const base64Body = (octets: Uint8Array): string =>
  toBase64(octets).replaceAll(new RegExp(`.{1,${encodedLineChars}}`, 'g'), '$&\r\n')

/**
 * Structure of a mail (RFC 2045, 2046) as offsets into its bytes: one pass, bounded depth and parts, never a throw.
 * Whoever shows or searches the mail cuts what it needs out of the original, which is never rewritten.
 */
import { toLatin1 } from '../bytes.ts'
import { type Headers, parseHeaders } from './header.ts'
import { type Delimiter, delimiterOctetsMax, type Mark, MimeBuilder } from './mime-structure.ts'
import type { FieldWithParameters, TransferEncoding } from './mime-words.ts'

export interface MimePart {
  /** Lower case; `text/plain` where nothing usable is said, `message/rfc822` inside `multipart/digest`. */
  readonly type: string
  readonly subtype: string
  readonly contentType: FieldWithParameters
  readonly headers: Headers
  /** Header section with its empty line. */
  readonly headerStart: number
  readonly bodyStart: number
  /** Exclusive; the line break before a delimiter belongs to the delimiter. */
  readonly bodyEnd: number
  /** Lines of the body, for text and message/rfc822; else 0. */
  readonly lines: number
  /** Undefined for encodings that nobody has defined. */
  readonly encoding: TransferEncoding | undefined
  readonly encodingName: string
  /** Of a multipart: at least one. Otherwise empty. */
  readonly parts: readonly MimePart[]
  /** Of a message/rfc822 that could be opened. */
  readonly message: MimePart | undefined
}

const LF = 0x0a
const CR = 0x0d
const newlineDashes = Buffer.from('\n--')

export const parseMime = (bytes: Uint8Array): MimePart => new Parser(bytes).parse()

class Parser {
  readonly #bytes: Buffer
  readonly #builder: MimeBuilder<Mark>

  constructor(bytes: Uint8Array) {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    const lines = new LineCounter(bytes)
    this.#builder = new MimeBuilder((start, end) => lines.count(start.at, end.at))
  }

  parse(): MimePart {
    const bytes = this.#bytes
    let from = Math.max(0, this.#entity(0) - 1)
    while (this.#builder.hasMultipart) {
      const found = bytes.indexOf(newlineDashes, from)
      if (found < 0) break
      const lineStart = found + 1
      const lf = bytes.indexOf(LF, lineStart)
      const lineEnd = lf < 0 ? bytes.length : lf
      const delimiter = this.#delimiter(lineStart, lineEnd)
      from = delimiter === undefined ? lineEnd : this.#cross(delimiter, lineStart, Math.min(bytes.length, lineEnd + 1))
    }
    return this.#builder.finish({ at: bytes.length })
  }

  /** Returns where to look for the next delimiter. */
  #cross(delimiter: Delimiter, lineStart: number, next: number): number {
    const end = this.#bytes[lineStart - 2] === CR ? lineStart - 2 : lineStart - 1
    if (!this.#builder.cross(delimiter, { at: end })) return next - 1
    return Math.max(next, this.#entity(next)) - 1
  }

  #delimiter(lineStart: number, lineEnd: number): Delimiter | undefined {
    let end = lineEnd
    while (end > lineStart + 2 && isWhite(this.#bytes[end - 1]!)) end -= 1
    if (end - lineStart > delimiterOctetsMax) return undefined
    return this.#builder.delimiter(toLatin1(this.#bytes.subarray(lineStart + 2, end)))
  }

  /** Reads a header section, and that of a message which it announces. @returns where the innermost body begins */
  #entity(from: number): number {
    const isDelimiter = (lineStart: number, lineEnd: number): boolean =>
      this.#delimiter(lineStart, lineEnd) !== undefined
    let start = from
    for (;;) {
      const headers = parseHeaders(this.#bytes, { from: start, isDelimiter })
      const isMessage = this.#builder.begin({ headers, start, bodyStart: { at: headers.bodyStart } })
      start = headers.bodyStart
      if (!isMessage) return start
    }
  }
}

export const isWhite = (octet: number): boolean => octet === 0x20 || octet === 0x09 || octet === CR

const blockOctets = 4096

/** Counts lines of any range; the whole is walked once, however often nested parts ask. */
class LineCounter {
  readonly #bytes: Uint8Array
  /** Line feeds before each block. */
  #before: Uint32Array | undefined

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
  }

  /** Line terminators, and one more for an unterminated last line. */
  count(start: number, end: number): number {
    const terminated = this.#lineFeedsBefore(end) - this.#lineFeedsBefore(start)
    return end > start && this.#bytes[end - 1] !== LF ? terminated + 1 : terminated
  }

  #lineFeedsBefore(at: number): number {
    this.#before ??= this.#countBlocks()
    const block = Math.floor(at / blockOctets)
    return this.#before[block]! + this.#walk(block * blockOctets, at)
  }

  #countBlocks(): Uint32Array {
    const before = new Uint32Array(Math.floor(this.#bytes.length / blockOctets) + 1)
    for (let block = 1; block < before.length; block += 1) {
      before[block] = before[block - 1]! + this.#walk((block - 1) * blockOctets, block * blockOctets)
    }
    return before
  }

  #walk(start: number, end: number): number {
    let lineFeeds = 0
    for (let at = start; at < end; at += 1) if (this.#bytes[at] === LF) lineFeeds += 1
    return lineFeeds
  }
}

/**
 * Structure of a mail (RFC 2045, 2046) as offsets into its bytes: one pass, bounded depth and parts, never a throw.
 * Whoever shows or searches the mail cuts what it needs out of the original, which is never rewritten.
 */
import { toLatin1 } from '../bytes.ts'
import { limits } from '../limits.ts'
import { type Headers, parseHeaders, valuesOf } from './header.ts'
import {
  type FieldWithParameters,
  isIdentityEncoding,
  parseParameters,
  type TransferEncoding,
  transferEncodings,
} from './mime-words.ts'

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

type Draft = { -readonly [Key in keyof MimePart]: MimePart[Key] } & { parts: Draft[]; message: Draft | undefined }

interface OpenMultipart {
  readonly part: Draft
  readonly boundary: string
  readonly isDigest: boolean
}

const LF = 0x0a
const CR = 0x0d
const newlineDashes = Buffer.from('\n--')
const boundaryOctetsMax = 998 // RFC 2046 §5.1.1 says 70; one line at most

export const parseMime = (bytes: Uint8Array): MimePart => new Parser(bytes).parse()

class Parser {
  readonly #bytes: Buffer
  /** Entities whose end is not known yet, outermost first. */
  readonly #open: Draft[] = []
  readonly #multiparts: OpenMultipart[] = []
  /** Innermost open multipart of each boundary, as an index of `#multiparts`. */
  readonly #byBoundary = new Map<string, number[]>()
  readonly #lines: LineCounter
  #count = 0

  constructor(bytes: Uint8Array) {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    this.#lines = new LineCounter(bytes)
  }

  parse(): MimePart {
    const bytes = this.#bytes
    const root = this.#entity(0, 'text/plain')
    let from = Math.max(0, this.#open.at(-1)!.bodyStart - 1)
    while (this.#multiparts.length > 0) {
      const found = bytes.indexOf(newlineDashes, from)
      if (found < 0) break
      const lineStart = found + 1
      const lf = bytes.indexOf(LF, lineStart)
      const lineEnd = lf < 0 ? bytes.length : lf
      const delimiter = this.#delimiter(lineStart, lineEnd)
      from = delimiter === undefined ? lineEnd : this.#cross(delimiter, lineStart, Math.min(bytes.length, lineEnd + 1))
    }
    for (const part of this.#open.toReversed()) this.#end(part, bytes.length)
    return root
  }

  /** Ends what the delimiter ends, begins what it begins; returns where to look for the next one. */
  #cross({ index, isLast }: { index: number; isLast: boolean }, lineStart: number, next: number): number {
    const multipart = this.#multiparts[index]!
    const bytes = this.#bytes
    const end = bytes[lineStart - 2] === CR ? lineStart - 2 : lineStart - 1
    while (this.#open.at(-1) !== multipart.part) this.#end(this.#open.pop()!, end)
    while (this.#multiparts.length > (isLast ? index : index + 1)) this.#closeMultipart()
    if (isLast || this.#count >= limits.mimePartsMax) {
      if (!isLast) this.#closeMultipart()
      return next - 1
    }
    const child = this.#entity(next, multipart.isDigest ? 'message/rfc822' : 'text/plain')
    multipart.part.parts.push(child)
    const innermost = this.#open.at(-1)!
    return Math.max(next - 1, innermost.bodyStart - 1)
  }

  #closeMultipart(): void {
    const { boundary } = this.#multiparts.pop()!
    const stack = this.#byBoundary.get(boundary)!
    stack.pop()
    if (stack.length === 0) this.#byBoundary.delete(boundary)
  }

  #delimiter(lineStart: number, lineEnd: number): { index: number; isLast: boolean } | undefined {
    let end = lineEnd
    while (end > lineStart + 2 && isWhite(this.#bytes[end - 1]!)) end -= 1
    if (end - lineStart > boundaryOctetsMax + 4) return undefined
    const text = toLatin1(this.#bytes.subarray(lineStart + 2, end))
    const plain = this.#byBoundary.get(text)?.at(-1)
    if (plain !== undefined) return { index: plain, isLast: false }
    const last = text.endsWith('--') ? this.#byBoundary.get(text.slice(0, -2))?.at(-1) : undefined
    return last === undefined ? undefined : { index: last, isLast: true }
  }

  /** Reads a header section and opens what it announces, embedded messages included. */
  #entity(start: number, defaultType: string): Draft {
    const draft = this.#draft(start, defaultType)
    this.#open.push(draft)
    if (this.#open.length >= limits.mimeDepthMax) {
      if (draft.type === 'multipart' || isMessage(draft)) makeOpaque(draft)
    } else if (draft.type === 'multipart') {
      const boundary = draft.contentType.parameters.get('boundary')?.trimEnd() ?? ''
      if (boundary === '' || boundary.length > boundaryOctetsMax) makeText(draft)
      else this.#openMultipart(draft, Buffer.from(boundary, 'utf8').toString('latin1'))
    } else if (isMessage(draft) && isIdentityEncoding(draft.encoding)) {
      draft.message = this.#entity(draft.bodyStart, 'text/plain')
    }
    return draft
  }

  #openMultipart(part: Draft, boundary: string): void {
    const stack = this.#byBoundary.get(boundary) ?? []
    stack.push(this.#multiparts.length)
    this.#byBoundary.set(boundary, stack)
    this.#multiparts.push({ part, boundary, isDigest: part.subtype === 'digest' })
  }

  #draft(start: number, defaultType: string): Draft {
    this.#count += 1
    const headers = parseHeaders(this.#bytes, {
      from: start,
      isDelimiter: (lineStart, lineEnd) => this.#delimiter(lineStart, lineEnd) !== undefined,
    })
    const written = valuesOf(headers, 'content-type')[0]
    const contentType = parseParameters(written ?? defaultType)
    const slash = /^([!#$%&'*+.^_`{|}~\w-]{1,127})\/([!#$%&'*+.^_`{|}~\w-]{1,127})$/.exec(contentType.value)
    const [type, subtype] = slash === null ? ['text', 'plain'] : [slash[1]!.toLowerCase(), slash[2]!.toLowerCase()]
    const encodingName = (valuesOf(headers, 'content-transfer-encoding')[0] ?? '7bit').split(/[;\s(]/)[0]!.toLowerCase()
    const encoding = transferEncodings.find((known) => known === (encodingName || '7bit'))
    const ends = { bodyStart: headers.bodyStart, bodyEnd: headers.bodyStart, lines: 0 }
    return {
      type,
      subtype,
      contentType,
      headers,
      headerStart: start,
      ...ends,
      encoding,
      encodingName: encodingName === '' ? '7bit' : encodingName,
      parts: [],
      message: undefined,
    }
  }

  /** A header section cut short by the delimiter keeps its line break, and so does every part around it. */
  #end(part: Draft, at: number): void {
    const inner = part.message ?? part.parts.at(-1)
    part.bodyEnd = Math.max(part.bodyStart, at, inner?.bodyEnd ?? 0)
    if (part.type === 'text' || isMessage(part)) part.lines = this.#lines.count(part.bodyStart, part.bodyEnd)
    if (part.type === 'multipart' && part.parts.length === 0) part.parts.push(emptyPart(part.bodyEnd))
  }
}

const isWhite = (octet: number): boolean => octet === 0x20 || octet === 0x09 || octet === CR
const isMessage = ({ type, subtype }: Pick<MimePart, 'type' | 'subtype'>): boolean =>
  type === 'message' && (subtype === 'rfc822' || subtype === 'global')

function makeOpaque(part: Draft): void {
  part.type = 'application'
  part.subtype = 'octet-stream'
}

const plainText: FieldWithParameters = { value: 'text/plain', parameters: new Map(), written: [] }

/** A multipart that names no boundary can only be shown as it is. */
function makeText(part: Draft): void {
  part.type = 'text'
  part.subtype = 'plain'
  part.contentType = plainText
}

/** Stands where a multipart has no part at all: IMAP's grammar wants one (RFC 9051 §9 body-type-mpart). */
const emptyPart = (at: number): Draft => ({
  type: 'text',
  subtype: 'plain',
  contentType: plainText,
  headers: { fields: [], bodyStart: at, truncated: false },
  headerStart: at,
  bodyStart: at,
  bodyEnd: at,
  lines: 0,
  encoding: '7bit',
  encodingName: '7bit',
  parts: [],
  message: undefined,
})

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

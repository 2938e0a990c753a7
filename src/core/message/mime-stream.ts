/**
 * The structure of a mail that is too long to be held: the same result as `parseMime`, from octets as they come. What is
 * kept of the mail is its header sections, each up to the bound at which `parseHeaders` stops to look.
 */
import { toLatin1 } from '../bytes.ts'
import { limits } from '../limits.ts'
import { beginsField, type Headers, parseHeaders } from './header.ts'
import { isWhite, type MimePart } from './mime.ts'
import { type Delimiter, delimiterOctetsMax, type Mark, MimeBuilder } from './mime-structure.ts'

const LF = 0x0a
const CR = 0x0d
const DASH = 0x2d

interface LineMark extends Mark {
  /** Line feeds before it. */
  readonly lineFeeds: number
  /** A line feed stands right before it. */
  readonly isTerminated: boolean
}

const linesBetween = (start: LineMark, end: LineMark): number =>
  end.lineFeeds - start.lineFeeds + (end.at > start.at && !end.isTerminated ? 1 : 0)

/** Enough of a line to know a delimiter or the name of a field. */
const lineHeadOctets = delimiterOctetsMax
/** Above this, fields are not kept; a line that begins below it is kept as far as its name may reach. */
const sectionOctetsMax = limits.mailHeaderBytesMax + lineHeadOctets

export class MimeStream {
  readonly #builder = new MimeBuilder<LineMark>(linesBetween)
  /** The header section being read; `undefined` in a body. */
  #section: HeaderSection | undefined = new HeaderSection({ at: 0, lineFeeds: 0, isTerminated: false })
  readonly #line = new LineHead()
  #lineStart: LineMark = { at: 0, lineFeeds: 0, isTerminated: false }
  /** Before the line break that ended the line before this one. */
  #lineBreak: LineMark = this.#lineStart

  push(chunk: Uint8Array): void {
    for (let from = 0; from < chunk.length;) {
      const lf = chunk.indexOf(LF, from)
      const next = lf < 0 ? chunk.length : lf + 1
      const piece = chunk.subarray(from, next)
      this.#section?.add(piece)
      this.#line.add(piece)
      if (lf >= 0) this.#endLine()
      from = next
    }
  }

  /** After the last octet. */
  finish(): MimePart {
    if (this.#line.octets > 0) this.#endLine()
    while (this.#section !== undefined) this.#endSection(this.#lineStart)
    return this.#builder.finish(this.#lineStart)
  }

  #endLine(): void {
    const line = this.#line
    const start = this.#lineStart
    const isTerminated = line.last === LF
    const next: LineMark = {
      at: start.at + line.octets,
      lineFeeds: start.lineFeeds + (isTerminated ? 1 : 0),
      isTerminated,
    }
    if (this.#section !== undefined && isTerminated && line.contentOctets === 0) {
      this.#section.dropLine()
      this.#endSection(next)
    } else {
      if (this.#delimiter() === undefined) this.#section?.keepLine(line)
      else this.#cross(next)
    }
    const content = line.contentOctets
    this.#lineBreak = { at: start.at + content, lineFeeds: start.lineFeeds, isTerminated: content === 0 }
    this.#lineStart = next
    line.clear()
  }

  #delimiter(): Delimiter | undefined {
    const text = this.#builder.hasMultipart ? this.#line.afterDashes() : undefined
    return text === undefined ? undefined : this.#builder.delimiter(text)
  }

  /** A delimiter also ends header sections that have no empty line; what they announce may have the same boundary. */
  #cross(next: LineMark): void {
    this.#section?.dropLine()
    while (this.#section !== undefined) this.#endSection(this.#lineStart)
    if (this.#builder.cross(this.#delimiter()!, this.#lineBreak)) this.#section = new HeaderSection(next)
  }

  /** An embedded message begins with a section of its own. */
  #endSection(bodyStart: LineMark): void {
    const section = this.#section!
    const headers = section.headers(bodyStart.at)
    const isMessage = this.#builder.begin({ headers, start: section.start.at, bodyStart })
    this.#section = isMessage ? new HeaderSection(bodyStart) : undefined
  }
}

class HeaderSection {
  readonly start: LineMark
  #pieces: Uint8Array[] = []
  #octets = 0
  /** Kept and all octets before the line that is being read. */
  #keptBefore = 0
  #octetsBefore = 0
  #hasLateField = false

  constructor(start: LineMark) {
    this.start = start
  }

  add(piece: Uint8Array): void {
    const room = sectionOctetsMax - this.#octets
    if (room > 0) this.#pieces.push(Uint8Array.from(piece.subarray(0, room)))
    this.#octets += piece.length
  }

  /** The line that was being added belongs to the section. */
  keepLine(line: LineHead): void {
    const isLate = this.#octetsBefore > limits.mailHeaderBytesMax
    if (isLate && !this.#hasLateField) this.#hasLateField = beginsField(line.content())
    this.#octetsBefore = this.#octets
    this.#keptBefore = this.#pieces.length
  }

  /** It does not. */
  dropLine(): void {
    this.#pieces.length = this.#keptBefore
    this.#octets = this.#octetsBefore
  }

  headers(bodyStart: number): Headers {
    const { fields, truncated } = parseHeaders(Buffer.concat(this.#pieces), { base: this.start.at })
    return { fields, bodyStart, truncated: truncated || this.#hasLateField }
  }
}

/** The beginning of the line that is being read, and what is asked about the rest of it. */
class LineHead {
  readonly #head = Buffer.alloc(lineHeadOctets)
  octets = 0
  last = 0
  #lastButOne = 0
  /** Something that is not white stands where the head does not reach, the line break apart. */
  #goesOn = false

  add(piece: Uint8Array): void {
    const held = Math.min(this.octets, lineHeadOctets)
    const taken = piece.subarray(0, lineHeadOctets - held)
    this.#head.set(taken, held)
    if (taken.length < piece.length && !this.#goesOn) {
      const end = piece.at(-1) === LF ? piece.length - 1 : piece.length
      for (let at = taken.length; at < end && !this.#goesOn; at += 1) this.#goesOn = !isWhite(piece[at]!)
    }
    this.#lastButOne = piece.length > 1 ? piece.at(-2)! : this.last
    this.last = piece.at(-1)!
    this.octets += piece.length
  }

  /** Without its line break. */
  get contentOctets(): number {
    if (this.last !== LF) return this.octets
    return this.octets - (this.octets > 1 && this.#lastButOne === CR ? 2 : 1)
  }

  /** As much of it as is kept. */
  content(): Uint8Array {
    return this.#head.subarray(0, Math.min(this.contentOctets, lineHeadOctets))
  }

  /** Of a line that begins with two dashes: the rest without white space at its end; `undefined` of what is too long. */
  afterDashes(): string | undefined {
    if (this.#goesOn || this.octets < 2 || this.#head[0] !== DASH || this.#head[1] !== DASH) return undefined
    const content = this.content()
    let end = content.length
    while (end > 2 && isWhite(content[end - 1]!)) end -= 1
    return toLatin1(content.subarray(2, end))
  }

  clear(): void {
    this.octets = 0
    this.last = 0
    this.#lastButOne = 0
    this.#goesOn = false
  }
}

/**
 * What the structure of a mail is made of while it is read, whoever reads it: all octets at once (mime.ts) or as they
 * come (mime-stream.ts). Entities open and close here; where lines begin and end is the reader's business.
 */
import { limits } from '../limits.ts'
import { type Headers, valuesOf } from './header.ts'
import type { MimePart } from './mime.ts'
import { type FieldWithParameters, isIdentityEncoding, parseParameters, transferEncodings } from './mime-words.ts'

type Draft = { -readonly [Key in keyof MimePart]: MimePart[Key] } & { parts: Draft[]; message: Draft | undefined }

/** A place in the mail; readers keep there what counting lines takes. */
export interface Mark {
  /** Octets before it. */
  readonly at: number
}

/** An entity whose end is not known yet. */
interface OpenEntity<M> {
  readonly part: Draft
  readonly bodyStart: M
  /** Of the last entity inside that has ended. */
  innerEnd: M | undefined
}

interface OpenMultipart {
  readonly part: Draft
  readonly boundary: string
  readonly isDigest: boolean
}

export interface Delimiter {
  /** Which open multipart it belongs to, outermost first. */
  readonly index: number
  readonly isLast: boolean
}

const boundaryOctetsMax = 998 // RFC 2046 §5.1.1 says 70; one line at most
/** A delimiter line without white space at its end: two dashes on either side. */
export const delimiterOctetsMax = boundaryOctetsMax + 4

export class MimeBuilder<M extends Mark> {
  readonly #linesBetween: (start: M, end: M) => number
  /** Outermost first. */
  readonly #open: OpenEntity<M>[] = []
  readonly #multiparts: OpenMultipart[] = []
  /** Innermost open multipart of each boundary, as an index of `#multiparts`. */
  readonly #byBoundary = new Map<string, number[]>()
  #root: Draft | undefined
  #nextType = 'text/plain'
  #count = 0

  /** @param linesBetween line terminators, and one more for an unterminated last line */
  constructor(linesBetween: (start: M, end: M) => number) {
    this.#linesBetween = linesBetween
  }

  get hasMultipart(): boolean {
    return this.#multiparts.length > 0
  }

  /** What a line is that begins with two dashes. @param text what follows them, one character per octet, without white space at its end */
  delimiter(text: string): Delimiter | undefined {
    const plain = this.#byBoundary.get(text)?.at(-1)
    if (plain !== undefined) return { index: plain, isLast: false }
    const last = text.endsWith('--') ? this.#byBoundary.get(text.slice(0, -2))?.at(-1) : undefined
    return last === undefined ? undefined : { index: last, isLast: true }
  }

  /**
   * Ends what the delimiter ends. @param end before the line break that belongs to the delimiter
   * @returns whether an entity begins after it
   */
  cross({ index, isLast }: Delimiter, end: M): boolean {
    const multipart = this.#multiparts[index]!
    while (this.#open.at(-1)!.part !== multipart.part) this.#end(end)
    while (this.#multiparts.length > (isLast ? index : index + 1)) this.#closeMultipart()
    if (isLast) return false
    if (this.#count >= limits.mimePartsMax) {
      this.#closeMultipart()
      return false
    }
    this.#nextType = multipart.isDigest ? 'message/rfc822' : 'text/plain'
    return true
  }

  #closeMultipart(): void {
    const { boundary } = this.#multiparts.pop()!
    const stack = this.#byBoundary.get(boundary)!
    stack.pop()
    if (stack.length === 0) this.#byBoundary.delete(boundary)
  }

  /** Opens what a header section announces. @returns whether an embedded message begins where the body does */
  begin({ headers, start, bodyStart }: { headers: Headers; start: number; bodyStart: M }): boolean {
    const draft = this.#draft(headers, start)
    const around = this.#open.at(-1)?.part
    if (around === undefined) this.#root = draft
    else if (around.type === 'multipart') around.parts.push(draft)
    else around.message = draft
    this.#open.push({ part: draft, bodyStart, innerEnd: undefined })
    this.#nextType = 'text/plain'
    if (this.#open.length >= limits.mimeDepthMax) {
      if (draft.type === 'multipart' || isMessage(draft)) makeOpaque(draft)
    } else if (draft.type === 'multipart') {
      const boundary = draft.contentType.parameters.get('boundary')?.trimEnd() ?? ''
      if (boundary === '' || boundary.length > boundaryOctetsMax) makeText(draft)
      else this.#openMultipart(draft, Buffer.from(boundary, 'utf8').toString('latin1'))
    } else if (isMessage(draft) && isIdentityEncoding(draft.encoding)) return true
    return false
  }

  /** Everything ends here. */
  finish(end: M): MimePart {
    while (this.#open.length > 0) this.#end(end)
    return this.#root!
  }

  #openMultipart(part: Draft, boundary: string): void {
    const stack = this.#byBoundary.get(boundary) ?? []
    stack.push(this.#multiparts.length)
    this.#byBoundary.set(boundary, stack)
    this.#multiparts.push({ part, boundary, isDigest: part.subtype === 'digest' })
  }

  #draft(headers: Headers, start: number): Draft {
    this.#count += 1
    const written = valuesOf(headers, 'content-type')[0]
    const contentType = parseParameters(written ?? this.#nextType)
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

  /** The innermost entity. A header section cut short by the delimiter keeps its line break, and so does every part around it. */
  #end(at: M): void {
    const { part, bodyStart, innerEnd } = this.#open.pop()!
    let end = at.at < bodyStart.at ? bodyStart : at
    if (innerEnd !== undefined && innerEnd.at > end.at) end = innerEnd
    part.bodyEnd = end.at
    if (part.type === 'text' || isMessage(part)) part.lines = this.#linesBetween(bodyStart, end)
    if (part.type === 'multipart' && part.parts.length === 0) part.parts.push(emptyPart(part.bodyEnd))
    const around = this.#open.at(-1)
    if (around !== undefined) around.innerEnd = end
  }
}

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

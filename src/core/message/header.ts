/**
 * Header sections of mail (RFC 5322 §2.2) and address lists in them, with byte offsets kept, so that what is found can be cut out or fetched
 * without writing the message anew. Nothing here throws: mail in the wild is malformed, and still must be shown.
 */
import { toLatin1, toUtf8 } from '../bytes.ts'
import { limits } from '../limits.ts'

export interface HeaderField {
  /** Lower-case. */
  readonly name: string
  /** First octet of the name. */
  readonly start: number
  /** After the field's last line terminator. */
  readonly end: number
  /** Unfolded and trimmed; UTF-8 where well-formed, else one character per octet. */
  readonly value: string
}

export interface Headers {
  readonly fields: readonly HeaderField[]
  /** First octet after the empty line; the end of the section where there is none. */
  readonly bodyStart: number
  /** More fields or octets than limits.ts allows: the rest was skipped, `bodyStart` is still right. */
  readonly truncated: boolean
}

export interface HeaderRange {
  /** Where `bytes` lie in the message that offsets are told in. */
  readonly base?: number
  readonly from?: number
  /** Exclusive. */
  readonly to?: number
  /** Ends the section before a line that begins with `--` and for which this is true: a delimiter after a header without an empty line. */
  readonly isDelimiter?: (lineStart: number, lineEnd: number) => boolean
}

const LF = 0x0a
const CR = 0x0d
const SP = 0x20
const TAB = 0x09
const COLON = 0x3a
const DASH = 0x2d

/** Fields in order. A line that is no field and no continuation is skipped; CRLF and bare LF both end a line. */
export function parseHeaders(
  bytes: Uint8Array,
  { base = 0, from = 0, to = bytes.length, isDelimiter }: HeaderRange = {},
): Headers {
  const fields: HeaderField[] = []
  let truncated = false
  let open: { name: string; start: number; valueStart: number; end: number } | undefined
  const finish = (): void => {
    if (open === undefined) return
    const tooMuch = fields.length >= limits.headerFieldsMax || open.end - from > limits.mailHeaderBytesMax
    if (tooMuch) truncated = true
    else fields.push(new Field(bytes, base, open))
    open = undefined
  }
  let at = from
  while (at < to) {
    const lf = bytes.indexOf(LF, at)
    const next = lf < 0 || lf >= to ? to : lf + 1
    const lineEnd = trimTerminator(bytes, at, next)
    if (lineEnd === at && next > at) {
      finish()
      return { fields, bodyStart: next, truncated }
    }
    const first = bytes[at]!
    if (first === DASH && bytes[at + 1] === DASH && isDelimiter?.(at, lineEnd) === true) {
      finish()
      return { fields, bodyStart: at, truncated }
    }
    if (first === SP || first === TAB) {
      if (open !== undefined) open.end = next
    } else {
      finish()
      const nameEnd = endOfName(bytes, at, lineEnd)
      if (nameEnd !== undefined) {
        const name = toLatin1(bytes.subarray(at, nameEnd.name)).toLowerCase()
        open = { name, start: at, valueStart: nameEnd.colon + 1, end: next }
      }
    }
    at = next
  }
  finish()
  return { fields, bodyStart: to, truncated }
}

/** Its value is decoded when first asked: most readers want a few fields of many. */
class Field implements HeaderField {
  readonly name: string
  readonly start: number
  readonly end: number
  readonly #bytes: Uint8Array
  readonly #base: number
  readonly #valueStart: number
  #value: string | undefined

  constructor(bytes: Uint8Array, base: number, at: { name: string; start: number; valueStart: number; end: number }) {
    this.name = at.name
    this.start = base + at.start
    this.end = base + at.end
    this.#bytes = bytes
    this.#base = base
    this.#valueStart = at.valueStart
  }

  get value(): string {
    this.#value ??= unfold(this.#bytes, this.#valueStart, this.end - this.#base)
    return this.#value
  }
}

/** Where the line's content ends: before CRLF, LF, or `next` itself on an unterminated last line. */
function trimTerminator(bytes: Uint8Array, start: number, next: number): number {
  if (next <= start || bytes[next - 1] !== LF) return next
  return next - 2 >= start && bytes[next - 2] === CR ? next - 2 : next - 1
}

/** Does this line, without its terminator, begin a field? */
export const beginsField = (line: Uint8Array): boolean => endOfName(line, 0, line.length) !== undefined

/** Names are printable ASCII without colon; white space before the colon is tolerated (RFC 5322 §4.5). */
function endOfName(bytes: Uint8Array, start: number, end: number): { name: number; colon: number } | undefined {
  const last = Math.min(end, start + limits.headerNameOctetsMax)
  let at = start
  while (at < last && bytes[at]! > SP && bytes[at]! < 0x7f && bytes[at] !== COLON) at += 1
  const name = at
  while (at < last && (bytes[at] === SP || bytes[at] === TAB)) at += 1
  return name > start && at < last && bytes[at] === COLON ? { name, colon: at } : undefined
}

function unfold(bytes: Uint8Array, start: number, end: number): string {
  const raw = bytes.subarray(start, end)
  const text = toUtf8(raw) ?? toLatin1(raw)
  return text.replaceAll(/\r?\n/g, '').trim()
}

/** Values of one field, in order; `name` in lower case. */
export const valuesOf = (headers: Headers, name: string): readonly string[] =>
  headers.fields.filter((field) => field.name === name).map((field) => field.value)

// Address lists (RFC 5322 §3.4, with the obsolete forms and what real mail makes of them), in linear time.

export type AddressEntry =
  | {
      readonly kind: 'mailbox'
      /** Display name as written, quotes and escapes removed, encoded words left; `undefined` when there is none. */
      readonly name: string | undefined
      /** Source route without the colon (`@a,@b`), RFC 5322 §4.4. */
      readonly route: string | undefined
      readonly local: string
      /** `undefined` where there was no `@`. */
      readonly domain: string | undefined
    }
  | { readonly kind: 'group-start'; readonly name: string }
  | { readonly kind: 'group-end' }

type Token =
  | { readonly kind: 'text'; readonly text: string; readonly spaceBefore: boolean }
  | { readonly kind: 'special'; readonly text: string }

/** Mailboxes and groups in order, at most `limits.headerAddressesMax`. */
export function parseAddressEntries(value: string): readonly AddressEntry[] {
  const entries: AddressEntry[] = []
  let words: Token[] = []
  let lastComment: string | undefined
  let angle: Token[] | undefined
  let angleDone: readonly Token[] | undefined
  let inGroup = false

  const endMailbox = (): void => {
    const done = angleDone ?? angle
    if (done !== undefined) {
      const name = joinWords(words)
      const spec = addressSpec(done)
      if (spec.local !== '' || spec.domain !== undefined || name !== '') {
        entries.push({ kind: 'mailbox', name: name === '' ? lastComment : name, ...spec })
      }
    } else if (words.length > 0) {
      entries.push({ kind: 'mailbox', name: lastComment, ...addressSpec(words) })
    }
    words = []
    angle = undefined
    angleDone = undefined
    lastComment = undefined
  }

  for (const token of tokens(value, (comment) => (lastComment = comment))) {
    if (entries.length >= limits.headerAddressesMax) break
    const special = token.kind === 'special' ? token.text : undefined
    if (angle !== undefined) {
      if (special === '>') {
        angleDone = angle
        angle = undefined
      } else angle.push(token)
    } else if (special === '<') {
      if (angleDone !== undefined) endMailbox()
      angle = []
    } else if (special === ',') endMailbox()
    else if (special === ';') {
      endMailbox()
      if (inGroup) entries.push({ kind: 'group-end' })
      inGroup = false
    } else if (special === ':' && !inGroup && !words.some(isAt)) {
      entries.push({ kind: 'group-start', name: joinWords(words) })
      words = []
      lastComment = undefined
      inGroup = true
    } else if (special !== '>') words.push(token)
  }
  endMailbox()
  if (inGroup) entries.push({ kind: 'group-end' })
  return entries
}

/** The mailboxes of a list, groups opened; `address` as written, without route, comments and white space. */
export function parseMailboxList(value: string): readonly { readonly name?: string; readonly address: string }[] {
  return parseAddressEntries(value).flatMap((entry) => {
    if (entry.kind !== 'mailbox') return []
    const address = entry.domain === undefined ? entry.local : `${entry.local}@${entry.domain}`
    return [entry.name === undefined ? { address } : { name: entry.name, address }]
  })
}

const isAt = (token: Token): boolean => token.kind === 'special' && token.text === '@'

function joinWords(words: readonly Token[]): string {
  let joined = ''
  for (const word of words) {
    joined += word.kind === 'text' && word.spaceBefore && joined !== '' ? ` ${word.text}` : word.text
  }
  return joined
}

function addressSpec(all: readonly Token[]): { route: string | undefined; local: string; domain: string | undefined } {
  let spec = all
  let route: string | undefined
  if (spec[0] !== undefined && isAt(spec[0])) {
    const colon = spec.findIndex((token) => token.kind === 'special' && token.text === ':')
    if (colon > 0) {
      route = tight(spec.slice(0, colon))
      spec = spec.slice(colon + 1)
    }
  }
  const at = spec.findLastIndex(isAt)
  return at < 0
    ? { route, local: joinWords(spec), domain: undefined }
    : { route, local: tight(spec.slice(0, at)), domain: tight(spec.slice(at + 1)) }
}

const tight = (tokens: readonly Token[]): string => tokens.map(({ text }) => text).join('')

const specials = new Set('<>,;:@')

function* tokens(value: string, onComment: (text: string) => void): Generator<Token> {
  let at = 0
  let spaceBefore = false
  while (at < value.length) {
    const char = value[at]!
    if (char === ' ' || char === '\t' || char === '\r' || char === '\n') {
      spaceBefore = true
      at += 1
    } else if (char === '(') {
      const comment = readComment(value, at)
      onComment(comment.text)
      at = comment.end
      spaceBefore = true
    } else if (char === '"') {
      const quoted = readQuoted(value, at)
      yield { kind: 'text', text: quoted.text, spaceBefore }
      at = quoted.end
      spaceBefore = false
    } else if (char === '[') {
      const end = value.indexOf(']', at)
      const stop = end < 0 ? value.length : end + 1
      yield { kind: 'text', text: value.slice(at, stop), spaceBefore }
      at = stop
      spaceBefore = false
    } else if (specials.has(char)) {
      yield { kind: 'special', text: char }
      at += 1
      spaceBefore = false
    } else {
      let end = at + 1
      while (end < value.length && !' \t\r\n("['.includes(value[end]!) && !specials.has(value[end]!)) end += 1
      yield { kind: 'text', text: value.slice(at, end), spaceBefore }
      at = end
      spaceBefore = false
    }
  }
}

function readQuoted(value: string, start: number): { text: string; end: number } {
  let text = ''
  let at = start + 1
  while (at < value.length && value[at] !== '"') {
    if (value[at] === '\\' && at + 1 < value.length) at += 1
    text += value[at]!
    at += 1
  }
  return { text, end: at + 1 }
}

/** Nested comments flatten; an unclosed one reaches to the end. */
function readComment(value: string, start: number): { text: string; end: number } {
  let depth = 1
  let text = ''
  let at = start + 1
  while (at < value.length) {
    const char = value[at]!
    if (char === '\\' && at + 1 < value.length) {
      text += value[at + 1]!
      at += 2
      continue
    }
    if (char === '(') depth += 1
    if (char === ')') depth -= 1
    at += 1
    if (depth === 0) break
    text += char
  }
  return { text: text.trim(), end: at }
}

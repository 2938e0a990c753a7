/**
 * Search over a mailbox: what may be asked, and its evaluation. Each message is judged from its columns first, then
 * from its header, and its body is decoded only where nothing less decides.
 */
import { setImmediate } from 'node:timers/promises'
import { unreachable } from '../errors.ts'
import type { ContentId, ModSeq, Uid } from '../ids.ts'
import { type HeaderField, parseHeaders } from '../message/header.ts'
import { decodeWords, parseParameters } from '../message/mime-words.ts'
import { parseMime } from '../message/mime.ts'
import { eachPart, textOfPart } from '../message/mime-text.ts'
import type { Flag } from './mailbox.ts'

/** Unix milliseconds, `from` inclusive and `to` exclusive; an open end is unbounded. */
export interface Period {
  readonly from?: number
  readonly to?: number
}

export type SearchKey =
  | { readonly kind: 'all' }
  | { readonly kind: 'flag'; readonly flag: Flag }
  /** Ascending, disjoint, both ends inclusive. */
  | { readonly kind: 'uids'; readonly ranges: readonly { readonly from: number; readonly to: number }[] }
  | { readonly kind: 'internal-date'; readonly period: Period }
  | { readonly kind: 'saved-date'; readonly period: Period }
  /** The date written in the Date field, as midnight UTC of that day, whatever its zone. */
  | { readonly kind: 'sent-date'; readonly period: Period }
  | { readonly kind: 'larger'; readonly than: number }
  | { readonly kind: 'smaller'; readonly than: number }
  | { readonly kind: 'changed-since'; readonly modSeq: ModSeq }
  | { readonly kind: 'content'; readonly content: ContentId | undefined }
  /** Substring without regard to case, of the decoded value; empty text asks whether the field is there. Lower-case name. */
  | { readonly kind: 'header'; readonly name: string; readonly text: string }
  | { readonly kind: 'body'; readonly text: string }
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'not'; readonly key: SearchKey }
  | { readonly kind: 'and'; readonly keys: readonly SearchKey[] }
  | { readonly kind: 'or'; readonly keys: readonly SearchKey[] }

/** One message as search sees it. Columns are read when asked and only before the first await. */
export interface SearchSubject {
  readonly uid: Uid
  readonly flags: readonly Flag[]
  readonly internalDateMs: number
  readonly savedMs: number
  readonly size: number
  readonly modSeq: ModSeq
  readonly content: ContentId
  /** Fields with at least the given names (lower case). */
  header(names: readonly string[]): readonly HeaderField[] | Promise<readonly HeaderField[]>
  message(): Uint8Array | Promise<Uint8Array>
}

interface Known {
  readonly subject: SearchSubject
  readonly header?: readonly HeaderField[]
  readonly texts?: MessageTexts
}

/** Case and composition folded away on both sides. */
export const foldText = (text: string): string => text.normalize('NFC').toLowerCase()

/** A query made ready: texts folded once, names of needed fields collected. */
export interface Query {
  readonly key: SearchKey
  readonly fields: readonly string[]
}

export function prepareQuery(key: SearchKey): Query {
  const fields = new Set<string>()
  const fold = (given: SearchKey): SearchKey => {
    if (given.kind === 'header') fields.add(given.name)
    if (given.kind === 'sent-date') fields.add('date')
    if ('text' in given) return { ...given, text: foldText(given.text) }
    if (given.kind === 'flag') return { ...given, flag: given.flag.toLowerCase() }
    if (given.kind === 'not') return { ...given, key: fold(given.key) }
    return 'keys' in given ? { ...given, keys: given.keys.map(fold) } : given
  }
  return { key: fold(key), fields: [...fields] }
}

const sliceMs = 8 // ours: how long a search may keep the thread

/** UIDs that match, in the order given. A message that is gone (`undefined` subject) does not match. */
export async function search(
  uids: Iterable<Uid>,
  subjectOf: (uid: Uid) => SearchSubject | undefined,
  query: Query,
  { signal }: { readonly signal: AbortSignal },
): Promise<Uid[]> {
  const found: Uid[] = []
  let sliceStart = performance.now()
  for (const uid of uids) {
    const subject = subjectOf(uid)
    if (subject === undefined) continue
    const matched = matches(subject, query)
    if (matched === true || (matched !== false && (await matched))) found.push(uid)
    if (performance.now() - sliceStart > sliceMs) {
      await setImmediate()
      signal.throwIfAborted()
      sliceStart = performance.now()
    }
  }
  return found
}

function matches(subject: SearchSubject, query: Query): boolean | Promise<boolean> {
  const fromColumns = judge(query.key, { subject })
  return fromColumns ?? fromContent(subject, query)
}

async function fromContent(subject: SearchSubject, { key, fields }: Query): Promise<boolean> {
  const { uid, flags, internalDateMs, savedMs, size, modSeq, content } = subject
  const header = await subject.header(fields)
  const columns = { uid, flags, internalDateMs, savedMs, size, modSeq, content }
  const kept: SearchSubject = { ...columns, header: () => header, message: () => subject.message() }
  const fromHeader = judge(key, { subject: kept, header })
  if (fromHeader !== undefined) return fromHeader
  return judge(key, { subject: kept, header, texts: new MessageTexts(await subject.message()) }) ?? false
}

/** `undefined`: what is known does not decide. */
function judge(key: SearchKey, known: Known): boolean | undefined {
  const { subject } = known
  switch (key.kind) {
    case 'all':
      return true
    case 'flag':
      return subject.flags.some((flag) => flag.toLowerCase() === key.flag)
    case 'uids':
      return inRanges(key.ranges, subject.uid)
    case 'internal-date':
      return within(subject.internalDateMs, key.period)
    case 'saved-date':
      return within(subject.savedMs, key.period)
    case 'larger':
      return subject.size > key.than
    case 'smaller':
      return subject.size < key.than
    case 'changed-since':
      return subject.modSeq >= key.modSeq
    case 'content':
      return subject.content === key.content
    case 'sent-date':
      return known.header === undefined ? undefined : within(sentDay(known.header), key.period)
    case 'header':
      return known.header?.some(
        ({ name, value }) => name === key.name && foldText(decodeWords(value)).includes(key.text),
      )
    case 'body':
      return known.texts?.bodyIncludes(key.text)
    case 'text':
      return known.texts?.includes(key.text)
    case 'not': {
      const inner = judge(key.key, known)
      return inner === undefined ? undefined : !inner
    }
    case 'and':
      return all(key.keys, known, false)
    case 'or':
      return all(key.keys, known, true)
    default:
      return unreachable(key)
  }
}

/** Decides as soon as one key is `decisive`; else the opposite once every key is known. */
function all(keys: readonly SearchKey[], known: Known, decisive: boolean): boolean | undefined {
  let isOpen = false
  for (const key of keys) {
    const result = judge(key, known)
    if (result === decisive) return decisive
    if (result === undefined) isOpen = true
  }
  return isOpen ? undefined : !decisive
}

function inRanges(ranges: readonly { readonly from: number; readonly to: number }[], value: number): boolean {
  let low = 0
  let high = ranges.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if (ranges[middle]!.to < value) low = middle + 1
    else high = middle
  }
  return low < ranges.length && ranges[low]!.from <= value
}

const within = (ms: number | undefined, { from = -Infinity, to = Infinity }: Period): boolean =>
  ms !== undefined && ms >= from && ms < to

const months = ['jan', 'feb', 'mar', 'apr', 'may', 'jun', 'jul', 'aug', 'sep', 'oct', 'nov', 'dec']

/** Midnight UTC of the day that the Date field names (RFC 9051 §6.4.4: disregarding time and zone). */
function sentDay(header: readonly HeaderField[]): number | undefined {
  const written = header.find(({ name }) => name === 'date')?.value.slice(0, 200)
  const parts = written === undefined ? null : /(\d{1,2})\s+([a-z]{3})[a-z]*\s+(\d{4}|\d{2})\b/i.exec(written)
  const month = parts === null ? -1 : months.indexOf(parts[2]!.toLowerCase())
  if (parts === null || month < 0) return undefined
  const year = Number(parts[3])
  return Date.UTC(parts[3]!.length === 2 ? (year < 50 ? 2000 + year : 1900 + year) : year, month, Number(parts[1]))
}

/** Everything in a message that a reader would call its text, folded when first asked. */
class MessageTexts {
  readonly #bytes: Uint8Array
  #headerText: string | undefined
  #bodyTexts: readonly string[] | undefined

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
  }

  includes(text: string): boolean {
    this.#headerText ??= headerTextOf(this.#bytes)
    return this.#headerText.includes(text) || this.bodyIncludes(text)
  }

  bodyIncludes(text: string): boolean {
    this.#bodyTexts ??= bodyTextsOf(this.#bytes)
    return this.#bodyTexts.some((body) => body.includes(text))
  }
}

const headerTextOf = (bytes: Uint8Array): string =>
  foldText(
    parseHeaders(bytes)
      .fields.map(({ name, value }) => `${name}: ${decodeWords(value)}`)
      .join('\n'),
  )

/** Decoded text parts, headers of embedded messages, and the names of attachments. */
function bodyTextsOf(bytes: Uint8Array): readonly string[] {
  const root = parseMime(bytes)
  const texts: string[] = []
  for (const part of eachPart(root)) {
    if (part !== root) {
      for (const { name, value } of part.headers.fields) {
        texts.push(foldText(`${name}: ${decodeWords(value)}`))
        if (name !== 'content-type' && name !== 'content-disposition') continue
        for (const parameter of parseParameters(value).parameters.values()) texts.push(foldText(parameter))
      }
    }
    if (part.type === 'text') texts.push(foldText(textOfPart(bytes, part)))
  }
  return texts
}

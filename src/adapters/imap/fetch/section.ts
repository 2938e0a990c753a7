/** BODY[…] with its sections and partial ranges, and the older RFC822 items that are names for some of them. */
import { concat } from '../../../core/bytes.ts'
import type { ContentId } from '../../../core/ids.ts'
import { limits } from '../../../core/limits.ts'
import { type HeaderField, parseHeaders } from '../../../core/message/header.ts'
import { type Arguments, BadSyntax } from '../arguments.ts'
import { type ByteRange, readContent, writeContent, writeString } from '../content.ts'
import { astring } from '../encoder.ts'
import { chooseFields } from '../listed-fields.ts'
import type { Session } from '../session.ts'
import type { PartRange, Summary } from '../summary.ts'
import type { FetchItem, FetchTarget } from './item.ts'

type What = 'all' | 'header' | 'fields' | 'other-fields' | 'text' | 'mime'

export interface Section {
  /** As in the answer, without partial range. */
  readonly label: string
  readonly path: string
  readonly what: What
  /** Lower case. */
  readonly names: ReadonlySet<string>
}

export interface Partial {
  readonly offset: number
  readonly count: number
}

/** After `BODY` or `BODY.PEEK`: `[…]` and maybe `<0.100>`. */
export function readBodySection(args: Arguments, isPeek: boolean): FetchItem {
  const section = readSection(args)
  return sectionItem(section, readPartial(args), isPeek)
}

/** `1.2.3`, or nothing. */
export function readPath(args: Arguments): string {
  const numbers: number[] = []
  while (args.isDigitNext()) {
    numbers.push(args.digits())
    if (numbers.length > limits.mimeDepthMax) throw new BadSyntax('Part number too deep')
    if (!args.skip('.')) break
  }
  return numbers.join('.')
}

/** From its opening bracket. */
export function readSection(args: Arguments): Section {
  args.expect('[')
  const path = readPath(args)
  if (args.skip(']')) return { label: `BODY[${path}]`, path, what: 'all', names: new Set() }
  const word = args.word()
  const prefix = path === '' ? '' : `${path}.`
  const simple: Readonly<Record<string, What>> = { HEADER: 'header', TEXT: 'text', MIME: 'mime' }
  if (Object.hasOwn(simple, word)) {
    if (word === 'MIME' && path === '') throw new BadSyntax('MIME needs a part number')
    args.expect(']')
    return { label: `BODY[${prefix}${word}]`, path, what: simple[word]!, names: new Set() }
  }
  if (word !== 'HEADER.FIELDS' && word !== 'HEADER.FIELDS.NOT') throw new BadSyntax('Unknown section')
  args.sp()
  const names = args.list(() => args.astring())
  args.expect(']')
  return {
    label: `BODY[${prefix}${word} (${names.map(astring).join(' ')})]`,
    path,
    what: word === 'HEADER.FIELDS' ? 'fields' : 'other-fields',
    names: new Set(names.map((name) => name.toLowerCase())),
  }
}

export function readPartial(args: Arguments): Partial | undefined {
  if (!args.skip('<')) return undefined
  const offset = args.digits()
  args.expect('.')
  const count = args.digits()
  args.expect('>')
  if (count === 0) throw new BadSyntax('A partial range of nothing')
  return { offset, count }
}

export const partialLabel = (partial: Partial | undefined): string =>
  partial === undefined ? '' : `<${partial.offset}>`

export function cut({ from, to }: ByteRange, partial: Partial | undefined): ByteRange {
  if (partial === undefined) return { from, to }
  const start = Math.min(to, from + partial.offset)
  return { from: start, to: Math.min(to, start + partial.count) }
}

function sectionItem(section: Section, partial: Partial | undefined, isPeek: boolean): FetchItem {
  const { what, path, names } = section
  const label = `${section.label}${partialLabel(partial)} `
  const choice = what === 'fields' && path === '' ? chooseFields(names) : undefined
  const writeFields = (target: FetchTarget): void | Promise<void> => {
    const { session, summary } = target
    session.out.text(label)
    const kept = choice === undefined ? undefined : summary!.fields(choice)
    if (kept !== undefined) return writePieces(session, [...kept, crlf], partial)
    const write = (header: Uint8Array): void => {
      const chosen = filterFields(header, (name) => names.has(name) === (what === 'fields'))
      const { from, to } = cut({ from: 0, to: chosen.length }, partial)
      writeString(session, chosen.subarray(from, to))
    }
    const range = headerRange(summary!, path)
    return range === undefined ? session.out.text('NIL') : readContent(session, target.content!, range).then(write)
  }
  const writeRange = ({ session, summary, content }: FetchTarget): void | Promise<void> => {
    session.out.text(label)
    const range = rangeOf(summary!, path, what)
    return range === undefined ? session.out.text('NIL') : writeContent(session, content!, cut(range, partial))
  }
  const isFields = what === 'fields' || what === 'other-fields'
  return { needs: 'content', setsSeen: !isPeek, write: isFields ? writeFields : writeRange }
}

/** One IMAP string of several pieces. */
function writePieces(session: Session, pieces: readonly Uint8Array[], partial: Partial | undefined): void {
  if (partial !== undefined) {
    const whole = concat(...pieces)
    const { from, to } = cut({ from: 0, to: whole.length }, partial)
    writeString(session, whole.subarray(from, to))
    return
  }
  const { out } = session
  let octets = 0
  for (const { length } of pieces) octets += length
  out.text('{')
  out.number(octets)
  out.text('}\r\n')
  for (const piece of pieces) out.bytes(piece)
}

/** A section of any message: chosen header fields as octets, anything else as a range. */
export async function sectionContent(
  session: Session,
  { content, summary }: { readonly content: ContentId; readonly summary: Summary },
  { path, what, names }: Section,
): Promise<Uint8Array | ByteRange | undefined> {
  if (what !== 'fields' && what !== 'other-fields') return rangeOf(summary, path, what)
  const range = headerRange(summary, path)
  if (range === undefined) return undefined
  const header = await readContent(session, content, range)
  return filterFields(header, (name) => names.has(name) === (what === 'fields'))
}

function headerRange(summary: Summary, path: string): ByteRange | undefined {
  return rangeOf(summary, path, 'header')
}

function rangeOf(summary: Summary, path: string, what: What): ByteRange | undefined {
  const part = summary.part(path)
  if (part === undefined) return undefined
  // Below the top, HEADER and TEXT speak of the message that a message/rfc822 part holds.
  const message: Omit<PartRange, 'path' | 'encoding' | 'message'> | undefined = path === '' ? part : part.message
  if (what === 'mime') return { from: part.headerStart, to: part.bodyStart }
  if (what === 'all') return { from: path === '' ? part.headerStart : part.bodyStart, to: part.bodyEnd }
  if (message === undefined) return undefined
  return what === 'text'
    ? { from: message.bodyStart, to: message.bodyEnd }
    : { from: message.headerStart, to: message.bodyStart }
}

const crlf = Buffer.from('\r\n')

/** The fields as they stand, in order, and the empty line. */
function filterFields(header: Uint8Array, wanted: (name: string) => boolean): Uint8Array {
  const { fields } = parseHeaders(header)
  const chosen = fields.filter(({ name }: HeaderField) => wanted(name))
  return concat(...chosen.map(({ start, end }) => header.subarray(start, end)), crlf)
}

export const rfc822 = sectionItem({ label: 'RFC822', path: '', what: 'all', names: new Set() }, undefined, false)
export const rfc822Header = sectionItem(
  { label: 'RFC822.HEADER', path: '', what: 'header', names: new Set() },
  undefined,
  true,
)
export const rfc822Text = sectionItem(
  { label: 'RFC822.TEXT', path: '', what: 'text', names: new Set() },
  undefined,
  false,
)

/**
 * What a person wrote in an answer: without the words that the program put there from what is answered, where these
 * stand at the beginning or at the end and are what was answered, word by word, and without the signature below. What is
 * cut through or changed is the person's, and stays.
 */
import { textOfHtml } from '../../message/html-text.ts'

/** What is answered, as its mail shows it. */
export interface Answered {
  readonly words: string
  /** By which a line before a quotation names its author: name and address. */
  readonly names: readonly string[]
}

const signatureLinesMax = 12
const attributionLinesMax = 3
const attributionCharsMax = 400

const flat = (text: string): string => text.replaceAll(/\s+/g, ' ').trim()

export function ownWords(text: string, answered: Answered | undefined): string {
  const lines = text.split(/\r\n|\n/)
  const own = withoutSignature(answered === undefined ? lines : withoutQuotation(lines, answered))
  const words = own.join('\n').trim()
  return words === '' ? text.trim() : words
}

function withoutSignature(lines: readonly string[]): readonly string[] {
  const at = lines.lastIndexOf('-- ')
  const isShort = lines.length - at - 1 <= signatureLinesMax
  return at >= 0 && isShort && !lines.slice(at).some(isQuoted) ? lines.slice(0, at) : lines
}

const isQuoted = (line: string): boolean => line.startsWith('>')
const isBlank = (line: string): boolean => line.trim() === ''

/** At the end, or at the beginning; a person answers above or below. */
function withoutQuotation(lines: readonly string[], answered: Answered): readonly string[] {
  const last = lines.findLastIndex((line) => !isBlank(line))
  if (last >= 0 && isQuoted(lines[last]!)) {
    const start = lines.slice(0, last + 1).findLastIndex((line) => !isQuoted(line)) + 1
    if (isTheirs(lines.slice(start, last + 1), answered))
      return lines.slice(0, beginOfAttribution(lines, start, answered))
  }
  const first = lines.findIndex(isQuoted)
  if (first < 0) return lines
  const begin = beginOfAttribution(lines, first, answered)
  if (!lines.slice(0, begin).every(isBlank)) return lines
  const after = lines.findIndex((line, index) => index > first && !isQuoted(line))
  const end = after < 0 ? lines.length : after
  return isTheirs(lines.slice(first, end), answered) ? lines.slice(end) : lines
}

/** All of it; what the gateway said below it may be there or not. */
function isTheirs(quotation: readonly string[], { words }: Answered): boolean {
  return isSame(quotation.map((line) => line.replace(/^> ?/, '')).join('\n'), words)
}

function isSame(quotation: string, words: string): boolean {
  const [theirs, said] = [flat(quotation), flat(words)]
  return said !== '' && (theirs === said || theirs.startsWith(`${said} -- `))
}

/** Where the lines begin that say who is quoted, if any do. */
function beginOfAttribution(lines: readonly string[], quotation: number, answered: Answered): number {
  const end = quotation > 0 && isBlank(lines[quotation - 1]!) ? quotation - 1 : quotation
  let found: number | undefined
  for (let begin = end - 1; begin >= Math.max(0, end - attributionLinesMax); begin -= 1) {
    if (isBlank(lines[begin]!)) break
    // the fewest lines that name the author; another one above only where it begins as such lines do
    const isOne = isAttribution(lines.slice(begin, end).join(' '), answered)
    if (isOne && (found === undefined || opening.test(lines[begin]!))) found = begin
  }
  return found ?? quotation
}

/** `On 1 December 2026`, as programs write it in some languages. */
const opening = /^(?:On|Am|Le|El|Il|Op|Em|Den|På|Dne|W dniu)\s.{0,60}\d/

const isAttribution = (text: string, { names }: Answered): boolean => {
  const line = flat(text)
  return line.endsWith(':') && line.length <= attributionCharsMax && names.some((name) => line.includes(flat(name)))
}

/** The same of HTML: the one quotation in it, with what says whose it is before it. */
export function ownHtml(html: string, answered: Answered | undefined): string {
  const start = html.search(/<blockquote\b/i)
  const end = html.toLowerCase().lastIndexOf('</blockquote>')
  if (answered === undefined || start < 0 || end < start) return html
  if (!isSame(textOfHtml(html.slice(start, end)), answered.words)) return html
  const before = html.slice(0, start)
  const element = Math.max(before.toLowerCase().lastIndexOf('<div'), before.toLowerCase().lastIndexOf('<p'))
  const isNamed = element >= 0 && isAttribution(textOfHtml(before.slice(element)), answered)
  const own = (isNamed ? before.slice(0, element) : before) + html.slice(end + '</blockquote>'.length)
  return textOfHtml(own) === '' ? html : own
}

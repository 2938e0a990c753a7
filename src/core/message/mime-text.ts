/** Readable text of a mail's parts: for search and previews. */
import { decodeCharset, decodeTransfer } from './mime-words.ts'
import type { MimePart } from './mime.ts'

/** Depth first, embedded messages included. */
export function* eachPart(part: MimePart): Generator<MimePart> {
  yield part
  for (const child of part.parts) yield* eachPart(child)
  if (part.message !== undefined) yield* eachPart(part.message)
}

/** A text part's content in Unicode; at most `octetsMax` octets of it are decoded. */
export function textOfPart(bytes: Uint8Array, part: MimePart, octetsMax = Infinity): string {
  return decodedText(bytes.subarray(part.bodyStart, Math.min(part.bodyEnd, part.bodyStart + octetsMax)), part)
}

const decodedText = (body: Uint8Array, part: MimePart): string =>
  decodeCharset(decodeTransfer(body, part.encoding ?? '7bit'), part.contentType.parameters.get('charset'))

const skipped = /^(?:script|style|head|title)$/i

/** Words of an HTML text: tags dropped, the commonest entities decoded. One pass. */
export function textOfHtml(html: string): string {
  let text = ''
  let at = 0
  while (at < html.length) {
    const open = html.indexOf('<', at)
    text += html.slice(at, open < 0 ? html.length : open)
    if (open < 0) break
    const close = html.indexOf('>', open)
    if (close < 0) break
    const name = /^[a-z\d]+/i.exec(html.slice(open + 1, open + 20))?.[0] ?? ''
    const end = skipped.test(name) ? endOfElement(html, close, name) : close
    text += ' '
    at = end + 1
  }
  return text.replaceAll(/&(?:amp|lt|gt|quot|nbsp|#39);/g, (entity) => entities[entity]!)
}

function endOfElement(html: string, from: number, name: string): number {
  const end = html.indexOf(`</${name}`, from)
  const close = end < 0 ? -1 : html.indexOf('>', end)
  return close < 0 ? html.length : close
}

const entities: Readonly<Record<string, string>> = {
  '&amp;': '&',
  '&lt;': '<',
  '&gt;': '>',
  '&quot;': '"',
  '&nbsp;': ' ',
  '&#39;': "'",
}

const previewOctetsMax = 16 * 1024

/** Where the text of a preview may be: the parts to try, in order, and how much of each. */
export function* previewRanges(root: MimePart): Generator<{ part: MimePart; from: number; to: number }> {
  for (const part of eachPart(root)) {
    if (part.type !== 'text' || part.message !== undefined) continue
    yield { part, from: part.bodyStart, to: Math.min(part.bodyEnd, part.bodyStart + previewOctetsMax) }
  }
}

/** What a list of messages shows below the subject: the first words of a text part, on one line; empty when it has none. */
export function previewText(body: Uint8Array, part: MimePart, charsMax: number): string {
  const text = decodedText(body, part)
  const readable = part.subtype === 'html' ? textOfHtml(text) : text
  const line = readable
    .slice(0, 4096)
    .replaceAll(/[\s\p{Cc}]+/gu, ' ')
    .trim()
  return Array.from(line).slice(0, charsMax).join('')
}

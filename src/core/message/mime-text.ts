/** Readable text of a mail's parts: for search and previews. */
import { charsetOfHtml, textOfHtml } from './html-text.ts'
import { decodeCharset, decodeTransfer } from './mime-words.ts'
import type { MimePart } from './mime.ts'

/** Depth first, embedded messages included. */
export function* eachPart(part: MimePart): Generator<MimePart> {
  yield part
  for (const child of part.parts) yield* eachPart(child)
  if (part.message !== undefined) yield* eachPart(part.message)
}

/** Reports of delivery and the like are texts too. */
export const isReadable = ({ type, message }: MimePart): boolean =>
  type === 'text' || (type === 'message' && message === undefined)

/** A text part's content in Unicode; at most `octetsMax` octets of it are decoded. */
export function textOfPart(bytes: Uint8Array, part: MimePart, octetsMax = Infinity): string {
  return decodedText(bytes.subarray(part.bodyStart, Math.min(part.bodyEnd, part.bodyStart + octetsMax)), part)
}

function decodedText(body: Uint8Array, part: MimePart): string {
  const octets = decodeTransfer(body, part.encoding ?? '7bit')
  const charset = part.contentType.parameters.get('charset')
  return decodeCharset(octets, charset ?? (part.subtype === 'html' ? charsetOfHtml(octets) : undefined))
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

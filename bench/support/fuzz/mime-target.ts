/** Everything that reads mail, on one input: it must not throw, must not be slow, and two ways of reading must agree. */
import { imapSummariser } from '../../../src/adapters/imap/summary.ts'
import { decodeWords } from '../../../src/core/message/mime-words.ts'
import { type MimePart, parseMime } from '../../../src/core/message/mime.ts'
import { textOfPart } from '../../../src/core/message/mime-text.ts'

/** @returns milliseconds it took. @throws when something is wrong with the result */
export function readMail(bytes: Uint8Array): number {
  const startedAt = performance.now()
  const root = parseMime(bytes)
  inside(root, 0, bytes.length)
  visit(root, (part) => {
    if (part.type === 'text') textOfPart(bytes, part)
    for (const { value } of part.headers.fields) decodeWords(value)
  })
  imapSummariser.summarise(bytes)
  return performance.now() - startedAt
}

function visit(part: MimePart, each: (part: MimePart) => void): void {
  each(part)
  for (const child of part.parts) visit(child, each)
  if (part.message !== undefined) visit(part.message, each)
}

function inside(part: MimePart, from: number, to: number): void {
  const { headerStart, bodyStart, bodyEnd } = part
  if (headerStart < from || bodyStart < headerStart || bodyEnd < bodyStart || bodyEnd > to) {
    throw new Error(`a part at ${headerStart}, ${bodyStart}, ${bodyEnd} lies outside of ${from} to ${to}`)
  }
  for (const child of part.parts) inside(child, bodyStart, bodyEnd)
  if (part.message !== undefined) inside(part.message, bodyStart, bodyEnd)
}

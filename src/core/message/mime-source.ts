/** Mail that is too long to be held, read in windows. */
import { MyceliumError } from '../errors.ts'
import { eachPart, isReadable } from './mime-text.ts'
import type { MimePart } from './mime.ts'
import { MimeStream } from './mime-stream.ts'

/** A message to be read in pieces. */
export interface MessageSource {
  /** Octets. */
  readonly size: number
  /** From `from` (inclusive) to `to` (exclusive), all of it. */
  read(from: number, to: number): Promise<Uint8Array>
}

const windowBytes = 256 * 1024 // ours: of a large mail, in memory at a time

/** What `parseMime` finds in the whole. */
export async function parseMimeSource(source: MessageSource): Promise<MimePart> {
  const stream = new MimeStream()
  for await (const window of windows(source, 0, source.size)) stream.push(window)
  return stream.finish()
}

/**
 * The message without the bodies of its attachments: its searchable text is that of the whole.
 * @throws `too-large` when more than `bytesMax` octets are left
 */
export async function readableMessage(source: MessageSource, bytesMax = Infinity): Promise<Uint8Array> {
  const ranges = readableRanges(await parseMimeSource(source), source.size)
  const bytes = ranges.reduce((sum, { from, to }) => sum + to - from, 0)
  if (bytes > bytesMax) throw new MyceliumError('too-large', { bytes })
  const message = new Uint8Array(bytes)
  let length = 0
  for (const { from, to } of ranges) {
    for await (const window of windows(source, from, to)) {
      message.set(window, length)
      length += window.length
    }
  }
  return message
}

async function* windows(source: MessageSource, start: number, end: number): AsyncGenerator<Uint8Array> {
  for (let from = start; from < end; from += windowBytes)
    yield await source.read(from, Math.min(end, from + windowBytes))
}

/** Delimiters and header sections stay where they are, so the message keeps its parts. */
function readableRanges(root: MimePart, size: number): readonly { readonly from: number; readonly to: number }[] {
  const ranges: { from: number; to: number }[] = []
  let from = 0
  for (const part of eachPart(root)) {
    if (part.type === 'multipart' || part.message !== undefined || isReadable(part)) continue
    ranges.push({ from, to: part.bodyStart })
    from = part.bodyEnd
  }
  return [...ranges, { from, to: size }]
}

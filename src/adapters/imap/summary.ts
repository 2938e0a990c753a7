/**
 * What IMAP wants back fast of each message, made once at delivery: ENVELOPE, BODY and BODYSTRUCTURE ready to send,
 * where each part begins and ends, a preview, and the header fields that mail programs list.
 */
import { concat, fromLatin1, fromUtf8 } from '../../core/bytes.ts'
import type { MessageSource, Summariser } from '../../core/mailbox/mailbox.ts'
import type { MimePart } from '../../core/message/mime.ts'
import { parseMime } from '../../core/message/mime.ts'
import { MimeStream } from '../../core/message/mime-stream.ts'
import { previewRanges, previewText } from '../../core/message/mime-text.ts'
import { type TransferEncoding, transferEncodings } from '../../core/message/mime-words.ts'
import { largeMail } from './large-mail.ts'
import { envelopeOf, structureOf } from './structure.ts'

/** Fields that Thunderbird, K-9, Apple Mail and mutt fetch for their lists; lower case. */
const listedFields: ReadonlySet<string> = new Set(
  (
    'from to cc bcc subject date message-id priority x-priority references newsgroups in-reply-to content-type reply-to ' +
    'sender list-unsubscribe list-unsubscribe-post list-id list-post x-k9mail-identity importance x-label lines ' +
    'delivered-to return-path mime-version chat-version autocrypt-setup-message disposition-notification-to mycelium-trust ' +
    'content-transfer-encoding x-uniform-type-identifier x-universally-unique-identifier received-spf'
  ).split(' '),
)
const listedBytesMax = 16 * 1024 // ours: above it, header fields are read from the message

const previewCharsMax = 200 // RFC 8970 §3.1
const windowBytes = 256 * 1024 // ours: of a large mail, in memory at a time

export interface PartRange {
  /** `` for the whole message, `1.2` as in BODY[1.2]. */
  readonly path: string
  readonly headerStart: number
  readonly bodyStart: number
  readonly bodyEnd: number
  readonly encoding: TransferEncoding | undefined
  /** Of an embedded message: where its own header and text are. */
  readonly message: { readonly headerStart: number; readonly bodyStart: number; readonly bodyEnd: number } | undefined
}

// ◆ Layout, version 1: u32 × 6 section lengths, u8 whether the listed fields are complete, then the sections.
const sectionNames = ['envelope', 'body', 'bodyStructure', 'preview', 'parts', 'fields'] as const
type SectionName = (typeof sectionNames)[number]
const headBytes = sectionNames.length * 4 + 1

export const imapSummariser: Summariser = {
  version: 1,
  summarise,
  summariseLarge: (source) => largeMail.summarise(source),
}

function summarise(message: Uint8Array): Uint8Array {
  const root = parseMime(message)
  let preview = ''
  for (const { part, from, to } of previewRanges(root)) {
    preview = previewText(message.subarray(from, to), part, previewCharsMax)
    if (preview !== '') break
  }
  return rendered(root, { fields: listed(message, root), preview })
}

/** The same for a mail that is not held: read once from its beginning to its end, and then where it matters. */
export async function summariseStream(source: MessageSource): Promise<Uint8Array> {
  const stream = new MimeStream()
  for (let at = 0; at < source.size; at += windowBytes) {
    stream.push(await source.read(at, Math.min(source.size, at + windowBytes)))
  }
  const root = stream.finish()
  let preview = ''
  for (const { part, from, to } of previewRanges(root)) {
    preview = previewText(await source.read(from, to), part, previewCharsMax)
    if (preview !== '') break
  }
  const header = root.headers.truncated ? new Uint8Array() : await source.read(0, root.bodyStart)
  return rendered(root, { fields: listed(header, root), preview })
}

function rendered(
  root: MimePart,
  { fields, preview }: { readonly fields: Uint8Array | undefined; readonly preview: string },
): Uint8Array {
  const sections: Record<SectionName, Uint8Array> = {
    envelope: fromLatin1(envelopeOf(root.headers)),
    body: fromLatin1(structureOf(root, false)),
    bodyStructure: fromLatin1(structureOf(root, true)),
    preview: fromUtf8(preview),
    parts: fromLatin1(partTable(root)),
    fields: fields ?? new Uint8Array(),
  }
  const head = Buffer.alloc(headBytes)
  for (const [index, name] of sectionNames.entries()) head.writeUInt32BE(sections[name].length, index * 4)
  head[headBytes - 1] = fields === undefined ? 0 : 1
  return concat(head, ...sectionNames.map((name) => sections[name]))
}

/** The listed fields as they stand in the message, of which the header section is enough, in order; `undefined` when that would not be all of them, or too much. */
function listed(message: Uint8Array, { headers }: MimePart): Uint8Array | undefined {
  if (headers.truncated) return undefined
  const found = headers.fields.filter(({ name }) => listedFields.has(name))
  const bytes = concat(...found.map(({ start, end }) => message.subarray(start, end)))
  return bytes.length > listedBytesMax ? undefined : bytes
}

/** One line a part: path, offsets, encoding. */
function partTable(root: MimePart): string {
  const lines: string[] = [partLine('', root)]
  const addEntity = (entity: MimePart, prefix: string): void => {
    if (entity.type === 'multipart')
      for (const [index, child] of entity.parts.entries()) addPart(child, `${prefix}${index + 1}`)
    else addPart(entity, `${prefix}1`)
  }
  const addPart = (part: MimePart, path: string): void => {
    lines.push(partLine(path, part))
    for (const [index, child] of part.parts.entries()) addPart(child, `${path}.${index + 1}`)
    if (part.message !== undefined) addEntity(part.message, `${path}.`)
  }
  addEntity(root, '')
  return lines.join('\n')
}

function partLine(path: string, { headerStart, bodyStart, bodyEnd, encoding, message }: MimePart): string {
  const inner = message === undefined ? [] : [message.headerStart, message.bodyStart, message.bodyEnd]
  const code = encoding === undefined ? -1 : transferEncodings.indexOf(encoding)
  return [path, code, headerStart, bodyStart, bodyEnd, ...inner].join(' ')
}

/** Reads a summary in place. */
export class Summary {
  readonly #bytes: Buffer
  #parts: readonly PartRange[] | undefined

  constructor(bytes: Uint8Array) {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  }

  /** Octets to send as they are. */
  section(name: 'envelope' | 'body' | 'bodyStructure' | 'preview'): Uint8Array {
    const { start, end } = this.#range(name)
    return this.#bytes.subarray(start, end)
  }

  /** Listed header fields as they stand in the message; `undefined` when any of `names` (lower case) is not kept here. */
  fields(names: Iterable<string>): Uint8Array | undefined {
    if (this.#bytes[headBytes - 1] !== 1) return undefined
    for (const name of names) if (!listedFields.has(name)) return undefined
    const { start, end } = this.#range('fields')
    return this.#bytes.subarray(start, end)
  }

  /** `undefined` for a part that is not there. */
  part(path: string): PartRange | undefined {
    this.#parts ??= this.#readParts()
    return this.#parts.find((part) => part.path === path)
  }

  #readParts(): readonly PartRange[] {
    const { start, end } = this.#range('parts')
    return this.#bytes
      .toString('latin1', start, end)
      .split('\n')
      .map((line) => {
        const [path, ...rest] = line.split(' ')
        const [code, headerStart, bodyStart, bodyEnd, ...inner] = rest.map(Number)
        const message =
          inner.length === 3 ? { headerStart: inner[0]!, bodyStart: inner[1]!, bodyEnd: inner[2]! } : undefined
        const ranges = { headerStart: headerStart!, bodyStart: bodyStart!, bodyEnd: bodyEnd! }
        return { path: path!, encoding: transferEncodings[code!], ...ranges, message }
      })
  }

  #range(name: SectionName): { start: number; end: number } {
    const index = sectionNames.indexOf(name)
    let start = headBytes
    for (let before = 0; before < index; before += 1) start += this.#bytes.readUInt32BE(before * 4)
    return { start, end: start + this.#bytes.readUInt32BE(index * 4) }
  }
}

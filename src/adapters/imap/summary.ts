/**
 * What IMAP wants back fast of each message, made once at delivery: ENVELOPE, BODY and BODYSTRUCTURE ready to send,
 * where each part begins and ends, a preview, and the header fields that mail programs list.
 */
import { concat, fromLatin1, fromUtf8 } from '../../core/bytes.ts'
import type { Summariser } from '../../core/mailbox/mailbox.ts'
import type { MimePart } from '../../core/message/mime.ts'
import { parseMime } from '../../core/message/mime.ts'
import { type MessageSource, parseMimeSource } from '../../core/message/mime-source.ts'
import { previewRanges, previewText } from '../../core/message/mime-text.ts'
import { type TransferEncoding, transferEncodings } from '../../core/message/mime-words.ts'
import { largeMail } from './large-mail.ts'
import { chosenFields, type FieldChoice, packListedFields } from './listed-fields.ts'
import { envelopeOf, structureOf } from './structure.ts'

const previewCharsMax = 200 // RFC 8970 §3.1

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

// ◆ Layout, version 2: u32 × 6 section lengths, u8 whether the listed fields are complete, then the sections.
const sectionNames = ['envelope', 'body', 'bodyStructure', 'preview', 'parts', 'fields'] as const
type SectionName = (typeof sectionNames)[number]
const headBytes = sectionNames.length * 4 + 1

export const imapSummariser: Summariser = {
  version: 2,
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
  const root = await parseMimeSource(source)
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

/** `undefined` when that would not be all of them, or too much. */
const listed = (message: Uint8Array, { headers }: MimePart): Uint8Array | undefined =>
  headers.truncated ? undefined : packListedFields(message, headers.fields)

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
    this.#bytes = Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  }

  /** Octets to send as they are. */
  section(name: 'envelope' | 'body' | 'bodyStructure' | 'preview'): Uint8Array {
    const { start, end } = this.#range(name)
    return this.#bytes.subarray(start, end)
  }

  /** Header fields as they stand in the message, in pieces; `undefined` when they are not kept here. */
  fields(choice: FieldChoice): readonly Uint8Array[] | undefined {
    if (this.#bytes[headBytes - 1] !== 1) return undefined
    const { start, end } = this.#range('fields')
    return chosenFields(this.#bytes.subarray(start, end), choice)
  }

  /** `undefined` for a part that is not there. */
  part(path: string): PartRange | undefined {
    this.#parts ??= this.#readParts()
    return this.#parts.find((part) => part.path === path)
  }

  /** Parts without parts of their own that are in the transfer encoding `binary`, in order. */
  binaryParts(): readonly PartRange[] {
    this.#parts ??= this.#readParts()
    const paths = this.#parts.map(({ path }) => path)
    return this.#parts.filter(
      ({ path, encoding }) =>
        path !== '' && encoding === 'binary' && !paths.some((other) => other.startsWith(`${path}.`)),
    )
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

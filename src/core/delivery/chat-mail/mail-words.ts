/**
 * A mail taken apart for a conversation: text, the same as HTML, and files. `undefined` for everything that a
 * conversation cannot hold without loss: signed, encrypted and forwarded mail, invitations, reports, deeper structures.
 */
import { fromUtf8 } from '../../bytes.ts'
import { limits } from '../../limits.ts'
import { unflowed } from '../../message/flowed.ts'
import { valuesOf } from '../../message/header.ts'
import { linesOfHtml } from '../../message/html-text.ts'
import { decodeTransfer, isKnownCharset, parseParameters } from '../../message/mime-words.ts'
import { textOfPart } from '../../message/mime-text.ts'
import { type MimePart, parseMime } from '../../message/mime.ts'
import { safeHtml } from '../../message/safe-html.ts'

export interface MailWords {
  readonly text: string
  readonly html: string | undefined
  readonly files: readonly MailFile[]
}

export interface MailFile {
  readonly name: string
  readonly mediaType: string
  readonly bytes: Uint8Array
}

interface Body {
  readonly text: string | undefined
  readonly html: string | undefined
}

/** Fields that ask for more than a conversation can give, or say that no person wrote it. */
const refusedFields: ReadonlySet<string> = new Set([
  'disposition-notification-to',
  'return-receipt-to',
  'resent-from',
  'list-id',
])
const refusedFiles =
  /^(?:multipart|message)\/|^text\/calendar$|^application\/(?:ics|ms-tnef|pgp|x-pkcs7|pkcs7|pgp-.*|.*pkcs7-.*)$/

export function wordsOfMail(bytes: Uint8Array): MailWords | undefined {
  const root = parseMime(bytes)
  const { fields, truncated } = root.headers
  if (truncated || fields.some(({ name }) => refusedFields.has(name))) return undefined
  if (valuesOf(root.headers, 'auto-submitted').some((value) => value.toLowerCase() !== 'no')) return undefined
  const parts = root.type === 'multipart' && root.subtype === 'mixed' ? root.parts : [root]
  const body = bodyOf(bytes, parts[0]!)
  const files = (body === undefined ? parts : parts.slice(1)).map((part) => fileOf(bytes, part))
  if (files.length > limits.chatFilesOfMailMax || !files.every((file) => file !== undefined)) return undefined
  const html = body?.html
  const text = body?.text ?? (html === undefined ? '' : linesOfHtml(safeHtml(html)))
  return { text, html, files }
}

function bodyOf(bytes: Uint8Array, part: MimePart): Body | undefined {
  if (part.type === 'text') return leafOf(bytes, part)
  if (part.type !== 'multipart' || part.subtype !== 'alternative' || part.parts.length > 2) return undefined
  const bodies = part.parts.map((one) => (one.type === 'text' ? leafOf(bytes, one) : undefined))
  const [text, html] = [bodies.find((one) => one?.text !== undefined), bodies.find((one) => one?.html !== undefined)]
  if (bodies.includes(undefined) || (bodies.length === 2 && (text === undefined || html === undefined)))
    return undefined
  return { text: text?.text, html: html?.html }
}

function leafOf(bytes: Uint8Array, part: MimePart): Body | undefined {
  if (dispositionOf(part) === 'attachment' || !isReadable(part)) return undefined
  const text = textOfPart(bytes, part).replaceAll('\r\n', '\n')
  if (part.subtype === 'html') return { text: undefined, html: text }
  if (part.subtype !== 'plain') return undefined
  const { parameters } = part.contentType
  const isFlowed = parameters.get('format')?.toLowerCase() === 'flowed'
  return { text: isFlowed ? unflowed(text, parameters.get('delsp')?.toLowerCase() === 'yes') : text, html: undefined }
}

function isReadable({ contentType, encoding }: MimePart): boolean {
  const charset = contentType.parameters.get('charset')
  return (
    encoding !== undefined && (charset === undefined || /^(?:us-)?ascii$/i.test(charset) || isKnownCharset(charset))
  )
}

const disposition = (part: MimePart) => parseParameters(valuesOf(part.headers, 'content-disposition')[0] ?? '')
const dispositionOf = (part: MimePart): string => disposition(part).value.toLowerCase()

function fileOf(bytes: Uint8Array, part: MimePart): MailFile | undefined {
  const mediaType = `${part.type}/${part.subtype}`
  // a second text that is shown is no file
  const isShown = part.type === 'text' && dispositionOf(part) !== 'attachment'
  if (part.encoding === undefined || isShown || refusedFiles.test(mediaType)) return undefined
  const named = disposition(part).parameters.get('filename') ?? part.contentType.parameters.get('name') ?? ''
  const name =
    named
      .toWellFormed()
      .replaceAll(/[/\\\p{Cc}]/gu, '_')
      .trim() || 'file'
  const content = decodeTransfer(bytes.subarray(part.bodyStart, part.bodyEnd), part.encoding)
  return fromUtf8(name).length <= limits.fileNameOctetsMax ? { name, mediaType, bytes: content } : undefined
}

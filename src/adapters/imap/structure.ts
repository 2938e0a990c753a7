/** ENVELOPE, BODY and BODYSTRUCTURE as RFC 9051 §7.5.2 writes them, from the parsed structure of a mail. One character per octet. */
import { type Headers, parseAddressEntries, valuesOf } from '../../core/message/header.ts'
import { type FieldWithParameters, parseParameters } from '../../core/message/mime-words.ts'
import type { MimePart } from '../../core/message/mime.ts'
import { imapNString, imapText } from './encoder.ts'

const valueCharsMax = 32 * 1024 // ours: of one header value in an envelope
const structureCharsMax = 512 * 1024 // ours: above it a mail is shown as one part

export function envelopeOf(headers: Headers): string {
  const value = (name: string): string | undefined => valuesOf(headers, name)[0]?.slice(0, valueCharsMax)
  const from = addresses(value('from'))
  const orFrom = (list: string): string => (list === 'NIL' ? from : list)
  return `(${[
    imapNString(value('date')),
    imapNString(value('subject')),
    from,
    orFrom(addresses(value('sender'))),
    orFrom(addresses(value('reply-to'))),
    addresses(joinedValues(headers, 'to')),
    addresses(joinedValues(headers, 'cc')),
    addresses(joinedValues(headers, 'bcc')),
    imapNString(value('in-reply-to')),
    imapNString(value('message-id')),
  ].join(' ')})`
}

function joinedValues(headers: Headers, name: string): string | undefined {
  const values = valuesOf(headers, name)
  return values.length === 0 ? undefined : values.join(', ').slice(0, valueCharsMax)
}

function addresses(list: string | undefined): string {
  if (list === undefined) return 'NIL'
  const written = parseAddressEntries(list).map((entry) => {
    if (entry.kind === 'group-start') return `(NIL NIL ${imapText(entry.name)} NIL)`
    if (entry.kind === 'group-end') return '(NIL NIL NIL NIL)'
    // A mailbox without a domain would read as the start of a group (RFC 9051 §7.5.2): the domain is empty instead.
    return `(${imapNString(entry.name)} ${imapNString(entry.route)} ${imapText(entry.local)} ${imapText(entry.domain ?? '')})`
  })
  return written.length === 0 ? 'NIL' : `(${written.join('')})`
}

/** `isExtended`: BODYSTRUCTURE, else BODY. */
export function structureOf(root: MimePart, isExtended: boolean): string {
  const whole = bodyOf(root, isExtended)
  if (whole.length <= structureCharsMax) return whole
  const extension = isExtended ? ' NIL NIL NIL NIL' : ''
  return `("text" "plain" NIL NIL NIL "8bit" ${root.bodyEnd - root.bodyStart} ${root.lines}${extension})`
}

function bodyOf(part: MimePart, isExtended: boolean): string {
  return part.type === 'multipart' ? multipart(part, isExtended) : leaf(part, isExtended)
}

function multipart(part: MimePart, isExtended: boolean): string {
  const children = part.parts.map((child) => bodyOf(child, isExtended)).join('')
  const extension = isExtended ? ` ${parameters(part.contentType)} ${tail(part.headers)}` : ''
  return `(${children} ${imapText(part.subtype)}${extension})`
}

function leaf(part: MimePart, isExtended: boolean): string {
  const value = (name: string): string | undefined => valuesOf(part.headers, name)[0]?.slice(0, valueCharsMax)
  const fields = [
    imapText(part.type),
    imapText(part.subtype),
    parameters(part.contentType),
    imapNString(value('content-id')),
    imapNString(value('content-description')),
    imapText(part.encodingName),
    String(part.bodyEnd - part.bodyStart),
  ]
  if (part.message !== undefined) {
    fields.push(envelopeOf(part.message.headers), bodyOf(part.message, isExtended), String(part.lines))
  } else if (part.type === 'message' && part.subtype === 'rfc822') {
    // Its grammar needs an envelope and a body even where the message could not be opened.
    fields[0] = '"application"'
    fields[1] = '"octet-stream"'
  } else if (part.type === 'text') fields.push(String(part.lines))
  if (isExtended) fields.push(imapNString(value('content-md5')), tail(part.headers))
  return `(${fields.join(' ')})`
}

function parameters({ written }: FieldWithParameters): string {
  if (written.length === 0) return 'NIL'
  return `(${written.map(([name, value]) => `${imapText(name)} ${imapText(value)}`).join(' ')})`
}

/** Disposition, language, location. */
function tail(headers: Headers): string {
  const value = (name: string): string | undefined => valuesOf(headers, name)[0]?.slice(0, valueCharsMax)
  const written = value('content-disposition')
  const disposition = written === undefined ? undefined : parseParameters(written)
  const shown =
    disposition === undefined || disposition.value === ''
      ? 'NIL'
      : `(${imapText(disposition.value.toLowerCase())} ${parameters(disposition)})`
  const languages = (value('content-language') ?? '')
    .split(/[\s,]+/)
    .filter((tag) => tag !== '')
    .slice(0, 32)
  const language =
    languages.length === 0
      ? 'NIL'
      : languages.length === 1
        ? imapText(languages[0]!)
        : `(${languages.map(imapText).join(' ')})`
  return `${shown} ${language} ${imapNString(value('content-location'))}`
}

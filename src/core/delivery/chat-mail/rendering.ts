/**
 * A message of a conversation as a mail (RFC 5322): what mail programs show of it. Pure: the same message makes the same
 * mail. Every name and word is somebody else's; none of it gets out of the field or part that it stands in.
 */
import { concat, fromLatin1, fromUtf8 } from '../../bytes.ts'
import type { ShownMessage } from '../../conversation/view.ts'
import type { Address, GroupId, Identity, MessageId } from '../../ids.ts'
import { limits } from '../../limits.ts'
import { sizeOfContent } from '../../message/content.ts'
import {
  base64Body,
  cutToOctets,
  fieldText,
  oneLine,
  parameter,
  phrase,
  textBody,
  type WrittenBody,
} from '../../message/mail-writing.ts'
import { escapeHtml, safeHtml } from '../../message/safe-html.ts'
import type { FilePart } from '../../message/part.ts'
import { mailDate, traceBlock } from '../compose.ts'
import { chatMessageId, threadMessageId } from './ids.ts'

export interface Correspondent {
  readonly name: string
  readonly address: Address
}

export interface RenderedGroup extends Correspondent {
  readonly group: GroupId
}

export interface RenderInput {
  readonly message: ShownMessage
  readonly from: Correspondent
  /** The tier by which the address in From is the author's; `undefined` of an own message. */
  readonly trust: { readonly tier: string; readonly isBound: boolean; readonly nowMs: number } | undefined
  readonly to: Correspondent | RenderedGroup
  readonly subject: string
  /** Where its file is, if it has one. */
  readonly file: 'inside' | keyof typeof fileNotes
  readonly nameOf: (identity: Identity) => string
  /** Message-ID under which mail programs have another message. */
  readonly mailIdOf: (id: MessageId) => string
}

/** Of a conversation between two people. @param name of the other */
export const directSubject = (name: string): string => `Chat with ${name}`

/** Line before what the gateway says about a message: mail programs leave out what follows when they quote (RFC 3676 §4.3). */
const delimiter = '-- '

/** The whole mail, with a file that is in the message itself. */
export function renderChat(input: RenderInput): Uint8Array {
  const content = input.message.file?.part.content
  if (content?.kind !== 'inline') return fromUtf8(`${fields(input).join('\r\n')}\r\n${words(input)}`)
  const { before, after } = renderAround(input)
  return concat(before, fromLatin1(base64Body(content.bytes)), after)
}

/** What stands before and after the file, which comes between as base64 in lines. */
export function renderAround(input: RenderInput): { readonly before: Uint8Array; readonly after: Uint8Array } {
  const { message } = input
  const parts = [words(input), fileHead(message.file!.part)]
  const boundary = boundaryFor(`=_chat_${message.id.slice(0, 32)}`, parts)
  const type = `Content-Type: multipart/mixed;\r\n boundary="${boundary}"\r\n\r\n`
  const head = `${fields(input).join('\r\n')}\r\n${type}`
  return {
    before: fromUtf8(`${head}${parts.map((part) => `--${boundary}\r\n${part}`).join('\r\n')}`),
    after: fromUtf8(`\r\n--${boundary}--\r\n`),
  }
}

function fields({ message, from, trust, to, subject, mailIdOf }: RenderInput): readonly string[] {
  const answered = message.relations.find((relation) => relation.kind === 'reply')?.to
  const root = message.relations.find((relation) => relation.kind === 'thread')?.root
  const references = [
    threadMessageId(message.conversation),
    ...new Set([root, answered].flatMap((id) => (id === undefined ? [] : [mailIdOf(id)]))),
  ]
  const trace =
    trust === undefined
      ? []
      : trust.isBound
        ? [traceText(from.address, trust)]
        : [`Mycelium-Trust: ${trust.tier}; at delivery; ${mailDate(trust.nowMs)}`]
  return [
    ...trace,
    `Message-ID: ${chatMessageId(message.id)}`,
    `Date: ${mailDate(message.sentAtMs)}`,
    `From: ${mailbox(from)}`,
    `To: ${mailbox(to)}`,
    ...('group' in to ? listFields(to) : []),
    `Subject: ${fieldText(subject) || '(no name)'}`,
    ...(answered === undefined ? [] : [`In-Reply-To:\r\n ${mailIdOf(answered)}`]),
    `References: ${references.join('\r\n ')}`,
    'MIME-Version: 1.0',
  ]
}

function traceText(address: Address, { tier, nowMs }: { readonly tier: string; readonly nowMs: number }): string {
  const block = traceBlock({ from: address, header: address, tier, nowMs })
  return Buffer.from(block).toString('utf8').trimEnd()
}

const mailbox = ({ name, address }: Correspondent): string => `${phrase(withoutAt(name))}\r\n <${address}>`
/** A name that looks like another address would be taken for it. */
const withoutAt = (name: string): string => oneLine(name).replaceAll(/[@＠﹫]/gu, ' at ')

/** RFC 2919, RFC 2369. Answers go to the group also from programs that know no lists. */
const listFields = (group: RenderedGroup): readonly string[] => [
  `Reply-To: ${mailbox(group)}`,
  `List-Id: ${phrase(withoutAt(group.name))}\r\n <${group.group.slice(0, 32)}.group.invalid>`,
  `List-Post: <mailto:${group.address.split('@').map(encodeURIComponent).join('@')}>`,
]

/** Text, with the HTML beside it where there is one. */
function words(input: RenderInput): string {
  const { message } = input
  const notes = notesOf(input)
  const said = statedWords(message)
  const text = notes.length === 0 ? said : `${said}\n\n${delimiter}\n${notes.join('\n')}`
  const plain = textPart('plain', textBody(text))
  const html = message.html === undefined ? undefined : htmlOf(message.html, notes)
  if (html === undefined) return plain
  return alternatives(`=_words_${message.id.slice(0, 32)}`, [plain, textPart('html', textBody(html))])
}

function htmlOf(html: string, notes: readonly string[]): string | undefined {
  const safe = safeHtml(html)
  if (safe.length > limits.chatMailHtmlCharsMax) return undefined
  const below = notes.length === 0 ? '' : `\n<hr>\n<p>${notes.map(escapeHtml).join('<br>\n')}</p>`
  return `<!DOCTYPE html>\n<html><head><meta charset="utf-8"></head><body>\n${safe}${below}\n</body></html>`
}

/** The author's words; what stands in their place when there are none. */
export const statedWords = (message: ShownMessage): string => message.text ?? statedOf(message)

function statedOf({ isRedacted, call, file }: ShownMessage): string {
  if (isRedacted) return 'This message was taken back.'
  if (call !== undefined) return 'A call.'
  if (file === undefined) return ''
  return `[${oneLine(file.part.name)}, ${sizeText(sizeOfContent(file.part.content))}]`
}

function sizeText(octets: number): string {
  if (octets < 1000) return `${octets} bytes`
  const [unit, divisor] =
    octets < 1e6 ? (['KB', 1e3] as const) : octets < 1e9 ? (['MB', 1e6] as const) : (['GB', 1e9] as const)
  return `${Math.round((octets / divisor) * 10) / 10} ${unit}`
}

const fileNotes = {
  awaited: 'The file is not here yet.',
  'too-long': 'The file is too long for mail: a chat program shows it.',
} as const

/** What is to be known about a message besides its words, a line each. */
function notesOf({ message, file, nameOf }: RenderInput): readonly string[] {
  const { editedAtMs, reactions, hasGap, fate } = message
  const given = new Map<string, string[]>()
  for (const { who, reactions: all } of reactions)
    for (const one of new Set(all.map(oneLine))) given.set(one, [...(given.get(one) ?? []), oneLine(nameOf(who))])
  const digest = [...given].map(([reaction, names]) => `${reaction} ${names.join(', ')}`).join('; ')
  const shown = cutToOctets(digest, limits.chatMailDigestOctetsMax)
  return [
    ...(editedAtMs === undefined ? [] : [`Edited ${mailDate(editedAtMs)}`]),
    ...(digest === '' ? [] : [shown === digest ? digest : `${shown} …`]),
    ...(file === 'inside' ? [] : [fileNotes[file]]),
    ...(hasGap ? ['Something before this message is missing.'] : []),
    ...(fate === 'failed' ? ['Not delivered.'] : []),
  ]
}

const fileHead = ({ name, mediaType }: FilePart): string =>
  `Content-Type: ${safeType(mediaType)}${parameter('name', fileName(name))}\r\n` +
  `Content-Disposition: attachment${parameter('filename', fileName(name))}\r\n` +
  'Content-Transfer-Encoding: base64\r\n\r\n'

const fileName = (name: string): string => oneLine(name.replaceAll(/[/\\]/g, '_')) || 'file'

/** As claimed; what would make a structure of the octets, or is no type, is a file and no more. */
function safeType(mediaType: string): string {
  const isType = /^[a-z\d][a-z\d!#$&^_.+-]{0,126}\/[a-z\d][a-z\d!#$&^_.+-]{0,126}$/i.test(mediaType)
  return isType && !/^(?:multipart|message)\//i.test(mediaType) ? mediaType.toLowerCase() : 'application/octet-stream'
}

const textPart = (subtype: 'plain' | 'html', { encoding, body }: WrittenBody): string =>
  `Content-Type: text/${subtype}; charset=utf-8\r\nContent-Transfer-Encoding: ${encoding}\r\n\r\n${body}`

function alternatives(begun: string, parts: readonly string[]): string {
  const boundary = boundaryFor(begun, parts)
  const between = parts.map((part) => `--${boundary}\r\n${part}\r\n`).join('')
  return `Content-Type: multipart/alternative;\r\n boundary="${boundary}"\r\n\r\n${between}--${boundary}--\r\n`
}

/** It ends no part by accident or on purpose: another one is taken while it stands in one of them. */
function boundaryFor(begun: string, parts: readonly string[]): string {
  for (let number = 0; ; number += 1) {
    const boundary = number === 0 ? begun : `${begun}_${number}`
    if (!parts.some((part) => part.includes(`--${boundary}`))) return boundary
  }
}

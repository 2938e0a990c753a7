/** A message of a conversation as the content of an event: DESIGN §9. */
import type { MessageId } from '../../../core/ids.ts'
import { sizeOfContent } from '../../../core/message/content.ts'
import type { Message, Relation } from '../../../core/message/message.ts'
import type { BodyPart, FilePart, Part } from '../../../core/message/part.ts'
import type { Json } from '../http/api.ts'
import { eventId } from '../names.ts'
import { keyOfMessage } from '../stream/event-keys.ts'
import { readExtension } from './extension.ts'

export interface Shown {
  readonly type: string
  readonly content: Json
}

export interface Reading {
  /** mxc URI of a message's file. */
  readonly fileUrl: (message: MessageId) => string
  /** The latest of a thread, where that is known: programs without threads show it as an answer to that (Client-Server API, "Fallback for unthreaded clients"). */
  readonly lastOfThread?: MessageId | undefined
}

const eventIdOf = (message: MessageId): string => eventId(keyOfMessage(message))

/** @returns undefined for what is no event of a timeline */
export function toMatrix(id: MessageId, message: Message, reading: Reading): Shown | undefined {
  const { parts, relations } = message
  const edit = parts.find((part) => part.kind === 'edit')
  if (edit !== undefined) return editOf(edit, readExtension(parts)?.content)
  const call = parts.find((part) => part.kind === 'call')
  // what only programs understand of it went past the conversation
  if (call !== undefined) return { type: 'm.room.message', content: { msgtype: 'm.notice', body: 'Called.' } }
  const extension = readExtension(parts)
  const related = relatesTo(relations, reading)
  const file = parts.find((part) => part.kind === 'file')
  const body = bodyOf(parts)
  if (file === undefined && body === undefined && extension === undefined) return undefined
  const { type = 'm.room.message', content: extra = {} } = extension ?? {}
  const withRelation = (content: Json): Shown => ({
    type,
    content: { ...content, ...(related === undefined ? {} : { 'm.relates_to': related }) },
  })
  if (file !== undefined) return withRelation({ ...extra, ...fileContent(id, file, { caption: body, extra, reading }) })
  // what it says in words beside is for programs that do not know it
  if (type !== 'm.room.message') return withRelation(extra)
  return withRelation({ msgtype: 'm.text', ...extra, ...body })
}

interface Body {
  readonly body: string
  readonly format?: string
  readonly formatted_body?: string
}

function bodyOf(parts: readonly (Part | BodyPart)[]): Body | undefined {
  const text = parts.find((part) => part.kind === 'text')?.text
  const html = parts.find((part) => part.kind === 'html')?.html
  if (text === undefined && html === undefined) return undefined
  return {
    body: text ?? '',
    ...(html === undefined ? {} : { format: 'org.matrix.custom.html', formatted_body: html }),
  }
}

/** Client-Server API, "Event replacements". */
function editOf({ target, body }: Extract<Part, { readonly kind: 'edit' }>, extra: Json = {}): Shown | undefined {
  const now = bodyOf(body)
  if (now === undefined) return undefined
  const content = { msgtype: 'm.text', ...extra, ...now }
  const before = {
    body: `* ${now.body}`,
    ...(now.formatted_body === undefined ? {} : { formatted_body: `* ${now.formatted_body}` }),
  }
  return {
    type: 'm.room.message',
    content: {
      ...content,
      ...before,
      'm.new_content': content,
      'm.relates_to': { rel_type: 'm.replace', event_id: eventIdOf(target) },
    },
  }
}

const kindOf = (mediaType: string): string => {
  const kind = /^(image|video|audio)\//.exec(mediaType)?.[1]
  return kind === undefined || mediaType.startsWith('image/svg') ? 'm.file' : `m.${kind}`
}

function fileContent(
  id: MessageId,
  { name, mediaType, content, thumbnail }: FilePart,
  { caption, extra, reading }: { readonly caption: Body | undefined; readonly extra: Json; readonly reading: Reading },
): Json {
  const said = typeof extra['info'] === 'object' && extra['info'] !== null ? extra['info'] : {}
  const sides = thumbnail === undefined ? {} : { w: thumbnail.width, h: thumbnail.height }
  return {
    msgtype: kindOf(mediaType),
    ...(caption ?? { body: name }),
    filename: name,
    url: reading.fileUrl(id),
    info: { ...sides, ...said, mimetype: mediaType, size: sizeOfContent(content) },
  }
}

function relatesTo(relations: readonly Relation[], { lastOfThread }: Reading): Json | undefined {
  const reply = relations.find((one) => one.kind === 'reply')
  const thread = relations.find((one) => one.kind === 'thread')
  if (thread === undefined)
    return reply === undefined ? undefined : { 'm.in_reply_to': { event_id: eventIdOf(reply.to) } }
  const to = reply?.to ?? lastOfThread ?? thread.root
  return {
    rel_type: 'm.thread',
    event_id: eventIdOf(thread.root),
    is_falling_back: reply === undefined,
    'm.in_reply_to': { event_id: eventIdOf(to) },
  }
}

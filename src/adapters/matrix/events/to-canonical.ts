/** What a program's event means: what is to be said in the conversation, and about which message. */
import { z } from 'zod'
import type { Draft } from '../../../core/delivery/chat-post.ts'
import type { MessageId } from '../../../core/ids.ts'
import { limits } from '../../../core/limits.ts'
import type { Relation } from '../../../core/message/message.ts'
import type { BodyPart, FilePart, Part } from '../../../core/message/part.ts'
import type { Json } from '../http/api.ts'
import { MatrixError } from '../http/matrix-error.ts'
import { extensionOf, mayPassWhole, wordsIn } from './extension.ts'

export interface Target {
  /** The message of this room that an event is, or that an edit of it belongs to. @throws MatrixError `M_NOT_FOUND` */
  readonly message: (eventId: string) => MessageId
  /** The same, of one on which a thread may hang. @throws MatrixError `M_NOT_FOUND`, `M_UNKNOWN` */
  readonly root: (eventId: string) => MessageId
}

const relation = z.looseObject({
  rel_type: z.string().max(limits.matrixIdOctetsMax).optional(),
  event_id: z.string().max(limits.matrixIdOctetsMax).optional(),
  key: z.string().optional(),
  is_falling_back: z.boolean().optional(),
  'm.in_reply_to': z.looseObject({ event_id: z.string().max(limits.matrixIdOctetsMax) }).optional(),
})
const body = z.looseObject({
  msgtype: z.string().max(limits.matrixIdOctetsMax).optional(),
  body: z.string().optional(),
  format: z.string().optional(),
  formatted_body: z.string().optional(),
  filename: z.string().optional(),
  url: z.string().optional(),
})
const message = body.extend({ 'm.relates_to': relation.optional(), 'm.new_content': body.optional() })
type Body = z.infer<typeof body>
export type MessageContent = z.infer<typeof message>

const reaction = z.looseObject({
  'm.relates_to': z.looseObject({
    rel_type: z.literal('m.annotation'),
    event_id: z.string().max(limits.matrixIdOctetsMax),
    key: z.string().min(1),
  }),
})

/** @throws MatrixError */
export function readMessage(content: Json): MessageContent {
  return checked(message, content)
}

export interface ReactionContent {
  readonly target: string
  readonly key: string
}

/** Client-Server API, "Event annotations and reactions". @throws MatrixError */
export function readReaction(content: Json): ReactionContent {
  const { 'm.relates_to': to } = checked(reaction, content)
  return { target: to.event_id, key: to.key }
}

function checked<T>(schema: z.ZodType<T>, content: Json): T {
  const read = schema.safeParse(content)
  if (read.success) return read.data
  const [issue] = read.error.issues
  throw new MatrixError('M_BAD_JSON', `${issue?.path.join('.') ?? ''}: ${issue?.message ?? 'not as expected'}`)
}

/** A message, or an edit of one. @param file behind its `url` */
export function draftOfMessage(content: MessageContent, target: Target, file: FilePart | undefined): Draft {
  const related = content['m.relates_to']
  const extension = extensionOf({ type: 'm.room.message', content: content['m.new_content'] ?? content })
  const beside = extension === undefined ? [] : [extension]
  if (related?.rel_type === 'm.replace' && related.event_id !== undefined) {
    const words = wordsOf(content['m.new_content'] ?? content)
    return { parts: [{ kind: 'edit', target: target.message(related.event_id), body: words }, ...beside] }
  }
  const relations = relationsOf(related, target)
  if (file === undefined) return { parts: [...wordsOf(content), ...beside], relations }
  // Client-Server API, "Media captions"
  const isCaption = content.filename !== undefined && content.filename !== content.body
  const parts: readonly Part[] = [file, ...(isCaption ? wordsOf(content) : []), ...beside]
  return { parts, relations }
}

/** An event of a kind that only these programs know, with words where it has some. */
export function draftOfOther(type: string, content: Json, target: Target): Draft {
  if (!mayPassWhole(type)) throw new MatrixError('M_FORBIDDEN', `Events of type ${type} are not sent here`)
  const related = relation.safeParse(content['m.relates_to'])
  const extension = extensionOf({ type, content })
  const words = wordsIn(content)
  return {
    parts: [...(words === undefined ? [] : wordsOf({ body: words })), ...(extension === undefined ? [] : [extension])],
    relations: relationsOf(related.success ? related.data : undefined, target),
  }
}

function wordsOf({ body: text = '', format, formatted_body: html }: Body): readonly BodyPart[] {
  if (Buffer.byteLength(text) > limits.messageInlineBytesMax)
    throw new MatrixError('M_TOO_LARGE', 'Too long for a message: send it as a file')
  const isHtml = format === 'org.matrix.custom.html' && html !== undefined && html !== ''
  if (isHtml && Buffer.byteLength(html) > limits.messageHtmlBytesMax)
    throw new MatrixError('M_TOO_LARGE', 'Too long for a message: send it as a file')
  return [
    { kind: 'text', text: withoutReplyFallback(text, html) },
    ...(isHtml ? [{ kind: 'html', html } as const] : []),
  ]
}

/** Programs before v1.13 of the specification repeat what they answer in front of the words. */
const withoutReplyFallback = (text: string, html: string | undefined): string =>
  html?.startsWith('<mx-reply>') === true ? text.replace(/^(?:> [^\n]*\n)+\n?/, '') : text

function relationsOf(
  related: z.infer<typeof relation> | undefined,
  { message: messageOf, root }: Target,
): readonly Relation[] {
  const answered = related?.['m.in_reply_to']?.event_id
  const isThread = related?.rel_type === 'm.thread' && related.event_id !== undefined
  const isAnswer = answered !== undefined && !(isThread && related?.is_falling_back === true)
  return [
    ...(isAnswer ? [{ kind: 'reply', to: messageOf(answered) } as const] : []),
    ...(isThread ? [{ kind: 'thread', root: root(related.event_id!) } as const] : []),
  ]
}

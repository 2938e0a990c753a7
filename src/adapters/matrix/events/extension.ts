/**
 * What a program says that means nothing to other protocols: fields of its own, and whole events that are no messages. It
 * goes through as written beside the words; who writes it could be anybody, so it is sieved when it leaves and when it
 * comes, and what the gateway says itself stands in its place.
 */
import { fromUtf8, toUtf8 } from '../../../core/bytes.ts'
import { limits } from '../../../core/limits.ts'
import type { Part } from '../../../core/message/part.ts'
import type { Json } from '../http/api.ts'
import { isTooDeep } from '../http/json-depth.ts'
import { MatrixError } from '../http/matrix-error.ts'

export interface Extension {
  /** `m.room.message` where nothing else is said. */
  readonly type: string
  readonly content: Json
}

/** What stands in a message that both sides of a conversation could read otherwise, or that only means something here. */
const ownFields: ReadonlySet<string> = new Set([
  'body',
  'format',
  'formatted_body',
  'filename',
  'url',
  'file',
  'm.new_content',
])
const infoFields: ReadonlySet<string> = new Set(['thumbnail_url', 'thumbnail_file', 'thumbnail_info'])
/** Kinds of messages that show a text. */
const textTypes: ReadonlySet<unknown> = new Set(['m.text', 'm.emote', 'm.notice', 'm.location'])

/** Of the types below `m.room.` those that the specification gives a meaning: as words of a conversation they would have another. */
const roomTypes =
  'aliases|avatar|canonical_alias|create|encrypted|encryption|guest_access|history_visibility|join_rules|member|' +
  'message|name|pinned_events|policy|power_levels|redaction|server_acl|third_party_invite|tombstone|topic'
const ownTypes = new RegExp(
  `^m\\.(?:room\\.(?:${roomTypes})$|reaction$|call|direct|space|policy|receipt|typing|presence|key|secret|forwarded|push|tag|fully_read)`,
)

/** Events that a program may send as they are: neither state, nor what has a meaning of its own here. */
export const mayPassWhole = (type: string): boolean => type.length <= limits.matrixIdOctetsMax && !ownTypes.test(type)

type ExtensionPart = Extract<Part, { readonly kind: 'extension' }>

/** @returns undefined where nothing is left to be said so. @throws MatrixError `M_TOO_LARGE` */
export function extensionOf({ type, content }: Extension): ExtensionPart | undefined {
  const said = type === 'm.room.message' ? sieved(content) : content
  const names = Object.keys(said)
  const isPlain = names.length === 0 || (names.length === 1 && said['msgtype'] === 'm.text')
  if (type === 'm.room.message' && isPlain) return undefined
  const payload = fromUtf8(JSON.stringify({ type, content: said }))
  if (payload.length > limits.messageExtensionBytesMax)
    throw new MatrixError('M_TOO_LARGE', `more than ${limits.messageExtensionBytesMax} octets beside the text`)
  return { kind: 'extension', protocol: 'matrix', payload }
}

/** As somebody's program wrote it; `undefined` for what none of ours would have written. */
export function readExtension(parts: readonly Part[]): Extension | undefined {
  const part = parts.find((one): one is ExtensionPart => one.kind === 'extension' && one.protocol === 'matrix')
  const text = part && toUtf8(part.payload)
  if (text === undefined || isTooDeep(text, limits.matrixJsonDepthMax)) return undefined
  try {
    const read = JSON.parse(text) as { readonly type?: unknown; readonly content?: unknown }
    const { type, content } = read
    if (typeof type !== 'string' || typeof content !== 'object' || content === null || Array.isArray(content))
      return undefined
    if (type !== 'm.room.message' && !mayPassWhole(type)) return undefined
    return { type, content: type === 'm.room.message' ? sieved(content as Json) : (content as Json) }
  } catch {
    return undefined
  }
}

/** Relations that are told in other words here; others refer to events by ids that all gateways have in common. */
const ownRelations: ReadonlySet<unknown> = new Set([undefined, 'm.replace', 'm.annotation', 'm.thread'])
const isOwnRelation = (related: unknown): boolean =>
  typeof related !== 'object' || related === null || ownRelations.has((related as Json)['rel_type'])

function sieved(content: Json): Json {
  const { msgtype, info, 'm.relates_to': related, ...rest } = content
  const fields = Object.entries(rest).filter(([name]) => !ownFields.has(name))
  const about =
    typeof info === 'object' && info !== null ? Object.entries(info).filter(([name]) => !infoFields.has(name)) : []
  return {
    ...Object.fromEntries(fields),
    ...(isOwnRelation(related) ? {} : { 'm.relates_to': related }),
    ...(textTypes.has(msgtype) ? { msgtype } : {}),
    ...(about.length === 0 ? {} : { info: Object.fromEntries(about) }),
  }
}

const wordsFields = ['body', 'm.text', 'org.matrix.msc1767.text'] as const
const wordsDepthMax = 4

/** The words of an event of any kind, for programs that do not know it; `undefined` where it has none. */
export function wordsIn(content: unknown, depth = wordsDepthMax): string | undefined {
  if (typeof content !== 'object' || content === null || depth === 0) return undefined
  const fields = content as Json
  for (const name of wordsFields) {
    const words = fields[name]
    if (typeof words === 'string' && words.trim() !== '') return words
    // Client-Server API v1.19, `m.text`: the same words in several forms
    const plain = Array.isArray(words) ? (words[0] as Json | undefined)?.['body'] : undefined
    if (typeof plain === 'string' && plain.trim() !== '') return plain
  }
  for (const inner of Object.values(fields)) {
    const words = wordsIn(inner, depth - 1)
    if (words !== undefined) return words
  }
  return undefined
}

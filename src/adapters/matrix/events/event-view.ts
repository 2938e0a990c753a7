/** Entries of a timeline as programs get them (Client-Server API, "Room event format"). */
import { unreachable } from '../../../core/errors.ts'
import type { ConversationId, Identity, MessageId } from '../../../core/ids.ts'
import { limits } from '../../../core/limits.ts'
import { decodeMessage, type Message } from '../../../core/message/message.ts'
import type { ReadTx } from '../../../core/store/store.ts'
import type { Json } from '../http/api.ts'
import { eventId, type Names } from '../names.ts'
import type { MatrixServices } from '../services.ts'
import { keyOfMessage } from '../stream/event-keys.ts'
import type { Relations } from '../stream/relations.ts'
import type { Source, StateRow, TimelineEntry } from '../stream/rows.ts'
import type { Numbered, Stream } from '../stream/stream.ts'
import type { Said } from './said.ts'
import { type Shown, toMatrix } from './to-matrix.ts'

export interface ClientEvent {
  readonly type: string
  readonly event_id: string
  readonly room_id?: string
  readonly sender: string
  readonly origin_server_ts: number
  readonly content: Json
  readonly state_key?: string
  readonly redacts?: string
  readonly unsigned?: Json
}

export interface ViewParts {
  readonly services: MatrixServices
  readonly names: Names
  readonly stream: Stream
  readonly said: Said
  readonly relations: Relations
  readonly fileUrl: (account: Identity, message: MessageId) => string
}

/** For whom: a transaction id is told only to the device that gave it. */
export interface Viewer {
  readonly account: Identity
  readonly device: string
}

/** Without its room, as in /sync. */
export function viewEvent(
  parts: ViewParts,
  tx: ReadTx,
  viewer: Viewer,
  numbered: Numbered<TimelineEntry>,
): ClientEvent | undefined {
  const { stream } = parts
  const { account } = viewer
  const base = viewSource(parts, tx, viewer, numbered.entry)
  if (base === undefined) return undefined
  const { redactedBy } = stream.place(tx, account, numbered.entry.key) ?? { redactedBy: 0 }
  const by = redactedBy === 0 ? undefined : stream.entry(tx, account, redactedBy)
  if (by?.kind === 'event' && by.source.kind === 'redaction') {
    const redaction = viewSource(parts, tx, viewer, by)
    // Room version 10, "Redactions": of these nothing stays
    return { ...base, content: {}, unsigned: { redacted_because: redaction } }
  }
  const relations = bundled(parts, tx, viewer, numbered.entry)
  const unsigned = { ...base.unsigned, ...(relations === undefined ? {} : { 'm.relations': relations }) }
  return Object.keys(unsigned).length === 0 ? base : { ...base, unsigned }
}

export const inRoom = (parts: ViewParts, event: ClientEvent, room: ConversationId): ClientEvent => ({
  ...event,
  room_id: parts.names.room(room),
})

export function viewState(
  { names }: Pick<ViewParts, 'names'>,
  account: Identity,
  { type, stateKey, key, by, content, atMs }: StateRow,
): ClientEvent {
  return {
    type,
    event_id: eventId(key),
    sender: by === undefined ? names.gateway : names.user(account, by),
    origin_server_ts: atMs,
    content: JSON.parse(content) as Json,
    state_key: stateKey,
  }
}

function viewSource(parts: ViewParts, tx: ReadTx, viewer: Viewer, entry: TimelineEntry): ClientEvent | undefined {
  const { names, stream, said } = parts
  const { account } = viewer
  const { key, source } = entry
  const unsigned = unsignedOf(stream, tx, account, source) ?? said.unsigned(tx, viewer, key)
  const base = { event_id: eventId(key), ...(unsigned === undefined ? {} : { unsigned }) }
  const by = (who: Identity | undefined): string => (who === undefined ? names.gateway : names.user(account, who))
  switch (source.kind) {
    case 'state':
    case 'note':
      return {
        type: source.type,
        ...base,
        sender: by(source.by),
        origin_server_ts: source.atMs,
        content: JSON.parse(source.content) as Json,
        ...(source.kind === 'state' ? { state_key: source.stateKey } : {}),
      }
    case 'redaction': {
      const redacts = eventId(source.target)
      const sender = by(source.by)
      return { type: 'm.room.redaction', ...base, sender, origin_server_ts: source.atMs, content: { redacts }, redacts }
    }
    case 'message':
    case 'reaction': {
      const message = messageOf(parts.services, tx, account, source.message)
      if (message === undefined) return undefined
      const shown = source.kind === 'reaction' ? reactionOf(source) : shownOf(parts, account, source.message, message)
      return { ...shown, ...base, sender: by(message.author), origin_server_ts: message.sentAtMs }
    }
    default:
      return unreachable(source)
  }
}

/** What stood there before. */
function unsignedOf(stream: Stream, tx: ReadTx, account: Identity, source: Source): Json | undefined {
  if (source.kind !== 'state' || source.before === undefined) return undefined
  const before = stream.event(tx, account, source.before)?.entry.source
  return before?.kind === 'state'
    ? { prev_content: JSON.parse(before.content) as Json, replaces_state: eventId(source.before) }
    : undefined
}

const reactionOf = ({ target, reaction }: Extract<Source, { readonly kind: 'reaction' }>): Shown => ({
  type: 'm.reaction',
  content: {
    'm.relates_to': { rel_type: 'm.annotation', event_id: eventId(keyOfMessage(target)), key: reaction },
  },
})

/** Of what was taken back, or means nothing here, the place stays. */
const shownOf = ({ fileUrl }: ViewParts, account: Identity, id: MessageId, message: Message): Shown =>
  toMatrix(id, message, { fileUrl: (of) => fileUrl(account, of) }) ?? { type: 'm.room.message', content: {} }

export function messageOf(services: MatrixServices, tx: ReadTx, account: Identity, id: MessageId): Message | undefined {
  const row = services.conversations.history.message(tx, account, id)
  return row === undefined || row.encoded.length === 0 ? undefined : decodeMessage(row.encoded)
}

/**
 * Client-Server API, "Aggregations of child events": the latest edit, the thread that hangs on it, what refers to it.
 * @param isInner of the latest event of a thread: a thread that hangs on that one, as only a liar writes, is left out
 */
function bundled(
  parts: ViewParts,
  tx: ReadTx,
  viewer: Viewer,
  { key, source, room }: TimelineEntry,
  isInner = false,
): Json | undefined {
  if (source.kind !== 'message') return undefined
  const { relations } = parts
  const { account } = viewer
  const entryAt = (number: number | undefined): TimelineEntry | undefined => {
    const entry = number === undefined ? undefined : parts.stream.entry(tx, account, number)
    return entry?.kind === 'event' && entry.room === room ? entry : undefined
  }
  const [edit] = relations.of(tx, account, key, { type: 'm.replace', reverse: true, limit: 1 })
  const editEntry = entryAt(edit?.number)
  const replacement = editEntry && viewSource(parts, tx, viewer, editEntry)
  const references = relations.of(tx, account, key, { type: 'm.reference', limit: limits.matrixTimelineMax })
  const chunk = [...references].flatMap(({ number }) => {
    const entry = entryAt(number)
    return entry === undefined ? [] : [{ event_id: eventId(entry.key) }]
  })
  const thread = isInner ? undefined : threadOn(parts, tx, viewer, { key, source, room })
  const all = {
    ...(replacement === undefined ? {} : { 'm.replace': inRoom(parts, replacement, room) }),
    ...(thread === undefined ? {} : { 'm.thread': thread }),
    ...(chunk.length === 0 ? {} : { 'm.reference': { chunk } }),
  }
  return Object.keys(all).length === 0 ? undefined : all
}

/** Client-Server API, "Server-side aggregation of m.thread relationships". */
function threadOn(
  parts: ViewParts,
  tx: ReadTx,
  viewer: Viewer,
  { key, source, room }: Pick<TimelineEntry, 'key' | 'source' | 'room'>,
): Json | undefined {
  const { stream, relations, services } = parts
  const { account } = viewer
  const thread = relations.thread(tx, account, room, key)
  const entry = thread && stream.entry(tx, account, thread.latest)
  const latest = entry?.kind === 'event' ? viewSource(parts, tx, viewer, entry) : undefined
  if (thread === undefined || latest === undefined || entry?.kind !== 'event') return undefined
  const inner = bundled(parts, tx, viewer, entry, true)
  const unsigned = { ...latest.unsigned, ...(inner === undefined ? {} : { 'm.relations': inner }) }
  const isRootOwn = source.kind === 'message' && messageOf(services, tx, account, source.message)?.author === account
  return {
    latest_event: inRoom(parts, Object.keys(unsigned).length === 0 ? latest : { ...latest, unsigned }, room),
    count: thread.count,
    current_user_participated: thread.isOwn || isRootOwn,
  }
}

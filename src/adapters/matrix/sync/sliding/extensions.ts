/** What sliding sync tells beside rooms, where a program asks for it (MSC3884, MSC3885, MSC3959, MSC3960, MSC3961). */
import type { ConversationId } from '../../../../core/ids.ts'
import type { ReadTx } from '../../../../core/store/store.ts'
import type { Caller, Json } from '../../http/api.ts'
import { eventId } from '../../names.ts'
import type { EventKey } from '../../stream/rows.ts'
import type { Numbered } from '../../stream/stream.ts'
import type { SyncParts } from '../sync.ts'
import type { SlidingRequest } from './request.ts'

interface Told {
  readonly entries: readonly Numbered[]
  readonly isInitial: boolean
  readonly rooms: readonly ConversationId[]
  /** The connection has not been told of this room before. */
  readonly isNew: (room: ConversationId) => boolean
  readonly moment: number
  /** Number in the stream. */
  readonly from: number
}

export function extensionsOf(
  parts: SyncParts,
  tx: ReadTx,
  caller: Caller,
  { extensions }: SlidingRequest,
  told: Told,
): { readonly body: Json; readonly isNews: boolean } {
  const body: Record<string, Json> = {}
  let isNews = false
  if (extensions.toDevice !== undefined) {
    const { since } = extensions.toDevice
    const { last } = parts.stream.progress(tx, caller.account)
    const heard = Number(/^\d{1,15}$/.exec(since ?? '')?.[0] ?? 0)
    // a number of another life says nothing of what has come
    const { events, upTo } = parts.encryption.toDevice(tx, caller, heard > last ? 0 : heard)
    body['to_device'] = { next_batch: String(upTo ?? last), events }
    isNews ||= events.length > 0
  }
  if (extensions.e2ee) {
    const fields = parts.encryption.fields(tx, caller, told.entries, told.isInitial)
    body['e2ee'] = fields
    isNews ||= 'device_lists' in fields
  }
  if (extensions.accountData) {
    const data = accountData(parts, tx, caller, told)
    body['account_data'] = data.body
    isNews ||= data.isNews
  }
  if (extensions.receipts) {
    const rooms = receipts(parts, caller, told)
    if (Object.keys(rooms).length > 0) body['receipts'] = { rooms }
  }
  if (extensions.typing) {
    const rooms = typing(parts, caller, told)
    if (Object.keys(rooms).length > 0) body['typing'] = { rooms }
    isNews ||= Object.keys(rooms).length > 0
  }
  return { body, isNews }
}

function accountData(
  { kept, names }: SyncParts,
  tx: ReadTx,
  { account }: Caller,
  { entries, isInitial, rooms, isNew }: Told,
): { readonly body: Json; readonly isNews: boolean } {
  const typesOf = (room: ConversationId | undefined, isWhole: boolean): readonly string[] => {
    const id = room === undefined ? '' : names.room(room)
    if (isWhole) return kept.list(tx, account, 'data', id).map((found) => found.names[1]!)
    return entries.flatMap(({ entry }) => (entry.kind === 'data' && entry.room === room ? [entry.type] : []))
  }
  const eventsOf = (room: ConversationId | undefined, isWhole: boolean): readonly Json[] =>
    [...new Set(typesOf(room, isWhole))].flatMap((type) => {
      const found = kept.get<Json>(tx, account, 'data', room === undefined ? '' : names.room(room), type)
      return found === undefined ? [] : [{ type, content: found.value }]
    })
  const global = eventsOf(undefined, isInitial)
  const ofRooms = rooms.flatMap((room) => {
    const events = eventsOf(room, isNew(room))
    return events.length === 0 ? [] : [[names.room(room), events] as const]
  })
  return { body: { global, rooms: Object.fromEntries(ofRooms) }, isNews: global.length > 0 || ofRooms.length > 0 }
}

function receipts({ names, services }: SyncParts, { account }: Caller, { entries, rooms, isNew }: Told): Json {
  const answer: Record<string, Json> = {}
  for (const room of rooms) {
    const marks = isNew(room)
      ? services.conversations
          .marks(account, room)
          .map(({ who, upTo, atMs }) => ({ who, upTo: upTo as string as EventKey, atMs }))
      : entries.flatMap(({ entry }) => (entry.kind === 'receipt' && entry.room === room ? [entry] : []))
    if (marks.length === 0) continue
    const content: Record<string, { 'm.read': Record<string, Json> }> = {}
    for (const { who, upTo, atMs } of marks) {
      const id = eventId(upTo)
      content[id] ??= { 'm.read': {} }
      content[id]['m.read'][names.user(account, who)] = { ts: atMs }
    }
    answer[names.room(room)] = { type: 'm.receipt', content }
  }
  return answer
}

function typing({ names, moments }: SyncParts, { account }: Caller, { rooms, moment }: Told): Json {
  const since = moments.typingSince(account, moment)
  return Object.fromEntries(
    rooms.flatMap((room) => {
      const who = since.get(room)
      return who === undefined
        ? []
        : [[names.room(room), { type: 'm.typing', content: { user_ids: who.map((one) => names.user(account, one)) } }]]
    }),
  )
}

/** How far somebody has read, and whether they type (Client-Server API, "Receipts", "Fully read markers", "Typing Notifications"). */
import { z } from 'zod'
import type { Identity, MessageId } from '../../../core/ids.ts'
import { limits } from '../../../core/limits.ts'
import type { ReadTx } from '../../../core/store/store.ts'
import { type DataParts, putData } from '../account/data-routes.ts'
import type { Api, Asked } from '../http/api.ts'
import { MatrixError } from '../http/matrix-error.ts'
import { eventKeyOf } from '../names.ts'
import type { RoomRow } from '../stream/rows.ts'
import type { Moments } from '../sync/moments.ts'
import { ownOnly } from '../sync/sync-route.ts'
import { colleaguesIn } from './colleagues.ts'
import { joinedRoom } from './room-of.ts'

export interface ReceiptParts extends DataParts {
  readonly moments: Moments
}

const eventId = z.string().max(limits.matrixIdOctetsMax)
const kinds: ReadonlySet<string> = new Set(['m.read', 'm.read.private', 'm.fully_read'])

export function receiptRoutes(api: Api, parts: ReceiptParts): void {
  const { services, moments } = parts
  const receiptBody = z.looseObject({ thread_id: z.string().max(limits.matrixIdOctetsMax).optional() })
  api.withBody('POST', '/rooms/:room/receipt/:kind/:event', receiptBody, async ({ caller, path }) => {
    const room = joinedRoom(parts, caller, path['room']!)
    const kind = path['kind']!
    if (!kinds.has(kind)) throw new MatrixError('M_INVALID_PARAM', `There are no receipts of kind ${kind}`)
    if (kind === 'm.fully_read') await fullyRead(parts, caller.account, room, path['event']!)
    else await read(parts, caller.account, room, { upTo: path['event']!, isPrivate: kind === 'm.read.private' })
    return {}
  })
  const markers = z.looseObject({
    'm.fully_read': eventId.optional(),
    'm.read': eventId.optional(),
    'm.read.private': eventId.optional(),
  })
  api.withBody('POST', '/rooms/:room/read_markers', markers, async ({ caller, path }, body) => {
    const room = joinedRoom(parts, caller, path['room']!)
    if (body['m.fully_read'] !== undefined) await fullyRead(parts, caller.account, room, body['m.fully_read'])
    const [known, own] = [body['m.read'], body['m.read.private']]
    if (known !== undefined) await read(parts, caller.account, room, { upTo: known, isPrivate: false })
    if (own !== undefined) await read(parts, caller.account, room, { upTo: own, isPrivate: true })
    return {}
  })
  const typing = z.looseObject({ typing: z.boolean(), timeout: z.number().optional() })
  api.withBody('PUT', '/rooms/:room/typing/:user', typing, ({ caller, path }: Asked, body) => {
    ownOnly(parts, caller, path['user']!)
    const { conversation, partner } = joinedRoom(parts, caller, path['room']!)
    const { account } = caller
    services.signals.typing(account, conversation, body.typing)
    const ms = body.typing ? Math.min(body.timeout ?? limits.matrixTypingMs, limits.matrixTypingMs) : 0
    moments.typing(account, conversation, account, ms)
    // accounts of this gateway tell each other at once, where they tell it at all
    if (services.conversations.settings(account).tellsPresence)
      for (const other of colleaguesIn(services, account, partner)) moments.typing(other, conversation, account, ms)
    return {}
  })
}

/** The last message at or before an event: of a note or a change of the room nobody else knows. */
function messageAt(
  { services, stream }: ReceiptParts,
  tx: ReadTx,
  account: Identity,
  room: RoomRow,
  id: string,
): MessageId | undefined {
  const key = eventKeyOf(id)
  const place = key && stream.place(tx, account, key)
  if (key === undefined || place === undefined)
    throw new MatrixError('M_NOT_FOUND', 'There is no such event in this room')
  let left = limits.matrixTimelineMax
  const span = { to: place.number + 1, reverse: true, limit: limits.matrixTimelineMax }
  for (const { entry } of stream.timeline(tx, account, room.conversation, span)) {
    left -= 1
    if (entry.source.kind !== 'message' && entry.source.kind !== 'reaction') continue
    const { message } = entry.source
    if (services.conversations.history.message(tx, account, message)?.state === 'shown') return message
    if (left === 0) break
  }
  return undefined
}

async function read(
  parts: ReceiptParts,
  account: Identity,
  room: RoomRow,
  { upTo: id, isPrivate }: { readonly upTo: string; readonly isPrivate: boolean },
): Promise<void> {
  const upTo = parts.store.read((tx) => messageAt(parts, tx, account, room, id))
  if (upTo !== undefined) await parts.services.chats.markRead(account, room.conversation, upTo, { isPrivate })
}

async function fullyRead(parts: ReceiptParts, account: Identity, room: RoomRow, id: string): Promise<void> {
  const content = { event_id: id }
  await parts.store.write((tx) =>
    putData(parts, tx, account, { room: parts.names.room(room.conversation), type: 'm.fully_read', content }),
  )
}

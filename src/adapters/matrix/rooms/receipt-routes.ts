/** How far somebody has read, and whether they type (Client-Server API, "Receipts", "Fully read markers", "Typing Notifications"). */
import { z } from 'zod'
import type { Identity } from '../../../core/ids.ts'
import { limits } from '../../../core/limits.ts'
import { type DataParts, putData } from '../account/data-routes.ts'
import type { Api, Asked } from '../http/api.ts'
import { MatrixError } from '../http/matrix-error.ts'
import type { RoomRow } from '../stream/rows.ts'
import type { Moments } from '../sync/moments.ts'
import { ownOnly } from '../sync/sync-route.ts'
import { colleaguesIn } from './colleagues.ts'
import type { Reading, ReceiptKind } from './reading.ts'
import { joinedRoom } from './room-of.ts'

export interface ReceiptParts extends DataParts {
  readonly moments: Moments
  readonly reading: Reading
}

const eventId = z.string().max(limits.matrixIdOctetsMax)
const kinds: ReadonlySet<string> = new Set(['m.read', 'm.read.private', 'm.fully_read'])

export function receiptRoutes(api: Api, parts: ReceiptParts): void {
  const { services, moments } = parts
  const receiptBody = z.looseObject({ thread_id: z.string().min(1).max(limits.matrixIdOctetsMax).optional() })
  api.withBody(
    'POST',
    '/rooms/:room/receipt/:kind/:event',
    receiptBody,
    async ({ caller, path }, { thread_id: thread }) => {
      const room = joinedRoom(parts, caller, path['room']!)
      const kind = path['kind']!
      if (!kinds.has(kind)) throw new MatrixError('M_INVALID_PARAM', `There are no receipts of kind ${kind}`)
      const id = path['event']!
      if (kind === 'm.fully_read') {
        if (thread !== undefined) throw new MatrixError('M_INVALID_PARAM', 'm.fully_read is of no thread')
        await fullyRead(parts, caller.account, room, id)
      } else await read(parts, caller.account, room, { kind: kind as ReceiptKind, id, thread })
      return {}
    },
  )
  const markers = z.looseObject({
    'm.fully_read': eventId.optional(),
    'm.read': eventId.optional(),
    'm.read.private': eventId.optional(),
  })
  api.withBody('POST', '/rooms/:room/read_markers', markers, async ({ caller, path }, body) => {
    const room = joinedRoom(parts, caller, path['room']!)
    if (body['m.fully_read'] !== undefined) await fullyRead(parts, caller.account, room, body['m.fully_read'])
    for (const kind of ['m.read', 'm.read.private'] as const) {
      const id = body[kind]
      if (id !== undefined) await read(parts, caller.account, room, { kind, id, thread: undefined })
    }
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

async function read(
  { store, services, reading }: ReceiptParts,
  account: Identity,
  { conversation }: RoomRow,
  what: Parameters<Reading['read']>[3],
): Promise<void> {
  const known = await store.write((tx) => reading.read(tx, account, conversation, what))
  if (known !== undefined) services.chats.readIsKnown(account, conversation, known)
}

async function fullyRead(parts: ReceiptParts, account: Identity, room: RoomRow, id: string): Promise<void> {
  const content = { event_id: id }
  await parts.store.write((tx) =>
    putData(parts, tx, account, { room: parts.names.room(room.conversation), type: 'm.fully_read', content }),
  )
}

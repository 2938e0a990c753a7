/** What an account was told of, over all of its rooms (Client-Server API, "Listing Notifications"). */
import type { ConversationId } from '../../../core/ids.ts'
import { limits } from '../../../core/limits.ts'
import type { Store } from '../../../core/store/store.ts'
import { limitOf, pageNumber } from '../events/event-routes.ts'
import { viewEvent, type ViewParts } from '../events/event-view.ts'
import type { Api, Asked, Json } from '../http/api.ts'
import { isReadIn, type Marks, type Reading } from '../rooms/reading.ts'
import type { Notices } from './notices.ts'

interface NoticeRouteParts extends ViewParts {
  readonly store: Store
  readonly notices: Notices
  readonly reading: Reading
}

export function noticeRoutes(api: Api, parts: NoticeRouteParts): void {
  api.on('GET', '/notifications', (asked) => listed(parts, asked))
}

function listed(parts: NoticeRouteParts, { caller, query }: Asked): Json {
  const { store, stream, names, notices, reading } = parts
  const { account } = caller
  const limit = Math.max(1, limitOf(query))
  const from = query.get('from') ?? ''
  const isHighlightOnly = query.get('only') === 'highlight'
  return store.read((tx) => {
    const before = from === '' ? stream.progress(tx, account).last + 1 : pageNumber(from)
    const rooms = new Map<ConversationId, Marks | undefined>()
    const marksOf = (room: ConversationId): Marks | undefined => {
      const isIn = stream.room(tx, account, room)?.membership === 'join'
      if (!rooms.has(room)) rooms.set(room, isIn ? reading.marks(tx, account, room) : undefined)
      return rooms.get(room)
    }
    const notifications: Json[] = []
    let looked = 0
    let next: number | undefined
    for (const { number, room, thread, notify, highlight, atMs, actions } of notices.latest(tx, account, before)) {
      if (notifications.length >= limit || looked >= limits.matrixPageMax) {
        next = number + 1
        break
      }
      looked += 1
      const marks = marksOf(room)
      if (marks === undefined || !notify || (isHighlightOnly && !highlight)) continue
      const entry = stream.entry(tx, account, number)
      const event = entry?.kind === 'event' ? viewEvent(parts, tx, caller, { number, entry }) : undefined
      if (event === undefined) continue
      notifications.push({
        actions: JSON.parse(actions) as unknown,
        event,
        read: isReadIn(marks, number, thread),
        room_id: names.room(room),
        ts: atMs,
      })
    }
    return { notifications, ...(next === undefined ? {} : { next_token: `t${next}` }) }
  })
}

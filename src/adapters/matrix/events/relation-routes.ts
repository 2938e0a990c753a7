/** What is about an event, and the threads of a room (Client-Server API, "Relationships API", "Querying threads in a room"). */
import type { Store } from '../../../core/store/store.ts'
import type { Api, Asked, Json } from '../http/api.ts'
import { MatrixError } from '../http/matrix-error.ts'
import { readableRoom } from '../rooms/room-of.ts'
import { eventIn, limitOf, pageNumber } from './event-routes.ts'
import { inRoom, viewEvent, type ViewParts } from './event-view.ts'

export interface RelationParts extends ViewParts {
  readonly store: Store
}

export function relationRoutes(api: Api, parts: RelationParts): void {
  const path = '/rooms/:room/relations/:event'
  for (const one of [path, `${path}/:rel`, `${path}/:rel/:type`]) api.on('GET', one, (asked) => related(parts, asked))
  api.on('GET', '/rooms/:room/threads', (asked) => threads(parts, asked))
}

function related(parts: RelationParts, asked: Asked): Json {
  const { store, stream, relations } = parts
  const { caller, path, query } = asked
  const limit = Math.max(1, limitOf(query))
  const isBackwards = query.get('dir') !== 'f'
  const from = query.get('from')
  return store.read((tx) => {
    const room = readableRoom(parts, caller, path['room']!, tx)
    const { entry } = eventIn(parts, room, path['event']!, asked)
    const begin = from === null || from === '' ? undefined : pageNumber(from)
    const all = relations
      .of(tx, caller.account, entry.key)
      .filter(({ type }) => path['rel'] === undefined || type === path['rel'])
      .filter(({ number }) => begin === undefined || (isBackwards ? number < begin : number >= begin))
    const ordered = isBackwards ? all.toReversed() : all
    const events = ordered.flatMap(({ number }) => {
      const found = stream.entry(tx, caller.account, number)
      const event = found?.kind === 'event' ? viewEvent(parts, tx, caller, { number, entry: found }) : undefined
      return event === undefined || (path['type'] !== undefined && event.type !== path['type'])
        ? []
        : [{ number, event: inRoom(parts, event, room.conversation) }]
    })
    const page = events.slice(0, limit)
    const last = page.at(-1)?.number
    return {
      chunk: page.map(({ event }) => event),
      ...(from === null || from === '' ? {} : { prev_batch: from }),
      ...(events.length > limit && last !== undefined ? { next_batch: `t${isBackwards ? last : last + 1}` } : {}),
    }
  })
}

function threads(parts: RelationParts, { caller, path, query }: Asked): Json {
  const { store, stream, relations } = parts
  const limit = Math.max(1, limitOf(query))
  const include = query.get('include') ?? 'all'
  if (include !== 'all' && include !== 'participated')
    throw new MatrixError('M_INVALID_PARAM', 'include is all or participated')
  const from = query.get('from')
  return store.read((tx) => {
    const { conversation } = readableRoom(parts, caller, path['room']!, tx)
    const begin = from === null || from === '' ? undefined : pageNumber(from)
    const found = relations
      .threads(tx, caller.account, conversation)
      .filter(({ isOwn }) => include === 'all' || isOwn)
      .filter(({ latest }) => begin === undefined || latest < begin)
      .flatMap(({ root, latest }) => {
        const numbered = stream.event(tx, caller.account, root)
        const event = numbered && viewEvent(parts, tx, caller, numbered)
        return event === undefined ? [] : [{ latest, event: inRoom(parts, event, conversation) }]
      })
    const page = found.slice(0, limit)
    return {
      chunk: page.map(({ event }) => event),
      ...(found.length > limit ? { next_batch: `t${page.at(-1)!.latest}` } : {}),
    }
  })
}

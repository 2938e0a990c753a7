/** What is about an event, and the threads of a room (Client-Server API, "Relationships API", "Querying threads in a room"). */
import type { Identity } from '../../../core/ids.ts'
import { limits } from '../../../core/limits.ts'
import type { ReadTx, Store } from '../../../core/store/store.ts'
import type { Api, Asked, Json } from '../http/api.ts'
import { MatrixError } from '../http/matrix-error.ts'
import { readableRoom } from '../rooms/room-of.ts'
import type { Related, RelatedSpan } from '../stream/relations.ts'
import type { EventKey } from '../stream/rows.ts'
import { eventIn, limitOf, pageNumber } from './event-routes.ts'
import { type ClientEvent, inRoom, messageOf, viewEvent, type ViewParts } from './event-view.ts'

export interface RelationParts extends ViewParts {
  readonly store: Store
}

export function relationRoutes(api: Api, parts: RelationParts): void {
  const path = '/rooms/:room/relations/:event'
  for (const one of [path, `${path}/:rel`, `${path}/:rel/:type`]) api.on('GET', one, (asked) => related(parts, asked))
  api.on('GET', '/rooms/:room/threads', (asked) => threads(parts, asked))
}

function related(parts: RelationParts, asked: Asked): Json {
  const { store } = parts
  const { caller, path, query } = asked
  const limit = Math.max(1, limitOf(query))
  const isBackwards = query.get('dir') !== 'f'
  const isDeep = query.get('recurse') === 'true'
  const from = query.get('from') ?? ''
  const to = query.get('to') ?? ''
  const [begin, end] = [from === '' ? undefined : pageNumber(from), to === '' ? undefined : pageNumber(to)]
  const span = isBackwards ? { from: end, to: begin, reverse: true } : { from: begin, to: end }
  return store.read((tx) => {
    const room = readableRoom(parts, caller, path['room']!, tx)
    const { entry } = eventIn(parts, room, path['event']!, asked)
    const found = isDeep
      ? below(parts, tx, caller.account, entry.key, span)
      : parts.relations.of(tx, caller.account, entry.key, { ...span, type: path['rel'] })
    const chunk: ClientEvent[] = []
    let last: number | undefined
    let isMore = false
    for (const { number, type } of found) {
      const of = parts.stream.entry(tx, caller.account, number)
      const isWanted = path['rel'] === undefined || type === path['rel']
      if (!isWanted || of?.kind !== 'event' || of.room !== room.conversation) continue
      const event = viewEvent(parts, tx, caller, { number, entry: of })
      if (event === undefined || (path['type'] !== undefined && event.type !== path['type'])) continue
      if (chunk.length >= limit) {
        isMore = true
        break
      }
      chunk.push(inRoom(parts, event, room.conversation))
      last = number
    }
    return {
      chunk,
      ...(from === '' ? {} : { prev_batch: from }),
      ...(isMore && last !== undefined ? { next_batch: `t${isBackwards ? last : last + 1}` } : {}),
      ...(query.has('recurse') ? { recursion_depth: isDeep ? limits.matrixRelationDepthMax : 1 } : {}),
    }
  })
}

/** What is about an event, and about that, and so on, in the order in which it came; as much as one request may look at. */
function below(
  { relations, stream }: RelationParts,
  tx: ReadTx,
  account: Identity,
  root: EventKey,
  { from = 0, to = Infinity, reverse = false }: RelatedSpan,
): readonly Related[] {
  const found = new Map<number, Related>()
  let level: readonly EventKey[] = [root]
  for (let depth = 0; depth < limits.matrixRelationDepthMax; depth += 1) {
    const next: EventKey[] = []
    for (const target of level)
      for (const one of relations.of(tx, account, target, { limit: limits.matrixRelatedMax - found.size })) {
        if (found.size >= limits.matrixRelatedMax) break
        const entry = found.has(one.number) ? undefined : stream.entry(tx, account, one.number)
        if (entry?.kind !== 'event') continue
        found.set(one.number, one)
        next.push(entry.key)
      }
    level = next
  }
  return [...found.values()]
    .filter(({ number }) => number >= from && number < to)
    .toSorted((a, b) => (reverse ? b.number - a.number : a.number - b.number))
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
    const wanted = relations.threads(tx, caller.account, conversation).filter(({ latest, isOwn, root }) => {
      const isBefore = begin === undefined || latest < begin
      return isBefore && (include === 'all' || isOwn || isRootOwn(parts, tx, caller.account, root))
    })
    const page = wanted.slice(0, limit)
    return {
      chunk: page.flatMap(({ root }) => {
        const numbered = stream.event(tx, caller.account, root)
        const event = numbered?.entry.room === conversation ? viewEvent(parts, tx, caller, numbered) : undefined
        return event === undefined ? [] : [inRoom(parts, event, conversation)]
      }),
      ...(wanted.length > limit ? { next_batch: `t${page.at(-1)!.latest}` } : {}),
    }
  })
}

function isRootOwn({ services, stream }: RelationParts, tx: ReadTx, account: Identity, root: EventKey): boolean {
  const source = stream.event(tx, account, root)?.entry.source
  return source?.kind === 'message' && messageOf(services, tx, account, source.message)?.author === account
}

/** Reading and sending events of a room (Client-Server API, "Getting events for a room", "Sending events to a room"). */
import { z } from 'zod'
import { limits } from '../../../core/limits.ts'
import type { Store } from '../../../core/store/store.ts'
import type { Api, Asked, Json } from '../http/api.ts'
import { eventContent } from '../http/canonical-json.ts'
import { MatrixError } from '../http/matrix-error.ts'
import { eventId, eventKeyOf } from '../names.ts'
import { joinedRoom, readableRoom } from '../rooms/room-of.ts'
import type { RoomRow, TimelineEntry } from '../stream/rows.ts'
import type { Numbered } from '../stream/stream.ts'
import type { Times } from '../stream/times.ts'
import { type EventFilter, eventFilterSchema, isWanted } from '../sync/filter.ts'
import { type ClientEvent, inRoom, viewEvent, type ViewParts, viewState } from './event-view.ts'
import type { Sender } from './send.ts'

export interface EventRouteParts extends ViewParts {
  readonly store: Store
  readonly sender: Sender
  readonly times: Times
}

const pageDefault = 10
/** The last moment that a date can be (ECMA-262, "Time Values"). */
const lastMs = 8_640_000_000_000_000

export function eventRoutes(api: Api, parts: EventRouteParts): void {
  const { store, sender, times } = parts
  api.withBody('PUT', '/rooms/:room/send/:type/:txn', eventContent, async ({ caller, path }, content) => {
    const room = joinedRoom(parts, caller, path['room']!)
    const key = await sender.send(caller, { room, type: path['type']!, content, transaction: path['txn']! })
    return { event_id: eventId(key) }
  })
  const redactBody = z.looseObject({ reason: z.string().max(limits.matrixEventBytesMax).optional() })
  api.withBody('PUT', '/rooms/:room/redact/:event/:txn', redactBody, async ({ caller, path }) => {
    const room = joinedRoom(parts, caller, path['room']!)
    const key = await sender.redact(caller, { room, target: path['event']!, transaction: path['txn']! })
    return { event_id: eventId(key) }
  })
  api.on('GET', '/rooms/:room/event/:event', (asked) => {
    const { caller, path } = asked
    return store.read((tx) => {
      const room = readableOr404(parts, caller, path['room']!, tx)
      const found = eventIn(parts, room, path['event']!, asked)
      const event = viewEvent(parts, tx, caller, found)
      if (event === undefined) throw notFound()
      return { ...inRoom(parts, event, room.conversation) }
    })
  })
  api.on('GET', '/rooms/:room/messages', (asked) => page(parts, asked))
  api.on('GET', '/rooms/:room/context/:event', (asked) => context(parts, asked))
  api.on('GET', '/rooms/:room/timestamp_to_event', ({ caller, path, query }) =>
    store.read((tx) => {
      const room = readableRoom(parts, caller, path['room']!, tx)
      const atMs = Number(query.get('ts'))
      const isBackwards = query.get('dir') === 'b'
      if (query.get('ts') === null) throw new MatrixError('M_MISSING_PARAM', 'Give ts, milliseconds since 1970')
      if (!Number.isInteger(atMs) || atMs < 0 || atMs > lastMs)
        throw new MatrixError('M_INVALID_PARAM', 'ts is no time')
      for (const numbered of times.near(tx, caller.account, room.conversation, { atMs, isBackwards })) {
        const event = viewEvent(parts, tx, caller, numbered)
        if (event !== undefined) return { event_id: event.event_id, origin_server_ts: event.origin_server_ts }
      }
      throw new MatrixError('M_NOT_FOUND', 'There is no event then')
    }),
  )
}

/** One event of a room that cannot be read is one that is not there (Client-Server API, "Getting events for a room"). */
function readableOr404(...asked: Parameters<typeof readableRoom>): RoomRow {
  try {
    return readableRoom(...asked)
  } catch (error) {
    throw error instanceof MatrixError && error.errcode === 'M_FORBIDDEN' ? notFound() : error
  }
}

const notFound = (): MatrixError => new MatrixError('M_NOT_FOUND', 'There is no such event in this room')

/** @throws MatrixError `M_NOT_FOUND` */
export function eventIn(
  { store, stream }: Pick<EventRouteParts, 'store' | 'stream'>,
  room: RoomRow,
  id: string,
  { caller }: Asked,
): Numbered<TimelineEntry> {
  const key = eventKeyOf(id)
  const found = key && store.read((tx) => stream.event(tx, caller.account, key))
  if (found === undefined || found.entry.room !== room.conversation) throw notFound()
  return found
}

/** Between two events: before the one of this number. Tokens of /sync stand after theirs. @throws MatrixError */
export function pageNumber(text: string): number {
  const found = /^([ts])(\d{1,15})(?:_.*)?$/.exec(text)
  if (found === null) throw new MatrixError('M_INVALID_PARAM', 'This token is none of this server')
  return Number(found[2]) + (found[1] === 's' ? 1 : 0)
}

/** @throws MatrixError */
export function limitOf(query: URLSearchParams): number {
  const text = query.get('limit')
  const asked = text === null || text === '' ? pageDefault : Number(text)
  if (!Number.isInteger(asked) || asked < 0) throw new MatrixError('M_INVALID_PARAM', 'limit is no number')
  return Math.min(asked, limits.matrixPageMax)
}

/** @throws MatrixError */
function eventFilterOf(query: URLSearchParams): EventFilter {
  const text = query.get('filter')
  if (text === null || text === '') return {}
  try {
    return eventFilterSchema.parse(JSON.parse(text))
  } catch {
    throw new MatrixError('M_BAD_JSON', 'The filter is not as expected')
  }
}

function page(parts: EventRouteParts, { caller, path, query }: Asked): Json {
  const { store, stream } = parts
  const isBackwards = query.get('dir') !== 'f'
  const limit = limitOf(query)
  const filter = eventFilterOf(query)
  return store.read((tx) => {
    const room = readableRoom(parts, caller, path['room']!, tx)
    const end = stream.progress(tx, caller.account).last + 1
    const [fromText, toText] = [query.get('from') ?? '', query.get('to') ?? '']
    const from = fromText === '' ? (isBackwards ? end : 0) : pageNumber(fromText)
    const until = toText === '' ? undefined : pageNumber(toText)
    const span = isBackwards
      ? { ...(until === undefined ? {} : { from: until }), to: from, reverse: true }
      : { from, ...(until === undefined ? {} : { to: until }) }
    const found: ClientEvent[] = []
    let last = from
    let isMore = false
    for (const numbered of stream.timeline(tx, caller.account, room.conversation, span)) {
      if (found.length >= limit) {
        isMore = true
        break
      }
      last = isBackwards ? numbered.number : numbered.number + 1
      const event = viewEvent(parts, tx, caller, numbered)
      if (event !== undefined && isWanted(filter, event)) found.push(inRoom(parts, event, room.conversation))
    }
    return {
      start: `t${from}`,
      // forwards there may always be more one day
      ...(isMore || (!isBackwards && found.length > 0) ? { end: `t${last}` } : {}),
      chunk: found,
      state: filter.lazy_load_members === true ? membersOf(parts, tx, caller, room, found) : [],
    }
  })
}

function context(parts: EventRouteParts, asked: Asked): Json {
  const { store, stream } = parts
  const { caller, path, query } = asked
  const limit = limitOf(query)
  const filter = eventFilterOf(query)
  return store.read((tx) => {
    const room = readableRoom(parts, caller, path['room']!, tx)
    const found = eventIn(parts, room, path['event']!, asked)
    const around = (span: { from?: number; to?: number; reverse?: boolean }, count: number) => [
      ...stream.timeline(tx, caller.account, room.conversation, { ...span, limit: count }),
    ]
    const half = Math.floor(limit / 2)
    const before = around({ to: found.number, reverse: true }, half)
    const after = around({ from: found.number + 1 }, limit - half)
    const view = (numbered: Numbered<TimelineEntry>): readonly ClientEvent[] => {
      const event = viewEvent(parts, tx, caller, numbered)
      return event === undefined ? [] : [inRoom(parts, event, room.conversation)]
    }
    const [event] = view(found)
    if (event === undefined) throw notFound()
    const wanted = (list: readonly Numbered<TimelineEntry>[]): readonly ClientEvent[] =>
      list.flatMap(view).filter((one) => isWanted(filter, one))
    const [earlier, later] = [wanted(before), wanted(after)]
    const isLazy = filter.lazy_load_members === true
    const standing = stream
      .state(tx, caller.account, room.conversation)
      .filter(({ type }) => !isLazy || type !== 'm.room.member')
      .map((state) => inRoom(parts, viewState(parts, caller.account, state), room.conversation))
    return {
      event,
      events_before: earlier,
      events_after: later,
      start: `t${before.at(-1)?.number ?? found.number}`,
      end: `t${(after.at(-1)?.number ?? found.number) + 1}`,
      state: [...standing, ...(isLazy ? membersOf(parts, tx, caller, room, [event, ...earlier, ...later]) : [])],
    }
  })
}

/** Who wrote these, for programs that load members as they need them. */
function membersOf(
  parts: EventRouteParts,
  tx: Parameters<Parameters<Store['read']>[0]>[0],
  { account }: Asked['caller'],
  { conversation }: RoomRow,
  events: readonly ClientEvent[],
): readonly ClientEvent[] {
  return [...new Set(events.map(({ sender }) => sender))].flatMap((user) => {
    const state = parts.stream.stateAt(tx, account, conversation, 'm.room.member', user)
    return state === undefined ? [] : [inRoom(parts, viewState(parts, account, state), conversation)]
  })
}

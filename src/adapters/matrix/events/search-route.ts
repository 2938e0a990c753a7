/**
 * Words in messages (Client-Server API, "Server-side Search"), the latest first or those that fit most closely. Each request
 * looks at a bounded number of events, some at a time so that others are answered meanwhile, and says where the next one
 * goes on: a search for what nobody said costs no more than one that finds.
 */
import { setImmediate as nextTurn } from 'node:timers/promises'
import { z } from 'zod'
import type { ConversationId, Identity } from '../../../core/ids.ts'
import { limits } from '../../../core/limits.ts'
import type { ReadTx, Store } from '../../../core/store/store.ts'
import type { Api, Asked, Json } from '../http/api.ts'
import { MatrixError } from '../http/matrix-error.ts'
import type { TimelineEntry } from '../stream/rows.ts'
import type { Numbered } from '../stream/stream.ts'
import { type EventFilter, eventFilterSchema, isRoomWanted, isWanted } from '../sync/filter.ts'
import { type ClientEvent, inRoom, viewEvent, type ViewParts, viewState } from './event-view.ts'
import { findIn, searchedKeys, type Sought, wordsOf } from './search-words.ts'

export interface SearchParts extends ViewParts {
  readonly store: Store
}

const contextSchema = z.looseObject({
  before_limit: z.int().min(0).optional(),
  after_limit: z.int().min(0).optional(),
  include_profile: z.boolean().optional(),
})
const searchSchema = z.looseObject({
  search_categories: z.looseObject({
    room_events: z
      .looseObject({
        search_term: z.string().max(limits.matrixIdOctetsMax),
        keys: z.array(z.enum(searchedKeys)).max(searchedKeys.length).optional(),
        filter: eventFilterSchema.optional(),
        order_by: z.enum(['recent', 'rank']).default('rank'),
        event_context: contextSchema.optional(),
        include_state: z.boolean().optional(),
        groupings: z
          .looseObject({ group_by: z.array(z.looseObject({ key: z.enum(['room_id', 'sender']) })).max(2) })
          .optional(),
      })
      .optional(),
  }),
})
type Wanted = NonNullable<z.infer<typeof searchSchema>['search_categories']['room_events']>

export function searchRoute(api: Api, parts: SearchParts): void {
  api.withBody('POST', '/search', searchSchema, async (asked, { search_categories: { room_events: wanted } }) => {
    if (wanted === undefined) return { search_categories: {} }
    const words = wordsOf(wanted.search_term)
    if (words.length === 0) throw new MatrixError('M_INVALID_PARAM', 'Say what is looked for')
    const sought = { words, keys: wanted.keys ?? searchedKeys }
    return { search_categories: { room_events: await page(parts, asked, wanted, sought) } }
  })
}

/** Before an event of the stream, and how many of what fits best there were told. */
interface Place {
  readonly before: number
  readonly skip: number
}

/** @throws MatrixError `M_INVALID_PARAM` */
function placeOf(parts: SearchParts, { caller, query }: Asked): Place {
  const text = query.get('next_batch') ?? ''
  if (text === '') return { before: parts.stream.last(caller.account) + 1, skip: 0 }
  const found = /^t(\d{1,15})(?:_(\d{1,9}))?$/.exec(text)
  if (found === null) throw new MatrixError('M_INVALID_PARAM', 'This token is none of this server')
  return { before: Number(found[1]), skip: Number(found[2] ?? 0) }
}

/** Not the event itself: many may fit, and few are told. */
interface Hit {
  readonly rank: number
  readonly numbered: Numbered<TimelineEntry>
}
interface Shown extends Hit {
  readonly event: ClientEvent
}

async function page(parts: SearchParts, asked: Asked, wanted: Wanted, sought: Sought): Promise<Json> {
  const { caller } = asked
  const limit = Math.min(Math.max(1, wanted.filter?.limit ?? 10), limits.matrixTimelineMax)
  const place = placeOf(parts, asked)
  const isRecent = wanted.order_by === 'recent'
  const { hits, end } = await hitsOf(parts, asked, {
    place,
    filter: wanted.filter,
    sought,
    max: isRecent ? limit : Infinity,
  })
  const ordered = isRecent ? hits : hits.toSorted((a, b) => b.rank - a.rank || b.numbered.number - a.numbered.number)
  const chosen = isRecent ? ordered : ordered.slice(place.skip, place.skip + limit)
  const isMoreHere = !isRecent && ordered.length > place.skip + limit
  const next = isMoreHere ? `t${place.before}_${place.skip + limit}` : end === undefined ? undefined : `t${end}`
  return parts.store.read((tx) => {
    const shown = chosen.flatMap((hit): readonly Shown[] => {
      const event = viewEvent(parts, tx, caller, hit.numbered)
      return event === undefined ? [] : [{ ...hit, event }]
    })
    return {
      count: hits.length,
      highlights: sought.words,
      results: shown.map(({ event, rank, numbered }) => ({
        rank,
        result: inRoom(parts, event, numbered.entry.room),
        ...contextOf(parts, tx, caller, numbered, wanted),
      })),
      ...(wanted.include_state === true ? { state: stateOf(parts, tx, caller.account, shown) } : {}),
      ...(wanted.groupings === undefined ? {} : { groups: groupsOf(parts, wanted.groupings, shown, next) }),
      ...(next === undefined ? {} : { next_batch: next }),
    }
  })
}

/** @returns what fits, the latest first, and where the next request goes on */
async function hitsOf(
  parts: SearchParts,
  { caller, signal }: Asked,
  {
    place,
    filter,
    sought,
    max,
  }: {
    readonly place: Place
    readonly filter: EventFilter | undefined
    readonly sought: Sought
    readonly max: number
  },
): Promise<{ readonly hits: readonly Hit[]; readonly end: number | undefined }> {
  const { store, stream, names } = parts
  const { account } = caller
  const hits: Hit[] = []
  let before = place.before
  for (let looked = 0; looked < limits.matrixSearchedMax && !signal.aborted; looked += limits.matrixSearchedAtOnce) {
    if (looked > 0) await nextTurn()
    const isOver = store.read((tx) => {
      const isIn = new Map<ConversationId, boolean>()
      const mayRead = (room: ConversationId): boolean => {
        const known = isIn.get(room) ?? (stream.room(tx, account, room)?.membership ?? 'invite') !== 'invite'
        isIn.set(room, known)
        return known && isRoomWanted(filter, names.room(room))
      }
      let seen = 0
      const span = { to: before, reverse: true, limit: limits.matrixSearchedAtOnce }
      for (const { number, entry } of stream.entries(tx, account, span)) {
        if (hits.length >= max) return false
        seen += 1
        before = number
        if (entry.kind !== 'event' || !mayRead(entry.room)) continue
        const numbered = { number, entry }
        const found = findIn(parts, tx, caller, numbered, sought)
        if (found !== undefined && isWanted(filter, found.event)) hits.push({ rank: found.rank, numbered })
      }
      return seen < limits.matrixSearchedAtOnce
    })
    if (isOver) return { hits, end: undefined }
    if (hits.length >= max) break
  }
  return { hits, end: before }
}

function stateOf(parts: SearchParts, tx: ReadTx, account: Identity, hits: readonly Hit[]): Json {
  const rooms = new Set(hits.map(({ numbered }) => numbered.entry.room))
  return Object.fromEntries(
    Array.from(rooms, (room) => [
      parts.names.room(room),
      parts.stream.state(tx, account, room).map((row) => inRoom(parts, viewState(parts, account, row), room)),
    ]),
  )
}

/** Of what one page has: a group goes on where the page does. */
function groupsOf(
  { names }: SearchParts,
  { group_by: by }: NonNullable<Wanted['groupings']>,
  hits: readonly Shown[],
  next: string | undefined,
): Json {
  const of = (key: string): Json => {
    const groups = Map.groupBy(hits, ({ event, numbered }) =>
      key === 'sender' ? event.sender : names.room(numbered.entry.room),
    )
    return Object.fromEntries(
      Array.from(groups, ([name, those], order) => [
        name,
        {
          order,
          results: those.map(({ event }) => event.event_id),
          ...(next === undefined ? {} : { next_batch: next }),
        },
      ]),
    )
  }
  return Object.fromEntries(by.map(({ key }) => [key, of(key)]))
}

function contextOf(
  parts: SearchParts,
  tx: ReadTx,
  caller: Asked['caller'],
  { number, entry }: Numbered<TimelineEntry>,
  { event_context: wanted }: Wanted,
): Json {
  if (wanted === undefined) return {}
  const around = (span: { readonly from?: number; readonly to?: number; readonly reverse?: boolean }, count = 5) =>
    [
      ...parts.stream.timeline(tx, caller.account, entry.room, {
        ...span,
        limit: Math.min(count, limits.matrixTimelineMax),
      }),
    ].flatMap((one) => {
      const event = viewEvent(parts, tx, caller, one)
      return event === undefined ? [] : [{ number: one.number, event: inRoom(parts, event, entry.room) }]
    })
  const before = around({ to: number, reverse: true }, wanted.before_limit)
  const after = around({ from: number + 1 }, wanted.after_limit)
  return {
    context: {
      events_before: before.map(({ event }) => event),
      events_after: after.map(({ event }) => event),
      start: `t${before.at(-1)?.number ?? number}`,
      end: `t${(after.at(-1)?.number ?? number) + 1}`,
      ...(wanted.include_profile === true
        ? { profile_info: profilesOf(parts, tx, caller.account, entry.room, [...before, ...after]) }
        : {}),
    },
  }
}

/** Who wrote these, as the room shows them. */
function profilesOf(
  { stream }: SearchParts,
  tx: ReadTx,
  account: Identity,
  room: ConversationId,
  events: readonly { readonly event: ClientEvent }[],
): Json {
  return Object.fromEntries(
    [...new Set(events.map(({ event }) => event.sender))].flatMap((user) => {
      const state = stream.stateAt(tx, account, room, 'm.room.member', user)
      if (state === undefined) return []
      const { displayname, avatar_url: avatar } = JSON.parse(state.content) as Json
      return [
        [
          user,
          {
            ...(displayname === undefined ? {} : { displayname }),
            ...(avatar === undefined ? {} : { avatar_url: avatar }),
          },
        ],
      ]
    }),
  )
}

/**
 * Words in messages (Client-Server API, "Server-side Search"), the latest first. Each request looks at a bounded number of
 * events and says where the next one goes on, so that a search for what nobody said costs no more than one that finds.
 */
import { z } from 'zod'
import type { ConversationId } from '../../../core/ids.ts'
import { limits } from '../../../core/limits.ts'
import type { ReadTx, Store } from '../../../core/store/store.ts'
import type { Api, Asked, Json } from '../http/api.ts'
import { MatrixError } from '../http/matrix-error.ts'
import type { TimelineEntry } from '../stream/rows.ts'
import type { Numbered } from '../stream/stream.ts'
import { eventFilterSchema, isRoomWanted, isWanted } from '../sync/filter.ts'
import { pageNumber } from './event-routes.ts'
import { type ClientEvent, inRoom, viewEvent, type ViewParts, viewState } from './event-view.ts'

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
        keys: z.array(z.enum(['content.body', 'content.name', 'content.topic'])).optional(),
        filter: eventFilterSchema.optional(),
        order_by: z.enum(['recent', 'rank']).optional(),
        event_context: contextSchema.optional(),
        include_state: z.boolean().optional(),
      })
      .optional(),
  }),
})
type Wanted = NonNullable<z.infer<typeof searchSchema>['search_categories']['room_events']>

const folded = (text: string): string => text.normalize('NFKC').toLowerCase()

export function searchRoute(api: Api, parts: SearchParts): void {
  api.withBody('POST', '/search', searchSchema, (asked, { search_categories: { room_events: wanted } }) => {
    if (wanted === undefined) return { search_categories: {} }
    const words = folded(wanted.search_term)
      .split(/\s+/)
      .filter((word) => word !== '')
    if (words.length === 0) throw new MatrixError('M_INVALID_PARAM', 'Say what is looked for')
    return { search_categories: { room_events: parts.store.read((tx) => found(parts, tx, asked, wanted, words)) } }
  })
}

function found(
  parts: SearchParts,
  tx: ReadTx,
  { caller, query }: Asked,
  wanted: Wanted,
  words: readonly string[],
): Json {
  const { stream, names } = parts
  const { account } = caller
  const limit = Math.min(Math.max(1, wanted.filter?.limit ?? 10), limits.matrixTimelineMax)
  const from = query.get('next_batch')
  const to = from === null || from === '' ? stream.progress(tx, account).last + 1 : pageNumber(from)
  const isIn = new Map<ConversationId, boolean>()
  const mayRead = (room: ConversationId): boolean => {
    const known = isIn.get(room) ?? stream.room(tx, account, room)?.membership !== 'invite'
    isIn.set(room, known)
    return known && isRoomWanted(wanted.filter, names.room(room))
  }
  const results: Json[] = []
  let looked = 0
  let next: number | undefined
  const state: Record<string, readonly ClientEvent[]> = {}
  for (const { number, entry } of stream.entries(tx, account, { to, reverse: true })) {
    if (results.length >= limit || looked >= limits.matrixSearchedMax) {
      next = number + 1
      break
    }
    looked += 1
    if (entry.kind !== 'event' || !mayRead(entry.room)) continue
    const event = matching(parts, tx, caller, { number, entry }, { words, keys: wanted.keys })
    if (event === undefined || !isWanted(wanted.filter, event)) continue
    const result = inRoom(parts, event, entry.room)
    if (wanted.include_state === true)
      state[names.room(entry.room)] ??= stream
        .state(tx, account, entry.room)
        .map((row) => viewState(parts, account, row))
    results.push({ rank: 1, result, ...contextOf(parts, tx, caller, { number, entry }, wanted) })
  }
  return {
    count: results.length,
    results,
    highlights: words,
    ...(wanted.include_state === true ? { state } : {}),
    ...(next === undefined ? {} : { next_batch: `t${next}` }),
  }
}

/** As it reads now: what was edited is found by its new words. */
function matching(
  parts: SearchParts,
  tx: ReadTx,
  caller: Asked['caller'],
  numbered: Numbered<TimelineEntry>,
  { words, keys }: { readonly words: readonly string[]; readonly keys: Wanted['keys'] },
): ClientEvent | undefined {
  const { source } = numbered.entry
  if (source.kind !== 'message' && source.kind !== 'state') return undefined
  const event = viewEvent(parts, tx, caller, numbered)
  const isEdit = (event?.content['m.relates_to'] as Json | undefined)?.['rel_type'] === 'm.replace'
  if (event === undefined || isEdit) return undefined
  const edit = (event.unsigned?.['m.relations'] as Json | undefined)?.['m.replace'] as ClientEvent | undefined
  const now = (edit?.content['m.new_content'] as Json | undefined) ?? event.content
  const text = folded(
    (keys ?? ['content.body', 'content.name', 'content.topic'])
      .map((key) => now[key.slice('content.'.length)])
      .filter((value) => typeof value === 'string')
      .join('\n'),
  )
  return words.every((word) => text.includes(word)) ? event : undefined
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
      ...(wanted.include_profile === true ? { profile_info: {} } : {}),
    },
  }
}

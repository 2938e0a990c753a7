/** Sliding sync (MSC4186): the rooms that a program looks at, each as far as it does not know it. */
import type { ConversationId, Identity } from '../../../../core/ids.ts'
import type { ReadTx } from '../../../../core/store/store.ts'
import { type ClientEvent, viewEvent, viewState } from '../../events/event-view.ts'
import type { Caller, Json } from '../../http/api.ts'
import type { RoomRow } from '../../stream/rows.ts'
import type { Numbered } from '../../stream/stream.ts'
import { invitedState } from '../invited-state.ts'
import { summaryOf } from '../room-summary.ts'
import type { SyncParts } from '../sync.ts'
import type { Position, RoomTold } from './connections.ts'
import { extensionsOf } from './extensions.ts'
import type { Recency } from './recency.ts'
import { type Filters, isStateWanted, type RoomConfig, type SlidingRequest } from './request.ts'

export interface SlidingParts extends SyncParts {
  readonly recency: Recency
}

/** What the two forms call things. */
export interface Dialect {
  readonly timeline: 'timeline' | 'timeline_events'
  readonly expanded: 'unstable_expanded_timeline' | 'expanded_timeline'
}

export interface Slid {
  readonly body: Json
  readonly isNews: boolean
  readonly position: Position
}

/** Which rooms are asked for, and how. */
interface Wanted {
  readonly row: RoomRow
  readonly configs: RoomConfig[]
  readonly lists: string[]
}

export function slide(
  parts: SlidingParts,
  tx: ReadTx,
  caller: Caller,
  request: SlidingRequest,
  { before, dialect }: { readonly before: Position | undefined; readonly dialect: Dialect },
): Slid {
  const { stream, moments, recency } = parts
  const { account } = caller
  const now = stream.progress(tx, account).last
  const from = before?.number ?? now
  const entries = [...stream.entries(tx, account, { from: from + 1, to: now + 1 })]
  const { last, bumped } = recency.of(tx, account)
  const sent = before?.rooms ?? new Map<ConversationId, RoomTold>()
  const { wanted, counts } = wantedRooms(parts, tx, account, request, { last, sent })
  const rooms: Record<string, Json> = {}
  const told = new Map(sent)
  for (const { row, configs, lists } of wanted.values()) {
    const known = sent.get(row.conversation)
    const answer = roomAnswer(parts, tx, caller, row, {
      configs,
      known,
      now,
      bumpedAt: bumped.get(row.conversation) ?? row.since,
      dialect,
    })
    told.set(row.conversation, { upTo: now, configs })
    if (answer !== undefined)
      rooms[parts.names.room(row.conversation)] = lists.length === 0 ? answer : { ...answer, lists }
  }
  const extensions = extensionsOf(parts, tx, caller, request, {
    entries,
    isInitial: before === undefined,
    rooms: [...wanted.keys()],
    isNew: (room) => !sent.has(room),
    moment: before?.moment ?? 0,
    from,
  })
  return {
    isNews: before === undefined || Object.keys(rooms).length > 0 || extensions.isNews,
    position: { number: now, moment: moments.last, rooms: told },
    body: { lists: counts, rooms, extensions: extensions.body },
  }
}

function wantedRooms(
  parts: SlidingParts,
  tx: ReadTx,
  account: Identity,
  { lists, rooms: subscriptions }: SlidingRequest,
  {
    last,
    sent,
  }: { readonly last: ReadonlyMap<ConversationId, number>; readonly sent: ReadonlyMap<ConversationId, RoomTold> },
): { readonly wanted: ReadonlyMap<ConversationId, Wanted>; readonly counts: Json } {
  const { stream, names } = parts
  const wanted = new Map<ConversationId, Wanted>()
  const want = (row: RoomRow, config: RoomConfig, list?: string): void => {
    const known = wanted.get(row.conversation) ?? { row, configs: [], lists: [] }
    known.configs.push(config)
    if (list !== undefined) known.lists.push(list)
    wanted.set(row.conversation, known)
  }
  const all =
    lists.size === 0
      ? []
      : stream
          .rooms(tx, account)
          .filter((row) => !row.isForgotten && (row.membership !== 'leave' || sent.has(row.conversation)))
  const ordered = all.toSorted((a, b) => (last.get(b.conversation) ?? b.since) - (last.get(a.conversation) ?? a.since))
  const counts: Record<string, Json> = {}
  for (const [name, list] of lists) {
    const fitting = ordered.filter((row) => isFitting(parts, tx, account, row, list.filters))
    counts[name] = { count: fitting.length }
    const shown = list.ranges === undefined ? fitting : list.ranges.flatMap(([from, to]) => fitting.slice(from, to + 1))
    for (const row of new Set(shown)) want(row, list, name)
  }
  for (const [id, config] of subscriptions) {
    const conversation = names.conversation(id)
    const row = conversation && stream.room(tx, account, conversation)
    if (row !== undefined && !row.isForgotten) want(row, config)
  }
  return { wanted, counts }
}

function isFitting(
  { stream, kept, names }: SlidingParts,
  tx: ReadTx,
  account: Identity,
  row: RoomRow,
  filters: Filters,
): boolean {
  const { partner, conversation, membership } = row
  if (filters.isDirect !== undefined && filters.isDirect !== (partner.kind === 'direct' && partner.peer !== account))
    return false
  if (filters.isInvited !== undefined && filters.isInvited !== (membership === 'invite')) return false
  // no room is encrypted to programs, none is in a space, and all are of the kind without a name
  if (filters.isEncrypted === true || filters.isInSpaces) return false
  if ((filters.types !== undefined && !filters.types.includes(null)) || filters.notTypes.includes(null)) return false
  if (filters.tags !== undefined || filters.notTags.length > 0) {
    const tags = Object.keys(
      kept.get<{ readonly tags?: Json }>(tx, account, 'data', names.room(conversation), 'm.tag')?.value.tags ?? {},
    )
    if (filters.tags !== undefined && !filters.tags.some((tag) => tags.includes(tag))) return false
    if (filters.notTags.some((tag) => tags.includes(tag))) return false
  }
  if (filters.nameLike === undefined) return true
  const name = stream.stateAt(tx, account, conversation, 'm.room.name', '')?.content ?? ''
  return name.toLowerCase().includes(filters.nameLike)
}

interface RoomAsked {
  readonly configs: readonly RoomConfig[]
  readonly known: RoomTold | undefined
  readonly now: number
  readonly bumpedAt: number
  readonly dialect: Dialect
}

/** @returns undefined where nothing of it is new */
function roomAnswer(parts: SlidingParts, tx: ReadTx, caller: Caller, row: RoomRow, asked: RoomAsked): Json | undefined {
  const { stream } = parts
  const { account } = caller
  const { configs, known, now, bumpedAt, dialect } = asked
  const isNew = known === undefined || row.since > known.upTo
  if (row.membership === 'invite')
    return isNew
      ? { initial: true, membership: 'invite', bump_stamp: bumpedAt, ...invitedState(parts, tx, account, row) }
      : undefined
  const limit = Math.max(0, ...configs.map(({ timelineLimit }) => timelineLimit))
  const limitBefore = Math.max(0, ...(known?.configs ?? []).map(({ timelineLimit }) => timelineLimit))
  const isExpanded = !isNew && limit > limitBefore
  const since = known?.upTo ?? 0
  const news = isNew ? [] : newsOf(parts, tx, account, row.conversation, { from: since + 1, to: now + 1 })
  if (!isNew && !isExpanded && news.length === 0) return undefined
  const span = { to: now + 1, reverse: true, limit: limit + 1, ...(isNew || isExpanded ? {} : { from: since + 1 }) }
  const latest = [...stream.timeline(tx, account, row.conversation, span)].toReversed()
  const shown = limit === 0 ? [] : latest.slice(-limit)
  const events = shown.flatMap((one) => viewEvent(parts, tx, caller, one) ?? [])
  const first = shown[0]?.number ?? now + 1
  const { joined, invited, heroes, name } = summaryOf(parts, tx, account, row)
  const counts = parts.unread.count(tx, caller, row)
  return {
    ...(isNew ? { initial: true } : {}),
    ...(isExpanded ? { [dialect.expanded]: true } : {}),
    membership: row.membership,
    ...(name === undefined ? { heroes } : { name }),
    ...(row.partner.kind === 'direct' && row.partner.peer !== account ? { is_dm: true } : {}),
    required_state: stateOf(parts, tx, account, row, { configs, events, since: isNew ? 0 : since }),
    [dialect.timeline]: events,
    prev_batch: `t${first}`,
    limited: latest.length > limit,
    num_live: isNew ? 0 : shown.filter(({ number }) => number > since).length,
    joined_count: joined,
    invited_count: invited,
    bump_stamp: bumpedAt,
    ...counts,
  }
}

/** What concerns a room, whether or not it is an event of it: what was read counts as well. */
function newsOf(
  { stream }: SlidingParts,
  tx: ReadTx,
  account: Identity,
  room: ConversationId,
  span: { readonly from: number; readonly to: number },
): readonly Numbered[] {
  return [...stream.entries(tx, account, span)].filter(
    ({ entry }) => (entry.kind === 'event' || entry.kind === 'room' || entry.kind === 'receipt') && entry.room === room,
  )
}

function stateOf(
  parts: SlidingParts,
  tx: ReadTx,
  account: Identity,
  { conversation }: RoomRow,
  {
    configs,
    events,
    since,
  }: { readonly configs: readonly RoomConfig[]; readonly events: readonly ClientEvent[]; readonly since: number },
): readonly ClientEvent[] {
  const isLazy = configs.some((config) => config.isLazy)
  const needed = new Set(
    events.flatMap(({ sender, type, state_key: key }) =>
      type === 'm.room.member' && key !== undefined ? [sender, key] : [sender],
    ),
  )
  return parts.stream
    .state(tx, account, conversation)
    .filter(({ type, stateKey, number }) => {
      if (isLazy && type === 'm.room.member' && (needed.has(stateKey) || (since > 0 && number > since))) return true
      return number > since && isStateWanted(configs, type, stateKey)
    })
    .map((state) => viewState(parts, account, state))
}

/**
 * /sync (Client-Server API, "Syncing"): what a program has not heard since a token of any age, told from the account's
 * stream. With no token, or one that is very far behind, everything anew.
 */
import type { ConversationId, Identity } from '../../../core/ids.ts'
import { limits } from '../../../core/limits.ts'
import type { ReadTx } from '../../../core/store/store.ts'
import { type ClientEvent, viewEvent, type Viewer, viewState, type ViewParts } from '../events/event-view.ts'
import type { Json } from '../http/api.ts'
import type { Kept } from '../kept.ts'
import { eventId } from '../names.ts'
import type { Entry, RoomRow, StateRow, TimelineEntry } from '../stream/rows.ts'
import type { Numbered } from '../stream/stream.ts'
import type { ToDevice } from '../encryption/to-device.ts'
import { ownRules } from '../push/rules.ts'
import { type EventFilter, type Filter, isRoomWanted, isWanted } from './filter.ts'
import { ignoredBy } from './ignored.ts'
import { invitedState } from './invited-state.ts'
import type { Moments } from './moments.ts'
import { presenceEvent, presenceOf } from './presence.ts'
import { type Summary, summaryOf } from './room-summary.ts'
import { type Token, writeToken } from './token.ts'
import type { Unread } from './unread.ts'

export interface SyncParts extends ViewParts {
  readonly kept: Kept
  readonly moments: Moments
  readonly unread: Unread
  readonly encryption: EncryptionSync
  /** Of this run of the gateway. */
  readonly run: string
}

/** What concerns keys of devices, and what devices say to each other. */
export interface EncryptionSync {
  /** Fields of the answer. */
  fields(tx: ReadTx, viewer: Viewer, entries: readonly Numbered[], isInitial: boolean): Json
  /** What came for the viewer's device after this number, as much as one answer holds. */
  toDevice(tx: ReadTx, viewer: Viewer, after: number): ToDevice
}

export interface Wanted {
  readonly since: Token | undefined
  readonly filter: Filter
  readonly fullState: boolean
  /** MSC4222: what stands after the timeline instead of before it. */
  readonly stateAfter: boolean
}

export interface Synced {
  readonly body: Json
  /** There is something in it. */
  readonly isNews: boolean
}

const timelineDefault = 20

/** What has happened in one room since. */
interface RoomNews {
  readonly events: Numbered<TimelineEntry>[]
  readonly receipts: Extract<Entry, { readonly kind: 'receipt' }>[]
  readonly data: Set<string>
  isMembership: boolean
}

export function sync(parts: SyncParts, tx: ReadTx, viewer: Viewer, wanted: Wanted): Synced {
  const { stream, moments, run } = parts
  const { account } = viewer
  const { last } = stream.progress(tx, account)
  const { since } = wanted
  // a token of another life of this account: everything anew
  const isInitial = since === undefined || since.number > last || last - since.number > limits.matrixSyncEntriesMax
  const from = isInitial ? last : since.number
  const entries = [...stream.entries(tx, account, { from: from + 1, to: last + 1 })]
  const moment = isInitial ? 0 : since.moment
  const work = new Work(parts, tx, viewer, { ...wanted, isInitial, from, moment, entries })
  const rooms = work.rooms()
  const accountData = work.accountData()
  // a token of another life says nothing of what has come
  const toDevice = parts.encryption.toDevice(
    tx,
    viewer,
    since === undefined || since.number > last ? 0 : since.toDevice,
  )
  const next = { number: last, moment: moments.last, toDevice: toDevice.upTo ?? last }
  const presence = work.presence()
  const keys = parts.encryption.fields(tx, viewer, entries, isInitial)
  const isNews =
    isInitial ||
    Object.keys(rooms).length > 0 ||
    accountData.length + toDevice.events.length + presence.length > 0 ||
    'device_lists' in keys
  return {
    isNews,
    body: {
      next_batch: writeToken(next, run),
      ...(accountData.length > 0 ? { account_data: { events: accountData } } : {}),
      ...(Object.keys(rooms).length > 0 ? { rooms } : {}),
      ...(presence.length > 0 ? { presence: { events: presence } } : {}),
      ...(toDevice.events.length > 0 ? { to_device: { events: toDevice.events } } : {}),
      ...keys,
    },
  }
}

interface Asked extends Wanted {
  readonly isInitial: boolean
  readonly from: number
  readonly moment: number
  readonly entries: readonly Numbered[]
}

class Work {
  readonly #parts: SyncParts
  readonly #tx: ReadTx
  readonly #viewer: Viewer
  readonly #asked: Asked
  readonly #ignored: ReadonlySet<string>

  constructor(parts: SyncParts, tx: ReadTx, viewer: Viewer, asked: Asked) {
    this.#parts = parts
    this.#tx = tx
    this.#viewer = viewer
    this.#asked = asked
    this.#ignored = ignoredBy(parts.kept, tx, viewer.account)
  }

  get #account(): Identity {
    return this.#viewer.account
  }

  rooms(): Json {
    const { stream, names } = this.#parts
    const { filter, isInitial, fullState } = this.#asked
    const news = this.#news()
    const rows =
      isInitial || fullState
        ? stream.rooms(this.#tx, this.#account)
        : [...news.keys()].flatMap((id) => stream.room(this.#tx, this.#account, id) ?? [])
    const typing = this.#parts.moments.typingSince(this.#account, this.#asked.moment)
    const known = new Set(rows.map(({ conversation }) => conversation))
    const more = [...typing.keys()].flatMap((id) =>
      known.has(id) ? [] : (stream.room(this.#tx, this.#account, id) ?? []),
    )
    const answer: Record<'join' | 'invite' | 'leave', Record<string, Json>> = { join: {}, invite: {}, leave: {} }
    for (const row of [...rows, ...more]) {
      const id = names.room(row.conversation)
      const of = news.get(row.conversation) ?? emptyNews()
      // who forgets a room before a program has heard that it was left, still left it
      const isOver = row.isForgotten && !of.isMembership
      if (!isRoomWanted(filter.room, id) || isOver) continue
      if (row.membership === 'join') {
        const joined = this.#joined(row, of, typing.get(row.conversation))
        if (joined !== undefined) answer.join[id] = joined
      } else if (row.membership === 'invite') {
        const isNews = isInitial || fullState || of.isMembership
        if (isNews && !this.#isAskedByIgnored(row))
          answer.invite[id] = invitedState(this.#parts, this.#tx, this.#account, row)
      } else if (of.isMembership || ((isInitial || fullState) && filter.room?.include_leave === true))
        answer.leave[id] = this.#left(row, of)
    }
    return Object.fromEntries(Object.entries(answer).filter(([, of]) => Object.keys(of).length > 0))
  }

  #news(): Map<ConversationId, RoomNews> {
    const news = new Map<ConversationId, RoomNews>()
    const of = (room: ConversationId): RoomNews => {
      const found = news.get(room) ?? emptyNews()
      news.set(room, found)
      return found
    }
    for (const { number, entry } of this.#asked.entries) {
      if (entry.kind === 'event') of(entry.room).events.push({ number, entry })
      else if (entry.kind === 'receipt') of(entry.room).receipts.push(entry)
      else if (entry.kind === 'room') of(entry.room).isMembership = true
      else if (entry.kind === 'data' && entry.room !== undefined) of(entry.room).data.add(entry.type)
    }
    return news
  }

  #joined(row: RoomRow, news: RoomNews, typing: readonly Identity[] | undefined): Json | undefined {
    const { filter, isInitial, fullState } = this.#asked
    const { conversation } = row
    const isNew = isInitial || row.since > this.#asked.from
    const isQuiet = news.events.length + news.receipts.length + news.data.size === 0 && !news.isMembership
    if (!isNew && isQuiet && typing === undefined && !fullState) return undefined
    const { timeline, state } = this.#timeline(row, news, isNew)
    const ephemeral = [...this.#typingEvent(typing), ...this.#receiptEvent(conversation, news, isNew)]
    const data = this.#roomData(conversation, news, isNew).filter((event) =>
      isWanted(filter.room?.account_data, { ...event, sender: '' }),
    )
    const shown = ephemeral.filter((event) => isWanted(filter.room?.ephemeral, { ...event, sender: '' }))
    const isEmpty = timeline.events.length + state.length + shown.length + data.length === 0
    // all that has come was filtered out; what is unread changes with receipts too
    if (isEmpty && !timeline.limited && !isNew && !fullState && news.receipts.length === 0) return undefined
    return {
      timeline,
      ...(this.#asked.stateAfter
        ? { 'org.matrix.msc4222.state_after': { events: state }, state_after: { events: state } }
        : {}),
      state: { events: this.#asked.stateAfter ? [] : state },
      ephemeral: { events: shown },
      account_data: { events: data },
      unread_notifications: this.#parts.unread.count(this.#tx, this.#viewer, row),
      ...(filter.room?.timeline?.unread_thread_notifications === true ? { unread_thread_notifications: {} } : {}),
      summary: summaryJson(summaryOf(this.#parts, this.#tx, this.#account, row)),
    }
  }

  /** Events of a timeline, and what stands before or after it and the program does not know. */
  #timeline(
    row: RoomRow,
    news: RoomNews,
    isNew: boolean,
  ): {
    readonly timeline: Json & { readonly events: readonly ClientEvent[]; readonly limited: boolean }
    readonly state: readonly ClientEvent[]
  } {
    const { stream } = this.#parts
    const { conversation } = row
    const filter = this.#asked.filter.room?.timeline
    const limit = Math.min(Math.max(0, filter?.limit ?? timelineDefault), limits.matrixTimelineMax)
    const { last } = stream.progress(this.#tx, this.#account)
    const latest = isNew
      ? stream.timeline(this.#tx, this.#account, conversation, { to: last + 1, reverse: true })
      : news.events.toReversed()
    const { events, first, limited } = this.#lastWanted(latest, { filter, limit, last })
    const inTimeline = new Set(events.flatMap(({ event_id: id, state_key: key }) => (key === undefined ? [] : [id])))
    const state = this.#state(row, { isNew: isNew || this.#asked.fullState, events, inTimeline })
    return { timeline: { events, limited, prev_batch: `t${first}_${last}` }, state }
  }

  /** @param latest the last one first: the limit counts what the filter leaves (Client-Server API, "Filtering") */
  #lastWanted(
    latest: Iterable<Numbered<TimelineEntry>>,
    {
      filter,
      limit,
      last,
    }: { readonly filter: EventFilter | undefined; readonly limit: number; readonly last: number },
  ): { readonly events: readonly ClientEvent[]; readonly first: number; readonly limited: boolean } {
    const events: ClientEvent[] = []
    let first = last + 1
    let seen = 0
    for (const numbered of latest) {
      seen += 1
      const event = viewEvent(this.#parts, this.#tx, this.#viewer, numbered)
      if (event === undefined || !this.#isShown(filter, event)) continue
      if (events.length >= limit || seen > limits.matrixPageMax)
        return { events: events.toReversed(), first, limited: true }
      events.push(event)
      first = numbered.number
    }
    return { events: events.toReversed(), first, limited: false }
  }

  #isShown(filter: EventFilter | undefined, event: ClientEvent): boolean {
    const isIgnored = event.state_key === undefined && this.#ignored.has(event.sender)
    return !isIgnored && isWanted(filter, event)
  }

  #state(
    { conversation }: RoomRow,
    {
      isNew,
      events,
      inTimeline,
    }: {
      readonly isNew: boolean
      readonly events: readonly ClientEvent[]
      readonly inTimeline: ReadonlySet<string>
    },
  ): readonly ClientEvent[] {
    const { stream, names } = this.#parts
    const { filter, from, stateAfter } = this.#asked
    const wanted: EventFilter = filter.room?.state ?? {}
    const isLazy = wanted.lazy_load_members === true
    const own = names.own(this.#account)
    const senders = new Set(events.map(({ sender }) => sender))
    const isKnown = (row: StateRow): boolean => !isNew && row.number <= from
    return stream
      .state(this.#tx, this.#account, conversation)
      .filter((row) => {
        // whoever has come, gone or changed since is told of all the same: else they would stay in the room forever
        const isNews = !isNew && row.number > from
        if (isLazy && row.type === 'm.room.member' && row.stateKey !== own) return isNews || senders.has(row.stateKey)
        return !isKnown(row)
      })
      .filter((row) => stateAfter || !inTimeline.has(eventId(row.key)))
      .map((row) => viewState(this.#parts, this.#account, row))
      .filter((event) => isWanted(wanted, event))
  }

  #typingEvent(typing: readonly Identity[] | undefined): readonly (Json & { type: string; content: Json })[] {
    if (typing === undefined) return []
    const { names } = this.#parts
    return [{ type: 'm.typing', content: { user_ids: typing.map((who) => names.user(this.#account, who)) } }]
  }

  /** Of everybody where the room is new to the program, else what has come since. */
  #receiptEvent(
    conversation: ConversationId,
    { receipts }: RoomNews,
    isNew: boolean,
  ): readonly (Json & { type: string; content: Json })[] {
    const { names, services } = this.#parts
    const marks = isNew
      ? services.conversations
          .marks(this.#account, conversation)
          .map(({ who, upTo, atMs }) => ({ who, upTo: upTo as string, atMs }))
      : receipts
    if (marks.length === 0) return []
    const content: Record<string, { 'm.read': Record<string, Json> }> = {}
    for (const { who, upTo, atMs } of marks) {
      const id = `$${Buffer.from(upTo, 'hex').toString('base64url')}`
      content[id] ??= { 'm.read': {} }
      content[id]['m.read'][names.user(this.#account, who)] = { ts: atMs }
    }
    return [{ type: 'm.receipt', content }]
  }

  #roomData(
    conversation: ConversationId,
    { data }: RoomNews,
    isNew: boolean,
  ): readonly { readonly type: string; readonly content: Json }[] {
    const { kept, names } = this.#parts
    const room = names.room(conversation)
    const types = isNew ? kept.list(this.#tx, this.#account, 'data', room).map((found) => found.names[1]!) : [...data]
    return types.flatMap((type) => {
      const found = kept.get<Json>(this.#tx, this.#account, 'data', room, type)
      return found === undefined ? [] : [{ type, content: found.value }]
    })
  }

  #isAskedByIgnored({ conversation }: RoomRow): boolean {
    const { stream, names } = this.#parts
    const own = stream.stateAt(this.#tx, this.#account, conversation, 'm.room.member', names.own(this.#account))
    return own?.by !== undefined && this.#ignored.has(names.user(this.#account, own.by))
  }

  #left(row: RoomRow, news: RoomNews): Json {
    const { timeline, state } = this.#timeline(row, news, this.#asked.isInitial)
    return { timeline, state: { events: state }, account_data: { events: [] } }
  }

  accountData(): readonly { readonly type: string; readonly content: Json }[] {
    const { kept, names } = this.#parts
    const { isInitial, entries, filter } = this.#asked
    const types = isInitial
      ? [...kept.list(this.#tx, this.#account, 'data', '').map((found) => found.names[1]!), 'm.push_rules']
      : entries.flatMap(({ entry }) => (entry.kind === 'data' && entry.room === undefined ? [entry.type] : []))
    return [...new Set(types)]
      .flatMap((type) => {
        // those that nobody has changed are kept nowhere
        if (type === 'm.push_rules') {
          const global = ownRules(kept, this.#tx, this.#account, names.own(this.#account))
          return [{ type, content: { global } }]
        }
        const found = kept.get<Json>(this.#tx, this.#account, 'data', '', type)
        return found === undefined ? [] : [{ type, content: found.value }]
      })
      .filter((event) => isWanted(filter.account_data, { ...event, sender: '' }))
  }

  /** Of whom the program may not know whether they are there: it has heard nothing yet, or has not shared a room with them. */
  #newPeople(): ReadonlySet<Identity> {
    const { stream, services, names } = this.#parts
    const { isInitial, entries } = this.#asked
    const people = new Set<Identity>()
    const rooms = isInitial
      ? stream.rooms(this.#tx, this.#account)
      : entries.flatMap(({ entry }) =>
          entry.kind === 'room' ? (stream.room(this.#tx, this.#account, entry.room) ?? []) : [],
        )
    for (const { membership, partner } of rooms) {
      if (membership !== 'join') continue
      if (partner.kind === 'direct') people.add(partner.peer)
      else
        for (const who of services.groupBook.group(this.#tx, this.#account, partner.group)?.state.members.keys() ?? [])
          people.add(who)
    }
    for (const { entry } of entries) {
      if (entry.kind !== 'event' || entry.source.kind !== 'state' || entry.source.type !== 'm.room.member') continue
      const who = names.identity(this.#account, entry.source.stateKey)
      if (who !== undefined) people.add(who)
    }
    people.delete(this.#account)
    return people
  }

  presence(): readonly Json[] {
    const { moments, services } = this.#parts
    const { filter, moment } = this.#asked
    if (filter.presence?.limit === 0) return []
    const changed = moments.presenceSince(this.#account, moment)
    // at first whoever is not told of is not there
    const { isInitial } = this.#asked
    const there = [...this.#newPeople()].filter(
      (who) => !isInitial || presenceOf(services, this.#account, who) !== 'offline',
    )
    return [...new Set([...changed, ...there])]
      .map((who) => presenceEvent(this.#parts, this.#account, who))
      .filter((event) => isWanted(filter.presence, event))
  }
}

const emptyNews = (): RoomNews => ({ events: [], receipts: [], data: new Set(), isMembership: false })

const summaryJson = ({ heroes, joined, invited }: Summary): Json => ({
  ...(heroes.length === 0 ? {} : { 'm.heroes': heroes.map(({ user_id: user }) => user) }),
  'm.joined_member_count': joined,
  'm.invited_member_count': invited,
})

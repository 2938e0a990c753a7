/**
 * Events that an account is told of, as its push rules say when they come (Client-Server API, "Push notifications", "Server
 * behaviour"): what is unread is counted from these, and no sync walks a room. What was read before it came here, what
 * changes in a room, and what ignored people say is no reason to call anybody.
 */
import type { Ambient } from '../../../core/ambient.ts'
import { concat } from '../../../core/bytes.ts'
import { bool, decode, encode, hexId, record, text, u64 } from '../../../core/codec.ts'
import type { ConversationId, Identity } from '../../../core/ids.ts'
import { limits } from '../../../core/limits.ts'
import type { ReadTx, WriteTx } from '../../../core/store/store.ts'
import { tables } from '../../../core/store/tables.ts'
import { inRoom, messageOf, viewEvent, type ViewParts } from '../events/event-view.ts'
import type { Kept } from '../kept.ts'
import type { Reading } from '../rooms/reading.ts'
import { keys, type TimelineEntry } from '../stream/rows.ts'
import type { Numbered } from '../stream/stream.ts'
import { threadOf } from '../stream/thread-of.ts'
import { ignoredBy } from '../sync/ignored.ts'
import { summaryOf } from '../sync/room-summary.ts'
import { actionsOf, ruleFor } from './evaluate.ts'
import { ownRules } from './rules.ts'

export interface Notice {
  /** Event id of the root, or `main`. */
  readonly thread: string
  readonly notify: boolean
  readonly highlight: boolean
  readonly atMs: number
  /** JSON. */
  readonly actions: string
}
export interface NumberedNotice extends Notice {
  /** Of its event in the stream. */
  readonly number: number
}

const noticeCodec = record<Notice>({
  thread: text(limits.matrixIdOctetsMax),
  notify: bool,
  highlight: bool,
  atMs: u64,
  actions: text(limits.matrixNoticeActionsBytesMax),
})
const roomOf = hexId<ConversationId>(32)
const numberAt = (key: Uint8Array): number => Number(Buffer.from(key).readBigUInt64BE(key.length - 8))
const ofRoom = (tx: ReadTx, account: Identity, room: ConversationId, number?: number): Uint8Array =>
  concat(
    keys.account(tx, account),
    Uint8Array.of(0),
    Buffer.from(room, 'hex'),
    ...(number === undefined ? [] : [encode(u64, number)]),
  )
const ofAll = (tx: ReadTx, account: Identity, number?: number): Uint8Array =>
  concat(keys.account(tx, account), Uint8Array.of(1), ...(number === undefined ? [] : [encode(u64, number)]))

export interface NoticeParts extends ViewParts {
  readonly kept: Kept
  readonly reading: Reading
  readonly ambient: Ambient
}

export class Notices {
  readonly #parts: NoticeParts
  /** How often some were taken back in a room: what was counted before is to be counted again. */
  readonly #takenBack = new Map<string, number>()

  constructor(parts: NoticeParts) {
    this.#parts = parts
    parts.stream.whenAppended((tx, account, numbered) => this.#came(tx, account, numbered))
  }

  /** Of a room, from a number on, in the order in which they came. */
  *inRoom(tx: ReadTx, account: Identity, room: ConversationId, from: number): Generator<NumberedNotice> {
    const range = { prefix: ofRoom(tx, account, room), from: ofRoom(tx, account, room, from) }
    for (const { key, value } of tx.range(tables.matrixNotices, range))
      yield { number: numberAt(key), ...decode(noticeCodec, value) }
  }

  /** Of all rooms before a number, the last one first. */
  *latest(
    tx: ReadTx,
    account: Identity,
    before: number,
  ): Generator<NumberedNotice & { readonly room: ConversationId }> {
    const range = { prefix: ofAll(tx, account), to: ofAll(tx, account, before), reverse: true }
    for (const { key, value } of tx.range(tables.matrixNotices, range)) {
      const [number, room] = [numberAt(key), decode(roomOf, value)]
      const notice = tx.get(tables.matrixNotices, ofRoom(tx, account, room, number))
      if (notice !== undefined) yield { room, number, ...decode(noticeCodec, notice) }
    }
  }

  takenBack(account: Identity, room: ConversationId): number {
    return this.#takenBack.get(account + room) ?? 0
  }

  #came(tx: WriteTx, account: Identity, numbered: Numbered<TimelineEntry>): void {
    const { entry } = numbered
    const { source } = entry
    if (source.kind === 'redaction') this.#takeBack(tx, account, entry)
    if (source.kind === 'redaction' || source.kind === 'state') return
    const by = source.kind === 'note' ? source.by : messageOf(this.#parts.services, tx, account, source.message)?.author
    if (by === account) {
      const isSaidHere = tx.has(tables.matrixSaid, keys.event(tx, account, entry.key))
      if (isSaidHere) this.#parts.reading.said(tx, account, numbered)
    } else if (by !== undefined && !this.#wasRead(tx, account, entry)) this.#judge(tx, account, numbered)
  }

  /** Elsewhere, before this gateway's programs were there. */
  #wasRead(tx: ReadTx, account: Identity, { room, source }: TimelineEntry): boolean {
    const { history } = this.#parts.services.conversations
    const number = source.kind === 'message' ? history.message(tx, account, source.message)?.number : undefined
    return number !== undefined && number > 0 && number <= (history.conversation(tx, account, room)?.readTo ?? 0)
  }

  #judge(tx: WriteTx, account: Identity, numbered: Numbered<TimelineEntry>): void {
    const { stream, kept, names, services, ambient } = this.#parts
    const { number, entry } = numbered
    const row = stream.room(tx, account, entry.room)
    const viewed = viewEvent(this.#parts, tx, { account, device: '' }, numbered)
    // programs turn a room off by a rule on `room_id`
    const event = viewed && inRoom(this.#parts, viewed, entry.room)
    if (row === undefined || event === undefined || ignoredBy(kept, tx, account).has(event.sender)) return
    const rule = ruleFor(ownRules(kept, tx, account, names.own(account)), event, {
      user: names.own(account),
      displayName: services.people.nameOf(account, account) ?? '',
      room: names.room(entry.room),
      memberCount: summaryOf(this.#parts, tx, account, row).joined,
      mayNotify: (sender, kind) =>
        mayNotify(stream.stateAt(tx, account, entry.room, 'm.room.power_levels', '')?.content, sender, kind),
    })
    if (rule === undefined) return
    const { notify, highlight } = actionsOf(rule)
    if (!notify && !highlight) return
    const actions = JSON.stringify(rule.actions)
    const isShort = Buffer.byteLength(actions) <= limits.matrixNoticeActionsBytesMax
    const notice: Notice = {
      thread: threadOf(this.#parts, tx, account, entry),
      notify,
      highlight,
      atMs: ambient.clock.nowMs(),
      actions: isShort ? actions : JSON.stringify(['notify']),
    }
    tx.put(tables.matrixNotices, ofRoom(tx, account, entry.room, number), encode(noticeCodec, notice))
    tx.put(tables.matrixNotices, ofAll(tx, account, number), encode(roomOf, entry.room))
  }

  #takeBack(tx: WriteTx, account: Identity, { room, source }: TimelineEntry): void {
    const place = source.kind === 'redaction' ? this.#parts.stream.place(tx, account, source.target) : undefined
    if (place === undefined || !tx.has(tables.matrixNotices, ofRoom(tx, account, room, place.number))) return
    tx.remove(tables.matrixNotices, ofRoom(tx, account, room, place.number))
    tx.remove(tables.matrixNotices, ofAll(tx, account, place.number))
    tx.afterCommit(() => void this.#takenBack.set(account + room, this.takenBack(account, room) + 1))
  }
}

/** Client-Server API, `m.room.power_levels`: whose power suffices for notifications of a kind. */
function mayNotify(content: string | undefined, sender: string, kind: string): boolean {
  const powers = JSON.parse(content ?? '{}') as {
    readonly users?: Readonly<Record<string, number>>
    readonly users_default?: number
    readonly notifications?: Readonly<Record<string, number>>
  }
  const needed = new Map(Object.entries(powers.notifications ?? {})).get(kind) ?? 50
  return (powers.users?.[sender] ?? powers.users_default ?? 0) >= needed
}

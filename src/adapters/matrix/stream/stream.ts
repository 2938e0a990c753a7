/**
 * One account's stream as a log: entries are appended in a transaction of the caller's and read by number. Whoever waits
 * for news is woken after the commit. What an entry means is told when it is read (events/event-view.ts).
 */
import { decode, encode } from '../../../core/codec.ts'
import { toHex } from '../../../core/bytes.ts'
import type { ConversationId, Identity, MessageId } from '../../../core/ids.ts'
import type { ReadTx, Store, WriteTx } from '../../../core/store/store.ts'
import { tables } from '../../../core/store/tables.ts'
import { derivedKey } from './event-keys.ts'
import {
  type Entry,
  entryCodec,
  type EventKey,
  type EventPlace,
  keys,
  placeCodec,
  type Progress,
  progressCodec,
  type RoomRow,
  roomCodec,
  type Source,
  type StateRow,
  stateCodec,
  type TimelineEntry,
} from './rows.ts'

export interface Numbered<T extends Entry = Entry> {
  readonly number: number
  readonly entry: T
}

export interface Span {
  /** Inclusive. */
  readonly from?: number
  /** Exclusive. */
  readonly to?: number
  /** Latest first. */
  readonly reverse?: boolean
  readonly limit?: number
}

const nothing: Progress = { feed: 0, last: 0 }
const numberAt = (key: Uint8Array): number => Number(Buffer.from(key).readBigUInt64BE(key.length - 8))

export class Stream {
  readonly #store: Store
  readonly #waiting = new Map<Identity, Set<() => void>>()
  /** Last numbers that a transaction has given. */
  readonly #given = new WeakMap<WriteTx, Map<Identity, number>>()

  constructor(store: Store) {
    this.#store = store
  }

  progress(tx: ReadTx, account: Identity): Progress {
    const value = tx.get(tables.matrixProgress, keys.account(tx, account))
    return value === undefined ? nothing : decode(progressCodec, value)
  }

  /** A program of this account has come once. */
  isBegun(tx: ReadTx, account: Identity): boolean {
    return tx.has(tables.matrixProgress, keys.account(tx, account))
  }

  /** The feed is in the stream up to this step. */
  setFeed(tx: WriteTx, account: Identity, feed: number): void {
    this.#putProgress(tx, account, { ...this.progress(tx, account), feed })
  }

  last(account: Identity): number {
    return this.#store.read((tx) => this.progress(tx, account).last)
  }

  /** @returns its number */
  append(tx: WriteTx, account: Identity, entry: Entry): number {
    const given = this.#given.get(tx) ?? new Map<Identity, number>()
    this.#given.set(tx, given)
    const before = given.get(account)
    const number = (before ?? this.progress(tx, account).last) + 1
    given.set(account, number)
    tx.put(tables.matrixStream, keys.entry(tx, account, number), encode(entryCodec, entry))
    if (before === undefined) {
      tx.beforeCommit(() =>
        this.#putProgress(tx, account, { ...this.progress(tx, account), last: given.get(account)! }),
      )
      tx.afterCommit(() => this.wake(account))
    }
    return number
  }

  /** An event of a room's timeline; none twice. @returns its number, also when it was there */
  appendEvent(tx: WriteTx, account: Identity, entry: Omit<TimelineEntry, 'kind'>): number {
    const known = this.place(tx, account, entry.key)
    if (known !== undefined) return known.number
    const number = this.append(tx, account, { kind: 'event', ...entry })
    tx.put(tables.matrixTimeline, keys.timeline(tx, account, entry.room, number), new Uint8Array())
    this.#putPlace(tx, account, entry.key, { number, redactedBy: 0 })
    const { source } = entry
    if (source.kind === 'redaction') {
      const target = this.place(tx, account, source.target)
      if (target !== undefined) this.#putPlace(tx, account, source.target, { ...target, redactedBy: number })
    }
    return number
  }

  /** What stands under a type and key from now on. @returns false where it stood there */
  setState(
    tx: WriteTx,
    account: Identity,
    room: ConversationId,
    state: {
      readonly type: string
      readonly stateKey: string
      readonly by: Identity | undefined
      readonly content: string
      readonly atMs: number
    },
  ): boolean {
    const { type, stateKey, content } = state
    const before = this.stateAt(tx, account, room, type, stateKey)
    if (before?.content === content) return false
    const key = derivedKey('state', room, type, stateKey, content, before?.key ?? '')
    const source: Source = { kind: 'state', ...state, before: before?.key }
    const number = this.appendEvent(tx, account, { room, key, source })
    tx.put(
      tables.matrixState,
      keys.state(tx, account, room, type, stateKey),
      encode(stateCodec, { ...state, key, number }),
    )
    return true
  }

  entry(tx: ReadTx, account: Identity, number: number): Entry | undefined {
    const value = tx.get(tables.matrixStream, keys.entry(tx, account, number))
    return value === undefined ? undefined : decode(entryCodec, value)
  }

  *entries(tx: ReadTx, account: Identity, { from = 0, to, reverse, limit }: Span): Generator<Numbered> {
    const range = {
      prefix: keys.account(tx, account),
      from: keys.entry(tx, account, from),
      ...(to === undefined ? {} : { to: keys.entry(tx, account, to) }),
      ...(reverse === undefined ? {} : { reverse }),
      ...(limit === undefined ? {} : { limit }),
    }
    for (const { key, value } of tx.range(tables.matrixStream, range))
      yield { number: numberAt(key), entry: decode(entryCodec, value) }
  }

  *timeline(
    tx: ReadTx,
    account: Identity,
    room: ConversationId,
    { from = 0, to, reverse, limit }: Span,
  ): Generator<Numbered<TimelineEntry>> {
    const range = {
      prefix: keys.room(tx, account, room),
      from: keys.timeline(tx, account, room, from),
      ...(to === undefined ? {} : { to: keys.timeline(tx, account, room, to) }),
      ...(reverse === undefined ? {} : { reverse }),
      ...(limit === undefined ? {} : { limit }),
    }
    for (const key of tx.keys(tables.matrixTimeline, range)) {
      const number = numberAt(key)
      const entry = this.entry(tx, account, number)
      if (entry?.kind === 'event') yield { number, entry }
    }
  }

  place(tx: ReadTx, account: Identity, key: EventKey): EventPlace | undefined {
    const value = tx.get(tables.matrixEvents, keys.event(tx, account, key))
    return value === undefined ? undefined : decode(placeCodec, value)
  }

  event(tx: ReadTx, account: Identity, key: EventKey): Numbered<TimelineEntry> | undefined {
    const place = this.place(tx, account, key)
    const entry = place && this.entry(tx, account, place.number)
    return entry?.kind === 'event' ? { number: place!.number, entry } : undefined
  }

  stateAt(tx: ReadTx, account: Identity, room: ConversationId, type: string, stateKey: string): StateRow | undefined {
    const value = tx.get(tables.matrixState, keys.state(tx, account, room, type, stateKey))
    return value === undefined ? undefined : decode(stateCodec, value)
  }

  /** All that stands in a room now. */
  state(tx: ReadTx, account: Identity, room: ConversationId): readonly StateRow[] {
    return Array.from(tx.range(tables.matrixState, { prefix: keys.room(tx, account, room) }), ({ value }) =>
      decode(stateCodec, value),
    )
  }

  /** What stood where a row stands, before an entry of this number; undefined where nothing did. */
  stateBefore(tx: ReadTx, account: Identity, row: StateRow, number: number): StateRow | undefined {
    let then: StateRow | undefined = row
    while (then !== undefined && then.number >= number) {
      const source: Source | undefined = this.event(tx, account, then.key)?.entry.source
      const before: EventKey | undefined =
        source?.kind === 'state' && source.before !== undefined ? source.before : undefined
      const found: Numbered<TimelineEntry> | undefined = before && this.event(tx, account, before)
      then =
        found?.entry.source.kind === 'state'
          ? { ...found.entry.source, key: found.entry.key, number: found.number }
          : undefined
    }
    return then
  }

  room(tx: ReadTx, account: Identity, room: ConversationId): RoomRow | undefined {
    const value = tx.get(tables.matrixRooms, keys.room(tx, account, room))
    return value === undefined ? undefined : decode(roomCodec, value)
  }

  rooms(tx: ReadTx, account: Identity): readonly RoomRow[] {
    return Array.from(tx.range(tables.matrixRooms, { prefix: keys.account(tx, account) }), ({ value }) =>
      decode(roomCodec, value),
    )
  }

  putRoom(tx: WriteTx, account: Identity, room: RoomRow): void {
    tx.put(tables.matrixRooms, keys.room(tx, account, room.conversation), encode(roomCodec, room))
  }

  /** Events of one's own reactions, by what they say. */
  reaction(tx: ReadTx, account: Identity, target: MessageId, who: Identity, reaction: string): EventKey | undefined {
    const value = tx.get(tables.matrixReactions, keys.reaction(tx, account, target, who, reaction))
    return value === undefined ? undefined : (toHex(value) as EventKey)
  }

  /** Events of all reactions to a message that stand. */
  reactions(tx: ReadTx, account: Identity, target: MessageId): readonly EventKey[] {
    return Array.from(
      tx.range(tables.matrixReactions, { prefix: keys.reactions(tx, account, target) }),
      ({ value }) => toHex(value) as EventKey,
    )
  }

  setReaction(
    tx: WriteTx,
    account: Identity,
    at: { readonly target: MessageId; readonly who: Identity; readonly reaction: string },
    key: EventKey | undefined,
  ): void {
    const row = keys.reaction(tx, account, at.target, at.who, at.reaction)
    if (key === undefined) tx.remove(tables.matrixReactions, row)
    else tx.put(tables.matrixReactions, row, Buffer.from(key, 'hex'))
  }

  wake(account: Identity): void {
    const waiting = this.#waiting.get(account)
    if (waiting === undefined) return
    this.#waiting.delete(account)
    for (const wake of waiting) wake()
  }

  wakeAll(): void {
    for (const account of this.#waiting.keys()) this.wake(account)
  }

  /** `came` resolves with the next news of an account, after some time, or when the signal says so. */
  news(account: Identity, ms: number, signal: AbortSignal): { readonly came: Promise<void> } & Disposable {
    const { promise: came, resolve } = Promise.withResolvers<void>()
    const waiting = this.#waiting.get(account) ?? new Set()
    this.#waiting.set(account, waiting)
    const done = (): void => {
      clearTimeout(timer)
      signal.removeEventListener('abort', done)
      waiting.delete(done)
      resolve()
    }
    const timer = setTimeout(done, Math.max(0, ms))
    waiting.add(done)
    signal.addEventListener('abort', done, { once: true })
    if (signal.aborted) done()
    return { came, [Symbol.dispose]: done }
  }

  #putPlace(tx: WriteTx, account: Identity, key: EventKey, place: EventPlace): void {
    tx.put(tables.matrixEvents, keys.event(tx, account, key), encode(placeCodec, place))
  }

  #putProgress(tx: WriteTx, account: Identity, progress: Progress): void {
    tx.put(tables.matrixProgress, keys.account(tx, account), encode(progressCodec, progress))
  }
}

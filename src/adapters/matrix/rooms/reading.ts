/**
 * How far an account has read in its rooms: as its programs say (Client-Server API, "Receipts"), in threads and outside of
 * them, in public and in private; and as its other programs and gateways say, who know no threads. What all of that comes
 * to up to a message without a gap is the account's read mark, which mail and XMPP go by.
 */
import type { Ambient } from '../../../core/ambient.ts'
import type { ConversationId, Identity, MessageId } from '../../../core/ids.ts'
import { limits } from '../../../core/limits.ts'
import type { ReadTx, WriteTx } from '../../../core/store/store.ts'
import { messageOf } from '../events/event-view.ts'
import { MatrixError } from '../http/matrix-error.ts'
import type { Kept } from '../kept.ts'
import { eventId, eventKeyOf } from '../names.ts'
import type { MatrixServices } from '../services.ts'
import type { Relations } from '../stream/relations.ts'
import type { EventKey, TimelineEntry } from '../stream/rows.ts'
import type { Stream } from '../stream/stream.ts'
import { mainThread, threadOf } from '../stream/thread-of.ts'

/** `said`: whoever says something has read what stands before it; no receipt that programs see. */
export type ReceiptKind = 'm.read' | 'm.read.private' | 'said'

export interface Receipt {
  readonly kind: ReceiptKind
  /** Event id of its root, `main`, or '' for all of the room. */
  readonly thread: string
  readonly event: EventKey
  /** Number of that event in the stream. */
  readonly at: number
  readonly atMs: number
}

/** Numbers up to which all is read. */
export interface Marks {
  readonly unthreaded: number
  readonly threads: ReadonlyMap<string, number>
}

/** Of the account's read mark: up to where it was moved from here, and up to where others may know. */
interface Moved {
  readonly at: number
  readonly known: number
}

export const isReadIn = ({ unthreaded, threads }: Marks, number: number, thread: string): boolean =>
  number <= unthreaded || number <= (threads.get(thread) ?? 0)

interface ReadingParts {
  readonly services: MatrixServices
  readonly stream: Stream
  readonly relations: Relations
  readonly kept: Kept
  readonly clock: Ambient['clock']
}

export class Reading {
  readonly #parts: ReadingParts

  constructor(parts: ReadingParts) {
    this.#parts = parts
  }

  receipts(tx: ReadTx, account: Identity, room: ConversationId): readonly Receipt[] {
    return this.#parts.kept
      .list<Omit<Receipt, 'kind' | 'thread'>>(tx, account, 'receipt', room)
      .flatMap(({ names: [, kind, thread], value }) =>
        kind === movedName ? [] : [{ kind: kind as ReceiptKind, thread: thread!, ...value }],
      )
  }

  marks(
    tx: ReadTx,
    account: Identity,
    room: ConversationId,
    isWanted: (receipt: Receipt) => boolean = () => true,
  ): Marks {
    let unthreaded = 0
    const threads = new Map<string, number>()
    for (const receipt of this.receipts(tx, account, room)) {
      if (!isWanted(receipt)) continue
      const { thread, at } = receipt
      if (thread === '') unthreaded = Math.max(unthreaded, at)
      else threads.set(thread, Math.max(threads.get(thread) ?? 0, at))
    }
    return { unthreaded, threads }
  }

  /**
   * A program says so.
   * @param thread undefined: all of the room
   * @returns a message up to which others may know now that all was read
   * @throws MatrixError `M_NOT_FOUND`, `M_INVALID_PARAM`
   */
  read(
    tx: WriteTx,
    account: Identity,
    room: ConversationId,
    { kind, id, thread }: { readonly kind: ReceiptKind; readonly id: string; readonly thread: string | undefined },
  ): MessageId | undefined {
    const { stream, clock } = this.#parts
    const event = eventKeyOf(id)
    const found = event && stream.event(tx, account, event)
    if (event === undefined || found?.entry.room !== room)
      throw new MatrixError('M_NOT_FOUND', 'There is no such event in this room')
    if (thread !== undefined && thread !== eventId(event) && thread !== threadOf(this.#parts, tx, account, found.entry))
      throw new MatrixError('M_INVALID_PARAM', 'This event is in another thread')
    const receipt = { kind, thread: thread ?? '', event, at: found.number, atMs: clock.nowMs() }
    if (!this.#put(tx, account, room, receipt)) return undefined
    return this.#move(tx, account, room)
  }

  /** The account's read mark has moved; what moved it from here is known already. */
  readElsewhere(tx: WriteTx, account: Identity, room: ConversationId, event: EventKey): void {
    const { stream, clock } = this.#parts
    const at = stream.place(tx, account, event)?.number
    const moved = this.#moved(tx, account, room)
    if (at === undefined || at <= moved.at) return
    this.#put(tx, account, room, { kind: 'm.read', thread: '', event, at, atMs: clock.nowMs() })
    this.#putMoved(tx, account, room, { ...moved, at })
  }

  /** The account has said something by one of its programs. */
  said(tx: WriteTx, account: Identity, { number, entry }: { number: number; entry: TimelineEntry }): void {
    const thread = threadOf(this.#parts, tx, account, entry)
    const atMs = this.#parts.clock.nowMs()
    this.#put(tx, account, entry.room, { kind: 'said', thread, event: entry.key, at: number, atMs })
  }

  /** @returns whether it goes on: a receipt never goes back */
  #put(tx: WriteTx, account: Identity, room: ConversationId, receipt: Receipt): boolean {
    const { kept, stream } = this.#parts
    const { kind, thread, event, at, atMs } = receipt
    const before = kept.get<Receipt>(tx, account, 'receipt', room, kind, thread)?.value
    if (before !== undefined && before.at >= at) return false
    // what one says is told of as itself
    const number =
      kind === 'said' ? 0 : stream.append(tx, account, { kind: 'receipt', room, who: account, upTo: event, atMs })
    kept.put(tx, account, 'receipt', [room, kind, thread], { event, at, atMs }, { number, max: Infinity })
    this.#tidy(tx, account, room)
    return true
  }

  /** What a receipt for all of the room covers says nothing any more. */
  #tidy(tx: WriteTx, account: Identity, room: ConversationId): void {
    const threaded = this.receipts(tx, account, room).filter(({ thread }) => thread !== '')
    const { unthreaded } = this.marks(tx, account, room, ({ thread, kind }) => thread === '' && kind === 'm.read')
    const beyond = threaded.toSorted((a, b) => b.at - a.at).slice(limits.matrixThreadsReadMax)
    for (const { kind, thread, at } of threaded)
      if (at <= unthreaded || beyond.some((one) => one.kind === kind && one.thread === thread))
        this.#parts.kept.remove(tx, account, 'receipt', room, kind, thread)
  }

  /** Moves the account's read mark as far as nothing before it is unread. */
  #move(tx: WriteTx, account: Identity, room: ConversationId): MessageId | undefined {
    const moved = this.#moved(tx, account, room)
    const at = this.#readUpTo(tx, account, room, this.marks(tx, account, room), moved.at)
    const inPublic = this.marks(tx, account, room, ({ kind }) => kind === 'm.read')
    const known = this.#readUpTo(tx, account, room, inPublic, moved.known)
    this.#putMoved(tx, account, room, { at, known })
    const last = at > moved.at ? this.#messageAt(tx, account, room, at) : undefined
    if (last !== undefined) this.#parts.services.conversations.mark(tx, account, room, { who: account, heads: [last] })
    return known > moved.known ? this.#messageAt(tx, account, room, known) : undefined
  }

  #readUpTo(tx: ReadTx, account: Identity, room: ConversationId, marks: Marks, from: number): number {
    const main = this.#hasUnreadThread(tx, account, room, marks) ? 0 : (marks.threads.get(mainThread) ?? 0)
    let upTo = Math.max(from, marks.unthreaded, main)
    const end = Math.max(upTo, ...marks.threads.values()) + 1
    const span = { from: upTo + 1, to: end, limit: limits.matrixPageMax }
    for (const { number, entry } of this.#parts.stream.timeline(tx, account, room, span)) {
      const isSeen = this.#isNobodyElses(tx, account, entry)
      if (!isSeen && !isReadIn(marks, number, threadOf(this.#parts, tx, account, entry))) break
      upTo = number
    }
    return upTo
  }

  #hasUnreadThread(tx: ReadTx, account: Identity, room: ConversationId, { unthreaded, threads }: Marks): boolean {
    return this.#parts.relations
      .threads(tx, account, room)
      .some(({ root, latest }) => latest > Math.max(unthreaded, threads.get(eventId(root)) ?? 0))
  }

  /** One's own words, and what is no message: nobody waits for that to be read. */
  #isNobodyElses(tx: ReadTx, account: Identity, { source }: TimelineEntry): boolean {
    if (source.kind !== 'message' && source.kind !== 'reaction') return true
    return messageOf(this.#parts.services, tx, account, source.message)?.author === account
  }

  /** The last message at or before a number: of a note or a change of the room nobody else knows. */
  #messageAt(tx: ReadTx, account: Identity, room: ConversationId, number: number): MessageId | undefined {
    const { stream, services } = this.#parts
    const span = { to: number + 1, reverse: true, limit: limits.matrixTimelineMax }
    for (const { entry } of stream.timeline(tx, account, room, span)) {
      if (entry.source.kind !== 'message' && entry.source.kind !== 'reaction') continue
      const { message } = entry.source
      if (services.conversations.history.message(tx, account, message)?.state === 'shown') return message
    }
    return undefined
  }

  #moved(tx: ReadTx, account: Identity, room: ConversationId): Moved {
    return this.#parts.kept.get<Moved>(tx, account, 'receipt', room, movedName)?.value ?? { at: 0, known: 0 }
  }

  #putMoved(tx: WriteTx, account: Identity, room: ConversationId, moved: Moved): void {
    this.#parts.kept.put(tx, account, 'receipt', [room, movedName], moved, { max: Infinity })
  }
}

/** Among the receipts of a room, and none of them. */
const movedName = 'mark'

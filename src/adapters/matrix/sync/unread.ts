/**
 * How many messages of a room are unread, and how many of them call for attention: of all of the room, or by thread. What
 * was counted is kept in memory until a receipt moves, and what has come since is added to it.
 */
import type { ConversationId, Identity } from '../../../core/ids.ts'
import { limits } from '../../../core/limits.ts'
import type { ReadTx } from '../../../core/store/store.ts'
import type { Viewer } from '../events/event-view.ts'
import type { Notices } from '../push/notices.ts'
import { isReadIn, type Marks, type Reading } from '../rooms/reading.ts'
import type { RoomRow } from '../stream/rows.ts'
import type { Stream } from '../stream/stream.ts'
import { mainThread } from '../stream/thread-of.ts'

export interface Counts {
  readonly notification_count: number
  readonly highlight_count: number
}

const none: Counts = { notification_count: 0, highlight_count: 0 }

interface Counted {
  /** Of what it was counted: marks, and what was taken back. */
  readonly of: string
  /** All up to this number is in it. */
  upTo: number
  readonly threads: Map<string, Counts>
}

interface UnreadParts {
  readonly stream: Stream
  readonly notices: Notices
  readonly reading: Reading
}

export class Unread {
  readonly #parts: UnreadParts
  /** By account and room; all go when there are too many. */
  readonly #counted = new Map<string, Counted>()

  constructor(parts: UnreadParts) {
    this.#parts = parts
  }

  /** Of all of a room. */
  count(tx: ReadTx, { account }: Viewer, { conversation }: RoomRow): Counts {
    return [...this.#threads(tx, account, conversation).values()].reduce(sum, none)
  }

  /** Client-Server API, GET /sync, `unread_thread_notifications`: threads by their roots, and what is in none. */
  byThread(
    tx: ReadTx,
    { account }: Viewer,
    { conversation }: RoomRow,
  ): { readonly main: Counts; readonly threads: Readonly<Record<string, Counts>> } {
    const all = this.#threads(tx, account, conversation)
    return {
      main: all.get(mainThread) ?? none,
      threads: Object.fromEntries([...all].filter(([thread]) => thread !== mainThread)),
    }
  }

  #threads(tx: ReadTx, account: Identity, room: ConversationId): ReadonlyMap<string, Counts> {
    const { stream, notices, reading } = this.#parts
    const { last } = stream.progress(tx, account)
    const marks = reading.marks(tx, account, room)
    const of = `${describe(marks)} ${notices.takenBack(account, room)}`
    const known = this.#counted.get(account + room)
    const counted = known?.of === of ? known : { of, upTo: marks.unthreaded, threads: new Map<string, Counts>() }
    if (this.#counted.size >= limits.matrixRoomsCountedMax) this.#counted.clear()
    this.#counted.set(account + room, counted)
    if (counted.upTo >= last) return counted.threads
    for (const { number, thread, notify, highlight } of notices.inRoom(tx, account, room, counted.upTo + 1)) {
      if (isReadIn(marks, number, thread)) continue
      const one = { notification_count: notify ? 1 : 0, highlight_count: highlight ? 1 : 0 }
      counted.threads.set(thread, sum(counted.threads.get(thread) ?? none, one))
    }
    counted.upTo = last
    return counted.threads
  }
}

const sum = (a: Counts, b: Counts): Counts => ({
  notification_count: a.notification_count + b.notification_count,
  highlight_count: a.highlight_count + b.highlight_count,
})

const describe = ({ unthreaded, threads }: Marks): string => JSON.stringify([unthreaded, ...threads])

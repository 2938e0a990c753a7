/** Events of a room by when they were said, which is not when they came: the one nearest to a moment is found without a walk. */
import { concat } from '../../../core/bytes.ts'
import { encode, u64 } from '../../../core/codec.ts'
import type { ConversationId, Identity } from '../../../core/ids.ts'
import { limits } from '../../../core/limits.ts'
import type { ReadTx } from '../../../core/store/store.ts'
import { tables } from '../../../core/store/tables.ts'
import { messageOf } from '../events/event-view.ts'
import type { MatrixServices } from '../services.ts'
import { keys, type TimelineEntry } from './rows.ts'
import type { Numbered, Stream } from './stream.ts'

interface TimesParts {
  readonly services: MatrixServices
  readonly stream: Stream
}

const numberAt = (key: Uint8Array): number => Number(Buffer.from(key).readBigUInt64BE(key.length - 8))

export class Times {
  readonly #parts: TimesParts

  constructor(parts: TimesParts) {
    this.#parts = parts
    parts.stream.whenAppended((tx, account, { number, entry }) => {
      const atMs = this.#timeOf(tx, account, entry)
      if (atMs === undefined) return
      const key = concat(timeKey(tx, account, entry.room, atMs), encode(u64, number))
      tx.put(tables.matrixTimes, key, new Uint8Array())
    })
  }

  /** From a moment on, or back from it, the nearest first; so many that one of them can be shown. */
  *near(
    tx: ReadTx,
    account: Identity,
    room: ConversationId,
    { atMs, isBackwards }: { readonly atMs: number; readonly isBackwards: boolean },
  ): Generator<Numbered<TimelineEntry>> {
    const span = isBackwards
      ? { to: timeKey(tx, account, room, atMs + 1), reverse: true }
      : { from: timeKey(tx, account, room, atMs) }
    const range = { prefix: keys.room(tx, account, room), ...span, limit: limits.matrixTimelineMax }
    for (const key of tx.keys(tables.matrixTimes, range)) {
      const number = numberAt(key)
      const entry = this.#parts.stream.entry(tx, account, number)
      if (entry?.kind === 'event') yield { number, entry }
    }
  }

  #timeOf(tx: ReadTx, account: Identity, { source }: TimelineEntry): number | undefined {
    return source.kind === 'message' || source.kind === 'reaction'
      ? messageOf(this.#parts.services, tx, account, source.message)?.sentAtMs
      : source.atMs
  }
}

const timeKey = (tx: ReadTx, account: Identity, room: ConversationId, atMs: number): Uint8Array =>
  concat(keys.room(tx, account, room), encode(u64, atMs))

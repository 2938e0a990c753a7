/** Which rooms of an account have lately been the busiest: counted once from the stream, then along with it. */
import type { ConversationId, Identity } from '../../../../core/ids.ts'
import type { ReadTx } from '../../../../core/store/store.ts'
import type { TimelineEntry } from '../../stream/rows.ts'
import type { Stream } from '../../stream/stream.ts'

interface Known {
  upTo: number
  /** Number of the last event. */
  readonly last: Map<ConversationId, number>
  /** Of the last one that a person would look for. */
  readonly bumped: Map<ConversationId, number>
}

const accountsMax = 1000
/** Events that are looked at for the last that counts. */
const lookBack = 50

export class Recency {
  readonly #stream: Stream
  readonly #known = new Map<Identity, Known>()

  constructor(stream: Stream) {
    this.#stream = stream
  }

  of(tx: ReadTx, account: Identity): Omit<Known, 'upTo'> {
    const now = this.#stream.progress(tx, account).last
    const known = this.#known.get(account)
    if (known === undefined || known.upTo > now) return this.#count(tx, account, now)
    for (const { number, entry } of this.#stream.entries(tx, account, { from: known.upTo + 1, to: now + 1 })) {
      if (entry.kind === 'room' || entry.kind === 'event') known.last.set(entry.room, number)
      if (entry.kind === 'room' || (entry.kind === 'event' && isBump(entry))) known.bumped.set(entry.room, number)
    }
    known.upTo = now
    return known
  }

  #count(tx: ReadTx, account: Identity, now: number): Known {
    const counted: Known = { upTo: now, last: new Map(), bumped: new Map() }
    for (const { conversation, since } of this.#stream.rooms(tx, account)) {
      counted.last.set(conversation, since)
      counted.bumped.set(conversation, since)
      let isFirst = true
      for (const { number, entry } of this.#stream.timeline(tx, account, conversation, {
        to: now + 1,
        reverse: true,
        limit: lookBack,
      })) {
        if (isFirst) counted.last.set(conversation, number)
        isFirst = false
        if (!isBump(entry)) continue
        counted.bumped.set(conversation, number)
        break
      }
    }
    if (this.#known.size >= accountsMax) this.#known.clear()
    this.#known.set(account, counted)
    return counted
  }
}

/** MSC4186, `bump_stamp`: messages, and what begins something. */
const isBump = ({ source }: TimelineEntry): boolean =>
  source.kind === 'message' || (source.kind === 'note' && /^m\.(?:call\.invite|room\.message)$/.test(source.type))

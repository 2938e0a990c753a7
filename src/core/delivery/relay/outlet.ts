/**
 * The way of a channel's frames while the contact's device cannot be reached: into its queues at relays. What lies there
 * is remembered by the number of its reference, so that a restart does not leave everything once more.
 */
import { limits } from '../../limits.ts'
import type { Store, WriteTx } from '../../store/store.ts'
import { encodeItems } from '../../session/items.ts'
import type { BlobSource } from '../blob-source.ts'
import type { Item } from '../items.ts'
import type { Outbox } from '../outbox.ts'
import { seqsPerMs } from '../outbox-packs.ts'
import type { Outlet, SentFrames } from '../outlet.ts'
import type { RelayBook } from './book.ts'
import { itemsBytesMax } from './body.ts'
import type { Depositor } from './depositor.ts'
import type { OutQueues } from './queues.ts'

export interface RelayOutletParts {
  readonly store: Store
  readonly book: RelayBook
  readonly outbox: Outbox
  readonly blobSource: BlobSource
  readonly depositor: Depositor
  readonly nowMs: () => number
  /** How often the pair's session was replaced: what was sealed before that lies nowhere that counts. */
  readonly restarts: () => number
  /** Something lies at a relay. */
  readonly onLeft: () => void
  /** It could leave nothing anywhere. */
  readonly onFailed: () => void
}

const itemHeaderBytes = 9

export class RelayOutlet implements Outlet {
  readonly kind = 'relay'
  readonly link = undefined
  readonly after: number
  readonly resends = false
  readonly #parts: RelayOutletParts
  readonly #ended = new AbortController()
  readonly #restarts: number
  #hasLeft = false

  constructor(parts: RelayOutletParts) {
    this.#parts = parts
    this.#restarts = parts.restarts()
    this.after = parts.book.out(parts.depositor.pair)?.depositedTo ?? 0
  }

  get closed(): AbortSignal {
    return this.#ended.signal
  }

  /**
   * A receiver skips only so many frames: more that it may never see would spend the session. So the first ones are few,
   * until a relay has taken them.
   */
  get framesMax(): number {
    const out = this.#parts.book.out(this.#parts.depositor.pair)?.framesOut ?? 0
    const window = this.#hasLeft ? limits.relayFramesInFlightMax : limits.relayFramesFirstMax
    return Math.max(0, Math.min(window, limits.relayFramesOutMax - out))
  }

  /** Steps of a confirmation are for two people who both look at their screens. */
  takes(item: Item): boolean {
    return item.kind !== 'confirmation' && item.kind !== 'sync'
  }

  close(): void {
    this.#ended.abort()
  }

  failed(): void {
    this.#parts.onFailed()
  }

  async send(sealed: SentFrames): Promise<void> {
    await orAborted(this.#send(sealed), this.#ended.signal)
  }

  async #send({ tag, frames, units, sent }: SentFrames): Promise<void> {
    const { depositor } = this.#parts
    const signal = this.#ended.signal
    const nowMs = this.#parts.nowMs()
    const latest = Math.max(0, ...sent.map(({ queued }) => queued.ref.expiresAtMs))
    const expiresAtMs = Math.min(latest === 0 ? Infinity : latest, nowMs + limits.messageExpiryMs)
    try {
      await this.#count(frames.length)
      for (const items of pieces(tag, frames, units))
        await depositor.leave({ kind: 'frames', items }, { expiresAtMs, signal })
      this.#hasLeft = true
      this.#parts.onLeft()
      for (const { root } of sent) if (root !== undefined) await this.#leaveBlob(root, expiresAtMs)
      await this.#noteDeposited(sent)
    } catch (error) {
      if (!signal.aborted) this.#parts.onFailed()
      throw error
    }
  }

  async #leaveBlob(root: NonNullable<SentFrames['sent'][number]['root']>, expiresAtMs: number): Promise<void> {
    const { blobSource, depositor } = this.#parts
    for await (const { index, answer } of blobSource.chunks(root, limits.relayBlobBytesMax)) {
      await depositor.leave({ kind: 'chunk', root, index, answer }, { expiresAtMs, signal: this.#ended.signal })
    }
  }

  /** Before they leave: a crash must not make them uncounted. */
  async #count(frames: number): Promise<void> {
    const { store, book, depositor } = this.#parts
    await store.write((tx) => {
      const row = book.readOut(tx, depositor.pair)
      if (row !== undefined) book.putOut(tx, { ...row, framesOut: row.framesOut + frames })
    })
  }

  async #noteDeposited(sent: SentFrames['sent']): Promise<void> {
    if (sent.length === 0) return
    const { store, book, outbox, depositor } = this.#parts
    const nowMs = this.#parts.nowMs()
    // never ahead of the clock: what is submitted from now on is numbered above it
    const to = Math.min(Math.max(...sent.map(({ queued }) => queued.seq)), nowMs * seqsPerMs - 1)
    await store.write((tx) => {
      const row = book.readOut(tx, depositor.pair)
      if (row === undefined || this.#ended.signal.aborted || this.#restarts !== this.#parts.restarts()) return
      const sinceMs = isAnswered(tx, outbox, row) ? nowMs : row.sinceMs
      book.putOut(tx, { ...row, depositedTo: to, sinceMs })
    })
  }
}

/** Who has another way does not wait for a relay that takes its time. */
async function orAborted(work: Promise<void>, signal: AbortSignal): Promise<void> {
  let end = (): void => {}
  const aborted = new Promise<void>((resolve) => (end = resolve))
  signal.addEventListener('abort', end, { once: true })
  if (signal.aborted) end()
  try {
    await Promise.race([work, aborted])
  } finally {
    signal.removeEventListener('abort', end)
  }
}

/** Has the device answered for all that was left for it before? Looks at the oldest that wait; those may wait for another device. */
function isAnswered(tx: WriteTx, outbox: Outbox, { pair, depositedTo }: OutQueues): boolean {
  if (depositedTo === 0) return true
  const { account, peer, peerDevice } = pair
  let looked = 0
  for (const { seq, ref } of outbox.refs(tx, account, peer, 0, limits.relayLookBackRefs)) {
    if (seq > depositedTo) return true
    if (!ref.ackedBy.includes(peerDevice) && !ref.refusedBy.includes(peerDevice)) return false
    looked += 1
  }
  return looked < limits.relayLookBackRefs
}

/** What was left so long ago that it should have been answered is left once more: a relay may have lost it. */
export const isOld = ({ depositedTo, sinceMs }: OutQueues, nowMs: number): boolean =>
  depositedTo > 0 && nowMs - sinceMs >= limits.relayLeaveAgainMs

/**
 * All frames of an item, and of as many items as fit an entry. An item over two entries would be half taken, for good and in
 * memory alone, when its recipient stops between them.
 */
export function* pieces(
  tag: Uint8Array,
  frames: readonly Uint8Array[],
  units: readonly number[],
): Generator<Uint8Array> {
  let [from, to, length] = [0, 0, 0]
  for (const count of units) {
    const octets = frames.slice(to, to + count).reduce((sum, frame) => sum + itemHeaderBytes + frame.length, 0)
    if (to > from && length + octets > itemsBytesMax) {
      yield encodeItems(tag, frames.slice(from, to))
      ;[from, length] = [to, 0]
    }
    to += count
    length += octets
  }
  if (to > from) yield encodeItems(tag, frames.slice(from, to))
}

/**
 * The sending side of one pair of devices: takes references from the outbox in order, seals them in batches, sends them
 * by its outlet (the ready link, or relays while the peer is away), and sends again what stays unanswered. Ratchet state
 * is durable before a frame leaves.
 */
import type { Ambient } from '../ambient.ts'
import { MyceliumError } from '../errors.ts'
import { type MessageId, short } from '../ids.ts'
import { limits } from '../limits.ts'
import { type FrameClass, payloadBytesMax } from '../session/frame.ts'
import { Session } from '../session/session.ts'
import type { Store, WriteTx } from '../store/store.ts'
import { type Item, itemsOf, packItem } from './items.ts'
import type { Outbox, QueuedRef } from './outbox.ts'
import type { Outlet, SentFrames } from './outlet.ts'
import type { Link } from './ports.ts'
import { resendDelayMs } from './retry.ts'
import type { Pair, SessionBook } from './session-book.ts'

interface ChannelParts {
  readonly store: Store
  readonly book: SessionBook
  readonly outbox: Outbox
  readonly ambient: Ambient
  /** May mail be sealed for this pair now? What may not waits in the outbox. */
  readonly mayMail: (pair: Pair) => boolean
}

interface InFlight {
  readonly queued: QueuedRef
  readonly frames: number
  readonly sendings: number
  /** Monotonic milliseconds. */
  readonly dueMs: number
}

interface Sealed extends SentFrames {
  readonly gone: readonly number[]
}

const largestPayload = payloadBytesMax(4096)
/** Bytes of an item that one frame carries at the least, its own framing left out. */
const smallestFragment = largestPayload - 64
/** Mail and chats never travel in a smaller frame: the size would tell one from the other. */
const messageClassMin: FrameClass = 512

export class Channel {
  readonly pair: Pair
  readonly #parts: ChannelParts
  readonly #inFlight = new Map<number, InFlight>()
  readonly #byMessage = new Map<MessageId, QueuedRef>()
  /** Fresh references in order, so that what was just written need not be read; good while everything before was read. */
  #fresh: QueuedRef[] = []
  #isCaughtUp = false
  readonly #control: Item[] = []
  #outlet: Outlet | undefined
  #readTo = 0
  #framesInFlight = 0
  #pumping = false
  #again = false

  constructor(pair: Pair, parts: ChannelParts) {
    this.pair = pair
    this.#parts = parts
  }

  /** References that this channel holds in memory: sealed and unanswered, or just submitted. */
  get backlog(): number {
    return this.#inFlight.size + this.#fresh.length
  }

  /** How its frames leave now, if they do. */
  get way(): Outlet['kind'] | undefined {
    return this.#outlet?.kind
  }

  /** There is a way: everything unacknowledged goes out, from where that way begins. */
  opened(outlet: Outlet): void {
    const before = this.#outlet
    this.#outlet = outlet
    before?.close()
    this.#startOver(outlet.after)
    this.pump()
  }

  /** This link is over; false when another way has taken its place. */
  lost(link: Link): boolean {
    if (this.#outlet !== undefined && this.#outlet.link !== link) return false
    this.closed()
    return true
  }

  closed(): void {
    const before = this.#outlet
    this.#outlet = undefined
    before?.close()
    this.#startOver(0)
  }

  /** An item that is not a message; sent once, when there is a way that takes it, and lost with the process. */
  say(item: Item): void {
    if (this.#control.length < limits.controlItemsMax) this.#control.push(item)
    this.pump()
  }

  /** A reference that was committed just now. */
  offer(queued: QueuedRef): void {
    if (this.#isCaughtUp) {
      this.#fresh.push(queued)
      if (this.#fresh.length > limits.freshRefsMax) this.#fallBehind()
    }
    this.pump()
  }

  /** The outbox reference that a message in flight belongs to, as it was when it was sealed. */
  inFlightAs(message: MessageId): QueuedRef | undefined {
    return this.#byMessage.get(message)
  }

  /** Its fate is durable: it is not sent again. */
  settled(seq: number): void {
    this.#drop(seq)
    if (this.#framesInFlight < limits.inFlightMax / 2) this.pump()
  }

  /** Twice a second: what is unanswered for too long goes out again. */
  tick(): void {
    if (this.#outlet === undefined) return
    const now = this.#parts.ambient.clock.monotonicMs()
    for (const { dueMs } of this.#inFlight.values()) {
      if (dueMs > now) continue
      this.pump()
      return
    }
  }

  pump(): void {
    this.#again = true
    if (this.#pumping) return
    this.#pumping = true
    void this.#run()
      .catch((error: unknown) => {
        const code = error instanceof MyceliumError ? error.code : 'unexpected'
        this.#parts.ambient.log.warn('channel.failed', { device: short(this.pair.peerDevice), code })
        this.#again = false
        this.#outlet?.failed(code)
      })
      .finally(() => {
        this.#pumping = false
        // asked for after it had looked for the last time
        if (this.#again) this.pump()
      })
  }

  async #run(): Promise<void> {
    while (this.#again) {
      this.#again = false
      const outlet = this.#outlet
      if (outlet === undefined || outlet.closed.aborted) return
      const sealed = await this.#sealNext(outlet)
      if (sealed === undefined) continue
      this.#again = true
      // sealed for nothing: everything has started over for the way that took its place
      if (outlet !== this.#outlet) continue
      this.#noteSent(sealed, outlet)
      await outlet.send(sealed).catch(() => {})
    }
  }

  #noteSent({ sent, gone }: Sealed, outlet: Outlet): void {
    const now = this.#parts.ambient.clock.monotonicMs()
    const dueMs = (sendings: number): number => (outlet.resends ? now + resendDelayMs(sendings) : Infinity)
    for (const seq of gone) this.#drop(seq)
    for (const { queued, frames } of sent) {
      const { seq, ref } = queued
      const sendings = (this.#inFlight.get(seq)?.sendings ?? 0) + 1
      this.#drop(seq)
      this.#inFlight.set(seq, { queued, frames, sendings, dueMs: dueMs(sendings) })
      this.#byMessage.set(ref.message, queued)
      this.#framesInFlight += frames
    }
  }

  /** `undefined` when there is nothing to send now. */
  async #sealNext(outlet: Outlet): Promise<Sealed | undefined> {
    const mayMail = this.#parts.mayMail(this.pair)
    if (!mayMail) this.#startOver(outlet.after)
    const overdue = this.#overdue()
    const window = outlet.framesMax
    const room = mayMail && this.#framesInFlight < window
    const control = this.#control.filter((item) => outlet.takes(item))
    const sealed = await this.#parts.store.write((tx) => {
      if (outlet !== this.#outlet) return undefined
      const queued = overdue.length > 0 ? this.#reread(tx, overdue) : room ? this.#readOn(tx, outlet) : []
      if (queued.length === 0 && control.length === 0 && overdue.length === 0) return undefined
      tx.afterCommit(() => this.#said(control))
      return this.#seal(tx, control, queued, overdue)
    })
    return sealed
  }

  #said(items: readonly Item[]): void {
    const left = this.#control.filter((item) => !items.includes(item))
    this.#control.splice(0, this.#control.length, ...left)
  }

  #overdue(): readonly number[] {
    const now = this.#parts.ambient.clock.monotonicMs()
    const due: number[] = []
    for (const [seq, { dueMs }] of this.#inFlight) {
      if (dueMs <= now) due.push(seq)
      if (due.length >= limits.sealBatchMax) break
    }
    return due
  }

  #reread(tx: WriteTx, seqs: readonly number[]): readonly QueuedRef[] {
    const { account, peer } = this.pair
    return seqs.flatMap((seq) => {
      const ref = this.#parts.outbox.get(tx, account, peer, seq)
      return ref === undefined || this.#hasAnswered(ref) ? [] : [{ seq, ref }]
    })
  }

  #readOn(tx: WriteTx, outlet: Outlet): readonly QueuedRef[] {
    const window = outlet.framesMax
    if (this.#isCaughtUp) return this.#takeFresh(tx, outlet)
    const { account, peer } = this.pair
    const rows = [...this.#parts.outbox.refs(tx, account, peer, this.#readTo, limits.sealBatchMax)]
    const taken = this.#thatFit(tx, rows, window)
    tx.afterCommit(() => {
      // another way may begin while this commits: what it reads from must not be moved
      if (outlet !== this.#outlet) return
      this.#readTo = taken.at(-1)?.seq ?? this.#readTo
      this.#isCaughtUp = taken.length === rows.length && rows.length < limits.sealBatchMax
    })
    return taken.filter(({ seq, ref }) => !this.#inFlight.has(seq) && !this.#hasAnswered(ref))
  }

  #takeFresh(tx: WriteTx, outlet: Outlet): readonly QueuedRef[] {
    const taken = this.#thatFit(tx, this.#fresh.slice(0, limits.sealBatchMax), outlet.framesMax)
    tx.afterCommit(() => {
      if (outlet !== this.#outlet) return
      this.#fresh.splice(0, taken.length)
      this.#readTo = taken.at(-1)?.seq ?? this.#readTo
    })
    return taken.filter((queued) => !this.#inFlight.has(queued.seq) && this.#parts.outbox.has(tx, queued))
  }

  /** As many from the beginning as the window has frames for; one always, since the window is not full. */
  #thatFit(tx: WriteTx, queued: readonly QueuedRef[], window: number): readonly QueuedRef[] {
    let room = window - this.#framesInFlight
    let count = 0
    while (count < queued.length && (count === 0 || room > 0)) {
      room -= Math.ceil((this.#parts.outbox.message(tx, queued[count]!.ref)?.encoded.length ?? 0) / smallestFragment)
      if (count > 0 && room < 0) break
      count += 1
    }
    return queued.slice(0, count)
  }

  /** What comes is read from the outbox again. */
  #fallBehind(): void {
    this.#readTo = Math.min(this.#readTo, (this.#fresh[0]?.seq ?? Infinity) - 1)
    this.#fresh = []
    this.#isCaughtUp = false
  }

  #hasAnswered({ ackedBy, refusedBy }: QueuedRef['ref']): boolean {
    return ackedBy.includes(this.pair.peerDevice) || refusedBy.includes(this.pair.peerDevice)
  }

  #seal(tx: WriteTx, control: readonly Item[], queued: readonly QueuedRef[], overdue: readonly number[]): Sealed {
    const { book, outbox, ambient } = this.#parts
    const row = book.read(tx, this.pair)
    if (row === undefined) throw new MyceliumError('session-unknown')
    const session = Session.decode(row.current)
    const moment = { random: ambient.random, nowMs: ambient.clock.nowMs() }
    const newTransferId = (): Uint8Array => ambient.random.bytes(16)
    const frames: Uint8Array[] = []
    const units: number[] = []
    for (const item of control) {
      const payloads = packItem(item, largestPayload, newTransferId)
      for (const payload of payloads) frames.push(session.seal(payload, moment))
      units.push(payloads.length)
    }
    const outgoing = queued.flatMap((one) => {
      const message = outbox.message(tx, one.ref)
      return message === undefined ? [] : [{ queued: one, encoded: message.encoded, root: message.root }]
    })
    const sent: SentFrames['sent'][number][] = []
    for (const { item, members } of itemsOf(outgoing, largestPayload)) {
      const payloads = packItem(item, largestPayload, newTransferId)
      for (const payload of payloads) frames.push(session.seal(payload, { ...moment, classMin: messageClassMin }))
      units.push(payloads.length)
      for (const member of members) sent.push({ queued: member.queued, frames: payloads.length, root: member.root })
    }
    const maintenance = session.maintenance(moment)
    frames.push(...maintenance)
    for (const _ of maintenance) units.push(1)
    book.update(tx, { ...row, current: session.encode() })
    const tag = session.sendTag(moment.nowMs)
    const alive = new Set(sent.map(({ queued: { seq } }) => seq))
    return {
      tag,
      frames,
      units,
      sent,
      gone: overdue.filter((seq) => !alive.has(seq)),
    }
  }

  #drop(seq: number): void {
    const known = this.#inFlight.get(seq)
    if (known === undefined) return
    this.#inFlight.delete(seq)
    this.#byMessage.delete(known.queued.ref.message)
    this.#framesInFlight -= known.frames
  }

  #startOver(readTo: number): void {
    this.#inFlight.clear()
    this.#byMessage.clear()
    this.#fallBehind()
    this.#framesInFlight = 0
    this.#readTo = readTo
  }
}

/**
 * One stream whose stanzas are acknowledged (XEP-0198): what the client has sent is counted once it is handled, what it
 * is sent waits until it says that it has it. Messages are durable before they leave, many in one commit, so that they
 * can be sent again by the next process; one that cannot be resumed keeps nothing.
 */
import { setTimeout as delay } from 'node:timers/promises'
import type { Clock } from '../../../core/ambient.ts'
import { limits } from '../../../core/limits.ts'
import type { ReadTx, WriteTx } from '../../../core/store/store.ts'
import { el, serialise } from '../element.ts'
import { StreamError, type Transport } from '../transport.ts'
import { Incoming, type Ticket } from './incoming.ts'
import { type Item, Outgoing } from './outgoing.ts'
import type { StateRow, StreamRow, StreamRows } from './stream-rows.ts'

export const managementNs = 'urn:xmpp:sm:3'
const modulus = 2 ** 32
/** A message that waited longer than this says since when (XEP-0203). */
const delayedMs = 5_000
/** What is told to a stream before its client has said how far it is has numbers that no client can have reached. */
const beyond = 2 ** 32

export interface Durable {
  readonly id: Uint8Array
  readonly rows: StreamRows
  readonly row: () => StreamRow
}

export interface ManagementParts {
  readonly clock: Clock
  /** Of what delays are stamped with. */
  readonly domain: string
  /** Only where the client may resume. */
  readonly durable: Durable | undefined
  /** More waits than may. */
  readonly overflow: () => void
  /** Something could not be made durable. */
  readonly failed: (error: unknown) => void
}

export class Management {
  readonly #parts: ManagementParts
  #outgoing: Outgoing
  #transport: Transport | undefined
  readonly #incoming: Incoming
  /** As far as it would be known after a crash. */
  #durablyHandled = 0
  #saved: StateRow | undefined
  /** Acknowledged, and still in the store. */
  #forgotten: Item[] = []
  #isAsked = false
  /** A message was sent since: it is good to know soon that it has arrived. */
  #isCurious = false
  #pumping: Promise<void> | undefined
  #forgetting: Promise<void> | undefined
  /** Restored, and nobody has said yet how far the client is. */
  #isUnknown: boolean
  /** What was to be sent while it is found out how far the client is. */
  #pending: { readonly xml: string; readonly isKept: boolean }[] | undefined

  constructor(parts: ManagementParts, { handled = 0, lastKept = 0, isRestored = false } = {}) {
    this.#parts = parts
    this.#incoming = new Incoming(handled)
    this.#durablyHandled = handled
    this.#isUnknown = isRestored
    this.#outgoing = new Outgoing(isRestored ? lastKept + beyond : 0)
  }

  get id(): Uint8Array | undefined {
    return this.#parts.durable?.id
  }
  get h(): number {
    return this.#incoming.handled % modulus
  }

  /** A stanza of the client is begun with; several may be at a time. */
  begin(): Ticket {
    return this.#incoming.begin()
  }

  /**
   * In the transaction that keeps what a stanza asks for. It counts those before it too, which the client will not say
   * again: what came of them, such as its presence, is kept with it.
   */
  noteHandled(tx: WriteTx, ticket: Ticket): void {
    const { durable } = this.#parts
    if (durable === undefined) return
    const handled = this.#incoming.noted(ticket)
    durable.rows.putHandled(tx, durable.id, handled)
    // how far it was given what happens changes with every message, and may lag behind
    const isKept = this.#saved !== undefined && isSame({ ...durable.row().state, upTo: this.#saved.upTo }, this.#saved)
    const state = isKept ? undefined : this.#keepState(tx, durable)
    tx.afterCommit(() => {
      this.#durablyHandled = Math.max(this.#durablyHandled, handled)
      if (state !== undefined) this.#saved = state
    })
  }

  /** A stanza is done with. */
  handledOne(ticket: Ticket): void {
    this.#incoming.done(ticket)
  }

  /** Makes durable what is about to be acknowledged. @throws `disk-full`, … */
  async settle(): Promise<void> {
    const { durable } = this.#parts
    if (durable === undefined) return
    const { handled } = this.#incoming
    if (handled === this.#durablyHandled && this.#changedRow(durable) === undefined) return
    const state = await durable.rows.store.write((tx) => {
      if (handled > this.#durablyHandled) durable.rows.putHandled(tx, durable.id, handled)
      return this.#keepState(tx, durable)
    })
    this.#durablyHandled = Math.max(this.#durablyHandled, handled)
    if (state !== undefined) this.#saved = state
  }

  /** What is known of the stream, whether or not it is something else than before. */
  keepRow(tx: WriteTx): void {
    const { durable } = this.#parts
    if (durable === undefined) return
    this.#keepState(tx, durable)
    durable.rows.put(tx, durable.id, durable.row())
  }

  /**
   * The row says how far the client was given what happens, so all messages up to there are kept with it: they would be
   * lost to the client otherwise, or come twice.
   * @returns what it says where that is something else than before
   */
  #keepState(tx: WriteTx, durable: Durable): StateRow | undefined {
    const row = this.#changedRow(durable)
    durable.rows.keep(tx, durable.id, this.#outgoing.unsaved())
    if (row !== undefined) durable.rows.put(tx, durable.id, row)
    return row?.state
  }

  /** Answers the client's question how far the server is. */
  answer(): void {
    const { h } = this
    const transport = this.#transport
    const answered = this.settle().then(() => transport?.send(el(`a ${managementNs}`, { h })))
    answered.catch((error: unknown) => this.#parts.failed(error))
  }

  #changedRow({ row }: Durable): StreamRow | undefined {
    const now = row()
    return this.#saved !== undefined && isSame(this.#saved, now.state) ? undefined : now
  }

  send(xml: string, isMessage: boolean): void {
    const isKept = isMessage && this.#parts.durable !== undefined
    if (this.#pending !== undefined) {
      this.#pending.push({ xml, isKept })
      return
    }
    this.#outgoing.add(xml, isKept, this.#parts.clock.nowMs())
    const { length, bytes } = this.#outgoing
    if (length > limits.xmppUnacknowledgedMax || bytes > limits.xmppUnacknowledgedBytesMax) this.#parts.overflow()
    else this.#pump()
  }

  /** How far the client is. @throws StreamError when it says more than it was sent */
  acknowledge(low: number): void {
    const gone = this.#outgoing.acknowledge(low)
    if (gone === undefined) {
      const counts = { h: low, 'send-count': this.#outgoing.last % modulus }
      throw new StreamError('undefined-condition', '', el(`handled-count-too-high ${managementNs}`, counts))
    }
    this.#isAsked = false
    this.#forgotten.push(...gone.filter(({ isKept }) => isKept))
    this.#forget()
    this.#ask()
  }

  /** Messages that the client may not have, oldest first. */
  unacknowledged(): readonly string[] {
    const { durable } = this.#parts
    const items =
      this.#isUnknown && durable !== undefined
        ? durable.rows.store.read((tx) => this.#keptByAll(tx, durable))
        : this.#outgoing.items
    return items.flatMap(({ xml }) => (xml.startsWith('<message') ? [xml] : []))
  }

  /** What another process has sent, and what was said since. */
  #keptByAll(tx: ReadTx, { id, rows }: Durable): readonly Item[] {
    const before = rows.kept(tx, id)
    const numbered = new Set(before.map(({ number }) => number))
    return [...before, ...this.#outgoing.unsaved().filter(({ number }) => !numbered.has(number))]
  }

  attach(transport: Transport): void {
    this.#transport = transport
    this.#isAsked = false
    this.#outgoing.sendAgain()
    this.#pump()
  }

  detach(): void {
    this.#transport = undefined
  }

  /** The client is back, and says how far it is. @throws StreamError when that is more than it was sent; `disk-full`, … */
  async takeUp(low: number): Promise<void> {
    const { durable } = this.#parts
    if (this.#isUnknown && durable !== undefined) await this.#renumber(durable, low)
    else this.acknowledge(low)
    this.#isUnknown = false
  }

  /** What another process has sent and the client lacks gets new numbers, and then comes what was said since. */
  async #renumber(durable: Durable, low: number): Promise<void> {
    const { id, rows } = durable
    const pending: { readonly xml: string; readonly isKept: boolean }[] = []
    this.#pending = pending
    try {
      await this.#pumping
      const taken = await rows.store.write((tx) => {
        const kept = this.#keptByAll(tx, durable)
        const outgoing = Outgoing.takenUp(kept, low)
        const numbers = kept.map(({ number }) => number)
        rows.forget(tx, id, numbers)
        rows.keep(tx, id, outgoing.unsaved())
        return outgoing
      })
      taken.saved(taken.last)
      this.#outgoing = taken
    } finally {
      this.#pending = undefined
      for (const { xml, isKept } of pending) this.send(xml, isKept)
    }
  }

  /** What is on its way to the store is there. */
  async idle(): Promise<void> {
    await this.#pumping
    await this.#forgetting
  }

  #pump(): void {
    if (this.#pumping !== undefined) return
    const isDone = this.#sendReady()
    if (isDone) return
    this.#pumping = this.#pumpOn()
  }

  async #pumpOn(): Promise<void> {
    try {
      await this.#pumpAll()
      this.#pumping = undefined
      // a connection may have come between its last look and now
      this.#pump()
    } catch (error) {
      this.#pumping = undefined
      this.#parts.failed(error)
    }
  }

  async #pumpAll(): Promise<void> {
    while (!this.#sendReady()) {
      if (this.#outgoing.unsaved().length > 0) await this.#save()
      else await this.#drained(this.#transport!)
    }
  }

  /** @returns whether nothing more can be done: all was sent, or nobody is there and all is durable */
  #sendReady(): boolean {
    const transport = this.#transport
    if (transport !== undefined) {
      while (!isFull(transport)) {
        const item = this.#outgoing.takeNext()
        if (item === undefined) break
        this.#isCurious ||= item.xml.startsWith('<message')
        transport.sendText(this.#written(item))
      }
      this.#ask()
      if (isFull(transport)) return false
    }
    return this.#outgoing.unsaved().length === 0
  }

  /** The client reads at its own pace; one that reads nothing has lost its connection. */
  async #drained(transport: Transport): Promise<void> {
    try {
      await transport.flush()
      if (isFull(transport)) await delay(limits.xmppFullPauseMs)
    } catch {
      transport.destroy()
      if (this.#transport === transport) this.#transport = undefined
    }
  }

  async #save(): Promise<void> {
    const durable = this.#parts.durable!
    const outgoing = this.#outgoing
    const written = await durable.rows.store.write((tx) => ({
      last: outgoing.last,
      state: this.#keepState(tx, durable),
    }))
    if (written.state !== undefined) this.#saved = written.state
    outgoing.saved(written.last)
  }

  #written({ xml, isKept, atMs }: Item): string {
    const isLate = isKept && this.#parts.clock.nowMs() - atMs > delayedMs
    const end = '</message>'
    if (!isLate || !xml.endsWith(end) || xml.includes('urn:xmpp:delay')) return xml
    const stamp = new Date(atMs).toISOString()
    const delay = serialise(el('delay urn:xmpp:delay', { from: this.#parts.domain, stamp }))
    return `${xml.slice(0, -end.length)}${delay}${end}`
  }

  /** One question at a time: its answer covers all that was sent before it. */
  #ask(): void {
    const { unanswered } = this.#outgoing
    if (this.#isAsked || unanswered === 0) return
    if (this.#isCurious || unanswered >= limits.xmppUnansweredMax) this.ask()
  }

  /** Is the client there? */
  ask(): void {
    if (this.#transport === undefined) return
    this.#isAsked = true
    this.#isCurious = false
    this.#transport.send(el(`r ${managementNs}`))
  }

  #forget(): void {
    const { durable } = this.#parts
    if (durable === undefined || this.#forgetting !== undefined || this.#forgotten.length === 0) return
    const { id, rows } = durable
    const numbers = this.#forgotten.map(({ number }) => number)
    this.#forgotten = []
    this.#forgetting = rows.store
      .write((tx) => rows.forget(tx, id, numbers))
      .catch((error: unknown) => this.#parts.failed(error))
      .finally(() => {
        this.#forgetting = undefined
        this.#forget()
      })
  }
}

const isFull = (transport: Transport): boolean => transport.waitingBytes > limits.xmppOutgoingBytesAtOnce

const isSame = (a: StateRow, b: StateRow): boolean =>
  a.carbons === b.carbons &&
  a.wantsRoster === b.wantsRoster &&
  a.priority === b.priority &&
  a.presence === b.presence &&
  a.upTo === b.upTo &&
  a.notes === b.notes

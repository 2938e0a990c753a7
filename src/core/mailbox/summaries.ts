/**
 * What the summariser made of messages: in memory, in packs at rest, else made on demand. New messages are summarised
 * in the background when nothing much is being delivered, a few milliseconds at a time.
 */
import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Log } from '../ambient.ts'
import { concat, fromHex } from '../bytes.ts'
import { MyceliumError } from '../errors.ts'
import type { ContentId, Identity, MailboxId, Uid } from '../ids.ts'
import { limits } from '../limits.ts'
import type { Blobs } from '../store/blobs.ts'
import type { Store, WriteTx } from '../store/store.ts'
import { tables } from '../store/tables.ts'
import type { LastAsked } from './columns.ts'
import type { Summariser } from './mailbox.ts'
import { blockOf, Records } from './records.ts'
import { blockKey } from './rows.ts'
import { addToPack, type PackedSummary, packOf, readPack } from './summary-packs.ts'

interface Place {
  readonly mailbox: MailboxId
  readonly uid: Uid
}
interface Waiting extends Place {
  readonly account: Identity
  readonly content: ContentId
}

const tickMs = 200
const busyPerTick = 100
const sliceMs = 8
const batchMax = 64

export class Summaries implements AsyncDisposable {
  readonly #store: Store
  readonly #blobs: Blobs
  readonly #summariser: Summariser
  readonly #asked: LastAsked
  readonly #log: Log
  readonly #cache = new Map<ContentId, Uint8Array>()
  readonly #making = new Map<ContentId, Promise<Uint8Array>>()
  #cacheBytes = 0
  #waiting: Waiting[] = []
  #sinceTick = 0
  #timer: NodeJS.Timeout | undefined
  #filling: Promise<void> = Promise.resolve()
  #isClosed = false

  constructor(parts: { store: Store; blobs: Blobs; summariser: Summariser; asked: LastAsked; log: Log }) {
    this.#store = parts.store
    this.#blobs = parts.blobs
    this.#summariser = parts.summariser
    this.#asked = parts.asked
    this.#log = parts.log
  }

  now(content: ContentId): Uint8Array | undefined {
    const cached = this.#cached(content)
    if (cached !== undefined) return cached
    const place = this.#placeOf(content)
    if (place === undefined) return undefined
    const pack = { mailbox: fromHex(place.mailbox)!, number: packOf(place.uid), version: this.#summariser.version }
    for (const entry of this.#store.read((tx) => readPack(tx, pack))) this.#keep(entry)
    return this.#cached(content)
  }

  async get(account: Identity, content: ContentId): Promise<Uint8Array> {
    const known = this.now(content)
    if (known !== undefined) return known
    const place = this.#placeOf(content)
    const summary = await this.#make(account, content)
    if (place !== undefined) this.#enqueue([{ account, content, ...place }])
    return summary
  }

  /** After a commit: these messages are new. */
  added(account: Identity, mailbox: MailboxId, messages: readonly { uid: Uid; content: ContentId }[]): void {
    this.#sinceTick += messages.length
    this.#enqueue(messages.map((message) => ({ account, mailbox, ...message })))
  }

  #enqueue(waiting: readonly Waiting[]): void {
    if (this.#isClosed || this.#waiting.length + waiting.length > limits.summaryQueueMax) return
    this.#waiting.push(...waiting)
    this.#timer ??= setTimeout(() => this.#tick(), tickMs).unref()
  }

  #tick(): void {
    this.#timer = undefined
    const isBusy = this.#sinceTick > busyPerTick
    this.#sinceTick = 0
    if (isBusy) this.#timer = setTimeout(() => this.#tick(), tickMs).unref()
    else this.#filling = this.#filling.then(() => this.#fill())
  }

  async #fill(): Promise<void> {
    try {
      while (this.#waiting.length > 0 && !this.#isClosed) {
        await this.#fillSome(this.#waiting.splice(0, batchMax))
        if (this.#sinceTick > busyPerTick) break
      }
    } catch (error) {
      this.#log.warn('summaries.fill-failed', { code: error instanceof MyceliumError ? error.code : 'unknown' })
    }
    if (this.#waiting.length > 0 && !this.#isClosed) this.#timer ??= setTimeout(() => this.#tick(), tickMs).unref()
  }

  async #fillSome(batch: readonly Waiting[]): Promise<void> {
    const made: (Waiting & PackedSummary)[] = []
    let until = performance.now() + sliceMs
    for (const waiting of batch) {
      try {
        const summary = this.#cached(waiting.content) ?? (await this.#make(waiting.account, waiting.content))
        if (summary.length <= limits.summaryBytesMax) made.push({ ...waiting, summary })
      } catch (error) {
        // Gone since: its summary is not missed.
        if (!(error instanceof MyceliumError)) throw error
      }
      if (performance.now() < until) continue
      await nextTurn()
      until = performance.now() + sliceMs
    }
    if (made.length > 0) await this.#store.write((tx) => this.#pack(tx, made))
  }

  #pack(tx: WriteTx, made: readonly (Waiting & PackedSummary)[]): void {
    for (const added of Map.groupBy(made, ({ mailbox, uid }) => `${mailbox}${packOf(uid)}`).values()) {
      const { mailbox, uid } = added[0]!
      const mailboxKey = fromHex(mailbox)!
      const block = tx.get(tables.mailboxBlocks, blockKey(mailboxKey, blockOf(uid)))
      if (block === undefined) continue
      const records = new Records(block)
      const alive = new Set<ContentId>()
      for (let index = 0; index < records.count; index += 1)
        if (packOf(records.uidAt(index)) === packOf(uid)) alive.add(records.contentAt(index))
      const pack = { mailbox: mailboxKey, number: packOf(uid), version: this.#summariser.version }
      addToPack(tx, pack, { added, alive })
    }
  }

  /** Once at a time for each message, whoever asks. */
  async #make(account: Identity, content: ContentId): Promise<Uint8Array> {
    const running = this.#making.get(content)
    if (running !== undefined) return await running
    const making = this.#summarise(account, content).finally(() => this.#making.delete(content))
    this.#making.set(content, making)
    const summary = await making
    this.#keep({ content, summary })
    return summary
  }

  async #summarise(account: Identity, content: ContentId): Promise<Uint8Array> {
    const inline = this.#blobs.readInline(account, content)
    if (inline !== undefined) return this.#summariser.summarise(inline)
    const size = this.#blobs.sizeOf(account, content) ?? 0
    const read = async (from: number, to: number): Promise<Uint8Array> =>
      concat(...(await Array.fromAsync(this.#blobs.read(account, content, { from, to }))))
    if (size <= limits.mimeWorkerBytesMin) return this.#summariser.summarise(await read(0, size))
    return await this.#summariser.summariseLarge({ size, read })
  }

  #placeOf(content: ContentId): Place | undefined {
    const { columns, index } = this.#asked
    if (columns === undefined || index >= columns.count) return undefined
    if (columns.contentAt(index) !== content) return undefined
    return { mailbox: columns.mailbox, uid: columns.uidAt(index) }
  }

  #cached(content: ContentId): Uint8Array | undefined {
    const summary = this.#cache.get(content)
    if (summary === undefined) return undefined
    this.#cache.delete(content)
    this.#cache.set(content, summary)
    return summary
  }

  #keep({ content, summary: made }: PackedSummary): void {
    // A part of a pack would keep the whole pack in memory, and count as its own length only.
    const summary = made.buffer.byteLength > made.byteLength ? new Uint8Array(made) : made
    this.#cacheBytes += summary.length - (this.#cache.get(content)?.length ?? 0)
    this.#cache.delete(content)
    this.#cache.set(content, summary)
    for (const [oldest, { length }] of this.#cache) {
      if (this.#cacheBytes <= limits.summaryCacheBytesMax) break
      this.#cache.delete(oldest)
      this.#cacheBytes -= length
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true
    clearTimeout(this.#timer)
    this.#waiting = []
    await this.#filling
  }
}

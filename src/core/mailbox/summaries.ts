/**
 * What the summariser made of messages: in memory, in packs at rest, else made on demand. New messages are summarised
 * in the background when nothing much is being delivered, a few milliseconds at a time.
 */
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises'
import type { Log } from '../ambient.ts'
import { fromHex } from '../bytes.ts'
import { MyceliumError } from '../errors.ts'
import type { ContentId, Identity, MailboxId, Uid } from '../ids.ts'
import { limits } from '../limits.ts'
import type { Blobs } from '../store/blobs.ts'
import type { Store, WriteTx } from '../store/store.ts'
import { tables } from '../store/tables.ts'
import type { Summariser } from './mailbox.ts'
import type { Place } from './mailbox-work.ts'
import { blockOf, Records } from './records.ts'
import { blockKey } from './rows.ts'
import { storedSource } from './stored-source.ts'
import { SummaryCache } from './summary-cache.ts'
import { addToPack, packOf, readPack } from './summary-packs.ts'

export interface Summarised extends Place {
  readonly account: Identity
  readonly content: ContentId
}
interface Waiting extends Summarised {
  /** Of which message it is a copy. */
  readonly from?: Place | undefined
}

interface Made extends Summarised {
  readonly summary: Uint8Array
}

const tickMs = 200
const busyPerTick = 100
const sliceMs = 2
const batchMax = 16
/** While messages come, a batch is followed by so many times what it took, in which nothing is summarised. */
const restFactor = 4

export class Summaries implements AsyncDisposable {
  readonly #store: Store
  readonly #blobs: Blobs
  readonly #summariser: Summariser
  readonly #log: Log
  readonly #cache: SummaryCache
  readonly #making = new Map<ContentId, Promise<Uint8Array>>()
  #waiting: Waiting[] = []
  #sinceTick = 0
  #timer: NodeJS.Timeout | undefined
  #filling: Promise<void> = Promise.resolve()
  #isClosed = false

  constructor(parts: { store: Store; blobs: Blobs; summariser: Summariser; log: Log }) {
    this.#store = parts.store
    this.#blobs = parts.blobs
    this.#summariser = parts.summariser
    this.#log = parts.log
    const { version } = parts.summariser
    this.#cache = new SummaryCache((mailbox, number) =>
      parts.store.read((tx) => readPack(tx, { mailbox: fromHex(mailbox)!, number, version })),
    )
  }

  now(mailbox: MailboxId, uid: Uid): Uint8Array | undefined {
    return this.#cache.get(mailbox, uid)
  }

  async get(message: Summarised): Promise<Uint8Array> {
    const known = this.now(message.mailbox, message.uid)
    if (known !== undefined) return known
    const summary = await this.#make(message)
    this.#enqueue([message])
    return summary
  }

  /** After a commit: these messages are new. */
  added(messages: readonly Waiting[]): void {
    this.#sinceTick += messages.length
    this.#enqueue(messages)
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
        const startedAt = performance.now()
        await this.#fillSome(this.#waiting.splice(0, batchMax))
        if (this.#sinceTick > busyPerTick) break
        if (this.#sinceTick > 0) await sleep(restFactor * (performance.now() - startedAt), undefined, { ref: false })
      }
    } catch (error) {
      this.#log.warn('summaries.fill-failed', { code: error instanceof MyceliumError ? error.code : 'unknown' })
    }
    if (this.#waiting.length > 0 && !this.#isClosed) this.#timer ??= setTimeout(() => this.#tick(), tickMs).unref()
  }

  async #fillSome(batch: readonly Waiting[]): Promise<void> {
    const made: Made[] = []
    let until = performance.now() + sliceMs
    for (const waiting of batch) {
      try {
        const summary = this.#known(waiting) ?? (await this.#make(waiting))
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

  /** Without reading the message: a copy has the summary of what it was made of. */
  #known({ mailbox, uid, from }: Waiting): Uint8Array | undefined {
    return this.now(mailbox, uid) ?? (from === undefined ? undefined : this.now(from.mailbox, from.uid))
  }

  #pack(tx: WriteTx, made: readonly Made[]): void {
    for (const group of Map.groupBy(made, ({ mailbox, uid }) => `${mailbox}${packOf(uid)}`).values()) {
      const { mailbox, uid } = group[0]!
      const number = packOf(uid)
      const mailboxKey = fromHex(mailbox)!
      const block = tx.get(tables.mailboxBlocks, blockKey(mailboxKey, blockOf(uid)))
      if (block === undefined) continue
      const records = new Records(block)
      const alive = new Set<Uid>()
      for (let index = 0; index < records.count; index += 1)
        if (packOf(records.uidAt(index)) === number) alive.add(records.uidAt(index))
      const added = new Map(group.map((one) => [one.uid, one.summary]))
      addToPack(tx, { mailbox: mailboxKey, number, version: this.#summariser.version }, { added, alive })
    }
  }

  /** Once at a time for each message, whoever asks. */
  async #make({ account, mailbox, uid, content }: Summarised): Promise<Uint8Array> {
    let making = this.#making.get(content)
    if (making === undefined) {
      making = this.#summarise(account, content).finally(() => this.#making.delete(content))
      this.#making.set(content, making)
    }
    const summary = await making
    this.#cache.set(mailbox, uid, summary)
    return summary
  }

  async #summarise(account: Identity, content: ContentId): Promise<Uint8Array> {
    const inline = this.#blobs.readInline(account, content)
    if (inline !== undefined) return this.#summariser.summarise(inline)
    const source = storedSource(this.#blobs, account, content)
    if (source.size > limits.mimeWorkerBytesMin) return await this.#summariser.summariseLarge(source)
    return this.#summariser.summarise(await source.read(0, source.size))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true
    clearTimeout(this.#timer)
    this.#cache[Symbol.dispose]()
    this.#waiting = []
    await this.#filling
  }
}

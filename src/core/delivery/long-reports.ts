/**
 * Reports that return a long mail: their row is durable with what ended the mail and keeps its content; the report is
 * streamed together after that, at the next start if need be. Where there is no room for it, its short form is enough.
 */
import type { Ambient } from '../ambient.ts'
import { bytes, type Codec, decode, encode, hexId, record, u64 } from '../codec.ts'
import { concat } from '../bytes.ts'
import { hasCode, MyceliumError } from '../errors.ts'
import type { ContentId, Identity } from '../ids.ts'
import { limits } from '../limits.ts'
import type { Mailboxes, StoredContent } from '../mailbox/mailbox.ts'
import type { ReadTx, Store, WriteTx } from '../store/store.ts'
import { tables } from '../store/tables.ts'
import type { Deliverer } from './deliver.ts'

export interface LongReport extends StoredContent {
  readonly account: Identity
  /** Up to where the mail stands in the report. */
  readonly before: Uint8Array
  readonly after: Uint8Array
  /** The report with the header section alone. */
  readonly short: Uint8Array
}

const reportBytes = bytes(limits.storedInlineBytesMax * 2)
const reportCodec: Codec<LongReport> = record<LongReport>({
  account: hexId<Identity>(32),
  before: reportBytes,
  after: reportBytes,
  short: reportBytes,
  content: hexId<ContentId>(32),
  size: u64,
})

interface LongReportParts {
  readonly store: Store
  readonly mailboxes: Mailboxes
  readonly deliverer: Deliverer
  readonly ambient: Ambient
}

const prefixOf = (tx: ReadTx, account: Identity): Uint8Array => tx.opaque(Buffer.from(account, 'hex'))

export class LongReports implements AsyncDisposable {
  readonly #parts: LongReportParts
  #working: Promise<void> = Promise.resolve()
  #isClosed = false

  constructor(parts: LongReportParts) {
    this.#parts = parts
  }

  add(tx: WriteTx, report: LongReport): void {
    this.#parts.mailboxes.retain(tx, report.account, report.content)
    const key = concat(prefixOf(tx, report.account), this.#parts.ambient.random.bytes(16))
    tx.put(tables.longReports, key, encode(reportCodec, report))
    tx.afterCommit(() => this.writeAll())
  }

  /** At the start, after each new one, and once a minute for those that found no room. One at a time. */
  writeAll(): void {
    this.#working = this.#working.then(async () => await this.#writeAll())
  }

  async #writeAll(): Promise<void> {
    const { store, ambient } = this.#parts
    if (this.#isClosed) return
    try {
      for (const key of store.read((tx) => [...tx.keys(tables.longReports, {})])) await this.#write(key)
    } catch (error) {
      if (hasCode(error, 'shutting-down')) return
      const code = error instanceof MyceliumError ? error.code : 'unexpected'
      ambient.log.error('report.not-written', { code })
    }
  }

  async #write(key: Uint8Array): Promise<void> {
    const { store, deliverer } = this.#parts
    const value = store.read((tx) => tx.get(tables.longReports, key))
    if (value === undefined || this.#isClosed) return
    const report = decode(reportCodec, value)
    try {
      const whole = await this.#whole(report)
      await this.#settle(key, report, (tx) => deliverer.deliverOwnStored(tx, report.account, whole))
    } catch (error) {
      if (
        !['mailbox-full', 'disk-full', 'too-large', 'message-too-large'].some((code) =>
          hasCode(error, code as 'disk-full'),
        )
      )
        throw error
      await this.#settle(key, report, (tx) => deliverer.deliverOwn(tx, report.account, report.short))
    }
  }

  async #whole({ account, before, after, content, size }: LongReport): Promise<StoredContent> {
    const { mailboxes } = this.#parts
    async function* pieces(): AsyncGenerator<Uint8Array> {
      yield before
      yield* mailboxes.read(account, content)
      yield after
    }
    return await mailboxes.store(account, pieces(), { bytesMax: before.length + size + after.length })
  }

  async #settle(key: Uint8Array, report: LongReport, deliver: (tx: WriteTx) => void): Promise<void> {
    const { store, mailboxes } = this.#parts
    await store.write((tx) => {
      if (!tx.has(tables.longReports, key)) return
      deliver(tx)
      tx.remove(tables.longReports, key)
      mailboxes.release(tx, report.account, report.content)
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true
    await this.#working
  }
}

/** Those of an account that is going; what they hold goes with its content. */
export function forgetReports(tx: WriteTx, account: Identity): void {
  for (const key of tx.keys(tables.longReports, { prefix: prefixOf(tx, account) })) tx.remove(tables.longReports, key)
}

/**
 * Files that a program has put here before it says them in a message, as XMPP and Matrix programs do. Each is kept,
 * against its account's quota, until a message takes it over; from then on its id leads to the message's file. What no
 * message takes goes after a while.
 */
import type { FileUse } from '../account/file-use.ts'
import type { Ambient } from '../ambient.ts'
import type { Conversations } from '../conversation/conversations.ts'
import { MyceliumError } from '../errors.ts'
import type { Identity, MessageId } from '../ids.ts'
import { limits } from '../limits.ts'
import type { Mailboxes } from '../mailbox/mailbox.ts'
import type { Store, WriteTx } from '../store/store.ts'
import { fileNameOf } from './file-name.ts'
import { allUploads, putUpload, removeUpload, uploadAt, type UploadRow, uploadRow } from './upload-rows.ts'

interface UploadParts {
  readonly store: Store
  readonly mailboxes: Mailboxes
  readonly conversations: Conversations
  readonly fileUse: FileUse
  readonly ambient: Ambient
}

export interface NewUpload {
  readonly name: string
  readonly mediaType: string
  /** Octets that must come, no more and no less. */
  readonly size: number
}

/** Either its bytes are here, or a message has them. */
export type Upload = Pick<UploadRow, 'account' | 'name' | 'mediaType' | 'size' | 'saidIn'>

/** A row of the store beside the content: without it many empty files would cost nothing. */
const rowBytes = 1024

export class Uploads implements Disposable {
  readonly #parts: UploadParts
  readonly #timer: NodeJS.Timeout

  constructor(parts: UploadParts) {
    this.#parts = parts
    this.#timer = setInterval(() => void this.#sweepQuietly(), limits.uploadSweepMs)
    this.#timer.unref()
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer)
  }

  /** @throws `message-too-large`, `mailbox-full` */
  checkRoom(account: Identity, size: number): void {
    if (size > limits.fileBytesMax) throw new MyceliumError('message-too-large', { bytesMax: limits.fileBytesMax })
    if (this.#parts.mailboxes.isFull(account, size + rowBytes)) throw new MyceliumError('mailbox-full')
  }

  /**
   * Durable on return.
   * @param id what it is asked for by: nobody can guess it
   * @throws `malformed` for fewer octets, `message-too-large` for more, `mailbox-full`, `disk-full`, what the source throws
   */
  async store(id: string, account: Identity, source: AsyncIterable<Uint8Array>, file: NewUpload): Promise<void> {
    const { store, mailboxes, fileUse, ambient } = this.#parts
    this.checkRoom(account, file.size)
    const { content, size } = await mailboxes.store(account, source, { bytesMax: file.size })
    if (size < file.size) throw new MyceliumError('malformed', { bytes: size })
    await store.write((tx) => {
      if (mailboxes.isFull(account, size + rowBytes)) throw new MyceliumError('mailbox-full')
      mailboxes.retain(tx, account, content)
      fileUse.add(tx, account, size + rowBytes)
      const { mediaType } = file
      const name = fileNameOf(file.name)
      const sinceMs = ambient.clock.nowMs()
      putUpload(tx, id, { account, name, mediaType, size, content, sinceMs, isCounted: true, saidIn: undefined })
    })
  }

  find(id: string): Upload | undefined {
    return this.#parts.store.read((tx) => uploadRow(tx, id))
  }

  /** From `from` (inclusive) to `to` (exclusive). @throws `no-such-message` where it is not here but in a message */
  read(id: string, range?: { readonly from: number; readonly to: number }): AsyncIterable<Uint8Array> {
    const row = this.#parts.store.read((tx) => uploadRow(tx, id))
    if (row === undefined || row.saidIn !== undefined) throw new MyceliumError('no-such-message')
    return this.#parts.mailboxes.read(row.account, row.content, range)
  }

  /** A message is about to have it: the same octets do not count twice. */
  async take(id: string, account: Identity): Promise<void> {
    await this.#parts.store.write((tx) => {
      const row = uploadRow(tx, id)
      if (row?.account !== account || !row.isCounted) return
      this.#uncount(tx, row)
      putUpload(tx, id, { ...row, isCounted: false, sinceMs: this.#parts.ambient.clock.nowMs() })
    })
  }

  /** A message has it. */
  async said(id: string, account: Identity, message: MessageId): Promise<void> {
    await this.#parts.store.write((tx) => {
      const row = uploadRow(tx, id)
      if (row?.account !== account || row.saidIn !== undefined) return
      this.#letGo(tx, row)
      putUpload(tx, id, { ...row, isCounted: false, saidIn: message })
    })
  }

  /** Removes what no message has taken in time, and what was in messages that are gone. */
  async sweep(): Promise<void> {
    const { store } = this.#parts
    const gone = store.read(allUploads).filter(({ row }) => this.#isOver(row))
    if (gone.length > 0)
      await store.write((tx) => {
        for (const { key, row: seen } of gone) {
          const row = uploadAt(tx, key)
          if (row === undefined || row.saidIn !== seen.saidIn || row.sinceMs !== seen.sinceMs) continue
          this.#letGo(tx, row)
          removeUpload(tx, key)
        }
      })
  }

  #isOver({ account, saidIn, sinceMs, isCounted }: UploadRow): boolean {
    if (saidIn !== undefined) return this.#parts.conversations.message(account, saidIn)?.file === undefined
    const ageMs = this.#parts.ambient.clock.nowMs() - sinceMs
    return ageMs > (isCounted ? limits.uploadKeepMs : limits.uploadTakenMs)
  }

  async #sweepQuietly(): Promise<void> {
    try {
      await this.sweep()
    } catch (error) {
      const code = error instanceof MyceliumError ? error.code : 'unknown'
      this.#parts.ambient.log.warn('uploads.sweep-failed', { code })
    }
  }

  #letGo(tx: WriteTx, row: UploadRow): void {
    if (row.saidIn !== undefined) return
    this.#uncount(tx, row)
    this.#parts.mailboxes.release(tx, row.account, row.content)
  }

  #uncount(tx: WriteTx, { account, size, isCounted }: UploadRow): void {
    if (isCounted) this.#parts.fileUse.add(tx, account, -(size + rowBytes))
  }
}

/** Those of an account that is going. */
export function forgetUploads(
  tx: WriteTx,
  account: Identity,
  parts: { readonly mailboxes: Pick<Mailboxes, 'release'>; readonly fileUse: FileUse },
): void {
  for (const { key, row } of allUploads(tx)) {
    if (row.account !== account) continue
    removeUpload(tx, key)
    if (row.isCounted) parts.fileUse.add(tx, account, -(row.size + rowBytes))
    if (row.saidIn === undefined) parts.mailboxes.release(tx, account, row.content)
  }
}

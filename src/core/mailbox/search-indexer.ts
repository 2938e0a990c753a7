/**
 * Fills the search index after the commits, from the UID up to which each mailbox is in it; that UID is committed with
 * the entries, so a crash anywhere leaves a tail that is filled later and read by searches until then. Texts are read
 * by the worker. Mail that was here before the index is a long tail.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Log } from '../ambient.ts'
import { concat, fromHex } from '../bytes.ts'
import { decode, encode, record, u32, u8 } from '../codec.ts'
import { MyceliumError } from '../errors.ts'
import type { ContentId, Identity, MailboxId, Uid } from '../ids.ts'
import { limits } from '../limits.ts'
import type { Blobs } from '../store/blobs.ts'
import { accountKey } from '../store/content-rows.ts'
import type { ReadTx, Store } from '../store/store.ts'
import { tables } from '../store/tables.ts'
import type { MailboxInfo, SearchIndexState } from './mailbox.ts'
import { blockOf, Records } from './records.ts'
import { blockKey, mailboxKey } from './rows.ts'
import { addToIndex, Forgetting, type IndexedText, packOf, readSearchPack, searchIndexVersion } from './search-packs.ts'
import type { SearchThread } from './search-thread.ts'

/** ◆ */
const progress = record({ version: u8, uid: u32 })

interface Place {
  readonly account: Identity
  readonly mailbox: MailboxId
}
interface Message {
  readonly uid: Uid
  readonly content: ContentId
  /** A copy of it was there before. */
  readonly isIndexed: boolean
}

/** Filling costs a third of what receiving costs: it begins when less than 50 mails a second come. */
const tickMs = 400
const busyPerTick = 20
/** A few new messages wait for more: a search reads them as quickly. */
const patienceMs = 20_000
const fewMessages = 256
/** Between two batches others have the thread: each keeps it for some milliseconds, most of them the commit's. */
const breathMs = 10
const batchMessagesMax = 256
const batchBytesMax = 1024 * 1024

export class SearchIndexer implements AsyncDisposable {
  readonly #store: Store
  readonly #blobs: Blobs
  readonly #thread: SearchThread
  readonly #log: Log
  readonly #places = new Map<MailboxId, Place>()
  #waiting = 0
  #sinceTick = 0
  #timer: NodeJS.Timeout | undefined
  #timerMs = 0
  #filling: Promise<void> = Promise.resolve()
  #isClosed = false

  constructor(parts: { store: Store; blobs: Blobs; thread: SearchThread; log: Log }) {
    this.#store = parts.store
    this.#blobs = parts.blobs
    this.#thread = parts.thread
    this.#log = parts.log
    const forgetting = new Forgetting()
    this.#blobs.onRemoval((tx, key) => forgetting.forget(tx, key))
  }

  /** After a commit: a mailbox has this many new messages. */
  added(place: Place, messages: number): void {
    this.#places.set(place.mailbox, place)
    this.#waiting += messages
    this.#sinceTick += messages
    this.#schedule(this.#waiting < fewMessages ? patienceMs : tickMs)
  }

  stateOf(account: Identity, mailboxes: readonly MailboxInfo[]): SearchIndexState {
    const waiting = this.#waitingIn(account, mailboxes)
    return {
      messages: mailboxes.reduce((sum, { messages }) => sum + messages, 0),
      waiting: [...waiting.values()].reduce((sum, messages) => sum + messages, 0),
    }
  }

  resume(account: Identity, mailboxes: readonly MailboxInfo[]): void {
    for (const [mailbox, messages] of this.#waitingIn(account, mailboxes))
      if (messages > 0) this.added({ account, mailbox }, messages)
  }

  /** By mailbox: an upper bound, as some of those UIDs may be gone. */
  #waitingIn(account: Identity, mailboxes: readonly MailboxInfo[]): ReadonlyMap<MailboxId, number> {
    return this.#store.read((tx) => {
      const key = accountKey(tx, account)
      const waitingOf = ({ id, uidNext, messages }: MailboxInfo): number =>
        Math.min(messages, uidNext - 1 - indexedUpTo(tx, mailboxKey(key, fromHex(id)!)))
      return new Map(mailboxes.map((info) => [info.id, waitingOf(info)]))
    })
  }

  /** Fills everything that is missing now. */
  async fillNow(): Promise<void> {
    this.#filling = this.#filling.then(() => this.#fill({ yields: false }))
    await this.#filling
  }

  #schedule(ms: number): void {
    if (this.#isClosed || (this.#timer !== undefined && this.#timerMs <= ms)) return
    clearTimeout(this.#timer)
    this.#timerMs = ms
    this.#timer = setTimeout(() => this.#tick(), ms).unref()
  }

  #tick(): void {
    this.#timer = undefined
    const isBusy = this.#isBusy
    this.#sinceTick = 0
    if (isBusy) this.#schedule(tickMs)
    else this.#filling = this.#filling.then(() => this.#fill({ yields: true }))
  }

  get #isBusy(): boolean {
    return this.#sinceTick > busyPerTick
  }

  async #fill({ yields }: { readonly yields: boolean }): Promise<void> {
    this.#waiting = 0
    try {
      for (const place of this.#places.values()) {
        this.#places.delete(place.mailbox)
        while (!this.#isClosed && (await this.#fillSome(place))) {
          if (!yields) continue
          await sleep(breathMs, undefined, { ref: false })
          if (!this.#isBusy) continue
          this.#places.set(place.mailbox, place)
          this.#schedule(tickMs)
          return
        }
      }
    } catch (error) {
      if (this.#isClosed) return
      this.#log.warn('search.fill-failed', { code: error instanceof MyceliumError ? error.code : 'unknown' })
    }
  }

  /** False when there is nothing left to do. */
  async #fillSome({ account, mailbox }: Place): Promise<boolean> {
    const messages = this.#store.read((tx) => this.#tail(tx, account, mailbox))
    if (messages.length === 0) return false
    const { bytes, uid } = await this.#read(account, messages)
    const made = await this.#index(bytes)
    await this.#store.write((tx) => {
      const key = accountKey(tx, account)
      const row = mailboxKey(key, fromHex(mailbox)!)
      if (!tx.has(tables.mailboxes, row)) return
      addToIndex(tx, key, made)
      tx.put(tables.searchProgress, row, encode(progress, { version: searchIndexVersion, uid }))
    })
    return true
  }

  /** Messages that follow what is indexed. */
  #tail(tx: ReadTx, account: Identity, mailbox: MailboxId): readonly Message[] {
    const mailboxId = fromHex(mailbox)!
    const key = accountKey(tx, account)
    const done = indexedUpTo(tx, mailboxKey(key, mailboxId))
    const isIndexed = indexedIn(tx, key)
    const messages: Message[] = []
    const from = blockKey(mailboxId, blockOf((done + 1) as Uid))
    for (const { value } of tx.range(tables.mailboxBlocks, { prefix: mailboxId, from })) {
      const records = new Records(value)
      for (let index = 0; index < records.count && messages.length < batchMessagesMax; index += 1) {
        const [uid, content] = [records.uidAt(index), records.contentAt(index)]
        if (uid > done) messages.push({ uid, content, isIndexed: isIndexed(content) })
      }
      if (messages.length === batchMessagesMax) break
    }
    return messages
  }

  /** As many as make one job; `undefined` for what is too long. @returns also the last UID that was looked at */
  async #read(
    account: Identity,
    messages: readonly Message[],
  ): Promise<{ bytes: ReadonlyMap<ContentId, Uint8Array | undefined>; uid: Uid }> {
    const bytes = new Map<ContentId, Uint8Array | undefined>()
    let total = 0
    let last = messages[0]!.uid
    for (const { uid, content, isIndexed } of messages) {
      last = uid
      if (isIndexed || bytes.has(content)) continue
      const message = await this.#contentOf(account, content)
      bytes.set(content, message)
      total += message?.length ?? 0
      if (total >= batchBytesMax) break
    }
    return { bytes, uid: last }
  }

  async #contentOf(account: Identity, content: ContentId): Promise<Uint8Array | undefined> {
    const inline = this.#blobs.readInline(account, content)
    if (inline !== undefined) return inline
    if (this.#blobs.sizeOf(account, content)! > limits.searchIndexedBytesMax) return undefined
    return concat(...(await Array.fromAsync(this.#blobs.read(account, content))))
  }

  /** One that the worker cannot do has an entry that says so: searches read it. */
  async #index(bytes: ReadonlyMap<ContentId, Uint8Array | undefined>): Promise<Map<ContentId, IndexedText>> {
    const made = new Map<ContentId, IndexedText>()
    const texts = [...bytes].flatMap(([content, message]) => (message === undefined ? [] : [{ content, message }]))
    for (const content of bytes.keys()) made.set(content, { fields: undefined, signature: undefined })
    const entries = await this.#thread.index(texts.map(({ message }) => message))
    for (const [at, { content, message }] of texts.entries()) {
      const entry = entries?.[at] ?? (texts.length === 1 ? undefined : (await this.#thread.index([message]))?.[0])
      if (entry !== undefined) made.set(content, entry)
    }
    if (this.#isClosed) throw new MyceliumError('shutting-down')
    return made
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true
    clearTimeout(this.#timer)
    this.#places.clear()
    await this.#thread[Symbol.asyncDispose]()
    await this.#filling
  }
}

/** Which contents have entries; neighbours open their pack once. */
function indexedIn(tx: ReadTx, account: Uint8Array): (content: ContentId) => boolean {
  let name = ''
  let pack: ReturnType<typeof readSearchPack>
  return (content) => {
    if (name !== packOf(content)) {
      name = packOf(content)
      pack = readSearchPack(tx, account, { pack: name, kind: 'fields' })
    }
    return pack?.has(content) === true
  }
}

/** The last UID that is in the index, or 0. @param row account and mailbox */
function indexedUpTo(tx: ReadTx, row: Uint8Array): number {
  const stored = tx.get(tables.searchProgress, row)
  const { version, uid } = stored === undefined ? { version: 0, uid: 0 } : decode(progress, stored)
  return version === searchIndexVersion ? uid : 0
}

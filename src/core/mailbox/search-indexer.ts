/**
 * Fills the search index after the commits, from the UID up to which each mailbox is in it; that UID is committed with
 * the entries, so a crash anywhere leaves a tail that is filled later and read by searches until then. Texts are read
 * by the worker. Mail that was here before the index is a long tail.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Log } from '../ambient.ts'
import { fromHex } from '../bytes.ts'
import { decode, encode, record, u32, u8 } from '../codec.ts'
import { hasCode, MyceliumError } from '../errors.ts'
import type { ContentId, Identity, MailboxId, Uid } from '../ids.ts'
import { limits } from '../limits.ts'
import type { MessageSource } from '../message/mime-source.ts'
import type { Blobs } from '../store/blobs.ts'
import { accountKey } from '../store/content-rows.ts'
import type { ReadTx, Store } from '../store/store.ts'
import { tables } from '../store/tables.ts'
import type { MailboxInfo, SearchIndexState } from './mailbox.ts'
import { blockOf, Records } from './records.ts'
import { blockKey, mailboxKey } from './rows.ts'
import {
  addToIndex,
  Forgetting,
  type IndexedText,
  packOf,
  readSoundPack,
  searchIndexVersion,
  unlessDamaged,
} from './search-packs.ts'
import type { SearchThread } from './search-thread.ts'
import { storedSource } from './stored-source.ts'

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

/** Octets, or a long message that the worker reads in windows; `undefined` for what is too long or cannot be read. */
type Text = Uint8Array | MessageSource | undefined
type Texts = ReadonlyMap<ContentId, Text>

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
  /** Accounts whose index is being looked through after damage. */
  readonly #rebuilding = new Set<Identity>()
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

  /** After damage: all mailboxes are looked through for what has no entry any more. */
  async rebuild(account: Identity, mailboxes: readonly MailboxInfo[]): Promise<void> {
    if (this.#rebuilding.has(account)) return
    this.#rebuilding.add(account)
    this.#log.warn('search.index-damaged', {})
    await this.#store.write((tx) => {
      const prefix = accountKey(tx, account)
      const keys = Array.from(tx.keys(tables.searchProgress, { prefix }))
      for (const key of keys) tx.remove(tables.searchProgress, key)
    })
    this.resume(account, mailboxes)
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
      this.#rebuilding.clear()
    } catch (error) {
      if (this.#isClosed) return
      this.#rebuilding.clear()
      this.#log.warn('search.fill-failed', { code: error instanceof MyceliumError ? error.code : 'unknown' })
    }
  }

  /** False when there is nothing left to do. */
  async #fillSome({ account, mailbox }: Place): Promise<boolean> {
    const messages = this.#store.read((tx) => this.#tail(tx, account, mailbox))
    if (messages.length === 0) return false
    const { texts, uid } = await this.#read(account, messages)
    const made = await this.#index(texts)
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

  /** As many as make one job. @returns also the last UID that was looked at */
  async #read(account: Identity, messages: readonly Message[]): Promise<{ texts: Texts; uid: Uid }> {
    const texts = new Map<ContentId, Text>()
    let total = 0
    let last = messages[0]!.uid
    for (const { uid, content, isIndexed } of messages) {
      last = uid
      if (isIndexed || texts.has(content)) continue
      const text = await this.#textOf(account, content)
      texts.set(content, text)
      total += text === undefined ? 0 : 'length' in text ? text.length : text.size
      if (total >= batchBytesMax) break
    }
    return { texts, uid: last }
  }

  async #textOf(account: Identity, content: ContentId): Promise<Text> {
    return await unlessUnreadable(async () => {
      const inline = this.#blobs.readInline(account, content)
      if (inline !== undefined) return inline
      const source = storedSource(this.#blobs, account, content)
      if (source.size > limits.searchIndexedBytesMax) return undefined
      return source.size <= limits.searchSliceBytesMax ? await source.read(0, source.size) : source
    })
  }

  /** One that cannot be read, or that the worker cannot do, has an entry that says so: searches read it. */
  async #index(texts: Texts): Promise<Map<ContentId, IndexedText>> {
    const made = new Map<ContentId, IndexedText>()
    const short: { readonly content: ContentId; readonly message: Uint8Array }[] = []
    for (const [content, text] of texts) {
      made.set(content, { fields: undefined, signature: undefined })
      if (text === undefined) continue
      if ('length' in text) short.push({ content, message: text })
      else {
        const entry = await unlessUnreadable(async () => await this.#thread.indexLong(text))
        if (entry !== undefined) made.set(content, entry)
      }
    }
    if (short.length === 0) return made
    const entries = await this.#thread.index(short.map(({ message }) => message))
    for (const [at, { content, message }] of short.entries()) {
      const entry = entries?.[at] ?? (short.length === 1 ? undefined : (await this.#thread.index([message]))?.[0])
      if (entry !== undefined) made.set(content, entry)
    }
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

/** `undefined` for content that is damaged, or gone since: the messages around it have their entries all the same. */
async function unlessUnreadable<T>(read: () => Promise<T>): Promise<T | undefined> {
  try {
    return await read()
  } catch (error) {
    if (hasCode(error, 'store-corrupt') || hasCode(error, 'no-such-message')) return undefined
    throw error
  }
}

/** Which contents have entries; neighbours open their pack once. */
function indexedIn(tx: ReadTx, account: Uint8Array): (content: ContentId) => boolean {
  let name = ''
  let fields: ReturnType<typeof readSoundPack>
  let signatures: ReturnType<typeof readSoundPack> | 'unread'
  return (content) => {
    if (name !== packOf(content)) {
      name = packOf(content)
      fields = readSoundPack(tx, account, { pack: name, kind: 'fields' })
      signatures = 'unread'
    }
    if (fields?.has(content) !== true) return false
    if (signatures === 'unread') signatures = readSoundPack(tx, account, { pack: name, kind: 'signature' })
    return signatures?.has(content) === true
  }
}

/** The last UID that is in the index, or 0. @param row account and mailbox */
function indexedUpTo(tx: ReadTx, row: Uint8Array): number {
  const stored = unlessDamaged(() => tx.get(tables.searchProgress, row))
  const { version, uid } = stored === undefined ? { version: 0, uid: 0 } : decode(progress, stored)
  return version === searchIndexVersion ? uid : 0
}

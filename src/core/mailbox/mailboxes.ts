/**
 * Mailboxes over the store: transactions in account-work.ts, mailbox-work.ts and message-changes.ts, what is in memory
 * in account-cache.ts and columns.ts.
 */
import type { Ambient } from '../ambient.ts'
import { fromHex } from '../bytes.ts'
import { decode } from '../codec.ts'
import { MyceliumError } from '../errors.ts'
import type { ContentId, Identity, MailboxId, ModSeq, Uid } from '../ids.ts'
import { limits } from '../limits.ts'
import type { Blobs, StoredContent } from '../store/blobs.ts'
import type { Store, WriteTx } from '../store/store.ts'
import { tables } from '../store/tables.ts'
import { AccountCache } from './account-cache.ts'
import { AccountWork, type Committed } from './account-work.ts'
import { Columns, ColumnsCache, loadRecords } from './columns.ts'
import type {
  AppendItem,
  AppendOptions,
  Change,
  FlagChange,
  FlagsChanged,
  MailboxColumns,
  Mailboxes,
  MailboxFollower,
  MailboxInfo,
  MailboxWriter,
  SearchIndexState,
  SpecialUse,
  Summariser,
  UidPair,
} from './mailbox.ts'
import { searchMailbox } from './mailbox-search.ts'
import type { MailboxWork } from './mailbox-work.ts'
import { MessageChanges } from './message-changes.ts'
import { inbox, parseMailboxName } from './names.ts'
import { eventCodec, seqKey, seqOf, uidsCodec } from './rows.ts'
import type { SearchKey } from './search.ts'
import { SearchIndexer } from './search-indexer.ts'
import { SearchThread } from './search-thread.ts'
import { Summaries } from './summaries.ts'
import { ascending } from './uid-list.ts'

export interface MailboxesOptions {
  readonly summariser?: Summariser
  /** Octets that an account's messages may take together; `Infinity` for no limit. */
  readonly quotaBytes?: (account: Identity) => number
  /** False: nothing is put into the search index. */
  readonly indexes?: boolean
}

export interface MailboxStore extends Mailboxes, AsyncDisposable {
  /** Resolves when the search index has everything that it was told of. */
  indexNow(): Promise<void>
}

export async function openMailboxes(
  store: Store,
  blobs: Blobs,
  options: MailboxesOptions,
  ambient: Ambient,
): Promise<MailboxStore> {
  return new StoredMailboxes(store, blobs, options, ambient)
}

class StoredMailboxes implements MailboxStore {
  readonly #store: Store
  readonly #blobs: Blobs
  readonly #options: MailboxesOptions
  readonly #ambient: Ambient
  readonly #caches = new Map<Identity, AccountCache>()
  readonly #columns = new ColumnsCache()
  readonly #messages: MessageChanges
  readonly #summaries: Summaries
  readonly #searchThread = new SearchThread()
  readonly #indexer: SearchIndexer
  readonly #works = new WeakMap<WriteTx, Map<Identity, AccountWork>>()
  readonly #listeners = new Map<Identity, Set<(change: Change) => void>>()
  #follower: MailboxFollower | undefined

  constructor(store: Store, blobs: Blobs, options: MailboxesOptions, ambient: Ambient) {
    this.#store = store
    this.#blobs = blobs
    this.#options = options
    this.#ambient = ambient
    this.#messages = new MessageChanges({ blobs, clock: ambient.clock, quotaBytes: options.quotaBytes })
    const summariser = options.summariser ?? noSummary
    this.#summaries = new Summaries({ store, blobs, summariser, log: ambient.log })
    this.#indexer = new SearchIndexer({ store, blobs, thread: this.#searchThread, log: ambient.log })
  }

  // What is there

  list(account: Identity): readonly MailboxInfo[] {
    return this.#cache(account)?.list() ?? []
  }
  byName(account: Identity, name: string): MailboxInfo | undefined {
    const parsed = parseMailboxName(name)
    return parsed === undefined ? undefined : this.#cache(account)?.infoByName(parsed)
  }
  byId(account: Identity, id: MailboxId): MailboxInfo | undefined {
    return this.#cache(account)?.info(id)
  }
  bySpecialUse(account: Identity, use: SpecialUse): MailboxInfo | undefined {
    return this.#cache(account)?.infoBySpecialUse(use)
  }
  subscriptions(account: Identity): readonly string[] {
    return this.#cache(account)?.subscriptions ?? []
  }
  usedBytes(account: Identity): number {
    return this.#cache(account)?.row.usedBytes ?? 0
  }

  columns(account: Identity, mailbox: MailboxId): MailboxColumns {
    this.#known(account, mailbox)
    return this.#columns.get(mailbox, () => this.#loadColumns(account, mailbox))
  }

  #loadColumns(account: Identity, mailbox: MailboxId): Columns {
    return this.#store.read((tx) => {
      // From this snapshot, not from memory: a commit may be visible here whose effects have not run yet.
      const state = AccountCache.load(tx, account)?.state(mailbox)
      if (state === undefined) throw new MyceliumError('no-such-mailbox')
      return new Columns(mailbox, {
        records: loadRecords(tx, mailbox, state.counters.messages),
        modSeq: state.counters.highestModSeq,
        flagSets: () => this.#cache(account)?.state(mailbox)?.meta.flagSets ?? state.meta.flagSets,
      })
    })
  }

  expungedSince(account: Identity, mailbox: MailboxId, since: ModSeq): readonly Uid[] | undefined {
    const { counters } = this.#known(account, mailbox)
    if (since < counters.tombstoneFloor) return undefined
    const prefix = fromHex(mailbox)!
    return this.#store.read((tx) => {
      const uids: Uid[] = []
      for (const { value } of tx.range(tables.mailboxTombstones, { prefix, from: seqKey(prefix, since + 1) }))
        for (const uid of decode(uidsCodec, value)) uids.push(uid)
      return uids.sort((a, b) => a - b)
    })
  }

  #cache(account: Identity): AccountCache | undefined {
    const known = this.#caches.get(account)
    if (known !== undefined) return known
    const loaded = this.#store.read((tx) => AccountCache.load(tx, account))
    if (loaded !== undefined) this.#caches.set(account, loaded)
    return loaded
  }

  #known(account: Identity, mailbox: MailboxId): NonNullable<ReturnType<AccountCache['state']>> {
    const state = this.#cache(account)?.state(mailbox)
    if (state === undefined) throw new MyceliumError('no-such-mailbox')
    return state
  }

  // Mailboxes themselves

  async create(
    account: Identity,
    name: string,
    { specialUse }: { readonly specialUse?: SpecialUse } = {},
  ): Promise<MailboxInfo> {
    const parsed = validName(name)
    const id = await this.#store.write((tx) => this.#create(this.#work(tx, account), parsed, specialUse))
    return this.byId(account, id)!
  }

  #create(work: AccountWork, name: string, specialUse: SpecialUse | undefined): MailboxId {
    return work.create(name, { specialUse, random: this.#ambient.random, nowMs: this.#ambient.clock.nowMs() }).id
  }

  async rename(account: Identity, from: string, to: string): Promise<void> {
    const [source, target] = [validName(from), validName(to)]
    await this.#store.write((tx) => this.#rename(this.#work(tx, account), source, target))
  }

  #rename(work: AccountWork, source: string, target: string): void {
    const names = work.names()
    const id = names.get(source)
    if (id === undefined) throw new MyceliumError('no-such-mailbox')
    if (names.has(target)) throw new MyceliumError('mailbox-exists')
    if (target.startsWith(`${source}/`)) throw new MyceliumError('malformed', { what: 'mailbox-name' })
    if (source === inbox) {
      // RFC 9051 §6.3.6: its messages move to a new mailbox, and INBOX stays, empty.
      this.#messages.moveAll(work, { from: id, to: this.#create(work, target, undefined) })
      return
    }
    for (const [name, child] of names) {
      if (name !== source && !name.startsWith(`${source}/`)) continue
      const renamed = validName(target + name.slice(source.length))
      if (names.has(renamed)) throw new MyceliumError('mailbox-exists')
      work.mailbox(child).setMeta({ name: renamed })
    }
    work.createParents(target, this.#ambient)
    work.isListChanged = true
  }

  async remove(account: Identity, name: string): Promise<void> {
    const parsed = validName(name)
    if (parsed === inbox) throw new MyceliumError('mailbox-reserved')
    await this.#store.write((tx) => this.#remove(tx, this.#work(tx, account), parsed))
  }

  #remove(tx: WriteTx, work: AccountWork, name: string): void {
    const id = work.names().get(name)
    if (id === undefined) throw new MyceliumError('no-such-mailbox')
    for (const content of work.mailbox(id).removeAll()) this.#blobs.release(tx, work.account, content)
    work.modSeq()
    work.isListChanged = true
  }

  follow(follower: MailboxFollower): void {
    this.#follower = follower
  }

  writer(tx: WriteTx, account: Identity): MailboxWriter {
    const work = (): AccountWork => this.#work(tx, account)
    return {
      has: (mailbox) => work().has(mailbox),
      names: () => work().names(),
      create: (name, specialUse) => this.#create(work(), validName(name), specialUse),
      rename: (from, to) => this.#rename(work(), validName(from), validName(to)),
      remove: (name) => this.#remove(tx, work(), validName(name)),
      subscribe: (name, subscribed) => work().subscribe(validName(name), subscribed),
      setFlags: (mailbox, uids, change) => void work().mailbox(mailbox).changeFlags(ascending(uids), change, Infinity),
      move: (from, uids, to) => this.#messages.move(work(), { from, uids, to }),
      list: () => work().list(),
      messages: (mailbox) => work().mailbox(mailbox).counters.messages,
      message: (mailbox, uid) => (work().has(mailbox) ? work().mailbox(mailbox).message(uid) : undefined),
      isFull: (bytes) => this.#isOver(account, work().usedBytes + bytes),
    }
  }

  async subscribe(account: Identity, name: string, subscribed: boolean): Promise<void> {
    const parsed = validName(name)
    await this.#store.write((tx) => {
      const count = subscribed ? this.subscriptions(account).length : 0
      if (count >= limits.mailboxesMax) throw new MyceliumError('too-large', { mailboxesMax: limits.mailboxesMax })
      this.#work(tx, account).subscribe(parsed, subscribed)
    })
  }

  removeAccount(tx: WriteTx, account: Identity): void {
    const work = this.#work(tx, account)
    for (const id of work.names().values()) {
      for (const content of work.mailbox(id).removeAll()) this.#blobs.release(tx, account, content)
      for (const key of tx.keys(tables.copyPlaces, { prefix: fromHex(id)! })) tx.remove(tables.copyPlaces, key)
    }
    work.removeAccount()
    tx.afterCommit(() => this.#caches.delete(account))
  }

  bumpUidValidity(tx: WriteTx, account: Identity): void {
    const work = this.#work(tx, account)
    for (const id of work.names().values())
      work.mailbox(id).setMeta({ uidValidity: work.nextUidValidity(this.#ambient.clock.nowMs()) })
    work.isListChanged = true
  }

  // Messages

  async store(
    account: Identity,
    source: AsyncIterable<Uint8Array>,
    options: { readonly bytesMax: number },
  ): Promise<StoredContent> {
    return await this.#blobs.store(account, source, options)
  }
  storeInline(tx: WriteTx, account: Identity, bytes: Uint8Array): StoredContent {
    return this.#blobs.storeInline(tx, account, bytes)
  }
  retain(tx: WriteTx, account: Identity, content: ContentId): void {
    this.#blobs.retain(tx, account, content)
  }
  release(tx: WriteTx, account: Identity, content: ContentId): void {
    this.#blobs.release(tx, account, content)
  }

  append(
    tx: WriteTx,
    account: Identity,
    mailbox: MailboxId,
    items: readonly AppendItem[],
    options?: AppendOptions,
  ): readonly Uid[] {
    return this.#messages.append(tx, this.#work(tx, account), mailbox, items, options)
  }

  isFull(account: Identity, bytes: number): boolean {
    return this.#isOver(account, this.usedBytes(account) + bytes)
  }

  #isOver(account: Identity, bytes: number): boolean {
    const quotaBytes = this.#options.quotaBytes?.(account)
    return quotaBytes !== undefined && bytes > quotaBytes
  }

  async setFlags(
    account: Identity,
    mailbox: MailboxId,
    uids: readonly Uid[],
    change: FlagChange,
    { unchangedSince }: { readonly unchangedSince?: ModSeq } = {},
  ): Promise<FlagsChanged> {
    return await this.#store.write((tx) => {
      const work = this.#work(tx, account)
      const outcome = work.mailbox(mailbox).changeFlags(ascending(uids), change, unchangedSince ?? Infinity)
      return { ...outcome, modSeq: outcome.changed.length === 0 ? undefined : work.modSeq() }
    })
  }

  async copy(account: Identity, from: MailboxId, uids: readonly Uid[], to: MailboxId): Promise<readonly UidPair[]> {
    const copySome = async (some: readonly Uid[]): Promise<readonly UidPair[]> =>
      await this.#store.write((tx) => this.#messages.copy(tx, this.#work(tx, account), { from, uids: some, to }))
    const atOnce = limits.mailboxCopiedAtOnce
    if (uids.length <= atOnce) return await copySome(uids)
    const all = ascending(uids)
    const pairs: UidPair[] = []
    try {
      for (let at = 0; at < all.length; at += atOnce)
        for (const pair of await copySome(all.slice(at, at + atOnce))) pairs.push(pair)
    } catch (error) {
      // all or none (RFC 9051 §6.4.7)
      const made = pairs.map(({ to: uid }) => uid)
      await this.#store.write((tx) => this.discard(tx, account, to, made))
      throw error
    }
    return pairs
  }

  async move(account: Identity, from: MailboxId, uids: readonly Uid[], to: MailboxId): Promise<readonly UidPair[]> {
    return await this.#store.write((tx) => this.#messages.move(this.#work(tx, account), { from, uids, to }))
  }

  async expunge(account: Identity, mailbox: MailboxId, uids?: readonly Uid[]): Promise<readonly Uid[]> {
    return await this.#store.write((tx) => this.#messages.expunge(tx, this.#work(tx, account), mailbox, uids))
  }

  discard(tx: WriteTx, account: Identity, mailbox: MailboxId, uids: readonly Uid[]): void {
    this.#messages.discard(tx, this.#work(tx, account), mailbox, uids)
  }

  // Content

  read(
    account: Identity,
    content: ContentId,
    range?: { readonly from: number; readonly to: number },
  ): AsyncIterable<Uint8Array> {
    return this.#blobs.read(account, content, range)
  }
  async readInto(account: Identity, content: ContentId, from: number, target: Uint8Array): Promise<void> {
    await this.#blobs.readInto(account, content, from, target)
  }

  readInline(account: Identity, content: ContentId): Uint8Array | undefined {
    return this.#blobs.readInline(account, content)
  }
  async summary(account: Identity, mailbox: MailboxId, uid: Uid): Promise<Uint8Array> {
    const columns = this.columns(account, mailbox)
    const index = columns.indexOf(uid)
    if (index < 0) throw new MyceliumError('no-such-message')
    return await this.#summaries.get({ account, mailbox, uid, content: columns.contentAt(index) })
  }
  summaryNow(account: Identity, mailbox: MailboxId, uid: Uid): Uint8Array | undefined {
    this.#known(account, mailbox)
    return this.#summaries.now(mailbox, uid)
  }

  async search(
    account: Identity,
    mailbox: MailboxId,
    uids: readonly Uid[],
    key: SearchKey,
    options: { readonly signal: AbortSignal },
  ): Promise<readonly Uid[]> {
    const columns = (): MailboxColumns => this.columns(account, mailbox)
    const rebuild = async (): Promise<void> => await this.#indexer.rebuild(account, this.list(account))
    const parts = { account, columns, store: this.#store, blobs: this.#blobs, thread: this.#searchThread, rebuild }
    return await searchMailbox(parts, uids, key, options)
  }
  searchIndex(account: Identity): SearchIndexState {
    return this.#indexer.stateOf(account, this.list(account))
  }
  continueIndexing(account: Identity): void {
    if (this.#options.indexes !== false) this.#indexer.resume(account, this.list(account))
  }
  async indexNow(): Promise<void> {
    await this.#indexer.fillNow()
  }

  // Changes

  watch(account: Identity, listener: (change: Change) => void): () => void {
    const listeners = this.#listeners.get(account) ?? new Set()
    this.#listeners.set(account, listeners)
    listeners.add(listener)
    return () => listeners.delete(listener)
  }

  changesSince(account: Identity, seq: number, limit: number): readonly Change[] {
    const cache = this.#cache(account)
    if (cache === undefined) return []
    if (seq < cache.row.changeFloor) throw new MyceliumError('expired')
    return this.#store.read((tx) => {
      const range = { prefix: cache.key, from: seqKey(cache.key, seq + 1), limit }
      return [...tx.range(tables.changes, range)].map(({ key, value }) => ({
        seq: seqOf(key),
        account,
        event: decode(eventCodec, value),
      }))
    })
  }

  /** What this transaction does to the account; written at its end, taken over in memory after its commit. */
  #work(tx: WriteTx, account: Identity): AccountWork {
    let works = this.#works.get(tx)
    if (works === undefined) this.#works.set(tx, (works = new Map()))
    const known = works.get(account)
    if (known !== undefined) return known
    const work = new AccountWork(tx, account, this.#inMemory(account))
    works.set(account, work)
    tx.beforeCommit(() => {
      works.delete(account) // what comes later starts from the rows
      work.finish()
      if (!work.isRemoved && this.#follower?.follows(account) === true)
        this.#follower.changed(tx, account, work.followed())
    })
    tx.afterCommit(() => this.#committed(work))
    return work
  }

  #inMemory(account: Identity): Committed | undefined {
    const cache = this.#cache(account)
    if (cache === undefined) return undefined
    return {
      modSeq: cache.modSeq,
      list: () => cache.list(),
      row: (mailbox, number) => this.#columns.peek(mailbox)?.row(number),
    }
  }

  #committed(work: AccountWork): void {
    const { account } = work
    this.#store.read((tx) => this.#caches.get(account)?.apply(work, tx))
    for (const mailbox of work.changedMailboxes) {
      if (mailbox.isRemoved) this.#columns.drop(mailbox.id)
      else this.#columns.peek(mailbox.id)?.apply(mailbox)
      this.#summarise(account, mailbox)
      const added = mailbox.touched.appended.size
      if (added > 0 && !mailbox.isRemoved && this.#options.indexes !== false)
        this.#indexer.added({ account, mailbox: mailbox.id }, added)
    }
    for (const change of work.changes) this.#tell(change)
  }

  #tell(change: Change): void {
    for (const listener of this.#listeners.get(change.account) ?? []) {
      try {
        listener(change)
      } catch (error) {
        // One session's failure must not keep the news from the others.
        this.#ambient.log.error('mailbox.listener-failed', { error: error instanceof Error ? error.name : 'unknown' })
      }
    }
  }

  #summarise(account: Identity, mailbox: MailboxWork): void {
    if (this.#options.summariser === undefined || mailbox.isRemoved) return
    const added = [...mailbox.touched.appended].map((uid) => {
      const { records, index } = mailbox.find(uid)!
      return { account, mailbox: mailbox.id, uid, content: records.contentAt(index), from: mailbox.originOf(uid) }
    })
    if (added.length > 0) this.#summaries.added(added)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#summaries[Symbol.asyncDispose]()
    await this.#indexer[Symbol.asyncDispose]()
  }
}

const noSummary: Summariser = {
  version: 0,
  summarise: () => new Uint8Array(),
  summariseLarge: async () => await Promise.resolve(new Uint8Array()),
}

function validName(text: string): string {
  const name = parseMailboxName(text)
  if (name === undefined) throw new MyceliumError('malformed', { what: 'mailbox-name' })
  return name
}

/**
 * The conversations of every account: what adapters and the command line read, and the one feed that they follow. Two
 * orders: by number, as this gateway came to show things, for whoever holds a cursor; by rank, the same on every
 * gateway, for reading back.
 */
import type { Ambient } from '../ambient.ts'
import { concat } from '../bytes.ts'
import { bool, decode, encode, record } from '../codec.ts'
import { MyceliumError } from '../errors.ts'
import type { ConversationId, Identity, MailboxId, MessageId } from '../ids.ts'
import { limits } from '../limits.ts'
import { directConversation, groupConversation } from '../message/conversation.ts'
import { decodeMessage } from '../message/message.ts'
import type { ReadTx, Store, WriteTx } from '../store/store.ts'
import { tables } from '../store/tables.ts'
import { type Arriving, hasBody, History, type Judge, type Taken } from './history.ts'
import {
  type ConversationRow,
  type FeedEvent,
  feedCodec,
  folderCodec,
  idAtEnd,
  type MarkRow,
  markCodec,
  type MessageRow,
  numberOf,
  type Partner,
  type RenderingRow,
  renderingCodec,
  sentAsCodec,
} from './rows.ts'
import { type ShownMessage, viewMessage } from './view.ts'

export interface FeedStep {
  readonly number: number
  readonly conversation: ConversationId
  readonly event: FeedEvent
}

export type FeedListener = (account: Identity, step: FeedStep) => void

/** What an account wants of its conversations. */
export interface ConversationSettings {
  /** A chat program has logged in once: direct chats no longer appear in INBOX (DESIGN §6). */
  readonly hasChatClient: boolean
  /** Others may know what was read here. */
  readonly tellsRead: boolean
  /** Others may know whether this account is there, and when it types. */
  readonly tellsPresence: boolean
}

const defaultSettings: ConversationSettings = { hasChatClient: false, tellsRead: false, tellsPresence: false }
const settingsCodec = record<ConversationSettings>({ hasChatClient: bool, tellsRead: bool, tellsPresence: bool })

/** A shown message, in the transaction that shows it. */
export type ShownListener = (tx: WriteTx, account: Identity, row: MessageRow, arriving: Arriving) => void

/** A message that looks different now, in the transaction in which it does. */
export type ChangedListener = (tx: WriteTx, account: Identity, id: MessageId) => void
/** How far the account itself has read, in the transaction that says so: messages up to a number, that one included. */
export type ReadListener = (
  tx: WriteTx,
  account: Identity,
  conversation: ConversationId,
  read: { readonly from: number; readonly to: number },
) => void

export const idOfPartner = (account: Identity, partner: Partner): ConversationId =>
  partner.kind === 'direct' ? directConversation(account, partner.peer) : groupConversation(partner.group)

export class Conversations {
  readonly history: History
  readonly #store: Store
  readonly #ambient: Ambient
  readonly #listeners = new Set<FeedListener>()
  readonly #shown = new Set<ShownListener>()
  readonly #changed = new Set<ChangedListener>()
  readonly #read = new Set<ReadListener>()

  constructor(parts: { readonly store: Store; readonly ambient: Ambient; readonly judge: Judge }) {
    this.#store = parts.store
    this.#ambient = parts.ambient
    this.history = new History({
      clock: parts.ambient.clock,
      judge: parts.judge,
      events: {
        onShown: (...shown) => {
          for (const listener of this.#shown) listener(...shown)
        },
        onChanged: (...changed) => {
          for (const listener of this.#changed) listener(...changed)
        },
        onFeed: (account, number, conversation, event) => {
          for (const listener of this.#listeners) listener(account, { number, conversation, event })
        },
      },
    })
  }

  /** Latest first. */
  list(account: Identity): readonly ConversationRow[] {
    return this.#store
      .read((tx) => [...this.history.conversations(tx, account)])
      .sort((a, b) => b.lastAtMs - a.lastAtMs)
  }

  get(account: Identity, id: ConversationId): ConversationRow | undefined {
    return this.#store.read((tx) => this.history.conversation(tx, account, id))
  }

  message(account: Identity, id: MessageId): ShownMessage | undefined {
    return this.#store.read((tx) => viewMessage(tx, this.history, account, id))
  }

  /** The message whose id begins so. @throws `ambiguous`, `no-such-message` */
  byPrefix(account: Identity, beginning: string): ShownMessage {
    if (!/^[\da-f]{8,64}$/.test(beginning)) throw new MyceliumError('no-such-message')
    const whole = beginning.slice(0, beginning.length - (beginning.length % 2))
    return this.#store.read((tx) => {
      const prefix = concat(this.history.keys.account(tx, account), Buffer.from(whole, 'hex'))
      const ids = [...tx.keys(tables.conversationMessages, { prefix, limit: 40 })]
        .map(idAtEnd)
        .filter((id) => id.startsWith(beginning))
      const found = ids.flatMap((id) => viewMessage(tx, this.history, account, id) ?? [])
      if (found.length > 1) throw new MyceliumError('ambiguous')
      if (found[0] === undefined) throw new MyceliumError('no-such-message')
      return found[0]
    })
  }

  /** The last `limit` messages before a place in the order of ranks, oldest first. */
  page(
    account: Identity,
    id: ConversationId,
    { limit, before }: { readonly limit: number; readonly before?: { readonly rank: number; readonly id: MessageId } },
  ): readonly ShownMessage[] {
    return this.#store.read((tx) => {
      const prefix = this.history.keys.conversation(tx, account, id)
      const to = before && this.history.keys.ranked(tx, account, id, before)
      const keys = [
        ...tx.keys(tables.conversationRanks, { prefix, reverse: true, limit, ...(to === undefined ? {} : { to }) }),
      ].toReversed()
      return keys.flatMap((key) => viewMessage(tx, this.history, account, idAtEnd(key)) ?? [])
    })
  }

  /** Messages by number, from `after` (exclusive) on: what an archive's cursor walks. */
  archive(
    account: Identity,
    id: ConversationId,
    { after, limit }: { readonly after: number; readonly limit: number },
  ): readonly ShownMessage[] {
    return this.#store.read((tx) => {
      const prefix = this.history.keys.conversation(tx, account, id)
      const from = this.history.keys.numbered(tx, account, id, after + 1)
      return [...tx.range(tables.conversationNumbers, { prefix, from, limit })].flatMap(
        ({ value }) => viewMessage(tx, this.history, account, Buffer.from(value).toString('hex') as MessageId) ?? [],
      )
    })
  }

  /** Everything that happened after `number`, oldest first. */
  feedSince(account: Identity, number: number, limit: number): readonly FeedStep[] {
    return this.#store.read((tx) => {
      const prefix = this.history.keys.account(tx, account)
      const from = this.history.keys.feed(tx, account, number + 1)
      return [...tx.range(tables.conversationFeed, { prefix, from, limit })].map(({ key, value }) => {
        const { conversation, event } = decode(feedCodec, value)
        return { number: numberOf(key), conversation, event }
      })
    })
  }

  lastNumber(account: Identity): number {
    return this.#store.read((tx) => this.history.feed.lastNumber(tx, account))
  }

  /** After each commit, in order; returns how to stop. */
  watch(listener: FeedListener): () => void {
    this.#listeners.add(listener)
    return () => void this.#listeners.delete(listener)
  }

  /** Hears of each message in the transaction that shows it. */
  whenShown(listener: ShownListener): void {
    this.#shown.add(listener)
  }

  whenChanged(listener: ChangedListener): void {
    this.#changed.add(listener)
  }

  whenRead(listener: ReadListener): void {
    this.#read.add(listener)
  }

  take(tx: WriteTx, account: Identity, partner: Partner, arriving: Arriving): Taken {
    return this.history.take(tx, account, partner, arriving)
  }

  /** How far each participant says to have read. */
  marks(account: Identity, id: ConversationId): readonly MarkRow[] {
    return this.#store.read((tx) =>
      [...tx.range(tables.conversationMarks, { prefix: this.history.keys.conversation(tx, account, id) })].map(
        ({ value }) => decode(markCodec, value),
      ),
    )
  }

  markOf(tx: ReadTx, account: Identity, id: ConversationId, who: Identity): MarkRow | undefined {
    const value = tx.get(tables.conversationMarks, this.history.keys.mark(tx, account, id, who))
    return value === undefined ? undefined : decode(markCodec, value)
  }

  /** Somebody has read a conversation up to these; marks only go on. @returns whether this one did */
  mark(
    tx: WriteTx,
    account: Identity,
    conversation: ConversationId,
    { who, heads }: { readonly who: Identity; readonly heads: readonly MessageId[] },
  ): boolean {
    const rows = heads.flatMap((id) => {
      const row = this.history.message(tx, account, id)
      return row?.state === 'shown' && row.conversation === conversation ? [{ id, row }] : []
    })
    const latest = rows.sort((a, b) => a.row.rank - b.row.rank).at(-1)
    if (latest === undefined) return false
    const { rank } = latest.row
    const known = this.markOf(tx, account, conversation, who)
    if (known !== undefined && known.rank >= rank) return false
    const key = this.history.keys.mark(tx, account, conversation, who)
    const atMs = this.#ambient.clock.nowMs()
    tx.put(tables.conversationMarks, key, encode(markCodec, { who, upTo: latest.id, rank, atMs }))
    if (who === account) this.#countUnread(tx, account, conversation, Math.max(...rows.map(({ row }) => row.number)))
    this.history.feed.step(tx, account, conversation, { kind: 'read', who, upTo: latest.id })
    return true
  }

  #countUnread(tx: WriteTx, account: Identity, id: ConversationId, readTo: number): void {
    const row = this.history.conversation(tx, account, id)
    if (row === undefined) return
    const prefix = this.history.keys.conversation(tx, account, id)
    const from = this.history.keys.numbered(tx, account, id, readTo + 1)
    let unread = 0
    for (const { value } of tx.range(tables.conversationNumbers, { prefix, from })) {
      const { encoded } = this.history.message(tx, account, Buffer.from(value).toString('hex') as MessageId)!
      const message = decodeMessage(encoded)
      if (message.author !== account && hasBody(message)) unread += 1
    }
    this.history.put(tx, account, { ...row, unread, readTo: Math.max(row.readTo, readTo) })
    for (const listener of this.#read) listener(tx, account, id, { from: row.readTo + 1, to: readTo })
  }

  settings(account: Identity): ConversationSettings {
    return this.#store.read((tx) => this.settingsIn(tx, account))
  }

  settingsIn(tx: ReadTx, account: Identity): ConversationSettings {
    const value = tx.get(tables.conversationSettings, this.history.keys.account(tx, account))
    return value === undefined ? defaultSettings : decode(settingsCodec, value)
  }

  setSettings(tx: WriteTx, account: Identity, change: Partial<ConversationSettings>): void {
    const next = { ...this.settingsIn(tx, account), ...change }
    tx.put(tables.conversationSettings, this.history.keys.account(tx, account), encode(settingsCodec, next))
  }

  /** Where mail programs see a message. */
  rendering(tx: ReadTx, account: Identity, id: MessageId): RenderingRow | undefined {
    const value = tx.get(tables.conversationMails, this.history.keys.message(tx, account, id))
    return value === undefined ? undefined : decode(renderingCodec, value)
  }

  setRendering(tx: WriteTx, account: Identity, id: MessageId, row: RenderingRow): void {
    tx.put(tables.conversationMails, this.history.keys.message(tx, account, id), encode(renderingCodec, row))
  }

  /** Message-ID, without angle brackets, of the own mail that said it; `undefined` where mail programs know it by its own. */
  sentAs(tx: ReadTx, account: Identity, id: MessageId): string | undefined {
    const value = tx.get(tables.conversationSentAs, this.history.keys.message(tx, account, id))
    return value === undefined ? undefined : decode(sentAsCodec, value)
  }

  setSentAs(tx: WriteTx, account: Identity, id: MessageId, messageId: string): void {
    tx.put(tables.conversationSentAs, this.history.keys.message(tx, account, id), encode(sentAsCodec, messageId))
  }

  /** A slice of all of them, from the beginning or from where the slice before ended. */
  renderings(
    tx: ReadTx,
    account: Identity,
    from: Uint8Array | undefined,
  ): {
    readonly renderings: readonly (RenderingRow & { readonly id: MessageId })[]
    readonly next: Uint8Array | undefined
  } {
    const prefix = this.history.keys.account(tx, account)
    const limit = limits.replicaSliceRows
    const rows = [...tx.range(tables.conversationMails, { prefix, from: from ?? prefix, limit })]
    const last = rows.at(-1)
    return {
      renderings: rows.map(({ key, value }) => ({ id: idAtEnd(key), ...decode(renderingCodec, value) })),
      next: rows.length < limit || last === undefined ? undefined : concat(last.key, Uint8Array.of(0)),
    }
  }

  /** Ids of messages by number, both ends included. */
  numbered(
    tx: ReadTx,
    account: Identity,
    id: ConversationId,
    { from, to }: { readonly from: number; readonly to: number },
  ): readonly MessageId[] {
    const { keys } = this.history
    const range = { from: keys.numbered(tx, account, id, from), to: keys.numbered(tx, account, id, to + 1) }
    const prefix = keys.conversation(tx, account, id)
    return [...tx.range(tables.conversationNumbers, { prefix, ...range })].map(
      ({ value }) => Buffer.from(value).toString('hex') as MessageId,
    )
  }

  /** The mailbox of a conversation, wherever its person has moved it; it may be gone. */
  folder(tx: ReadTx, account: Identity, id: ConversationId): MailboxId | undefined {
    const value = tx.get(tables.conversationFolders, this.history.keys.conversation(tx, account, id))
    return value === undefined ? undefined : decode(folderCodec, value)
  }

  /** Of every conversation that has one. */
  folders(tx: ReadTx, account: Identity): ReadonlySet<MailboxId> {
    const prefix = this.history.keys.account(tx, account)
    return new Set([...tx.range(tables.conversationFolders, { prefix })].map(({ value }) => decode(folderCodec, value)))
  }

  setFolder(tx: WriteTx, account: Identity, id: ConversationId, mailbox: MailboxId): void {
    tx.put(tables.conversationFolders, this.history.keys.conversation(tx, account, id), encode(folderCodec, mailbox))
  }

  /** Everything of an account that is going. */
  removeAccount(tx: WriteTx, account: Identity): void {
    const prefix = this.history.keys.account(tx, account)
    for (const table of accountTables) {
      const keys = [...tx.keys(table, { prefix })]
      for (const key of keys) tx.remove(table, key)
    }
  }
}

const accountTables = [
  tables.conversations,
  tables.conversationMessages,
  tables.conversationNumbers,
  tables.conversationRanks,
  tables.conversationWaiting,
  tables.conversationAbout,
  tables.conversationFeed,
  tables.conversationMarks,
  tables.conversationMails,
  tables.conversationSentAs,
  tables.conversationSettings,
  tables.conversationFolders,
  tables.xmppIds,
  tables.xmppSaid,
  tables.xmppProgress,
  tables.xmppRoomsTold,
]

/**
 * Messages become history, in the caller's transaction: each is shown after all that it cites, once, and gets the next
 * number of its account. What cites something that is not here waits for it. Who may say what is settled before
 * (delivery); what an edit, a reaction or a redaction means is told when it is read (view.ts).
 */
import type { Clock } from '../ambient.ts'
import { decode, encode, u64 } from '../codec.ts'
import { MyceliumError } from '../errors.ts'
import type { ContentId, ConversationId, Identity, MessageId } from '../ids.ts'
import { limits } from '../limits.ts'
import { conversationOf } from '../message/conversation.ts'
import { decodeMessage, encodeMessage, type Message } from '../message/message.ts'
import type { Part } from '../message/part.ts'
import type { ReadTx, WriteTx } from '../store/store.ts'
import { tables } from '../store/tables.ts'
import { Feed, type FeedListener } from './feed.ts'
import { Missing } from './missing.ts'
import { byRank, rankOf } from './rank.ts'
import {
  conversationCodec,
  ConversationKeys,
  type ConversationRow,
  type FeedEvent,
  type MessageRow,
  messageCodec,
  type Partner,
} from './rows.ts'

/** A message whose author is known to be its author, and who may write here. */
export interface Arriving {
  readonly id: MessageId
  readonly encoded: Uint8Array
  readonly message: Message
}

export type Taken =
  | { readonly kind: 'shown' }
  /** These are missing; they are asked for when they do not come by themselves. */
  | { readonly kind: 'waiting'; readonly for: readonly MessageId[] }
  | { readonly kind: 'duplicate' }
  /** Dated so far ahead that it would push everything after it. */
  | { readonly kind: 'refused'; readonly reason: 'clock-off' | 'malformed' }

/** What is said about an earlier message. */
export type About = Extract<Part, { readonly kind: 'edit' | 'reaction' | 'redaction' }>

export const aboutOf = ({ parts }: Message): About | undefined =>
  parts.find((part): part is About => part.kind === 'edit' || part.kind === 'reaction' || part.kind === 'redaction')

export const hasBody = ({ parts }: Message): boolean =>
  parts.some(({ kind }) => kind === 'text' || kind === 'file' || kind === 'call' || kind === 'mail')

/** Whether what `message` says about another one of `targetAuthor` counts. */
export type Judge = (tx: ReadTx, account: Identity, message: Message, targetAuthor: Identity) => boolean

/** Somebody's own words are theirs; anybody reacts to anything. */
export const onlyOwn: Judge = (_tx, _account, message, targetAuthor) =>
  aboutOf(message)?.kind === 'reaction' || message.author === targetAuthor

export interface HistoryEvents {
  /** In the transaction: a message has got its number. */
  readonly onShown?: (tx: WriteTx, account: Identity, row: MessageRow, arriving: Arriving) => void
  /** In the transaction: a message looks different, though nobody has said anything about it. */
  readonly onChanged?: (tx: WriteTx, account: Identity, id: MessageId) => void
  /** After the commit. */
  readonly onFeed?: FeedListener
}

const raw = (hex: string): Uint8Array => Buffer.from(hex, 'hex')
const nothing = new Uint8Array()

export class History {
  readonly keys = new ConversationKeys()
  /** The order in which this gateway has come to show things. */
  readonly feed: Feed
  /** What waits, and for what. */
  readonly missing: Missing
  readonly #clock: Clock
  readonly #judge: Judge
  readonly #events: HistoryEvents

  constructor(parts: { readonly clock: Clock; readonly judge: Judge; readonly events: HistoryEvents }) {
    this.#clock = parts.clock
    this.#judge = parts.judge
    this.#events = parts.events
    this.feed = new Feed({ keys: this.keys, onFeed: parts.events.onFeed })
    this.missing = new Missing({ keys: this.keys, message: (...of) => this.message(...of) })
  }

  message(tx: ReadTx, account: Identity, id: MessageId): MessageRow | undefined {
    const value = tx.get(tables.conversationMessages, this.keys.message(tx, account, id))
    return value === undefined ? undefined : decode(messageCodec, value)
  }

  conversation(tx: ReadTx, account: Identity, id: ConversationId): ConversationRow | undefined {
    const value = tx.get(tables.conversations, this.keys.conversation(tx, account, id))
    return value === undefined ? undefined : decode(conversationCodec, value)
  }

  /** As it is, or empty. */
  begin(tx: ReadTx, account: Identity, id: ConversationId, partner: Partner): ConversationRow {
    const nowMs = this.#clock.nowMs()
    return (
      this.conversation(tx, account, id) ?? {
        id,
        partner,
        heads: [],
        shown: 0,
        unread: 0,
        readTo: 0,
        waiting: 0,
        createdAtMs: nowMs,
        lastAtMs: nowMs,
      }
    )
  }

  put(tx: WriteTx, account: Identity, row: ConversationRow): void {
    const key = this.keys.conversation(tx, account, row.id)
    tx.put(tables.conversations, key, encode(conversationCodec, { version: 1, ...row }))
  }

  /** What a new message of this account cites: the latest heads, and their ranks. */
  citable(
    tx: ReadTx,
    account: Identity,
    row: ConversationRow,
  ): { readonly heads: readonly MessageId[]; readonly ranks: readonly number[] } {
    const ranked = row.heads.map((id) => ({ id, rank: this.message(tx, account, id)?.rank ?? 0 })).sort(byRank)
    const latest = ranked.slice(-limits.messageParentsMax)
    return { heads: latest.map(({ id }) => id), ranks: latest.map(({ rank }) => rank) }
  }

  /** @param partner of the conversation that it belongs to, which `arriving.message.place` names */
  take(tx: WriteTx, account: Identity, partner: Partner, arriving: Arriving): Taken {
    const { id, message } = arriving
    if (message.place === undefined || message.parents.includes(id)) return { kind: 'refused', reason: 'malformed' }
    const known = this.message(tx, account, id)
    if (known !== undefined && known.state !== 'absent') return { kind: 'duplicate' }
    const nowMs = this.#clock.nowMs()
    if (message.sentAtMs > nowMs + limits.clockSkewMs) return { kind: 'refused', reason: 'clock-off' }
    const row = this.begin(tx, account, conversationOf(message.author, message.place), partner)
    const missing = this.#missing(tx, account, row.id, message)
    if (missing.length > 0 && row.waiting < limits.conversationWaitingMax) {
      this.#wait(tx, account, row, arriving, missing)
      return { kind: 'waiting', for: missing }
    }
    this.#showAll(tx, account, row, [arriving])
    return { kind: 'shown' }
  }

  /**
   * Nobody will bring this any more: what waits for it in this conversation is shown.
   * @param rank where it stands, of what lies before all that this account may see; others may cite it from now on
   */
  giveUp(tx: WriteTx, account: Identity, id: MessageId, conversation: ConversationId, rank?: number): void {
    const known = this.message(tx, account, id)
    if (known?.conversation === conversation) return
    if (rank === undefined && !this.missing.isMissed(tx, account, id, conversation)) return
    const absent: MessageRow = {
      state: 'absent',
      conversation,
      number: 0,
      rank: rank ?? 0,
      receivedAtMs: this.#clock.nowMs(),
      hasGap: false,
      encoded: nothing,
      file: undefined,
      fate: 'open',
    }
    if (known === undefined) this.#putMessage(tx, account, id, absent)
    const row = this.conversation(tx, account, conversation)
    if (row !== undefined) this.#showAll(tx, account, row, [], [id])
  }

  /** All conversations of an account, in no order. */
  *conversations(tx: ReadTx, account: Identity): Generator<ConversationRow> {
    for (const { value } of tx.range(tables.conversations, { prefix: this.keys.account(tx, account) }))
      yield decode(conversationCodec, value)
  }

  /** The last `limit` messages that have a number, oldest first, with their ids. */
  latest(
    tx: ReadTx,
    account: Identity,
    conversation: ConversationId,
    limit: number,
  ): readonly { readonly id: MessageId; readonly row: MessageRow }[] {
    const prefix = this.keys.conversation(tx, account, conversation)
    return [...tx.range(tables.conversationNumbers, { prefix, reverse: true, limit })]
      .toReversed()
      .flatMap(({ value }) => {
        const id = Buffer.from(value).toString('hex') as MessageId
        const row = this.message(tx, account, id)
        return row === undefined ? [] : [{ id, row }]
      })
  }

  /** Ids of what was said about a message, in the order in which it came. */
  about(tx: ReadTx, account: Identity, target: MessageId): readonly MessageId[] {
    const prefix = this.keys.about(tx, account, target, undefined)
    return [...tx.range(tables.conversationAbout, { prefix })].map(
      ({ value }) => Buffer.from(value).toString('hex') as MessageId,
    )
  }

  /** What has become of an own message at its recipient. */
  setFate(tx: WriteTx, account: Identity, id: MessageId, to: Identity, fate: 'delivered' | 'failed'): void {
    const row = this.message(tx, account, id)
    if (row?.state !== 'shown') return
    const isDirect = this.conversation(tx, account, row.conversation)?.partner.kind === 'direct'
    // a group's message has as many fates as members: only what went wrong is told
    if (isDirect) {
      this.#putMessage(tx, account, id, { ...row, fate })
      if (fate === 'failed') this.#events.onChanged?.(tx, account, id)
    }
    if (isDirect || fate === 'failed') this.feed.step(tx, account, row.conversation, { kind: fate, message: id, to })
  }

  /**
   * A message counts no more, as a removal that is known only now cuts it off: it keeps its place for those that cite it,
   * and is shown no more. The account's own stays, as one that nobody took.
   */
  strike(tx: WriteTx, account: Identity, id: MessageId): void {
    const row = this.message(tx, account, id)
    if (row === undefined || row.encoded.length === 0) return
    const message = decodeMessage(row.encoded)
    if (row.state === 'waiting') return this.#dropWaiting(tx, account, id, row)
    if (row.state !== 'shown') return
    if (message.author === account && hasBody(message)) {
      if (row.fate === 'failed') return
      this.#putMessage(tx, account, id, { ...row, fate: 'failed' })
      this.#events.onChanged?.(tx, account, id)
      this.feed.step(tx, account, row.conversation, { kind: 'failed', message: id, to: account })
      return
    }
    this.#putMessage(tx, account, id, { ...row, state: 'quiet' })
    tx.remove(tables.conversationNumbers, this.keys.numbered(tx, account, row.conversation, row.number))
    const about = aboutOf(message)
    if (about === undefined) {
      tx.remove(tables.conversationRanks, this.keys.ranked(tx, account, row.conversation, { rank: row.rank, id }))
      this.#uncount(tx, account, row)
      this.feed.step(tx, account, row.conversation, { kind: 'struck', message: id })
    } else {
      tx.remove(tables.conversationAbout, this.keys.about(tx, account, about.target, row.number))
      this.feed.step(tx, account, row.conversation, { kind: 'about', message: id, target: about.target })
    }
    this.#unhead(tx, account, row.conversation, id, message)
    this.#events.onChanged?.(tx, account, about?.target ?? id)
  }

  #dropWaiting(tx: WriteTx, account: Identity, id: MessageId, { conversation, ...row }: MessageRow): void {
    this.missing.waitNoMore(tx, account, id, decodeMessage(row.encoded).parents)
    this.#putMessage(tx, account, id, { ...row, conversation, state: 'absent', encoded: nothing })
    const begun = this.conversation(tx, account, conversation)
    if (begun !== undefined) this.#showAll(tx, account, { ...begun, waiting: Math.max(0, begun.waiting - 1) }, [], [id])
  }

  #uncount(tx: WriteTx, account: Identity, { conversation, number }: MessageRow): void {
    const row = this.conversation(tx, account, conversation)
    if (row === undefined) return
    const isUnread = number > row.readTo
    this.put(tx, account, { ...row, shown: row.shown - 1, unread: Math.max(0, row.unread - (isUnread ? 1 : 0)) })
  }

  /** Nobody who refuses it is made to ask for it: what it cited is cited instead. */
  #unhead(tx: WriteTx, account: Identity, conversation: ConversationId, id: MessageId, { parents }: Message): void {
    const row = this.conversation(tx, account, conversation)
    if (row?.heads.includes(id) !== true) return
    const others = row.heads.filter((head) => head !== id)
    const heads = [...new Set([...parents.filter((one) => this.message(tx, account, one) !== undefined), ...others])]
    this.put(tx, account, { ...row, heads: heads.slice(-limits.conversationHeadsMax) })
  }

  /** Shown messages and what was said about them, latest number first. */
  *backwards(
    tx: ReadTx,
    account: Identity,
    conversation: ConversationId,
    limit: number,
  ): Generator<{ readonly id: MessageId; readonly row: MessageRow }> {
    const prefix = this.keys.conversation(tx, account, conversation)
    for (const { value } of tx.range(tables.conversationNumbers, { prefix, reverse: true, limit })) {
      const id = Buffer.from(value).toString('hex') as MessageId
      const row = this.message(tx, account, id)
      if (row !== undefined) yield { id, row }
    }
  }

  /** The content of its file is here. */
  setFile(tx: WriteTx, account: Identity, id: MessageId, file: ContentId): void {
    const row = this.message(tx, account, id)
    if (row === undefined || row.encoded.length === 0) throw new MyceliumError('no-such-message')
    this.#putMessage(tx, account, id, { ...row, file })
    this.#events.onChanged?.(tx, account, id)
    this.feed.step(tx, account, row.conversation, { kind: 'file', message: id })
  }

  #missing(tx: ReadTx, account: Identity, conversation: ConversationId, { parents }: Message): readonly MessageId[] {
    return [...new Set(parents)].filter((parent) => {
      const row = this.message(tx, account, parent)
      return row === undefined || (row.state === 'waiting' && row.conversation === conversation)
    })
  }

  /** What is cited and has its place in the conversation; nobody in one says anything of what lies in another. */
  #cited(tx: ReadTx, account: Identity, conversation: ConversationId, { parents }: Message): readonly MessageRow[] {
    return [...new Set(parents)].flatMap((parent) => {
      const row = this.message(tx, account, parent)
      return row === undefined || row.conversation !== conversation || row.state === 'waiting' ? [] : [row]
    })
  }

  #wait(
    tx: WriteTx,
    account: Identity,
    row: ConversationRow,
    { id, encoded }: Arriving,
    missing: readonly MessageId[],
  ): void {
    const nowMs = this.#clock.nowMs()
    this.#putMessage(tx, account, id, {
      state: 'waiting',
      conversation: row.id,
      number: 0,
      rank: 0,
      receivedAtMs: nowMs,
      hasGap: false,
      encoded,
      file: undefined,
      fate: 'open',
    })
    this.missing.wait(tx, account, id, { for: missing, sinceMs: nowMs })
    this.put(tx, account, { ...row, waiting: row.waiting + 1 })
  }

  /** Shows these and whatever waited for them or for `settled`, each after what it cites. */
  #showAll(
    tx: WriteTx,
    account: Identity,
    begun: ConversationRow,
    ready: readonly Arriving[],
    settled: readonly MessageId[] = [],
  ): void {
    let row = begun
    const queue = [...ready]
    const here = [...settled]
    for (;;) {
      for (let id = here.shift(); id !== undefined; id = here.shift())
        for (const child of this.#released(tx, account, row.id, id)) {
          row = { ...row, waiting: Math.max(0, row.waiting - 1) }
          queue.push(child)
        }
      const next = queue.shift()
      if (next === undefined) break
      row = this.#show(tx, account, row, next)
      here.push(next.id)
    }
    this.put(tx, account, row)
  }

  /** Those of a conversation that waited for this one and now for nothing more. */
  #released(tx: WriteTx, account: Identity, conversation: ConversationId, parent: MessageId): readonly Arriving[] {
    const released: Arriving[] = []
    for (const { id, row } of this.missing.waitingFor(tx, account, parent)) {
      if (row.conversation !== conversation) continue
      this.missing.waitNoMore(tx, account, id, [parent])
      if (row.state !== 'waiting') continue
      const message = decodeMessage(row.encoded)
      if (this.#missing(tx, account, conversation, message).length > 0) continue
      released.push({ id, encoded: row.encoded, message })
    }
    return released
  }

  #show(tx: WriteTx, account: Identity, row: ConversationRow, arriving: Arriving): ConversationRow {
    const { id, message, encoded } = arriving
    const cited = this.#cited(tx, account, row.id, message)
    const rank = rankOf(
      message.sentAtMs,
      cited.map((one) => one.rank),
    )
    // what lay before all that this account may see has its rank, and is not missed
    const notMissed = cited.filter((one) => one.state !== 'absent' || one.rank > 0)
    const hasGap = notMissed.length < new Set(message.parents).size
    const event = this.#eventOf(tx, account, row.id, id, message)
    const nowMs = this.#clock.nowMs()
    const number = event === undefined ? 0 : this.feed.step(tx, account, row.id, event)
    const shown: MessageRow = {
      state: event === undefined ? 'quiet' : 'shown',
      conversation: row.id,
      number,
      rank,
      receivedAtMs: nowMs,
      hasGap,
      encoded,
      file: undefined,
      fate: 'open',
    }
    this.#putMessage(tx, account, id, shown)
    if (number > 0) tx.put(tables.conversationNumbers, this.keys.numbered(tx, account, row.id, number), raw(id))
    const isBody = event?.kind === 'message'
    if (isBody)
      tx.put(tables.conversationRanks, this.keys.ranked(tx, account, row.id, { rank, id }), encode(u64, number))
    if (event?.kind === 'about')
      tx.put(tables.conversationAbout, this.keys.about(tx, account, event.target, number), raw(id))
    if (event?.kind === 'about' && this.#isTakenBack(tx, account, event.target)) this.#strip(tx, account, event.target)
    this.#events.onShown?.(tx, account, shown, arriving)
    const isOthers = isBody && message.author !== account
    return {
      ...row,
      heads: [...row.heads.filter((head) => !message.parents.includes(head)), id].slice(-limits.conversationHeadsMax),
      shown: row.shown + (isBody ? 1 : 0),
      unread: row.unread + (isOthers ? 1 : 0),
      lastAtMs: isBody ? Math.max(row.lastAtMs, nowMs) : row.lastAtMs,
    }
  }

  /** `undefined` when there is nothing to show: it says something about a message that it has no right to, or that is not here. */
  #eventOf(
    tx: ReadTx,
    account: Identity,
    conversation: ConversationId,
    id: MessageId,
    message: Message,
  ): FeedEvent | undefined {
    const about = aboutOf(message)
    if (about === undefined) return hasBody(message) ? { kind: 'message', message: id } : undefined
    const target = this.message(tx, account, about.target)
    if (target?.state !== 'shown' || target.conversation !== conversation || target.encoded.length === 0)
      return undefined
    const { author } = decodeMessage(target.encoded)
    if (!this.#judge(tx, account, message, author)) return undefined
    return { kind: 'about', message: id, target: about.target }
  }

  #isTakenBack(tx: ReadTx, account: Identity, target: MessageId): boolean {
    return this.about(tx, account, target).some((id) => {
      const row = this.message(tx, account, id)
      return row !== undefined && aboutOf(decodeMessage(row.encoded))?.kind === 'redaction'
    })
  }

  /** What it said goes, and what it was edited to; that it was, whose it was and who reacted stays. */
  #strip(tx: WriteTx, account: Identity, target: MessageId): void {
    for (const id of [target, ...this.about(tx, account, target)]) {
      const row = this.message(tx, account, id)
      if (row === undefined) continue
      const message = decodeMessage(row.encoded)
      const kept = message.parts.filter(({ kind }) => kind === 'reaction' || kind === 'redaction')
      if (kept.length === message.parts.length) continue
      this.#putMessage(tx, account, id, {
        ...row,
        encoded: encodeMessage({ ...message, parts: kept }),
        file: undefined,
      })
    }
  }

  #putMessage(tx: WriteTx, account: Identity, id: MessageId, row: MessageRow): void {
    tx.put(
      tables.conversationMessages,
      this.keys.message(tx, account, id),
      encode(messageCodec, { version: 1, ...row }),
    )
  }
}

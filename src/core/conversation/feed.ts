/**
 * The order in which a gateway has come to show things to an account: numbered steps, over all conversations, that stay as
 * they were given. Messages of a conversation keep their numbers of it.
 */
import { decode, encode } from '../codec.ts'
import type { ConversationId, Identity, MessageId } from '../ids.ts'
import type { ReadTx, WriteTx } from '../store/store.ts'
import { tables } from '../store/tables.ts'
import { type ConversationKeys, type FeedEvent, feedCodec, numberOf } from './rows.ts'

/** Numbers in the order of arrival. */
export interface Span {
  readonly from: number
  /** That one is not in it. */
  readonly to: number
  /** Latest first. */
  readonly reverse?: boolean
}

/** After the commit. */
export type FeedListener = (account: Identity, number: number, conversation: ConversationId, event: FeedEvent) => void

export class Feed {
  readonly #keys: ConversationKeys
  readonly #onFeed: FeedListener | undefined
  /** Last numbers that a transaction has given: looking for them costs more than the step. */
  readonly #numbers = new WeakMap<WriteTx, Map<Identity, number>>()

  constructor({ keys, onFeed }: { readonly keys: ConversationKeys; readonly onFeed: FeedListener | undefined }) {
    this.#keys = keys
    this.#onFeed = onFeed
  }

  /** One step in the account's order. @returns its number */
  step(tx: WriteTx, account: Identity, conversation: ConversationId, event: FeedEvent): number {
    const numbers = this.#numbers.get(tx) ?? new Map<Identity, number>()
    this.#numbers.set(tx, numbers)
    const number = (numbers.get(account) ?? this.lastNumber(tx, account)) + 1
    numbers.set(account, number)
    tx.put(
      tables.conversationFeed,
      this.#keys.feed(tx, account, number),
      encode(feedCodec, { version: 1, conversation, event }),
    )
    tx.afterCommit(() => this.#onFeed?.(account, number, conversation, event))
    return number
  }

  lastNumber(tx: ReadTx, account: Identity): number {
    const prefix = this.#keys.account(tx, account)
    for (const key of tx.keys(tables.conversationFeed, { prefix, reverse: true, limit: 1 })) return numberOf(key)
    return 0
  }

  /** Steps from a number on and before another one. */
  *steps(
    tx: ReadTx,
    account: Identity,
    { from, to, reverse = false }: Span,
  ): Generator<{ readonly number: number; readonly conversation: ConversationId; readonly event: FeedEvent }> {
    const bounds = { from: this.#keys.feed(tx, account, from), to: this.#keys.feed(tx, account, to) }
    const prefix = this.#keys.account(tx, account)
    for (const { key, value } of tx.range(tables.conversationFeed, { prefix, ...bounds, reverse })) {
      const { conversation, event } = decode(feedCodec, value)
      yield { number: numberOf(key), conversation, event }
    }
  }

  /** Ids of messages of a conversation, edits and the like too, from a number on and before another one. */
  *numbers(
    tx: ReadTx,
    account: Identity,
    conversation: ConversationId,
    { from, to, reverse = false }: Span,
  ): Generator<{ readonly number: number; readonly id: MessageId }> {
    const bounds = {
      from: this.#keys.numbered(tx, account, conversation, from),
      to: this.#keys.numbered(tx, account, conversation, to),
    }
    const prefix = this.#keys.conversation(tx, account, conversation)
    for (const { key, value } of tx.range(tables.conversationNumbers, { prefix, ...bounds, reverse }))
      yield { number: numberOf(key), id: Buffer.from(value).toString('hex') as MessageId }
  }

  /** How many `numbers` gives. */
  countNumbers(tx: ReadTx, account: Identity, conversation: ConversationId, { from, to }: Span): number {
    const bounds = {
      from: this.#keys.numbered(tx, account, conversation, from),
      to: this.#keys.numbered(tx, account, conversation, to),
    }
    let count = 0
    for (const _ of tx.keys(tables.conversationNumbers, {
      prefix: this.#keys.conversation(tx, account, conversation),
      ...bounds,
    }))
      count += 1
    return count
  }
}

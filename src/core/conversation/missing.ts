/** Messages that are here and wait for others that they cite and that are not: who waits for what, and since when. */
import { decode, encode, u64 } from '../codec.ts'
import type { ConversationId, Identity, MessageId } from '../ids.ts'
import { decodeMessage } from '../message/message.ts'
import type { ReadTx, WriteTx } from '../store/store.ts'
import { tables } from '../store/tables.ts'
import { type ConversationKeys, idAtEnd, type MessageRow } from './rows.ts'

interface MissingParts {
  readonly keys: ConversationKeys
  readonly message: (tx: ReadTx, account: Identity, id: MessageId) => MessageRow | undefined
}

export class Missing {
  readonly #parts: MissingParts

  constructor(parts: MissingParts) {
    this.#parts = parts
  }

  wait(
    tx: WriteTx,
    account: Identity,
    id: MessageId,
    { for: missing, sinceMs }: { readonly for: readonly MessageId[]; readonly sinceMs: number },
  ): void {
    for (const parent of missing)
      tx.put(tables.conversationWaiting, this.#parts.keys.waiting(tx, account, parent, id), encode(u64, sinceMs))
  }

  waitNoMore(tx: WriteTx, account: Identity, id: MessageId, parents: readonly MessageId[]): void {
    for (const parent of parents)
      tx.remove(tables.conversationWaiting, this.#parts.keys.waiting(tx, account, parent, id))
  }

  /** Those that wait for this one. */
  waitingFor(
    tx: ReadTx,
    account: Identity,
    parent: MessageId,
  ): readonly { readonly id: MessageId; readonly row: MessageRow }[] {
    const { keys, message } = this.#parts
    const prefix = keys.waiting(tx, account, parent, undefined)
    return [...tx.keys(tables.conversationWaiting, { prefix })].map(idAtEnd).flatMap((id) => {
      const row = message(tx, account, id)
      return row === undefined ? [] : [{ id, row }]
    })
  }

  /** Does a message of this conversation wait for it? */
  isMissed(tx: ReadTx, account: Identity, id: MessageId, conversation: ConversationId): boolean {
    return this.waitingFor(tx, account, id).some(({ row }) => row.conversation === conversation)
  }

  /** Does a message of this author wait for it? */
  isCitedBy(tx: ReadTx, account: Identity, id: MessageId, author: Identity): boolean {
    return this.waitingFor(tx, account, id).some(({ row }) => decodeMessage(row.encoded).author === author)
  }

  /** Messages of a conversation that wait. */
  waiting(tx: ReadTx, account: Identity, conversation: ConversationId): readonly MessageId[] {
    const { keys, message } = this.#parts
    const waiting = [...tx.keys(tables.conversationWaiting, { prefix: keys.account(tx, account) })]
    return [...new Set(waiting.map(idAtEnd))].filter((id) => message(tx, account, id)?.conversation === conversation)
  }

  /** Messages that are not here, for which others wait since before `beforeMs`. */
  since(
    tx: ReadTx,
    account: Identity,
    beforeMs: number,
    limit: number,
  ): readonly { readonly id: MessageId; readonly conversation: ConversationId; readonly citedBy: Identity }[] {
    const { keys, message } = this.#parts
    const found = new Map<MessageId, { id: MessageId; conversation: ConversationId; citedBy: Identity }>()
    for (const { key, value } of tx.range(tables.conversationWaiting, { prefix: keys.account(tx, account) })) {
      if (found.size >= limit) break
      if (decode(u64, value) > beforeMs) continue
      const id = Buffer.from(key.subarray(key.length - 64, key.length - 32)).toString('hex') as MessageId
      if (found.has(id)) continue
      const child = message(tx, account, idAtEnd(key))
      // one that waits itself is here
      const isHere = message(tx, account, id)?.conversation === child?.conversation
      if (child === undefined || isHere) continue
      found.set(id, { id, conversation: child.conversation, citedBy: decodeMessage(child.encoded).author })
    }
    return [...found.values()]
  }
}

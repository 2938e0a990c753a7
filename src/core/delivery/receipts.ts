/**
 * What was read here, told to those it may be told: a little later, so that a page of messages is one receipt; only where
 * the account wants it known, and in a group where its rules let members tell each other.
 */
import type { Ambient } from '../ambient.ts'
import type { Conversations } from '../conversation/conversations.ts'
import { byRank } from '../conversation/rank.ts'
import { hasCode, MyceliumError } from '../errors.ts'
import type { ConversationId, Identity, MessageId } from '../ids.ts'
import { limits } from '../limits.ts'
import type { Store, WriteTx } from '../store/store.ts'
import type { Chats } from './chats.ts'
import type { Groups } from './groups/groups.ts'
import { Soon } from './soon.ts'

interface ReceiptParts {
  readonly store: Store
  readonly conversations: Conversations
  readonly chats: Pick<Chats, 'tellRead'>
  readonly groups: Pick<Groups, 'tellRead'>
  readonly ambient: Ambient
}

export class Receipts implements Disposable {
  readonly #parts: ReceiptParts
  readonly #soon = new Soon()
  /**
   * What is to be told, by account and conversation. The account's own mark is not asked: it may be further on, where
   * nobody else is to know of it.
   */
  readonly #waiting = new Map<string, Set<MessageId>>()

  constructor(parts: ReceiptParts) {
    this.#parts = parts
  }

  /** The account has read up to there, and others may know. */
  read(account: Identity, conversation: ConversationId, upTo: MessageId): void {
    if (!this.#parts.conversations.settings(account).tellsRead) return
    const name = account + conversation
    this.#waiting.set(name, (this.#waiting.get(name) ?? new Set()).add(upTo))
    this.#soon.run(name, limits.receiptDelayMs, () => {
      const read = this.#waiting.get(name) ?? new Set()
      this.#waiting.delete(name)
      this.#parts.store
        .write((tx) => this.#tell(tx, account, conversation, read))
        .catch((error: unknown) => {
          if (hasCode(error, 'shutting-down')) return
          const code = error instanceof MyceliumError ? error.code : 'unexpected'
          this.#parts.ambient.log.error('task.failed', { task: 'receipts', code })
        })
    })
  }

  #tell(tx: WriteTx, account: Identity, conversation: ConversationId, read: ReadonlySet<MessageId>): void {
    const { conversations, chats, groups } = this.#parts
    const partner = conversations.history.conversation(tx, account, conversation)?.partner
    const upTo = [...read]
      .map((id) => ({ id, rank: conversations.history.message(tx, account, id)?.rank ?? 0 }))
      .sort(byRank)
      .at(-1)?.id
    if (partner === undefined || upTo === undefined || !conversations.settingsIn(tx, account).tellsRead) return
    if (partner.kind === 'direct') chats.tellRead(tx, account, partner.peer, upTo)
    else groups.tellRead(tx, account, partner.group, upTo)
  }

  [Symbol.dispose](): void {
    this.#soon[Symbol.dispose]()
  }
}

/**
 * What was read here, told to those it may be told: a little later, so that a page of messages is one receipt; only where
 * the account wants it known, and in a group where its rules let members tell each other.
 */
import type { Ambient } from '../ambient.ts'
import type { Conversations } from '../conversation/conversations.ts'
import { hasCode, MyceliumError } from '../errors.ts'
import type { ConversationId, Identity } from '../ids.ts'
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

  constructor(parts: ReceiptParts) {
    this.#parts = parts
  }

  /** The account's own mark in a conversation went on. */
  read(account: Identity, conversation: ConversationId): void {
    if (!this.#parts.conversations.settings(account).tellsRead) return
    this.#soon.run(account + conversation, limits.receiptDelayMs, () => {
      this.#parts.store
        .write((tx) => this.#tell(tx, account, conversation))
        .catch((error: unknown) => {
          if (hasCode(error, 'shutting-down')) return
          const code = error instanceof MyceliumError ? error.code : 'unexpected'
          this.#parts.ambient.log.error('task.failed', { task: 'receipts', code })
        })
    })
  }

  #tell(tx: WriteTx, account: Identity, conversation: ConversationId): void {
    const { conversations, chats, groups } = this.#parts
    const partner = conversations.history.conversation(tx, account, conversation)?.partner
    const mark = conversations.markOf(tx, account, conversation, account)
    if (partner === undefined || mark === undefined || !conversations.settingsIn(tx, account).tellsRead) return
    if (partner.kind === 'direct') chats.tellRead(tx, account, partner.peer, mark.upTo)
    else groups.tellRead(tx, account, partner.group, mark.upTo)
  }

  [Symbol.dispose](): void {
    this.#soon[Symbol.dispose]()
  }
}

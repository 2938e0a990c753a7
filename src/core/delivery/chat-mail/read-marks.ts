/**
 * What a person has read in a mail program is read in its conversation: up to the first message of others that no mail
 * program has seen. Told some moments after the flags, many at once; what a crash swallows is told with the next ones.
 */
import type { Conversations } from '../../conversation/conversations.ts'
import type { ConversationRow } from '../../conversation/rows.ts'
import type { Log } from '../../ambient.ts'
import { MyceliumError } from '../../errors.ts'
import type { ConversationId, Identity, MessageId } from '../../ids.ts'
import { limits } from '../../limits.ts'
import type { Change, Mailboxes } from '../../mailbox/mailbox.ts'
import type { Store } from '../../store/store.ts'

export interface ReadMarksParts {
  readonly store: Store
  readonly mailboxes: Mailboxes
  readonly conversations: Conversations
  readonly log: Log
  readonly markRead: (account: Identity, conversation: ConversationId, upTo: MessageId) => Promise<void>
}

export class ReadMarks implements AsyncDisposable {
  readonly #parts: ReadMarksParts
  readonly #watched = new Map<Identity, () => void>()
  readonly #timers = new Map<Identity, NodeJS.Timeout>()
  readonly #running = new Set<Promise<void>>()

  constructor(parts: ReadMarksParts) {
    this.#parts = parts
  }

  /** From now on, and for what was read before. */
  watch(account: Identity): void {
    if (this.#watched.has(account)) return
    this.#watched.set(
      account,
      this.#parts.mailboxes.watch(account, (change) => this.#changed(account, change)),
    )
    this.#soon(account)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const stop of this.#watched.values()) stop()
    for (const timer of this.#timers.values()) clearTimeout(timer)
    this.#timers.clear()
    await Promise.all(this.#running)
  }

  #changed(account: Identity, { event }: Change): void {
    if (event.kind === 'flags' || event.kind === 'expunged') this.#soon(account)
  }

  #soon(account: Identity): void {
    if (this.#timers.has(account)) return
    const timer = setTimeout(() => {
      this.#timers.delete(account)
      const work = this.#tell(account).catch((error: unknown) => {
        const code = error instanceof MyceliumError ? error.code : 'unexpected'
        if (code !== 'shutting-down') this.#parts.log.error('task.failed', { task: 'read-marks', code })
      })
      this.#running.add(work)
      void work.then(() => this.#running.delete(work))
    }, limits.chatReadMarksMs)
    timer.unref()
    this.#timers.set(account, timer)
  }

  async #tell(account: Identity): Promise<void> {
    for (const row of this.#parts.conversations.list(account)) {
      const upTo = row.unread === 0 ? undefined : this.#seenUpTo(account, row)
      if (upTo !== undefined) await this.#parts.markRead(account, row.id, upTo)
    }
  }

  /** The last one before the first that is unseen; one that its person moved or deleted has been looked at. */
  #seenUpTo(account: Identity, { id, readTo }: ConversationRow): MessageId | undefined {
    const { conversations, store } = this.#parts
    let upTo: MessageId | undefined
    for (let after = readTo; ;) {
      const page = conversations.archive(account, id, { after, limit: limits.chatReadMarksPage })
      for (const message of page) {
        const place = store.read((tx) => conversations.rendering(tx, account, message.id))
        if (place === undefined) continue
        if (message.author !== account && this.#isUnseen(account, place)) return upTo
        upTo = message.id
      }
      const last = page.at(-1)
      if (last === undefined) return upTo
      after = last.number
    }
  }

  #isUnseen(account: Identity, { mailbox, uid }: NonNullable<ReturnType<Conversations['rendering']>>): boolean {
    const { mailboxes } = this.#parts
    if (mailboxes.byId(account, mailbox) === undefined) return false
    const columns = mailboxes.columns(account, mailbox)
    const index = columns.indexOf(uid)
    return index >= 0 && !columns.flagsOf(columns.flagSetAt(index)).includes('\\Seen')
  }
}

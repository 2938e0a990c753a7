/** Which messages a mailbox held when an import began: by size first, and by content where sizes are equal. */
import { createHash } from 'node:crypto'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { hasCode } from '../core/errors.ts'
import type { ContentId, Identity, MailboxId, Uid } from '../core/ids.ts'
import type { Mailboxes } from '../core/mailbox/mailbox.ts'

const readPerTurn = 64

export class KnownCopies {
  readonly #mailboxes: Mailboxes
  readonly #account: Identity
  readonly #mailbox: MailboxId
  /** Those that nobody has asked about, by size; 100,000 take a few megabytes. */
  readonly #uids: Map<number, Uid[]>
  /** Copies not yet matched, by size and content. */
  readonly #counts = new Map<number, Map<string, number>>()

  constructor(mailboxes: Mailboxes, account: Identity, mailbox: MailboxId) {
    this.#mailboxes = mailboxes
    this.#account = account
    this.#mailbox = mailbox
    this.#uids = new Map()
    const columns = mailboxes.columns(account, mailbox)
    for (let index = 0; index < columns.count; index += 1) {
      const size = columns.sizeAt(index)
      const uids = this.#uids.get(size)
      if (uids === undefined) this.#uids.set(size, [columns.uidAt(index)])
      else uids.push(columns.uidAt(index))
    }
  }

  /** Takes one copy out of the count. @returns false when there is none left */
  async take(
    size: number,
    { digest, stored }: { readonly digest: string; readonly stored: ContentId | undefined },
  ): Promise<boolean> {
    const counts = await this.#countsOf(size)
    for (const name of [digest, stored]) {
      const count = name === undefined ? 0 : (counts.get(name) ?? 0)
      if (count === 0) continue
      counts.set(name!, count - 1)
      return true
    }
    return false
  }

  async #countsOf(size: number): Promise<Map<string, number>> {
    const known = this.#counts.get(size)
    if (known !== undefined) return known
    const counts = new Map<string, number>()
    const uids = this.#uids.get(size) ?? []
    for (const [turn, uid] of uids.entries()) {
      const name = this.#nameOf(uid)
      if (name !== undefined) counts.set(name, (counts.get(name) ?? 0) + 1)
      if (turn % readPerTurn === readPerTurn - 1) await nextTurn()
    }
    this.#uids.delete(size)
    this.#counts.set(size, counts)
    return counts
  }

  /** Equal blobs of an account have equal ids; what is in line is compared by its hash. */
  #nameOf(uid: Uid): string | undefined {
    const columns = this.#mailboxes.columns(this.#account, this.#mailbox)
    const index = columns.indexOf(uid)
    if (index < 0) return undefined
    const content = columns.contentAt(index)
    try {
      const bytes = this.#mailboxes.readInline(this.#account, content)
      return bytes === undefined ? content : createHash('sha256').update(bytes).digest('hex')
    } catch (error) {
      if (hasCode(error, 'no-such-message') || hasCode(error, 'store-corrupt')) return undefined
      throw error
    }
  }
}

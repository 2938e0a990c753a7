/** Which messages no session has seen yet (RFC 3501 §2.3.2 \Recent): kept while the gateway runs, shared by its sessions. */
import type { Identity, MailboxId } from '../../core/ids.ts'
import type { MailboxInfo } from '../../core/mailbox/mailbox.ts'

export class Recents {
  readonly #from = new Map<MailboxId, number>()
  readonly #known = new Set<Identity>()

  /** At an account's first login: what is there by then is not recent, in mailboxes made later everything is. */
  begin(account: Identity, mailboxes: readonly MailboxInfo[]): void {
    if (this.#known.has(account)) return
    this.#known.add(account)
    for (const { id, uidNext } of mailboxes) this.#from.set(id, uidNext)
  }

  /** First UID that is still recent. */
  from(mailbox: MailboxId): number {
    return this.#from.get(mailbox) ?? 1
  }

  claim(mailbox: MailboxId, uidNext: number): void {
    this.#from.set(mailbox, uidNext)
  }
}

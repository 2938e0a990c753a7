/** Which messages no session has seen yet (RFC 3501 §2.3.2 \Recent): kept while the gateway runs, shared by its sessions. */
import type { MailboxId } from '../../core/ids.ts'

export class Recents {
  readonly #from = new Map<MailboxId, number>()

  /** First UID that is still recent. What was there before the first look is not. */
  from(mailbox: MailboxId, uidNext: number): number {
    const known = this.#from.get(mailbox)
    if (known === undefined) this.#from.set(mailbox, uidNext)
    return known ?? uidNext
  }

  claim(mailbox: MailboxId, uidNext: number): void {
    this.#from.set(mailbox, uidNext)
  }
}

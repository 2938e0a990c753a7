/** What the IMAP server needs from the rest of the gateway. */
import type { Login, Logins } from '../../core/account/logins.ts'
import type { Ambient } from '../../core/ambient.ts'
import type { Identity, MailboxId, Uid } from '../../core/ids.ts'
import type { Annotations } from '../../core/mailbox/annotations.ts'
import type { Mailboxes, StoredContent } from '../../core/mailbox/mailbox.ts'
import type { TlsMaterial } from '../wire/tls.ts'
import type { Turns } from '../wire/turns.ts'
import type { Recents } from './recents.ts'
import type { FactsLibrary } from './sort/facts.ts'

export interface AppendMessage {
  readonly source: StoredContent
  readonly flags: readonly string[]
  /** Unix milliseconds. */
  readonly internalDateMs: number
}

export interface ImapServices {
  readonly logins: Logins
  readonly mailboxes: Mailboxes
  readonly annotations: Annotations
  /**
   * Appends all or none, durably. In Sent, a message takes the place of the gateway's own copy with its Message-ID.
   * @throws `no-such-mailbox`, `mailbox-full`, `disk-full`
   */
  append(
    account: Identity,
    mailbox: MailboxId,
    messages: readonly AppendMessage[],
    /** Goes in the same step. */
    replaced?: { readonly mailbox: MailboxId; readonly uid: Uid },
  ): Promise<readonly Uid[]>
  readonly tls: TlsMaterial
  /** Octets used and allowed; absent where there are no quotas. */
  quota?(account: Identity): { readonly usedBytes: number; readonly limitBytes: number | undefined }
  /** Largest message to APPEND, octets; `limits.mailBytesMax` where absent. */
  readonly messageBytesMax?: number
}

/** Shared by all connections of one server. */
export interface ServerContext {
  readonly services: ImapServices
  readonly ambient: Ambient
  readonly recents: Recents
  readonly turns: Turns
  readonly facts: FactsLibrary
  /** Counts a connection of the account; `undefined` when it has too many. */
  admit(login: Login): Disposable | undefined
}

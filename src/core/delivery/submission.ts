/** What a mail client hands over and what it is told: the seam between SMTP and the delivery path. */
import type { ErrorCode } from '../errors.ts'
import type { Address, Identity, MessageId } from '../ids.ts'
import type { ReversePath } from '../message/part.ts'

export type DsnNotify = 'never' | 'success' | 'failure' | 'delay'

export interface SubmissionRecipient {
  readonly address: Address
  /** RFC 3461 §4.1; undefined means the default: failure. */
  readonly notify?: readonly DsnNotify[]
  /** RFC 3461 §4.2, as given (`rfc822;bob@…`). */
  readonly originalRecipient?: string
}

export interface Submission {
  readonly from: ReversePath
  readonly recipients: readonly SubmissionRecipient[]
  /** RFC 3461 §4.3: full message or headers in a failure report. */
  readonly returned?: 'full' | 'headers'
  /** RFC 3461 §4.4 ENVID. */
  readonly envelopeId?: string
  /** RFC 4865: it leaves at this moment, Unix milliseconds, or at once when that has passed. */
  readonly holdUntilMs?: number
  /** CRLF lines, dot-unstuffed, exactly as the client sent them. */
  readonly body: AsyncIterable<Uint8Array>
}

export type RecipientVerdict =
  | { readonly kind: 'ok' }
  | {
      readonly kind: 'refused'
      readonly code: Extract<
        ErrorCode,
        | 'no-such-recipient'
        | 'identity-conflict'
        | 'key-changed'
        | 'blocked'
        | 'mailbox-full'
        | 'not-a-member'
        | 'not-permitted'
      >
    }

export interface Submitter {
  /** Is this one of the account's own addresses? */
  mayUse(account: Identity, address: Address): boolean
  recipient(account: Identity, address: Address): RecipientVerdict
  /**
   * Resolves after the message, its Sent copy and a reference for each recipient are durable in one transaction.
   * @throws `message-too-large`, `mailbox-full`, `no-such-recipient`, `not-your-address` (From field), `malformed`,
   *   `disk-full`, `not-a-member`, `not-permitted`; `not-held` for a group that is to get it later
   */
  submit(account: Identity, submission: Submission): Promise<{ readonly id: MessageId }>
}

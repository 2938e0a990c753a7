/**
 * Delivery status notifications (RFC 3461, RFC 3464) to accounts of this gateway: who is to hear of what, and with how
 * much of the mail. A report that returns a long mail whole is written in the background, from a durable row.
 */
import type { Ambient } from '../ambient.ts'
import type { Address, Identity } from '../ids.ts'
import { limits } from '../limits.ts'
import type { StoredContent } from '../mailbox/mailbox.ts'
import type { WriteTx } from '../store/store.ts'
import { deliveryStatus, type DsnAction, type ReturnedMail } from './compose.ts'
import type { Deliverer } from './deliver.ts'
import type { LongReports } from './long-reports.ts'
import type { Directory } from './needs.ts'
import type { DsnNotify } from './submission.ts'

/** A mail and one of its recipients, as its sender submitted them. */
export interface Reportable {
  /** The sender's. */
  readonly account: Identity
  /** The recipient's, as the sender wrote it. */
  readonly address: Address
  readonly notify: readonly DsnNotify[]
  readonly originalRecipient: string | undefined
  readonly envelopeId: string | undefined
  readonly returned: 'full' | 'headers'
  readonly submittedAtMs: number
  readonly mail:
    | { readonly kind: 'inline'; readonly bytes: Uint8Array }
    /** `head`: as much of its header section as a report can show. */
    | { readonly kind: 'stored'; readonly stored: StoredContent | undefined; readonly head: Uint8Array }
}

export interface Outcome {
  readonly action: DsnAction
  /** RFC 3463, e.g. 4.4.7. */
  readonly status: string
  readonly reason: string
  /** When it is given up, Unix milliseconds; of a delayed one. */
  readonly retriedUntilMs?: number
}

const notifyOf: Record<DsnAction, DsnNotify> = { failed: 'failure', delayed: 'delay', delivered: 'success' }

/** Does the sender want to hear of this? (RFC 3461 §4.1) */
export const isWanted = (notify: readonly DsnNotify[], action: DsnAction): boolean =>
  !notify.includes('never') && notify.includes(notifyOf[action])

interface ReportParts {
  readonly deliverer: Deliverer
  readonly directory: Directory
  readonly longReports: LongReports
  readonly ambient: Ambient
}

export class Reports {
  readonly #parts: ReportParts

  constructor(parts: ReportParts) {
    this.#parts = parts
  }

  /** Into the sender's INBOX with the caller's transaction, if they want to hear of it. */
  report(tx: WriteTx, about: Reportable, outcome: Outcome): void {
    if (!isWanted(about.notify, outcome.action)) return
    const { deliverer, longReports } = this.#parts
    const whole = outcome.action === 'failed' && about.returned === 'full'
    const short = this.#compose(about, outcome, shortForm(about, whole))
    const stored = whole && about.mail.kind === 'stored' ? about.mail.stored : undefined
    if (stored === undefined || stored.size > limits.reportReturnedBytesMax) {
      deliverer.deliverOwn(tx, about.account, short.bytes)
      return
    }
    const { before, after } = this.#compose(about, outcome, { kind: 'full', head: headOf(about), bytes: undefined })
    longReports.add(tx, { account: about.account, before, after, short: short.bytes, ...stored })
  }

  #compose({ account, ...about }: Reportable, outcome: Outcome, original: ReturnedMail) {
    const { clock, random } = this.#parts.ambient
    return deliveryStatus(
      { nowMs: clock.nowMs(), token: random.bytes(16) },
      {
        to: this.#parts.directory.primaryAddress(account),
        arrivedAtMs: about.submittedAtMs,
        envelopeId: about.envelopeId,
        recipient: { address: about.address, originalRecipient: about.originalRecipient, ...outcome },
        original,
      },
    )
  }
}

const headOf = ({ mail }: Reportable): Uint8Array => (mail.kind === 'stored' ? mail.head : reportedHead(mail.bytes))

/** The header section, or as much of it as a report has room for. */
export function reportedHead(mail: Uint8Array): Uint8Array {
  const bytes = mail.subarray(0, limits.messageInlineBytesMax)
  const end = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).indexOf('\r\n\r\n')
  return bytes.subarray(0, end < 0 ? bytes.length : end + 2)
}

function shortForm(about: Reportable, whole: boolean): ReturnedMail {
  const head = headOf(about)
  return whole && about.mail.kind === 'inline'
    ? { kind: 'full', head, bytes: about.mail.bytes }
    : { kind: 'headers', head, bytes: head }
}

export const deliveredHere: Outcome = {
  action: 'delivered',
  status: '2.0.0',
  reason: 'It is in the mailbox of the recipient.',
}

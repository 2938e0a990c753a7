/** Header fields of a message: from its summary where they are kept there, else from the message. */
import { concat } from '../../core/bytes.ts'
import { MyceliumError } from '../../core/errors.ts'
import type { MailboxId, Uid } from '../../core/ids.ts'
import { type HeaderField, parseHeaders } from '../../core/message/header.ts'
import { readContent } from './content.ts'
import type { FieldChoice } from './listed-fields.ts'
import type { Session } from './session.ts'
import { Summary } from './summary.ts'

/** At least the chosen fields; the promise ends with `no-such-message` when the message goes meanwhile. */
export function headerFields(
  session: Session,
  { mailbox, uid }: { readonly mailbox: MailboxId; readonly uid: Uid },
  choice: FieldChoice,
): readonly HeaderField[] | Promise<readonly HeaderField[]> {
  const summary = session.mailboxes.summaryNow(session.account, mailbox, uid)
  const listed = summary === undefined ? undefined : new Summary(summary).fields(choice)
  return listed === undefined ? wholeHeader(session, mailbox, uid, choice) : parseHeaders(concat(...listed)).fields
}

async function wholeHeader(
  session: Session,
  mailbox: MailboxId,
  uid: Uid,
  choice: FieldChoice,
): Promise<readonly HeaderField[]> {
  const { mailboxes, account } = session
  const summary = new Summary(await mailboxes.summary(account, mailbox, uid))
  const listed = summary.fields(choice)
  if (listed !== undefined) return parseHeaders(concat(...listed)).fields
  const columns = mailboxes.columns(account, mailbox)
  const index = columns.indexOf(uid)
  if (index < 0) throw new MyceliumError('no-such-message')
  const { bodyStart } = summary.part('')!
  return parseHeaders(await readContent(session, columns.contentAt(index), { from: 0, to: bodyStart })).fields
}

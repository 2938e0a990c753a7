/** Header fields of a message: from its summary where they are kept there, else from the message. */
import type { ContentId } from '../../core/ids.ts'
import { type HeaderField, parseHeaders } from '../../core/message/header.ts'
import { readContent } from './content.ts'
import type { Session } from './session.ts'
import { Summary } from './summary.ts'

/** Fields with at least the given names (lower case). @param content what was given out last by the mailbox's columns */
export function headerFields(
  session: Session,
  content: ContentId,
  names: readonly string[],
): readonly HeaderField[] | Promise<readonly HeaderField[]> {
  const summary = session.mailboxes.summaryNow(session.account, content)
  const listed = summary === undefined ? undefined : new Summary(summary).fields(names)
  return listed === undefined ? wholeHeader(session, content, names) : parseHeaders(listed).fields
}

async function wholeHeader(session: Session, content: ContentId, names: readonly string[]) {
  const summary = new Summary(await session.mailboxes.summary(session.account, content))
  const listed = summary.fields(names)
  if (listed !== undefined) return parseHeaders(listed).fields
  const { bodyStart } = summary.part('')!
  return parseHeaders(await readContent(session, content, { from: 0, to: bodyStart })).fields
}

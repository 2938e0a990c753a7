/** A message of the selected mailbox as the core's search sees it: listed header fields come from the summary. */
import type { Uid } from '../../core/ids.ts'
import type { SearchSubject } from '../../core/mailbox/search.ts'
import { parseHeaders } from '../../core/message/header.ts'
import { readContent } from './content.ts'
import type { Session } from './session.ts'
import { Summary } from './summary.ts'

/** `undefined` when the message is gone. */
export function searchSubject(session: Session, uid: Uid): SearchSubject | undefined {
  const columns = session.selected.columns()
  const { mailboxes, account } = session
  const index = columns.indexOf(uid)
  if (index < 0) return undefined
  const content = columns.contentAt(index)
  return {
    uid,
    content,
    get flags() {
      return columns.flagsOf(columns.flagSetAt(index))
    },
    get internalDateMs() {
      return columns.internalDateAt(index)
    },
    get savedMs() {
      return columns.savedAt(index)
    },
    get size() {
      return columns.sizeAt(index)
    },
    get modSeq() {
      return columns.modSeqAt(index)
    },
    header: (names) => {
      const bytes = mailboxes.summaryNow(account, content)
      const listed = bytes === undefined ? undefined : new Summary(bytes).fields(names)
      return listed === undefined ? wholeHeader(session, uid) : parseHeaders(listed).fields
    },
    message: () => mailboxes.readInline(account, content) ?? readContent(session, content),
  }
}

async function wholeHeader(session: Session, uid: Uid) {
  const { mailboxes, account } = session
  const columns = session.selected.columns()
  const index = columns.indexOf(uid)
  if (index < 0) return []
  const content = columns.contentAt(index)
  const summary = new Summary(await mailboxes.summary(account, content))
  const { bodyStart } = summary.part('')!
  return parseHeaders(await readContent(session, content, { from: 0, to: bodyStart })).fields
}

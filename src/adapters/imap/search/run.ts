/** Runs a search over one mailbox. */
import type { ModSeq, Uid } from '../../../core/ids.ts'
import type { SearchKey } from '../../../core/mailbox/search.ts'
import { Pace } from '../pace.ts'
import type { Session } from '../session.ts'
import type { SearchScope } from './scope.ts'

const portion = 4096 // ours: messages between two steps of progress

/** Those of `uids` that match, ascending. @throws `connection-closed` when the client has gone */
export async function runSearch(
  session: Session,
  { mailbox, uids }: Pick<SearchScope, 'mailbox' | 'uids'>,
  key: SearchKey,
): Promise<readonly Uid[]> {
  const { mailboxes, account } = session
  using pace = new Pace(session, uids.length)
  const found: Uid[] = []
  for (let from = 0; from < uids.length; from += portion) {
    const some = uids.slice(from, from + portion)
    for (const uid of await mailboxes.search(account, mailbox, some, key, { signal: pace.signal })) found.push(uid)
    pace.done += some.length
    if (pace.isDue) await pace.rest()
  }
  return found
}

/** The highest mod-sequence among messages; `undefined` when none of them is there. */
export function highestModSeq(
  session: Session,
  mailbox: SearchScope['mailbox'],
  uids: readonly Uid[],
): ModSeq | undefined {
  const columns = session.mailboxes.columns(session.account, mailbox)
  let highest = 0
  for (const uid of uids) {
    const index = columns.indexOf(uid)
    if (index >= 0) highest = Math.max(highest, columns.modSeqAt(index))
  }
  return highest === 0 ? undefined : (highest as ModSeq)
}

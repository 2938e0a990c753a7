/** EXPUNGE, and UID EXPUNGE of chosen messages (RFC 4315). */
import type { Uid } from '../../../core/ids.ts'
import type { Command } from '../command.ts'
import { no, ok, type Tagged } from '../responses.ts'
import type { Session } from '../session.ts'

async function remove(session: Session, uids: readonly Uid[]): Promise<Tagged> {
  const view = session.selected
  if (view.isReadOnly) return no('The mailbox is open for reading only', 'READ-ONLY')
  await session.mailboxes.expunge(session.account, view.mailbox, uids)
  view.touch('expunged')
  session.writeUpdates(true)
  return ok('Expunged', session.knowsModSeq ? `HIGHESTMODSEQ ${view.highestModSeq}` : undefined)
}

export const expunge: Command = {
  when: 'selected',
  async run(session, args) {
    args.end()
    // Only what this client knows of: others may have flagged messages that it has not been told about.
    return await remove(session, Array.from(session.selected.uids()) as Uid[])
  },
}

export const uidExpunge: Command = {
  when: 'selected',
  async run(session, args) {
    args.sp()
    const uids = session.resolve(args.set(), 'uid')
    args.end()
    return await remove(session, uids)
  },
}

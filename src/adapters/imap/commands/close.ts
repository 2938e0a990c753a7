/** CLOSE (RFC 9051 §6.4.1). */
import type { Uid } from '../../../core/ids.ts'
import type { Command } from '../command.ts'
import { ok } from '../responses.ts'

export const close: Command = {
  when: 'selected',
  async run(session, args) {
    args.end()
    const view = session.selected
    if (!view.isReadOnly) {
      const known = view.uids()
      await session.mailboxes.expunge(session.account, view.mailbox, Array.from(known) as Uid[])
    }
    view.close()
    session.view = undefined
    session.savedSearch = []
    return ok('Closed')
  },
}

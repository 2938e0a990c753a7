/** RENAME (RFC 9051 §6.3.6). */
import type { Command } from '../command.ts'
import { ok } from '../responses.ts'
import { refuseRequests } from '../on-name.ts'

export const rename: Command = {
  when: 'user',
  async run(session, args) {
    args.sp()
    const from = session.readMailbox(args)
    args.sp()
    const to = session.readMailbox(args)
    args.end()
    refuseRequests(from)
    await session.mailboxes.rename(session.account, from, to)
    return ok('Renamed')
  },
}

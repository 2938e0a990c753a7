/** NOTIFY (RFC 5465): the client says of which mailboxes it wants to hear what, without asking again. */
import { BadSyntax } from '../arguments.ts'
import type { Command } from '../command.ts'
import { readGroups } from '../notify/groups.ts'
import { Notify } from '../notify/notify.ts'
import { ok } from '../responses.ts'

export const notify: Command = {
  when: 'user',
  run(session, args) {
    args.sp()
    const verb = args.name()
    if (verb === 'NONE') {
      args.end()
      session.endNotify()
      return ok('Nothing more')
    }
    if (verb !== 'SET') throw new BadSyntax('Expected SET or NONE')
    args.sp()
    const wantsStatus = !args.isListNext()
    if (wantsStatus) {
      if (args.name() !== 'STATUS') throw new BadSyntax('Expected STATUS')
      args.sp()
    }
    const groups = readGroups(session, args)
    args.end()
    session.endNotify()
    session.notify = new Notify(session, groups)
    if (wantsStatus) session.notify.writeAllStatus()
    return ok('You will hear')
  },
}

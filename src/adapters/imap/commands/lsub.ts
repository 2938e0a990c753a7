/** LSUB (RFC 3501 §6.3.9). */
import type { Command } from '../command.ts'
import { matchesPattern } from '../list-pattern.ts'
import { ok } from '../responses.ts'
import { byMailboxName, parentsOf } from './list.ts'

export const lsub: Command = {
  when: 'user',
  run(session, args) {
    args.sp()
    const reference = args.astring()
    args.sp()
    const pattern = session.toMailboxPattern(reference + args.pattern())
    args.end()
    const subscribed = session.mailboxes.subscriptions(session.account)
    const matched = subscribed.filter((name) => matchesPattern(pattern, name))
    // RFC 3501 §6.3.9: with `%`, a parent of a subscribed name is listed, as not selectable.
    const implied = [...parentsOf(subscribed).keys()].filter(
      (name) => pattern.endsWith('%') && !subscribed.includes(name) && matchesPattern(pattern, name),
    )
    for (const name of [...matched, ...implied].toSorted(byMailboxName)) {
      const attributes = subscribed.includes(name) ? '' : '\\Noselect'
      session.out.line(`* LSUB (${attributes}) "/" ${session.writeMailbox(name)}`)
    }
    return ok('Listed')
  },
}

/** STATUS, also as part of LIST (RFC 5819): answered from running counters. */
import { limits } from '../../../core/limits.ts'
import type { MailboxInfo } from '../../../core/mailbox/mailbox.ts'
import { type Arguments, BadSyntax } from '../arguments.ts'
import type { Command } from '../command.ts'
import { no, ok, Refusal } from '../responses.ts'
import type { Session } from '../session.ts'

const items: Readonly<Record<string, (info: MailboxInfo, session: Session) => string | number>> = {
  MESSAGES: (info) => info.messages,
  RECENT: (info, session) => recentIn(info, session),
  UIDNEXT: (info) => info.uidNext,
  UIDVALIDITY: (info) => info.uidValidity,
  UNSEEN: (info) => info.unseen,
  DELETED: (info) => info.deleted,
  'DELETED-STORAGE': deletedBytes,
  SIZE: (info) => info.size,
  HIGHESTMODSEQ: (info) => info.highestModSeq,
  MAILBOXID: (info) => `(${info.id})`,
  APPENDLIMIT: (_info, session) => session.context.services.messageBytesMax ?? limits.mailBytesMax,
}

/** RFC 9208 §5: octets that an expunge would free. */
function deletedBytes(info: MailboxInfo, { account, mailboxes }: Session): number {
  if (info.deleted === 0) return 0
  const columns = mailboxes.columns(account, info.id)
  let sum = 0
  for (let index = 0; index < columns.count; index += 1) {
    if (columns.flagsOf(columns.flagSetAt(index)).includes('\\Deleted')) sum += columns.sizeAt(index)
  }
  return sum
}

/** Messages above the mark may be gone again. */
const recentIn = (info: MailboxInfo, { context }: Session): number =>
  Math.min(info.messages, info.uidNext - context.recents.from(info.id))

export function readStatusItems(session: Session, args: Arguments): readonly string[] {
  return args.list(() => {
    const name = args.name()
    if (!Object.hasOwn(items, name)) throw new BadSyntax('Unknown status item')
    if (name === 'HIGHESTMODSEQ') session.enableModSeq()
    return name
  })
}

export function writeStatus(session: Session, info: MailboxInfo, names: readonly string[]): void {
  const values = names.map((name) => `${name} ${items[name]!(info, session)}`)
  session.out.line(`* STATUS ${session.writeMailbox(info.name)} (${values.join(' ')})`)
}

export const status: Command = {
  when: 'user',
  run(session, args) {
    args.sp()
    const name = session.readMailbox(args)
    args.sp()
    const names = readStatusItems(session, args)
    args.end()
    const info = session.mailboxes.byName(session.account, name)
    if (info === undefined) throw new Refusal(no('No such mailbox', 'NONEXISTENT'))
    writeStatus(session, info, names)
    return ok('Listed')
  },
}

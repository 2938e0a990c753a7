/** REPLACE and UID REPLACE (RFC 8508): a new message for an old one in one step, as programs save drafts. */
import type { Uid } from '../../../core/ids.ts'
import type { Arguments } from '../arguments.ts'
import { BadSyntax } from '../arguments.ts'
import type { LiteralMark } from '../decoder.ts'
import { bad, no, ok, Refusal, type Tagged } from '../responses.ts'
import type { Session } from '../session.ts'
import { readMessage, reading } from './append.ts'

export async function replace(
  session: Session,
  args: Arguments,
  mark: LiteralMark | undefined,
  kind: 'uid' | 'seq',
): Promise<Tagged> {
  return await reading(session, args, mark, async (reader) => {
    if (session.view === undefined) throw new Refusal(bad('Select a mailbox first'))
    reader.args.sp()
    const old = readNumber(session, reader.args, kind)
    reader.args.sp()
    const name = session.toMailboxName(reader.args.astring())
    if (session.selected.isReadOnly) throw new Refusal(no('The mailbox is open for reading only', 'READ-ONLY'))
    const columns = session.selected.columns()
    const index = columns.indexOf(old)
    if (index < 0) throw new Refusal(no('The message is gone', 'EXPUNGEISSUED'))
    const target = session.mailboxes.byName(session.account, name)
    if (target === undefined) throw new Refusal(no('No such mailbox', 'TRYCREATE'))
    const message = await readMessage(session, reader, -columns.sizeAt(index))
    reader.args.end()
    const { services } = session.context
    const replaced = { mailbox: session.selected.mailbox, uid: old }
    const [uid] = await services.append(session.account, target.id, [message], replaced)
    // Section 4: the new number is told before the old message vanishes.
    session.out.line(`* OK [APPENDUID ${target.uidValidity} ${uid}] The replacement is there`)
    if (target.id === session.selected.mailbox) session.selected.touch('appended')
    session.selected.touch('expunged')
    return ok('Replaced')
  })
}

/** One message, by number. */
function readNumber(session: Session, args: Arguments, kind: 'uid' | 'seq'): Uid {
  const set = args.set()
  const uids = session.resolve(set, kind)
  const [range] = set === '$' ? [] : set
  if (range === undefined || set.length !== 1 || range.from !== range.to) throw new BadSyntax('Expected one message')
  const [uid] = uids
  if (uid === undefined) throw new Refusal(no('No such message', 'NONEXISTENT'))
  return uid
}

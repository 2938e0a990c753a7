/** THREAD and UID THREAD (RFC 5256). */
import type { Uid } from '../../../core/ids.ts'
import { BadSyntax } from '../arguments.ts'
import type { Command } from '../command.ts'
import { Pace } from '../pace.ts'
import { ok } from '../responses.ts'
import { readCharset } from '../search/options.ts'
import type { NumberKind } from '../search/results.ts'
import { runSearch } from '../search/run.ts'
import { type SearchScope, selectedScope } from '../search/scope.ts'
import { readSearchKeys } from '../search-keys.ts'
import type { Session } from '../session.ts'
import { refuseTooMany } from '../sort/order.ts'
import { formatThreads, type Node, type ThreadMessage } from '../thread/forest.ts'
import { threadBySubject } from '../thread/ordered-subject.ts'
import { threadByReferences, threadByRefs } from '../thread/references.ts'

type Algorithm = (messages: readonly ThreadMessage[], pace: Pace) => Promise<readonly Node[]>

const algorithms: Readonly<Record<string, Algorithm>> = {
  ORDEREDSUBJECT: threadBySubject,
  REFERENCES: threadByReferences,
  REFS: threadByRefs,
}

const threading = (kind: NumberKind): Command => ({
  when: 'selected',
  holdsExpunge: kind === 'seq',
  async run(session, args) {
    args.sp()
    const name = args.name()
    const algorithm = Object.hasOwn(algorithms, name) ? algorithms[name] : undefined
    if (algorithm === undefined) throw new BadSyntax('Unknown way of threading')
    args.sp()
    const charset = readCharset(args)
    const criteria = readSearchKeys(session, args, charset)
    const scope = selectedScope(session)
    const matching = await runSearch(session, scope, criteria.keyIn(scope))
    await writeThreads(session, kind, await threadsOf(session, scope, algorithm, matching))
    return ok('Threaded')
  },
})

export const thread: Command = threading('seq')
export const uidThread: Command = threading('uid')

async function threadsOf(
  session: Session,
  scope: SearchScope,
  algorithm: Algorithm,
  uids: readonly Uid[],
): Promise<readonly Node[]> {
  using pace = new Pace(session, uids.length)
  return await algorithm(await readMessages(session, scope, uids, pace), pace)
}

async function readMessages(
  session: Session,
  { mailbox }: SearchScope,
  uids: readonly Uid[],
  pace: Pace,
): Promise<readonly ThreadMessage[]> {
  refuseTooMany(uids)
  const library = session.context.facts
  const book = library.open(mailbox)
  const messages: ThreadMessage[] = []
  for (const uid of uids) {
    pace.done += 1
    const columns = session.mailboxes.columns(session.account, mailbox)
    const index = columns.indexOf(uid)
    if (index < 0) continue
    const arrivedMs = columns.internalDateAt(index)
    const given = book.of(session, uid)
    const facts = given instanceof Promise ? await given : given
    if (facts !== undefined) {
      const { sentMs, subject, isReply, id, references } = facts
      messages.push({ uid, arrivedMs, sentMs, subject, isReply, id, references })
    }
    if (pace.isDue) await pace.rest()
  }
  library.tidy()
  return messages
}

async function writeThreads(session: Session, kind: NumberKind, threads: readonly Node[]): Promise<void> {
  using pace = new Pace(session, 0)
  const { out, selected: view } = session
  out.text(threads.length === 0 ? '* THREAD' : '* THREAD ')
  let text = ''
  for (const piece of formatThreads(threads, (uid) => (kind === 'uid' ? uid : view.seqOf(uid)))) {
    text += piece
    if (text.length < pieceChars) continue
    out.text(text)
    text = ''
    if (out.isFull) await out.ready()
    else if (pace.isDue) await pace.rest()
  }
  out.line(text)
}

const pieceChars = 8192 // ours: written together

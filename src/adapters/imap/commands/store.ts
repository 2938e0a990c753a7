/** STORE and UID STORE, with UNCHANGEDSINCE (RFC 7162 §3.1.3). */
import type { ModSeq, Uid } from '../../../core/ids.ts'
import { limits } from '../../../core/limits.ts'
import type { FlagChange } from '../../../core/mailbox/mailbox.ts'
import { type Arguments, BadSyntax } from '../arguments.ts'
import type { Command } from '../command.ts'
import { formatNumberSet } from '../number-set.ts'
import { no, ok, type Tagged } from '../responses.ts'
import { type Session, systemFlags } from '../session.ts'

/** One flag in its usual spelling. @throws BadSyntax for system flags that do not exist or may not be set */
function readFlag(args: Arguments): string {
  const written = args.flag()
  const system = systemFlags.find((flag) => flag.toLowerCase() === written.toLowerCase())
  if (system !== undefined) return system
  if (written.startsWith('\\')) throw new BadSyntax('This flag cannot be set')
  if (written.length > limits.imapKeywordOctetsMax) throw new BadSyntax('Keyword too long')
  return written
}

/** A parenthesised list. `\Recent`, which some clients send back, is passed over. */
export function readFlags(args: Arguments): readonly string[] {
  const flags = args.list(() => {
    const at = args.mark()
    if (args.flag().toLowerCase() === '\\recent') return undefined
    args.reset(at)
    return readFlag(args)
  })
  if (flags.length > limits.imapKeywordsMax) throw new BadSyntax('Too many flags')
  return flags.filter((flag) => flag !== undefined)
}

const modes: Readonly<Record<string, FlagChange['mode']>> = { FLAGS: 'replace', '+FLAGS': 'add', '-FLAGS': 'remove' }

const storing = (kind: 'uid' | 'seq'): Command => ({
  when: 'selected',
  holdsExpunge: kind === 'seq',
  async run(session, args) {
    args.sp()
    const uids = session.resolve(args.set(), kind)
    args.sp()
    const unchangedSince = readUnchangedSince(session, args)
    const item = args.name()
    const isSilent = item.endsWith('.SILENT')
    const mode = modes[isSilent ? item.slice(0, -7) : item]
    if (mode === undefined) throw new BadSyntax('Expected FLAGS')
    args.sp()
    const flags = args.isListNext() ? readFlags(args) : readBareFlags(args)
    args.end()
    if (session.selected.isReadOnly) return no('The mailbox is open for reading only', 'READ-ONLY')
    return await change(session, { uids, kind, mode, flags, isSilent, unchangedSince })
  },
})

export const store: Command = storing('seq')
export const uidStore: Command = storing('uid')

function readBareFlags(args: Arguments): readonly string[] {
  const flags: string[] = []
  do flags.push(readFlag(args))
  while (args.skip(' '))
  return flags
}

function readUnchangedSince(session: Session, args: Arguments): ModSeq | undefined {
  if (!args.isListNext()) return undefined
  args.openList()
  if (args.name() !== 'UNCHANGEDSINCE') throw new BadSyntax('Unknown modifier')
  args.sp()
  const modSeq = args.number(Number.MAX_SAFE_INTEGER)
  args.closeList()
  args.sp()
  session.enableModSeq()
  return modSeq as ModSeq
}

interface Request {
  readonly uids: readonly Uid[]
  readonly kind: 'uid' | 'seq'
  readonly mode: FlagChange['mode']
  readonly flags: readonly string[]
  readonly isSilent: boolean
  readonly unchangedSince: ModSeq | undefined
}

async function change(session: Session, request: Request): Promise<Tagged> {
  const { uids, kind, unchangedSince } = request
  const view = session.selected
  const options = unchangedSince === undefined ? {} : { unchangedSince }
  // What others changed until now is told before this change covers it up.
  session.writeUpdates(kind === 'uid')
  const { changed, failed, modSeq } = await session.mailboxes.setFlags(
    session.account,
    view.mailbox,
    uids,
    { mode: request.mode, flags: request.flags },
    options,
  )
  // Only this change: what others did to these messages in the same moment is told.
  if (modSeq !== undefined) view.isOwn(modSeq)
  // Whoever else was in this commit goes on at the same moment.
  await session.context.turns.giveWay()
  tell(session, request, changed)
  session.writeFlags(failed)
  const columns = view.columns()
  const gone = kind === 'seq' && uids.some((uid) => columns.indexOf(uid) < 0)
  if (failed.length > 0) {
    const numbers = kind === 'uid' ? failed : failed.map((uid) => view.seqOf(uid))
    return ok('Some messages had changed', `MODIFIED ${formatNumberSet(numbers)}`)
  }
  // Not NO (RFC 2180 §4.2.1): to mail programs that is an error to show, and what is left was stored.
  return gone ? ok('Some of the messages are gone', 'EXPUNGEISSUED') : ok('Stored')
}

function tell(session: Session, { uids, isSilent, unchangedSince }: Request, changed: readonly Uid[]): void {
  const view = session.selected
  const columns = view.columns()
  const wantsModSeq = session.knowsModSeq || unchangedSince !== undefined
  if (isSilent) {
    if (view.hasNewKeywords) session.writeKeywords()
    if (!wantsModSeq) return
    for (const uid of changed) {
      const index = columns.indexOf(uid)
      // Silence is about flags: the new mod-sequence is told all the same (RFC 7162 §3.1.3).
      if (index < 0) continue
      session.openFetch(uid)
      session.out.line(`${session.isUidOnly ? '' : `UID ${uid} `}MODSEQ (${columns.modSeqAt(index)}))`)
    }
    return
  }
  // Without a condition, also what stayed as it was: the client may not have known.
  session.writeFlags(unchangedSince === undefined ? uids : changed)
}

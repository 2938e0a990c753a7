/** SELECT and EXAMINE, with the resynchronisation of QRESYNC (RFC 7162 §3.2.5). */
import { inRanges } from '../../../core/mailbox/search.ts'
import type { MailboxInfo } from '../../../core/mailbox/mailbox.ts'
import type { ModSeq, Uid } from '../../../core/ids.ts'
import type { Arguments } from '../arguments.ts'
import { BadSyntax } from '../arguments.ts'
import type { Command } from '../command.ts'
import { formatNumberSet, type NumberSet, resolveNumberSet } from '../number-set.ts'
import { no, ok, Refusal, type Tagged, uidRequired } from '../responses.ts'
import type { Session } from '../session.ts'
import { View } from '../view.ts'

interface Resync {
  readonly uidValidity: number
  readonly modSeq: number
  readonly known: NumberSet | undefined
}

const opening = (isReadOnly: boolean): Command => ({
  when: 'user',
  run(session, args) {
    args.sp()
    const name = session.readMailbox(args)
    const resync = readParameters(session, args)
    args.end()
    closeView(session)
    const info = session.mailboxes.byName(session.account, name)
    if (info === undefined) throw new Refusal(no('No such mailbox', 'NONEXISTENT'))
    return open(session, info, isReadOnly, resync)
  },
})

export const select: Command = opening(false)
export const examine: Command = opening(true)

function readParameters(session: Session, args: Arguments): Resync | undefined {
  if (!args.isNext(' ')) return undefined
  args.sp()
  let resync: Resync | undefined
  args.list(() => {
    const name = args.name()
    if (name === 'QRESYNC') {
      if (!session.enabled.has('QRESYNC')) throw new BadSyntax('QRESYNC was not enabled')
      args.sp()
      resync = readResync(args, session.isUidOnly)
    } else if (name === 'CONDSTORE') session.enabled.add('CONDSTORE')
    else throw new BadSyntax('Unknown parameter')
  })
  return resync
}

function readResync(args: Arguments, isUidOnly: boolean): Resync {
  args.openList()
  const uidValidity = args.number()
  args.sp()
  const modSeq = args.number(Number.MAX_SAFE_INTEGER)
  let known: NumberSet | undefined
  if (args.skip(' ')) {
    if (args.isSetNext()) known = plainSet(args)
    const hasPairs = known === undefined ? args.isListNext() : args.skip(' ')
    if (hasPairs) {
      // Sequence numbers matched to UIDs only narrow what must be listed as vanished; we list all.
      if (isUidOnly) throw new Refusal(uidRequired)
      args.openList()
      plainSet(args)
      args.sp()
      plainSet(args)
      args.closeList()
    }
  }
  args.closeList()
  return { uidValidity, modSeq, known }
}

function plainSet(args: Arguments): NumberSet {
  const set = args.set()
  if (set === '$') throw new BadSyntax('Expected a number set')
  return set
}

function closeView(session: Session): void {
  if (session.view === undefined) return
  session.view.close()
  session.view = undefined
  session.savedSearch = []
  session.out.line('* OK [CLOSED] The mailbox that was selected is closed')
}

function open(session: Session, info: MailboxInfo, isReadOnly: boolean, resync: Resync | undefined): Tagged {
  const { out, mailboxes } = session
  const view = new View(mailboxes, session.account, info.id, { isReadOnly, onChange: () => session.pusher.changed() })
  session.view = view
  session.savedSearch = []
  if (!session.isRev2) view.claimRecent(session.context.recents)
  session.writeKeywords()
  out.line(`* ${view.count} EXISTS`)
  if (!session.isRev2) {
    out.line(`* ${view.recentCount} RECENT`)
    const unseen = session.isUidOnly ? 0 : firstUnseen(view, info)
    if (unseen > 0) out.line(`* OK [UNSEEN ${unseen}] First unseen`)
  }
  out.line(`* OK [UIDVALIDITY ${info.uidValidity}] UIDs are valid`)
  out.line(`* OK [UIDNEXT ${info.uidNext}] Predicted next UID`)
  out.line(`* OK [HIGHESTMODSEQ ${info.highestModSeq}] Highest`)
  out.line(`* OK [MAILBOXID (${info.id})] Id`)
  if (session.isRev2) out.line(`* LIST () "/" ${session.writeMailbox(info.name)}`)
  if (resync !== undefined && resync.uidValidity === info.uidValidity) writeResync(session, view, resync)
  return ok(isReadOnly ? 'Examined' : 'Selected', isReadOnly ? 'READ-ONLY' : 'READ-WRITE')
}

function firstUnseen(view: View, info: MailboxInfo): number {
  if (info.unseen === 0) return 0
  const columns = view.columns()
  const index = columns.firstUnseen()
  return index < 0 ? 0 : view.seqOf(columns.uidAt(index))
}

function writeResync(session: Session, view: View, { modSeq, known }: Resync): void {
  const vanished = vanishedSince(session, view, modSeq as ModSeq, known)
  if (vanished !== '') session.out.line(`* VANISHED (EARLIER) ${vanished}`)
  const columns = view.columns()
  const ranges = resolveNumberSet(known ?? everything, view.highestUid)
  const changed: Uid[] = []
  for (let index = 0; index < columns.count; index += 1) {
    const uid = columns.uidAt(index)
    if (columns.modSeqAt(index) > modSeq && inRanges(ranges, uid)) changed.push(uid)
  }
  session.writeFlags(changed)
}

const everything: NumberSet = [{ from: 1, to: Infinity }]

/** The set of UIDs that a client, in step at `modSeq`, must forget; among `known` where given. Without tombstones, all that do not exist. */
export function vanishedSince(session: Session, view: View, modSeq: ModSeq, known: NumberSet | undefined): string {
  const { mailboxes, account } = session
  const uidNext = mailboxes.byId(account, view.mailbox)!.uidNext
  const ranges = resolveNumberSet(known ?? everything, uidNext - 1)
  const remembered = mailboxes.expungedSince(account, view.mailbox, modSeq)
  if (remembered !== undefined) return formatNumberSet(remembered.filter((uid) => inRanges(ranges, uid)))
  const missing: string[] = []
  const add = (from: number, to: number): void => {
    if (from <= to) missing.push(from === to ? `${from}` : `${from}:${to}`)
  }
  for (const { from, to } of ranges) {
    let next = from
    // From one message to the next: what lies between may be millions.
    for (const uid of view.resolve([{ from, to }], 'uid') ?? []) {
      add(next, uid - 1)
      next = uid + 1
    }
    add(next, Math.min(to, uidNext - 1))
  }
  return missing.join(',')
}

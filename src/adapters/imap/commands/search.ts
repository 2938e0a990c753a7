/** SEARCH and UID SEARCH, with ESEARCH results (RFC 4731) and results that are kept (RFC 5182). */
import type { ModSeq, Uid } from '../../../core/ids.ts'
import { type Arguments, BadSyntax } from '../arguments.ts'
import type { Command } from '../command.ts'
import { isKnownCharset } from '../../../core/message/mime-words.ts'
import { formatNumberSet } from '../number-set.ts'
import { no, ok, Refusal } from '../responses.ts'
import { readSearchKeys } from '../search-keys.ts'
import type { Session } from '../session.ts'

const returnNames = ['MIN', 'MAX', 'ALL', 'COUNT', 'SAVE'] as const
type ReturnName = (typeof returnNames)[number]

const searching = (kind: 'uid' | 'seq'): Command => ({
  when: 'selected',
  holdsExpunge: kind === 'seq',
  async run(session, args) {
    args.sp()
    const returned = readReturn(args)
    readCharset(args)
    const { key, usesModSeq } = readSearchKeys(session, args)
    const view = session.selected
    if (returned?.includes('SAVE') === true) session.savedSearch = []
    const uids = Array.from(view.uids()) as Uid[]
    const { mailboxes, account, signal } = session
    const found = await mailboxes.search(account, view.mailbox, uids, key, { signal })
    const modSeq = usesModSeq ? highestOf(session, found) : undefined
    if (returned === undefined && !session.isRev2) writeSearch(session, kind, found, modSeq)
    else writeExtended(session, kind, { found, modSeq, returned: returned ?? ['ALL'] })
    return ok('Searched')
  },
})

export const search: Command = searching('seq')
export const uidSearch: Command = searching('uid')

function readReturn(args: Arguments): readonly ReturnName[] | undefined {
  const at = args.mark()
  if (args.isListNext() || args.isSetNext() || args.name() !== 'RETURN') {
    args.reset(at)
    return undefined
  }
  args.sp()
  const names = args.list(() => {
    const name = args.name()
    const known = returnNames.find((own) => own === name)
    if (known === undefined) throw new BadSyntax('Unknown result option')
    return known
  })
  args.sp()
  return names.length === 0 ? ['ALL'] : names
}

function readCharset(args: Arguments): void {
  const at = args.mark()
  if (args.isListNext() || args.isSetNext() || args.name() !== 'CHARSET') {
    args.reset(at)
    return
  }
  args.sp()
  const charset = args.astring()
  args.sp()
  // Strings are read as UTF-8 or Latin-1, whichever they are.
  if (!/^(?:us-ascii|utf-?8|iso-8859-1)$/i.test(charset)) {
    const text = isKnownCharset(charset) ? 'This charset is not supported' : 'Unknown charset'
    throw new Refusal(no(text, 'BADCHARSET (US-ASCII UTF-8)'))
  }
}

function highestOf(session: Session, found: readonly Uid[]): ModSeq | undefined {
  const columns = session.selected.columns()
  let highest = 0
  for (const uid of found) {
    const index = columns.indexOf(uid)
    if (index >= 0) highest = Math.max(highest, columns.modSeqAt(index))
  }
  return highest === 0 ? undefined : (highest as ModSeq)
}

const numbersOf = (session: Session, kind: 'uid' | 'seq', found: readonly Uid[]): readonly number[] =>
  kind === 'uid' ? found : found.map((uid) => session.selected.seqOf(uid))

function writeSearch(session: Session, kind: 'uid' | 'seq', found: readonly Uid[], modSeq: ModSeq | undefined): void {
  const numbers = numbersOf(session, kind, found).map((number) => ` ${number}`)
  session.out.line(`* SEARCH${numbers.join('')}${modSeq === undefined ? '' : ` (MODSEQ ${modSeq})`}`)
}

interface Result {
  readonly found: readonly Uid[]
  readonly modSeq: ModSeq | undefined
  readonly returned: readonly ReturnName[]
}

function writeExtended(session: Session, kind: 'uid' | 'seq', { found, modSeq, returned }: Result): void {
  const has = (name: ReturnName): boolean => returned.includes(name)
  if (has('SAVE')) session.savedSearch = savedOf(found, returned)
  const numbers = numbersOf(session, kind, found)
  let line = `* ESEARCH (TAG "${session.tag}")${kind === 'uid' ? ' UID' : ''}`
  if (has('MIN') && numbers.length > 0) line += ` MIN ${numbers[0]}`
  if (has('MAX') && numbers.length > 0) line += ` MAX ${numbers.at(-1)}`
  if (has('ALL') && numbers.length > 0) line += ` ALL ${formatNumberSet(numbers)}`
  if (has('COUNT')) line += ` COUNT ${numbers.length}`
  if (modSeq !== undefined) line += ` MODSEQ ${modSeq}`
  if (returned.some((name) => name !== 'SAVE')) session.out.line(line)
}

/** RFC 5182 §2.1: with MIN or MAX alone, only what they name is kept. */
function savedOf(found: readonly Uid[], returned: readonly ReturnName[]): readonly Uid[] {
  const narrows =
    (returned.includes('MIN') || returned.includes('MAX')) && !returned.includes('ALL') && !returned.includes('COUNT')
  if (!narrows || found.length === 0) return found
  const ends = [...(returned.includes('MIN') ? [found[0]!] : []), ...(returned.includes('MAX') ? [found.at(-1)!] : [])]
  return [...new Set(ends)]
}

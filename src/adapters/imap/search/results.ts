/** SEARCH, SORT and ESEARCH responses (RFC 9051 §7.3.4, RFC 5256 §4, RFC 5267 §3). Long ones leave in pieces, at the client's pace. */
import type { ModSeq, Uid } from '../../../core/ids.ts'
import type { Session } from '../session.ts'
import { inWindow } from '../window.ts'
import type { ResultOptions } from './options.ts'
import type { Scores } from './relevancy.ts'
import { highestModSeq } from './run.ts'
import type { SearchScope } from './scope.ts'

/** Whether results are told as UIDs or as sequence numbers of the selected mailbox. */
export type NumberKind = 'uid' | 'seq'

export interface Results {
  readonly mailbox: SearchScope['mailbox']
  /** In the order of the result: that of the mailbox, or the sorted one. */
  readonly found: readonly Uid[]
  readonly kind: NumberKind
  readonly usesModSeq: boolean
  /** Where RELEVANCY was asked for. */
  readonly scores?: Scores | undefined
}

const pieceNumbers = 2048 // ours: numbers written together

export function numbersOf(session: Session, kind: NumberKind, found: readonly Uid[]): readonly number[] {
  return kind === 'uid' ? found : found.map((uid) => session.selected.seqOf(uid))
}

/** `* SEARCH 2 4` or `* SORT 4 2`, with the highest mod-sequence where the keys asked for one (RFC 7162 §3.1.5). */
export async function writePlain(session: Session, name: 'SEARCH' | 'SORT', results: Results): Promise<void> {
  const { mailbox, found, kind, usesModSeq } = results
  const { out } = session
  out.text(`* ${name}`)
  for (let from = 0; from < found.length; from += pieceNumbers) {
    out.text(` ${numbersOf(session, kind, found.slice(from, from + pieceNumbers)).join(' ')}`)
    if (out.isFull) await out.ready()
  }
  const modSeq = usesModSeq ? highestModSeq(session, mailbox, found) : undefined
  out.line(modSeq === undefined ? '' : ` (MODSEQ ${modSeq})`)
}

/** @param correlators what stands in front, besides the tag (RFC 7377 §2.1) */
export async function writeExtended(
  session: Session,
  results: Results,
  options: ResultOptions,
  correlators = '',
): Promise<void> {
  const { found, kind } = results
  const { out } = session
  const end = (index: 0 | -1): number | undefined => numbersOf(session, kind, found.slice(index).slice(0, 1))[0]
  out.text(`* ESEARCH (TAG "${session.tag}"${correlators})${kind === 'uid' ? ' UID' : ''}`)
  if (options.has('MIN') && found.length > 0) out.text(` MIN ${end(0)}`)
  if (options.has('MAX') && found.length > 0) out.text(` MAX ${end(-1)}`)
  if (options.has('ALL') && found.length > 0) {
    out.text(' ALL ')
    await writeSet(session, kind, found)
  }
  if (options.partial !== undefined) {
    const shown = inWindow(found, options.partial)
    out.text(` PARTIAL (${options.partial.written} ${shown.length === 0 ? 'NIL' : ''}`)
    await writeSet(session, kind, shown)
    out.text(')')
  }
  const scored = options.partial === undefined ? found : inWindow(found, options.partial)
  if (results.scores !== undefined)
    out.text(` RELEVANCY (${scored.map((uid) => results.scores?.get(uid) ?? 1).join(' ')})`)
  if (options.has('COUNT')) out.text(` COUNT ${found.length}`)
  const modSeq = modSeqOf(session, results, options)
  out.line(modSeq === undefined ? '' : ` MODSEQ ${modSeq}`)
}

/** RFC 4731 §3.2: of the messages named, where only the first or the last one is. */
function modSeqOf(
  session: Session,
  { mailbox, found, usesModSeq }: Results,
  options: ResultOptions,
): ModSeq | undefined {
  if (!usesModSeq) return undefined
  return highestModSeq(session, mailbox, endsOnly(options) ? endsOf(found, options) : found)
}

const endsOnly = (options: ResultOptions): boolean =>
  (options.has('MIN') || options.has('MAX')) && !options.has('ALL') && !options.has('COUNT')

function endsOf(found: readonly Uid[], options: ResultOptions): readonly Uid[] {
  return [...(options.has('MIN') ? found.slice(0, 1) : []), ...(options.has('MAX') ? found.slice(-1) : [])]
}

/** What SAVE keeps, ascending (RFC 5182 §2.1, RFC 9394 §3.2): what the other options name, or everything. */
export function savedOf(found: readonly Uid[], options: ResultOptions): readonly Uid[] {
  const isNarrow = endsOnly(options) || (options.partial !== undefined && !options.has('COUNT'))
  if (!isNarrow) return found.toSorted((a, b) => a - b)
  const shown = options.partial === undefined ? [] : inWindow(found, options.partial)
  return [...new Set([...endsOf(found, options), ...shown])].sort((a, b) => a - b)
}

/** Numbers in their order; only ascending runs become ranges, so that a sorted result stays sorted (RFC 5267 §3.2). */
export function formatOrdered(numbers: readonly number[]): string {
  const pieces: string[] = []
  let from = 0
  for (let at = 1; at <= numbers.length; at += 1) {
    if (at < numbers.length && numbers[at] === numbers[at - 1]! + 1) continue
    pieces.push(at - from === 1 ? `${numbers[from]}` : `${numbers[from]}:${numbers[at - 1]}`)
    from = at
  }
  return pieces.join(',')
}

async function writeSet(session: Session, kind: NumberKind, found: readonly Uid[]): Promise<void> {
  const { out } = session
  let from = 0
  while (from < found.length) {
    const to = endOfPiece(found, from)
    out.text(`${from === 0 ? '' : ','}${formatOrdered(numbersOf(session, kind, found.slice(from, to)))}`)
    if (out.isFull) await out.ready()
    from = to
  }
}

/** A piece ends where no run is cut: between neighbours the numbers do not follow each other. */
function endOfPiece(found: readonly Uid[], from: number): number {
  let to = Math.min(from + pieceNumbers, found.length)
  while (to < found.length && found[to - 1]! + 1 === found[to]) to += 1
  return to
}

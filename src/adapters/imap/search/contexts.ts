/**
 * Results that stay true while the mailbox changes (RFC 5267 §4.3): the client of `RETURN (UPDATE)` is told what joins
 * and what leaves them. Texts of a message never change, so a message is looked at again only when its flags do.
 */
import { MyceliumError } from '../../../core/errors.ts'
import type { ModSeq, Uid } from '../../../core/ids.ts'
import { limits } from '../../../core/limits.ts'
import type { SearchKey } from '../../../core/mailbox/search.ts'
import { Pace } from '../pace.ts'
import type { Session } from '../session.ts'
import { inOrder, type Order, type Placed, unsorted } from '../sort/order.ts'
import type { View } from '../view.ts'
import { formatOrdered, type NumberKind, numbersOf } from './results.ts'
import { runSearch } from './run.ts'

export interface Context {
  readonly kind: NumberKind
  /** What stands in responses besides the tag. */
  readonly correlators?: string
  readonly key: SearchKey
  /** Of a SORT; else the order of the mailbox. */
  readonly order: Order | undefined
  /** In the order of the result. */
  found: readonly Placed[]
  /** Changes up to here are in it; those of messages that the client had not been told of come later. */
  checked: number
}

/** What a result that is looked for now may be said to hold. */
export function checkedNow(view: View): number {
  const columns = view.columns()
  let checked: number = view.highestModSeq
  for (let index = columns.count - 1; index >= 0 && columns.uidAt(index) > view.highestUid; index -= 1) {
    checked = Math.min(checked, columns.modSeqAt(index) - 1)
  }
  return checked
}

const byUid = (a: Placed, b: Placed): number => a.uid - b.uid

export class Contexts {
  readonly #session: Session
  readonly #byTag = new Map<string, Context>()
  #view: View | undefined
  /** Expunges up to here have been looked for. */
  #lookedForGone = 0
  #refreshing: Promise<void> = Promise.resolve()

  constructor(session: Session) {
    this.#session = session
  }

  has(tag: string): boolean {
    this.#leaveWithView()
    return this.#byTag.has(tag)
  }

  /** Keeps a result up to date from now on; `false` when there are too many. */
  add(tag: string, context: Context): boolean {
    this.#leaveWithView()
    let held = context.found.length
    for (const { found } of this.#byTag.values()) held += found.length
    if (this.#byTag.size >= limits.imapContextsMax || held > limits.imapContextMessagesMax) return false
    this.#view = this.#session.view
    this.#byTag.set(tag, context)
    this.#lookedForGone = 0
    return true
  }

  cancel(tag: string): void {
    this.#byTag.delete(tag)
  }

  /** RFC 9586 §3: from now on no sequence number may be told. */
  endNumbered(): void {
    for (const [tag, { kind }] of this.#byTag) {
      if (kind === 'uid') continue
      this.#byTag.delete(tag)
      this.#session.out.line(`* NO [NOUPDATE "${tag}"] These results were told by sequence number`)
    }
  }

  /** Tells what was expunged: before EXPUNGE, while the numbers still stand (RFC 5267 §4.3.4). */
  writeGone(): void {
    this.#leaveWithView()
    if (this.#byTag.size === 0) return
    const view = this.#session.selected
    if (!view.hasExpunged || view.highestModSeq === this.#lookedForGone) return
    this.#lookedForGone = view.highestModSeq
    const columns = view.columns()
    for (const [tag, context] of this.#byTag) {
      const gone = new Set<Uid>()
      for (const { uid } of context.found) if (columns.indexOf(uid) < 0) gone.add(uid)
      if (gone.size > 0) this.#change(tag, context, gone, [])
    }
  }

  /** Looks again at what arrived or changed and tells the difference; after EXISTS (RFC 5267 §4.3.3). */
  async refresh(): Promise<void> {
    this.#leaveWithView()
    if (this.#byTag.size === 0) return
    this.#refreshing = this.#refreshing.then(() => this.#refreshAll())
    await this.#refreshing
  }

  async #refreshAll(): Promise<void> {
    for (const [tag, context] of this.#byTag) {
      try {
        await this.#refreshOne(tag, context)
      } catch (error) {
        if (!(error instanceof MyceliumError) || error.code === 'connection-closed') throw error
        this.#byTag.delete(tag)
        this.#session.out.line(`* NO [NOUPDATE "${tag}"] These results are no longer kept up to date`)
      }
    }
  }

  async #refreshOne(tag: string, context: Context): Promise<void> {
    const session = this.#session
    const view = this.#view!
    const changed = changedSince(view, context)
    if (changed.length === 0) return
    const matching = new Set(await runSearch(session, { mailbox: view.mailbox, uids: changed }, context.key))
    const looked = new Set(changed)
    const known = new Set<Uid>()
    for (const { uid } of context.found) if (looked.has(uid)) known.add(uid)
    const joining = changed.filter((uid) => matching.has(uid) && !known.has(uid))
    const { order } = context
    const placed = order === undefined ? joining.map(unsorted) : await this.#place(order, joining)
    this.#leaveWithView()
    if (!this.#byTag.has(tag)) return
    const columns = view.columns()
    const isThere = (uid: Uid): boolean => columns.indexOf(uid) >= 0 && view.seqOf(uid) > 0
    const leaving = new Set(changed.filter((uid) => known.has(uid) && !matching.has(uid) && view.seqOf(uid) > 0))
    this.#change(
      tag,
      context,
      leaving,
      placed.filter(({ uid }) => isThere(uid)),
    )
  }

  async #place(order: Order, uids: readonly Uid[]): Promise<readonly Placed[]> {
    using pace = new Pace(this.#session, uids.length)
    return await inOrder(await order.place(this.#session, this.#view!.mailbox, uids, pace), order.compare, pace)
  }

  #change(tag: string, context: Context, leaving: ReadonlySet<Uid>, joining: readonly Placed[]): void {
    const { kind, order, found } = context
    const staying = found.filter(({ uid }) => !leaving.has(uid))
    const now = merged(staying, joining, order?.compare ?? byUid)
    context.found = now
    const set = (run: readonly Placed[]): string =>
      formatOrdered(
        numbersOf(
          this.#session,
          kind,
          run.map(({ uid }) => uid),
        ),
      )
    const isUnsorted = order === undefined
    const joined = new Set(joining.map(({ uid }) => uid))
    const removed = isUnsorted
      ? pairs([{ at: 0, run: found.filter(({ uid }) => leaving.has(uid)) }], set)
      : pairs(runs(found, leaving).toReversed(), set)
    const added = isUnsorted ? pairs([{ at: 0, run: joining }], set) : pairs(runs(now, joined), set)
    if (removed === '' && added === '') return
    const items = [
      ...(removed === '' ? [] : [`REMOVEFROM (${removed})`]),
      ...(added === '' ? [] : [`ADDTO (${added})`]),
    ]
    this.#session.out.line(
      `* ESEARCH (TAG "${tag}"${context.correlators ?? ''})${kind === 'uid' ? ' UID' : ''} ${items.join(' ')}`,
    )
  }

  /** Updates cease when the mailbox is no longer selected. */
  #leaveWithView(): void {
    if (this.#view === this.#session.view) return
    this.#view = undefined
    this.#byTag.clear()
  }
}

/** Messages that the client knows of and that changed since the context was checked; what it does not know of waits. */
function changedSince(view: View, context: Context): readonly Uid[] {
  const columns = view.columns()
  const until = view.highestModSeq
  if (until <= context.checked) return []
  const changed: Uid[] = []
  let checked = until
  for (let index = 0; index < columns.count; index += 1) {
    const modSeq: ModSeq = columns.modSeqAt(index)
    if (modSeq <= context.checked) continue
    const uid = columns.uidAt(index)
    if (view.seqOf(uid) > 0) changed.push(uid)
    else checked = Math.min(checked, modSeq - 1)
  }
  context.checked = checked
  return changed
}

interface Run {
  /** Position of its first result; the first of all is 1, and 0 stands for wherever it belongs. */
  readonly at: number
  readonly run: readonly Placed[]
}

/** Neighbours among `chosen`, with the position of their first one. */
function runs(all: readonly Placed[], chosen: ReadonlySet<Uid>): readonly Run[] {
  const found: { at: number; run: Placed[] }[] = []
  let isOpen = false
  for (const [index, placed] of all.entries()) {
    const isChosen = chosen.has(placed.uid)
    if (isChosen && isOpen) found.at(-1)!.run.push(placed)
    else if (isChosen) found.push({ at: index + 1, run: [placed] })
    isOpen = isChosen
  }
  return found
}

const pairs = (found: readonly Run[], set: (run: readonly Placed[]) => string): string =>
  found
    .filter(({ run }) => run.length > 0)
    .map(({ at, run }) => `${at} ${set(run)}`)
    .join(' ')

function merged(
  a: readonly Placed[],
  b: readonly Placed[],
  compare: (a: Placed, b: Placed) => number,
): readonly Placed[] {
  if (b.length === 0) return a
  const all: Placed[] = []
  let next = 0
  for (const placed of a) {
    while (next < b.length && compare(b[next]!, placed) < 0) all.push(b[next++]!)
    all.push(placed)
  }
  return [...all, ...b.slice(next)]
}

/** The order that SORT asks for (RFC 5256 §3, RFC 5957), and sorting that lets others work in between. */
import type { MailboxId, Uid } from '../../../core/ids.ts'
import { limits } from '../../../core/limits.ts'
import type { MailboxColumns } from '../../../core/mailbox/mailbox.ts'
import { type Arguments, BadSyntax } from '../arguments.ts'
import type { Pace } from '../pace.ts'
import { no, Refusal } from '../responses.ts'
import type { Session } from '../session.ts'
import type { Scorer } from '../search/relevancy.ts'
import type { Facts } from './facts.ts'

/** A message and what it is sorted by. */
export interface Placed {
  readonly uid: Uid
  readonly keys: readonly (string | number)[]
}
/** Of messages in the order of their mailbox. */
export const unsorted = (uid: Uid): Placed => ({ uid, keys: noKeys })
const noKeys: Placed['keys'] = []
export type Compare = (a: Placed, b: Placed) => number

interface Criterion {
  readonly isReverse: boolean
  readonly key: Key
}

type Key =
  | { readonly from: 'columns'; readonly read: (columns: MailboxColumns, index: number) => number }
  | { readonly from: 'facts'; readonly read: (facts: Facts) => string | number }
  | { readonly from: 'scores' }

const keys: Readonly<Record<string, Key>> = {
  ARRIVAL: { from: 'columns', read: (columns, index) => columns.internalDateAt(index) },
  SIZE: { from: 'columns', read: (columns, index) => columns.sizeAt(index) },
  DATE: { from: 'facts', read: ({ sentMs }) => sentMs },
  SUBJECT: { from: 'facts', read: ({ subject }) => subject },
  FROM: { from: 'facts', read: ({ from }) => from },
  TO: { from: 'facts', read: ({ to }) => to },
  CC: { from: 'facts', read: ({ cc }) => cc },
  DISPLAYFROM: { from: 'facts', read: ({ displayFrom }) => displayFrom },
  // RFC 6203 §6: the most relevant first.
  RELEVANCY: { from: 'scores' },
  DISPLAYTO: { from: 'facts', read: ({ displayTo }) => displayTo },
}

/** `(REVERSE DATE SUBJECT)`. */
export function readOrder(args: Arguments): Order {
  const criteria: Criterion[] = []
  let isReverse = false
  args.list(() => {
    const name = args.name()
    if (name === 'REVERSE' && !isReverse) {
      isReverse = true
      return
    }
    const key = Object.hasOwn(keys, name) ? keys[name] : undefined
    if (key === undefined) throw new BadSyntax('Unknown sort key')
    if (criteria.length >= limits.imapSortKeysMax) throw new BadSyntax('Too many sort keys')
    criteria.push({ isReverse, key })
    isReverse = false
  })
  if (criteria.length === 0 || isReverse) throw new BadSyntax('Missing sort key')
  return new Order(criteria)
}

export class Order {
  readonly #criteria: readonly Criterion[]
  readonly #scorer: Scorer | undefined

  constructor(criteria: readonly Criterion[], scorer?: Scorer) {
    this.#criteria = criteria
    this.#scorer = scorer
  }

  get usesScores(): boolean {
    return this.#criteria.some(({ key }) => key.from === 'scores')
  }
  /** The same, where relevancy is found this way. */
  scoredBy(scorer: Scorer): Order {
    return new Order(this.#criteria, scorer)
  }

  /** Reads the keys of messages; those that are gone are left out. @throws Refusal when they are too many */
  async place(session: Session, mailbox: MailboxId, uids: readonly Uid[], pace: Pace): Promise<Placed[]> {
    refuseTooMany(uids)
    const needsFacts = this.#criteria.some(({ key }) => key.from === 'facts')
    const scores = this.usesScores ? await this.#scorer?.(uids) : undefined
    const library = session.context.facts
    const book = library.open(mailbox)
    const placed: Placed[] = []
    for (const uid of uids) {
      const given = needsFacts ? book.of(session, uid) : undefined
      const facts = given instanceof Promise ? await given : given
      pace.done += 1
      if (pace.isDue) await pace.rest()
      const columns = session.mailboxes.columns(session.account, mailbox)
      const index = columns.indexOf(uid)
      if (index < 0 || (needsFacts && facts === undefined)) continue
      const keysOf = this.#criteria.map(({ key }) => {
        if (key.from === 'columns') return key.read(columns, index)
        return key.from === 'facts' ? key.read(facts!) : -(scores?.get(uid) ?? 0)
      })
      placed.push({ uid, keys: keysOf })
    }
    library.tidy()
    return placed
  }

  /** Equal keys leave messages in the order of the mailbox, also where the keys are reversed (RFC 5256 §3). */
  readonly compare: Compare = (a, b) => {
    for (const [at, { isReverse }] of this.#criteria.entries()) {
      const one = a.keys[at]!
      const other = b.keys[at]!
      if (one === other) continue
      return one < other === isReverse ? 1 : -1
    }
    return a.uid - b.uid
  }
}

/** @throws Refusal */
export function refuseTooMany(uids: readonly Uid[]): void {
  if (uids.length > limits.imapSortMessagesMax) throw new Refusal(no('Too many messages to sort at once', 'LIMIT'))
}

const chunkSize = 2048 // ours: sorted in one go, about a millisecond

/** Sorts in short turns: small chunks, then merges. @throws `connection-closed` */
export async function inOrder<T>(items: readonly T[], compare: (a: T, b: T) => number, pace: Pace): Promise<T[]> {
  let chunks: T[][] = []
  for (let from = 0; from < items.length; from += chunkSize) {
    chunks.push(items.slice(from, from + chunkSize).sort(compare))
    if (pace.isDue) await pace.rest()
  }
  while (chunks.length > 1) {
    const merged: T[][] = []
    for (let at = 0; at < chunks.length; at += 2) {
      const next = chunks[at + 1]
      merged.push(next === undefined ? chunks[at]! : await merge(chunks[at]!, next, compare, pace))
    }
    chunks = merged
  }
  return chunks[0] ?? []
}

async function merge<T>(a: readonly T[], b: readonly T[], compare: (a: T, b: T) => number, pace: Pace): Promise<T[]> {
  const all: T[] = []
  let nextA = 0
  let nextB = 0
  while (nextA < a.length && nextB < b.length) {
    all.push(compare(b[nextB]!, a[nextA]!) < 0 ? b[nextB++]! : a[nextA++]!)
    if (all.length % 1024 === 0 && pace.isDue) await pace.rest()
  }
  while (nextA < a.length) all.push(a[nextA++]!)
  while (nextB < b.length) all.push(b[nextB++]!)
  return all
}

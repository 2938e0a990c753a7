/** The messages that a search looks at, and what numbers in its keys mean. */
import type { MailboxId, Uid } from '../../../core/ids.ts'
import type { NumberSet } from '../number-set.ts'
import { resolveNumberSet } from '../number-set.ts'
import type { Session } from '../session.ts'

export interface SearchScope {
  readonly mailbox: MailboxId
  /** Ascending; sequence number 1 is the first. */
  readonly uids: readonly Uid[]
  readonly recent: NumberSet
  /** What `$` names. */
  readonly saved: readonly Uid[]
}

/** The selected mailbox, as far as its client has been told. */
export function selectedScope(session: Session): SearchScope {
  const view = session.selected
  return {
    mailbox: view.mailbox,
    uids: Array.from(view.uids()) as Uid[],
    recent: session.isRev2 ? [] : [...view.recentRanges],
    saved: session.savedSearch,
  }
}

/** Any other mailbox as it is now (RFC 7377). */
export function mailboxScope(session: Session, mailbox: MailboxId): SearchScope {
  const columns = session.mailboxes.columns(session.account, mailbox)
  const uids = Array.from({ length: columns.count }, (_none, index) => columns.uidAt(index))
  return { mailbox, uids, recent: [], saved: [] }
}

const uidMax = 0xffff_ffff

/** UIDs that a set of UIDs names, also ones that do not exist yet; `n:*` has no end. */
export function uidRanges(set: NumberSet, { uids }: SearchScope): NumberSet {
  const highest = uids.at(-1) ?? 0
  const open = set.map(({ from, to }) => {
    if (from === to || Math.max(from, to) < Infinity) return { from, to }
    return { from: Math.min(from, to, highest), to: uidMax }
  })
  return resolveNumberSet(open, highest)
}

/**
 * UIDs that a set of sequence numbers names. Numbers beyond the last message name nothing: in a search that is no
 * mistake (RFC 7377 §2).
 */
export function sequenceRanges(set: NumberSet, { uids }: SearchScope): NumberSet {
  // Between two neighbours in the scope no UID is searched: a range of the one is a range of the other.
  return resolveNumberSet(set, uids.length)
    .filter(({ from }) => from <= uids.length)
    .map(({ from, to }) => ({ from: uids[from - 1]!, to: uids[Math.min(to, uids.length) - 1]! }))
}

const savedRanges = new WeakMap<readonly Uid[], NumberSet>()

/** UIDs that `$` names: worked out once, however often one search names it. */
export function rangesOf(saved: readonly Uid[]): NumberSet {
  let ranges = savedRanges.get(saved)
  if (ranges === undefined) {
    ranges = resolveNumberSet(
      saved.map((uid) => ({ from: uid, to: uid })),
      uidMax,
    )
    savedRanges.set(saved, ranges)
  }
  return ranges
}

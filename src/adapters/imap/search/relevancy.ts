/** How well messages fit a fuzzy search (RFC 6203 §4). */
import type { Uid } from '../../../core/ids.ts'
import type { SearchCriteria } from '../search-keys.ts'
import type { Session } from '../session.ts'
import { type Closeness, closenesses } from './fuzzy.ts'
import { runSearch } from './run.ts'
import type { SearchScope } from './scope.ts'

/** 1 to 100. */
export type Scores = ReadonlyMap<Uid, number>
export type Scorer = (uids: readonly Uid[]) => Promise<Scores>

const scores: Readonly<Record<Closeness, number>> = { phrase: 100, words: 67, beginnings: 34, spellings: 1 }

/** Scores messages that match by the closest way in which they do. */
export const scorerOf =
  (session: Session, scope: SearchScope, criteria: SearchCriteria): Scorer =>
  async (uids) => {
    const found = new Map<Uid, number>()
    let left = uids
    for (const closeness of closenesses) {
      const key = criteria.keyIn(scope, closeness)
      const matching =
        closeness === 'spellings' ? left : await runSearch(session, { mailbox: scope.mailbox, uids: left }, key)
      for (const uid of matching) found.set(uid, scores[closeness])
      left = left.filter((uid) => !found.has(uid))
    }
    return found
  }

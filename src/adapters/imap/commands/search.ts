/** SEARCH and UID SEARCH, with results as the client wants them (RFC 4731, 5182, 5267, 9394). */
import type { Command } from '../command.ts'
import { ok } from '../responses.ts'
import { answerExtended, refuseRelevancy, refuseTagReuse } from '../search/answer.ts'
import { checkedNow } from '../search/contexts.ts'
import { allResults, readCharsetOption, readResultOptions } from '../search/options.ts'
import { scorerOf } from '../search/relevancy.ts'
import { type NumberKind, writePlain } from '../search/results.ts'
import { runSearch } from '../search/run.ts'
import { selectedScope } from '../search/scope.ts'
import { readSearchKeys } from '../search-keys.ts'
import { unsorted } from '../sort/order.ts'

const searching = (kind: NumberKind): Command => ({
  when: 'selected',
  holdsExpunge: kind === 'seq',
  async run(session, args) {
    args.sp()
    const options = readResultOptions(args)
    const charset = readCharsetOption(args)
    const criteria = readSearchKeys(session, args, charset)
    refuseTagReuse(session, options)
    refuseRelevancy(criteria, options?.has('RELEVANCY'))
    const scope = selectedScope(session)
    const key = criteria.keyIn(scope)
    if (options?.has('SAVE') === true) session.savedSearch = []
    const checked = checkedNow(session.selected)
    const found = await runSearch(session, scope, key)
    const isScored = options?.has('RELEVANCY') === true
    const scores = isScored ? await scorerOf(session, scope, criteria)(found) : undefined
    const results = { mailbox: scope.mailbox, found, kind, usesModSeq: criteria.usesModSeq, scores }
    if (options === undefined && !session.isRev2) await writePlain(session, 'SEARCH', results)
    else {
      await answerExtended(session, results, options ?? allResults, {
        kind,
        key,
        order: undefined,
        found: found.map(unsorted),
        checked,
      })
    }
    return ok('Searched')
  },
})

export const search: Command = searching('seq')
export const uidSearch: Command = searching('uid')

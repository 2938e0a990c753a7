/** SORT and UID SORT (RFC 5256), with the results of SEARCH (RFC 5267 §3). */
import type { Uid } from '../../../core/ids.ts'
import type { Command } from '../command.ts'
import { Pace } from '../pace.ts'
import { ok } from '../responses.ts'
import { answerExtended, refuseRelevancy, refuseTagReuse } from '../search/answer.ts'
import { checkedNow } from '../search/contexts.ts'
import { readCharset, readResultOptions } from '../search/options.ts'
import { scorerOf } from '../search/relevancy.ts'
import { type NumberKind, writePlain } from '../search/results.ts'
import { runSearch } from '../search/run.ts'
import { type SearchScope, selectedScope } from '../search/scope.ts'
import { readSearchKeys } from '../search-keys.ts'
import type { Session } from '../session.ts'
import { inOrder, type Order, type Placed, readOrder } from '../sort/order.ts'

const sorting = (kind: NumberKind): Command => ({
  when: 'selected',
  holdsExpunge: kind === 'seq',
  async run(session, args) {
    args.sp()
    const options = readResultOptions(args)
    const given = readOrder(args)
    args.sp()
    const charset = readCharset(args)
    const criteria = readSearchKeys(session, args, charset)
    refuseTagReuse(session, options)
    refuseRelevancy(criteria, given.usesScores || options?.has('RELEVANCY'))
    const scope = selectedScope(session)
    const scorer = scorerOf(session, scope, criteria)
    const order = given.scoredBy(scorer)
    const key = criteria.keyIn(scope)
    if (options?.has('SAVE') === true) session.savedSearch = []
    const checked = checkedNow(session.selected)
    const matching = await runSearch(session, scope, key)
    const placed = await sorted(session, scope, order, matching)
    const results = {
      mailbox: scope.mailbox,
      found: placed.map(({ uid }) => uid),
      kind,
      usesModSeq: criteria.usesModSeq,
      scores: options?.has('RELEVANCY') === true ? await scorer(matching) : undefined,
    }
    if (options === undefined) await writePlain(session, 'SORT', results)
    else await answerExtended(session, results, options, { kind, key, order, found: placed, checked })
    return ok('Sorted')
  },
})

export const sort: Command = sorting('seq')
export const uidSort: Command = sorting('uid')

async function sorted(
  session: Session,
  { mailbox }: SearchScope,
  order: Order,
  uids: readonly Uid[],
): Promise<readonly Placed[]> {
  using pace = new Pace(session, uids.length)
  return await inOrder(await order.place(session, mailbox, uids, pace), order.compare, pace)
}

/** ESEARCH (RFC 7377): one search over several mailboxes, each answered for itself, none of them selected by it. */
import { hasCode } from '../../../core/errors.ts'
import type { MailboxInfo } from '../../../core/mailbox/mailbox.ts'
import type { Uid } from '../../../core/ids.ts'
import { BadSyntax } from '../arguments.ts'
import type { Command } from '../command.ts'
import { Pace } from '../pace.ts'
import { ok } from '../responses.ts'
import { keepUpToDate, refuseRelevancy, refuseTagReuse } from '../search/answer.ts'
import { checkedNow } from '../search/contexts.ts'
import { allResults, readCharsetOption, readResultOptions, type ResultOptions } from '../search/options.ts'
import { scorerOf } from '../search/relevancy.ts'
import { savedOf, writeExtended } from '../search/results.ts'
import { runSearch } from '../search/run.ts'
import { mailboxScope, selectedScope } from '../search/scope.ts'
import { readSources, type Sources } from '../search/sources.ts'
import { readSearchKeys, type SearchCriteria } from '../search-keys.ts'
import type { Session } from '../session.ts'
import { unsorted } from '../sort/order.ts'

export const multiSearch: Command = {
  when: 'user',
  async run(session, args) {
    args.sp()
    const sources = readSources(session, args)
    const options = readResultOptions(args) ?? allResults
    const charset = readCharsetOption(args)
    const criteria = readSearchKeys(session, args, charset)
    refuseUnfit(session, sources, options)
    refuseRelevancy(criteria, options.has('RELEVANCY'))
    if (options.has('SAVE')) session.savedSearch = []
    using pace = new Pace(session, 0)
    for (const info of sources.mailboxes()) {
      await searchOne(session, info, { options, criteria })
      if (pace.isDue) await pace.rest()
    }
    return ok('Searched')
  },
}

function refuseUnfit(session: Session, sources: Sources, options: ResultOptions): void {
  if (sources.hasSelected && session.view === undefined) throw new BadSyntax('Select a mailbox first')
  if (options.has('SAVE') && sources.hasOthers) throw new BadSyntax('SAVE is for the selected mailbox only')
  if (options.has('UPDATE') && session.view === undefined) throw new BadSyntax('UPDATE needs a selected mailbox')
  refuseTagReuse(session, options)
}

interface Asked {
  readonly options: ResultOptions
  readonly criteria: SearchCriteria
}

/** A mailbox that is removed meanwhile holds nothing. */
async function searchOne(session: Session, info: MailboxInfo, asked: Asked): Promise<void> {
  try {
    await answerFor(session, info, asked)
  } catch (error) {
    if (!hasCode(error, 'no-such-mailbox')) throw error
  }
}

async function answerFor(session: Session, info: MailboxInfo, { options, criteria }: Asked): Promise<void> {
  const { view } = session
  const isSelected = info.id === view?.mailbox
  const scope = isSelected ? selectedScope(session) : mailboxScope(session, info.id)
  const key = criteria.keyIn(scope)
  const checked = isSelected ? checkedNow(view) : 0
  const found: readonly Uid[] = await runSearch(session, scope, key)
  const correlators = ` MAILBOX ${session.writeMailbox(info.name)} UIDVALIDITY ${info.uidValidity}`
  if (options.has('SAVE')) session.savedSearch = savedOf(found, options)
  // RFC 7377 §2.1: a mailbox without matches is not mentioned, also where they are only counted.
  if (found.length > 0) {
    const scores = options.has('RELEVANCY') ? await scorerOf(session, scope, criteria)(found) : undefined
    const results = { mailbox: info.id, found, kind: 'uid', usesModSeq: criteria.usesModSeq, scores } as const
    await writeExtended(session, results, options, correlators)
  }
  if (!options.has('UPDATE') || !isSelected) return
  keepUpToDate(session, { kind: 'uid', key, order: undefined, found: found.map(unsorted), checked, correlators })
}

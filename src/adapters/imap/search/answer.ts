/** Answers a search with options: what is kept, what is written, and what is kept up to date from now on. */
import { BadSyntax } from '../arguments.ts'
import type { SearchCriteria } from '../search-keys.ts'
import type { Session } from '../session.ts'
import type { Context } from './contexts.ts'
import type { ResultOptions } from './options.ts'
import { type Results, savedOf, writeExtended } from './results.ts'

/** RFC 5267 §4.3: updates are known by the tag of their command. */
export function refuseTagReuse(session: Session, options: ResultOptions | undefined): void {
  if (options?.has('UPDATE') === true && session.contexts.has(session.tag)) {
    throw new BadSyntax('Results of a command with this tag are being kept up to date')
  }
}

/** @throws BadSyntax RFC 6203 §4: without FUZZY nothing is more or less relevant */
export function refuseRelevancy(criteria: SearchCriteria, isAsked: boolean | undefined): void {
  if (isAsked === true && !criteria.usesFuzzy) throw new BadSyntax('RELEVANCY needs FUZZY')
}

export async function answerExtended(
  session: Session,
  results: Results,
  options: ResultOptions,
  context: Context,
): Promise<void> {
  if (options.has('SAVE')) session.savedSearch = savedOf(results.found, options)
  if (!isSilent(options)) await writeExtended(session, results, options)
  if (options.has('UPDATE')) keepUpToDate(session, context)
}

/** SAVE alone is answered by the ending only (RFC 5182 §2.1). */
const isSilent = (options: ResultOptions): boolean =>
  options.has('SAVE') &&
  options.partial === undefined &&
  !(['MIN', 'MAX', 'ALL', 'COUNT', 'CONTEXT', 'UPDATE', 'RELEVANCY'] as const).some((name) => options.has(name))

export function keepUpToDate(session: Session, context: Context): void {
  if (session.contexts.add(session.tag, context)) return
  session.out.line(`* NO [NOUPDATE "${session.tag}"] Too many results are being kept up to date`)
}

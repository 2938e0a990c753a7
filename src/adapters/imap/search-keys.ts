/** Search keys of IMAP (RFC 9051 §6.4.4, RFC 5032, 7162, 8474, 8514) → the core's query. */
import { limits } from '../../core/limits.ts'
import type { ContentId, ModSeq } from '../../core/ids.ts'
import { parseContentId } from '../../core/ids.ts'
import type { Period, SearchKey } from '../../core/mailbox/search.ts'
import { decodeCharset } from '../../core/message/mime-words.ts'
import { type Arguments, BadSyntax } from './arguments.ts'
import { dayMs, parseDate } from './dates.ts'
import type { NumberSet } from './number-set.ts'
import { no, Refusal, uidRequired } from './responses.ts'
import { type Closeness, loosened } from './search/fuzzy.ts'
import { rangesOf, type SearchScope, sequenceRanges, uidRanges } from './search/scope.ts'
import type { Session } from './session.ts'

/** Keys as written: what numbers in them mean depends on the mailbox that is searched. */
type WrittenKey = (scope: SearchScope, closeness: Closeness) => SearchKey

export interface SearchCriteria {
  readonly usesModSeq: boolean
  readonly usesFuzzy: boolean
  /**
   * The key for one mailbox, its numbers fixed now (RFC 5267 §4.3).
   * @param closeness of what is looked for fuzzily; anything alike where absent
   */
  keyIn(scope: SearchScope, closeness?: Closeness): SearchKey
}

/** Keys up to the end of the arguments, joined by AND. @param charset of their strings; UTF-8 or Latin-1 where absent */
export function readSearchKeys(session: Session, args: Arguments, charset?: string): SearchCriteria {
  const reader = new KeyReader(session, args, charset)
  const key = reader.keys(() => !args.atEnd && args.skip(' '))
  args.end()
  return {
    keyIn: (scope, closeness = 'spellings') => key(scope, closeness),
    usesModSeq: reader.usesModSeq,
    usesFuzzy: reader.usesFuzzy,
  }
}

const flag = (name: string): SearchKey => ({ kind: 'flag', flag: name })
const not = (key: SearchKey): SearchKey => ({ kind: 'not', key })

const plainKeys: Readonly<Record<string, SearchKey>> = {
  ALL: { kind: 'all' },
  ANSWERED: flag('\\Answered'),
  DELETED: flag('\\Deleted'),
  DRAFT: flag('\\Draft'),
  FLAGGED: flag('\\Flagged'),
  SEEN: flag('\\Seen'),
  UNANSWERED: not(flag('\\Answered')),
  UNDELETED: not(flag('\\Deleted')),
  UNDRAFT: not(flag('\\Draft')),
  UNFLAGGED: not(flag('\\Flagged')),
  UNSEEN: not(flag('\\Seen')),
  SAVEDATESUPPORTED: { kind: 'all' },
}

const dateKeys: Readonly<Record<string, (day: number) => SearchKey>> = {
  BEFORE: (day) => ({ kind: 'internal-date', period: { to: day } }),
  ON: (day) => ({ kind: 'internal-date', period: { from: day, to: day + dayMs } }),
  SINCE: (day) => ({ kind: 'internal-date', period: { from: day } }),
  SENTBEFORE: (day) => ({ kind: 'sent-date', period: { to: day } }),
  SENTON: (day) => ({ kind: 'sent-date', period: { from: day, to: day + dayMs } }),
  SENTSINCE: (day) => ({ kind: 'sent-date', period: { from: day } }),
  SAVEDBEFORE: (day) => ({ kind: 'saved-date', period: { to: day } }),
  SAVEDON: (day) => ({ kind: 'saved-date', period: { from: day, to: day + dayMs } }),
  SAVEDSINCE: (day) => ({ kind: 'saved-date', period: { from: day } }),
}

const textKeys: Readonly<Record<string, (text: string) => SearchKey>> = {
  BCC: (text) => ({ kind: 'header', name: 'bcc', text }),
  CC: (text) => ({ kind: 'header', name: 'cc', text }),
  FROM: (text) => ({ kind: 'header', name: 'from', text }),
  SUBJECT: (text) => ({ kind: 'header', name: 'subject', text }),
  TO: (text) => ({ kind: 'header', name: 'to', text }),
  BODY: (text) => ({ kind: 'body', text }),
  TEXT: (text) => ({ kind: 'text', text }),
}

const always =
  (key: SearchKey): WrittenKey =>
  () =>
    key

class KeyReader {
  readonly #session: Session
  readonly #args: Arguments
  readonly #charset: string | undefined
  #count = 0
  #depth = 0
  #fuzzyTexts = 0
  #isFuzzy = false
  usesModSeq = false
  usesFuzzy = false

  constructor(session: Session, args: Arguments, charset: string | undefined) {
    this.#session = session
    this.#args = args
    this.#charset = charset
  }

  keys(hasMore: () => boolean): WrittenKey {
    const keys: WrittenKey[] = []
    do keys.push(this.#key())
    while (hasMore())
    if (keys.length === 1) return keys[0]!
    return (...given) => ({ kind: 'and', keys: keys.map((key) => key(...given)) })
  }

  #key(): WrittenKey {
    const args = this.#args
    this.#count += 1
    this.#depth += 1
    if (this.#count > limits.imapSearchKeysMax) throw new BadSyntax('Too many search keys')
    if (this.#depth > limits.imapNestingMax) throw new BadSyntax('Search keys nested too deep')
    try {
      if (args.isListNext()) {
        args.openList()
        const key = this.keys(() => args.skip(' '))
        args.closeList()
        return key
      }
      if (args.isSetNext() && !args.isNext('$') && this.#session.isUidOnly) throw new Refusal(uidRequired)
      if (args.isSetNext()) return this.#numbers(sequenceRanges)
      return this.#named(args.name())
    } finally {
      this.#depth -= 1
    }
  }

  #named(name: string): WrittenKey {
    const args = this.#args
    const plain = own(plainKeys, name)
    if (plain !== undefined) return always(plain)
    if (name === 'RECENT' || name === 'OLD' || name === 'NEW') return recency[name]
    args.sp()
    const onDate = own(dateKeys, name)
    if (onDate !== undefined) return always(onDate(this.#date()))
    const onText = own(textKeys, name)
    if (onText !== undefined) return always(onText(this.#text()))
    switch (name) {
      case 'UID':
        return this.#numbers(uidRanges)
      case 'NOT': {
        const key = this.#key()
        return (...given) => not(key(...given))
      }
      case 'OR': {
        const first = this.#key()
        args.sp()
        const second = this.#key()
        return (...given) => ({ kind: 'or', keys: [first(...given), second(...given)] })
      }
      case 'FUZZY':
        return this.#fuzzy()
      default:
        return always(this.#valued(name))
    }
  }

  #valued(name: string): SearchKey {
    const args = this.#args
    switch (name) {
      case 'KEYWORD':
        return flag(args.atom())
      case 'UNKEYWORD':
        return not(flag(args.atom()))
      case 'LARGER':
        return { kind: 'larger', than: args.number(Number.MAX_SAFE_INTEGER) }
      case 'SMALLER':
        return { kind: 'smaller', than: args.number(Number.MAX_SAFE_INTEGER) }
      case 'HEADER': {
        const field = args.astring().toLowerCase()
        args.sp()
        return { kind: 'header', name: field, text: this.#text() }
      }
      case 'OLDER':
        return { kind: 'internal-date', period: this.#ago('to') }
      case 'YOUNGER':
        return { kind: 'internal-date', period: this.#ago('from') }
      case 'MODSEQ':
        return this.#modSeq()
      case 'EMAILID':
        return { kind: 'content', content: contentOf(args.astring()) }
      case 'THREADID':
        args.astring()
        return not({ kind: 'all' })
      default:
        throw new BadSyntax('Unknown search key')
    }
  }

  /** FUZZY inside FUZZY says nothing new. */
  #fuzzy(): WrittenKey {
    if (this.#isFuzzy) return this.#key()
    this.usesFuzzy = true
    this.#isFuzzy = true
    const key = this.#key()
    this.#isFuzzy = false
    return (scope, closeness) => loosened(key(scope, closeness), closeness)
  }

  /** Numbers that name nothing match nothing, as clients search `1:*` of an empty mailbox. */
  #numbers(rangesIn: (set: NumberSet, scope: SearchScope) => NumberSet): WrittenKey {
    const set = this.#args.set()
    return (scope) => ({ kind: 'uids', ranges: set === '$' ? rangesOf(scope.saved) : rangesIn(set, scope) })
  }

  #text(): string {
    const args = this.#args
    if (this.#isFuzzy) this.#fuzzyTexts += 1
    if (this.#fuzzyTexts > limits.imapFuzzyTextsMax) throw new Refusal(no('Too many fuzzy texts', 'LIMIT'))
    return this.#charset === undefined ? args.astring() : decodeCharset(args.astringOctets(), this.#charset)
  }

  #date(): number {
    const day = parseDate(this.#args.astring())
    if (day === undefined) throw new BadSyntax('Invalid date')
    return day
  }

  #ago(end: 'from' | 'to'): Period {
    const at = this.#session.context.ambient.clock.nowMs() - this.#args.number() * 1000
    return { [end]: end === 'to' ? at + 1 : at }
  }

  #modSeq(): SearchKey {
    const args = this.#args
    this.usesModSeq = true
    this.#session.enabled.add('CONDSTORE')
    if (args.isNext('"')) {
      // Which flag changed is not kept: any change counts (RFC 7162 §3.1.5 allows it).
      args.string()
      args.sp()
      if (!['ALL', 'PRIV', 'SHARED'].includes(args.name())) throw new BadSyntax('Unknown kind of entry')
      args.sp()
    }
    return { kind: 'changed-since', modSeq: args.number(Number.MAX_SAFE_INTEGER) as ModSeq }
  }
}

const recent: WrittenKey = ({ recent }) => ({ kind: 'uids', ranges: recent })
const recency: Readonly<Record<'RECENT' | 'OLD' | 'NEW', WrittenKey>> = {
  RECENT: recent,
  OLD: (...given) => not(recent(...given)),
  NEW: (...given) => ({ kind: 'and', keys: [recent(...given), not(flag('\\Seen'))] }),
}

const own = <T>(table: Readonly<Record<string, T>>, name: string): T | undefined =>
  Object.hasOwn(table, name) ? table[name] : undefined

const contentOf = (emailId: string): ContentId | undefined =>
  emailId.startsWith('M') ? parseContentId(emailId.slice(1)) : undefined

/** Search keys of IMAP (RFC 9051 §6.4.4, RFC 5032, 7162, 8474, 8514) → the core's query. */
import { limits } from '../../core/limits.ts'
import type { ContentId, ModSeq } from '../../core/ids.ts'
import { parseContentId } from '../../core/ids.ts'
import type { Period, SearchKey } from '../../core/mailbox/search.ts'
import { type Arguments, BadSyntax } from './arguments.ts'
import { dayMs, parseDate } from './dates.ts'
import type { Session } from './session.ts'

/** Keys up to the end of the arguments, joined by AND. */
export function readSearchKeys(
  session: Session,
  args: Arguments,
): { readonly key: SearchKey; readonly usesModSeq: boolean } {
  const reader = new KeyReader(session, args)
  const key = reader.keys(() => !args.atEnd && args.skip(' '))
  args.end()
  return { key, usesModSeq: reader.usesModSeq }
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

class KeyReader {
  readonly #session: Session
  readonly #args: Arguments
  #count = 0
  #depth = 0
  usesModSeq = false

  constructor(session: Session, args: Arguments) {
    this.#session = session
    this.#args = args
  }

  keys(hasMore: () => boolean): SearchKey {
    const keys: SearchKey[] = []
    do keys.push(this.#key())
    while (hasMore())
    return keys.length === 1 ? keys[0]! : { kind: 'and', keys }
  }

  #key(): SearchKey {
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
      if (args.isSetNext()) return this.#numbers('seq')
      return this.#named(args.name())
    } finally {
      this.#depth -= 1
    }
  }

  #named(name: string): SearchKey {
    const args = this.#args
    const plain = own(plainKeys, name)
    if (plain !== undefined) return plain
    const recent = this.#recent(name)
    if (recent !== undefined) return recent
    args.sp()
    const onDate = own(dateKeys, name)
    if (onDate !== undefined) return onDate(this.#date())
    const onText = own(textKeys, name)
    if (onText !== undefined) return onText(args.astring())
    switch (name) {
      case 'UID':
        return this.#numbers('uid')
      case 'NOT':
        return { kind: 'not', key: this.#key() }
      case 'OR': {
        const first = this.#key()
        args.sp()
        return { kind: 'or', keys: [first, this.#key()] }
      }
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
        return { kind: 'header', name: field, text: args.astring() }
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

  #recent(name: string): SearchKey | undefined {
    if (name !== 'RECENT' && name !== 'OLD' && name !== 'NEW') return undefined
    const ranges = this.#session.isRev2 ? [] : this.#session.selected.recentRanges
    const recent: SearchKey = { kind: 'uids', ranges }
    if (name === 'RECENT') return recent
    return name === 'OLD' ? not(recent) : { kind: 'and', keys: [recent, not(flag('\\Seen'))] }
  }

  /** Numbers that name nothing match nothing; in sequence numbers too, as clients search `1:*` of an empty mailbox. */
  #numbers(kind: 'uid' | 'seq'): SearchKey {
    const set = this.#args.set()
    const view = this.#session.selected
    const uids = set === '$' ? this.#session.savedSearch : (view.resolve(set, kind) ?? [])
    if (set !== '$' && kind === 'seq' && view.count > 0 && view.resolve(set, kind) === undefined) {
      throw new BadSyntax('No such message number')
    }
    return { kind: 'uids', ranges: rangesOf(uids) }
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
      args.name()
      args.sp()
    }
    return { kind: 'changed-since', modSeq: args.number(Number.MAX_SAFE_INTEGER) as ModSeq }
  }
}

const own = <T>(table: Readonly<Record<string, T>>, name: string): T | undefined =>
  Object.hasOwn(table, name) ? table[name] : undefined

const contentOf = (emailId: string): ContentId | undefined =>
  emailId.startsWith('M') ? parseContentId(emailId.slice(1)) : undefined

function rangesOf(uids: readonly number[]): { from: number; to: number }[] {
  const ranges: { from: number; to: number }[] = []
  for (const uid of uids) {
    const last = ranges.at(-1)
    if (last !== undefined && uid === last.to + 1) last.to = uid
    else ranges.push({ from: uid, to: uid })
  }
  return ranges
}

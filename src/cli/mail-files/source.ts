/** What the readers of files share: messages as they are found, and what was left out. */
import type { MailProblem } from '../../core/control-views.ts'
import { limits } from '../../core/limits.ts'
import { parseMailboxName } from '../../core/mailbox/names.ts'
import type { Flag } from '../../core/mailbox/mailbox.ts'
import type { MessageHead } from '../../core/transfer/mail-stream.ts'

/** Where an import stands, for who watches it. */
export interface ImportCounts {
  bytes: number
  messages: number
  problems: number
  readonly reports: MailProblem[]
}

export const newCounts = (): ImportCounts => ({ bytes: 0, messages: 0, problems: 0, reports: [] })

export function report(counts: ImportCounts, name: string, reason: string): void {
  counts.problems += 1
  if (counts.reports.length < limits.importReportsMax) counts.reports.push({ name, reason })
}

/** Flags that no mailbox may have are left out; a date that makes no sense becomes now. */
export function headOf({
  mailbox,
  flags,
  dateMs,
  name,
}: {
  readonly mailbox: string
  readonly flags: readonly Flag[]
  readonly dateMs: number
  readonly name: string
}): MessageHead {
  const usable = flags.filter(
    (flag) => systemFlag.test(flag) || (keyword.test(flag) && flag.length <= limits.keywordOctetsMax),
  )
  return {
    mailbox,
    flags: [...new Set(usable)].slice(0, limits.keywordsMax),
    dateMs: Number.isFinite(dateMs) && dateMs >= 0 ? Math.floor(dateMs) : Date.now(),
    name: name.slice(-limits.transferNameCharsMax),
  }
}

const systemFlag = /^\\(?:Seen|Answered|Flagged|Deleted|Draft)$/
const keyword = /^[!#$&'+,\-./0-9:;<=>?@A-Z[^_`a-z|}~]+$/

/** `undefined` for a folder whose name no mailbox may have. */
export const mailboxUnder = (root: string | undefined, levels: readonly string[]): string | undefined =>
  parseMailboxName([...(root === undefined ? [] : [root]), ...levels].join('/') || 'INBOX')

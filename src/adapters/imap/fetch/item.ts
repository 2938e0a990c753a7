/** What FETCH can be asked for: one file each beside this one, joined in `items.ts`. */
import type { ContentId, Uid } from '../../../core/ids.ts'
import type { MailboxColumns } from '../../../core/mailbox/mailbox.ts'
import type { Tagged } from '../responses.ts'
import type { Session } from '../session.ts'
import type { Summary } from '../summary.ts'

/** The message being written. Columns and index hold only until something waits: items that wait come last. */
export interface FetchTarget {
  readonly session: Session
  readonly columns: MailboxColumns
  readonly index: number
  readonly uid: Uid
  /** Where any item `needs` it. */
  readonly content: ContentId | undefined
  readonly summary: Summary | undefined
}

export interface FetchItem {
  /** `columns`: answered from the index; `summary`: from what was made at delivery; `content`: the message is read. */
  readonly needs: 'columns' | 'summary' | 'content'
  /** Reading it marks the message as seen. */
  readonly setsSeen?: boolean
  /** Why it cannot be given; asked before anything of the message is written. */
  refuse?(summary: Summary): Tagged | undefined
  /** Name and value, without spaces around. */
  write(target: FetchTarget): void | Promise<void>
}

/** Items answered from the index: UID, FLAGS, INTERNALDATE, RFC822.SIZE, MODSEQ, SAVEDATE, EMAILID, THREADID. */
import { dateTime } from '../encoder.ts'
import type { FetchItem, FetchTarget } from './item.ts'

const column = (text: (target: FetchTarget) => string): FetchItem => ({
  needs: 'columns',
  write: (target) => target.session.out.text(text(target)),
})

export const uid = column(({ uid }) => `UID ${uid}`)
export const flags = column(({ session, index, uid }) => `FLAGS (${session.flagsAt(index, uid)})`)
export const internalDate = column(({ columns, index }) => `INTERNALDATE ${dateTime(columns.internalDateAt(index))}`)
export const size = column(({ columns, index }) => `RFC822.SIZE ${columns.sizeAt(index)}`)
export const modSeq = column(({ columns, index }) => `MODSEQ (${columns.modSeqAt(index)})`)
/** RFC 8514. */
export const saveDate = column(({ columns, index }) => `SAVEDATE ${dateTime(columns.savedAt(index))}`)
/** RFC 8474: equal for equal bytes within an account. */
export const emailId = column(({ columns, index }) => `EMAILID (M${columns.contentAt(index)})`)
/** RFC 8474 §5.2 allows a server that does not thread to say so. */
export const threadId = column(() => 'THREADID NIL')

/** Items answered from the index: UID, FLAGS, INTERNALDATE, RFC822.SIZE, MODSEQ, SAVEDATE, EMAILID, THREADID. */
import { dateTime } from '../encoder.ts'
import type { FetchItem, FetchTarget } from './item.ts'

const text = (write: (target: FetchTarget) => string): FetchItem => ({
  needs: 'columns',
  write: (target) => target.session.out.text(write(target)),
})

const number = (before: string, value: (target: FetchTarget) => number, after = ''): FetchItem => ({
  needs: 'columns',
  write(target) {
    const { out } = target.session
    out.text(before)
    out.number(value(target))
    out.text(after)
  },
})

export const uid = number('UID ', (target) => target.uid)
export const flags: FetchItem = {
  needs: 'columns',
  write({ session, columns, index, uid: of }) {
    session.out.text('FLAGS (')
    session.out.text(session.flagsAt(columns, index, of))
    session.out.text(')')
  },
}
export const internalDate = text(({ columns, index }) => `INTERNALDATE ${dateTime(columns.internalDateAt(index))}`)
export const size = number('RFC822.SIZE ', ({ columns, index }) => columns.sizeAt(index))
export const modSeq = number('MODSEQ (', ({ columns, index }) => columns.modSeqAt(index), ')')
/** RFC 8514. */
export const saveDate = text(({ columns, index }) => `SAVEDATE ${dateTime(columns.savedAt(index))}`)
/** RFC 8474: equal for equal bytes within an account. */
export const emailId = text(({ columns, index }) => `EMAILID (M${columns.contentAt(index)})`)
/** RFC 8474 §5.2 allows a server that does not thread to say so. */
export const threadId = text(() => 'THREADID NIL')

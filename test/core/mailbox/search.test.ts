import fc from 'fast-check'
import { expect, test } from 'vitest'
import { fromUtf8 } from '../../../src/core/bytes.ts'
import { unreachable } from '../../../src/core/errors.ts'
import type { ContentId, ModSeq, Uid } from '../../../src/core/ids.ts'
import { foldText, prepareQuery, search, type SearchKey, type SearchSubject } from '../../../src/core/mailbox/search.ts'
import { parseHeaders } from '../../../src/core/message/header.ts'

interface Mail {
  readonly subject: string
  readonly body: string
  readonly flags: readonly string[]
  readonly size: number
  readonly day: number
}

const dayMs = 86_400_000

function subjectOf(mails: readonly Mail[], uid: Uid): SearchSubject | undefined {
  const mail = mails[uid - 1]
  if (mail === undefined) return undefined
  const bytes = fromUtf8(`Subject: ${mail.subject}\r\nX-Other: no\r\n\r\n${mail.body}\r\n`)
  return {
    uid,
    flags: mail.flags,
    internalDateMs: mail.day * dayMs + 5,
    savedMs: 0,
    size: mail.size,
    modSeq: uid as number as ModSeq,
    content: '' as ContentId,
    header: async () => await Promise.resolve(parseHeaders(bytes).fields),
    message: () => bytes,
  }
}

/** The same, said plainly. */
function model(key: SearchKey, mail: Mail, uid: number): boolean {
  switch (key.kind) {
    case 'flag':
      return mail.flags.includes(key.flag)
    case 'uids':
      return key.ranges.some(({ from, to }) => uid >= from && uid <= to)
    case 'larger':
      return mail.size > key.than
    case 'internal-date':
      return mail.day * dayMs + 5 >= (key.period.from ?? 0) && mail.day * dayMs + 5 < (key.period.to ?? Infinity)
    case 'header':
      return foldText(mail.subject).includes(foldText(key.text))
    case 'body':
      return foldText(mail.body).includes(foldText(key.text))
    case 'text':
      return (
        foldText(`subject: ${mail.subject}\nx-other: no`).includes(foldText(key.text)) ||
        foldText(mail.body).includes(foldText(key.text))
      )
    case 'not':
      return !model(key.key, mail, uid)
    case 'and':
      return key.keys.every((inner) => model(inner, mail, uid))
    case 'or':
      return key.keys.some((inner) => model(inner, mail, uid))
    case 'all':
    case 'changed-since':
    case 'content':
    case 'saved-date':
    case 'sent-date':
    case 'smaller':
      return true
    default:
      return unreachable(key)
  }
}

const word = fc.constantFrom('tea', 'Tea', 'Käse', 'käse', 'x')
const mails = fc.array(
  fc.record({
    subject: word,
    body: fc.array(word).map((words) => words.join(' ')),
    flags: fc.subarray(['\\Seen', '\\Flagged', '$Junk']),
    size: fc.nat(5),
    day: fc.nat(3),
  }),
  { maxLength: 5 },
)
const { key } = fc.letrec<{ key: SearchKey }>((tie) => ({
  key: fc.oneof(
    { maxDepth: 4 },
    fc.constant<SearchKey>({ kind: 'all' }),
    fc.constantFrom('\\Seen', '\\Flagged', '$Junk').map((flag): SearchKey => ({ kind: 'flag', flag })),
    fc.nat(5).map((than): SearchKey => ({ kind: 'larger', than })),
    fc.nat(3).map((day): SearchKey => ({ kind: 'internal-date', period: { from: day * dayMs } })),
    fc.integer({ min: 1, max: 5 }).map((uid): SearchKey => ({ kind: 'uids', ranges: [{ from: uid, to: uid + 1 }] })),
    word.map((text): SearchKey => ({ kind: 'header', name: 'subject', text })),
    word.map((text): SearchKey => ({ kind: 'body', text })),
    word.map((text): SearchKey => ({ kind: 'text', text })),
    tie('key').map((inner): SearchKey => ({ kind: 'not', key: inner })),
    fc.array(tie('key'), { maxLength: 3 }).map((keys): SearchKey => ({ kind: 'and', keys })),
    fc.array(tie('key'), { maxLength: 3 }).map((keys): SearchKey => ({ kind: 'or', keys })),
  ),
}))

test('finds what a plain reading of the query finds', async () => {
  await fc.assert(
    fc.asyncProperty(mails, key, async (mails, key) => {
      const uids = mails.map((_, index) => (index + 1) as Uid)
      const { signal } = new AbortController()
      const found = await search(uids, (uid) => subjectOf(mails, uid), prepareQuery(key), { signal })
      expect(found).toEqual(uids.filter((uid) => model(key, mails[uid - 1]!, uid)))
    }),
    { numRuns: 300 },
  )
})

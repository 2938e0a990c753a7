import fc from 'fast-check'
import { expect, test } from 'vitest'
import { fromUtf8 } from '../../../src/core/bytes.ts'
import { unreachable } from '../../../src/core/errors.ts'
import type { Uid } from '../../../src/core/ids.ts'
import type { SearchKey } from '../../../src/core/mailbox/search.ts'
import { foldText } from '../../../src/core/message/searchable-text.ts'
import { addAccounts, alice, type Home, temporaryHouse } from './support.ts'

interface Mail {
  readonly subject: string
  readonly body: string
  readonly flags: readonly string[]
  readonly size: number
  readonly day: number
}

const dayMs = 86_400_000

async function append({ store, mailboxes }: Home, mails: readonly Mail[]): Promise<readonly Uid[]> {
  const { id } = mailboxes.byName(alice, 'INBOX')!
  return await store.write((tx) => {
    const items = mails.map(({ subject, body, flags, size, day }) => {
      const text = `Subject: ${subject}\r\nX-Other: no\r\n\r\n${body}\r\n`
      const { content } = mailboxes.storeInline(tx, alice, fromUtf8(text))
      return { content, size, flags, internalDateMs: day * dayMs + 5 }
    })
    return mailboxes.append(tx, alice, id, items)
  })
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

const words = ['tea', 'Tea', 'Käse', 'käse', 'x']
const word = fc.constantFrom(...words)
const mails: readonly Mail[] = Array.from({ length: 60 }, (_, index) => ({
  subject: words[index % words.length]!,
  body: words.filter((_, at) => (index >> at) % 2 === 1).join(' '),
  flags: ['\\Seen', '\\Flagged', '$Junk'].filter((_, at) => ((index * 7) >> at) % 2 === 1),
  size: index % 6,
  day: index % 4,
}))
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

test('finds what a plain reading of the query finds, with and without an index', async () => {
  using house = temporaryHouse()
  await using home = await house.open()
  await addAccounts(home, house)
  const indexed = await append(home, mails.slice(0, 40))
  await home.mailboxes.indexNow()
  const uids = [...indexed, ...(await append(home, mails.slice(40)))]
  expect(home.mailboxes.searchIndex(alice)).toEqual({ messages: 60, waiting: 20 })
  const { id } = home.mailboxes.byName(alice, 'INBOX')!
  const { signal } = new AbortController()
  await fc.assert(
    fc.asyncProperty(key, fc.subarray(uids), async (key, asked) => {
      const found = await home.mailboxes.search(alice, id, asked, key, { signal })
      expect(found).toEqual(asked.filter((uid) => model(key, mails[uid - 1]!, uid)))
    }),
    { numRuns: 300 },
  )
})

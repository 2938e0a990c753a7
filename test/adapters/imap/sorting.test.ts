import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { baseSubject } from '../../../src/adapters/imap/sort/base-subject.ts'
import { collationKey } from '../../../src/adapters/imap/sort/casemap.ts'
import { messageIds } from '../../../src/adapters/imap/sort/message-ids.ts'
import { sentDate } from '../../../src/adapters/imap/sort/sent-date.ts'
import { Client } from './client.ts'
import { openTestServer } from './server.ts'

describe('the base subject (RFC 5256 §2.1)', () => {
  test.each([
    ['Re: hello', 'hello', true],
    ['hello', 'hello', false],
    ['RE: re:\tFwd:  Re: hello', 'hello', true],
    ['fw: hello', 'hello', true],
    ['[list] hello', 'hello', false],
    ['[list] Re: [other] hello', 'hello', true],
    ['Re [2]: hello', 'hello', true],
    ['Re[list]: hello', 'hello', true],
    ['hello (fwd)', 'hello', true],
    ['hello (FWD) (fwd)  ', 'hello', true],
    ['[fwd: hello]', 'hello', true],
    ['[Fwd: [list] Re: hello (fwd)]', 'hello', true],
    ['Re: [fwd: [fwd: hello]]', 'hello', true],
    ['[only]', '[only]', false],
    ['[one] [two]', '[two]', false],
    ['Re:', '', true],
    ['', '', false],
    ['Ref: hello', 'Ref: hello', false],
    ['Rehearsal', 'Rehearsal', false],
    ['a  b\t\tc', 'a b c', false],
    ['[fwd: half', '[fwd: half', false],
    ['=?utf-8?q?Re=3A_caf=C3=A9?=', 'café', true],
    ['[a[b]] Re: x', '[a[b]] Re: x', false],
    ['[fwd:]', '', true],
  ] as const)('of %j is %j', (subject, base, isReply) => {
    expect(baseSubject(subject)).toEqual({ base, isReply })
  })

  test('is the same once it is found, whatever surrounds it', () => {
    const word = fc.constantFrom('Re: ', 'fwd: ', '[list] ', ' ', 'FW [x]: ', 'Re[1]:')
    fc.assert(
      fc.property(fc.array(word), fc.stringMatching(/^[a-z]{3,9} [a-z]{3,9}$/), (marks, words) => {
        const base = `zz${words}`
        expect(baseSubject(`${marks.join('')}${base} (fwd) `).base).toBe(base)
      }),
    )
  })

  test('of garbage is found, and in time', () => {
    const noise = fc.constantFrom('[', ']', 're', ':', ' ', '(fwd)', '[fwd:', 'a')
    fc.assert(
      fc.property(fc.array(noise, { maxLength: 60 }), (parts) => {
        const { base } = baseSubject(parts.join(''))
        expect(base.length).toBeLessThanOrEqual(parts.join('').length)
        expect(base).toBe(base.trim())
      }),
    )
    for (const part of ['[a]', 're:', '[fwd:', 're[', '(fwd)', ' ']) baseSubject(part.repeat(200_000))
  })
})

describe('the date of a message', () => {
  test.each([
    ['Mon, 2 Feb 2026 10:00:00 +0100', '2026-02-02T09:00:00Z'],
    ['2 Feb 2026 10:00 EST', '2026-02-02T15:00:00Z'],
    ['Tue, 31 Dec 1996 23:59:59 -0830', '1997-01-01T08:29:59Z'],
    ['2 Feb 96 10:00:00 GMT', '1996-02-02T10:00:00Z'],
    ['2 Feb 26 10:00:00 Z', '2026-02-02T10:00:00Z'],
    ['2 Feb 126 10:00:00 +0000', '2026-02-02T10:00:00Z'],
    ['2-Feb-2026 10:00:00 (a comment)', '2026-02-02T10:00:00Z'],
    ['2 February 2026', '2026-02-02T00:00:00Z'],
    ['2 Feb 2026 24:00:00 +0100', '2026-02-02T00:00:00Z'],
    ['2 Feb 2026 10:00:00 +0199', '2026-02-02T10:00:00Z'],
    ['2 Feb 2026 10:00:00 nowhere', '2026-02-02T10:00:00Z'],
  ])('%s', (field, instant) => {
    expect(new Date(sentDate(field)!).toISOString()).toBe(instant.replace('Z', '.000Z'))
  })
  test.each(['', 'yesterday', '31 Feb 2026 10:00:00 +0000', '0 Feb 2026', '2 Foo 2026'])('%j names no day', (field) => {
    expect(sentDate(field)).toBeUndefined()
  })
})

describe('collation by i;unicode-casemap (RFC 5051)', () => {
  test.each([
    ['straße', 'STRAßE'],
    ['Ǆ', 'ǆ'],
    ['É', 'e\u0301'],
    ['ᾀ', 'ᾈ'],
    ['ა', 'ა'],
  ])('%s equals %s', (a, b) => {
    expect(collationKey(a)).toBe(collationKey(b))
  })
  test('orders by octets of UTF-8', () => {
    const words = ['b', 'A', 'á', 'z', '\u{1F600}', '\uFFFD', 'ab', '']
    const sorted = words.toSorted((a, b) => (collationKey(a) < collationKey(b) ? -1 : 1))
    expect(sorted).toEqual(['', 'A', 'ab', 'á', 'b', 'z', '\uFFFD', '\u{1F600}'])
  })
  test('does not care about case, and a second time changes nothing', () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        expect(collationKey(text.toLowerCase())).toBe(collationKey(text.toUpperCase().toLowerCase()))
      }),
    )
  })
})

test('Message-IDs come in one spelling, and what is none is passed over', () => {
  expect(messageIds('<a@b> junk <"c\\"d"@e> <no> <@x> <y@> <f @\tg> <<h@i>> <j')).toEqual([
    'a@b',
    'c"d@e',
    'f@g',
    'h@i',
  ])
})

const people = ['Zoe <zoe@x>', 'adam@x', '"ÄNNE" <b@x>', 'ann@x', '']
const subjects = ['Apples', 're: apples', 'Bananas', '[list] apples (fwd)', 'Äpfel', '']
const day = fc.integer({ min: 1, max: 28 })

test('SORT gives what a plain sort of the same keys gives', async () => {
  await using server = await openTestServer()
  await using client = await Client.loggedIn(server.port)
  const drawn = fc.record({
    from: fc.constantFrom(...people),
    subject: fc.constantFrom(...subjects),
    day,
    body: fc.integer({ min: 0, max: 9 }),
  })
  const mails = fc.sample(drawn, { numRuns: 120, seed: 7 })
  const sizes: number[] = []
  for (const { from, subject, day: date, body } of mails) {
    const mail = `From: ${from}\r\nSubject: ${subject}\r\nDate: ${date} Feb 2026 10:00:00 +0000\r\n\r\n${'x'.repeat(body)}`
    sizes.push(Buffer.byteLength(mail))
    await server.deliver(mail)
  }
  await client.ok('SELECT INBOX')
  const locals: Readonly<Record<string, string>> = {
    'Zoe <zoe@x>': 'ZOE',
    'adam@x': 'ADAM',
    'ann@x': 'ANN',
    '"ÄNNE" <b@x>': 'B',
  }
  const keyOf: Readonly<Record<string, (at: number) => string | number>> = {
    DATE: (at) => mails[at]!.day,
    SIZE: (at) => sizes[at]!,
    SUBJECT: (at) => collationKey(baseSubject(mails[at]!.subject).base),
    FROM: (at) => locals[mails[at]!.from] ?? '',
    ARRIVAL: () => 0,
  }
  const criterion = fc.tuple(fc.boolean(), fc.constantFrom(...Object.keys(keyOf)))
  await fc.assert(
    fc.asyncProperty(fc.array(criterion, { minLength: 1, maxLength: 4 }), async (criteria) => {
      const wanted = mails
        .map((_mail, at) => at)
        .toSorted((a, b) => {
          for (const [isReverse, name] of criteria) {
            const [one, other] = [keyOf[name]!(a), keyOf[name]!(b)]
            if (one !== other) return one < other === isReverse ? 1 : -1
          }
          return a - b
        })
      const written = criteria.map(([isReverse, name]) => `${isReverse ? 'REVERSE ' : ''}${name}`).join(' ')
      const [line] = await client.ok(`SORT (${written}) UTF-8 ALL`)
      expect(line).toBe(`* SORT ${wanted.map((at) => at + 1).join(' ')}`)
    }),
    { numRuns: 30 },
  )
})

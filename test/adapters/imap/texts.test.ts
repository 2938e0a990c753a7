import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { parseDate, parseDateTime } from '../../../src/adapters/imap/dates.ts'
import { dateTime, imapString } from '../../../src/adapters/imap/encoder.ts'
import { formatNumberSet, parseNumberSet, resolveNumberSet } from '../../../src/adapters/imap/number-set.ts'
import { inRanges } from '../../../src/core/mailbox/search.ts'
import { decodeUtf7, encodeUtf7 } from '../../../src/core/mailbox/utf7.ts'

describe('number sets', () => {
  test('what is written reads back as the same numbers', () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.integer({ min: 1, max: 300 }), { minLength: 1 }), (numbers) => {
        const sorted = numbers.toSorted((a, b) => a - b)
        const ranges = resolveNumberSet(parseNumberSet(formatNumberSet(sorted))!, 300)
        const back = ranges.flatMap(({ from, to }) => Array.from({ length: to - from + 1 }, (_, index) => from + index))
        expect(back).toEqual(sorted)
      }),
    )
  })

  test('resolved ranges ascend, do not touch, and hold exactly what the set names', () => {
    const end = fc.oneof(fc.integer({ min: 1, max: 40 }), fc.constant(Infinity))
    fc.assert(
      fc.property(
        fc.array(fc.record({ from: end, to: end }), { minLength: 1, maxLength: 8 }),
        fc.nat(40),
        (set, highest) => {
          const ranges = resolveNumberSet(set, highest)
          for (const [index, range] of ranges.entries()) {
            expect(range.to).toBeGreaterThanOrEqual(range.from)
            if (index > 0) expect(range.from).toBeGreaterThan(ranges[index - 1]!.to + 1)
          }
          for (let value = 1; value <= 45; value += 1) {
            const named = set.some(({ from, to }) => {
              const hasStar = from === Infinity || to === Infinity
              if (hasStar) return highest > 0 && value <= highest && value >= Math.min(from, to, highest)
              return value >= Math.min(from, to) && value <= Math.max(from, to)
            })
            expect(inRanges(ranges, value)).toBe(named)
          }
        },
      ),
    )
  })

  test.each(['', '0', '1:', ':1', '1,', 'a', '4294967296', '1:2:3', '-1', '1 2', '**'])('%s is none', (text) => {
    expect(parseNumberSet(text)).toBeUndefined()
  })

  test('a set of too many ranges is refused, in time', () => {
    expect(parseNumberSet('1,'.repeat(100_000))).toBeUndefined()
  })
})

describe('modified UTF-7', () => {
  test.each([
    ['Entwürfe', 'Entw&APw-rfe'],
    ['A&B', 'A&-B'],
    ['~peter/mail/台北/日本語', '~peter/mail/&U,BTFw-/&ZeVnLIqe-'],
    ['😀', '&2D3eAA-'],
  ])('%s', (name, encoded) => {
    expect(encodeUtf7(name)).toBe(encoded)
    expect(decodeUtf7(encoded)).toBe(name)
  })

  test('every well-formed name comes back', () => {
    const name = fc.string({ unit: 'binary' }).filter((text) => text.isWellFormed())
    fc.assert(
      fc.property(name, (text) => {
        expect(decodeUtf7(encodeUtf7(text))).toBe(text)
      }),
    )
  })

  test.each(['&', 'a&b', '&AGE-', '&!!-', 'caf\u00e9', '&2D0-', '&AA-'])('%s is refused', (text) => {
    expect(decodeUtf7(text)).toBeUndefined()
  })
})

describe('dates', () => {
  test('internal dates come back, to the second', () => {
    fc.assert(
      fc.property(fc.date({ min: new Date(0), max: new Date('2200-01-01'), noInvalidDate: true }), (date) => {
        const seconds = Math.floor(date.getTime() / 1000) * 1000
        expect(parseDateTime(dateTime(seconds).slice(1, -1))).toBe(seconds)
      }),
    )
  })

  test.each(['31-Feb-2020', '1-Foo-2020', '0-Jan-2020', '1-Jan-20', ''])('%s is no date', (text) => {
    expect(parseDate(text)).toBeUndefined()
  })
})

test('strings hold any octets but NUL', () => {
  fc.assert(
    fc.property(
      fc.string({ unit: fc.integer({ min: 0, max: 255 }).map((octet) => String.fromCharCode(octet)) }),
      (octets) => {
        const written = imapString(octets)
        const literal = /^\{(\d+)\}\r\n/.exec(written)
        const kept = octets.replaceAll('\0', '')
        if (literal === null) expect(JSON.parse(written)).toBe(kept)
        else expect([Number(literal[1]), written.slice(literal[0].length)]).toEqual([kept.length, kept])
      },
    ),
  )
})

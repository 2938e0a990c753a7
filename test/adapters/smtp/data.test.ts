import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { DataDecoder } from '../../../src/adapters/smtp/data.ts'
import { concat, fromLatin1, toLatin1 } from '../../../src/core/bytes.ts'

interface Decoded {
  readonly text: string
  readonly rest: string
  readonly isDone: boolean
  readonly isMalformed: boolean
}

/** Decodes `whole` in pieces cut at `cuts`. */
function decode(whole: string, cuts: readonly number[] = []): Decoded {
  const decoder = new DataDecoder()
  const bytes = fromLatin1(whole)
  const ends = [...cuts.map((cut) => cut % (bytes.length + 1)).sort((a, b) => a - b), bytes.length]
  const text: Uint8Array[] = []
  let rest = ''
  let start = 0
  for (const end of ends) {
    const piece = bytes.slice(start, end)
    start = end
    if (decoder.isDone) rest += toLatin1(piece)
    else {
      const decoded = decoder.feed(piece)
      text.push(decoded.text)
      rest += toLatin1(decoded.rest)
    }
  }
  return { text: toLatin1(concat(...text)), rest, isDone: decoder.isDone, isMalformed: decoder.isMalformed }
}

/** What a client does (RFC 5321 §4.5.2). `text` must be empty or end with CRLF. */
const stuff = (text: string): string => `${text.replaceAll(/^\./gm, '..')}.\r\n`

const line = fc.string({ maxLength: 12, unit: fc.constantFrom('a', '.', ' ', 'ÿ', '\t') })
const message = fc.array(line, { maxLength: 12 }).map((lines) => lines.map((one) => `${one}\r\n`).join(''))

test('what a client stuffs comes out unchanged, however it is cut, and what follows is kept', () => {
  fc.assert(
    fc.property(
      message,
      fc.constantFrom('', 'MAIL FROM:<a@b>\r\n', '.\r\n'),
      fc.array(fc.nat(), { maxLength: 40 }),
      (text, after, cuts) => {
        expect(decode(stuff(text) + after, cuts)).toEqual({ text, rest: after, isDone: true, isMalformed: false })
      },
    ),
    { numRuns: 1000 },
  )
})

test('any bytes give the same result however they are cut', () => {
  const bytes = fc.string({ maxLength: 60, unit: fc.constantFrom('\r', '\n', '.', 'a', '\0', '\r\n', '\r\n.') })
  fc.assert(
    fc.property(bytes, fc.array(fc.nat(), { maxLength: 40 }), (whole, cuts) => {
      const once = decode(whole)
      const cut = decode(whole, cuts)
      expect({ ...cut, text: '' }).toEqual({ ...once, text: '' })
      if (!once.isMalformed) expect(cut.text).toBe(once.text)
    }),
    { numRuns: 3000 },
  )
})

test('only CRLF.CRLF ends a message, and a message with any other CR, LF or NUL is malformed', () => {
  const bytes = fc.string({ maxLength: 40, unit: fc.constantFrom('\r', '\n', '.', 'a', '\0', '\r\n', '\r\n.\r\n') })
  fc.assert(
    fc.property(bytes, (whole) => {
      const end = `\r\n${whole}`.indexOf('\r\n.\r\n')
      const decoded = decode(whole)
      expect(decoded.isDone).toBe(end >= 0)
      const body = end < 0 ? whole : whole.slice(0, end)
      if (end >= 0) expect(decoded.rest).toBe(whole.slice(end + 3))
      // A CR at the very end of what has arrived may still become a CRLF.
      const isBad = /\0|\r(?!\n|$)|(?<!\r)\n/.test(body)
      expect(decoded.isMalformed).toBe(isBad)
    }),
    { numRuns: 3000 },
  )
})

describe('smuggling: every published end that some server takes for one', () => {
  const variants: readonly (readonly [string, string])[] = [
    ['LF.LF (SEC Consult 2023)', '\n.\n'],
    ['LF.CRLF (SEC Consult 2023, Postfix, Sendmail)', '\n.\r\n'],
    ['CR.CR (SEC Consult 2023)', '\r.\r'],
    ['CR.CRLF', '\r.\r\n'],
    ['CRLF.LF', '\r\n.\n'],
    ['CRLF.CR (Cisco)', '\r\n.\r'],
    ['CR.LF', '\r.\n'],
    ['LF.CR', '\n.\r'],
    ['CRLF NUL.CRLF (Exim, Sendmail)', '\r\n\0.\r\n'],
    ['CRLF.NUL CRLF', '\r\n.\0\r\n'],
    ['CR CR LF.CR CR LF', '\r\r\n.\r\r\n'],
    ['LF CR.LF CR', '\n\r.\n\r'],
    ['CRLF.CR CR LF', '\r\n.\r\r\n'],
    ['CRLF NUL LF.CRLF', '\r\n\0\n.\r\n'],
  ]
  test.each(variants)('%s', (_, variant) => {
    const smuggled = `Subject: a\r\n\r\nb${variant}MAIL FROM:<mallory@far.myc>\r\nRCPT TO:<bob@far.myc>\r\nDATA\r\nSubject: c\r\n\r\nd`
    const decoded = decode(`${smuggled}\r\n.\r\nNOOP\r\n`)
    expect(decoded).toMatchObject({ isDone: true, isMalformed: true, rest: 'NOOP\r\n' })
  })
})

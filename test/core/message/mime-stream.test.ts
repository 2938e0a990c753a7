import { isDeepStrictEqual } from 'node:util'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { fromLatin1 } from '../../../src/core/bytes.ts'
import { limits } from '../../../src/core/limits.ts'
import { type MimePart, parseMime } from '../../../src/core/message/mime.ts'
import { MimeStream } from '../../../src/core/message/mime-stream.ts'

/** Cut into pieces of these lengths, over and over. */
function streamed(bytes: Uint8Array, lengths: readonly number[]): MimePart {
  const stream = new MimeStream()
  for (let at = 0, turn = 0; at < bytes.length; turn += 1) {
    const length = lengths[turn % lengths.length]!
    stream.push(bytes.subarray(at, at + length))
    at += length
  }
  return stream.finish()
}

/** Everything, header values included. */
const plain = (part: MimePart): unknown => ({
  ...part,
  headers: {
    ...part.headers,
    fields: part.headers.fields.map(({ name, start, end, value }) => [name, start, end, value]),
  },
  parts: part.parts.map(plain),
  message: part.message === undefined ? undefined : plain(part.message),
})

/** Lines that make and break structure, more often than chance would. */
const line = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom('--a', '--b', '--a--', '--b--', '--a  \t', '--', '--a-', '') },
  {
    weight: 4,
    arbitrary: fc.constantFrom(
      'Content-Type: multipart/mixed; boundary=a',
      'Content-Type: multipart/digest; boundary="b"',
      'Content-Type: multipart/mixed',
      'Content-Type: message/rfc822',
      'Content-Type: text/html; charset=utf-8',
      'Content-Transfer-Encoding: base64',
      ' folded: yes',
      'Subject: tschüß',
      'not a field',
      '\r',
    ),
  },
  { weight: 1, arbitrary: fc.string({ maxLength: 40 }) },
)
const mail = fc
  .array(fc.tuple(line, fc.constantFrom('\r\n', '\n', '\r\n', '')), { maxLength: 60 })
  .map((lines) => fromLatin1(lines.flat().join('')))
const lengths = fc.array(fc.integer({ min: 1, max: 90 }), { minLength: 1, maxLength: 5 })

describe('a mail read in pieces has the structure of the whole', () => {
  test('however it is made and cut', () => {
    fc.assert(
      fc.property(mail, lengths, (bytes, cut) => {
        expect(plain(streamed(bytes, cut))).toEqual(plain(parseMime(bytes)))
      }),
      { numRuns: 3000 },
    )
  })

  test('with header sections about as long as is looked at', () => {
    const tail = fc.array(line, { maxLength: 8 }).map((lines) => lines.join('\r\n'))
    fc.assert(
      fc.property(fc.integer({ min: -1100, max: 1100 }), tail, tail, (excess, more, body) => {
        const field = `X-Long: ${'y'.repeat(60_000)}\r\n`.repeat(4)
        const long = `${field}X-Fill: ${'z'.repeat(limits.mailHeaderBytesMax - field.length + excess)}\r\n`
        const bytes = fromLatin1(`Content-Type: multipart/mixed; boundary=a\r\n${long}${more}\r\n\r\n${body}\r\n`)
        expect(isDeepStrictEqual(plain(streamed(bytes, [65_536])), plain(parseMime(bytes)))).toBe(true) // too long to print
      }),
      { numRuns: 60 },
    )
  })

  test('with delimiters as long as they may be, and white space behind them without end', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 990, max: 1004 }),
        fc.constantFrom('', ' ', ' '.repeat(3000), `${' '.repeat(3000)}x`),
        lengths,
        (octets, white, cut) => {
          const boundary = 'b'.repeat(octets)
          const bytes = fromLatin1(
            `Content-Type: multipart/mixed; boundary=${boundary}\n\n--${boundary}${white}\n\none\n--${boundary}--${white}\n`,
          )
          expect(plain(streamed(bytes, cut))).toEqual(plain(parseMime(bytes)))
        },
      ),
      { numRuns: 100 },
    )
  })

  test('with as many parts and levels as are opened, and more', () => {
    const many = fromLatin1(
      `Content-Type: multipart/mixed; boundary=a\n\n${'--a\n\nx\n'.repeat(limits.mimePartsMax + 5)}`,
    )
    const deep = fromLatin1('Content-Type: message/rfc822\n\n'.repeat(limits.mimeDepthMax + 5))
    for (const bytes of [many, deep]) expect(plain(streamed(bytes, [1000]))).toEqual(plain(parseMime(bytes)))
  })
})

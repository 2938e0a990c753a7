import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { fromLatin1, toLatin1 } from '../../../src/core/bytes.ts'
import { limits } from '../../../src/core/limits.ts'
import { type MimePart, parseMime } from '../../../src/core/message/mime.ts'
import { decodeWords, parseParameters } from '../../../src/core/message/mime-words.ts'

const parse = (text: string): MimePart => parseMime(fromLatin1(text))
const bodyOf = (text: string, part: MimePart): string => text.slice(part.bodyStart, part.bodyEnd)

/** Types with nesting, as a person would write it down. */
const shape = (part: MimePart): string => {
  const inner = [...part.parts, ...(part.message === undefined ? [] : [part.message])].map(shape)
  return `${part.type}/${part.subtype}${inner.length > 0 ? `(${inner.join(' ')})` : ''}`
}

describe('structure', () => {
  test('parts of a multipart end before the line break of the next delimiter', () => {
    const text =
      'Content-Type: multipart/mixed; boundary="b"\r\n\r\npreamble\r\n--b\r\n\r\nfirst\r\n--b\r\n' +
      'Content-Type: text/html\r\n\r\n<p>\r\n\r\n--b--\r\nepilogue'
    const mail = parse(text)
    expect(shape(mail)).toBe('multipart/mixed(text/plain text/html)')
    expect(mail.parts.map((part) => bodyOf(text, part))).toEqual(['first', '<p>\r\n'])
    expect(mail.parts.map(({ lines }) => lines)).toEqual([1, 1])
  })

  test('bare LF mail has the same structure', () => {
    const text = 'Content-Type: multipart/mixed; boundary=b\n\n--b\n\none\n--b\n\ntwo\n--b--\n'
    const mail = parse(text)
    expect(mail.parts.map((part) => bodyOf(text, part))).toEqual(['one', 'two'])
  })

  test('a delimiter of the outer multipart ends an inner one that was never closed', () => {
    const text =
      'Content-Type: multipart/mixed; boundary=o\n\n--o\nContent-Type: multipart/alternative; boundary=i\n\n' +
      '--i\n\na\n--o\n\nb\n--o--\n'
    const mail = parse(text)
    expect(shape(mail)).toBe('multipart/mixed(multipart/alternative(text/plain) text/plain)')
    expect(bodyOf(text, mail.parts[1]!)).toBe('b')
  })

  test('a boundary that is a prefix of another is told apart', () => {
    const text =
      'Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: multipart/mixed; boundary=bb\n\n' +
      '--bb\n\nx\n--bb--\n--b\n\ny\n--b--\n'
    expect(shape(parse(text))).toBe('multipart/mixed(multipart/mixed(text/plain) text/plain)')
  })

  test('a header that runs into a delimiter ends there', () => {
    const text = 'Content-Type: multipart/mixed; boundary=b\n\n--b\nX-Broken: yes\n--b\n\nlast\n--b--\n'
    const mail = parse(text)
    expect(mail.parts).toHaveLength(2)
    expect(bodyOf(text, mail.parts[0]!)).toBe('')
    expect(bodyOf(text, mail.parts[1]!)).toBe('last')
  })

  test('embedded messages open, also by default inside a digest', () => {
    const text =
      'Content-Type: multipart/digest; boundary=b\n\n--b\n\nSubject: inner\n\nhello\n--b\n' +
      'Content-Type: message/rfc822\n\nSubject: two\nContent-Type: text/html\n\n<p>\n--b--\n'
    const mail = parse(text)
    expect(shape(mail)).toBe('multipart/digest(message/rfc822(text/plain) message/rfc822(text/html))')
    expect(bodyOf(text, mail.parts[0]!.message!)).toBe('hello')
    expect(mail.parts[0]!.lines).toBe(3)
  })

  test('an embedded message in base64 stays closed', () => {
    expect(shape(parse('Content-Type: message/rfc822\nContent-Transfer-Encoding: base64\n\nU3Vi'))).toBe(
      'message/rfc822',
    )
  })

  test('a multipart without any part gets an empty one', () => {
    expect(shape(parse('Content-Type: multipart/mixed; boundary=b\n\nnothing'))).toBe('multipart/mixed(text/plain)')
  })

  test('a multipart without a boundary is shown as text', () => {
    expect(shape(parse('Content-Type: multipart/mixed\n\n--b\n\nx'))).toBe('text/plain')
  })
})

describe('bounds', () => {
  test('depth is capped: deeper multiparts are opaque', () => {
    let text = ''
    for (let depth = 0; depth < 500; depth += 1)
      text += `Content-Type: multipart/mixed; boundary=b${depth}\n\n--b${depth}\n`
    let depth = 0
    for (let at: MimePart | undefined = parse(text); at !== undefined; at = at.parts[0]) depth += 1
    expect(depth).toBeLessThanOrEqual(limits.mimeDepthMax + 1)
  })

  test('parts are capped: the rest belongs to the last one', () => {
    const text = `Content-Type: multipart/mixed; boundary=b\n\n${'--b\n\nx\n'.repeat(5000)}--b--\n`
    expect(parse(text).parts.length).toBeLessThan(limits.mimePartsMax)
  })
})

describe('any bytes', () => {
  const within = (part: MimePart, from: number, to: number): void => {
    expect(part.headerStart).toBeGreaterThanOrEqual(from)
    expect(part.bodyStart).toBeGreaterThanOrEqual(part.headerStart)
    expect(part.bodyEnd).toBeGreaterThanOrEqual(part.bodyStart)
    expect(part.bodyEnd).toBeLessThanOrEqual(to)
    for (const field of part.headers.fields) {
      expect(field.start).toBeGreaterThanOrEqual(part.headerStart)
      expect(field.end).toBeLessThanOrEqual(part.bodyStart)
    }
    for (const child of part.parts) within(child, part.bodyStart, part.bodyEnd)
    if (part.message !== undefined) within(part.message, part.bodyStart, part.bodyEnd)
  }

  test('never throw, and every offset lies inside the part around it', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 400 }), (bytes) => {
        within(parseMime(bytes), 0, bytes.length)
      }),
      { numRuns: 500 },
    )
  })

  test('a delimiter that cuts the header of an embedded message short leaves it inside the part around it', () => {
    const bytes = fromLatin1(
      'Content-Type: multipart/digest; boundary="b c"\n\n--b c\n\r\nContent-Type: multipart/mixed; boundary=a\r\n--b c\n',
    )
    within(parseMime(bytes), 0, bytes.length)
  })

  test('mutated mail: the same', () => {
    const piece = fc.constantFrom(
      'Content-Type: multipart/mixed; boundary=a\r\n',
      'Content-Type: multipart/digest; boundary="b c"\n',
      'Content-Type: message/rfc822\r\n',
      'Content-Transfer-Encoding: base64\n',
      '\r\n',
      '\n',
      '--a\r\n',
      '--a--\n',
      '--b c\n',
      '--',
      'text',
      ' folded\n',
      '\0\r',
      'Subject: =?utf-8?q?=C3=A4?=\r\n',
    )
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 60 }), (pieces) => {
        const bytes = fromLatin1(pieces.join(''))
        within(parseMime(bytes), 0, bytes.length)
      }),
      { numRuns: 1000 },
    )
  })
})

describe('encoded words and parameters', () => {
  test.each([
    ['=?utf-8?q?caf=C3=A9?= today', 'café today'],
    ['=?iso-8859-1?Q?a?= =?iso-8859-1?Q?b?=', 'ab'],
    ['=?utf-8?B?4oI=?= =?utf-8?B?rA==?=', '€'],
    ['=?utf-8?q?a_b?=\tplain', 'a b\tplain'],
    ['=?broken', '=?broken'],
    ['=?x-unknown?q?abc?=', 'abc'],
  ])('%s', (written, meant) => {
    expect(decodeWords(written)).toBe(meant)
  })

  test('RFC 2231 continuations and charsets', () => {
    const { value, parameters } = parseParameters(
      `message/external-body; access-type=URL; URL*0="ftp://"; URL*1="cs.utk.edu/"; title*=us-ascii'en-us'This%20is%20%2A%2A%2Afun%2A%2A%2A`,
    )
    expect(value).toBe('message/external-body')
    expect(parameters.get('url')).toBe('ftp://cs.utk.edu/')
    expect(parameters.get('title')).toBe('This is ***fun***')
  })

  test('a quoted value keeps its semicolons', () => {
    expect(parseParameters('text/plain; name="a;b\\"c"; x=y').parameters).toEqual(
      new Map([
        ['name', 'a;b"c'],
        ['x', 'y'],
      ]),
    )
  })

  test('decoding never throws', () => {
    fc.assert(fc.property(fc.string({ unit: 'binary' }), (text) => void decodeWords(`=?utf-8?q?${text}`)))
    fc.assert(fc.property(fc.string({ unit: 'binary' }), (text) => void parseParameters(`a; ${text}`)))
    fc.assert(fc.property(fc.uint8Array(), (bytes) => void decodeWords(`=?utf-16?b?${toLatin1(bytes)}?=`)))
  })
})

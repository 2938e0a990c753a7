import fc from 'fast-check'
import { expect, test } from 'vitest'
import { imapSummariser, Summary } from '../../../src/adapters/imap/summary.ts'
import { fromLatin1, fromUtf8, toLatin1 } from '../../../src/core/bytes.ts'

const summarise = (mail: string): Summary => new Summary(imapSummariser.summarise(fromUtf8(mail)))
const text = (mail: string, section: Parameters<Summary['section']>[0]): string =>
  toLatin1(summarise(mail).section(section))

test('envelopes: groups, defaults, lists without sense', () => {
  const mail = 'From: "A \\"B\\"" <a@b>\r\nTo: Team: x@y;, nobody\r\nCc: <>\r\nSubject: =?utf-8?q?=C3=A4?=\r\n\r\n'
  const from = '(("A \\"B\\"" NIL "a" "b"))'
  expect(text(mail, 'envelope')).toBe(
    `(NIL "=?utf-8?q?=C3=A4?=" ${from} ${from} ${from} ((NIL NIL "Team" NIL)(NIL NIL "x" "y")(NIL NIL NIL NIL)(NIL NIL "nobody" "")) NIL NIL NIL NIL)`,
  )
})

test('structure of a multipart with an attachment and an embedded message', () => {
  const mail =
    'Content-Type: multipart/mixed; boundary="b"\r\n\r\n--b\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nhi\r\n\r\n--b\r\n' +
    'Content-Type: application/pdf; name="a.pdf"\r\nContent-Disposition: attachment; filename="a.pdf"\r\n' +
    'Content-Transfer-Encoding: base64\r\n\r\nAAAA\r\n--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: in\r\n\r\nx\r\n--b--\r\n'
  expect(text(mail, 'bodyStructure')).toBe(
    '(("text" "plain" ("charset" "utf-8") NIL NIL "7bit" 4 1 NIL NIL NIL NIL)' +
      '("application" "pdf" ("name" "a.pdf") NIL NIL "base64" 4 NIL ("attachment" ("filename" "a.pdf")) NIL NIL)' +
      '("message" "rfc822" NIL NIL NIL "7bit" 16 (NIL "in" NIL NIL NIL NIL NIL NIL NIL NIL) ("text" "plain" NIL NIL NIL "7bit" 1 1 NIL NIL NIL NIL) 3 NIL NIL NIL NIL)' +
      ' "mixed" ("boundary" "b") NIL NIL NIL)',
  )
  const summary = summarise(mail)
  const part = summary.part('3.1')!
  expect(mail.slice(part.bodyStart, part.bodyEnd)).toBe('x')
  const inner = summary.part('3')!.message!
  expect(mail.slice(inner.headerStart, inner.bodyStart)).toBe('Subject: in\r\n\r\n')
  expect(summary.part('4')).toBeUndefined()
})

test('part 1 of a simple message is its body', () => {
  const part = summarise('Subject: x\r\n\r\nbody').part('1')!
  expect([part.headerStart, part.bodyStart, part.bodyEnd]).toEqual([0, 14, 18])
})

test('previews are text, also of HTML', () => {
  expect(text('Content-Type: text/html\r\n\r\n<style>p{}</style><p>Hello &amp;\r\n <b>you</b>', 'preview')).toBe(
    'Hello & you',
  )
})

test('any bytes give a summary whose parentheses and literals add up', () => {
  const octets = fc.oneof(
    fc.uint8Array({ maxLength: 300 }),
    fc
      .array(
        fc.constantFrom(
          'From: ',
          '"',
          '\\',
          '(',
          'é',
          '\0',
          '\r\n',
          'Content-Type: text/plain; a=',
          'To: <',
          '@',
          ':;',
          '\r\n\r\n',
        ),
      )
      .map((pieces) => fromLatin1(pieces.join(''))),
  )
  fc.assert(
    fc.property(octets, (bytes) => {
      const summary = new Summary(imapSummariser.summarise(bytes))
      for (const section of ['envelope', 'body', 'bodyStructure'] as const) {
        expect(depthAfter(toLatin1(summary.section(section)))).toBe(0)
      }
    }),
  )
})

/** Depth of parentheses after a response, strings and literals passed over. */
function depthAfter(response: string): number {
  let depth = 0
  for (let at = 0; at < response.length; at += 1) {
    const char = response[at]
    if (char === '"') {
      for (at += 1; response[at] !== '"'; at += 1) if (response[at] === '\\') at += 1
    } else if (char === '{') {
      const mark = /^\{(\d+)\}\r\n/.exec(response.slice(at, at + 20))!
      at += mark[0].length + Number(mark[1]) - 1
    } else if (char === '(') depth += 1
    else if (char === ')') depth -= 1
    expect(depth).toBeGreaterThanOrEqual(0)
  }
  return depth
}

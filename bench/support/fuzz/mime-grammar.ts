/** Mail (RFC 5322, 2045–2047, 2231) as a grammar: nested, encoded and folded in right and wrong ways. */
import fc from 'fast-check'

const charset = fc.constantFrom(
  'utf-8',
  'iso-8859-1',
  'utf-7',
  'iso-2022-jp',
  'gb18030',
  'shift_jis',
  'x-none',
  'utf-16le',
)
const word = fc
  .tuple(charset, fc.constantFrom('q', 'B', 'x'), fc.string({ maxLength: 10 }))
  .map(([name, encoding, inner]) => `=?${name}?${encoding}?${inner}?=`)
const value = fc.oneof(
  fc.string({ maxLength: 30 }),
  word,
  fc.array(word, { maxLength: 3 }).map((words) => words.join(' ')),
)
const address = fc.constantFrom('<a@b>', '"x" <a@b>, c@d', 'group: a@b, <c@d>;', '(((c)))a@b', '@r1,@r2:a@b', '<>')
const header = fc.oneof(
  fc
    .tuple(fc.constantFrom('Subject', 'X-Y', 'Date', 'Message-ID', 'References'), value)
    .map(([name, text]) => `${name}: ${text}`),
  fc.tuple(fc.constantFrom('From', 'To', 'Cc', 'Reply-To'), address).map(([name, text]) => `${name}: ${text}`),
  fc.constantFrom(
    'Content-Transfer-Encoding: base64',
    'Content-Transfer-Encoding: quoted-printable',
    ' folded',
    'broken',
  ),
  charset.map((name) => `Content-Type: text/html; charset=${name}`),
  fc.constantFrom(
    "Content-Disposition: attachment; filename*0*=utf-8''%C3; filename*1*=%A4.txt",
    'Content-Type: message/rfc822',
  ),
)
const lines = fc.array(
  fc.oneof(fc.string({ maxLength: 40 }), fc.constantFrom('--a', '--a--', '--b', 'PGh0bWw+', '=C3=A4=')),
  {
    maxLength: 8,
  },
)
const { entity } = fc.letrec<{ entity: string }>((tie) => ({
  entity: fc.oneof(
    { maxDepth: 5 },
    fc.tuple(fc.array(header, { maxLength: 5 }), lines).map(([fields, text]) => [...fields, '', ...text].join('\r\n')),
    fc
      .tuple(
        fc.array(header, { maxLength: 3 }),
        fc.constantFrom('a', 'b', '"c d"'),
        fc.array(tie('entity'), { maxLength: 3 }),
      )
      .map(([fields, boundary, parts]) => {
        const bare = boundary.replaceAll('"', '')
        const inner = parts.map((part) => `--${bare}\r\n${part}\r\n`).join('')
        return [...fields, `Content-Type: multipart/mixed; boundary=${boundary}`, '', `${inner}--${bare}--`].join(
          '\r\n',
        )
      }),
    tie('entity').map((inner) => `Content-Type: message/rfc822\r\n\r\n${inner}`),
  ),
}))

export const mimeMail: fc.Arbitrary<string> = entity

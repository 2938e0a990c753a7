import { expect, test } from 'vitest'
import { foldText, SearchableText } from '../../../src/core/message/searchable-text.ts'

const base64 = (text: string): string => Buffer.from(text).toString('base64')

const message = [
  'Subject: =?iso-8859-1?Q?K=E4se?= =?utf-8?B?IGbDvHI=?= alle',
  'From: =?koi8-r?B?8NLJ18XU?= <bob@far.myc>',
  'MIME-Version: 1.0',
  'Content-Type: multipart/mixed; boundary=outer',
  '',
  '--outer',
  'Content-Type: multipart/alternative; boundary=inner',
  '',
  '--inner',
  'Content-Type: text/plain; charset=windows-1252; format=flowed',
  'Content-Transfer-Encoding: quoted-printable',
  '',
  'Gr=FC=DFe aus M=FCn=\r\nchen, 10 =80',
  '--inner',
  'Content-Type: text/html; charset=utf-8',
  'Content-Transfer-Encoding: base64',
  '',
  base64('<p class="wide">Sch&ouml;ne <b>Gr</b>&uuml;&szlig;e</p>'),
  '--inner--',
  '--outer',
  'Content-Type: application/pdf',
  "Content-Disposition: attachment; filename*0*=utf-8''%E6%97%A5%E6%9C%AC; filename*1*=%E8%AA%9E.pdf",
  'Content-Transfer-Encoding: base64',
  '',
  base64('secret of the file'),
  '--outer',
  'Content-Type: message/delivery-status',
  '',
  'Final-Recipient: rfc822; nobody@far.myc',
  '--outer',
  'Content-Type: message/rfc822',
  '',
  'Subject: =?shift_jis?B?g2WDWINn?=',
  'Content-Type: text/plain; charset=iso-2022-jp',
  '',
  '\u001b$B$3$s$K$A$O\u001b(B',
  '--outer--',
  '',
].join('\r\n')
const text = new SearchableText(Buffer.from(message, 'latin1'))
const finds = (needle: string): boolean => text.includes(foldText(needle))
const findsInBody = (needle: string): boolean => text.bodyIncludes(foldText(needle))

test.each([
  'subject: käse für alle',
  'ПРИВЕТ',
  'grüße aus münchen, 10 €',
  'SCHÖNE GRÜßE',
  'class="wide"',
  '日本語.pdf',
  'nobody@far.myc',
  'テスト',
  'こんにちは',
])('finds %s', (needle) => {
  expect(finds(needle)).toBe(true)
})

test.each(['secret of the file', 'schöne <b>', 'käse  für', 'grüsse'])('does not find %s', (needle) => {
  expect(finds(needle)).toBe(false)
})

test('the header is not part of the body, the header of an embedded message is', () => {
  expect(findsInBody('käse')).toBe(false)
  expect(findsInBody('привет')).toBe(false)
  expect(findsInBody('subject: テスト')).toBe(true)
})

test('case, composition and width make no difference', () => {
  expect(foldText('A\u0308RGER')).toBe(foldText('ärger'))
  expect(foldText('ＡＢＣ ｶﾞ ﬁn')).toBe(foldText('abc ガ fin'))
  expect(foldText('ΟΔΟΣ')).toBe(foldText('οδοσ'))
})

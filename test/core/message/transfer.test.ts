/** Transfer encodings as mail really uses them. */
import { expect, test } from 'vitest'
import { fromUtf8, toUtf8 } from '../../../src/core/bytes.ts'
import { decodeTransfer } from '../../../src/core/message/mime-words.ts'

const decoded = (text: string): string | undefined => toUtf8(decodeTransfer(fromUtf8(text), 'quoted-printable'))

test('white space at the end of a quoted-printable line was added on the way, unless it is encoded', () => {
  expect(decoded('one  \r\ntwo\t \nthree =\r\nfour=20\r\nfive=09 \r\n')).toBe('one\r\ntwo\nthree four \r\nfive\t\r\n')
})

test('a soft line break vanishes with the white space behind it', () => {
  expect(decoded('foo=  \r\nbar=')).toBe('foobar')
})

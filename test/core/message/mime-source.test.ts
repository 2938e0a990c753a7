/** Reading a long mail in windows. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { fromLatin1 } from '../../../src/core/bytes.ts'
import { readableMessage } from '../../../src/core/message/mime-source.ts'
import { SearchableText } from '../../../src/core/message/searchable-text.ts'

const line = fc.constantFrom(
  'Subject: x',
  'Content-Type: multipart/mixed; boundary=a',
  'Content-Type: multipart/digest; boundary=b',
  'Content-Type: message/rfc822',
  'Content-Type: message/delivery-status',
  'Content-Type: text/html',
  'Content-Type: application/zip; name=a.zip',
  'Content-Type: image/png',
  'Content-Transfer-Encoding: base64',
  ' folded',
  '',
  '',
  '--a',
  '--b',
  '--a--',
  '--b--',
  'some words',
  'QUJD',
)
const mail = fc
  .array(fc.tuple(line, fc.constantFrom('\r\n', '\r\n', '\n')), { maxLength: 60 })
  .map((lines) => fromLatin1(lines.flat().join('')))

test('a mail without its attachments has the searchable text of the whole', async () => {
  await fc.assert(
    fc.asyncProperty(mail, async (bytes) => {
      const read = async (from: number, to: number) => await Promise.resolve(bytes.subarray(from, to))
      const readable = new SearchableText(await readableMessage({ size: bytes.length, read }))
      const whole = new SearchableText(bytes)
      expect([readable.header, readable.bodies]).toEqual([whole.header, whole.bodies])
    }),
    { numRuns: 3000 },
  )
})

import { randomFillSync } from 'node:crypto'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { imapSummariser, summariseStream, Summary } from '../../../src/adapters/imap/summary.ts'
import { fromLatin1, toLatin1 } from '../../../src/core/bytes.ts'
import type { MessageSource } from '../../../src/core/message/mime-source.ts'

const megabyte = 1024 * 1024

const sourceOf = (bytes: Uint8Array): MessageSource => ({
  size: bytes.length,
  read: async (from, to) => await Promise.resolve(bytes.subarray(from, to)),
})

/** Text, HTML and a base64 attachment of about this many octets. */
function mailWithAttachment(octets: number): Uint8Array {
  const data = Buffer.alloc(Math.floor((octets * 3) / 4.2))
  randomFillSync(data)
  const lines = data.toString('base64').replaceAll(/.{76}/g, '$&\r\n')
  return fromLatin1(
    'From: Alice <a@x>\r\nTo: b@y\r\nSubject: large\r\nContent-Type: multipart/mixed; boundary=o\r\n\r\n' +
      '--o\r\nContent-Type: multipart/alternative; boundary=i\r\n\r\n--i\r\n\r\nHello there\r\n' +
      '--i\r\nContent-Type: text/html\r\n\r\n<p>Hello</p>\r\n--i--\r\n' +
      `--o\r\nContent-Type: application/pdf; name=a.pdf\r\nContent-Transfer-Encoding: base64\r\n\r\n${lines}\r\n--o--\r\n`,
  )
}

test('a mail read in windows has the summary of the whole', async () => {
  const piece = fc.constantFrom(
    'Subject: x\r\n',
    'From: =?utf-8?q?=C3=A4?= <a@b>\r\n',
    'Content-Type: multipart/mixed; boundary=a\r\n',
    'Content-Type: message/rfc822\r\n',
    'Content-Type: text/html\r\n',
    'Content-Transfer-Encoding: base64\r\n',
    '\r\n',
    '--a\r\n',
    '--a--\r\n',
    'some words\r\n',
    '\r\n\r\n',
  )
  const mail = fc.array(piece, { maxLength: 40 }).map((pieces) => fromLatin1(pieces.join('')))
  await fc.assert(
    fc.asyncProperty(mail, async (bytes) => {
      expect(toLatin1(await summariseStream(sourceOf(bytes)))).toBe(toLatin1(imapSummariser.summarise(bytes)))
    }),
    { numRuns: 500 },
  )
})

test('the worker gives the same, for several at once, and asks for no more than a window at a time', async () => {
  const mails = [3 * megabyte, megabyte, 300_000].map(mailWithAttachment)
  let longest = 0
  const watched = mails.map(sourceOf).map((source) => ({
    size: source.size,
    read: async (from: number, to: number) => {
      longest = Math.max(longest, to - from)
      return await source.read(from, to)
    },
  }))
  const summaries = await Promise.all(watched.map(async (source) => await imapSummariser.summariseLarge(source)))
  for (const [index, summary] of summaries.entries())
    expect(Buffer.compare(summary, imapSummariser.summarise(mails[index]!))).toBe(0)
  expect(toLatin1(new Summary(summaries[0]!).section('preview'))).toBe('Hello there')
  expect(longest).toBeLessThanOrEqual(256 * 1024)
})

test('a mail that cannot be read fails alone', async () => {
  const broken: MessageSource = { size: megabyte, read: async () => await Promise.reject(new Error('gone')) }
  const mail = mailWithAttachment(300_000)
  const failing = imapSummariser.summariseLarge(broken)
  const after = imapSummariser.summariseLarge(sourceOf(mail))
  await expect(failing).rejects.toThrow('gone')
  expect(Buffer.compare(await after, imapSummariser.summarise(mail))).toBe(0)
})

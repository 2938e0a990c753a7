import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { fromLatin1, toLatin1 } from '../../../src/core/bytes.ts'
import { dateOfFromLine, fromLine } from '../../../src/core/transfer/mbox-format.ts'
import { mailboxLevelOf, mboxNameOf } from '../../../src/core/transfer/mbox-names.ts'
import { readMbox } from '../../../src/core/transfer/mbox-reader.ts'
import { mboxMessage } from '../../../src/core/transfer/mbox-writer.ts'

interface Read {
  readonly flags: readonly string[]
  readonly dateMs: number
  readonly text: string
}

async function read(file: string): Promise<Read[]> {
  const bytes = fromLatin1(file)
  const source = {
    size: bytes.length,
    read: async (from: number, to: number) => await Promise.resolve(bytes.subarray(from, to)),
  }
  const messages: Read[] = []
  for await (const { flags, dateMs, body, isExpunged } of readMbox(source)) {
    const pieces = await Array.fromAsync(body)
    if (!isExpunged) messages.push({ flags, dateMs, text: toLatin1(Buffer.concat(pieces)) })
  }
  return messages
}

async function* cut(text: string, length: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < text.length; at += length) yield await Promise.resolve(fromLatin1(text.slice(at, at + length)))
}

async function write(messages: readonly Read[], length: number): Promise<string> {
  const pieces: Uint8Array[] = []
  for (const { flags, dateMs, text } of messages)
    for await (const piece of mboxMessage({ flags, dateMs }, cut(text, length))) pieces.push(piece)
  return toLatin1(Buffer.concat(pieces))
}

const line = fc.oneof(
  fc.constantFrom(
    '',
    'From somebody Thu Jan  1 00:00:00 1970',
    '>From x',
    '>>From here',
    'From the start',
    'Status: RO',
    'X-Status: A',
    'X-Keywords: a',
    'X-Mozilla-Status: 0001',
    'Content-Length: 10',
    'Subject: x',
    'lone\rreturn',
    'y'.repeat(70_000),
  ),
  fc.string({ maxLength: 20 }).map((text) => text.replaceAll(/[\r\n]|[^\0-\u00FF]/g, '?')),
)
const text = fc.array(line, { minLength: 1, maxLength: 12 }).map((lines) => `${lines.join('\r\n')}\r\n`)
const flags = fc.subarray(['\\Seen', '\\Answered', '\\Flagged', '\\Draft', '\\Deleted', '$Label1', 'NonJunk'])
const message = fc.record({ flags, dateMs: fc.integer({ min: 0, max: 4_000_000_000 }).map((s) => s * 1000), text })

describe('what is written as mbox is read back', () => {
  test('octet for octet, with flags and dates, where lines end in CRLF', async () => {
    const sorted = (messages: readonly Read[]): unknown =>
      messages.map((one) => ({ ...one, flags: [...one.flags].sort() }))
    await fc.assert(
      fc.asyncProperty(
        fc.array(message, { maxLength: 5 }),
        fc.integer({ min: 1, max: 3000 }),
        async (messages, length) => {
          expect(sorted(await read(await write(messages, length)))).toEqual(sorted(messages))
        },
      ),
      { numRuns: 400 },
    )
  })

  test('with LF made CRLF, and a last line end added', async () => {
    const written = await write([{ flags: [], dateMs: 0, text: 'Subject: x\n\nfirst\nlast' }], 7)
    expect((await read(written)).map((one) => one.text)).toEqual(['Subject: x\r\n\r\nfirst\r\nlast\r\n'])
  })
})

describe('files of others', () => {
  const from = 'From a@b Fri Nov 20 10:11:12 2026\n'
  const dateMs = Date.UTC(2026, 10, 20, 10, 11, 12)

  test('mboxrd loses one > of any number, and a From without a date begins no message', async () => {
    const file = `${from}Subject: x\n\n>From me\n>>From you\n\nFrom what I hear\n\n${from}Subject: y\n\nz\n`
    expect(await read(file)).toEqual([
      { flags: [], dateMs, text: 'Subject: x\r\n\r\nFrom me\r\n>From you\r\n\r\nFrom what I hear\r\n' },
      { flags: [], dateMs, text: 'Subject: y\r\n\r\nz\r\n' },
    ])
  })

  test('mboxcl2 is taken by its Content-Length where that is right, and as mboxrd where it is not', async () => {
    const body = `${from}is quoted by nobody\n>From stays\n`
    const right = `${from}Content-Length: ${body.length}\n\n${body}\n${from}Subject: y\n\nz\n`
    expect((await read(right)).map((one) => one.text)).toEqual([
      `Content-Length: ${body.length}\r\n\r\n${body.replaceAll('\n', '\r\n')}`,
      'Subject: y\r\n\r\nz\r\n',
    ])
    const wrong = `${from}Content-Length: 3\n\n>From me\n\n${from}Subject: y\n\nz\n`
    expect((await read(wrong)).map((one) => one.text)).toEqual([
      'Content-Length: 3\r\n\r\nFrom me\r\n',
      'Subject: y\r\n\r\nz\r\n',
    ])
  })

  test('Thunderbird: flags and tags, mboxo, and what was deleted but not compacted stays out', async () => {
    const head = (status: string): string =>
      `From - Fri Nov 20 10:11:12 2026\nX-Mozilla-Status: ${status}\nX-Mozilla-Status2: 00000000\nX-Mozilla-Keys: $label1 work   \n`
    const file = `${head('1005')}Subject: x\n\n>From me\n>>From you\n\n${head('0009')}Subject: gone\n\n\n`
    expect(await read(file)).toEqual([
      {
        flags: ['\\Seen', '\\Flagged', '$Forwarded', '$label1', 'work'],
        dateMs,
        text: 'Subject: x\r\n\r\nFrom me\r\n>>From you\r\n',
      },
    ])
  })

  test('Status fields that another program put last are read and stay', async () => {
    const file = `${from}Subject: x\nStatus: RO\nX-Status: AF\n\ny\n`
    expect(await read(file)).toEqual([
      {
        flags: ['\\Seen', '\\Answered', '\\Flagged'],
        dateMs,
        text: 'Subject: x\r\nStatus: RO\r\nX-Status: AF\r\n\r\ny\r\n',
      },
    ])
  })

  test('any octets: no endless reading, and only a file that begins otherwise is refused', async () => {
    const junk = fc
      .array(fc.oneof(line, fc.constant(from.trimEnd())), { maxLength: 10 })
      .map((lines) => lines.join('\n'))
    await fc.assert(
      fc.asyncProperty(junk, async (rest) => void (await read(from + rest))),
      { numRuns: 300 },
    )
    await expect(read('Subject: x\n\n')).rejects.toThrow(expect.objectContaining({ code: 'malformed' }))
    expect(await read('')).toEqual([])
  })
})

test('From lines: asctime, with and without zones', () => {
  expect(dateOfFromLine(Buffer.from(fromLine(1_700_000_000_000)))).toBe(1_700_000_000_000)
  const at = (line: string): number | undefined => dateOfFromLine(Buffer.from(line))
  expect(at('From a@b Sat Jan  3 01:05:34 1996 +0100\n')).toBe(Date.UTC(1996, 0, 3, 0, 5, 34))
  expect(at('From a b c Sat Jan  3 01:05 PST 1996')).toBe(Date.UTC(1996, 0, 3, 1, 5))
  expect(at('From Sat to Sun')).toBeUndefined()
})

test('names of files stand for names of mailboxes, whatever these are', () => {
  fc.assert(
    fc.property(
      fc.oneof(fc.string({ minLength: 1 }), fc.constantFrom('..', '.x', 'a.sbd', '%2E', 'x.mbox', 'b.msf')),
      (level) => {
        const name = mboxNameOf(level)
        expect(mailboxLevelOf(name)).toBe(level)
        expect(name.startsWith('.') || name.endsWith('.sbd')).toBe(false)
      },
    ),
  )
})

test('a file that is cut while it is read does not pass off the beginning of a message as the whole', async () => {
  const whole = fromLatin1(`From x Fri Nov 20 10:11:12 2026\nSubject: one\n\n${'y'.repeat(70)}\n`.repeat(10_000))
  const cutAt = whole.length - 100
  const source = {
    size: whole.length,
    read: async (from: number, to: number) => await Promise.resolve(whole.subarray(from, Math.min(to, cutAt))),
  }
  const all = async (): Promise<void> => {
    for await (const { body } of readMbox(source)) await Array.fromAsync(body)
  }
  await expect(all()).rejects.toThrow('became shorter')
})

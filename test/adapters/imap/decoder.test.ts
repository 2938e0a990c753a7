import { PassThrough } from 'node:stream'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { BadSyntax } from '../../../src/adapters/imap/arguments.ts'
import { Decoder, type DecoderBounds, literalMark } from '../../../src/adapters/imap/decoder.ts'
import { LineReader } from '../../../src/adapters/wire/line-reader.ts'
import { fromLatin1, toLatin1 } from '../../../src/core/bytes.ts'
import { MyceliumError } from '../../../src/core/errors.ts'

const bounds: DecoderBounds = { lineOctetsMax: 2000, literalBytesMax: 500, idleMs: 2000 }

/** Everything the decoder makes of `input` when it arrives in the given pieces. */
async function decode(input: Uint8Array, cuts: readonly number[] = []): Promise<readonly string[]> {
  const source = new PassThrough()
  const reader = new LineReader()
  reader.attach(source)
  const decoder = new Decoder(reader, async () => {})
  const feed = (async () => {
    let from = 0
    for (const cut of [...new Set(cuts.map((at) => at % (input.length + 1)))].toSorted((a, b) => a - b)) {
      source.write(input.subarray(from, cut))
      from = cut
      await new Promise((resolve) => setImmediate(resolve))
    }
    source.end(input.subarray(from))
  })()
  const seen: string[] = []
  try {
    for (;;) {
      const incoming = await decoder.next(bounds)
      if (incoming.kind === 'end' || incoming.kind === 'foreign') break
      if (incoming.kind === 'command') seen.push(`${incoming.tag} ${incoming.name} ${rest(incoming.args)}`)
      else if (incoming.kind === 'bad') seen.push(`bad ${incoming.tag} ${incoming.text}`)
      else {
        let message = ''
        for await (const piece of decoder.message(incoming.message!)) message += toLatin1(piece)
        const after = await decoder.afterMessage(bounds)
        seen.push(`${incoming.tag} append ${message} ${'kind' in after ? after.text : ''}`)
      }
    }
  } catch (error) {
    if (!(error instanceof MyceliumError)) throw error
    seen.push(error.code)
  }
  await feed
  return seen
}

type Args = Extract<Awaited<ReturnType<Decoder['next']>>, { kind: 'command' }>['args']

function rest(args: Args): string {
  const words: string[] = []
  try {
    while (!args.atEnd) {
      args.sp()
      words.push(args.astring())
    }
  } catch (error) {
    if (!(error instanceof BadSyntax)) throw error
    words.push(error.message)
  }
  return words.join('|')
}

describe('commands', () => {
  test('lines and literals of every kind, pipelined', async () => {
    const input = 'a LOGIN {5}\r\nalice "se\\"cret"\r\n\r\nb LOGIN {3+}\r\n\r\nx ~{2+}\r\nyy\r\nc UID FETCH 1\r\n'
    expect(await decode(fromLatin1(input))).toEqual(['a LOGIN alice|se"cret', 'b LOGIN \r\nx|yy', 'c UID FETCH 1'])
  })

  test('literals over the bound are refused; what is sent anyway is dropped', async () => {
    const input = `a X {501}\r\nb X {501+}\r\n${'x'.repeat(501)} {3+}\r\nabc\r\nc NOOP\r\n`
    expect(await decode(fromLatin1(input))).toEqual(['bad a Literal too large', 'bad b Literal too large', 'c NOOP '])
  })

  test('a line over the bound is dropped up to its end', async () => {
    const input = `a NOOP\r\nb ${'x'.repeat(3000)}\r\nc NOOP\r\n`
    expect(await decode(fromLatin1(input))).toEqual(['a NOOP ', 'bad * Line too long', 'c NOOP '])
  })

  test('an endless line ends the connection', async () => {
    expect((await decode(fromLatin1(`a NOOP\r\n${'x'.repeat(600_000)}`))).at(-1)).toBe('line-too-long')
  })

  test('a first line over the bound, which may be a hidden HTTP request, is the end', async () => {
    expect(await decode(fromLatin1(`POST /${'x'.repeat(3000)} HTTP/1.1\r\nb NOOP\r\n`))).toEqual([])
  })

  test.each(['{', '}', '{}', '{x}', '{1', '{12345678901}', '{-1}', '{1++}', '~{}'])('%s is no literal', (mark) => {
    expect(literalMark(fromLatin1(`a X ${mark}`))).toBeUndefined()
  })
})

describe('any input', () => {
  const piece = fc.constantFrom(
    'a ',
    'NOOP',
    'LOGIN',
    'APPEND INBOX ',
    'UID ',
    '{3}\r\n',
    '{3+}\r\n',
    '~{2+}\r\n',
    'abc',
    '"q\\"',
    '"',
    '(',
    '\r\n',
    '\n',
    '\r',
    '\0',
    '{9999999999+}\r\n',
    '{600}\r\n',
    'UTF8 (',
    '\xff',
    ' ',
    '*',
    '{',
  )

  test('means the same however it is cut', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(piece, { maxLength: 25 }),
        fc.array(fc.nat(), { maxLength: 8 }),
        async (pieces, cuts) => {
          const input = fromLatin1(pieces.join(''))
          expect(await decode(input, cuts)).toEqual(await decode(input))
        },
      ),
      { numRuns: 300 },
    )
  })

  test('random octets neither break it nor hold it up', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 500 }), async (octets) => {
        await decode(octets)
      }),
      { numRuns: 200 },
    )
  })
})

import { PassThrough } from 'node:stream'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { LineReader } from '../../../src/adapters/wire/line-reader.ts'
import { concat, fromLatin1, toLatin1 } from '../../../src/core/bytes.ts'
import { limits } from '../../../src/core/limits.ts'

const bounds = { octetsMax: 100, waitMsMax: 2_000 }

function readerOf(...pieces: readonly (string | Uint8Array)[]): LineReader {
  const source = new PassThrough()
  const reader = new LineReader()
  reader.attach(source)
  for (const piece of pieces) source.write(typeof piece === 'string' ? fromLatin1(piece) : piece)
  source.end()
  return reader
}

const text = (bytes: Uint8Array | undefined): string | undefined => (bytes === undefined ? undefined : toLatin1(bytes))

/** Cuts `whole` at the given places. */
const cutAt = (whole: Uint8Array, cuts: readonly number[]): Uint8Array[] => {
  const at = [0, ...cuts.map((cut) => cut % (whole.length + 1)).sort((a, b) => a - b), whole.length]
  return at.slice(1).map((end, index) => whole.slice(at[index], end))
}

describe('lines', () => {
  test('any cutting of the stream gives the same lines', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.string({ maxLength: 98, unit: fc.constantFrom('a', 'b', ' ', '.', '\0', 'ÿ') }), { maxLength: 12 }),
        fc.array(fc.nat(), { maxLength: 80 }),
        async (lines, cuts) => {
          const whole = fromLatin1(lines.map((line) => `${line}\r\n`).join(''))
          const reader = readerOf(...cutAt(whole, cuts))
          for (const line of lines) expect(text(await reader.line(bounds))).toBe(line)
          expect(await reader.line(bounds)).toBeUndefined()
        },
      ),
      { numRuns: 200 },
    )
  })
  test('an unfinished line at the end of input is dropped', async () => {
    expect(await readerOf('NOOP').line(bounds)).toBeUndefined()
  })
  test.each(['NOOP\n', 'NO\rOP\r\n', '\n', 'NOOP\r\r\n', 'a\rb\n'])(
    '%j is malformed, and the next line is readable',
    async (bad) => {
      const reader = readerOf(`${bad}QUIT\r\n`)
      await expect(reader.line(bounds)).rejects.toThrow('malformed')
      expect(text(await reader.line(bounds))).toBe('QUIT')
    },
  )
  test('the limit counts the CRLF: one octet more is too long, and can be skipped', async () => {
    const reader = readerOf(`${'x'.repeat(98)}\r\n${'x'.repeat(99)}\r\nQUIT\r\n`)
    expect((await reader.line(bounds))?.length).toBe(98)
    await expect(reader.line(bounds)).rejects.toThrow('line-too-long')
    expect(await reader.skipLine(bounds)).toBe(true)
    expect(text(await reader.line(bounds))).toBe('QUIT')
  })
  test('an endless line is refused as soon as it is too long, and skipping it ends too', async () => {
    const source = new PassThrough()
    const reader = new LineReader()
    reader.attach(source)
    source.write('x'.repeat(101))
    await expect(reader.line(bounds)).rejects.toThrow('line-too-long')
    const skipped = reader.skipLine({ octetsMax: 1000, waitMsMax: 2_000 })
    for (let i = 0; i < 11; i += 1) source.write('x'.repeat(100))
    await expect(skipped).rejects.toThrow('line-too-long')
  })
  test('a peer that drips bytes does not get more time', async () => {
    const source = new PassThrough()
    const reader = new LineReader()
    reader.attach(source)
    const drip = setInterval(() => source.write('x'), 10)
    await expect(reader.line({ octetsMax: 100_000, waitMsMax: 150 })).rejects.toThrow('timeout')
    clearInterval(drip)
  })
  test('an interrupt ends a wait between lines, not one inside a line', async () => {
    const source = new PassThrough()
    const reader = new LineReader()
    reader.attach(source)
    source.write('NO')
    const line = reader.line(bounds)
    await new Promise((resolve) => setTimeout(resolve, 20))
    reader.interrupt()
    source.write('OP\r\n')
    expect(text(await line)).toBe('NOOP')
    await expect(reader.line(bounds)).rejects.toThrow('shutting-down')
  })
})

describe('exact lengths', () => {
  test('any cutting gives the bytes between the lines', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 200 }), fc.array(fc.nat(), { maxLength: 60 }), async (body, cuts) => {
        const head = fromLatin1('HEAD\r\n')
        const tail = fromLatin1('TAIL\r\n')
        const reader = readerOf(...cutAt(concat(head, body, body, tail), cuts))
        expect(text(await reader.line(bounds))).toBe('HEAD')
        expect([...(await reader.exactly(body.length, bounds))]).toEqual([...body])
        const pieces: Uint8Array[] = []
        for await (const piece of reader.pieces(body.length, bounds)) pieces.push(piece)
        expect([...concat(...pieces)]).toEqual([...body])
        expect(text(await reader.line(bounds))).toBe('TAIL')
      }),
      { numRuns: 200 },
    )
  })
  test('an early end is an error', async () => {
    await expect(readerOf('abc').exactly(4, bounds)).rejects.toThrow('connection-closed')
  })
  test('bytes put back are read again', async () => {
    const reader = readerOf('abc')
    const piece = await reader.piece(bounds)
    reader.unread(piece!.subarray(1))
    expect(text(await reader.exactly(2, bounds))).toBe('bc')
  })
})

test('a source that is not read is made to wait', async () => {
  const source = new PassThrough({ highWaterMark: 1024 })
  const reader = new LineReader()
  reader.attach(source)
  let written = 0
  while (written < limits.wireBufferBytes * 3 && source.write(new Uint8Array(1024).fill(0x61))) {
    written += 1024
    await new Promise((resolve) => setImmediate(resolve))
  }
  expect(reader.buffered).toBeLessThan(limits.wireBufferBytes + 4096)
  expect(source.isPaused()).toBe(true)
  expect((await reader.piece(bounds))?.length).toBeGreaterThan(0)
})

test('what is waiting to be sent goes out before a wait, not before a line that is there', async () => {
  const source = new PassThrough()
  let waits = 0
  const reader = new LineReader(() => {
    waits += 1
  })
  reader.attach(source)
  source.write('A\r\nB\r\n')
  await reader.peek(bounds)
  const before = waits
  await reader.line(bounds)
  await reader.line(bounds)
  expect(waits).toBe(before)
  const third = reader.line(bounds)
  expect(waits).toBe(before + 1)
  source.end()
  expect(await third).toBeUndefined()
})

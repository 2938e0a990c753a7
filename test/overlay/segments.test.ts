import fc from 'fast-check'
import { expect, test } from 'vitest'
import { concat } from '../../src/core/bytes.ts'
import { Coalescer } from '../../src/overlay/coalesce.ts'
import {
  creditSegment,
  dataBytesMax,
  goodbyeSegment,
  pingSegment,
  pongSegment,
  SegmentReader,
  segmentHeaderBytes,
} from '../../src/overlay/segments.ts'

/** Everything a reader hands on, data joined where it touches. */
function collect(pieces: readonly Uint8Array[]): {
  readonly events: unknown[]
  readonly data: Uint8Array
  readonly isOk: boolean
} {
  const events: unknown[] = []
  const data: Uint8Array[] = []
  const reader = new SegmentReader({
    data: (part) => void data.push(part.slice()),
    ping: (token) => void events.push(['ping', token]),
    pong: (token) => void events.push(['pong', token]),
    credit: (octets) => void events.push(['credit', octets]),
    goodbye: (reason) => void events.push(['goodbye', reason]),
  })
  const isOk = pieces.every((piece) => reader.feed(piece))
  return { events, data: concat(...data), isOk }
}

function cut(bytes: Uint8Array, at: readonly number[]): Uint8Array[] {
  const points = [0, ...at.map((point) => point % (bytes.length + 1)).sort((a, b) => a - b), bytes.length]
  return points.slice(1).map((end, index) => bytes.subarray(points[index], end))
}

test('what was appended comes out in order, in segments of at most 32 KB, however the stream is cut', () => {
  fc.assert(
    fc.property(
      fc.array(fc.nat(100_000), { maxLength: 12 }),
      fc.array(fc.nat(1_000_000), { maxLength: 12 }),
      (sizes, cuts) => {
        const coalescer = new Coalescer()
        const sent = sizes.map((size, index) => new Uint8Array(size).fill(index + 1))
        const segments: Uint8Array[] = []
        for (const [index, bytes] of sent.entries()) {
          coalescer.append(bytes)
          bytes.fill(0xff) // the caller may use its buffer again at once
          sent[index] = new Uint8Array(bytes.length).fill(index + 1)
          if (index % 3 === 0) segments.push(...[coalescer.take()].filter((segment) => segment !== undefined))
        }
        for (let segment = coalescer.take(); segment !== undefined; segment = coalescer.take()) segments.push(segment)
        expect(coalescer.pending).toBe(0)
        for (const segment of segments) expect(segment.length).toBeLessThanOrEqual(dataBytesMax + segmentHeaderBytes)
        const { data, isOk } = collect(cut(concat(...segments), cuts))
        expect(isOk).toBe(true)
        expect(Buffer.compare(data, concat(...sent))).toBe(0)
      },
    ),
    { numRuns: 200 },
  )
})

test('every kind of segment survives any cut', () => {
  const stream = concat(pingSegment(7n), creditSegment(2 ** 40), pongSegment(2n ** 64n - 1n), goodbyeSegment('stalled'))
  fc.assert(
    fc.property(fc.array(fc.nat(100), { maxLength: 20 }), (cuts) => {
      expect(collect(cut(stream, cuts)).events).toEqual([
        ['ping', 7n],
        ['credit', 2 ** 40],
        ['pong', 2n ** 64n - 1n],
        ['goodbye', 'stalled'],
      ])
    }),
  )
})

test.each([
  ['an unknown kind', Uint8Array.of(5, 0, 0, 1, 0)],
  ['an empty data segment', Uint8Array.of(0, 0, 0, 0)],
  ['a data segment over 32 KB', Uint8Array.of(0, 0, 0x7f, 0xfd)],
  ['a ping of nine octets', Uint8Array.of(1, 0, 0, 9)],
  ['credit beyond 2^53', concat(Uint8Array.of(3, 0, 0, 8), new Uint8Array(8).fill(0xff))],
])('%s ends the stream', (_, bytes) => {
  expect(collect([bytes]).isOk).toBe(false)
})

test('garbage never throws and never makes more data than it has octets', () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 10 }), (pieces) => {
      expect(collect(pieces).data.length).toBeLessThanOrEqual(concat(...pieces).length)
    }),
  )
})

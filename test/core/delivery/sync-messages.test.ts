import fc from 'fast-check'
import { expect, test } from 'vitest'
import { MyceliumError } from '../../../src/core/errors.ts'
import type { BlobRoot } from '../../../src/core/ids.ts'
import {
  decodeRecords,
  decodeSyncMessage,
  encodeRecord,
  encodeSyncMessage,
  type Fetchable,
  type SegmentRecord,
  type SyncMessage,
} from '../../../src/core/delivery/sync-messages.ts'
import { concat } from '../../../src/core/bytes.ts'

const u32 = fc.nat({ max: 0xffff_ffff })
const u8 = fc.nat({ max: 255 })
const hex = (bytes: number) =>
  fc.uint8Array({ minLength: bytes, maxLength: bytes }).map((value) => Buffer.from(value).toString('hex'))
const id = hex(16)
const some = fc.uint8Array({ maxLength: 60 })
const fetchable: fc.Arbitrary<Fetchable> = fc.record({
  root: hex(32).map((root) => root as BlobRoot),
  key: fc.uint8Array({ minLength: 32, maxLength: 32 }),
  size: fc.maxSafeNat(),
  chunkBytes: u32,
})
const message: fc.Arbitrary<SyncMessage> = fc.oneof(
  fc.record({ kind: fc.constant('ask' as const), ticket: u32, of: u8, question: some }),
  fc.record({ kind: fc.constant('answer' as const), ticket: u32, answer: some }),
  fc.record({ kind: fc.constant('get' as const), ticket: u32, of: u8, ids: fc.array(id), full: fc.array(id) }),
  fc.record({ kind: fc.constant('segment' as const), ticket: u32, count: fc.nat({ max: 512 }), segment: fetchable }),
  fc.record({ kind: fc.constant('states' as const), of: u8, states: fc.array(some) }),
  fc.record({ kind: fc.constant('poke' as const), of: u8 }),
  fc.record({
    kind: fc.constant('summary' as const),
    ticket: u32,
    kinds: fc.array(fc.record({ of: u8, count: u32, sum: fc.uint8Array({ minLength: 16, maxLength: 16 }) })),
  }),
  fc.record({ kind: fc.constant('differing' as const), ticket: u32, kinds: fc.array(u8) }),
)
const date = fc.integer({ min: -(2 ** 50), max: 2 ** 50 })
const record: fc.Arbitrary<SegmentRecord> = fc.record({
  id,
  state: some,
  content: fc.oneof(
    fc.record({ kind: fc.constant('none' as const) }),
    fc.record({ kind: fc.constant('inline' as const), internalDateMs: date, bytes: some }),
    fc.record({ kind: fc.constant('apart' as const), internalDateMs: date, at: fetchable }),
  ),
})
test('messages and records are read as they were written', () => {
  fc.assert(
    fc.property(message, (one) => {
      const encoded = encodeSyncMessage(one)
      expect(Buffer.compare(encodeSyncMessage(decodeSyncMessage(encoded)), encoded)).toBe(0)
      expect(decodeSyncMessage(encoded).kind).toBe(one.kind)
    }),
  )
  fc.assert(
    fc.property(fc.array(record, { maxLength: 6 }), (records) => {
      const read = decodeRecords(concat(...records.map(encodeRecord)))
      expect(read.map(({ id: one, content }) => [one, content.kind])).toEqual(
        records.map(({ id: one, content }) => [one, content.kind]),
      )
      expect(Buffer.compare(concat(...read.map(encodeRecord)), concat(...records.map(encodeRecord)))).toBe(0)
    }),
  )
})

test('bytes that are none are refused, and nothing else is thrown', () => {
  fc.assert(
    fc.property(
      fc.oneof(
        fc.uint8Array({ maxLength: 150 }),
        fc.tuple(message, fc.nat(), u8).map(([one, at, by]) => {
          const changed = Uint8Array.from(encodeSyncMessage(one))
          changed[at % changed.length]! ^= by
          return changed
        }),
      ),
      (bytes) => {
        for (const decode of [decodeSyncMessage, decodeRecords]) {
          try {
            decode(bytes)
          } catch (error) {
            expect(error).toBeInstanceOf(MyceliumError)
          }
        }
      },
    ),
    { numRuns: 2000 },
  )
})

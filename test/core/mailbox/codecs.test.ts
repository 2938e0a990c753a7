import fc from 'fast-check'
import { expect, test } from 'vitest'
import { decode, encode } from '../../../src/core/codec.ts'
import { MyceliumError } from '../../../src/core/errors.ts'
import type { ContentId, MailboxId, ModSeq, Uid } from '../../../src/core/ids.ts'
import { parseMailboxName } from '../../../src/core/mailbox/names.ts'
import { type IndexRecord, Records } from '../../../src/core/mailbox/records.ts'
import { accountCodec, countersCodec, eventCodec, metaCodec, uidsCodec } from '../../../src/core/mailbox/rows.ts'
import { decodeContent } from '../../../src/core/store/content-rows.ts'

const uid = fc.integer({ min: 1, max: 0xffff_fffe }).map((value) => value as Uid)
const ascendingUids = fc
  .uniqueArray(
    fc.oneof(
      uid,
      fc.integer({ min: 1, max: 30 }).map((value) => value as Uid),
    ),
  )
  .map((uids) => uids.sort((a, b) => a - b))
const hex = (length: number): fc.Arbitrary<string> =>
  fc.uint8Array({ minLength: length, maxLength: length }).map((bytes) => Buffer.from(bytes).toString('hex'))
const mailbox = hex(16).map((id) => id as MailboxId)

test('lists of UIDs and events round-trip', () => {
  fc.assert(
    fc.property(ascendingUids, (uids) => {
      expect(decode(uidsCodec, encode(uidsCodec, uids))).toEqual(uids)
    }),
  )
  const event = fc.oneof(
    fc.constant({ kind: 'mailboxes' as const }),
    fc.record({
      kind: fc.constantFrom('appended' as const, 'flags' as const, 'expunged' as const),
      mailbox,
      uids: ascendingUids,
    }),
  )
  fc.assert(
    fc.property(event, (value) => {
      expect(decode(eventCodec, encode(eventCodec, value))).toEqual(value)
    }),
  )
})

test('garbage is refused or is the one encoding of what it says', () => {
  const codecs = [metaCodec, countersCodec, accountCodec, eventCodec] as const
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 120 }), (bytes) => {
      for (const codec of codecs) {
        try {
          const value = decode<never>(codec as never, bytes)
          expect(Buffer.from(encode<never>(codec as never, value))).toEqual(Buffer.from(bytes))
        } catch (error) {
          expect(error).toBeInstanceOf(MyceliumError)
        }
      }
      try {
        decodeContent(bytes)
      } catch (error) {
        expect(error).toBeInstanceOf(MyceliumError)
      }
    }),
    { numRuns: 500 },
  )
})

const record: fc.Arbitrary<Omit<IndexRecord, 'uid'>> = fc.record({
  flagSet: fc.integer({ min: 0, max: 0xffff_ffff }),
  modSeq: fc.maxSafeNat().map((value) => value as ModSeq),
  size: fc.integer({ min: 0, max: 0xffff_ffff }),
  internalDateMs: fc.integer(),
  savedMs: fc.maxSafeNat(),
  content: hex(32).map((id) => id as ContentId),
})

test('packed records keep what they are given, through removal and repacking', () => {
  fc.assert(
    fc.property(
      ascendingUids,
      fc.infiniteStream(record),
      fc.infiniteStream(fc.boolean()),
      (uids, contents, choices) => {
        const expected = uids.map((uid) => ({ ...contents.next().value, uid }))
        const records = new Records()
        for (const item of expected) records.push(item)
        const all = (of: Records): IndexRecord[] => Array.from({ length: of.count }, (_, index) => of.recordAt(index))
        expect(all(records)).toEqual(expected)
        const gone = new Set(uids.filter(() => choices.next().value))
        records.remove(gone)
        const left = expected.filter(({ uid }) => !gone.has(uid))
        expect(all(new Records(Uint8Array.from(records.packed)))).toEqual(left)
        for (const [index, { uid }] of left.entries()) expect(records.indexOf(uid)).toBe(index)
        for (const uid of gone) expect(records.indexOf(uid)).toBe(-1)
      },
    ),
  )
})

test('mailbox names keep their spelling, INBOX has one', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      const name = parseMailboxName(text)
      if (name === undefined) return
      expect(parseMailboxName(name)).toBe(name)
      expect(name.toLowerCase()).toBe(text.toLowerCase())
    }),
  )
  expect(parseMailboxName('iNbOx/Sub')).toBe('INBOX/Sub')
  expect(parseMailboxName('Work/inbox')).toBe('Work/inbox')
})

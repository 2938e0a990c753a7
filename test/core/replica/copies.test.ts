import fc from 'fast-check'
import { expect, test } from 'vitest'
import { MyceliumError } from '../../../src/core/errors.ts'
import {
  type CopyState,
  copyRowHead,
  copyRowState,
  copyVersion,
  decodeCopyRow,
  decodeCopyState,
  encodeCopyRow,
  encodeCopyState,
  flagsOn,
  mergeCopies,
  withFlags,
} from '../../../src/core/replica/copy-state.ts'
import type { Stamp } from '../../../src/core/replica/hlc.ts'

const id = `${'0'.repeat(11)}5${'c'.repeat(20)}`
const stamp = fc.integer({ min: 1, max: 60 }).map((value) => value.toString(16).padStart(32, '0') as Stamp)
const flag = fc.constantFrom('\\Seen', '\\Flagged', 'Work', 'work', '$MyceliumTrust-zone', '$MyceliumTrust-vouched')
const folders = ['a', 'b', 'd'].map((digit) => digit.repeat(32))
/** What a stamp says is the same wherever it is seen: one writer made it. */
const valueAt = (name: string, at: Stamp): boolean => (Number.parseInt(at, 16) + name.length) % 3 !== 0
const live = fc
  .record({ at: stamp, flags: fc.array(fc.tuple(flag, stamp), { maxLength: 5 }) })
  .map(({ at, flags }): CopyState => ({
    kind: 'live',
    id,
    folder: { value: folders[Number.parseInt(at, 16) % 3]!, stamp: at },
    flags: new Map(
      flags.map(([name, set]) => [
        name.toLowerCase(),
        { flag: name.toLowerCase(), value: valueAt(name.toLowerCase(), set), stamp: set },
      ]),
    ),
  }))
const state: fc.Arbitrary<CopyState> = fc.oneof(
  { weight: 8, arbitrary: live },
  { weight: 1, arbitrary: fc.constant<CopyState>({ kind: 'expunged', id }) },
)
const text = (one: CopyState): string => Buffer.from(encodeCopyState(one)).toString('hex')

test('states of one copy merge to the same, in any order, any grouping, and any number of times', () => {
  fc.assert(
    fc.property(fc.array(state, { minLength: 1, maxLength: 6 }), fc.infiniteStream(fc.nat()), (states, random) => {
      const merged = states.reduce(mergeCopies)
      const shuffled = [...states, ...states].toSorted(() => (random.next().value! % 2 === 0 ? 1 : -1))
      expect(text(shuffled.reduce(mergeCopies))).toBe(text(merged))
      const half = Math.ceil(states.length / 2)
      const [left, right] = [states.slice(0, half), states.slice(half)]
      const grouped =
        right.length === 0 ? left.reduce(mergeCopies) : mergeCopies(left.reduce(mergeCopies), right.reduce(mergeCopies))
      expect(text(grouped)).toBe(text(merged))
      expect(text(mergeCopies(merged, merged))).toBe(text(merged))
    }),
    { numRuns: 500 },
  )
})

test('whatever else was done to a copy, one that was expunged is gone', () => {
  fc.assert(
    fc.property(fc.array(state), (states) => {
      expect([...states, { kind: 'expunged', id } as const].reduce(mergeCopies).kind).toBe('expunged')
    }),
  )
})

test('flags as they are now win over what the registers said, and only differences are stamped', () => {
  fc.assert(
    fc.property(live, fc.uniqueArray(fc.constantFrom('\\Seen', '\\Flagged', 'Work')), (before, now) => {
      if (before.kind !== 'live') return
      const latest = 'f'.repeat(32) as Stamp
      const after = withFlags(before, now, () => latest)
      expect(
        flagsOn(after)
          .map((one) => one.toLowerCase())
          .toSorted(),
      ).toEqual(now.map((one) => one.toLowerCase()).toSorted())
      expect(withFlags(after, now, () => expect.unreachable())).toEqual(after)
      expect(flagsOn(mergeCopies(before, after) as typeof after).toSorted()).toEqual(flagsOn(after).toSorted())
    }),
  )
})

test('states and rows are read as they were written; bytes that are none are refused', () => {
  fc.assert(
    fc.property(state, fc.option(fc.integer({ min: 1, max: 2 ** 32 - 2 })), (one, uid) => {
      const encoded = encodeCopyState(one)
      expect(text(decodeCopyState(encoded))).toBe(text(one))
      const place = uid === null || one.kind === 'expunged' ? undefined : { mailbox: new Uint8Array(16).fill(7), uid }
      const row = encodeCopyRow({ state: one, place })
      expect(Buffer.from(copyRowState(row)).toString('hex')).toBe(text(one))
      expect(decodeCopyRow(row).place).toEqual(place)
      const isLacking = one.kind === 'live' && place === undefined
      expect(copyRowHead(row)).toEqual({ id, atMs: 5, version: copyVersion(encoded), isLacking })
    }),
  )
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 120 }), (bytes) => {
      try {
        decodeCopyState(bytes)
      } catch (error) {
        expect(error).toBeInstanceOf(MyceliumError)
      }
    }),
    { numRuns: 2000 },
  )
})

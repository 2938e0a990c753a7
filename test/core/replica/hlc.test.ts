import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { DeviceId } from '../../../src/core/ids.ts'
import { limits } from '../../../src/core/limits.ts'
import { HybridClock, isAhead, noStamp, type Stamp, stampMs } from '../../../src/core/replica/hlc.ts'
import { later } from '../../../src/core/replica/register.ts'

const device = (letter: string): DeviceId => letter.repeat(64) as DeviceId
const clockAt = (now: { ms: number }) => ({ nowMs: () => now.ms, monotonicMs: () => now.ms })

test('stamps ascend whatever the clock does, and go on after what was seen', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: 10_000 }), { minLength: 1 }), (times) => {
      const now = { ms: 0 }
      const [one, two] = [new HybridClock(clockAt(now), device('a')), new HybridClock(clockAt(now), device('b'))]
      let last = noStamp
      for (const [index, ms] of times.entries()) {
        now.ms = ms
        const made = (index % 2 === 0 ? one : two).next()
        expect(made > last).toBe(true)
        last = made
        one.saw(made)
        two.saw(made)
      }
    }),
  )
})

test('a clock that was set back still writes over what it wrote before', () => {
  const before = new HybridClock(clockAt({ ms: 9_000_000 }), device('a')).next()
  const restarted = new HybridClock(clockAt({ ms: 1000 }), device('a'))
  expect(restarted.next(before) > before).toBe(true)
})

test('a clock a year ahead is noticed, and does not carry others with it', () => {
  const nowMs = Date.UTC(2026, 10, 1)
  const yearAhead = new HybridClock(clockAt({ ms: nowMs + 365 * 86_400_000 }), device('a')).next()
  expect(isAhead(yearAhead, nowMs)).toBe(true)
  expect(isAhead(new HybridClock(clockAt({ ms: nowMs + limits.clockSkewMs }), device('a')).next(), nowMs)).toBe(false)
  const mine = new HybridClock(clockAt({ ms: nowMs }), device('b'))
  mine.saw(yearAhead)
  expect(stampMs(mine.next())).toBe(nowMs)
})

test('a full count goes over into the milliseconds', () => {
  const full = `${'0'.repeat(11)}5ffff${'a'.repeat(16)}` as Stamp
  const next = new HybridClock(clockAt({ ms: 0 }), device('b')).next(full)
  expect(next > full).toBe(true)
  expect(stampMs(next)).toBe(6)
})

test('of several values the one with the latest stamp stands, in whatever order they come', () => {
  const stamps = fc.uniqueArray(fc.integer({ min: 1, max: 1000 }), { minLength: 1 })
  fc.assert(
    fc.property(stamps, fc.infiniteStream(fc.nat()), (order, swaps) => {
      const values = order.map((value) => ({ value, stamp: value.toString(16).padStart(32, '0') as Stamp }))
      const shuffled = values.toSorted(() => (swaps.next().value! % 2 === 0 ? 1 : -1))
      expect(shuffled.reduce(later).value).toBe(Math.max(...order))
    }),
  )
})

import { expect, test } from 'vitest'
import { gapBefore, isHeldBack } from '../../../../src/core/delivery/relay/health.ts'

const day = 24 * 3600_000
const hour = 3600_000

test('a number that leaves others out is a gap, the next one and an older one are not', () => {
  expect(gapBefore(1, 0, 0)).toBe(false)
  expect(gapBefore(5, 4, 0)).toBe(false)
  expect(gapBefore(4, 4, 0)).toBe(false)
  expect(gapBefore(2, 4, 0)).toBe(false)
  expect(gapBefore(6, 4, 0)).toBe(true)
  expect(gapBefore(2, 0, 0)).toBe(true)
})

test('what may have expired while nobody watched is nobody’s fault', () => {
  expect(gapBefore(6, 4, 19 * day)).toBe(true)
  expect(gapBefore(6, 4, 21 * day)).toBe(false)
})

test('a copy that was held while another relay gave its own is held back, when both were watched all the time', () => {
  const times = { nowMs: 10 * hour, firstAtMs: 8 * hour, heldSinceMs: 8 * hour, watchedSinceMs: 7 * hour }
  expect(isHeldBack(times)).toBe(true)
  expect(isHeldBack({ ...times, watchedSinceMs: 9 * hour })).toBe(false)
  expect(isHeldBack({ ...times, heldSinceMs: 9.9 * hour })).toBe(false)
  expect(isHeldBack({ ...times, firstAtMs: 9.5 * hour })).toBe(false)
})

import { expect, test } from 'vitest'
import { TokenBucket, TokenBuckets } from '../../src/core/token-bucket.ts'

const pace = { perSecond: 2, burst: 4 }

test('a bucket gives its burst at once and then its pace', () => {
  const bucket = new TokenBucket(pace)
  expect([0, 0, 0, 0, 0].map((nowMs) => bucket.take(nowMs))).toEqual([true, true, true, true, false])
  expect(bucket.take(499)).toBe(false)
  expect(bucket.take(500)).toBe(true)
  expect(bucket.level(60_000)).toBe(1)
})

test('what asks for more than there is takes nothing', () => {
  const bucket = new TokenBucket(pace)
  expect(bucket.take(0, 3)).toBe(true)
  expect(bucket.take(0, 2)).toBe(false)
  expect(bucket.has(0)).toBe(true)
  expect(bucket.take(500, 2)).toBe(true)
})

test('what is reserved is there when it is said, for so many and no more', () => {
  const bucket = new TokenBucket(pace)
  const reserve = (nowMs: number): number | undefined => bucket.reserve(nowMs, 2)
  expect([0, 0, 0, 0].map(reserve)).toEqual([0, 0, 0, 0])
  expect([0, 0, 0].map(reserve)).toEqual([500, 1000, undefined])
  expect(bucket.take(500)).toBe(false)
  expect(reserve(500)).toBe(1000)
  expect(reserve(10_000)).toBe(0)
})

test('each name has its own bucket, and looking takes nothing', () => {
  const buckets = new TokenBuckets(pace, 8)
  expect(buckets.take('a', 0, 4)).toBe(true)
  expect([buckets.has('a', 0), buckets.has('b', 0), buckets.has('b', 0, 5)]).toEqual([false, true, false])
  expect(buckets.take('b', 0, 4)).toBe(true)
})

test('of too many names the one that asked longest ago begins anew', () => {
  const buckets = new TokenBuckets(pace, 2)
  for (const name of ['a', 'b']) buckets.take(name, 0, 4)
  expect(buckets.take('a', 0)).toBe(false)
  buckets.take('c', 0)
  expect([buckets.has('a', 0), buckets.has('b', 0)]).toEqual([false, true])
})

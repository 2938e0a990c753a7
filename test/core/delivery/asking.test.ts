import { expect, test } from 'vitest'
import { Asking } from '../../../src/core/delivery/asking.ts'
import { limits } from '../../../src/core/limits.ts'

const missing = [{ id: 'a' }, { id: 'b' }]
const first = limits.parentAskAgainMs

test('what stays missing is asked for at once, then after twice as long each time', () => {
  const asking = new Asking<string>()
  expect(asking.due('alice', missing, 0)).toEqual([
    { id: 'a', times: 0 },
    { id: 'b', times: 0 },
  ])
  expect(asking.due('alice', missing, first - 1)).toEqual([])
  expect(asking.due('alice', [{ id: 'a' }], first)).toEqual([{ id: 'a', times: 1 }])
  expect(asking.due('alice', [{ id: 'a' }], 3 * first - 1)).toEqual([])
  expect(asking.due('alice', [{ id: 'a' }], 3 * first)).toEqual([{ id: 'a', times: 2 }])
})

test('no pause is longer than the longest', () => {
  const asking = new Asking<string>()
  let nowMs = 0
  for (let times = 0; times < 40; times += 1, nowMs += limits.parentAskAgainMsMax)
    expect(asking.due('alice', [{ id: 'a' }], nowMs)).toEqual([{ id: 'a', times }])
})

test('what came and is missing again is asked for at once, and everybody asks for themselves', () => {
  const asking = new Asking<string>()
  asking.due('alice', missing, 0)
  expect(asking.due('bob', missing, 1)).toHaveLength(2)
  asking.due('alice', [{ id: 'b' }], 2)
  expect(asking.due('alice', missing, 3)).toEqual([{ id: 'a', times: 0 }])
})

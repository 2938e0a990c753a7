/** One thread serves all connections: none can keep it to itself. */
import { expect, test } from 'vitest'
import { limits } from '../../../src/core/limits.ts'
import { Turns } from '../../../src/adapters/wire/turns.ts'

function work(ms: number): void {
  for (const until = performance.now() + ms; performance.now() < until;);
}

test('however many wait, what comes in is looked at after each slice, and they go on in their order', async () => {
  const turns = new Turns()
  const order: number[] = []
  let sinceLook = 0
  let sinceLookMax = 0
  const look = (): void => {
    sinceLookMax = Math.max(sinceLookMax, sinceLook)
    sinceLook = 0
    if (order.length < 60) setImmediate(look)
  }
  const busy = async (name: number): Promise<void> => {
    for (let round = 0; round < 3; round += 1) {
      await turns.wait()
      order.push(name)
      work(limits.turnMs / 2)
      sinceLook += 1
    }
  }
  setImmediate(look)
  const names = Array.from({ length: 20 }, (_, name) => name)
  await Promise.all(names.map(busy))
  expect(order).toEqual([...names, ...names, ...names])
  expect(sinceLookMax).toBeLessThanOrEqual(3)
})

test('connections with many commands waiting let another one in between, and none of them gets far ahead', async () => {
  const turns = new Turns()
  const done = { first: 0, second: 0 }
  let isOver = false
  let othersTurns = 0
  let aheadMax = 0
  const greedy = async (name: 'first' | 'second'): Promise<void> => {
    for (let command = 0; command < 40; command += 1) {
      work(limits.turnMs / 8)
      done[name] += 1
      await turns.giveWay()
      if (!isOver) aheadMax = Math.max(aheadMax, Math.abs(done.first - done.second))
    }
    isOver = true
  }
  const other = (): void => {
    othersTurns += 1
    if (!isOver) setImmediate(other)
  }
  setImmediate(other)
  await Promise.all([greedy('first'), greedy('second')])
  expect(othersTurns).toBeGreaterThan(2)
  expect(aheadMax).toBeLessThan(10)
})

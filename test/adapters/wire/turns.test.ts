/** One thread serves all connections: none can keep it to itself. */
import { expect, test } from 'vitest'
import { limits } from '../../../src/core/limits.ts'
import { Turns } from '../../../src/adapters/wire/turns.ts'

function work(ms: number): void {
  for (const until = performance.now() + ms; performance.now() < until;);
}

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

/** One thread serves all connections: none can keep it to itself. */
import { expect, test } from 'vitest'
import { Turns } from '../../../src/adapters/wire/turns.ts'

function work(ms: number): void {
  for (const until = performance.now() + ms; performance.now() < until;);
}

test('two connections with many commands waiting let a third one in between, and each goes on in its turn', async () => {
  const turns = new Turns()
  const order: string[] = []
  const greedy = async (name: string): Promise<void> => {
    for (let command = 0; command < 40; command += 1) {
      work(1)
      order.push(name)
      await turns.giveWay()
    }
  }
  setTimeout(() => order.push('third'), 0)
  await Promise.all([greedy('first'), greedy('second')])
  const waited = order.indexOf('third')
  expect(waited).toBeGreaterThan(-1)
  expect(waited).toBeLessThan(order.length - 1)
  expect(order.slice(0, order.lastIndexOf('first')).filter((name) => name === 'second').length).toBeGreaterThan(30)
})

/**
 * Do replicas of a group agree octet for octet, with each other and with an oracle that knows only the rules, whatever happens
 * at once? A hundred thousand seeded lives (test/core/group/model/schedule.ts). `GROUP_MODEL_SEED=n` is the first seed,
 * `GROUP_MODEL_LIVES=n` how many; a life that fails is named by its seed. Fails at the first one.
 */
import type { Bench } from '../scripts/bench.ts'
import { runSchedule } from '../test/core/group/model/schedule.ts'

const whole = (name: string, otherwise: number): number => {
  const value = Number(process.env[name] ?? otherwise)
  if (!Number.isSafeInteger(value) || value < 0) throw new Error(`${name} is a whole number`)
  return value
}

export const bench: Bench = async ({ quick, say }) => {
  const first = whole('GROUP_MODEL_SEED', Date.now() % 1_000_000)
  const lives = whole('GROUP_MODEL_LIVES', quick ? 1000 : 100_000)
  say(`GROUP_MODEL_SEED=${first}`)
  const sums = { operations: 0, struck: 0, forked_devices: 0, messages: 0, messages_refused: 0, rejoined: 0 }
  const step = Math.max(1, Math.floor(lives / 20))
  for (let done = 0; done < lives; done += 1) {
    const found = runSchedule(first + done)
    if (found.problems.length > 0) throw new Error(`life ${first + done}: ${found.problems.join('; ')}`)
    sums.operations += found.ops
    sums.struck += found.struck
    sums.forked_devices += found.forks
    sums.messages += found.messages
    sums.messages_refused += found.refused
    sums.rejoined += found.rejoined ? 1 : 0
    if ((done + 1) % step === 0) say(`${done + 1} lives, ${sums.operations} operations`)
  }
  const count = (name: string, value: number) => ({ name, unit: 'count', value })
  return await Promise.resolve([
    count('lives', lives),
    count('diverged', 0),
    count('leaked', 0),
    ...Object.entries(sums).map(([name, value]) => count(name, value)),
  ])
}

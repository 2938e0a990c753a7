/** The same lives go on in `npm run bench -- group-model`: a hundred thousand of them. */
import { describe, expect, test } from 'vitest'
import { type Rule, rules } from './model/oracle.ts'
import { type Fault, type Outcome, runSchedule } from './model/schedule.ts'

const schedules = 2000

describe('whatever happens at once, and in whatever order it arrives', () => {
  test('2,000 lives of a group: replicas agree octet for octet and with the oracle, and what is removed stays out', () => {
    const sums = { ops: 0, struck: 0, forks: 0, messages: 0, refused: 0, rejoined: 0 }
    for (let seed = 0; seed < schedules; seed += 1) {
      const found = runSchedule(seed)
      if (found.problems.length > 0) expect({ seed, problems: found.problems }).toEqual({ seed, problems: [] })
      for (const name of ['ops', 'struck', 'forks', 'messages', 'refused'] as const) sums[name] += found[name]
      sums.rejoined += found.rejoined ? 1 : 0
    }
    // what the rules are about did happen
    expect(sums.ops / schedules).toBeGreaterThan(20)
    expect(sums.struck).toBeGreaterThan(schedules / 2)
    expect(sums.forks).toBeGreaterThan(schedules / 20)
    expect(sums.messages).toBeGreaterThan(schedules)
    expect(sums.refused).toBeGreaterThan(schedules / 5)
    expect(sums.rejoined).toBeGreaterThan(schedules / 10)
  }, 300_000)
})

describe('the comparison notices', () => {
  /** Where the search begins for what happens once in a thousand lives. */
  const rare: Partial<Record<Rule, number>> = {
    'a retired device is struck': 200,
    'a revocation beats a grant': 1260,
    'keys are made against removals in force': 2830,
  }
  /** The first life from `from` on in which a fault shows. */
  function firstNoticed(fault: Fault, from = 0): Outcome | undefined {
    for (let seed = from; seed < from + schedules; seed += 1) {
      const found = runSchedule(seed, fault)
      if (found.problems.length > 0) return found
    }
    return undefined
  }

  test.each(rules)(
    'when it is not so that %s',
    (without) => {
      expect(firstNoticed({ kind: 'rule', without }, rare[without])).toBeDefined()
    },
    120_000,
  )

  test.each([
    ['an operation is lost on one replica', 'lost-operation', 'differs'],
    ['every message is accepted', 'accepts-everything', 'removal'],
    ['authors go on under old keys', 'seals-under-old-keys', 'reads'],
    ['keys are handed to who was removed', 'hands-to-removed', 'reads'],
    ['keys are handed to whoever is a member by now', 'hands-to-members', 'reads'],
  ] as const)('when %s', (_, kind, shown) => {
    expect(firstNoticed({ kind })?.problems.join()).toContain(shown)
  })
})

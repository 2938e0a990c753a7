/** An endless supply: from the grammar, from the dialogues of the tests, and from mutations of both. */
import fc from 'fast-check'
import { below, type Random } from '../seeded.ts'
import { mutated } from './mutate.ts'

const sampleSize = 500

export function* inputs(grammar: fc.Arbitrary<string>, seeds: readonly string[], random: Random): Generator<string> {
  for (;;) {
    const sample = fc.sample(grammar, { numRuns: sampleSize, seed: below(random, 2 ** 31) })
    const pool = [...sample, ...seeds]
    for (const fresh of sample) {
      yield fresh
      yield mutated(fresh, pool, random)
      yield mutated(pool[below(random, pool.length)]!, pool, random)
    }
  }
}

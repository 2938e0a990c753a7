/**
 * Properties run from one seed, so that a commit passes or fails the same way every time; `FUZZ_SEED=random` explores
 * new ground, and `FUZZ_SEED=<number>` repeats a run. Long explorations are `npm run bench -- fuzz`.
 */
import fc from 'fast-check'

const asked = process.env['FUZZ_SEED']
if (asked !== 'random') fc.configureGlobal({ seed: Number(asked ?? 20_261_121) })

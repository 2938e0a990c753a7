/** The fast gate: types, lint, format, import rule, dead code. No network. Exits 1 when any of them fails. */
import { spawnSync } from 'node:child_process'

const gates: readonly (readonly [name: string, command: string, ...args: string[]])[] = [
  ['types', 'tsc', '--noEmit'],
  ['lint', 'oxlint', '--type-aware', '--deny-warnings'],
  ['format', 'oxfmt', '--check', '.'],
  ['import rule', 'vitest', 'run', 'test/architecture.test.ts', '--reporter=dot'],
  ['dead code', 'knip', '--no-progress'],
]

const failed: string[] = []
for (const [name, command, ...args] of gates) {
  const startedAt = performance.now()
  const run = spawnSync(`node_modules/.bin/${command}`, args, { encoding: 'utf8' })
  const took = `${((performance.now() - startedAt) / 1000).toFixed(1)} s`
  console.log(`${run.status === 0 ? 'ok  ' : 'FAIL'} ${name} (${took})`)
  if (run.status !== 0) {
    failed.push(name)
    console.log(run.stdout + run.stderr)
  }
}
if (failed.length > 0) {
  console.error(`check failed: ${failed.join(', ')}`)
  process.exit(1)
}

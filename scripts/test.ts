/**
 * `npm test [-- FILTER…]`: the fast gate, then every test. Ends with `N passed, N failed`, and `, N skipped` with each
 * skip's name and reason above it. On CI (environment variable CI) a skip is a failure: everything must be able to run.
 */
import { spawnSync } from 'node:child_process'
import { startVitest, type TestCase, type TestModule } from 'vitest/node'

const totalMsMax = 20 * 60_000
const filters = process.argv.slice(2)
const isCi = !['', '0', 'false', undefined].includes(process.env['CI'])

const watchdog = setTimeout(() => {
  console.error(`not done after ${totalMsMax / 60_000} minutes`)
  process.exit(1)
}, totalMsMax)

const gate = spawnSync(process.execPath, ['scripts/check.ts'], { stdio: 'inherit' })
let passed = gate.status === 0 ? 1 : 0
let failed = 1 - passed
const skips: string[] = []

function count(test: TestCase, file: TestModule): void {
  const result = test.result()
  if (result.state === 'passed') passed += 1
  else if (result.state === 'skipped') {
    skips.push(`${file.relativeModuleId} > ${test.fullName}: ${result.note ?? 'no reason given'}`)
  } else failed += 1 // also `pending`: it never came to an end
}

const vitest = await startVitest('test', filters, { watch: false, passWithNoTests: false })
for (const file of vitest.state.getTestModules()) {
  const tests = [...file.children.allTests()]
  for (const test of tests) count(test, file)
  const broken = file.errors().length > 0 || [...file.children.allSuites()].some((suite) => suite.errors().length > 0)
  if (broken) failed += 1 // a file or a hook that fails counts, whatever its tests did
}
failed += vitest.state.getUnhandledErrors().length
const found = passed + failed + skips.length - 1
if (found === 0) failed += 1
await vitest.close()
clearTimeout(watchdog)

for (const skip of skips) console.log(`skipped: ${skip}`)
if (isCi) failed += skips.length
console.log(`${passed} passed, ${failed} failed${skips.length === 0 ? '' : `, ${skips.length} skipped`}`)
process.exit(failed === 0 ? 0 : 1)

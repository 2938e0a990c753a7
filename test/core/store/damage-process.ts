/** Started by the damage tests: opens a store and reads all of it, and says what it found. Must never die of it. */
import { silentLog, systemClock, systemRandom } from '../../../src/core/ambient.ts'
import { Secret } from '../../../src/core/crypto/secret.ts'
import { MyceliumError } from '../../../src/core/errors.ts'
import { verifyRows } from '../../../src/core/store/integrity.ts'
import { openStore } from '../../../src/core/store/lmdb-store.ts'

const ambient = { clock: systemClock, random: systemRandom, log: silentLog }
for (const path of process.argv.slice(2)) {
  try {
    await using store = await openStore({ path, key: new Secret(new Uint8Array(32).fill(7)) }, ambient)
    const { damaged } = await verifyRows(store)
    process.stdout.write(damaged === 0 ? 'whole\n' : 'damaged\n')
  } catch (error) {
    if (!(error instanceof MyceliumError)) throw error
    process.stdout.write(`${error.code}\n`)
  }
}

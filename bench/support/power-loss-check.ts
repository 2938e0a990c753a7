/** Does the simulated power loss lose what it should and nothing else? Asked before every fault run. */
import { isDeepStrictEqual } from 'node:util'
import { startChild } from './child.ts'
import { type Disk, keepWrites, losePower, makeDisk, shimEnvironment, startLying } from './power-loss.ts'
import type { Found, PowerLossRequest } from './power-loss-process.ts'

/** @throws an Error that says what was found where something else should be */
export async function checkPowerLoss(folder: string, shim: string): Promise<void> {
  const disk = makeDisk(folder, 'power-loss-check')
  await life(disk, shim, 1)
  keepWrites(disk)
  expectFound('after a kill', await life(disk, shim, 2), { row: 1, synced: '1', unsynced: '1', renamed: '1' })
  losePower(disk, 1, () => 0)
  startLying(disk)
  expectFound('after power loss', await life(disk, shim, 3), { row: 2, synced: '2', unsynced: '1', renamed: '1' })
  losePower(disk, 1, () => 0)
  const last = { row: 2, synced: '2', unsynced: '1', renamed: '1' }
  expectFound('after power loss of a disk that lies', await life(disk, shim, 4), last)
}

/** What is there at its beginning; then it writes its round and is killed. */
async function life(disk: Disk, shim: string, round: number): Promise<Found> {
  await using child = await startChild<PowerLossRequest>({
    program: 'power-loss-process.ts',
    args: [disk.home],
    environment: shimEnvironment(shim, disk),
  })
  const found = await child.ask<Found>({ do: 'look' })
  await child.ask({ do: 'write', round })
  await child.kill()
  return found
}

function expectFound(when: string, found: Found, expected: Found): void {
  if (!isDeepStrictEqual(found, expected))
    throw new Error(
      `simulated power loss is wrong ${when}: ${JSON.stringify(found)} instead of ${JSON.stringify(expected)}`,
    )
}

/** Files that appear whole or not at all. */
import { link, open, rename, rm } from 'node:fs/promises'
import { dirname } from 'node:path'
import { systemRandom } from '../core/ambient.ts'
import { toHex } from '../core/bytes.ts'
import { UsageError } from './errors.ts'

/** For a file that is not whole yet. Not the process's number: in a container that is the same each time, and what a killed one left would be in the way. */
export const draftName = (): string => `.mycelium-${toHex(systemRandom.bytes(6))}.part`

/** Gives a file that is whole and durable its name. @throws UsageError when that is taken */
export async function takeName(draft: string, path: string, isForced: boolean): Promise<void> {
  if (isForced) await rename(draft, path)
  else {
    try {
      await link(draft, path)
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error
      throw new UsageError(`${path} is there already; choose another name, or replace it with --force`)
    } finally {
      await rm(draft, { force: true })
    }
  }
  await using folder = await open(dirname(path), 'r')
  await folder.sync()
}

/** A folder under the system's temporary directory, gone with its scope. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { guardFolder } from './guard.ts'

export interface TempFolder extends AsyncDisposable {
  readonly path: string
}

export async function tempFolder(name: string): Promise<TempFolder> {
  const path = await mkdtemp(join(tmpdir(), `mycelium-interop-${name}-`))
  guardFolder(path, true)
  return {
    path,
    [Symbol.asyncDispose]: async () => {
      // A program that was just killed may still be creating a file; rm tries again then.
      await rm(path, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 })
      guardFolder(path, false)
    },
  }
}

/** Started by power-loss-check.ts: writes a row and two files, one of them synced, and waits to be killed; or looks. */
import { mkdirSync } from 'node:fs'
import { open, readFile, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { silentLog, systemClock, systemRandom } from '../../src/core/ambient.ts'
import { Secret } from '../../src/core/crypto/secret.ts'
import { syncDirectory } from '../../src/core/store/blob-file.ts'
import { openStore } from '../../src/core/store/lmdb-store.ts'
import { tables } from '../../src/core/store/tables.ts'
import { serveParent } from './child.ts'

export type PowerLossRequest =
  | { readonly do: 'write'; readonly round: number }
  /** Rounds that are found in each place. */
  | { readonly do: 'look' }

export interface Found {
  readonly row: number
  readonly synced: string
  readonly unsynced: string
  readonly renamed: string
}

const [home] = process.argv.slice(2) as [string]
mkdirSync(join(home, 'files'), { recursive: true })
const store = await openStore(
  { path: join(home, 'store'), key: new Secret(new Uint8Array(32).fill(7)) },
  { clock: systemClock, random: systemRandom, log: silentLog },
)
const rowKey = Uint8Array.of(1)
const pathOf = (name: string): string => join(home, 'files', name)

/** Longer than a page, so that a lost page shows; `r+` where it exists already, as a file that is changed in place. */
async function put(name: string, round: number, sync: boolean): Promise<void> {
  const file = await open(pathOf(name), round === 1 ? 'w' : 'r+')
  await file.write(Buffer.alloc(10_000, String(round)), 0, 10_000, 0)
  if (sync) await file.datasync()
  await file.close()
}

async function read(name: string): Promise<string> {
  const text = await readFile(pathOf(name), 'latin1').catch(() => '')
  return [...new Set(text)].join('')
}

async function answer(request: PowerLossRequest): Promise<unknown> {
  if (request.do === 'look') {
    const row = store.read((tx) => tx.get(tables.messages, rowKey)?.[0] ?? 0)
    return {
      row,
      synced: await read('synced'),
      unsynced: await read('unsynced'),
      renamed: await read('renamed'),
    } satisfies Found
  }
  const { round } = request
  await put('synced', round, true)
  await put('unsynced', round, round === 1)
  await writeFile(pathOf('renamed.part'), String(round), { flush: true })
  await rename(pathOf('renamed.part'), pathOf('renamed'))
  if (round === 1) await syncDirectory(join(home, 'files'))
  await store.write((tx) => tx.put(tables.messages, rowKey, new Uint8Array(9000).fill(round)))
  return null
}

serveParent(answer)

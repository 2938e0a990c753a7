/**
 * Real programs that no Debian package brings: each is made from the files of a folder of this repository, once for what
 * is in them, in a cache of the user's outside it.
 */
import { createHash } from 'node:crypto'
import { mkdir, readdir, readFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import { delimiter, dirname, join, resolve } from 'node:path'
import type { TestContext } from 'vitest'
import { skipWithReason } from './peers.ts'
import { runOk } from './processes.ts'

const recipes = resolve(import.meta.dirname, '..')
const makeMsMax = 10 * 60_000

/** A folder below test/interop → what makes it in a copy of that folder. npm asks what is for its Node: it runs on ours. */
const scripts = {
  synapse: '/usr/bin/python3 -m venv venv && venv/bin/pip install --quiet --prefer-binary -r requirements.txt',
  element: 'npm ci --ignore-scripts --no-audit --no-fund --loglevel=error && node bundle.js',
} as const

export type Made = keyof typeof scripts

/** Where it is, made now if it was not there. @throws with what the script printed */
export async function makeOnDemand(name: Made): Promise<string> {
  const recipe = join(recipes, name)
  const hash = createHash('sha256').update(scripts[name])
  for (const file of (await readdir(recipe)).toSorted()) hash.update(file).update(await readFile(join(recipe, file)))
  const cache = join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'mycelium-interop')
  const folder = join(cache, `${name}-${hash.digest('hex').slice(0, 16)}`)
  await mkdir(folder, { recursive: true })
  // two tests may want it at once
  const once = `[ -e made ] || { cp -R "$1"/. .; ${scripts[name]}; touch made; }`
  await runOk('flock', [join(folder, 'lock'), 'sh', '-ec', once, 'sh', recipe], {
    cwd: folder,
    env: { PATH: `${dirname(process.execPath)}${delimiter}${process.env['PATH'] ?? ''}` },
    timeoutMs: makeMsMax,
  })
  return folder
}

/** Ends the test as skipped (or failed, with CI set) unless each is there or can be made. */
export async function requireMade(context: TestContext, ...names: readonly Made[]): Promise<void> {
  for (const name of names) {
    try {
      await makeOnDemand(name)
    } catch (error) {
      skipWithReason(context, `not installed, and cannot be: ${name}: ${(error as Error).message}`)
    }
  }
}

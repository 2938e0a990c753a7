/**
 * Runs beside a test worker and outlives it for a moment: when the worker is gone, however it ended, this kills the
 * process groups and removes the folders that the worker had told it of and not taken back.
 */
import { rmSync } from 'node:fs'
import { createInterface } from 'node:readline'

const groups = new Set<number | string>()
const folders = new Set<number | string>()

for await (const line of createInterface({ input: process.stdin })) {
  const [kind, value, isOurs] = JSON.parse(line) as [kind: 'group' | 'folder', value: number | string, isOurs: boolean]
  const owned: Set<number | string> = kind === 'group' ? groups : folders
  if (isOurs) owned.add(value)
  else owned.delete(value)
}

for (const group of groups) {
  try {
    process.kill(-Number(group), 'SIGKILL')
  } catch {
    // it has ended by itself
  }
}
for (const folder of folders) rmSync(String(folder), { recursive: true, force: true, maxRetries: 10, retryDelay: 100 })

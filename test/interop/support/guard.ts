/**
 * Tells the guard process what this test worker owns. A worker that is killed runs no handlers, but the pipe to its
 * guard closes all the same.
 */
import { spawn } from 'node:child_process'
import { join } from 'node:path'
import type { Writable } from 'node:stream'

let pipe: Writable | undefined

function guardPipe(): Writable {
  if (pipe !== undefined) return pipe
  const script = join(import.meta.dirname, 'guard-process.ts')
  const guard = spawn(process.execPath, [script], { detached: true, stdio: ['pipe', 'ignore', 'ignore'] })
  guard.unref()
  pipe = guard.stdin
  return pipe
}

/** @param isOurs false once it has ended and must not be killed any more */
export function guardGroup(processGroup: number, isOurs: boolean): void {
  guardPipe().write(`${JSON.stringify(['group', processGroup, isOurs])}\n`)
}

/** @param isOurs false once it is removed */
export function guardFolder(path: string, isOurs: boolean): void {
  guardPipe().write(`${JSON.stringify(['folder', path, isOurs])}\n`)
}

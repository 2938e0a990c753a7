/**
 * Keeps a second gateway out of a home, and recognises what a killed one left behind.
 *
 * Node has no flock. The lock is a series of files `lock.1`, `lock.2`, …: the highest is the valid one, and taking the
 * lock means creating the next number with its content in one step (link). Numbers are never reused, because the last
 * file stays, emptied, after release; so two processes that both find a dead holder cannot both succeed, whatever their
 * timing: the second `link` fails, or its number turns out not to be the highest.
 *
 * 2026-11: rejected: an abstract socket (Linux only, and any local user can occupy the name); one lock file removed
 * and made anew (two processes that see the same dead holder can both win).
 */
import { spawnSync } from 'node:child_process'
import { linkSync, readdirSync, readFileSync, readlinkSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import * as z from 'zod'
import { MyceliumError } from './core/errors.ts'

const holderSchema = z.object({
  pid: z.int().min(1),
  /** Tells apart two processes that had the same pid. */
  startedAt: z.string(),
  /** Boot and pid namespace: where the pid means something. */
  scope: z.string(),
})
type Holder = z.output<typeof holderSchema>

const attemptsMax = 20
const probeMs = 1000

/** @throws `home-locked` with the holder's pid */
export async function lockHome(home: string, controlSocket: string): Promise<Disposable> {
  const self: Holder = { pid: process.pid, startedAt: startOf(process.pid) ?? '', scope: scopeOfSelf() }
  const draft = join(home, `lock.draft-${process.pid}`)
  writeFileSync(draft, JSON.stringify(self), { mode: 0o600 })
  try {
    for (let attempt = 0; attempt < attemptsMax; attempt += 1) {
      const highest = Math.max(0, ...numbersIn(home))
      const holder = highest === 0 ? undefined : holderOf(lockFile(home, highest))
      if (holder !== undefined && (await isAlive(holder, self, controlSocket))) {
        throw new MyceliumError('home-locked', { pid: holder.pid })
      }
      if (!take(draft, home, highest + 1)) continue
      for (const number of numbersIn(home)) if (number <= highest) rmSync(lockFile(home, number), { force: true })
      return { [Symbol.dispose]: () => truncateSync(lockFile(home, highest + 1)) }
    }
  } finally {
    rmSync(draft, { force: true })
  }
  throw new MyceliumError('home-locked', { pid: 0 })
}

/** Whether a live process holds the home. */
export async function isHomeLocked(home: string, controlSocket: string): Promise<boolean> {
  const highest = Math.max(0, ...numbersIn(home))
  const holder = highest === 0 ? undefined : holderOf(lockFile(home, highest))
  const self: Holder = { pid: process.pid, startedAt: '', scope: scopeOfSelf() }
  return holder !== undefined && (await isAlive(holder, self, controlSocket))
}

const lockFile = (home: string, number: number): string => join(home, `lock.${number}`)

function numbersIn(home: string): number[] {
  return readdirSync(home).flatMap((name) => {
    const match = /^lock\.([1-9]\d{0,14})$/.exec(name)
    return match === null ? [] : [Number(match[1])]
  })
}

function take(draft: string, home: string, number: number): boolean {
  try {
    linkSync(draft, lockFile(home, number))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false
    throw error
  }
  if (Math.max(...numbersIn(home)) === number) return true
  rmSync(lockFile(home, number), { force: true })
  return false
}

/** `undefined` when the lock was released, or cut short by power loss. */
function holderOf(file: string): Holder | undefined {
  try {
    return holderSchema.parse(JSON.parse(readFileSync(file, 'utf8')))
  } catch {
    return undefined
  }
}

async function isAlive(holder: Holder, self: Holder, controlSocket: string): Promise<boolean> {
  if (holder.scope === self.scope) return startOf(holder.pid) === holder.startedAt
  return await answers(controlSocket) // another container or an earlier boot: its pids mean nothing here
}

/** When the process began, in whatever unit the platform has; `undefined` when there is none. */
function startOf(pid: number): string | undefined {
  if (process.platform === 'linux') {
    try {
      const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
      const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ') // the name may hold spaces and brackets
      return fields[0] === 'Z' ? undefined : fields[19]
    } catch {
      return undefined
    }
  }
  const ps = spawnSync('ps', ['-o', 'lstart=', '-p', String(pid)], { encoding: 'utf8' })
  const started = ps.stdout.trim()
  return started === '' ? undefined : started
}

function scopeOfSelf(): string {
  if (process.platform !== 'linux') return process.platform
  const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim()
  return `${boot} ${readlinkSync('/proc/self/ns/pid')}`
}

async function answers(socketPath: string): Promise<boolean> {
  return await new Promise((resolve) => {
    const socket = connect(socketPath)
    const end = (alive: boolean): void => {
      socket.destroy()
      resolve(alive)
    }
    socket.setTimeout(probeMs, () => end(true)) // somebody listens, but is busy
    socket.once('connect', () => end(true))
    socket.once('error', () => end(false))
  })
}

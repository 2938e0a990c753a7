/**
 * Real programs as child processes. Each runs in its own process group, so that ending it ends its children too; the
 * guard ends what is left when the test worker is gone.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { guardGroup } from './guard.ts'

export interface SpawnOptions {
  readonly env?: Readonly<Record<string, string>>
  readonly cwd?: string
  /** Written to standard input, which is closed after it. */
  readonly input?: string
  /** Leaves standard input open, for programs that take its end as a wish to stop. */
  readonly keepInputOpen?: boolean
}

/** Output is kept for failure reports only up to this many characters per stream. */
const keptOutputChars = 1_000_000

/** A child process and its process group. */
export class Program implements AsyncDisposable {
  readonly name: string
  readonly #child: ChildProcess
  readonly #closed: Promise<unknown>
  #stdout = ''
  #stderr = ''

  constructor(command: string, args: readonly string[], { env, cwd, input, keepInputOpen = false }: SpawnOptions = {}) {
    this.name = command
    this.#child = spawn(command, args, {
      detached: true,
      stdio: 'pipe',
      ...(cwd === undefined ? {} : { cwd }),
      env: { ...process.env, ...env },
    })
    if (this.#child.pid !== undefined) guardGroup(this.#child.pid, true)
    this.#child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      this.#stdout = (this.#stdout + text).slice(-keptOutputChars)
    })
    this.#child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#stderr = (this.#stderr + text).slice(-keptOutputChars)
    })
    // A program that leaves without reading its input is judged by its exit code, not by the broken pipe.
    this.#child.stdin?.on('error', () => undefined)
    if (!keepInputOpen) this.#child.stdin?.end(input)
    this.#closed = once(this.#child, 'close')
    this.#closed.catch((error: unknown) => {
      this.#stderr += String(error)
    })
  }

  get stdout(): string {
    return this.#stdout
  }

  get stderr(): string {
    return this.#stderr
  }

  /** `undefined` while it runs; a program that a signal ended counts as -1. */
  get exitCode(): number | undefined {
    return this.#child.exitCode ?? (this.#child.signalCode === null ? undefined : -1)
  }

  get pid(): number {
    if (this.#child.pid === undefined) throw new Error(`${this.name} did not start: ${this.#stderr}`)
    return this.#child.pid
  }

  /** Standard input of a program that was started with it left open. */
  write(text: string): void {
    this.#child.stdin?.write(text)
  }

  /** Signals the whole process group; nothing happens when it is gone. */
  signal(name: NodeJS.Signals): void {
    if (this.#child.pid === undefined) return
    try {
      process.kill(-this.#child.pid, name)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
    }
  }

  /** Waits for the end. @throws when it takes longer than `timeoutMs`, after killing it */
  async ended(timeoutMs: number): Promise<number> {
    const timeout = new AbortController()
    const outcome = await Promise.race([
      this.#closed.then(() => 'closed' as const),
      sleep(timeoutMs, 'late' as const, { signal: timeout.signal }),
    ])
    timeout.abort()
    if (outcome === 'late') {
      await this.kill()
      throw new Error(`${this.name} still ran after ${timeoutMs} ms\n${this.#stdout}\n${this.#stderr}`)
    }
    this.#release()
    return this.exitCode ?? -1
  }

  /** SIGTERM, then SIGKILL for what is left of the group after `graceMs`. @returns the exit code */
  async stop(graceMs = 10_000): Promise<number> {
    this.signal('SIGTERM')
    try {
      return await this.ended(graceMs)
    } finally {
      this.signal('SIGKILL')
    }
  }

  async kill(): Promise<void> {
    this.signal('SIGKILL')
    await this.#closed
    this.#release()
  }

  #release(): void {
    if (this.#child.pid !== undefined) guardGroup(this.#child.pid, false)
  }

  /** Polls until `found` returns something. @throws when the program ends first or `timeoutMs` pass */
  async waitFor<T>(what: string, timeoutMs: number, found: () => T | undefined): Promise<T> {
    const deadline = performance.now() + timeoutMs
    for (;;) {
      const value = found()
      if (value !== undefined) return value
      if (this.exitCode !== undefined || performance.now() > deadline) {
        const why = this.exitCode === undefined ? `not within ${timeoutMs} ms` : `it ended with ${this.exitCode}`
        throw new Error(`${this.name}: no ${what}: ${why}\n${this.#stdout.slice(-4000)}\n${this.#stderr.slice(-4000)}`)
      }
      await sleep(20)
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill()
  }
}

export interface Outcome {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

/** Runs a program to its end. @throws when it takes longer than `timeoutMs` */
export async function run(
  command: string,
  args: readonly string[],
  { timeoutMs = 20_000, ...options }: SpawnOptions & { readonly timeoutMs?: number } = {},
): Promise<Outcome> {
  const program = new Program(command, args, options)
  const code = await program.ended(timeoutMs)
  return { code, stdout: program.stdout, stderr: program.stderr }
}

/** Like `run`. @throws when the exit code is not 0, with what the program printed */
export async function runOk(
  command: string,
  args: readonly string[],
  options: SpawnOptions & { readonly timeoutMs?: number } = {},
): Promise<Outcome> {
  const outcome = await run(command, args, options)
  if (outcome.code !== 0) {
    throw new Error(
      `${command} ended with ${outcome.code}\n${outcome.stdout.slice(-4000)}\n${outcome.stderr.slice(-4000)}`,
    )
  }
  return outcome
}

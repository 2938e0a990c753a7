/** The real command line as a child process, in a home of its own. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Endpoint } from '../../src/core/control-views.ts'

const executable = resolve(import.meta.dirname, '../../bin/mycelium-gateway')

/** No multicast and no address of the machine's network. */
export const onLoopback = ['overlay.mdns=false', 'overlay.host=127.0.0.1', 'overlay.loopback=true'].flatMap((set) => [
  '--set',
  set,
])

export interface Outcome {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

export async function gateway(args: readonly string[], stdin = ''): Promise<Outcome> {
  const child = spawn(executable, args, { stdio: ['pipe', 'pipe', 'pipe'], env: cleanEnv() })
  const collected = collect(child)
  child.stdin.on('error', () => {}) // it may end without reading
  child.stdin.end(stdin)
  const [code] = (await once(child, 'close')) as [number | null]
  return { code, ...collected() }
}

export type Listeners = Readonly<
  Record<'smtp' | 'smtps' | 'imap' | 'imaps' | 'xmpp' | 'xmpps' | 'http' | 'https', Endpoint>
> & {
  readonly overlay: readonly string[]
}

export interface Running extends AsyncDisposable {
  readonly pid: number
  readonly listeners: Listeners
  /** What it has printed so far. */
  output(): Pick<Outcome, 'stdout' | 'stderr'>
  /** @returns exit code */
  end(signal: NodeJS.Signals): Promise<number | null>
  /** When it ends by itself. */
  readonly ended: Promise<number | null>
}

/**
 * @param namespace name of the network namespace in which it runs, where not in this process's own
 * @throws with what it printed when it ends before it is ready
 */
export async function startGateway(args: readonly string[], stdin = '', namespace?: string): Promise<Running> {
  const [command, ...before] = [...(namespace === undefined ? [] : ['ip', 'netns', 'exec', namespace]), executable]
  const child = spawn(command, [...before, 'run', ...args], { stdio: ['pipe', 'pipe', 'pipe'], env: cleanEnv() })
  const output = collect(child)
  child.stdin.on('error', () => {})
  child.stdin.end(stdin)
  const ended = once(child, 'close').then(([code]) => code as number | null)
  while (!output().stdout.includes('\n')) {
    if (child.exitCode !== null) throw new Error(`ended with ${child.exitCode}: ${output().stderr}`)
    await sleep(20)
  }
  const { listeners } = JSON.parse(output().stdout.split('\n', 1)[0]!) as { listeners: Listeners }
  return {
    pid: child.pid!,
    listeners,
    output,
    ended,
    async end(signal) {
      child.kill(signal)
      return await ended
    },
    async [Symbol.asyncDispose]() {
      child.kill('SIGKILL')
      await ended
    },
  }
}

function collect(child: ChildProcess): () => Pick<Outcome, 'stdout' | 'stderr'> {
  let [stdout, stderr] = ['', '']
  child.stdout!.setEncoding('utf8').on('data', (text: string) => (stdout += text))
  child.stderr!.setEncoding('utf8').on('data', (text: string) => (stderr += text))
  return () => ({ stdout, stderr })
}

function cleanEnv(): NodeJS.ProcessEnv {
  const { MYCELIUM_HOME: _, ...env } = process.env
  return env
}

export interface TempHome extends Disposable {
  readonly home: string
}

export function tempHome(): TempHome {
  const folder = mkdtempSync(join(tmpdir(), 'mycelium-cli-'))
  return { home: join(folder, 'home'), [Symbol.dispose]: () => rmSync(folder, { recursive: true, force: true }) }
}

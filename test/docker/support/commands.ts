/** Runs a program to its end. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'

export interface RunOptions {
  readonly stdin?: string
  readonly env?: NodeJS.ProcessEnv
  /** Milliseconds. */
  readonly timeout?: number
}

/** @returns standard output @throws with what it printed when it fails */
export async function run(
  command: string,
  args: readonly string[],
  { stdin = '', env = process.env, timeout = 60_000 }: RunOptions = {},
): Promise<string> {
  const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'pipe'], env, timeout })
  const output = { stdout: '', stderr: '' }
  for (const name of ['stdout', 'stderr'] as const)
    child[name].setEncoding('utf8').on('data', (text: string) => (output[name] += text))
  child.stdin.on('error', () => {}) // it may end without reading
  child.stdin.end(stdin)
  const [code, signal] = (await once(child, 'close')) as [number | null, string | null]
  if (code === 0) return output.stdout
  const said = `${output.stdout}\n${output.stderr}`.slice(-4000)
  throw new Error(`${command} ${args[0] ?? ''} ended with ${code ?? signal}: ${said}`)
}

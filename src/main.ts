/** Process entry: arguments, signals, exit code. The heavy parts load only when a command needs them. */
import { readFileSync } from 'node:fs'
import { enableCompileCache } from 'node:module'
import { fileURLToPath } from 'node:url'

// Beside the code, and so only writable for whoever installed it: a folder for temporary files is open to other users.
enableCompileCache(fileURLToPath(new URL('../node_modules/.cache/compile', import.meta.url)))
const { runCommandLine } = await import('./cli/program.ts')
const { createTerminal } = await import('./cli/terminal.ts')
const { createWiring } = await import('./wiring.ts')

const stop = new AbortController()
let signals = 0
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => {
    signals += 1
    if (signals > 1) process.exit(1) // the person insists
    stop.abort(new Error(`stopped by ${signal}`))
  })
}
for (const event of ['uncaughtException', 'unhandledRejection'] as const) {
  process.on(event, (error: unknown) => {
    // Neither message nor stack: they may quote content.
    const name = error instanceof Error ? error.name : typeof error
    const code = error instanceof Error && 'code' in error ? ` ${String(error.code)}` : ''
    process.stderr.write(`mycelium-gateway: ended by an unexpected ${name}${code}${placeOf(error)}; please report it\n`)
    process.exit(1)
  })
}

/** The first source position of our own in the stack, e.g. ` at src/core/codec.ts:88`. */
function placeOf(error: unknown): string {
  const stack = error instanceof Error ? (error.stack ?? '') : ''
  const match = /\/(src\/[\w/.-]+\.ts:\d+)/.exec(stack)
  return match === null ? '' : ` at ${match[1]}`
}

let unwritten: string | undefined
process.stdout.on('error', ({ code }: NodeJS.ErrnoException) => {
  if (code !== 'EPIPE') unwritten = code ?? 'unknown error' // else whoever read it has had enough
})

const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as { version: string }
const terminal = createTerminal(process, stop.signal)
process.exitCode = await runCommandLine(process.argv.slice(2), { terminal, wiring: createWiring(version) })
await Promise.all([process.stdout, process.stderr].map((stream) => new Promise((done) => stream.write('', done))))
if (unwritten !== undefined) {
  process.stderr.write(`mycelium-gateway: the result could not be written (${unwritten})\n`)
  process.exitCode = 1
}
process.exit()

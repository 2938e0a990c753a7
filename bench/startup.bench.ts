/** How long the whole gateway takes until every listener accepts, and what it holds in memory when nobody asks anything. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Bench } from '../scripts/bench.ts'

const program = fileURLToPath(new URL('../bin/mycelium-gateway', import.meta.url))
const settings = ['--ports', 'auto', '--set', 'overlay.mdns=false', '--set', 'log.level=error']

interface Running {
  readonly child: ChildProcess
  readonly readyMs: number
}

async function start(home: string): Promise<Running> {
  const startedAt = performance.now()
  const child = spawn(program, ['run', '--home', home, ...settings], { stdio: ['ignore', 'pipe', 'inherit'] })
  await new Promise<void>((resolve, reject) => {
    child.stdout.on('data', (bytes: Buffer) => {
      if (bytes.includes('"ready"')) resolve()
    })
    child.once('exit', (code) => reject(new Error(`gateway ended with ${code}`)))
  })
  return { child, readyMs: performance.now() - startedAt }
}

async function stop({ child }: Running): Promise<void> {
  const ended = new Promise((resolve) => child.once('exit', resolve))
  child.kill('SIGTERM')
  await ended
}

/** RssAnon, MB: what the process itself holds, without mapped files. */
async function anonymousMb({ child }: Running): Promise<number> {
  const status = await readFile(`/proc/${child.pid}/status`, 'utf8')
  return Number(/RssAnon:\s+(\d+) kB/.exec(status)?.[1]) / 1024
}

const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]!

export const bench: Bench = async ({ quick, say }) => {
  const home = await mkdtemp(join(tmpdir(), 'mycelium-startup-'))
  try {
    const made = spawnSync(program, ['init', '--home', join(home, 'home'), '--json'], { encoding: 'utf8' })
    if (made.status !== 0) throw new Error(made.stderr)
    const ready: number[] = []
    const idle: number[] = []
    for (let round = 0; round < (quick ? 4 : 10); round += 1) {
      const running = await start(join(home, 'home'))
      await new Promise((resolve) => setTimeout(resolve, 3000))
      const rss = await anonymousMb(running)
      await stop(running)
      say(`ready ${running.readyMs.toFixed(0)} ms, RssAnon after 3 s ${rss.toFixed(0)} MB`)
      // the first start makes certificates and fills the compile cache
      if (round > 0) {
        ready.push(running.readyMs)
        idle.push(rss)
      }
    }
    return [
      { name: 'ready', unit: 'ms', value: Math.round(median(ready)) },
      { name: 'rss_idle', unit: 'MB', value: Math.round(median(idle)) },
    ]
  } finally {
    await rm(home, { recursive: true, force: true })
  }
}

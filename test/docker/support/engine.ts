/**
 * Debian's container engine, all of its own: in a network namespace, with its data, state and socket in one temporary
 * folder, so that nothing of it meets the machine's network or another engine. slirp4netns gives it the way out that a
 * build needs for packages.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { run, type RunOptions } from './commands.ts'

/** Debian's own, whatever else is on the path: it builds with BuildKit without a plugin. */
const dockerProgram = '/usr/bin/docker'
const startMs = 60_000

export interface Engine extends AsyncDisposable {
  readonly folder: string
  docker(args: readonly string[], options?: RunOptions): Promise<string>
  compose(args: readonly string[], env: Readonly<Record<string, string>>): Promise<string>
  /** Runs a program of this machine in the engine's network, where published ports are on localhost. */
  inNetwork(command: string, args: readonly string[], options?: RunOptions): Promise<string>
}

export async function startEngine(): Promise<Engine> {
  const folder = mkdtempSync(join(tmpdir(), 'mycelium-docker-'))
  const socket = join(folder, 'docker.sock')
  const resolver = join(folder, 'resolv.conf')
  writeFileSync(resolver, 'nameserver 10.0.2.3\n') // slirp4netns asks whom this machine asks
  const script = [
    'ip link set lo up',
    `mount --bind "${resolver}" "$(readlink -f /etc/resolv.conf)"`,
    'ulimit -n 20000',
    `exec dockerd --data-root "${folder}/data" --exec-root "${folder}/exec" --pidfile "${folder}/pid" -H "unix://${socket}"`,
  ].join(' && ')
  const log = { text: '' }
  const daemon = spawn('unshare', ['--net', '--mount', 'sh', '-c', script], { stdio: ['ignore', 'pipe', 'pipe'] })
  for (const stream of [daemon.stdout, daemon.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => (log.text = (log.text + text).slice(-4000)))
  await until(() => existsSync(socket) || daemon.exitCode !== null, 'the container engine', log)
  if (daemon.exitCode !== null) throw new Error(`the container engine ended: ${log.text}`)
  const way = spawn(
    'slirp4netns',
    ['--configure', '--mtu=1400', '--disable-host-loopback', String(daemon.pid), 'tap0'],
    {
      stdio: 'ignore',
    },
  )
  const env = { ...process.env, DOCKER_HOST: `unix://${socket}`, DOCKER_BUILDKIT: '1' }
  return {
    folder,
    docker: async (args, options = {}) => await run(dockerProgram, args, { ...options, env }),
    compose: async (args, more) => await run('docker-compose', args, { env: { ...env, ...more } }),
    inNetwork: async (command, args, options = {}) =>
      await run('nsenter', [`--net=/proc/${daemon.pid}/ns/net`, command, ...args], options),
    async [Symbol.asyncDispose]() {
      await end(daemon)
      await end(way)
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const closed = once(child, 'exit')
  child.kill('SIGTERM')
  await closed
}

async function until(condition: () => boolean, what: string, log: { readonly text: string }): Promise<void> {
  for (const deadline = performance.now() + startMs; !condition(); await sleep(50))
    if (performance.now() > deadline) throw new Error(`${what} did not start: ${log.text}`)
}

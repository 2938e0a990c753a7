/**
 * Network namespaces of one lab, removed with it. Their names carry the process that made them, so that labs run beside
 * each other and what a killed one left is cleared away by the next.
 */
import { readdirSync } from 'node:fs'
import { run, type RunOptions } from '../../docker/support/commands.ts'

const prefix = 'myclab'
let made = 0

export class Namespace {
  readonly name: string

  constructor(name: string) {
    this.name = name
  }

  /** `ip` in here, e.g. `ip('link set lo up')`. */
  async ip(command: string): Promise<string> {
    return await run('ip', ['-n', this.name, ...command.split(' ')])
  }

  /** A program in here, to its end. */
  async run(command: string, args: readonly string[], options: RunOptions = {}): Promise<string> {
    return await run('ip', ['netns', 'exec', this.name, command, ...args], options)
  }

  /** Rules for nftables, as a file would hold them. */
  async rules(text: string): Promise<void> {
    await this.run('nft', ['-f', '-'], { stdin: text })
  }

  async set(variable: string, value: string): Promise<void> {
    await this.run('sysctl', ['-q', '-w', `${variable}=${value}`])
  }
}

export class Namespaces implements AsyncDisposable {
  readonly #names: string[] = []

  static async open(): Promise<Namespaces> {
    await clearLeftovers()
    return new Namespaces()
  }

  /** With its loopback up and nothing else. */
  async add(): Promise<Namespace> {
    made += 1
    const namespace = new Namespace(`${prefix}-${process.pid}-${made}`)
    await run('ip', ['netns', 'add', namespace.name])
    this.#names.push(namespace.name)
    await namespace.ip('link set lo up')
    return namespace
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const name of this.#names.splice(0)) await remove(name)
  }
}

/** A cable: `here` in the first namespace, `there` in the second, both up. */
export async function connect(
  [first, here]: readonly [Namespace, string],
  [second, there]: readonly [Namespace, string],
): Promise<void> {
  await first.ip(`link add ${here} type veth peer name ${there} netns ${second.name}`)
  await first.ip(`link set ${here} up`)
  await second.ip(`link set ${there} up`)
}

async function clearLeftovers(): Promise<void> {
  for (const name of existing()) {
    const owner = Number(new RegExp(`^${prefix}-(\\d+)-`).exec(name)?.[1])
    if (!Number.isNaN(owner) && !isRunning(owner)) await remove(name).catch(() => {}) // another lab may be clearing too
  }
}

function existing(): readonly string[] {
  try {
    return readdirSync('/run/netns')
  } catch {
    return []
  }
}

async function remove(name: string): Promise<void> {
  for (const pid of (await run('ip', ['netns', 'pids', name])).split('\n').filter((line) => line !== '')) {
    try {
      process.kill(Number(pid), 'SIGKILL')
    } catch {
      // it ended by itself
    }
  }
  await run('ip', ['netns', 'delete', name])
}

function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

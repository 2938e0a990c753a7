/** A real gateway: its own process, its own home, driven only through the names and outputs that CONTRACT fixes. */
import { join, resolve } from 'node:path'
import { Program, runOk } from './processes.ts'
import { tempFolder, type TempFolder } from './temp-folder.ts'
import type { MailSettings } from './mail-settings.ts'

const executable = resolve(import.meta.dirname, '../../../bin/mycelium-gateway')

/** From the start of the process to its ready line; generous, because CI shares two cores among everything. */
const readyMsMax = 30_000

export interface Endpoint {
  readonly host: string
  readonly port: number
}

export interface Listeners {
  readonly smtp: Endpoint
  readonly smtps: Endpoint
  readonly imap: Endpoint
  readonly imaps: Endpoint
  readonly xmpp: Endpoint
  readonly xmpps: Endpoint
  readonly http: Endpoint
  readonly https: Endpoint
  readonly overlay: readonly string[]
}

const clientListeners = ['smtp', 'smtps', 'imap', 'imaps', 'xmpp', 'xmpps', 'http', 'https'] as const

interface Created {
  readonly address: string
  readonly appPassword: string
}

export interface Accepted {
  readonly address: string
  readonly state: string
}

export class Gateway implements AsyncDisposable {
  readonly name: string
  readonly address: string
  readonly #folder: TempFolder
  readonly #appPassword: string
  readonly #settings: readonly string[]
  #program: Program | undefined
  #listeners: Listeners | undefined
  #ports: Listeners | undefined
  #authority: string | undefined

  private constructor(
    name: string,
    folder: TempFolder,
    { address, appPassword }: Created,
    settings: readonly string[],
  ) {
    this.name = name
    this.address = address
    this.#folder = folder
    this.#appPassword = appPassword
    this.#settings = settings
  }

  /**
   * A new home with one account whose local name is `name`. It does not run yet.
   * @param settings `key=value` of the configuration, for each of its starts
   */
  static async create(name: string, settings: readonly string[] = []): Promise<Gateway> {
    const folder = await tempFolder(`gateway-${name}`)
    const args = [
      'init',
      '--address',
      `${name}@${name}.example`,
      '--display-name',
      name,
      '--home',
      homeIn(folder),
      '--json',
    ]
    const { stdout } = await runOk(executable, args)
    return new Gateway(name, folder, lastJson(stdout) as Created, settings)
  }

  get home(): string {
    return homeIn(this.#folder)
  }

  get listeners(): Listeners {
    if (this.#listeners === undefined) throw new Error(`gateway ${this.name} is not running`)
    return this.#listeners
  }

  /** Of the process as it was last started. */
  get pid(): number {
    if (this.#program === undefined) throw new Error(`gateway ${this.name} is not running`)
    return this.#program.pid
  }

  /** What it has logged since it was last started. */
  get log(): string {
    return `${this.#program?.stdout ?? ''}${this.#program?.stderr ?? ''}`
  }

  /** Runs it until it says that it is ready; after a stop on the same ports as before, so that programs find it. */
  async start(): Promise<void> {
    const program = new Program(executable, ['run', '--home', homeIn(this.#folder), '--json', ...this.#runOptions()])
    this.#program = program
    this.#listeners = await program.waitFor('ready line', readyMsMax, () => readyLine(program.stdout))
    this.#ports = this.#listeners
  }

  /** SIGTERM. @throws when it does not drain and exit 0 within 10 s */
  async stop(): Promise<void> {
    const code = await this.#program?.stop(10_000)
    if (code !== 0) throw new Error(`gateway ${this.name} ended with ${code} on SIGTERM\n${this.log}`)
    this.#listeners = undefined
  }

  /** kill -9, as a power cut would. */
  async kill(): Promise<void> {
    await this.#program?.kill()
    this.#listeners = undefined
  }

  /** One verb of the command line on this home; answers what it printed as JSON. */
  async verb<T>(...args: readonly string[]): Promise<T> {
    const { stdout } = await runOk(executable, [...args, '--home', homeIn(this.#folder), '--json'])
    return lastJson(stdout) as T
  }

  /** An app password for one more mail program. */
  async addPassword(program: string): Promise<string> {
    return (await this.verb<{ password: string }>('password', 'add', '--name', program)).password
  }

  /** The certificate authority that its clients are told to trust, PEM. */
  async authority(): Promise<string> {
    if (this.#authority === undefined) {
      const { stdout } = await runOk(executable, ['trust', 'export', '--home', homeIn(this.#folder)])
      this.#authority = stdout
    }
    return this.#authority
  }

  /** What its user types into a mail program. */
  async settings(security: MailSettings['security'], password = this.#appPassword): Promise<MailSettings> {
    const { smtp, smtps, imap, imaps } = this.listeners
    // mutt and mbsync compare a certificate with a DNS name only, so with TLS the host has a name.
    const host = security === 'plain' ? imap.host : 'localhost'
    return {
      address: this.address,
      displayName: this.name,
      user: this.name,
      password,
      imap: { host, port: security === 'tls' ? imaps.port : imap.port },
      smtp: { host, port: security === 'tls' ? smtps.port : smtp.port },
      security,
      ...(security === 'plain' ? {} : { authorityPem: await this.authority() }),
    }
  }

  /** Only loopback: no multicast, no address of the machine's network. */
  #runOptions(): string[] {
    const ports = this.#ports
    const settings = ['overlay.mdns=false', 'overlay.host=127.0.0.1', 'overlay.loopback=true', ...this.#settings]
    if (ports !== undefined) {
      settings.push(...clientListeners.map((name) => `${name}.port=${ports[name].port}`))
      // one that was chosen stays; what is announced may lead there by another one
      if (!settings.some((one) => one.startsWith('overlay.port=')))
        settings.push(`overlay.port=${tcpPort(ports.overlay)}`)
    }
    return ['--ports', 'auto', ...settings.flatMap((setting) => ['--set', setting])]
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#program?.kill()
    await this.#folder[Symbol.asyncDispose]()
  }
}

const homeIn = (folder: TempFolder): string => join(folder.path, 'home')

/** The port of the plain TCP address among the overlay's multiaddrs. */
function tcpPort(multiaddrs: readonly string[]): number {
  const port = multiaddrs
    .map((address) => /\/tcp\/(\d+)\/p2p\//.exec(address)?.[1])
    .find((found) => found !== undefined)
  if (port === undefined) throw new Error(`no TCP address in ${multiaddrs.join(' ')}`)
  return Number(port)
}

function lastJson(stdout: string): unknown {
  return JSON.parse(stdout.trim().split('\n').at(-1) ?? '')
}

function readyLine(stdout: string): Listeners | undefined {
  const line = stdout.split('\n').find((text) => text.includes('"event":"ready"'))
  return line === undefined ? undefined : (JSON.parse(line) as { listeners: Listeners }).listeners
}

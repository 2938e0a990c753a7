/** Synapse, the homeserver that most people use, on a free port of this machine: SQLite, no federation, no rate limits. */
import { createHmac, randomBytes } from 'node:crypto'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { freePort, untilListening } from './free-port.ts'
import { makeOnDemand } from './made-on-demand.ts'
import { Program } from './processes.ts'
import { tempFolder } from './temp-folder.ts'

/** Generous for a loaded CI. */
const startMsMax = 60_000
const serverName = 'localhost'

export interface SynapseOptions {
  /** Login name → password. */
  readonly users: Readonly<Record<string, string>>
  /** Registrations of application services, each as the text of its file. */
  readonly appServices?: readonly string[]
}

export class Synapse implements AsyncDisposable {
  readonly url: string
  readonly #parts: AsyncDisposableStack
  readonly #program: Program

  private constructor(parts: AsyncDisposableStack, url: string, program: Program) {
    this.#parts = parts
    this.url = url
    this.#program = program
  }

  /** Ready, with these users. @throws with its log when it does not start */
  static async open({ users, appServices = [] }: SynapseOptions): Promise<Synapse> {
    await using parts = new AsyncDisposableStack()
    const venv = join(await makeOnDemand('synapse'), 'venv')
    const { path } = parts.use(await tempFolder('synapse'))
    const port = await freePort()
    const secret = randomBytes(16).toString('hex')
    const registrations = await Promise.all(
      appServices.map(async (text, at) => {
        const file = join(path, `app-service-${at}.yaml`)
        await writeFile(file, text)
        return file
      }),
    )
    await mkdir(join(path, 'media'))
    await writeFile(join(path, 'signing.key'), `ed25519 a_test ${unpadded(randomBytes(32))}\n`)
    await writeFile(join(path, 'log.json'), JSON.stringify(logging))
    // JSON is YAML
    await writeFile(join(path, 'homeserver.json'), JSON.stringify(settings(path, port, secret, registrations)))
    const program = parts.use(
      new Program(
        join(venv, 'bin/python'),
        ['-m', 'synapse.app.homeserver', '--config-path', join(path, 'homeserver.json')],
        { cwd: path },
      ),
    )
    const url = `http://localhost:${port}`
    await untilListening(port, startMsMax, () => `${program.stdout}\n${program.stderr}`)
    for (const [name, password] of Object.entries(users)) await register(url, secret, name, password)
    return new Synapse(parts.move(), url, program)
  }

  get pid(): number {
    return this.#program.pid
  }

  /** Warnings and errors so far. */
  get log(): string {
    return `${this.#program.stdout}${this.#program.stderr}`
  }

  userId(name: string): string {
    return `@${name}:${serverName}`
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#parts.disposeAsync()
  }
}

const unpadded = (bytes: Buffer): string => bytes.toString('base64').replaceAll('=', '')

/** By the shared secret, as the administrator's own tool does. */
async function register(url: string, secret: string, username: string, password: string): Promise<void> {
  const address = `${url}/_synapse/admin/v1/register`
  const { nonce } = (await (await fetch(address)).json()) as { nonce: string }
  const mac = createHmac('sha1', secret).update([nonce, username, password, 'notadmin'].join('\0')).digest('hex')
  const answer = await fetch(address, {
    method: 'POST',
    body: JSON.stringify({ nonce, username, password, admin: false, mac }),
  })
  if (!answer.ok) throw new Error(`Synapse does not register ${username}: ${await answer.text()}`)
}

const logging = {
  version: 1,
  formatters: { line: { format: '%(asctime)s %(name)s %(levelname)s %(message)s' } },
  handlers: { out: { class: 'logging.StreamHandler', formatter: 'line' } },
  root: { level: 'WARNING', handlers: ['out'] },
}

const unlimited = { per_second: 1e6, burst_count: 1e6 }

const settings = (path: string, port: number, secret: string, appServices: readonly string[]): object => ({
  server_name: serverName,
  public_baseurl: `http://localhost:${port}/`,
  listeners: [
    {
      port,
      bind_addresses: ['127.0.0.1'],
      type: 'http',
      tls: false,
      resources: [{ names: ['client'], compress: false }],
    },
  ],
  database: { name: 'sqlite3', args: { database: join(path, 'homeserver.db') } },
  log_config: join(path, 'log.json'),
  media_store_path: join(path, 'media'),
  signing_key_path: join(path, 'signing.key'),
  pid_file: join(path, 'homeserver.pid'),
  registration_shared_secret: secret,
  macaroon_secret_key: secret,
  form_secret: secret,
  report_stats: false,
  trusted_key_servers: [],
  federation_domain_whitelist: [],
  app_service_config_files: appServices,
  user_directory: { search_all_users: true },
  // programs that Debian brings ask for media without a token
  enable_authenticated_media: false,
  // accounts are made fast; nobody attacks them
  bcrypt_rounds: 4,
  rc_message: unlimited,
  rc_registration: unlimited,
  rc_joins: { local: unlimited, remote: unlimited },
  rc_joins_per_room: unlimited,
  rc_invites: { per_room: unlimited, per_user: unlimited, per_issuer: unlimited },
  rc_login: { address: unlimited, account: unlimited, failed_attempts: unlimited },
  rc_room_creation: unlimited,
  rc_media_create: unlimited,
  rc_presence: { per_user: unlimited },
  rc_delayed_event_mgmt: unlimited,
  rc_reports: unlimited,
  rc_user_directory: unlimited,
  rc_admin_redaction: unlimited,
  experimental_features: { msc4222_enabled: true },
})

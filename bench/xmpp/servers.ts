/** The servers that are compared, each in its own process with the same users. */
import { accessSync, constants } from 'node:fs'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { connectControl } from '../../src/cli/client.ts'
import { homePaths } from '../../src/home.ts'
import { Gateway } from '../../test/interop/support/gateway-process.ts'
import { untilListening } from '../../test/interop/support/free-port.ts'
import { Program, runOk } from '../../test/interop/support/processes.ts'
import { tempFolder } from '../../test/interop/support/temp-folder.ts'
import { freePort } from '../support/free-port.ts'
import { domain, type Place, type User } from './client.ts'

export interface Server {
  readonly name: string
  readonly pid: number
  readonly plain: Place
  readonly users: readonly User[]
}

const namesOf = (count: number): readonly string[] => Array.from({ length: count }, (_, at) => `user${at}`)

/** Started again after its accounts were made: what that took is not held against it. */
export async function openGateway(
  scope: AsyncDisposableStack,
  count: number,
): Promise<Server & { readonly tls: Place }> {
  const gateway = scope.use(await Gateway.create('owner'))
  await gateway.start()
  const users: User[] = []
  {
    await using control = (await connectControl(homePaths(gateway.home).controlSocket))!
    const context = { signal: new AbortController().signal, progress: () => {} }
    for (const name of namesOf(count)) {
      const { appPassword } = await control.operations.accountAdd({ address: `${name}@bench.example` }, context)
      users.push({ name, password: appPassword })
    }
  }
  await gateway.stop()
  await gateway.start()
  const { xmpp, xmpps } = gateway.listeners
  return {
    name: 'gateway',
    pid: gateway.pid,
    plain: { port: xmpp.port, isTls: false },
    tls: { port: xmpps.port, isTls: true },
    users,
  }
}

/**
 * With what a server for these programs has on: archive, stream management, carbons, client state, personal events. Its
 * archive is kept as Debian's package keeps it, in files that are written at once and never synced. `undefined` where it
 * is not installed.
 */
export async function openProsody(
  scope: AsyncDisposableStack,
  count: number,
  say: (line: string) => void,
): Promise<Server | undefined> {
  try {
    accessSync('/usr/bin/prosody', constants.X_OK)
  } catch {
    say('Prosody (Debian package prosody) is not installed: our figures only')
    return undefined
  }
  const { path } = scope.use(await tempFolder('prosody'))
  const { stdout } = await runOk('prosodyctl', ['about'])
  const version = /Prosody ([\d.]+)/.exec(stdout)?.[1] ?? 'of an unknown version'
  const port = await freePort()
  const users = namesOf(count).map((name) => ({ name, password: 'secret' }))
  const accounts = join(path, 'data', domain, 'accounts')
  await mkdir(accounts, { recursive: true })
  for (const { name, password } of users)
    await writeFile(join(accounts, `${name}.dat`), `return { ["password"] = ${JSON.stringify(password)}; };\n`)
  const config = join(path, 'prosody.cfg.lua')
  await writeFile(config, settings(path, port))
  const program = scope.use(new Program('prosody', ['-F', '--config', config]))
  await untilListening(port, 20_000, () => `${program.stdout}\n${program.stderr}`)
  say(`compared with Prosody ${version}: mam, smacks, carbons, csi, pep, storage "internal"`)
  const pid = Number(await readFile(join(path, 'prosody.pid'), 'utf8').catch(() => program.pid))
  return { name: `prosody ${version}`, pid, plain: { port, isTls: false }, users }
}

const settings = (path: string, port: number): string => `run_as_root = true
data_path = ${JSON.stringify(join(path, 'data'))}
pidfile = ${JSON.stringify(join(path, 'prosody.pid'))}
interfaces = { "127.0.0.1" }
c2s_ports = { ${port} }
legacy_ssl_ports = {}
c2s_direct_tls_ports = {}
http_ports = {}
https_ports = {}
network_settings = { tcp_backlog = 128 }
modules_enabled = { "roster"; "saslauth"; "disco"; "pep"; "carbons"; "mam"; "smacks"; "csi_simple"; "blocklist"; "bookmarks"; "private"; "vcard4"; "vcard_legacy"; "ping"; "time"; "uptime"; "version" }
modules_disabled = { "s2s"; "tls" }
c2s_require_encryption = false
allow_unencrypted_plain_auth = true
authentication = "internal_plain"
storage = "internal"
default_archive_policy = true
archive_expires_after = "never"
limits = {}
log = { { levels = { min = "warn" }, to = "file", filename = ${JSON.stringify(join(path, 'prosody.log'))} } }
VirtualHost "${domain}"
`

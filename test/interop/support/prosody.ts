/** Prosody on free ports of this machine, with one component and users whose passwords are known. */
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { freePort, untilListening } from './free-port.ts'
import { Program } from './processes.ts'

export interface ServerWithComponent extends AsyncDisposable {
  readonly domain: string
  readonly componentDomain: string
  readonly port: number
  readonly componentPort: number
  readonly secret: string
  stop(): Promise<void>
  start(): Promise<void>
}

const quoted = (text: string): string => JSON.stringify(text)

/** @param hasPrivileges whether it lets the component act for its users (mod_privilege, Debian package prosody-modules) */
export async function openProsody(
  folder: string,
  users: Readonly<Record<string, string>>,
  { hasPrivileges }: { readonly hasPrivileges: boolean },
): Promise<ServerWithComponent> {
  const [port, componentPort] = [await freePort(), await freePort()]
  const domain = 'example.test'
  const componentDomain = 'myc.example.test'
  const secret = 'a secret of a test'
  const data = join(folder, 'data')
  const accounts = join(data, 'example%2etest', 'accounts')
  await mkdir(accounts, { recursive: true })
  for (const [user, password] of Object.entries(users))
    await writeFile(join(accounts, `${user}.dat`), `return { ["password"] = ${quoted(password)}; };\n`)
  const privilege = hasPrivileges ? '"privilege";' : ''
  const config = join(folder, 'prosody.cfg.lua')
  await writeFile(
    config,
    `run_as_root = true
data_path = ${quoted(data)}
pidfile = ${quoted(join(folder, 'prosody.pid'))}
interfaces = { "127.0.0.1" }
c2s_ports = { ${port} }
legacy_ssl_ports = {}
c2s_direct_tls_ports = {}
component_ports = { ${componentPort} }
component_interfaces = { "127.0.0.1" }
http_ports = {}
https_ports = {}
modules_enabled = { "roster"; "saslauth"; "disco"; "ping"; "carbons"; "mam"; ${privilege} }
modules_disabled = { "s2s"; "tls" }
plugin_paths = { "/usr/lib/prosody/modules" }
c2s_require_encryption = false
allow_unencrypted_plain_auth = true
authentication = "internal_plain"
storage = "internal"
log = { { levels = { min = "info" }, to = "file", filename = ${quoted(join(folder, 'prosody.log'))} } }
VirtualHost ${quoted(domain)}
  privileged_entities = { [${quoted(componentDomain)}] = { roster = "both"; message = "outgoing"; } }
Component ${quoted(componentDomain)}
  component_secret = ${quoted(secret)}
  modules_enabled = { ${privilege} }
`,
  )
  let program: Program | undefined
  return {
    domain,
    componentDomain,
    port,
    componentPort,
    secret,
    async start() {
      const started = new Program('prosody', ['-F', '--config', config])
      program = started
      for (const one of [port, componentPort])
        await untilListening(one, 20_000, () => `${started.stdout}\n${started.stderr}`)
    },
    async stop() {
      await program?.kill()
      program = undefined
    },
    [Symbol.asyncDispose]: async () => await program?.kill(),
  }
}

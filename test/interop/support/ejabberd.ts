/** ejabberd on free ports of this machine, outside of Erlang's own network, with one component that may act for its users. */
import { readdirSync } from 'node:fs'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { freePort, untilListening } from './free-port.ts'
import { Program } from './processes.ts'
import type { ServerWithComponent } from './prosody.ts'

/** Debian puts Erlang's libraries into a folder of the machine's kind. */
const libraries = (): string => {
  const found = readdirSync('/usr/lib').find((name) => name.endsWith('-linux-gnu'))
  return join('/usr/lib', found ?? '')
}

export async function openEjabberd(
  folder: string,
  users: Readonly<Record<string, string>>,
): Promise<ServerWithComponent> {
  const [port, componentPort] = [await freePort(), await freePort()]
  const domain = 'example.test'
  const componentDomain = 'myc.example.test'
  const secret = 'a secret of a test'
  const config = join(folder, 'ejabberd.yml')
  const data = join(folder, 'mnesia')
  await mkdir(data, { recursive: true })
  await writeFile(
    config,
    `hosts: [${domain}]
loglevel: warning
auth_method: internal
auth_password_format: plain
acl:
  gateway: { server: ${componentDomain} }
access_rules:
  gateway: { allow: gateway }
listen:
  - { port: ${port}, ip: "127.0.0.1", module: ejabberd_c2s }
  - port: ${componentPort}
    ip: "127.0.0.1"
    module: ejabberd_service
    access: all
    hosts: { ${componentDomain}: { password: "${secret}" } }
modules:
  mod_carboncopy: {}
  mod_disco: {}
  mod_mam: { default: always, request_activates_archiving: false }
  mod_ping: {}
  mod_roster: {}
  mod_privilege:
    roster: { both: gateway }
    message: { outgoing: gateway }
`,
  )
  const register = Object.entries(users).map(
    ([user, password]) =>
      `F(F, fun() -> ejabberd_auth:try_register(<<"${user}">>, <<"${domain}">>, <<"${password}">>) end)`,
  )
  const evaluated = `F = fun(F, G) -> case catch G() of ok -> ok; {error, exists} -> ok; _ -> timer:sleep(100), F(F, G) end end, ${register.join(', ')}.`
  let program: Program | undefined
  return {
    domain,
    componentDomain,
    port,
    componentPort,
    secret,
    async start() {
      const started = new Program(
        'erl',
        ['-noinput', '-mnesia', 'dir', `"${data}"`, '-s', 'ejabberd', '-eval', evaluated],
        {
          cwd: folder,
          keepInputOpen: true,
          env: {
            ERL_LIBS: libraries(),
            EJABBERD_CONFIG_PATH: config,
            EJABBERD_LOG_PATH: join(folder, 'ejabberd.log'),
            HOME: folder,
          },
        },
      )
      program = started
      for (const one of [port, componentPort])
        await untilListening(one, 60_000, () => `${started.stdout}\n${started.stderr}`)
    },
    async stop() {
      await program?.kill()
      program = undefined
    },
    [Symbol.asyncDispose]: async () => await program?.kill(),
  }
}

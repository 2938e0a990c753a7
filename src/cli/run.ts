/** `run`: the gateway in the foreground, from first start to a drained end. */
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Command } from 'commander'
import { homeDirectory, loadConfig } from '../config.ts'
import type { AccountView, Endpoint, Listeners, NewAccount } from '../core/control-views.ts'
import { type CommonOptions, type Environment, readNewPassphrase, readPassphrase, withCommon } from './context.ts'
import { UsageError } from './errors.ts'
import { newAccountText } from './init.ts'
import type { RunningGateway, Terminal } from './wiring.ts'

interface RunOptions extends CommonOptions {
  readonly config?: string
  readonly ports?: string
  readonly set?: readonly string[]
}

/** CONTRACT: SIGTERM ends within 10 s. */
const drainMsMax = 9000

export function addRun(program: Command, environment: Environment): void {
  withCommon(program.command('run'))
    .summary('run the gateway in the foreground')
    .description('Runs the gateway in the foreground; creates home and account at the first start.')
    .option('--config <file>', 'configuration, JSON, comments allowed (schema: config/gateway.schema.json)')
    .option('--ports <auto>', 'auto: pick a free port for every listener')
    .option('--set <key=value>', 'set one key, e.g. imap.port=0; repeatable, wins over --ports auto', collect, [])
    .action(async (options: RunOptions) => await run(environment, options))
}

const collect = (value: string, earlier: readonly string[]): readonly string[] => [...earlier, value]

async function run({ wiring, terminal }: Environment, options: RunOptions): Promise<void> {
  if (options.ports !== undefined && options.ports !== 'auto') throw new UsageError('--ports takes only: auto')
  const config = loadConfig({ file: options.config, portsAuto: options.ports === 'auto', set: options.set ?? [] })
  const home = homeDirectory(options.home)
  const state = wiring.inspect(home)
  let created: NewAccount | undefined
  let passphrase: string | undefined
  if (state.kind === 'nothing') {
    passphrase = await readNewPassphrase(terminal, options)
    created = await wiring.createHome(home, {
      address: undefined,
      displayName: undefined,
      serviceDomain: undefined,
      passphrase,
      keepWords: !terminal.interactive,
    })
  } else if (state.keyStore === 'passphrase') passphrase = await readPassphrase(terminal, options)
  const gateway = await wiring.start(home, config, passphrase)
  try {
    terminal.out(`${JSON.stringify({ event: 'ready', listeners: gateway.listeners })}\n`)
    await welcome(terminal, gateway, created)
    await Promise.race([gateway.ended, aborted(terminal.stop)])
  } finally {
    const ended = await Promise.race([
      gateway[Symbol.asyncDispose]().then(() => true),
      sleep(drainMsMax, false, { ref: false }),
    ])
    if (!ended) terminal.err('mycelium-gateway: not everything closed in time; nothing acknowledged is lost\n')
  }
}

async function aborted(signal: AbortSignal): Promise<void> {
  if (!signal.aborted) await once(signal, 'abort')
}

/** Where to point a mail program; secrets only where a person sees them. */
async function welcome(terminal: Terminal, gateway: RunningGateway, created: NewAccount | undefined): Promise<void> {
  if (created === undefined && !terminal.interactive) return
  const { accounts } = await gateway.operations.status({}, { signal: terminal.stop, progress: () => {} })
  const [account] = accounts
  if (account === undefined) return
  const lines = [clientSettings(account, gateway.listeners), '']
  if (created !== undefined) {
    lines.push(
      terminal.interactive
        ? newAccountText(created)
        : 'For an app password: password add. For the recovery words: recovery show, then recovery confirm.',
    )
  } else if (!account.recoveryConfirmed) {
    lines.push('Recovery words not confirmed yet: recovery confirm.')
  }
  terminal.err(`\n${lines.join('\n').trimEnd()}\n\n`)
}

export function clientSettings({ addresses, localName }: AccountView, listeners: Listeners): string {
  const at = (endpoint: Endpoint | undefined): string =>
    endpoint === undefined ? '(off)' : `${clientHost(endpoint.host)} port ${endpoint.port}`
  const url = (scheme: string, endpoint: Endpoint | undefined): string =>
    endpoint === undefined ? '(off)' : `${scheme}://${clientHost(endpoint.host)}:${endpoint.port}`
  return [
    `For ${addresses[0] ?? localName}: point your programs at`,
    `  IMAP    ${at(listeners.imap)} STARTTLS, or ${at(listeners.imaps)} TLS`,
    `  SMTP    ${at(listeners.smtp)} STARTTLS, or ${at(listeners.smtps)} TLS`,
    `  XMPP    ${at(listeners.xmpp)} STARTTLS, or ${at(listeners.xmpps)} TLS`,
    `  Matrix  homeserver ${url('http', listeners.http)}, or ${url('https', listeners.https)}`,
    `  user    ${localName}   password: an app password (password add)`,
  ].join('\n')
}

const clientHost = (host: string): string => (['127.0.0.1', '0.0.0.0', '::', '::1'].includes(host) ? 'localhost' : host)

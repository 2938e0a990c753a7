/** A real gateway in a namespace: driven over its control socket, its mail over SMTP and IMAP on its own loopback. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { connectControl } from '../../../src/cli/client.ts'
import type { OperationContext, Params, Results, Verb } from '../../../src/core/control.ts'
import type { NewAccount } from '../../../src/core/control-views.ts'
import { homePaths } from '../../../src/home.ts'
import { gateway, type Running, startGateway } from '../../cli/process-support.ts'
import type { MailOrder, Seen } from './mail-client-process.ts'
import type { Namespace } from './namespaces.ts'

const client = resolve(import.meta.dirname, 'mail-client-process.ts')
const context = (): OperationContext => ({ signal: AbortSignal.timeout(30_000), progress: () => {} })

export interface LabGateway extends AsyncDisposable {
  readonly name: string
  readonly address: string
  readonly pid: number
  /** Multiaddrs with /p2p of what it listens on. */
  readonly listeners: readonly string[]
  /** What it has logged. */
  log(): string
  ask<V extends Verb>(verb: V, params: Params<V>): Promise<Results[V]>
  send(to: string, subject: string): Promise<void>
  /** Waits until the mail is in INBOX. @returns when it was seen, Unix time in milliseconds */
  waitFor(subject: string): Promise<number>
}

/** @param settings KEY=VALUE, as `--set` takes them */
export async function startLabGateway(
  name: string,
  namespace: Namespace,
  settings: readonly string[] = [],
): Promise<LabGateway> {
  const folder = mkdtempSync(join(tmpdir(), 'mycelium-lab-'))
  const home = join(folder, 'home')
  await using scope = new AsyncDisposableStack()
  scope.defer(() => rmSync(folder, { recursive: true, force: true }))
  const account = await createHome(name, home)
  const sets = settings.flatMap((setting) => ['--set', setting])
  const ports = ['smtp', 'smtps', 'imap', 'imaps', 'http', 'https'].flatMap((listener) => [
    '--set',
    `${listener}.port=0`,
  ])
  const running = scope.use(await startGateway(['--home', home, ...ports, ...sets], '', namespace.name))
  const mail = async (order: Pick<MailOrder, 'send' | 'read'>): Promise<Seen> => {
    const user = { user: account.localName, password: account.appPassword }
    const stdin = JSON.stringify({ ...order, ...user, ...portsOf(running) })
    const answer = await namespace.run(process.execPath, [client], { stdin, timeout: 90_000 })
    return JSON.parse(answer) as Seen
  }
  const owned = scope.move()
  return {
    name,
    address: account.address,
    pid: running.pid,
    listeners: running.listeners.overlay,
    log: () => running.output().stderr,
    async ask(verb, params) {
      await using control = await connectControl(homePaths(home).controlSocket)
      if (control === undefined) throw new Error(`${name} does not answer: ${running.output().stderr.slice(-2000)}`)
      return await control.operations[verb](params, context())
    },
    send: async (to, subject) => void (await mail({ send: { from: account.address, to, subject } })),
    waitFor: async (subject) => (await mail({ read: subject })).atMs,
    [Symbol.asyncDispose]: async () => await owned.disposeAsync(),
  }
}

async function createHome(name: string, home: string): Promise<NewAccount & { readonly localName: string }> {
  const args = ['init', '--address', `${name}@${name}.example`, '--display-name', name, '--home', home, '--json']
  const { code, stdout, stderr } = await gateway(args)
  if (code !== 0) throw new Error(`init ended with ${code}: ${stderr}`)
  return { ...(JSON.parse(stdout) as NewAccount), localName: name }
}

const portsOf = ({ listeners: { smtp, imap } }: Running): Pick<MailOrder, 'smtpPort' | 'imapPort'> => ({
  smtpPort: smtp.port,
  imapPort: imap.port,
})

/** By an invitation that the first one makes. */
export async function becomeContacts(inviter: LabGateway, guest: LabGateway): Promise<void> {
  const { link } = await inviter.ask('inviteCreate', { expiresMs: 3600_000 })
  await guest.ask('inviteAccept', { link })
}

/** Polls until the condition holds. @returns how long it took, in milliseconds @throws after `msMax` */
export async function until(what: string, condition: () => Promise<boolean>, msMax: number): Promise<number> {
  const startedAt = performance.now()
  for (;;) {
    if (await condition()) return performance.now() - startedAt
    if (performance.now() - startedAt > msMax) throw new Error(`${what}: not within ${msMax / 1000} s`)
    await sleep(100)
  }
}

/** `npm run demo`: two gateways on this machine, alice and bob, who are contacts. Ctrl-C stops them and removes all. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import type { ContactView, Listeners, NewAccount } from '../src/core/control-views.ts'

const main = new URL('../src/main.ts', import.meta.url).pathname
const readyMsMax = 60_000
const contactMsMax = 60_000
/** Two gateways on one machine meet over loopback, and nobody else's network hears of them. */
const settings = ['overlay.host=127.0.0.1', 'overlay.loopback=true', 'overlay.mdns=false', 'log.level=error']

interface Person {
  readonly name: string
  readonly home: string
  readonly account: NewAccount
  readonly gateway: ChildProcess
  readonly listeners: Listeners
}

async function verb<T>(home: string, ...args: readonly string[]): Promise<T> {
  const child = spawn(process.execPath, [main, ...args, '--home', home, '--json'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let out = ''
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => (out += chunk))
  const [code] = (await once(child, 'close')) as [number | null]
  if (code !== 0) throw new Error(`mycelium-gateway ${args.slice(0, 2).join(' ')} ended with ${code}`)
  return JSON.parse(out) as T
}

async function startPerson(folder: string, name: string, started: ChildProcess[]): Promise<Person> {
  const home = join(folder, name)
  const account = await verb<NewAccount>(home, 'init', '--address', `${name}@${name}.example`, '--display-name', name)
  const set = settings.flatMap((setting) => ['--set', setting])
  const gateway = spawn(process.execPath, [main, 'run', '--home', home, '--ports', 'auto', ...set], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  started.push(gateway)
  const ready = readyLine(gateway)
  const late = sleep(readyMsMax, undefined, { ref: false }).then(() => {
    throw new Error(`${name}'s gateway was not ready in time`)
  })
  return { name, home, account, gateway, listeners: await Promise.race([ready, late]) }
}

async function readyLine(gateway: ChildProcess): Promise<Listeners> {
  for await (const line of createInterface({ input: gateway.stdout! })) {
    const said = JSON.parse(line) as { event: string; listeners: Listeners }
    if (said.event === 'ready') {
      gateway.stdout!.resume()
      return said.listeners
    }
  }
  throw new Error('the gateway ended before it was ready')
}

async function becomeContacts(inviter: Person, invited: Person): Promise<void> {
  const { link } = await verb<{ link: string }>(inviter.home, 'invite', 'create')
  await verb(invited.home, 'invite', 'accept', link)
  const deadline = performance.now() + contactMsMax
  for (const { home } of [inviter, invited]) {
    for (;;) {
      const [contact] = await verb<ContactView[]>(home, 'contact', 'list')
      if (contact?.state === 'active') break
      if (performance.now() > deadline) throw new Error('the two did not become contacts in time')
      await sleep(200)
    }
  }
}

function settingsText({ account, listeners: { imap, imaps, smtp, smtps } }: Person): string {
  return [
    account.address,
    `  IMAP  localhost port ${imap?.port} (STARTTLS) or ${imaps?.port} (TLS)`,
    `  SMTP  localhost port ${smtp?.port} (STARTTLS) or ${smtps?.port} (TLS)`,
    `  user  ${account.address}   password  ${account.appPassword}`,
  ].join('\n')
}

async function stop(gateways: readonly ChildProcess[]): Promise<void> {
  await Promise.all(
    gateways.map(async (gateway) => {
      if (gateway.exitCode !== null || gateway.signalCode !== null) return
      const ended = once(gateway, 'exit')
      gateway.kill('SIGTERM')
      await Promise.race([ended, sleep(10_000, undefined, { ref: false }).then(() => gateway.kill('SIGKILL'))])
    }),
  )
}

const stopping = new AbortController()
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => stopping.abort())
const interrupted = once(stopping.signal, 'abort')

const folder = await mkdtemp(join(tmpdir(), 'mycelium-demo-'))
const gateways: ChildProcess[] = []
const demo = async (): Promise<void> => {
  const [alice, bob] = await Promise.all(['alice', 'bob'].map((name) => startPerson(folder, name, gateways)))
  await becomeContacts(alice!, bob!)
  console.log(`\nalice and bob are contacts. Point a mail program at either:\n`)
  console.log(`${settingsText(alice!)}\n\n${settingsText(bob!)}\n`)
  console.log('Both exist for this demo only. Ctrl-C stops them and removes everything.')
  await Promise.race(gateways.map((gateway) => once(gateway, 'exit')))
  if (!stopping.signal.aborted) throw new Error('a gateway ended by itself')
}
try {
  await Promise.race([demo(), interrupted])
} catch (error) {
  if (!stopping.signal.aborted) {
    console.error(`demo: ${(error as Error).message}`)
    process.exitCode = 1
  }
} finally {
  await stop(gateways)
  await rm(folder, { recursive: true, force: true })
}
process.exit()

/**
 * What a flood of contact requests does to a gateway: fresh identities from many addresses send real first flights, some
 * of them do the work that is demanded, a few are whole gateways that write mail; meanwhile a contact writes, mail programs
 * read, and one honest stranger wants to get in.
 */
import { mkdtemp, readdir, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { ImapFlow } from 'imapflow'
import { createTransport } from 'nodemailer'
import { encodeBundleAsk } from '../src/core/delivery/asks.ts'
import { parseInvitation } from '../src/core/identity/invitation.ts'
import { limits } from '../src/core/limits.ts'
import type { Bench, Result } from '../scripts/bench.ts'
import type { Gateway } from '../test/interop/support/gateway-process.ts'
import { twoGateways } from '../test/interop/support/two-gateways.ts'
import { processorMs } from './support/processor-time.ts'
import { startChild } from './support/child.ts'
import type { FloodCounts, FloodRequest } from './support/flood-process.ts'
import { openPeerNode } from './support/peer-node.ts'
import { quantile } from './support/quantile.ts'
import type { StrangerRequest } from './support/stranger-process.ts'

const floodProcesses = 2
/** Of each process, every one at an address of its own: near the most connections that a gateway accepts. */
const floodGateways = 192
const quickGateways = 48
const mailEveryMs = 400
const fetchEveryMs = 500
const arrivalMsMax = 30_000
const honestMsMax = 120_000
const quickMsMax = 18_000

const tenths = (value: number): number => Math.round(value * 10) / 10

export const bench: Bench = async ({ quick, say }) => {
  const flights = Number(process.env['REQUESTS_FLIGHTS'] ?? (quick ? 4_000 : 1_000_000))
  await using scope = new AsyncDisposableStack()
  const { alice, bob } = scope.use(await twoGateways())
  const victim = await knowing(alice, scope)
  const { home } = await alice.verb<{ home: string }>('status')
  const homeBefore = await homeBytes(home)
  const stop = new AbortController()
  scope.defer(() => stop.abort())
  const reading = readsAllTheTime(alice, stop.signal)
  const mail = contactMail(bob, alice, stop.signal)
  const strangers = scope.use(
    await startChild<StrangerRequest>({ program: 'stranger-process.ts', args: ['strangers'] }),
  )
  const write = async (name: string): Promise<boolean> =>
    await strangers.ask<boolean>({ ...victim, do: 'write', name, withinMs: honestMsMax })
  const flood = await startFlood(victim, { flights, gateways: quick ? quickGateways : floodGateways }, scope)
  const ticker = setInterval(() => void flood.progress().then(say), 10_000)
  scope.defer(() => clearInterval(ticker))
  const cpuBefore = processorMs(alice.pid)
  const startedAt = performance.now()
  await sleep(quick ? 1_000 : 60_000)
  const insistent = Promise.all(
    Array.from({ length: quick ? 4 : 12 }, async (_, number) => await write(`pushy${number}`)),
  )
  let isIn = false
  const honest = write('carol').then((taken) => (isIn = taken))
  await Promise.race([flood.done, ...(quick ? [sleep(quickMsMax)] : [])])
  const isInMeanwhile = isIn // what comes in when the flood is over shows nothing
  const counted = await flood.stop()
  const floodMs = performance.now() - startedAt
  const usedCpu = processorMs(alice.pid) - cpuBefore
  await honest
  const pushed = (await insistent).filter(Boolean).length
  stop.abort()
  const [mails, fetchMs] = await Promise.all([mail, reading])
  const seen = await mailboxesOf(alice)
  const growthBytes = (await homeBytes(home)) - homeBefore
  say(
    `${counted.sent} flights in ${Math.round(floodMs / 1000)} s: ${counted.taken} whole handshakes, ` +
      `${counted.asked} read and asked for work, ${counted.unheard} not read; ${counted.worked} sent again with work; ` +
      `${pushed} strangers' gateways got their mail in; making a flight costs ${Math.round(counted.generateUs)} us`,
  )
  if (mails.delivered !== mails.sent) throw new Error(`${mails.delivered} of the contact's ${mails.sent} mails arrived`)
  return results({ counted, mails, growthBytes, ...seen, isIn: isInMeanwhile, floodMs, usedCpu, fetchMs })
}

function results(of: {
  readonly counted: FloodCounts
  readonly mails: ContactMails
  readonly growthBytes: number
  readonly notices: number
  readonly requests: number
  readonly isIn: boolean
  readonly floodMs: number
  readonly usedCpu: number
  readonly fetchMs: readonly number[]
}): readonly Result[] {
  const { counted, mails } = of
  return [
    { name: 'requests', unit: 'count', value: counted.sent },
    { name: 'delivered', unit: 'count', value: mails.delivered },
    { name: 'mail_p95', unit: 'ms', value: tenths(quantile(mails.tookMs, 0.95)) },
    { name: 'disk_growth', unit: 'MB', value: tenths(of.growthBytes / 1e6) },
    { name: 'inbox_notices', unit: 'count', value: of.notices },
    { name: 'honest_stranger', unit: 'count', value: of.isIn ? 1 : 0 },
    { name: 'handshakes', unit: 'count', value: counted.taken },
    { name: 'refused_read', unit: 'count', value: counted.asked },
    { name: 'refused_unread', unit: 'count', value: counted.unheard },
    { name: 'requests_mailbox', unit: 'count', value: of.requests },
    { name: 'fetch_p95', unit: 'ms', value: tenths(quantile(of.fetchMs, 0.95)) },
    { name: 'victim_cpu', unit: '%', value: Math.round((of.usedCpu / of.floodMs) * 100) },
    { name: 'victim_cpu_flight', unit: 'us', value: Math.round((of.usedCpu * 1000) / counted.sent) },
    { name: 'flooder_cpu_flight', unit: 'us', value: Math.round((counted.cpuMs * 1000) / counted.sent) },
    { name: 'generate', unit: 'us', value: Math.round(counted.generateUs) },
  ]
}

/** The victim as whoever floods it knows it. */
interface Victim {
  readonly address: string
  readonly identity: ReturnType<typeof parseInvitation>['identity']
  /** As hex. */
  readonly bundle: string
  readonly multiaddr: string
}

/** Somebody was invited, fetched the bundle, and handed it on. */
async function knowing(alice: Gateway, scope: AsyncDisposableStack): Promise<Victim> {
  const { link } = await alice.verb<{ link: string }>('invite', 'create')
  const { identity, capability, gateway, locators } = parseInvitation(link)
  const home = await mkdtemp(join(tmpdir(), 'mycelium-bench-leak-'))
  scope.defer(async () => await rm(home, { recursive: true, force: true }))
  const leak = await openPeerNode({ home, name: 'leak' })
  scope.use(leak.knowledge)
  scope.use(leak.node)
  const ask = encodeBundleAsk({ identity, proof: { kind: 'capability', capability } })
  const options = { signal: AbortSignal.timeout(10_000), answerBytesMax: limits.bundleBytesMax }
  const bundle = await leak.node.overlay.ask({ gateway, locators }, 'bundle', ask, options)
  const multiaddr = alice.listeners.overlay.find((listener) => /\/tcp\/\d+\/p2p\//.test(listener))!
  return { address: alice.address, identity, bundle: Buffer.from(bundle).toString('hex'), multiaddr }
}

interface Flood {
  /** Every flight was sent. */
  readonly done: Promise<unknown>
  progress(): Promise<string>
  stop(): Promise<FloodCounts>
}

/** Some processes that send one flight after another, and one that does the work that is demanded of it. */
async function startFlood(
  victim: Victim,
  { flights, gateways }: { readonly flights: number; readonly gateways: number },
  scope: AsyncDisposableStack,
): Promise<Flood> {
  const { multiaddr: at, identity, bundle } = victim
  const startOne = async () =>
    scope.use(await startChild<FloodRequest>({ program: 'flood-process.ts', args: ['flood'] }))
  const children = await Promise.all(Array.from({ length: floodProcesses + 1 }, startOne))
  const orders = children.map(async (child, number) => {
    const isWorking = number === floodProcesses
    const shape = isWorking
      ? { flights, gateways: 4, works: true }
      : { flights: Math.ceil(flights / floodProcesses), gateways, works: false }
    return await child.ask<FloodCounts>({ do: 'flood', at, identity, bundle, block: number + 1, ...shape })
  })
  for (const order of orders) order.catch(() => {})
  const startedAt = performance.now()
  const all = async (what: 'counts' | 'stop'): Promise<FloodCounts> =>
    summed(
      await Promise.all(
        children.map(async (child, number) => {
          const counts = await child.ask<FloodCounts>({ do: what })
          return number === floodProcesses ? { ...counts, cpuMs: 0 } : counts
        }),
      ),
    )
  return {
    done: Promise.all(orders.slice(0, floodProcesses)),
    async progress() {
      const { sent, taken, asked, unheard, worked } = await all('counts')
      const seconds = Math.round((performance.now() - startedAt) / 1000)
      return `${seconds} s: ${sent} flights, ${taken} taken, ${asked} asked for work, ${unheard} unread, ${worked} with work`
    },
    stop: async () => await all('stop'),
  }
}

const summed = (all: readonly FloodCounts[]): FloodCounts =>
  all.reduce((sum, one) => ({
    sent: sum.sent + one.sent,
    taken: sum.taken + one.taken,
    asked: sum.asked + one.asked,
    unheard: sum.unheard + one.unheard,
    worked: sum.worked + one.worked,
    generateUs: Math.max(sum.generateUs, one.generateUs),
    cpuMs: sum.cpuMs + one.cpuMs,
  }))

interface ContactMails {
  readonly sent: number
  readonly delivered: number
  readonly tookMs: readonly number[]
}

async function imapOf(gateway: Gateway): Promise<ImapFlow> {
  const { imap, user, password } = await gateway.settings('plain')
  const auth = { user, pass: password }
  const client = new ImapFlow({ ...imap, secure: false, doSTARTTLS: false, auth, logger: false })
  await client.connect()
  return client
}

/** A contact writes all the time; each mail is looked for by its number when the reader's mailbox grows. */
async function contactMail(bob: Gateway, alice: Gateway, signal: AbortSignal): Promise<ContactMails> {
  const { smtp, user, password } = await bob.settings('plain')
  const auth = { user, pass: password }
  const transport = createTransport({ ...smtp, pool: true, maxConnections: 1, ignoreTLS: true, auth })
  const client = await imapOf(alice)
  await client.mailboxOpen('INBOX')
  const tookMs: number[] = []
  const waiting = new Map<string, number>()
  let known = 0
  let looking: Promise<void> = Promise.resolve()
  const look = async (upTo: number): Promise<void> => {
    if (upTo <= known) return
    const range = `${known + 1}:${upTo}`
    known = upTo
    const nowMs = performance.now()
    for await (const { envelope } of client.fetch(range, { envelope: true })) {
      const sentAt = waiting.get(envelope?.subject ?? '')
      if (sentAt === undefined) continue
      waiting.delete(envelope!.subject!)
      tookMs.push(Math.max(0, nowMs - sentAt))
    }
    void client.idle().catch(() => {})
  }
  client.on('exists', ({ count }: { readonly count: number }) => {
    looking = looking.then(async () => await look(count))
  })
  void client.idle().catch(() => {})
  let sent = 0
  while (!signal.aborted) {
    sent += 1
    await transport.sendMail({ from: bob.address, to: alice.address, subject: `mail ${sent}`, text: 'x'.repeat(512) })
    waiting.set(`mail ${sent}`, performance.now())
    await sleep(mailEveryMs)
  }
  for (
    const until = performance.now() + arrivalMsMax;
    waiting.size > 0 && performance.now() < until;
    await sleep(100)
  ) {
    await client.noop()
    await looking
  }
  transport.close()
  await client.logout()
  return { sent, delivered: sent - waiting.size, tookMs }
}

/** A second mail program reads the whole inbox again and again. @returns milliseconds for each time */
async function readsAllTheTime(alice: Gateway, signal: AbortSignal): Promise<readonly number[]> {
  const client = await imapOf(alice)
  await client.mailboxOpen('INBOX')
  const tookMs: number[] = []
  while (!signal.aborted) {
    const startedAt = performance.now()
    await client.fetchAll('1:*', { flags: true, envelope: true })
    tookMs.push(performance.now() - startedAt)
    await sleep(fetchEveryMs)
  }
  await client.logout()
  return tookMs
}

async function mailboxesOf(alice: Gateway): Promise<{ readonly notices: number; readonly requests: number }> {
  const client = await imapOf(alice)
  await client.mailboxOpen('INBOX')
  const notices = await client.search({ from: 'Mycelium gateway' })
  const requests = await client.status('Requests', { messages: true })
  await client.logout()
  return {
    notices: notices ? notices.length : 0,
    requests: requests ? (requests.messages ?? 0) : 0,
  }
}

/** Octets that a home takes on the disk, files of the store as far as they are filled. */
async function homeBytes(home: string): Promise<number> {
  const entries = await readdir(home, { recursive: true, withFileTypes: true })
  const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name))
  const sizes = await Promise.all(files.map(async (file) => (await stat(file)).blocks * 512))
  return sizes.reduce((sum, size) => sum + size, 0)
}

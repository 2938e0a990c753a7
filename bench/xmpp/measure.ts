/** What is done with a server: connections that say nothing, as many messages as it takes, and messages at a given rate. */
import { readFile } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { processorMs } from '../support/processor-time.ts'
import { Client, type Place, type User } from './client.ts'
import type { Server } from './servers.ts'

const bodyOctets = 100
/** Messages of one sender that its partner has not got yet. */
const window = 10
const loginsAtOnce = 16
const settleMs = 5000
const endMsMax = 30_000

/** Everybody once; in order. */
async function logIn(place: Place, users: readonly User[], resource: (at: number) => string): Promise<Client[]> {
  const clients: Client[] = []
  let next = 0
  const worker = async (): Promise<void> => {
    while (next < users.length) {
      const at = next
      next += 1
      clients[at] = await Client.logIn(place, users[at]!, resource(at))
    }
  }
  await Promise.all(Array.from({ length: loginsAtOnce }, worker))
  return clients
}

export interface Idle {
  /** Per second, with as many at once as there are on the machine's cores and some. */
  readonly logins: number
  /** Processor time of the server for one, milliseconds. */
  readonly loginCpuMs: number
  readonly kbPerConnection: number
}

/** Connections with TLS, over and over the same users, that then say nothing. */
export async function idle({ pid, users, tls }: Server & { readonly tls: Place }, connections: number): Promise<Idle> {
  // what the first few bring up is there for all
  const first = await logIn(tls, users.slice(0, loginsAtOnce), () => 'first')
  await sleep(settleMs)
  const before = await anonymousKb(pid)
  const [startedAt, cpu] = [performance.now(), processorMs(pid)]
  const all = Array.from({ length: connections }, (_, at) => users[at % users.length]!)
  const clients = await logIn(tls, all, (at) => `idle${at}`)
  const tookS = (performance.now() - startedAt) / 1000
  const loginCpuMs = (processorMs(pid) - cpu) / connections
  await sleep(settleMs)
  const kbPerConnection = ((await anonymousKb(pid)) - before) / connections
  for (const client of [...first, ...clients]) client[Symbol.dispose]()
  return { logins: connections / tookS, loginCpuMs, kbPerConnection }
}

/** RssAnon: what the process itself holds, without mapped files. */
async function anonymousKb(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8')
  return Number(/RssAnon:\s+(\d+) kB/.exec(status)?.[1])
}

/** Pairs of clients of one server, of which the first writes to the second. */
export class Pairs implements Disposable {
  readonly #server: Server
  readonly #clients: readonly Client[]
  #next = 1

  private constructor(server: Server, clients: readonly Client[]) {
    this.#server = server
    this.#clients = clients
    for (const client of clients)
      client.onFailure = (what) => {
        throw new Error(`${server.name}: ${client.user.name}: ${what}`)
      }
  }

  static async of(server: Server): Promise<Pairs> {
    return new Pairs(server, await logIn(server.plain, server.users, () => 'desk'))
  }

  get #pairs(): readonly (readonly [from: Client, to: Client])[] {
    return Array.from({ length: this.#clients.length / 2 }, (_, at) => [
      this.#clients[2 * at]!,
      this.#clients[2 * at + 1]!,
    ])
  }

  /** With a full window, for so long. @returns messages that came and were acknowledged, a second and per core */
  async flood(ms: number): Promise<{ readonly rate: number; readonly perCore: number }> {
    const sentBefore = this.#next
    const acknowledgedBefore = this.#acknowledged
    let came = 0
    let isOver = false
    const { pid } = this.#server
    const [startedAt, cpu] = [performance.now(), processorMs(pid)]
    for (const [from, to] of this.#pairs) {
      const more = (): void => {
        from.sendMessage(to.user, this.#next, bodyOctets)
        this.#next += 1
      }
      to.onNumber = () => {
        came += 1
        if (!isOver) more()
      }
      for (let at = 0; at < window; at += 1) more()
    }
    await sleep(ms)
    isOver = true
    await until(
      () => came === this.#next - sentBefore,
      () => `${this.#server.name}: ${came} of ${this.#next - sentBefore} came`,
    )
    for (const [from] of this.#pairs) from.ask()
    const sent = this.#next - sentBefore
    // iqs and presences are counted with the messages
    await until(
      () => this.#acknowledged - acknowledgedBefore >= sent,
      () => `${this.#server.name}: not all acknowledged`,
    )
    const [tookMs, cpuMs] = [performance.now() - startedAt, processorMs(pid) - cpu]
    return { rate: (came / tookMs) * 1000, perCore: (came / cpuMs) * 1000 }
  }

  get #acknowledged(): number {
    return this.#clients.reduce((sum, { acknowledged }) => sum + acknowledged, 0)
  }

  /** From one's writing to the other's reading, milliseconds, of messages at a steady rate over all pairs. */
  async latencies(perSecond: number, ms: number): Promise<readonly number[]> {
    const sentAt = new Map<number, number>()
    const took: number[] = []
    const pairs = this.#pairs
    for (const [, to] of pairs)
      to.onNumber = (number) => {
        took.push(performance.now() - sentAt.get(number)!)
        sentAt.delete(number)
      }
    const startedAt = performance.now()
    const count = Math.round((perSecond * ms) / 1000)
    for (let at = 0; at < count; at += 1) {
      await sleep(Math.max(0, startedAt + (at * 1000) / perSecond - performance.now()))
      const [from, to] = pairs[at % pairs.length]!
      sentAt.set(this.#next, performance.now())
      from.sendMessage(to.user, this.#next, bodyOctets)
      this.#next += 1
    }
    await until(
      () => sentAt.size === 0,
      () => `${this.#server.name}: ${sentAt.size} did not come`,
    )
    return took
  }

  [Symbol.dispose](): void {
    for (const client of this.#clients) client[Symbol.dispose]()
  }
}

async function until(isSo: () => boolean, why: () => string): Promise<void> {
  const deadline = performance.now() + endMsMax
  while (!isSo()) {
    if (performance.now() > deadline) throw new Error(why())
    await sleep(5)
  }
}

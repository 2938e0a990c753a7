/**
 * A share of a flood: gateways on many loopback addresses, each sending the first flights of fresh identities as fast as
 * it is heard and a little faster; or, in a process for itself, doing the work that is demanded.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { generateKeyPair } from '@libp2p/crypto/keys'
import type { Connection } from '@libp2p/interface'
import { tcp } from '@libp2p/tcp'
import { tls } from '@libp2p/tls'
import { yamux } from '@libp2p/yamux'
import { multiaddr } from '@multiformats/multiaddr'
import { createLibp2p } from 'libp2p'
import type { Libp2p } from 'libp2p'
import { systemRandom } from '../../src/core/ambient.ts'
import { doWork } from '../../src/core/crypto/work.ts'
import { readWorkDemand, workLabel } from '../../src/core/delivery/asks.ts'
import { unreachable } from '../../src/core/errors.ts'
import type { Identity } from '../../src/core/ids.ts'
import { verifyBundle } from '../../src/core/identity/bundle.ts'
import type { Peer } from '../../src/core/session/handshake.ts'
import { askOver } from '../../src/overlay/exchange.ts'
import { askProtocol } from '../../src/overlay/protocols.ts'
import { StreamPipe } from '../../src/overlay/stream-pipe.ts'
import { askOf, type FreshFlight, freshFlight, targetOf } from '../../test/support/strangers.ts'
import { serveParent } from './child.ts'

export interface FloodOrder {
  /** Multiaddr with /p2p. */
  readonly at: string
  readonly identity: Identity
  /** As hex. */
  readonly bundle: string
  readonly flights: number
  readonly gateways: number
  /** Does what work is demanded for each flight, before the next one. */
  readonly works: boolean
  /** Loopback addresses of this process are 127.0.`block`.x. */
  readonly block: number
}

export interface FloodCounts {
  sent: number
  /** Whole handshakes: the victim made a contact request and a session. */
  taken: number
  /** Read, and answered with a demand for work. */
  asked: number
  /** Answered busy, or the connection was closed: not read. */
  unheard: number
  /** Flights that were sent again with work. */
  worked: number
  /** CPU of making one flight, microseconds. */
  generateUs: number
}

export type FloodRequest = ({ readonly do: 'flood' } & FloodOrder) | { readonly do: 'counts' } | { readonly do: 'stop' }

const asksPerSecond = 25 // more than one address is heard with
const counts: FloodCounts = { sent: 0, taken: 0, asked: 0, unheard: 0, worked: 0, generateUs: 0 }
const stop = new AbortController()

async function gatewayAt(localAddress: string): Promise<Libp2p> {
  return await createLibp2p({
    privateKey: await generateKeyPair('Ed25519'),
    transports: [tcp({ dialOpts: { localAddress } as never })],
    connectionEncrypters: [tls()],
    streamMuxers: [yamux()],
    connectionMonitor: { enabled: false },
    start: true,
  })
}

class HostileGateway {
  readonly #node: Libp2p
  readonly #at: string
  #connection: Connection | undefined

  constructor(node: Libp2p, at: string) {
    this.#node = node
    this.#at = at
  }

  /** The answer; `undefined` when it was refused or not heard. */
  async ask(request: Uint8Array): Promise<Uint8Array | undefined> {
    const connection = await this.#connected()
    const bounded = AbortSignal.any([stop.signal, AbortSignal.timeout(10_000)])
    try {
      const stream = await connection.newStream(askProtocol('handshake'), { signal: bounded })
      return await askOver(new StreamPipe(stream, 0), request, {
        signal: bounded,
        answerBytesMax: 4096,
        msMax: 10_000,
      })
    } catch {
      return undefined
    }
  }

  async #connected(): Promise<Connection> {
    while (this.#connection?.status !== 'open') {
      this.#connection = await this.#node.dial(multiaddr(this.#at), { signal: stop.signal }).catch(() => undefined)
      if (this.#connection === undefined) await sleep(250, undefined, { signal: stop.signal })
    }
    return this.#connection
  }
}

function made(target: Peer): FreshFlight {
  const before = process.cpuUsage()
  const flight = freshFlight(target, undefined, systemRandom, Date.now())
  const { user, system } = process.cpuUsage(before)
  counts.generateUs += (user + system - counts.generateUs) / Math.min(counts.sent + 1, 1000)
  return flight
}

function count(answer: Uint8Array | undefined): void {
  if (answer === undefined) counts.unheard += 1
  else if (readWorkDemand(answer) === undefined) counts.taken += 1
  else counts.asked += 1
}

async function flood({ at, identity, bundle, flights, gateways, works, block }: FloodOrder): Promise<FloodCounts> {
  const target = targetOf(verifyBundle(Buffer.from(bundle, 'hex'), identity, Date.now()), Date.now())
  let left = flights
  const lane = async (number: number): Promise<void> => {
    const gateway = new HostileGateway(await gatewayAt(`127.0.${block}.${number + 1}`), at)
    while (left > 0 && !stop.signal.aborted) {
      left -= 1
      const startedAt = performance.now()
      const flight = made(target)
      const answer = await gateway.ask(askOf(target, flight))
      counts.sent += 1
      count(answer)
      if (works) await work(gateway, target, flight, answer)
      await sleep(Math.max(0, 1000 / asksPerSecond - (performance.now() - startedAt)))
    }
  }
  await Promise.all(
    Array.from({ length: gateways }, async (_, number) => await lane(number).catch((error: unknown) => gaveUp(error))),
  )
  return counts
}

function gaveUp(error: unknown): void {
  if (!stop.signal.aborted) throw error
}

/** As stubborn as an honest stranger: works for a place, and again for a new salt when it was too late. */
async function work(
  gateway: HostileGateway,
  target: Peer,
  flight: FreshFlight,
  first: Uint8Array | undefined,
): Promise<void> {
  let demand = first && readWorkDemand(first)
  for (let round = 0; round < 2 && demand !== undefined; round += 1) {
    const { salt, bits } = demand
    const nonce = await doWork(workLabel, [salt, flight.flightKey], { bits, signal: stop.signal })
    const answer = await gateway.ask(askOf(target, flight, { salt, nonce }))
    counts.worked += 1
    demand = answer && readWorkDemand(answer)
    if (answer !== undefined && demand === undefined) counts.taken += 1
  }
}

async function answer(request: FloodRequest): Promise<unknown> {
  switch (request.do) {
    case 'flood':
      return await flood(request)
    case 'counts':
      return counts
    case 'stop':
      stop.abort()
      return counts
    default:
      return unreachable(request)
  }
}

serveParent(answer)

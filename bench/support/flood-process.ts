/**
 * A share of a flood: gateways on many loopback addresses, each sending the first flights of fresh identities as fast as
 * it is heard, some of them faster; or, in a process for itself, doing the work that is demanded.
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
  /** CPU of the whole process, milliseconds; of one that works it says nothing. */
  cpuMs: number
}

export type FloodRequest = ({ readonly do: 'flood' } & FloodOrder) | { readonly do: 'counts' } | { readonly do: 'stop' }

/** How many flights one gateway of each process sends at once, more than wait for their turn, and how often. */
const hastyAtOnce = 32
const hastyEveryMs = 1_000
const counts: FloodCounts = { sent: 0, taken: 0, asked: 0, unheard: 0, worked: 0, generateUs: 0, cpuMs: 0 }
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
  #dialling: Promise<Connection> | undefined

  constructor(node: Libp2p, at: string) {
    this.#node = node
    this.#at = at
  }

  /** The answer; `undefined` when it was refused or not heard. */
  async ask(request: Uint8Array): Promise<Uint8Array | undefined> {
    const pipe = await this.#opened()
    counts.sent += 1
    const options = { signal: stop.signal, answerBytesMax: 4096, msMax: 10_000 }
    return await askOver(pipe, request, options).catch(() => undefined)
  }

  async #opened(): Promise<StreamPipe> {
    for (;;) {
      const connection = await this.#connected()
      try {
        const stream = await connection.newStream(askProtocol('handshake'), { signal: stop.signal })
        return new StreamPipe(stream, 0)
      } catch (error) {
        if (stop.signal.aborted) throw error
        if (connection.status === 'open') connection.abort(error as Error)
      }
    }
  }

  async #connected(): Promise<Connection> {
    if (this.#connection?.status === 'open') return this.#connection
    this.#dialling ??= this.#dial()
    this.#connection = await this.#dialling
    this.#dialling = undefined
    return this.#connection
  }

  async #dial(): Promise<Connection> {
    for (;;) {
      const connection = await this.#node.dial(multiaddr(this.#at), { signal: stop.signal }).catch(() => undefined)
      if (connection !== undefined) return connection
      await sleep(250, undefined, { signal: stop.signal })
    }
  }
}

/** Looking at the processor's time costs a fifth of a flight. */
const looksEvery = 50
let flightsMade = 0

function made(target: Peer): FreshFlight {
  flightsMade += 1
  const isLookedAt = flightsMade % looksEvery === 1
  const before = isLookedAt ? process.cpuUsage() : undefined
  const flight = freshFlight(target, undefined, systemRandom, Date.now())
  if (before !== undefined) {
    const { user, system } = process.cpuUsage(before)
    counts.generateUs += (user + system - counts.generateUs) / Math.min(Math.ceil(flightsMade / looksEvery), 50)
  }
  return flight
}

const startedAt = process.cpuUsage()
function counted(): FloodCounts {
  const { user, system } = process.cpuUsage(startedAt)
  counts.cpuMs = (user + system) / 1000
  return counts
}

function count(answer: Uint8Array | undefined): void {
  if (answer === undefined) counts.unheard += 1
  else if (readWorkDemand(answer) === undefined) counts.taken += 1
  else counts.asked += 1
}

async function flood({ at, identity, bundle, flights, gateways, works, block }: FloodOrder): Promise<FloodCounts> {
  const target = targetOf(verifyBundle(Buffer.from(bundle, 'hex'), identity, Date.now()), Date.now())
  let left = flights
  const send = async (gateway: HostileGateway): Promise<void> => {
    left -= 1
    const flight = made(target)
    const answer = await gateway.ask(askOf(target, flight))
    count(answer)
    if (works) await work(gateway, target, flight, answer)
  }
  const isGoingOn = (): boolean => left > 0 && !stop.signal.aborted
  const lane = async (number: number): Promise<void> => {
    const gateway = new HostileGateway(await gatewayAt(`127.0.${block}.${number + 1}`), at)
    const isHasty = number === 0 && !works
    while (isGoingOn()) {
      const width = isHasty ? Math.min(hastyAtOnce, left) : 1
      await Promise.all(Array.from({ length: width }, async () => await send(gateway)))
      if (isHasty) await sleep(hastyEveryMs, undefined, { signal: stop.signal })
    }
  }
  await Promise.all(
    Array.from({ length: gateways }, async (_, number) => await lane(number).catch((error: unknown) => gaveUp(error))),
  )
  return counted()
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
      return counted()
    case 'stop':
      stop.abort()
      return counted()
    default:
      return unreachable(request)
  }
}

serveParent(answer)

/**
 * Direct connections between two gateways that are both behind routers (docs/protocol/overlay.md §7). Over the connection
 * that others carry they agree on a secret and on where each may be heard from; then both send probes from their punch
 * sockets, which makes each router expect the other side. QUIC runs over the pair of addresses that answered first.
 */
import type { Ambient } from '../../core/ambient.ts'
import { equalConstantTime } from '../../core/bytes.ts'
import type { GatewayAddress, Locator } from '../../core/delivery/ports.ts'
import { MyceliumError } from '../../core/errors.ts'
import type { GatewayId } from '../../core/ids.ts'
import { limits } from '../../core/limits.ts'
import { shortId } from '../gateway-id.ts'
import type { Pipe } from '../network.ts'
import { pause } from '../pause.ts'
import { PipeReader } from '../pipe-reader.ts'
import { type Endpoint, endpointKey, type LocalEndpoint, sameEndpoint } from './endpoint.ts'
import { Forwarder } from './forwarder.ts'
import { encodeProbe, openProbe, probeKey, sessionBytes, type Side } from './probe.ts'
import { decodeOffer, encodeOffer, go, type Offer, offerBytesMax, secretBytes } from './punch-messages.ts'
import type { PunchSocket } from './punch-socket.ts'
import { reasonOf } from '../reason.ts'

export interface PunchingParts {
  readonly ambient: Ambient
  readonly sockets: readonly PunchSocket[]
  /** Own addresses with the ports of the punch sockets. */
  readonly ownEndpoints: () => readonly Endpoint[]
  /** Punch sockets of gateways that see us from the internet. */
  readonly servers: () => readonly Endpoint[]
  readonly locators: () => readonly Locator[]
  /** The dial policy: nothing is sent to an endpoint without it. */
  readonly mayProbe: (endpoint: Endpoint) => boolean
  readonly isNeighbour: (gateway: GatewayId) => boolean
  /** A stream over whatever connection there is. */
  readonly open: (gateway: GatewayId, signal: AbortSignal) => Promise<Pipe>
  /** An ordinary direct connection. */
  readonly connect: (to: GatewayAddress, signal: AbortSignal) => Promise<void>
  /** Where own QUIC listens; `undefined` where it does not. */
  readonly listener: () => LocalEndpoint | undefined
  /** Dials QUIC at a forwarder. @returns a signal that aborts when the connection is over */
  readonly dial: (gateway: GatewayId, at: LocalEndpoint, signal: AbortSignal) => Promise<AbortSignal>
  /** Until disposed of, connections with a local endpoint are those of the outside one. */
  readonly stands: (local: LocalEndpoint, outside: Endpoint) => Disposable
}

/** When to send probes, milliseconds from the start: often at first, because both sides begin at about the same time. */
const schedule = [0, 100, 200, 300, 500, 700, 1000, 1300, 1700, 2200, 2700, 3200] as const
const answersMax = 64
const serverWaitMs = 100
const serverWaits = 10
const sweepMs = 5_000

interface Retry {
  readonly delayMs: number
  readonly timer: NodeJS.Timeout
}

export class Punching implements AsyncDisposable {
  readonly #parts: PunchingParts
  readonly #stopped = new AbortController()
  readonly #running = new Set<GatewayId>()
  readonly #retries = new Map<GatewayId, Retry>()
  /** When a gateway last began one with us, monotonic. */
  readonly #askedAtMs = new Map<GatewayId, number>()
  readonly #routes = new Set<{ readonly forwarder: Forwarder; readonly name: Disposable }>()
  readonly #sweep: NodeJS.Timeout

  constructor(parts: PunchingParts) {
    this.#parts = parts
    this.#sweep = setInterval(() => this.#closeIdle(), sweepMs).unref()
  }

  /** Others carry the connection to this gateway: tries to do without them, now and then again. */
  begin(gateway: GatewayId): void {
    if (this.#stopped.signal.aborted || this.#parts.isNeighbour(gateway) || this.#running.has(gateway)) return
    if (this.#running.size >= limits.punchesMax) return this.#later(gateway)
    this.#running.add(gateway)
    void this.#punch(gateway)
      .catch((error: unknown) => {
        this.#parts.ambient.log.debug('overlay.punch-failed', { gateway: shortId(gateway), reason: reasonOf(error) })
      })
      .finally(() => {
        this.#running.delete(gateway)
        if (this.#parts.isNeighbour(gateway)) this.#forget(gateway)
        else this.#later(gateway)
      })
  }

  /** The other side begins. */
  async answer(pipe: Pipe, from: GatewayId): Promise<void> {
    const nowMs = this.#parts.ambient.clock.monotonicMs()
    const isTooSoon = nowMs - (this.#askedAtMs.get(from) ?? -Infinity) < limits.punchPauseMs
    if (isTooSoon || this.#running.has(from) || this.#running.size >= limits.punchesMax) return pipe.abort('busy')
    this.#askedAtMs.delete(from)
    this.#askedAtMs.set(from, nowMs)
    if (this.#askedAtMs.size > limits.peersKnownMax) this.#askedAtMs.delete(this.#askedAtMs.keys().next().value!)
    this.#running.add(from)
    try {
      await this.#follow(pipe, from)
    } catch (error) {
      pipe.abort('no punch')
      this.#parts.ambient.log.debug('overlay.punch-failed', { gateway: shortId(from), reason: reasonOf(error) })
    } finally {
      this.#running.delete(from)
    }
  }

  /** Another network: whoever could not be reached may be reached now. */
  again(): void {
    const waiting = [...this.#retries.keys()] // beginning may put it back
    for (const gateway of waiting) {
      this.#forget(gateway)
      this.begin(gateway)
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopped.abort(new MyceliumError('unreachable', { reason: 'stopping' }))
    clearInterval(this.#sweep)
    for (const gateway of this.#retries.keys()) this.#forget(gateway)
    await Promise.all([...this.#routes].map(async (route) => await this.#close(route)))
  }

  async #punch(gateway: GatewayId): Promise<void> {
    const { open, ambient } = this.#parts
    const signal = this.#bounded(limits.punchAgreeMsMax)
    const pipe = await open(gateway, signal)
    const mine = await this.#offer(ambient.random.bytes(sessionBytes), signal)
    const reader = new PipeReader(pipe, offerBytesMax + 2)
    pipe.write(framed(encodeOffer(mine)))
    const theirs = await offerIn(reader, signal)
    if (!equalConstantTime(theirs.session, mine.session)) throw new MyceliumError('unreachable', { reason: 'garbled' })
    pipe.write(Uint8Array.of(go))
    const key = probeKey(mine.secret, theirs.secret)
    this.#connectPlainly(gateway, theirs.locators)
    const found = await this.#exchange({
      side: 'opener',
      key,
      session: mine.session,
      gateway,
      theirs,
      onHeard: () => {},
    })
    pipe.end()
    if (this.#parts.isNeighbour(gateway)) return
    if (found === undefined) throw new MyceliumError('unreachable', { reason: 'no probe came back' })
    await this.#dial(gateway, found)
  }

  async #follow(pipe: Pipe, from: GatewayId): Promise<void> {
    const signal = this.#bounded(limits.punchAgreeMsMax)
    const reader = new PipeReader(pipe, offerBytesMax + 2)
    const theirs = await offerIn(reader, signal)
    const mine = await this.#offer(theirs.session, signal)
    pipe.write(framed(encodeOffer(mine)))
    await reader.exactly(1, signal)
    pipe.end()
    const key = probeKey(theirs.secret, mine.secret)
    this.#connectPlainly(from, theirs.locators)
    const heard = new Set<string>()
    const onHeard = (socket: PunchSocket, outside: Endpoint): void => {
      if (heard.has(endpointKey(outside)) || heard.size >= limits.punchEndpointsMax) return
      heard.add(endpointKey(outside))
      void this.#expect(socket, outside)
    }
    await this.#exchange({ side: 'answerer', key, session: theirs.session, gateway: from, theirs, onHeard })
  }

  /** Own secret, and everywhere this side may be heard from; asks other gateways where they see it. */
  async #offer(session: Uint8Array, signal: AbortSignal): Promise<Offer> {
    const { sockets, ownEndpoints, locators, ambient } = this.#parts
    const servers = await this.#servers(signal)
    const seen = await Promise.all(
      sockets.flatMap((socket) =>
        servers
          .filter(({ family }) => family === socket.family)
          .slice(0, limits.stunServersMax)
          .map(async (server) => await socket.ask(server, { signal }).catch(() => undefined)),
      ),
    )
    const all = [...seen.flatMap((endpoint) => endpoint ?? []), ...ownEndpoints()]
    const endpoints = all.filter((one, index) => all.findIndex((other) => sameEndpoint(one, other)) === index)
    return {
      session,
      secret: ambient.random.bytes(secretBytes),
      endpoints: endpoints.slice(0, limits.punchEndpointsMax),
      locators: locators().slice(0, limits.locatorsMax),
    }
  }

  /** Of a gateway that has just started none may be known yet. */
  async #servers(signal: AbortSignal): Promise<readonly Endpoint[]> {
    for (let waits = 0; waits < serverWaits && this.#parts.servers().length === 0; waits += 1)
      await pause(serverWaitMs, signal)
    return this.#parts.servers()
  }

  /** Sends probes and answers those that come. @returns the first pair that works both ways */
  async #exchange(agreed: {
    readonly side: Side
    readonly key: Uint8Array
    readonly session: Uint8Array
    readonly gateway: GatewayId
    readonly theirs: Offer
    readonly onHeard: (socket: PunchSocket, from: Endpoint) => void
  }): Promise<{ readonly socket: PunchSocket; readonly outside: Endpoint } | undefined> {
    const { side, key, session, theirs } = agreed
    const { sockets, mayProbe, isNeighbour } = this.#parts
    const found = Promise.withResolvers<{ readonly socket: PunchSocket; readonly outside: Endpoint } | undefined>()
    const probe = encodeProbe({ kind: 'probe', side, session }, key)
    const reply = encodeProbe({ kind: 'answer', side, session }, key)
    const targets = theirs.endpoints.filter((endpoint) => mayProbe(endpoint))
    let answers = 0
    using scope = new DisposableStack()
    for (const socket of sockets) {
      const onProbe = (bytes: Uint8Array, from: Endpoint): void => {
        const opened = openProbe(bytes, key)
        if (opened === undefined || opened.side === side) return
        agreed.onHeard(socket, from)
        if (opened.kind === 'answer') return found.resolve({ socket, outside: from })
        if ((answers += 1) > answersMax) return
        socket.send(reply, from)
        // a router that takes another port for us than it said: what comes from there is where to send to
        if (targets.length < limits.punchEndpointsMax * 2 && !targets.some((known) => sameEndpoint(known, from)))
          targets.push(from)
        socket.send(probe, from)
      }
      scope.use(socket.listen(session, onProbe))
    }
    const sendAll = (): void => {
      if (isNeighbour(agreed.gateway)) return found.resolve(undefined)
      for (const target of targets) sockets.find(({ family }) => family === target.family)?.send(probe, target)
    }
    for (const atMs of schedule) {
      const timer = setTimeout(sendAll, atMs)
      scope.defer(() => clearTimeout(timer))
    }
    const end = setTimeout(() => found.resolve(undefined), limits.punchMsMax)
    scope.defer(() => clearTimeout(end))
    const stop = (): void => found.resolve(undefined)
    this.#stopped.signal.addEventListener('abort', stop, { once: true })
    scope.defer(() => this.#stopped.signal.removeEventListener('abort', stop))
    // whoever has heard enough still answers those who have not
    if (side === 'answerer') await Promise.all([found.promise, pause(limits.punchMsMax, this.#stopped.signal)])
    return await found.promise
  }

  /** QUIC from here, through a forwarder that lives as long as the connection. */
  async #dial(
    gateway: GatewayId,
    { socket, outside }: { readonly socket: PunchSocket; readonly outside: Endpoint },
  ): Promise<void> {
    const route = await this.#open({ socket, outside })
    try {
      const over = await this.#parts.dial(gateway, route.forwarder.address, this.#bounded(limits.dialMsMax))
      over.addEventListener('abort', () => void this.#close(route), { once: true })
      if (over.aborted) await this.#close(route)
    } catch (error) {
      await this.#close(route)
      throw error
    }
  }

  /** The other side will dial from there. */
  async #expect(socket: PunchSocket, outside: Endpoint): Promise<void> {
    const listener = this.#parts.listener()
    if (listener === undefined || this.#routes.size >= limits.punchRoutesMax) return
    await this.#open({ socket, outside, listener })
  }

  async #open(
    options: Parameters<typeof Forwarder.open>[0],
  ): Promise<{ readonly forwarder: Forwarder; readonly name: Disposable }> {
    const forwarder = await Forwarder.open(options)
    const route = { forwarder, name: this.#parts.stands(forwarder.address, options.outside) }
    this.#routes.add(route)
    return route
  }

  async #close(route: { readonly forwarder: Forwarder; readonly name: Disposable }): Promise<void> {
    if (!this.#routes.delete(route)) return
    route.name[Symbol.dispose]()
    await route.forwarder[Symbol.asyncDispose]()
  }

  #closeIdle(): void {
    for (const route of this.#routes) if (route.forwarder.quietMs > limits.punchRouteIdleMs) void this.#close(route)
  }

  /** One of the two may not need any of this. */
  #connectPlainly(gateway: GatewayId, locators: readonly Locator[]): void {
    if (locators.length > 0) this.#parts.connect({ gateway, locators }, this.#bounded(limits.dialMsMax)).catch(() => {})
  }

  #later(gateway: GatewayId): void {
    if (this.#stopped.signal.aborted) return
    const before = this.#retries.get(gateway)
    clearTimeout(before?.timer)
    if (before === undefined && this.#retries.size >= limits.peersKnownMax) return
    const delayMs = before === undefined ? limits.punchRetryMsMin : Math.min(before.delayMs * 2, limits.punchRetryMsMax)
    const timer = setTimeout(() => this.begin(gateway), delayMs).unref()
    this.#retries.set(gateway, { delayMs, timer })
  }

  #forget(gateway: GatewayId): void {
    clearTimeout(this.#retries.get(gateway)?.timer)
    this.#retries.delete(gateway)
  }

  #bounded(ms: number): AbortSignal {
    return AbortSignal.any([this.#stopped.signal, AbortSignal.timeout(ms)])
  }
}

function framed(bytes: Uint8Array): Uint8Array {
  const frame = Buffer.alloc(2 + bytes.length)
  frame.writeUInt16BE(bytes.length)
  frame.set(bytes, 2)
  return frame
}

/** @throws `malformed`, `too-large`, `unreachable` */
async function offerIn(reader: PipeReader, signal: AbortSignal): Promise<Offer> {
  const [high, low] = await reader.exactly(2, signal)
  const octets = high! * 256 + low!
  if (octets > offerBytesMax) throw new MyceliumError('too-large', { octets })
  return decodeOffer(await reader.exactly(octets, signal))
}

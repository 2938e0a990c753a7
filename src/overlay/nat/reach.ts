/**
 * Whether this gateway can be reached from outside, and at which address: asked of gateways it is connected with, which
 * try its ports at the very address they see it at, and nowhere else. What one stranger says does not make a locator.
 */
import type { Ambient } from '../../core/ambient.ts'
import type { Locator } from '../../core/delivery/ports.ts'
import type { GatewayId } from '../../core/ids.ts'
import { limits } from '../../core/limits.ts'
import type { Reachability } from '../../core/reachability.ts'
import { shortId } from '../gateway-id.ts'
import { type Endpoint, endpointKey, familyOf } from './endpoint.ts'
import {
  decodeReachAnswer,
  decodeReachRequest,
  encodeReachAnswer,
  encodeReachRequest,
  type ReachAnswer,
  type ReachResult,
} from './reach-messages.ts'
import { greets } from './tcp-probe.ts'

export interface ReachParts {
  readonly ambient: Ambient
  /** Own TCP ports that others should reach. */
  readonly ports: () => readonly number[]
  /** Whose word counts alone: gateways of the configuration. */
  readonly isTrusted: (gateway: GatewayId) => boolean
  /** Where a direct connection's other end is. */
  readonly remoteOf: (gateway: GatewayId) => Endpoint | undefined
  readonly neighbours: () => readonly GatewayId[]
  readonly isGlobal: (endpoint: Endpoint) => boolean
  /** The dial policy. */
  readonly mayDial: (endpoint: Endpoint) => boolean
  readonly punchPort: (family: Endpoint['family']) => number
  readonly ask: (gateway: GatewayId, request: Uint8Array, signal: AbortSignal) => Promise<Uint8Array>
  readonly onChanged: () => void
}

interface Word {
  readonly answer: ReachAnswer
  readonly ports: readonly number[]
  readonly atMs: number
  /** The answerer's punch socket. */
  readonly server: Endpoint | undefined
}

export class Reach implements Disposable {
  readonly #parts: ReachParts
  readonly #stopped = new AbortController()
  readonly #words = new Map<GatewayId, Word>()
  /** When a gateway last had its ports tried by us, monotonic. */
  readonly #triedAtMs = new Map<GatewayId, number>()
  readonly #timer: NodeJS.Timeout
  #trying = 0
  #told = ''

  constructor(parts: ReachParts) {
    this.#parts = parts
    this.#timer = setInterval(() => this.refresh(), limits.reachPeriodMs).unref()
  }

  /** A direct connection came up. */
  met(gateway: GatewayId): void {
    const remote = this.#parts.remoteOf(gateway)
    if (remote === undefined || !this.#parts.isGlobal(remote)) return
    if (this.#words.size >= limits.reachAskedMax && !this.#parts.isTrusted(gateway)) return
    void this.#ask(gateway, remote)
  }

  left(gateway: GatewayId): void {
    const word = this.#words.get(gateway)
    // what it said stays for a while; its socket is not to be asked any more
    if (word !== undefined) this.#words.set(gateway, { ...word, server: undefined })
  }

  /** Another network, or time has passed: everything is asked anew. */
  refresh(): void {
    this.#forgetOld()
    for (const gateway of this.#parts.neighbours()) this.met(gateway)
  }

  /** What was said on another network does not count. */
  forgetAll(): void {
    this.#words.clear()
    this.#tell()
  }

  /** Punch sockets that see this gateway from outside. */
  servers(): readonly Endpoint[] {
    return [...this.#words.values()].flatMap(({ server }) => server ?? [])
  }

  state(): Pick<Reachability, 'state' | 'seen' | 'confirmed'> {
    const words = [...this.#words.values()]
    const results = words.flatMap(({ answer }) => answer.results)
    const state = results.includes('yes') ? 'public' : results.includes('no') ? 'private' : 'unknown'
    return { state, seen: [...new Set(words.map(({ answer }) => answer.seen.host))], confirmed: this.locators() }
  }

  /** Where others have connected to, as far as enough of them say so. */
  locators(): readonly Locator[] {
    const votes = new Map<Locator, number>()
    for (const [gateway, { answer, ports }] of this.#words) {
      if (!this.#parts.isGlobal(answer.seen)) continue
      const weight = this.#parts.isTrusted(gateway) ? limits.reachVotesMin : 1
      for (const [index, port] of ports.entries()) {
        if (answer.results[index] !== 'yes') continue
        const locator = tcpLocator({ ...answer.seen, port })
        votes.set(locator, (votes.get(locator) ?? 0) + weight)
      }
    }
    return [...votes].filter(([, count]) => count >= limits.reachVotesMin).map(([locator]) => locator)
  }

  /** Answers another gateway: connects to nothing but the address that it is seen at. */
  async answer(request: Uint8Array, from: GatewayId): Promise<Uint8Array | undefined> {
    const seen = this.#parts.remoteOf(from)
    if (seen === undefined) return undefined
    const { ports } = decodeReachRequest(request)
    const results = await this.#try(from, seen, ports)
    return encodeReachAnswer({ seen, punchPort: this.#parts.punchPort(seen.family), results })
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer)
    this.#stopped.abort()
  }

  async #try(from: GatewayId, seen: Endpoint, ports: readonly number[]): Promise<readonly ReachResult[]> {
    const nowMs = this.#parts.ambient.clock.monotonicMs()
    if (ports.length === 0) return []
    const isTooSoon = nowMs - (this.#triedAtMs.get(from) ?? -Infinity) < limits.reachPauseMs
    if (isTooSoon || this.#trying >= limits.reachTriesMax || !this.#parts.mayDial(seen))
      return ports.map(() => 'untried' as const)
    this.#triedAtMs.delete(from)
    this.#triedAtMs.set(from, nowMs)
    if (this.#triedAtMs.size > limits.peersKnownMax) this.#triedAtMs.delete(this.#triedAtMs.keys().next().value!)
    this.#trying += 1
    try {
      return await Promise.all(ports.map(async (port) => ((await greets({ ...seen, port })) ? 'yes' : 'no')))
    } finally {
      this.#trying -= 1
    }
  }

  async #ask(gateway: GatewayId, remote: Endpoint): Promise<void> {
    const { ambient, ask, ports } = this.#parts
    const signal = AbortSignal.any([this.#stopped.signal, AbortSignal.timeout(limits.askMsMax)])
    try {
      // trying ports takes seconds where a router swallows what it does not know; the socket may be needed before
      for (const asked of [[], ports().slice(0, limits.reachPortsMax)]) {
        const answer = decodeReachAnswer(await ask(gateway, encodeReachRequest({ ports: asked }), signal))
        if (answer.results.length !== asked.length) return
        const server = answer.punchPort === 0 ? undefined : { ...remote, port: answer.punchPort }
        this.#remember(gateway, { answer, ports: asked, atMs: ambient.clock.monotonicMs(), server })
      }
    } catch {
      ambient.log.debug('overlay.reach-unanswered', { gateway: shortId(gateway) })
    }
  }

  #remember(gateway: GatewayId, word: Word): void {
    const before = this.#words.get(gateway)
    // it did not try again so soon: what it found before still stands
    const isUntried = word.answer.results.every((result) => result === 'untried') // or nothing was asked
    const isSame =
      before !== undefined &&
      endpointKey({ ...before.answer.seen, port: 0 }) === endpointKey({ ...word.answer.seen, port: 0 })
    const { answer, ports } = isUntried && isSame ? { ...word, answer: before.answer, ports: before.ports } : word
    this.#words.set(gateway, { ...word, answer, ports })
    this.#tell()
  }

  #forgetOld(): void {
    const nowMs = this.#parts.ambient.clock.monotonicMs()
    for (const [gateway, { atMs }] of this.#words)
      if (nowMs - atMs > limits.reachPeriodMs * 3) this.#words.delete(gateway)
    this.#tell()
  }

  #tell(): void {
    const now = this.locators().join(' ')
    if (now === this.#told) return
    this.#told = now
    this.#parts.onChanged()
  }
}

const tcpLocator = ({ host, port }: Endpoint): Locator =>
  `/${familyOf(host) === 'ipv4' ? 'ip4' : 'ip6'}/${host}/tcp/${port}`

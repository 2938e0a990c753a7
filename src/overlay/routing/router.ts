/** Drives routing over streams between neighbours: what is asked, told, measured and believed (docs/protocol/routing.md). */
import type { Ambient } from '../../core/ambient.ts'
import { toHex } from '../../core/bytes.ts'
import { sign, verify } from '../../core/crypto/sign.ts'
import type { SigningKey } from '../../core/crypto/sign.ts'
import type { RouteStatus } from '../../core/delivery/ports.ts'
import type { GatewayId } from '../../core/ids.ts'
import { limits } from '../../core/limits.ts'
import { publicKeyOf } from '../gateway-key.ts'
import type { DirectNetwork, Pipe } from '../network.ts'
import { Babel } from './babel.ts'
import type { RoutingFrame } from './routing-frames.ts'
import { RoutingPeer } from './routing-peer.ts'

export interface RouterParts {
  readonly network: DirectNetwork
  /** The gateway's own: signs its sequence numbers. */
  readonly key: SigningKey
  readonly ambient: Ambient
  /** Whether a neighbour's connections are carried on. */
  readonly serves: (neighbour: GatewayId) => boolean
  /** Neighbours over which this gateway wants to be reached. */
  readonly isKept: (neighbour: GatewayId) => boolean
  readonly onMisbehaved: (neighbour: GatewayId, reason: string) => void
  /** Which neighbours carry connections of this gateway is not what it was. */
  readonly onServiceChanged: () => void
}

const proofLabel = 'mycelium/route/1'
/** A tick this late says that the machine slept. */
const lateMs = 2_000

export class Router {
  readonly #parts: RouterParts
  readonly #babel: Babel
  readonly #peers = new Map<GatewayId, RoutingPeer>()
  readonly #verified = new Map<string, Uint8Array>()
  readonly #waiting = new Map<GatewayId, Set<() => void>>()
  readonly #timer: NodeJS.Timeout
  #tickedAtMs: number

  constructor(parts: RouterParts) {
    this.#parts = parts
    const { ambient, key, network } = parts
    const clockSeqno = (): number => Math.floor(ambient.clock.nowMs() / 1000)
    this.#babel = new Babel({
      self: network.self,
      seqno: clockSeqno(),
      prove: (seqno) => sign(key, proofLabel, seqnoBytes(seqno)),
      newRequestId: () => toHex(ambient.random.bytes(8)),
      clockSeqno,
    })
    this.#tickedAtMs = ambient.clock.monotonicMs()
    this.#timer = setInterval(() => this.#tick(), limits.routeTickMs).unref()
  }

  /** Neighbours that say that they carry our connections on. */
  carriers(): readonly GatewayId[] {
    return [...this.#peers].filter(([, { servesUs }]) => servesUs === true).map(([id]) => id)
  }

  onDirect(id: GatewayId, isUp: boolean): void {
    const nowMs = this.#nowMs()
    this.#peers.get(id)?.close()
    this.#peers.delete(id)
    if (!isUp) {
      this.#babel.neighbourGone(id, nowMs)
      this.#parts.onServiceChanged()
      return this.#flush()
    }
    const peer = new RoutingPeer({
      id,
      network: this.#parts.network,
      ambient: this.#parts.ambient,
      serves: () => this.#parts.serves(id),
      onFrame: (frame) => this.#onFrame(id, peer, frame),
      onChanged: () => this.#onChanged(id, peer),
      onMisbehaved: (reason) => this.#parts.onMisbehaved(id, reason),
    })
    this.#peers.set(id, peer)
    peer.isKept = this.#parts.isKept(id)
    // to be reached over it one must know whether it carries
    if (peer.isKept) peer.say({ kind: 'hello', serves: this.#parts.serves(id) })
    this.#onChanged(id, peer)
  }

  /** A routing stream that a neighbour opened. */
  accept(pipe: Pipe, from: GatewayId): void {
    const peer = this.#peers.get(from)
    if (peer === undefined) pipe.abort('not a neighbour')
    else peer.hear(pipe)
  }

  want(destination: GatewayId): void {
    this.#babel.want(destination, this.#nowMs())
    this.#flush()
  }

  nextHops(destination: GatewayId): readonly GatewayId[] {
    return this.#babel.nextHops(destination, this.#nowMs())
  }

  /** Asks around, and waits for a route that has not led nowhere, or for `limits.routeFindMsMax`. @throws the signal's reason */
  async find(destination: GatewayId, { signal }: { readonly signal: AbortSignal }): Promise<readonly GatewayId[]> {
    this.want(destination)
    if (this.#isAnswered(destination)) return this.nextHops(destination)
    const { promise, resolve } = Promise.withResolvers<void>()
    const waiting = this.#waiting.get(destination) ?? new Set()
    waiting.add(resolve)
    this.#waiting.set(destination, waiting)
    // one that led nowhere may do better next time: the wait for another is short
    const patienceMs = this.nextHops(destination).length > 0 ? limits.routeFindMsMax / 8 : limits.routeFindMsMax
    const timer = setTimeout(resolve, patienceMs)
    signal.addEventListener('abort', () => resolve(), { once: true })
    if (!signal.aborted) await promise
    clearTimeout(timer)
    waiting.delete(resolve)
    if (waiting.size === 0) this.#waiting.delete(destination)
    signal.throwIfAborted()
    return this.nextHops(destination)
  }

  failed(destination: GatewayId, neighbour: GatewayId, reason: string): void {
    this.#babel.penalise(destination, neighbour, reason, this.#nowMs())
    this.#flush()
  }

  worked(destination: GatewayId, neighbour: GatewayId): void {
    this.#babel.praise(destination, neighbour)
  }

  /** Times are Unix milliseconds. */
  routes(): readonly RouteStatus[] {
    const { clock } = this.#parts.ambient
    const offsetMs = clock.nowMs() - clock.monotonicMs()
    return this.#babel.routes(this.#nowMs()).map(({ metric, sinceMs, failure, ...route }) => ({
      ...route,
      metricMs: metric === undefined ? undefined : metric / 10,
      nextHopRttMs: route.nextHop === undefined ? undefined : this.#peers.get(route.nextHop)?.rttMs,
      sinceMs: sinceMs === undefined ? undefined : sinceMs + offsetMs,
      lastFailure: failure === undefined ? undefined : { ...failure, atMs: failure.atMs + offsetMs },
    }))
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer)
    for (const peer of this.#peers.values()) peer.close()
    this.#peers.clear()
  }

  #tick(): void {
    const nowMs = this.#nowMs()
    const wasAsleep = nowMs - this.#tickedAtMs > lateMs
    this.#tickedAtMs = nowMs
    for (const peer of this.#peers.values()) peer.tick(nowMs, wasAsleep)
    this.#babel.tick(nowMs)
    this.#flush()
  }

  #onFrame(id: GatewayId, peer: RoutingPeer, frame: Exclude<RoutingFrame, { kind: 'ping' | 'pong' }>): void {
    if (frame.kind === 'hello') return this.#onHello(id, peer, frame.serves)
    if (frame.kind === 'update' && !this.#isProven(frame)) {
      this.#parts.onMisbehaved(id, 'false route')
      return
    }
    // contacts come and go: whether it is served is asked each time
    if (frame.kind === 'request') this.#onChanged(id, peer)
    this.#babel.receive(id, frame, this.#nowMs())
    this.#flush()
  }

  #onHello(id: GatewayId, peer: RoutingPeer, serves: boolean): void {
    const isFirst = peer.servesUs === undefined
    const before = peer.servesUs
    peer.servesUs = serves
    if (isFirst) peer.say({ kind: 'hello', serves: this.#parts.serves(id) })
    if (before !== serves) {
      this.#onChanged(id, peer)
      this.#parts.onServiceChanged()
    }
  }

  #onChanged(id: GatewayId, peer: RoutingPeer): void {
    if (this.#peers.get(id) !== peer) return
    const { cost, servesUs } = peer
    this.#babel.neighbour(id, { cost, servesUs, isServed: this.#parts.serves(id) }, this.#nowMs())
    this.#flush()
  }

  #flush(): void {
    for (const { to, message } of this.#babel.take()) this.#peers.get(to)?.say(message)
    for (const [destination, waiting] of this.#waiting) {
      if (this.#isAnswered(destination)) for (const resolve of waiting) resolve()
    }
  }

  /** There is a route, or nobody who could name one. */
  #isAnswered(destination: GatewayId): boolean {
    return this.#babel.isSound(destination, this.#nowMs()) || !this.#babel.canAsk(destination)
  }

  /** A sequence number counts only when the destination itself gave it: nobody can outbid it. */
  #isProven({ destination, seqno, proof }: Extract<RoutingFrame, { kind: 'update' }>): boolean {
    const key = `${destination} ${seqno}`
    const known = this.#verified.get(key)
    if (known !== undefined && Buffer.compare(known, proof) === 0) return true
    if (!verify(publicKeyOf(destination), proofLabel, seqnoBytes(seqno), proof)) return false
    this.#verified.set(key, proof)
    if (this.#verified.size > limits.routeProofsMax) this.#verified.delete(this.#verified.keys().next().value!)
    return true
  }

  #nowMs(): number {
    return this.#parts.ambient.clock.monotonicMs()
  }
}

function seqnoBytes(seqno: number): Uint8Array {
  const bytes = Buffer.alloc(8)
  bytes.writeBigUInt64BE(BigInt(seqno))
  return bytes
}

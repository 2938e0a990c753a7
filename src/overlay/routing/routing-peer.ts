/**
 * One neighbour as routing sees it: the stream on which we speak to it, opened when there is something to say, those on
 * which it speaks to us, and how long it takes to answer (RFC 9616 §3).
 */
import type { Ambient } from '../../core/ambient.ts'
import { toHex } from '../../core/bytes.ts'
import type { GatewayId } from '../../core/ids.ts'
import { limits } from '../../core/limits.ts'
import { TokenBucket } from '../../core/token-bucket.ts'
import { smoothed } from '../liveness.ts'
import type { DirectNetwork, Pipe } from '../network.ts'
import { routingProtocol } from '../protocols.ts'
import { encodeFrame, FrameReader } from './routing-frames.ts'
import type { RoutingFrame } from './routing-frames.ts'

export interface RoutingPeerParts {
  readonly id: GatewayId
  readonly network: DirectNetwork
  readonly ambient: Ambient
  readonly serves: () => boolean
  /** Everything but ping and pong. */
  readonly onFrame: (frame: Exclude<RoutingFrame, { kind: 'ping' | 'pong' }>) => void
  /** Cost, service or silence are not what they were. */
  readonly onChanged: () => void
  readonly onMisbehaved: (reason: string) => void
}

export class RoutingPeer {
  /** Whether it carries our connections on; unknown until it has said so. */
  servesUs: boolean | undefined
  /** Keeps the stream open while nothing is said: the connection is one to be reached over. */
  isKept = false
  readonly #parts: RoutingPeerParts
  readonly #opening = new AbortController()
  readonly #in = new Set<Pipe>()
  readonly #heard = new TokenBucket({
    perSecond: limits.routeMessagesPerSecondMax,
    burst: limits.routeMessagesPerSecondMax,
  })
  #out: Pipe | undefined
  #isOpening = false
  #queue: Uint8Array[] = []
  #queuedBytes = 0
  #toldServes: boolean | undefined
  #saidAtMs = -Infinity
  #notBeforeMs = -Infinity
  #ping: { readonly token: string; readonly sentAtMs: number } | undefined
  #pingedAtMs = -Infinity
  #rttMs: number | undefined
  #isSilent = false

  constructor(parts: RoutingPeerParts) {
    this.#parts = parts
  }

  get rttMs(): number | undefined {
    return this.#rttMs
  }

  /** Tenths of milliseconds and a little for the hop; `undefined` while it does not answer. */
  get cost(): number | undefined {
    if (this.#isSilent || this.#nowMs() < this.#notBeforeMs) return undefined
    if (this.#rttMs === undefined) return limits.routeCostUnmeasured
    return Math.round(this.#rttMs * 10) + limits.routeHopCost
  }

  say(frame: RoutingFrame): void {
    if (frame.kind !== 'ping' && frame.kind !== 'pong') this.#saidAtMs = this.#nowMs()
    const bytes = encodeFrame(frame)
    if (this.#out !== undefined) return this.#write(this.#out, bytes)
    if (this.#queuedBytes + bytes.length > limits.routeQueueBytesMax) return
    this.#queue.push(bytes)
    this.#queuedBytes += bytes.length
    void this.#open()
  }

  /** A stream on which it speaks. */
  hear(pipe: Pipe): void {
    this.#in.add(pipe)
    pipe.closed.addEventListener('abort', () => this.#in.delete(pipe), { once: true })
    if (this.#in.size > limits.routeStreamsPerPeerMax) this.#in.values().next().value!.abort('too many routing streams')
    const reader = new FrameReader()
    pipe.receive({ data: (bytes) => this.#onData(pipe, reader, bytes), ended: () => pipe.end() })
  }

  /** Measures, notices silence, lets go of a stream that nobody needs. */
  tick(nowMs: number, wasAsleep: boolean): void {
    if (this.#notBeforeMs > -Infinity && nowMs >= this.#notBeforeMs) {
      this.#notBeforeMs = -Infinity
      this.#parts.onChanged()
    }
    if (this.#out === undefined) return
    if (nowMs - this.#saidAtMs >= limits.routeStreamIdleMs && !this.isKept) return this.#leave()
    const serves = this.#parts.serves()
    if (serves !== this.#toldServes) this.#hello(this.#out, serves)
    if (wasAsleep && this.#ping !== undefined) this.#ping = { ...this.#ping, sentAtMs: nowMs }
    const waitedMs = this.#ping === undefined ? 0 : nowMs - this.#ping.sentAtMs
    if (waitedMs >= limits.routeSilenceMsMax && !this.#isSilent) {
      this.#isSilent = true
      this.#parts.onChanged()
    }
    if (nowMs - this.#pingedAtMs < limits.routePingMs) return
    this.#pingedAtMs = nowMs
    if (this.#ping !== undefined) return
    const token = toHex(this.#parts.ambient.random.bytes(8))
    this.#ping = { token, sentAtMs: nowMs }
    this.say({ kind: 'ping', token })
  }

  close(): void {
    this.#opening.abort()
    this.#leave()
    for (const pipe of this.#in) pipe.abort('not a neighbour')
  }

  async #open(): Promise<void> {
    if (this.#isOpening) return
    const nowMs = this.#nowMs()
    if (nowMs < this.#notBeforeMs) return this.#forgetQueue()
    this.#isOpening = true
    try {
      const { network, id } = this.#parts
      const pipe = await network.openDirect(id, routingProtocol, { signal: this.#opening.signal })
      this.#out = pipe
      pipe.receive({ data: () => pipe.abort('speaks on our stream'), ended: () => pipe.end() })
      pipe.closed.addEventListener('abort', () => this.#onLost(pipe), { once: true })
      if (pipe.closed.aborted) return this.#onLost(pipe)
      this.#hello(pipe, this.#parts.serves())
      for (const bytes of this.#queue) this.#write(pipe, bytes)
      this.#pingedAtMs = -Infinity
      this.tick(this.#nowMs(), false)
    } catch {
      // it does not speak this protocol, or the connection is about to end
      this.#notBeforeMs = this.#nowMs() + limits.routeRetryMs
      this.#parts.onChanged()
    } finally {
      this.#isOpening = false
      this.#forgetQueue()
    }
  }

  #hello(pipe: Pipe, serves: boolean): void {
    this.#toldServes = serves
    this.#write(pipe, encodeFrame({ kind: 'hello', serves }))
    this.#parts.onChanged()
  }

  #write(pipe: Pipe, bytes: Uint8Array): void {
    if (!pipe.isFull) this.#queuedBytes = 0
    else if ((this.#queuedBytes += bytes.length) > limits.routeQueueBytesMax) return pipe.abort('does not read')
    pipe.write(bytes)
  }

  #leave(): void {
    this.#out?.end()
    this.#out = undefined
    this.#ping = undefined
    this.#toldServes = undefined
  }

  #onLost(pipe: Pipe): void {
    if (this.#out === pipe) this.#leave()
  }

  #onData(pipe: Pipe, reader: FrameReader, bytes: Uint8Array): void {
    const nowMs = this.#nowMs()
    try {
      for (const frame of reader.feed(bytes)) {
        if (!this.#heard.take(nowMs)) this.#slow(pipe)
        this.#onFrame(frame, nowMs)
      }
    } catch {
      pipe.abort('no routing stream')
      this.#parts.onMisbehaved('garbled routing stream')
    }
  }

  /** Whoever says more than it may is read later. */
  #slow(pipe: Pipe): void {
    pipe.pause()
    setTimeout(() => pipe.resume(), 1_000).unref()
  }

  #onFrame(frame: RoutingFrame, nowMs: number): void {
    if (frame.kind === 'ping') return this.say({ kind: 'pong', token: frame.token })
    if (frame.kind === 'pong') return this.#onPong(frame.token, nowMs)
    this.#saidAtMs = nowMs
    this.#parts.onFrame(frame)
  }

  /** RFC 9616 §4: smoothed, so that one late answer does not move routes. */
  #onPong(token: string, nowMs: number): void {
    if (this.#ping?.token !== token) return
    this.#rttMs = smoothed(this.#rttMs, nowMs - this.#ping.sentAtMs)
    this.#ping = undefined
    this.#isSilent = false
    this.#parts.onChanged()
  }

  #forgetQueue(): void {
    this.#queue = []
    this.#queuedBytes = 0
  }

  #nowMs(): number {
    return this.#parts.ambient.clock.monotonicMs()
  }
}

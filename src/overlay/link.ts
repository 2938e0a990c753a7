/**
 * The one stream between two gateways (docs/protocol/overlay.md §3) over whatever pipe the network gave. Both directions
 * are bounded by credit of our own, because not every transport applies back-pressure (QUIC streams of js-libp2p read on
 * while paused and abort at 4 MB): a peer never has more than one window of bytes here that nobody has read.
 */
import { Buffer } from 'node:buffer'
import type { Ambient } from '../core/ambient.ts'
import type { Link } from '../core/delivery/ports.ts'
import { MyceliumError } from '../core/errors.ts'
import type { GatewayId } from '../core/ids.ts'
import { limits } from '../core/limits.ts'
import { ByteQueue } from './byte-queue.ts'
import { Coalescer } from './coalesce.ts'
import { alive, check, directPace, pathPace, smoothed } from './liveness.ts'
import type { Liveness, Pace } from './liveness.ts'
import type { Pipe } from './network.ts'
import type { PipeReader } from './pipe-reader.ts'
import {
  creditSegment,
  goodbyeSegment,
  pingSegment,
  pongSegment,
  segmentHeaderBytes,
  SegmentReader,
} from './segments.ts'
import type { Goodbye } from './segments.ts'

export interface LinkParts {
  readonly peer: GatewayId
  readonly initiator: boolean
  readonly pipe: Pipe
  readonly ambient: Ambient
  /** @param reason short, for status; `isDead` when the peer's connection should go too */
  readonly onClosed: (reason: string, isDead: boolean) => void
}

const atOnce = Promise.resolve()

export class PeerLink implements Link {
  readonly peer: GatewayId
  readonly initiator: boolean
  readonly #parts: LinkParts
  readonly #pipe: Pipe
  readonly #closed = new AbortController()
  readonly #out = new Coalescer()
  readonly #in: ByteQueue
  readonly #timer: NodeJS.Timeout
  readonly #pace: Pace
  #sent = 0
  #credit: number = limits.linkWindowBytes
  #received = 0
  #taken = 0
  #granted: number = limits.linkWindowBytes
  #creditDue = false
  #pongDue: bigint | undefined
  #flushing = false
  #isBusyTick = false
  /** When the peer last let us go on, monotonic; only while bytes wait. */
  #progressAtMs: number
  #room: PromiseWithResolvers<void> | undefined
  #liveness: Liveness
  #ping: { readonly token: bigint; readonly sentAtMs: number } | undefined
  #rttMs: number | undefined

  constructor(parts: LinkParts) {
    this.#parts = parts
    this.peer = parts.peer
    this.initiator = parts.initiator
    this.#pipe = parts.pipe
    const nowMs = parts.ambient.clock.monotonicMs()
    this.#pace = parts.pipe.hops > 0 ? pathPace : directPace
    this.#liveness = alive(nowMs)
    this.#progressAtMs = nowMs
    this.#in = new ByteQueue((octets) => this.#onTaken(octets))
    this.#timer = setInterval(() => this.#check(), this.#pace.everyMs).unref()
    this.#sendPing(nowMs)
  }

  get closed(): AbortSignal {
    return this.#closed.signal
  }

  /** Gateways in between. */
  get hops(): number {
    return this.#pipe.hops
  }

  get rttMs(): number | undefined {
    return this.#rttMs
  }

  get incoming(): AsyncIterable<Uint8Array> {
    return this.#in
  }

  send(bytes: Uint8Array): Promise<void> {
    if (this.#closed.signal.aborted) return Promise.reject(this.#gone())
    if (this.#out.pending + bytes.length > limits.linkQueueBytesHardMax)
      return Promise.reject(new MyceliumError('too-large', { octetsMax: limits.linkQueueBytesHardMax }))
    if (this.#out.pending === 0) this.#progressAtMs = this.#parts.ambient.clock.monotonicMs()
    this.#out.append(bytes)
    this.#flushSoon()
    if (this.#out.pending <= limits.linkQueueBytesMax) return atOnce
    this.#room ??= Promise.withResolvers<void>()
    return this.#room.promise
  }

  close(reason: string): void {
    this.#finish(reason, 'closed')
  }

  /** Ends the link, telling the peer why. */
  end(why: Goodbye): void {
    this.#finish(why, why)
  }

  /** Asks for a sign of life now: somebody says that this link is gone. */
  probe(): void {
    const nowMs = this.#parts.ambient.clock.monotonicMs()
    const { pingedAtMs, heardAtMs, patienceMs } = this.#liveness
    if (pingedAtMs !== undefined && heardAtMs < pingedAtMs) {
      const left = Math.min(patienceMs, nowMs - pingedAtMs + limits.linkProbeMsMax)
      this.#liveness = { ...this.#liveness, patienceMs: left }
    } else {
      this.#liveness = { ...this.#liveness, pingedAtMs: nowMs, patienceMs: limits.linkProbeMsMax }
      this.#sendPing(nowMs)
    }
    setTimeout(() => this.#closed.signal.aborted || this.#check(), limits.linkProbeMsMax + 10).unref()
  }

  /** Begins to read, with what the opening has not used. Called once, after whoever consumes the link knows of it. */
  listen(rest: PipeReader): void {
    const reader = new SegmentReader({
      data: (part) => this.#onData(part),
      ping: (token) => {
        this.#pongDue = token
        this.#flushSoon()
      },
      pong: (token) => this.#onPong(token),
      credit: (octets) => this.#onCredit(octets),
      goodbye: (reason) => this.#finish(`closed by the peer: ${reason}`, 'closed'),
    })
    if (this.#pipe.closed.aborted) return this.#finish('connection lost', undefined)
    this.#pipe.closed.addEventListener('abort', () => this.#finish('connection lost', undefined), { once: true })
    rest.handOver({
      data: (bytes) => {
        if (this.#closed.signal.aborted) return
        this.#liveness = { ...this.#liveness, heardAtMs: this.#parts.ambient.clock.monotonicMs() }
        if (!reader.feed(bytes)) this.#finish('sent what is no link stream', 'misbehaved')
      },
      ended: () => this.#finish('closed by the peer', 'closed'),
    })
  }

  #onData(part: Uint8Array): void {
    this.#received += part.length
    if (this.#received > this.#granted + limits.linkSegmentBytesMax)
      return this.#finish('sent more than its credit', 'misbehaved')
    this.#in.push(part)
  }

  #onTaken(octets: number): void {
    this.#taken += octets
    if (this.#taken + limits.linkWindowBytes - this.#granted < limits.linkCreditStepBytes) return
    this.#granted = this.#taken + limits.linkWindowBytes
    this.#creditDue = true
    this.#flushSoon()
  }

  #onCredit(octets: number): void {
    if (octets <= this.#credit) return
    this.#credit = octets
    this.#progressAtMs = this.#parts.ambient.clock.monotonicMs()
    this.#flushSoon()
  }

  #onPong(token: bigint): void {
    if (this.#ping?.token !== token) return
    this.#rttMs = smoothed(this.#rttMs, this.#parts.ambient.clock.monotonicMs() - this.#ping.sentAtMs)
    this.#ping = undefined
  }

  #sendPing(nowMs: number): void {
    const token = Buffer.from(this.#parts.ambient.random.bytes(8)).readBigUInt64BE()
    this.#ping = { token, sentAtMs: nowMs }
    this.#pipe.write(pingSegment(token))
  }

  #check(): void {
    const nowMs = this.#parts.ambient.clock.monotonicMs()
    if (this.#out.pending > 0 && nowMs - this.#progressAtMs > limits.linkStallMsMax)
      return this.#finish('peer does not read', 'stalled')
    const { state, verdict } = check(this.#liveness, nowMs, this.#isFilled() ? directPace : this.#pace)
    this.#liveness = state
    if (verdict === 'ping') this.#sendPing(nowMs)
    if (verdict === 'dead') this.#finish('no sign of life', undefined, true)
  }

  /** So much is on its way that a sign of life from a slow network may be long behind it. */
  #isFilled(): boolean {
    return this.#sent + limits.linkWindowBytes - this.#credit > limits.linkCreditStepBytes
  }

  /**
   * The first send of a tick leaves with the tick's microtasks, what follows with the next turn of the loop or when a
   * segment is full: one message is not delayed, many are packed.
   */
  #flushSoon(): void {
    if (this.#flushing) {
      if (this.#out.isPacked && !this.#pipe.isFull) this.#drainPacked()
      return
    }
    this.#flushing = true
    if (this.#isBusyTick) {
      setImmediate(() => this.#flush())
      return
    }
    this.#isBusyTick = true
    setImmediate(() => {
      this.#isBusyTick = false
    })
    queueMicrotask(() => this.#flush())
  }

  /** Full segments need not wait for the end of the tick. */
  #drainPacked(): void {
    while (this.#out.isPacked && this.#sent < this.#credit && !this.#pipe.isFull) this.#writeNext()
  }

  #flush(): void {
    if (this.#closed.signal.aborted) return
    this.#writeControl()
    while (this.#out.pending > 0 && this.#sent < this.#credit && !this.#pipe.isFull) this.#writeNext()
    if (this.#room !== undefined && this.#out.pending <= limits.linkQueueBytesMax / 2) {
      this.#room.resolve()
      this.#room = undefined
    }
    if (this.#out.pending > 0 && this.#pipe.isFull) {
      void this.#flushWhenDrained()
      return
    }
    this.#flushing = false
  }

  async #flushWhenDrained(): Promise<void> {
    await this.#pipe.drained()
    this.#progressAtMs = this.#parts.ambient.clock.monotonicMs()
    this.#flush()
  }

  #writeNext(): void {
    const segment = this.#out.take()!
    this.#sent += segment.length - segmentHeaderBytes
    this.#pipe.write(segment)
  }

  #writeControl(): void {
    if (this.#pongDue !== undefined) this.#pipe.write(pongSegment(this.#pongDue))
    this.#pongDue = undefined
    if (this.#creditDue) this.#pipe.write(creditSegment(this.#granted))
    this.#creditDue = false
  }

  #finish(reason: string, goodbye: Goodbye | undefined, isDead = false): void {
    if (this.#closed.signal.aborted) return
    clearInterval(this.#timer)
    this.#closed.abort(new MyceliumError('unreachable', { reason }))
    this.#in.end()
    this.#room?.promise.catch(() => {})
    this.#room?.reject(this.#gone())
    if (goodbye === undefined || goodbye === 'misbehaved' || goodbye === 'stalled') this.#pipe.abort(reason)
    else this.#leave(goodbye)
    this.#parts.onClosed(reason, isDead)
  }

  /** What was accepted still goes out, as far as the peer's credit reaches. */
  #leave(goodbye: Goodbye): void {
    this.#writeControl()
    while (this.#out.pending > 0 && this.#sent < this.#credit) this.#writeNext()
    this.#pipe.write(goodbyeSegment(goodbye))
    this.#pipe.end()
  }

  #gone(): MyceliumError {
    return this.#closed.signal.reason as MyceliumError
  }
}

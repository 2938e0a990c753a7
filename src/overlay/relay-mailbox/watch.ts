/** The recipient's side of a watch: takes what the relay sends, in order, and says what is durable here. */
import type { Ambient } from '../../core/ambient.ts'
import type { SigningKey } from '../../core/crypto/sign.ts'
import { type RelayEntry, relayBodySizes, type WatchHandlers } from '../../core/delivery/relay-ports.ts'
import { MyceliumError, unreachable } from '../../core/errors.ts'
import type { GatewayId } from '../../core/ids.ts'
import { limits } from '../../core/limits.ts'
import { TokenBucket } from '../../core/token-bucket.ts'
import type { Pipe } from '../network.ts'
import { PipeReader } from '../pipe-reader.ts'
import {
  encodeWatchMessage,
  hasWatchMessage,
  readWatchMessage,
  signHello,
  watchAnswerBytesMax,
  type WatchMessage,
} from './watch-messages.ts'

export interface WatchParts {
  readonly owner: SigningKey
  readonly handlers: WatchHandlers
  readonly stay: boolean
  readonly relay: GatewayId
  readonly recipient: GatewayId
  readonly ambient: Ambient
  readonly signal: AbortSignal
}

/** Octets that a relay which keeps to its window has on the way at most, with what it says besides. */
const heldBytesMax = limits.relayWatchBytesMax + limits.relayWatchEntriesMax * 64 + 2 * watchAnswerBytesMax
const silenceCheckMs = limits.relayWatchAliveMs / 6
const idleTalk = { burst: 32, perSecond: 1 }

/** Resolves when the relay ends the stream. @throws what a handler throws, `unreachable`, `peer-misbehaved`, the signal's reason */
export async function runWatch(pipe: Pipe, parts: WatchParts): Promise<void> {
  const { owner, stay, relay, recipient, ambient, signal } = parts
  const watch = new Watch(pipe, parts)
  try {
    signal.throwIfAborted()
    pipe.write(signHello({ atMs: ambient.clock.nowMs(), stay }, owner, { relay, recipient }))
    await watch.run()
    pipe.end()
  } catch (error) {
    pipe.abort('watch failed')
    throw error
  }
}

class Watch {
  readonly #pipe: Pipe
  readonly #parts: WatchParts
  readonly #reader: PipeReader
  readonly #silent = new AbortController()
  readonly #signal: AbortSignal
  readonly #idleTalk = new TokenBucket(idleTalk)
  #heardAtMs: number
  #saidAtMs: number
  #lastNumber = 0
  /** An entry came since the last word that nothing waits. */
  #hasNews = true
  #entries: RelayEntry[] = []

  constructor(pipe: Pipe, parts: WatchParts) {
    this.#pipe = pipe
    this.#parts = parts
    this.#reader = new PipeReader(pipe, heldBytesMax)
    this.#signal = AbortSignal.any([parts.signal, this.#silent.signal])
    this.#heardAtMs = parts.ambient.clock.monotonicMs()
    this.#saidAtMs = this.#heardAtMs
  }

  async run(): Promise<void> {
    const timer = setInterval(() => this.#checkSilence(), silenceCheckMs).unref()
    try {
      for (;;) {
        const message = await this.#next()
        if (message === undefined) return
        await this.#on(message)
      }
    } finally {
      clearInterval(timer)
    }
  }

  /** `undefined` once the relay has ended its side. */
  async #next(): Promise<WatchMessage | undefined> {
    try {
      const message = await readWatchMessage(this.#reader, watchAnswerBytesMax, this.#signal)
      this.#heardAtMs = this.#parts.ambient.clock.monotonicMs()
      return message
    } catch (error) {
      if (this.#reader.isOver && !this.#signal.aborted) return undefined
      throw error
    }
  }

  async #on(message: WatchMessage): Promise<void> {
    switch (message.kind) {
      case 'entry':
        this.#add(message)
        if (this.#entries.length >= limits.relayWatchEntriesMax || !hasWatchMessage(this.#reader)) await this.#flush()
        return
      case 'drained':
        await this.#flush()
        if (!this.#hasNews) this.#countIdleTalk()
        this.#hasNews = false
        this.#parts.handlers.onDrained()
        return
      case 'alive':
        await this.#flush()
        this.#countIdleTalk()
        return
      case 'refused':
        throw new MyceliumError('peer-misbehaved', { reason: message.reason })
      case 'hello':
      case 'taken':
        throw new MyceliumError('peer-misbehaved', { reason: 'watch: message out of place' })
      default:
        unreachable(message)
    }
  }

  #add({ number, receiveId, heldSinceMs, body }: WatchMessage & { readonly kind: 'entry' }): void {
    if (number <= this.#lastNumber || !(relayBodySizes as readonly number[]).includes(body.length))
      throw new MyceliumError('peer-misbehaved', { reason: 'watch: entry out of order' })
    this.#lastNumber = number
    this.#hasNews = true
    this.#entries.push({ number, receiveId, heldSinceMs, body })
  }

  async #flush(): Promise<void> {
    if (this.#entries.length === 0) return
    const entries = this.#entries
    this.#entries = []
    const numbers = await this.#parts.handlers.onEntries(entries)
    this.#signal.throwIfAborted()
    for (let at = 0; at < numbers.length; at += limits.relayWatchTakenMax)
      this.#write({ kind: 'taken', numbers: numbers.slice(at, at + limits.relayWatchTakenMax) })
  }

  /** What says nothing new: a relay has little reason for it. */
  #countIdleTalk(): void {
    if (!this.#idleTalk.take(this.#parts.ambient.clock.monotonicMs()))
      throw new MyceliumError('peer-misbehaved', { reason: 'watch: idle talk' })
  }

  #write(message: WatchMessage): void {
    this.#saidAtMs = this.#parts.ambient.clock.monotonicMs()
    this.#pipe.write(encodeWatchMessage(message))
  }

  #checkSilence(): void {
    const nowMs = this.#parts.ambient.clock.monotonicMs()
    if (nowMs - this.#heardAtMs > limits.relayWatchDeadMs && !hasWatchMessage(this.#reader))
      this.#silent.abort(new MyceliumError('unreachable', { reason: 'no sign of life' }))
    else if (nowMs - this.#saidAtMs >= limits.relayWatchAliveMs && !this.#pipe.isFull)
      this.#write({ kind: 'alive', filler: this.#parts.ambient.random.bytes(8) })
  }
}

/** The owners who watch at this moment, one stream each, and what each stream is sent. */
import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Ambient } from '../../core/ambient.ts'
import { toHex } from '../../core/bytes.ts'
import { MyceliumError } from '../../core/errors.ts'
import type { GatewayId } from '../../core/ids.ts'
import { limits } from '../../core/limits.ts'
import type { Store } from '../../core/store/store.ts'
import { TokenBucket } from '../../core/token-bucket.ts'
import { shortId } from '../gateway-id.ts'
import { Deadline } from '../deadline.ts'
import type { Pipe } from '../network.ts'
import { PipeReader } from '../pipe-reader.ts'
import { entriesAfter, hasEntryAfter, takeEntries } from './entries.ts'
import type { Refusal } from './messages.ts'
import { ownerKeyOf } from './owners.ts'
import { putOwner, readOwner } from './rows.ts'
import {
  encodeWatchMessage,
  type Hello,
  isHelloSigned,
  readWatchMessage,
  type WatchMessage,
  watchRequestBytesMax,
} from './watch-messages.ts'

export interface WatchersParts {
  readonly self: GatewayId
  readonly store: Store
  readonly ambient: Ambient
}

export class Watchers {
  readonly #parts: WatchersParts
  readonly #bySlot = new Map<string, Watcher>()
  readonly #perGateway = new Map<GatewayId, number>()
  #streams = 0

  constructor(parts: WatchersParts) {
    this.#parts = parts
  }

  get count(): number {
    return this.#bySlot.size
  }

  isWatching = (slot: Uint8Array): boolean => this.#bySlot.has(toHex(slot))
  watchesHere = (gateway: GatewayId): boolean =>
    [...this.#bySlot.values()].some((watcher) => watcher.gateway === gateway)

  /** Something came for this owner. */
  wake(slot: Uint8Array): void {
    this.#bySlot.get(toHex(slot))?.wake()
  }

  /** The owner is no longer one. */
  end(slot: Uint8Array): void {
    this.#bySlot.get(toHex(slot))?.refuse('unknown-owner')
  }

  endAll(): void {
    for (const watcher of this.#bySlot.values()) watcher.end()
  }

  /** Serves one stream until it ends. @throws `peer-misbehaved`, `unreachable` */
  async serve(pipe: Pipe, from: GatewayId): Promise<void> {
    const open = this.#perGateway.get(from) ?? 0
    if (open >= limits.relayWatchersPerGatewayMax || this.#streams >= limits.relayWatchersMax)
      return refuseOver(pipe, 'throttled')
    this.#perGateway.set(from, open + 1)
    this.#streams += 1
    try {
      await this.#serve(pipe, from)
    } finally {
      this.#streams -= 1
      const left = this.#perGateway.get(from)! - 1
      if (left > 0) this.#perGateway.set(from, left)
      else this.#perGateway.delete(from)
    }
  }

  async #serve(pipe: Pipe, from: GatewayId): Promise<void> {
    const reader = new PipeReader(pipe, 4 * watchRequestBytesMax)
    const hello = await firstMessage(reader)
    if (hello.kind !== 'hello') throw new MyceliumError('peer-misbehaved', { reason: 'watch: no hello' })
    const slot = await this.#admit(hello, from)
    if (typeof slot === 'string') return refuseOver(pipe, slot)
    const key = toHex(slot)
    this.#bySlot.get(key)?.end()
    const watcher = new Watcher({ ...this.#parts, pipe, reader, slot, gateway: from, stays: hello.stay === 1 })
    this.#bySlot.set(key, watcher)
    try {
      await watcher.run()
    } finally {
      if (this.#bySlot.get(key) === watcher) this.#bySlot.delete(key)
    }
  }

  async #admit(hello: Hello, from: GatewayId): Promise<Uint8Array | Refusal> {
    const { self, store, ambient } = this.#parts
    const nowMs = ambient.clock.nowMs()
    if (Math.abs(hello.atMs - nowMs) > limits.relayClockSkewMs) return 'signature'
    if (!isHelloSigned({ relay: self, recipient: from }, hello)) return 'signature'
    const known = store.read((tx) => readOwner(tx, ownerKeyOf(tx, hello.owner)))
    if (known === undefined) return 'unknown-owner'
    if (nowMs - known.seenAtMs < seenEveryMs) return known.slot
    await store.write((tx) => {
      const key = ownerKeyOf(tx, hello.owner)
      const owner = readOwner(tx, key)
      if (owner !== undefined) putOwner(tx, key, { ...owner, seenAtMs: nowMs })
    })
    return known.slot
  }
}

interface WatcherParts extends WatchersParts {
  readonly pipe: Pipe
  readonly reader: PipeReader
  readonly slot: Uint8Array
  readonly gateway: GatewayId
  readonly stays: boolean
}

interface Sent {
  readonly number: number
  readonly expiresAtMs: number
  readonly bytes: number
}

/** How exactly it is noted when an owner was seen. */
const seenEveryMs = 3600_000
const silenceCheckMs = limits.relayWatchAliveMs / 6
/** Messages that say nothing new: a peer that sends more of them only wants to be busy. */
const idleTalk = { burst: 32, perSecond: 1 }

class Watcher {
  readonly gateway: GatewayId
  readonly #parts: WatcherParts
  readonly #ended = new AbortController()
  readonly #idleTalk = new TokenBucket(idleTalk)
  /** Sent and not taken yet. */
  readonly #unanswered = new Map<number, Sent>()
  #unansweredBytes = 0
  #sentTo = 0
  #isDrained = false
  #heardAtMs: number
  #saidAtMs: number
  #woken = Promise.withResolvers<void>()

  constructor(parts: WatcherParts) {
    this.#parts = parts
    this.gateway = parts.gateway
    const { clock } = parts.ambient
    this.#heardAtMs = clock.monotonicMs()
    this.#saidAtMs = this.#heardAtMs
  }

  wake(): void {
    this.#woken.resolve()
  }

  refuse(reason: Refusal): void {
    this.#write({ kind: 'refused', reason })
    this.end()
  }

  /** What was written still goes out. */
  end(): void {
    this.#parts.pipe.end()
    this.#ended.abort(new MyceliumError('unreachable', { reason: 'watch ended' }))
    this.wake()
  }

  async run(): Promise<void> {
    const { pipe, ambient, gateway } = this.#parts
    ambient.log.debug('relay.watch-opened', { gateway: shortId(gateway) })
    const timer = setInterval(() => this.#checkSilence(), silenceCheckMs).unref()
    const onClosed = (): void => this.#ended.abort(new MyceliumError('unreachable', { reason: 'stream ended' }))
    pipe.closed.addEventListener('abort', onClosed, { once: true })
    if (pipe.closed.aborted) onClosed()
    this.#ended.signal.addEventListener('abort', () => this.wake(), { once: true })
    try {
      await Promise.all([this.#listen(), this.#send()])
    } catch (error) {
      if (this.#ended.signal.aborted) return
      throw error
    } finally {
      clearInterval(timer)
      this.#ended.abort(new MyceliumError('unreachable', { reason: 'watch ended' }))
      this.wake()
      pipe.closed.removeEventListener('abort', onClosed)
      ambient.log.debug('relay.watch-closed', { gateway: shortId(gateway) })
    }
  }

  async #listen(): Promise<void> {
    const { signal } = this.#ended
    while (!signal.aborted) {
      const message = await readWatchMessage(this.#parts.reader, watchRequestBytesMax, signal)
      this.#heardAtMs = this.#parts.ambient.clock.monotonicMs()
      const isNews = message.kind === 'taken' && (await this.#onTaken(message.numbers))
      if (message.kind !== 'taken' && message.kind !== 'alive')
        throw new MyceliumError('peer-misbehaved', { reason: 'watch: message out of place' })
      if (!isNews && !this.#idleTalk.take(this.#heardAtMs))
        throw new MyceliumError('peer-misbehaved', { reason: 'watch: idle talk' })
    }
  }

  /** Numbers that were not sent here are passed over. */
  async #onTaken(numbers: readonly number[]): Promise<boolean> {
    const taken = [...new Set(numbers)].flatMap((number) => this.#unanswered.get(number) ?? [])
    if (taken.length === 0) return false
    const { store, slot, ambient } = this.#parts
    await store.write((tx) => takeEntries(tx, slot, { taken, nowMs: ambient.clock.nowMs() }))
    for (const { number, bytes } of taken) {
      this.#unanswered.delete(number)
      this.#unansweredBytes -= bytes
    }
    this.wake()
    return true
  }

  async #send(): Promise<void> {
    const { pipe } = this.#parts
    const { signal } = this.#ended
    while (!signal.aborted) {
      this.#woken = Promise.withResolvers()
      while (pipe.isFull && !signal.aborted) await pipe.drained()
      if (signal.aborted) return
      if (this.#sendNext()) {
        // megabytes are not sent in one turn of the loop
        if (this.#unansweredBytes >= limits.relayWatchBytesMax / 16) await nextTurn()
        continue
      }
      if (!this.#parts.stays && this.#isDrained && this.#unanswered.size === 0) return this.end()
      await this.#woken.promise
    }
  }

  /** One entry, or word that there is none; false when there is nothing to say. */
  #sendNext(): boolean {
    const { store, slot } = this.#parts
    if (this.#unanswered.size >= limits.relayWatchEntriesMax) return false
    const bytesMax = limits.relayWatchBytesMax - this.#unansweredBytes
    const [next] = store.read((tx) => entriesAfter(tx, slot, { after: this.#sentTo, countMax: 1, bytesMax }))
    if (next === undefined) {
      if (this.#isDrained || store.read((tx) => hasEntryAfter(tx, slot, this.#sentTo))) return false
      this.#isDrained = true
      this.#write({ kind: 'drained' })
      return true
    }
    const { number, receiveId, heldSinceMs, expiresAtMs, body } = next
    this.#isDrained = false
    this.#sentTo = number
    this.#unanswered.set(number, { number, expiresAtMs, bytes: body.length })
    this.#unansweredBytes += body.length
    this.#write({ kind: 'entry', number, receiveId, heldSinceMs, body })
    return true
  }

  #write(message: WatchMessage): void {
    this.#saidAtMs = this.#parts.ambient.clock.monotonicMs()
    this.#parts.pipe.write(encodeWatchMessage(message))
  }

  #checkSilence(): void {
    const { pipe, ambient } = this.#parts
    const nowMs = ambient.clock.monotonicMs()
    if (nowMs - this.#heardAtMs > limits.relayWatchDeadMs) pipe.abort('watch: no sign of life')
    else if (nowMs - this.#saidAtMs >= limits.relayWatchAliveMs && !pipe.isFull)
      this.#write({ kind: 'alive', filler: ambient.random.bytes(8) })
  }
}

async function firstMessage(reader: PipeReader): Promise<WatchMessage> {
  using deadline = new Deadline(limits.relayWatchHelloMs)
  return await readWatchMessage(reader, watchRequestBytesMax, deadline.signal)
}

/** Says why there is nothing to watch, and ends the stream. */
export function refuseOver(pipe: Pipe, reason: Refusal): void {
  pipe.write(encodeWatchMessage({ kind: 'refused', reason }))
  pipe.end()
}

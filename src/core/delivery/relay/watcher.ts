/**
 * Watches one relay for one account: what waits is taken, and while the stream is open what comes is pushed. A relay that
 * is away is asked again with growing, jittered pauses, so that the times of asking say little.
 */
import type { Ambient } from '../../ambient.ts'
import { MyceliumError } from '../../errors.ts'
import { short } from '../../ids.ts'
import { limits } from '../../limits.ts'
import type { Relays } from '../relay-ports.ts'
import type { RelayBook } from './book.ts'
import type { RelayCollector } from './collector.ts'
import { isUnknownOwner } from './keeper.ts'
import type { RelayChoice } from './queues.ts'

export interface WatcherParts {
  readonly book: RelayBook
  readonly relays: Relays
  readonly collector: RelayCollector
  readonly ambient: Ambient
  /** It answered. */
  readonly onSeen: (choice: RelayChoice) => void
  /** It answered after it had been away. */
  readonly onBack: () => void
  readonly onForgotten: (choice: RelayChoice, signal: AbortSignal) => Promise<void>
}

export interface WatcherStatus {
  readonly state: 'watching' | 'away'
  /** Unix milliseconds. */
  readonly sinceMs: number
  readonly lastError: string | undefined
}

export class RelayWatcher implements AsyncDisposable {
  readonly #parts: WatcherParts
  readonly #account: RelayChoice['account']
  readonly #gateway: RelayChoice['relay']['gateway']
  readonly #stop = new AbortController()
  #status: WatcherStatus
  #wake: (() => void) | undefined
  #failures = 0
  #isOver = false
  readonly #running: Promise<void>

  constructor(choice: RelayChoice, parts: WatcherParts) {
    this.#parts = parts
    this.#account = choice.account
    this.#gateway = choice.relay.gateway
    this.#status = { state: 'away', sinceMs: choice.seenAtMs, lastError: undefined }
    this.#running = this.#run().finally(() => {
      this.#isOver = true
    })
  }

  /** The relay is no longer used at all. */
  get isOver(): boolean {
    return this.#isOver
  }

  get status(): WatcherStatus {
    return this.#status
  }

  /** It may be there again. */
  nudge(): void {
    this.#failures = 0
    this.#wake?.()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort()
    this.#wake?.()
    await this.#running
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop
    while (!signal.aborted) {
      const choice = this.#parts.book.choice(this.#account, this.#gateway)
      if (choice === undefined) return
      try {
        await this.#watch(choice, signal)
        if (signal.aborted) return
        this.#away(undefined)
      } catch (error) {
        if (signal.aborted) return
        this.#away(reasonOf(error))
        if (isUnknownOwner(error)) await this.#parts.onForgotten(choice, signal).catch(() => {})
      }
      await this.#pause(choice)
    }
  }

  async #watch(choice: RelayChoice, signal: AbortSignal): Promise<void> {
    const { relays, book, collector, ambient } = this.#parts
    const startedMs = ambient.clock.nowMs()
    const awayMs = startedMs - this.#status.sinceMs
    const seen = (): void => {
      const wasAway = this.#status.state === 'away'
      if (wasAway) this.#status = { state: 'watching', sinceMs: ambient.clock.nowMs(), lastError: undefined }
      this.#failures = 0
      if (wasAway) this.#parts.onBack()
      this.#parts.onSeen(choice)
    }
    await relays.watch(
      choice.relay,
      book.owner(choice),
      {
        onEntries: async (entries) => {
          seen()
          return await collector.take(choice, entries, { sinceMs: this.#status.sinceMs, awayMs })
        },
        onDrained: seen,
      },
      { stay: choice.retiredAtMs === 0, signal },
    )
  }

  #away(lastError: string | undefined): void {
    const { ambient } = this.#parts
    this.#failures += 1
    if (this.#status.state === 'watching' || this.#failures === 1)
      ambient.log.debug('relay.away', { relay: short(this.#gateway.slice(-8)), reason: lastError ?? 'ended' })
    const sinceMs = this.#status.state === 'watching' ? ambient.clock.nowMs() : this.#status.sinceMs
    this.#status = { state: 'away', sinceMs, lastError }
  }

  async #pause({ retiredAtMs }: RelayChoice): Promise<void> {
    if (this.#stop.signal.aborted) return
    const { random } = this.#parts.ambient
    const jitter = 0.5 + random.bytes(1)[0]! / 256
    const growing = limits.relayWatchRetryMsMin * 2 ** Math.min(this.#failures - 1, 16)
    const ms = Math.min(retiredAtMs === 0 ? growing : Infinity, limits.relayWatchRetryMsMax) * jitter
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, ms)
      timer.unref()
      this.#wake = () => {
        clearTimeout(timer)
        resolve()
      }
    })
    this.#wake = undefined
  }
}

function reasonOf(error: unknown): string {
  if (error instanceof MyceliumError) return String(error.details['reason'] ?? error.code)
  return error instanceof Error ? error.name : 'unknown'
}

/** Carries bytes between two pipes, both ways: with back-pressure, at a bounded rate, until either ends or both are idle. */
import type { Clock } from '../../core/ambient.ts'
import { limits } from '../../core/limits.ts'
import type { Pipe } from '../network.ts'
import type { PipeReader } from '../pipe-reader.ts'

/** An end of the splice with what was already read from it. */
export interface SpliceEnd {
  readonly pipe: Pipe
  readonly reader: PipeReader
}

export interface Carried {
  /** Octets that came from the near end, and from the far one. */
  readonly fromNear: number
  readonly fromFar: number
  readonly forMs: number
  /** The far end fell away by itself. */
  readonly isFarFirst: boolean
}

/** How much more than one second's share may pass at once, octets. */
const burstBytes = limits.pathBytesPerSecondMax / 4

/** Resolves once both pipes are closed. */
export async function splice(near: SpliceEnd, far: SpliceEnd, clock: Clock): Promise<Carried> {
  const startedAtMs = clock.monotonicMs()
  const over = Promise.withResolvers<boolean>()
  const there = new Direction(near, far, clock)
  const back = new Direction(far, near, clock)
  near.pipe.closed.addEventListener('abort', () => over.resolve(false), { once: true })
  far.pipe.closed.addEventListener('abort', () => over.resolve(true), { once: true })
  const idle = setInterval(() => {
    const lastMs = Math.max(there.lastMs, back.lastMs)
    if (clock.monotonicMs() - lastMs >= limits.pathIdleMsMax) near.pipe.abort('idle path')
  }, limits.pathIdleMsMax / 4).unref()
  if (near.pipe.closed.aborted || far.pipe.closed.aborted) over.resolve(far.pipe.closed.aborted)
  there.begin()
  back.begin()
  const isFarFirst = await over.promise
  clearInterval(idle)
  there.finish()
  back.finish()
  return { fromNear: there.octets, fromFar: back.octets, forMs: clock.monotonicMs() - startedAtMs, isFarFirst }
}

class Direction {
  octets = 0
  lastMs: number
  readonly #from: SpliceEnd
  readonly #to: SpliceEnd
  readonly #clock: Clock
  #allowance = burstBytes
  #refilledMs: number
  #timer: NodeJS.Timeout | undefined
  #hasEnded = false
  #isWaiting = false

  constructor(from: SpliceEnd, to: SpliceEnd, clock: Clock) {
    this.#from = from
    this.#to = to
    this.#clock = clock
    this.#refilledMs = clock.monotonicMs()
    this.lastMs = this.#refilledMs
  }

  begin(): void {
    this.#from.reader.handOver({
      data: (bytes) => this.#carry(bytes),
      ended: () => {
        this.#hasEnded = true
        this.#to.pipe.end()
      },
    })
  }

  /** One of the two is closed: the other does not outlive it. */
  finish(): void {
    clearTimeout(this.#timer)
    if (this.#hasEnded) this.#to.pipe.end()
    else this.#to.pipe.abort('path lost')
  }

  #carry(bytes: Uint8Array): void {
    this.octets += bytes.length
    this.lastMs = this.#clock.monotonicMs()
    this.#allowance -= bytes.length
    this.#to.pipe.write(bytes)
    if (this.#to.pipe.isFull || this.#allowance < 0) void this.#wait()
  }

  async #wait(): Promise<void> {
    if (this.#isWaiting) return
    this.#isWaiting = true
    this.#from.pipe.pause()
    await this.#to.pipe.drained()
    this.#refill()
    if (this.#allowance < 0) {
      const { promise, resolve } = Promise.withResolvers<void>()
      this.#timer = setTimeout(resolve, (-this.#allowance / limits.pathBytesPerSecondMax) * 1000 + 1)
      await promise
      this.#refill()
    }
    this.#isWaiting = false
    this.#from.pipe.resume()
  }

  #refill(): void {
    const nowMs = this.#clock.monotonicMs()
    const gained = ((nowMs - this.#refilledMs) / 1000) * limits.pathBytesPerSecondMax
    this.#refilledMs = nowMs
    this.#allowance = Math.min(burstBytes, this.#allowance + gained)
  }
}

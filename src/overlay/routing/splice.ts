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

/** How much more than one second's share may pass at once, octets. */
const burstBytes = limits.pathBytesPerSecondMax / 4

/**
 * Resolves once both pipes are closed.
 * @returns how long the far end had not answered when the near one gave it up, milliseconds; 0 when it did not
 */
export async function splice(near: SpliceEnd, far: SpliceEnd, clock: Clock): Promise<number> {
  const over = Promise.withResolvers<'near' | 'far' | 'both'>()
  /** When the first thing was said to the far end since it has said something. */
  let unansweredSinceMs: number | undefined
  const there = new Direction(near, far, clock, (nowMs) => (unansweredSinceMs ??= nowMs))
  const back = new Direction(far, near, clock, () => (unansweredSinceMs = undefined))
  near.pipe.closed.addEventListener('abort', () => over.resolve('near'), { once: true })
  far.pipe.closed.addEventListener('abort', () => over.resolve('far'), { once: true })
  const idle = setInterval(() => {
    const lastMs = Math.max(there.lastMs, back.lastMs)
    if (clock.monotonicMs() - lastMs < limits.pathIdleMsMax) return
    over.resolve('both')
    near.pipe.abort('idle path')
  }, limits.pathIdleMsMax / 4).unref()
  if (near.pipe.closed.aborted || far.pipe.closed.aborted) over.resolve(far.pipe.closed.aborted ? 'far' : 'near')
  there.begin()
  back.begin()
  const first = await over.promise
  clearInterval(idle)
  there.finish()
  back.finish()
  const isGivenUp = first === 'near' && !there.hasEnded && unansweredSinceMs !== undefined
  return isGivenUp ? clock.monotonicMs() - unansweredSinceMs! : 0
}

class Direction {
  lastMs: number
  /** In order: nothing was cut off. */
  hasEnded = false
  readonly #from: SpliceEnd
  readonly #to: SpliceEnd
  readonly #clock: Clock
  readonly #onCarried: (nowMs: number) => void
  #allowance = burstBytes
  #refilledMs: number
  #timer: NodeJS.Timeout | undefined
  #isWaiting = false

  constructor(from: SpliceEnd, to: SpliceEnd, clock: Clock, onCarried: (nowMs: number) => void) {
    this.#from = from
    this.#to = to
    this.#clock = clock
    this.#onCarried = onCarried
    this.#refilledMs = clock.monotonicMs()
    this.lastMs = this.#refilledMs
  }

  begin(): void {
    this.#from.reader.handOver({
      data: (bytes) => this.#carry(bytes),
      ended: () => {
        this.hasEnded = true
        this.#to.pipe.end()
      },
    })
  }

  /** One of the two is closed: the other does not outlive it. */
  finish(): void {
    clearTimeout(this.#timer)
    if (this.hasEnded) this.#to.pipe.end()
    else this.#to.pipe.abort('path lost')
  }

  #carry(bytes: Uint8Array): void {
    this.lastMs = this.#clock.monotonicMs()
    this.#onCarried(this.lastMs)
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

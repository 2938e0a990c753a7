/**
 * How long the gateway has been running in all, across restarts: mail expires by the smaller of wall time and this, so
 * that neither a clock set forward nor a machine switched off for weeks loses anything.
 */
import type { Ambient } from '../ambient.ts'
import { decode, encode, record, u64 } from '../codec.ts'
import { fromUtf8 } from '../bytes.ts'
import { limits } from '../limits.ts'
import type { Store } from '../store/store.ts'
import { tables } from '../store/tables.ts'

interface Saved {
  readonly runMs: number
  readonly wallMs: number
}
const savedCodec = record<Saved>({ runMs: u64, wallMs: u64 })
const key = fromUtf8('run-clock')

export class RunClock {
  readonly #store: Store
  readonly #ambient: Ambient
  readonly #base: number
  readonly #startedAt: number
  #lastWallMs: number
  /** 0 before the first look: a machine that was off has not jumped. */
  #lastMonotonicMs = 0

  constructor(store: Store, ambient: Ambient) {
    this.#store = store
    this.#ambient = ambient
    const value = store.read((tx) => tx.get(tables.meta, key))
    const saved = value === undefined ? { runMs: 0, wallMs: ambient.clock.nowMs() } : decode(savedCodec, value)
    this.#base = saved.runMs
    this.#startedAt = ambient.clock.monotonicMs()
    this.#lastWallMs = saved.wallMs
    this.#watchWall()
  }

  /** Accumulated running time, milliseconds. */
  runMs(): number {
    return Math.floor(this.#base + this.#ambient.clock.monotonicMs() - this.#startedAt)
  }

  /** Age of something submitted then: what both clocks agree has passed; of a moment that is yet to come, running time. */
  ageMs(submitted: { readonly wallMs: number; readonly runMs: number }): number {
    const runMs = Math.max(0, this.runMs() - submitted.runMs)
    const wallMs = this.#ambient.clock.nowMs() - submitted.wallMs
    return wallMs < 0 ? runMs : Math.min(wallMs, runMs)
  }

  /** Called about once a minute. */
  async save(): Promise<void> {
    this.#watchWall()
    const saved = { runMs: this.runMs(), wallMs: this.#lastWallMs }
    await this.#store.write((tx) => tx.put(tables.meta, key, encode(savedCodec, saved)))
  }

  /** A clock set back, or forward by more than a day while this ran, is named; nothing is deleted for it. */
  #watchWall(): void {
    const wallMs = this.#ambient.clock.nowMs()
    const monotonicMs = this.#ambient.clock.monotonicMs()
    const jumpMs = wallMs - this.#lastWallMs - (monotonicMs - this.#lastMonotonicMs)
    if (this.#lastMonotonicMs > 0 && jumpMs > limits.clockForwardMsAlarm) {
      this.#ambient.log.warn('clock.jumped-forward', { byMs: jumpMs })
    }
    this.#lastMonotonicMs = monotonicMs
    if (this.#lastWallMs - wallMs > limits.clockBackMsAlarm) {
      this.#ambient.log.warn('clock.set-back', { byMs: this.#lastWallMs - wallMs })
    }
    this.#lastWallMs = wallMs
  }
}

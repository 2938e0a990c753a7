/**
 * Work that is tried until it is done, across lost connections: with growing pauses that end when somebody becomes
 * reachable, each under its own name and once at a time.
 */
import type { Ambient } from '../ambient.ts'
import { MyceliumError } from '../errors.ts'
import { reconnectDelayMs } from './retry.ts'

export interface Pursuit {
  /** Known under it while it runs. */
  readonly name: string
  /** For the log. */
  readonly label: string
  /** True when there is nothing more to do. A throw is tried again. */
  readonly attempt: () => Promise<boolean>
  /** Around all attempts, where there is one. */
  readonly onBegin?: () => void
  readonly onEnd?: () => void
}

export class Pursuits implements AsyncDisposable {
  readonly #ambient: Ambient
  readonly #stop = new AbortController()
  readonly #running = new Map<string, Promise<void>>()
  readonly #wake = new Set<() => void>()
  #nudges = 0

  constructor(ambient: Ambient) {
    this.#ambient = ambient
  }

  /** Aborted when attempts are to end. */
  get signal(): AbortSignal {
    return this.#stop.signal
  }

  run(pursuit: Pursuit): void {
    if (this.#running.has(pursuit.name) || this.#stop.signal.aborted) return
    pursuit.onBegin?.()
    const done = this.#pursue(pursuit).finally(() => {
      this.#running.delete(pursuit.name)
      pursuit.onEnd?.()
    })
    this.#running.set(pursuit.name, done)
  }

  /** Somebody became reachable: do not wait longer. */
  nudge(): void {
    this.#nudges += 1
    for (const wake of this.#wake) wake()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort(new MyceliumError('shutting-down'))
    this.nudge()
    await Promise.all(this.#running.values())
  }

  async #pursue({ label, attempt }: Pursuit): Promise<void> {
    const { log, random } = this.#ambient
    for (let attempts = 1; !this.#stop.signal.aborted; attempts += 1) {
      const nudges = this.#nudges
      try {
        if (await attempt()) return
      } catch (error) {
        if (this.#stop.signal.aborted) return
        log.info('blob.waiting', {
          message: label,
          attempts,
          code: error instanceof MyceliumError ? error.code : 'unexpected',
        })
        if (this.#nudges === nudges) await this.#pause(reconnectDelayMs(attempts, random.bytes(1)[0]! / 256))
      }
    }
  }

  async #pause(ms: number): Promise<void> {
    await new Promise<void>((resolve) => {
      const wake = (): void => {
        clearTimeout(timer)
        this.#wake.delete(wake)
        resolve()
      }
      const timer = setTimeout(wake, ms)
      this.#wake.add(wake)
    })
  }
}

/** A few at a time under one name, in order of coming. */
export class Turns {
  readonly #atOnce: number
  readonly #turns = new Map<string, { busy: number; readonly waiting: (() => void)[] }>()

  constructor(atOnce: number) {
    this.#atOnce = atOnce
  }

  async take<T>(name: string, work: () => Promise<T>): Promise<T> {
    const turns = this.#turns.get(name) ?? { busy: 0, waiting: [] }
    this.#turns.set(name, turns)
    if (turns.busy >= this.#atOnce) await new Promise<void>((resolve) => turns.waiting.push(resolve))
    else turns.busy += 1
    try {
      return await work()
    } finally {
      const next = turns.waiting.shift()
      if (next === undefined) turns.busy -= 1
      else next()
      if (turns.busy === 0) this.#turns.delete(name)
    }
  }
}

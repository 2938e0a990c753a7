/**
 * Time that passes only when nothing is left to do. While it is installed, every timer of this process (setTimeout,
 * setInterval, AbortSignal.timeout, node:timers/promises) waits for it; setImmediate, files and the store's commits stay real. Before
 * time moves on, everything that has begun has ended: no file is being read, no turn of the event loop is asked for. So a disk
 * that takes its time never makes a virtual time limit pass, and thirty days take as long as what happens in them.
 *
 * Each timer fires in a turn of its own, with its microtasks, as in Node. Those of half a second and more fire on a grid
 * of half a second, as systems that save power do it: thousands of links share their moments.
 */
import { syncBuiltinESMExports } from 'node:module'
import promises from 'node:timers/promises'
import { DueHeap } from './due-heap.ts'

const gridMs = 500
const stuckMs = 120_000
/** Resources that are no work: timers of others, and the lines to a parent process. */
const standing = new Set([
  'Timeout',
  'PipeWrap',
  'TTYWrap',
  'MessagePort',
  'TCPSocketWrap',
  'ProcessWrap',
  'SignalWrap',
])

const real = {
  setTimeout: globalThis.setTimeout,
  setInterval: globalThis.setInterval,
  clearTimeout: globalThis.clearTimeout,
  clearInterval: globalThis.clearInterval,
  abortAfter: Object.getOwnPropertyDescriptor(AbortSignal, 'timeout')!,
  sleep: promises.setTimeout,
}

class VirtualTimer {
  readonly #time: VirtualTime
  readonly callback: () => void
  /** Between one and the next; `undefined` for a timer that fires once. */
  readonly everyMs: number | undefined
  dueMs = 0
  order = 0
  isCleared = false

  constructor(time: VirtualTime, callback: () => void, everyMs: number | undefined) {
    this.#time = time
    this.callback = callback
    this.everyMs = everyMs
  }
  ref(): this {
    return this
  }
  unref(): this {
    return this
  }
  hasRef(): boolean {
    return false
  }
  close(): this {
    this.isCleared = true
    return this
  }
  [Symbol.dispose](): void {
    this.isCleared = true
  }
  fire(): void {
    if (this.isCleared) return
    if (this.everyMs === undefined) this.isCleared = true
    else this.#time.add(this, this.everyMs)
    this.callback()
  }
}

export class VirtualTime implements Disposable {
  readonly #timers = new DueHeap<VirtualTimer>()
  #nowMs = 0
  #order = 0
  /** Hears of each turn of the event loop in which something was under way: a moment between two steps of somebody. */
  onBusyTurn: (() => void) | undefined
  moments = 0

  /** Milliseconds since the beginning. */
  get nowMs(): number {
    return this.#nowMs
  }

  static install(): VirtualTime {
    const time = new VirtualTime()
    const once = (use: (...args: unknown[]) => void, ms?: number, ...args: unknown[]): VirtualTimer =>
      time.#start(() => use(...args), ms, undefined)
    const every = (use: (...args: unknown[]) => void, ms?: number, ...args: unknown[]): VirtualTimer =>
      time.#start(() => use(...args), ms, Math.max(1, ms ?? 1))
    globalThis.setTimeout = once as unknown as typeof setTimeout
    globalThis.setInterval = every as unknown as typeof setInterval
    globalThis.clearTimeout = forgetter(real.clearTimeout)
    globalThis.clearInterval = forgetter(real.clearInterval)
    AbortSignal.timeout = (ms) => time.#abortAfter(ms)
    promises.setTimeout = (async (ms?: number, value?: unknown) => {
      await time.sleep(ms ?? 1)
      return value
    }) as typeof promises.setTimeout
    syncBuiltinESMExports()
    return time
  }

  [Symbol.dispose](): void {
    globalThis.setTimeout = real.setTimeout
    globalThis.setInterval = real.setInterval
    globalThis.clearTimeout = real.clearTimeout
    globalThis.clearInterval = real.clearInterval
    Object.defineProperty(AbortSignal, 'timeout', real.abortAfter)
    promises.setTimeout = real.sleep
    syncBuiltinESMExports()
  }

  add(timer: VirtualTimer, ms: number): void {
    const dueMs = this.#nowMs + Math.max(1, Math.ceil(ms))
    timer.dueMs = ms < gridMs ? dueMs : Math.ceil(dueMs / gridMs) * gridMs
    this.#order += 1
    timer.order = this.#order
    this.#timers.push(timer)
  }

  async sleep(ms: number): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#start(resolve, ms, undefined)
    })
  }

  /** Lets time pass up to a moment. */
  async passTo(untilMs: number): Promise<void> {
    await this.#quiet()
    for (;;) {
      const first = this.#first()
      if (first === undefined || first.dueMs > untilMs) break
      await this.#moment(first.dueMs)
    }
    this.#nowMs = Math.max(this.#nowMs, untilMs)
  }

  /** Lets as much time pass as some work takes. @throws what it throws, and an error after `withinMs` of virtual time */
  async during<T>(work: Promise<T>, withinMs = 600_000): Promise<T> {
    const state = { isOver: false }
    const over = (): void => {
      state.isOver = true
    }
    work.then(over, over)
    const untilMs = this.#nowMs + withinMs
    await this.#quiet()
    while (!state.isOver) {
      const first = this.#first()
      if (first === undefined || first.dueMs > untilMs) throw new Error(`not done after ${withinMs} ms of virtual time`)
      await this.#moment(first.dueMs)
    }
    return await work
  }

  #first(): VirtualTimer | undefined {
    while (this.#timers.first?.isCleared === true) this.#timers.pop()
    return this.#timers.first
  }

  /** Everything that is due then, and all that follows from it. */
  async #moment(atMs: number): Promise<void> {
    this.#nowMs = atMs
    this.moments += 1
    for (let timer = this.#first(); timer !== undefined && timer.dueMs <= atMs; timer = this.#first()) {
      this.#timers.pop()
      setImmediate(fire, timer)
    }
    await this.#quiet()
  }

  async #quiet(): Promise<void> {
    let since: number | undefined
    for (let turns = 0; ; turns += 1) {
      await new Promise<void>(nextTurn)
      if (!isBusy()) return
      this.onBusyTurn?.()
      if (turns % 1000 !== 999) continue
      since ??= performance.now()
      if (performance.now() - since > stuckMs)
        throw new Error(`never quiet: ${process.getActiveResourcesInfo().join(' ')}`)
    }
  }

  #start(callback: () => void, ms: number | undefined, everyMs: number | undefined): VirtualTimer {
    const timer = new VirtualTimer(this, callback, everyMs)
    // what waits for nothing but the next turn: LMDB ends its read transactions so
    if (everyMs === undefined && !(Number(ms) > 0)) setImmediate(fire, timer)
    else this.add(timer, Number(ms) > 0 ? Number(ms) : 1)
    return timer
  }

  #abortAfter(ms: number): AbortSignal {
    const controller = new AbortController()
    this.#start(() => controller.abort(new DOMException('The operation timed out', 'TimeoutError')), ms, undefined)
    return controller.signal
  }
}

const fire = (timer: VirtualTimer): void => timer.fire()
const nextTurn = (resolve: () => void): void => void setImmediate(resolve)
const isBusy = (): boolean => process.getActiveResourcesInfo().some((name) => !standing.has(name))

const forgetter =
  (realClear: typeof clearTimeout) =>
  (timer?: unknown): void => {
    if (timer instanceof VirtualTimer) timer.isCleared = true
    else realClear(timer as NodeJS.Timeout | undefined)
  }

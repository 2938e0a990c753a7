/** Two ends of a stream in memory: ordered, delayed, bounded, and cut when the network says so. */
import { MyceliumError } from '../core/errors.ts'
import type { Pipe, PipeSink } from './network.ts'

const bufferBytesMax = 256 * 1024

export interface MemoryPipeConditions {
  /** One way, milliseconds; 0 delivers in the next turn of the event loop. */
  readonly delayMs: () => number
  /** False while bytes vanish without anybody noticing. */
  readonly isConnected: () => boolean
}

type Event = { readonly kind: 'data'; readonly bytes: Uint8Array } | { readonly kind: 'end' }

export class MemoryPipe implements Pipe {
  readonly hops = 0
  readonly #closed = new AbortController()
  readonly #conditions: MemoryPipeConditions
  /** Arrived before anybody received, or while paused. */
  readonly #early: Event[] = []
  /** The other end: set once by `pair`. */
  #far: MemoryPipe | undefined
  #sink: PipeSink | undefined
  #inFlight = 0
  #hasEnded = false
  #isEndedByFar = false
  #isPaused = false
  #waiting: PromiseWithResolvers<void> | undefined

  private constructor(conditions: MemoryPipeConditions) {
    this.#conditions = conditions
  }

  static pair(conditions: MemoryPipeConditions): readonly [MemoryPipe, MemoryPipe] {
    const near = new MemoryPipe(conditions)
    const far = new MemoryPipe(conditions)
    near.#far = far
    far.#far = near
    return [near, far]
  }

  get closed(): AbortSignal {
    return this.#closed.signal
  }

  get isFull(): boolean {
    return this.#inFlight >= bufferBytesMax
  }

  write(bytes: Uint8Array): void {
    if (this.#closed.signal.aborted || this.#hasEnded) return
    this.#inFlight += bytes.length
    this.#later(() => {
      if (!this.#conditions.isConnected()) return
      this.#other().#arrive({ kind: 'data', bytes })
    })
  }

  async drained(): Promise<void> {
    while (this.isFull && !this.#closed.signal.aborted) {
      this.#waiting ??= Promise.withResolvers<void>()
      await this.#waiting.promise
    }
  }

  receive(sink: PipeSink): void {
    this.#sink = sink
    this.#deliverEarly()
  }

  pause(): void {
    this.#isPaused = true
  }

  resume(): void {
    this.#isPaused = false
    this.#deliverEarly()
  }

  end(): void {
    if (this.#hasEnded) return
    this.#hasEnded = true
    this.#later(() => {
      if (!this.#conditions.isConnected()) return
      this.#other().#arrive({ kind: 'end' })
      this.#other().#closeIfDone()
      this.#closeIfDone()
    })
  }

  abort(reason: string): void {
    this.#close(reason)
    this.#later(() => {
      if (this.#conditions.isConnected()) this.#other().#close(reason)
    })
  }

  /** Both ends at once, as when a connection is reset. */
  cut(reason: string): void {
    this.#close(reason)
    this.#other().#close(reason)
  }

  #other(): MemoryPipe {
    if (this.#far === undefined) throw new TypeError('a pipe has two ends')
    return this.#far
  }

  #later(deliver: () => void): void {
    const delayMs = this.#conditions.delayMs()
    if (delayMs === 0) setImmediate(deliver)
    else setTimeout(deliver, delayMs)
  }

  #arrive(event: Event): void {
    if (this.#closed.signal.aborted) return
    if (event.kind === 'end') this.#isEndedByFar = true
    this.#early.push(event)
    this.#deliverEarly()
  }

  #deliverEarly(): void {
    while (this.#sink !== undefined && !this.#isPaused) {
      const event = this.#early.shift()
      if (event === undefined) return
      this.#deliver(event)
    }
  }

  #deliver(event: Event): void {
    if (event.kind === 'end') return this.#sink!.ended()
    this.#other().#taken(event.bytes.length)
    this.#sink!.data(event.bytes)
  }

  #taken(octets: number): void {
    this.#inFlight -= octets
    if (!this.isFull) this.#wake()
  }

  #closeIfDone(): void {
    if (this.#hasEnded && this.#isEndedByFar) this.#close('stream closed')
  }

  #close(reason: string): void {
    if (this.#closed.signal.aborted) return
    this.#closed.abort(new MyceliumError('unreachable', { reason }))
    this.#wake()
  }

  #wake(): void {
    this.#waiting?.resolve()
    this.#waiting = undefined
  }
}

/** Reads exact lengths from a pipe before its bytes are handed to somebody else. Holds no more than it was told to. */
import { MyceliumError } from '../core/errors.ts'
import type { Pipe, PipeSink } from './network.ts'

export class PipeReader {
  readonly #pipe: Pipe
  readonly #octetsMax: number
  #chunks: Uint8Array[] = []
  #held = 0
  #ended = false
  #wake: (() => void) | undefined

  /** @param octetsMax the pipe is aborted when more than this waits to be read */
  constructor(pipe: Pipe, octetsMax: number) {
    this.#pipe = pipe
    this.#octetsMax = octetsMax
    pipe.receive({
      data: (bytes) => this.#onData(bytes),
      ended: () => {
        this.#ended = true
        this.#wake?.()
      },
    })
  }

  /** @throws `unreachable` when the pipe ends before, the signal's reason */
  async exactly(octets: number, signal: AbortSignal): Promise<Uint8Array> {
    while (this.#held < octets) {
      if (this.#pipe.closed.aborted || this.#ended) throw new MyceliumError('unreachable', { reason: 'stream ended' })
      await this.#more(signal)
    }
    return this.#take(octets)
  }

  /** Gives the rest, and everything to come, to another sink. */
  handOver(sink: PipeSink): void {
    const rest = this.#take(this.#held)
    const ended = this.#ended
    this.#pipe.receive(sink)
    if (rest.length > 0) sink.data(rest)
    if (ended) sink.ended()
  }

  async #more(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted()
    const { promise, resolve } = Promise.withResolvers<unknown>()
    this.#wake = () => resolve(undefined)
    signal.addEventListener('abort', resolve, { once: true })
    this.#pipe.closed.addEventListener('abort', resolve, { once: true })
    await promise
    this.#wake = undefined
    signal.removeEventListener('abort', resolve)
    this.#pipe.closed.removeEventListener('abort', resolve)
    signal.throwIfAborted()
  }

  #onData(bytes: Uint8Array): void {
    this.#held += bytes.length
    if (this.#held > this.#octetsMax) {
      this.#chunks = []
      this.#held = 0
      this.#pipe.abort('oversize')
      return
    }
    this.#chunks.push(bytes)
    this.#wake?.()
  }

  #take(octets: number): Uint8Array {
    const taken = new Uint8Array(octets)
    let at = 0
    while (at < octets) {
      const [first] = this.#chunks
      const part = first!.subarray(0, octets - at)
      taken.set(part, at)
      at += part.length
      if (part.length === first!.length) this.#chunks.shift()
      else this.#chunks[0] = first!.subarray(part.length)
    }
    this.#held -= octets
    return taken
  }
}

/**
 * Reads exact lengths from a pipe before its bytes are handed to somebody else. Holds no more than it was told to, in one
 * buffer: a peer that sends one byte at a time costs no more than one that sends much.
 */
import { MyceliumError } from '../core/errors.ts'
import type { Pipe, PipeSink } from './network.ts'

export class PipeReader {
  readonly #pipe: Pipe
  readonly #octetsMax: number
  #buffer: Uint8Array = new Uint8Array()
  #start = 0
  #end = 0
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

  /** Octets that have arrived and were not read. */
  get held(): number {
    return this.#end - this.#start
  }

  /** The peer writes no more, and everything was read. */
  get isOver(): boolean {
    return this.#ended && this.held === 0
  }

  /** So much is to come: of somebody who was asked for it, so that room is made once. */
  expect(octets: number): void {
    const size = Math.min(octets, this.#octetsMax)
    if (size > this.#buffer.length) this.#moveTo(new Uint8Array(Buffer.allocUnsafeSlow(size).buffer))
  }

  /** @throws `unreachable` when the pipe ends before, the signal's reason */
  async exactly(octets: number, signal: AbortSignal): Promise<Uint8Array> {
    while (this.held < octets) {
      if (this.#pipe.closed.aborted || this.#ended) throw new MyceliumError('unreachable', { reason: 'stream ended' })
      await this.#more(signal)
    }
    return this.#take(octets)
  }

  /** The next octets without reading them; fewer where fewer have arrived. A view, valid until more arrives. */
  peek(octets: number): Uint8Array {
    return this.#buffer.subarray(this.#start, Math.min(this.#end, this.#start + octets))
  }

  /** Gives the rest, and everything to come, to another sink. */
  handOver(sink: PipeSink): void {
    const rest = this.#take(this.held)
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
    if (this.held + bytes.length > this.#octetsMax) {
      this.#buffer = new Uint8Array()
      this.#start = 0
      this.#end = 0
      this.#pipe.abort('oversize')
      return
    }
    if (this.#end + bytes.length > this.#buffer.length) this.#makeRoom(bytes.length)
    this.#buffer.set(bytes, this.#end)
    this.#end += bytes.length
    this.#wake?.()
  }

  /** Moves what is held to the front, or to a buffer twice as long where that would be moved again soon. */
  #makeRoom(octets: number): void {
    const { held } = this
    const needed = held + octets
    const isRoomy = needed * 2 <= this.#buffer.length
    this.#moveTo(isRoomy ? this.#buffer : new Uint8Array(Math.min(needed * 2, this.#octetsMax)))
  }

  #moveTo(next: Uint8Array): void {
    const { held } = this
    next.set(this.#buffer.subarray(this.#start, this.#end))
    this.#buffer = next
    this.#start = 0
    this.#end = held
  }

  #take(octets: number): Uint8Array {
    const view = this.#buffer.subarray(this.#start, this.#start + octets)
    this.#start += octets
    if (this.#start < this.#end) return Uint8Array.from(view)
    // the last octets go with the buffer they are in
    this.#buffer = new Uint8Array()
    this.#start = 0
    this.#end = 0
    return view
  }
}

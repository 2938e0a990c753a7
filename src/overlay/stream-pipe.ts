/** A libp2p stream as a pipe. */
import type { Stream } from '@libp2p/interface'
import { MyceliumError } from '../core/errors.ts'
import type { Pipe, PipeSink } from './network.ts'

/** Of every stream that ends in order: making an error for each costs more than all else of its end. */
const streamClosed = new MyceliumError('unreachable', { reason: 'stream closed' })
/** How long the peer may take to end its side after we ended ours, milliseconds. */
const lingerMs = 5_000

export class StreamPipe implements Pipe {
  readonly hops: number
  readonly #stream: Stream
  readonly #closed = new AbortController()
  #sink: PipeSink | undefined
  #hasEnded = false

  constructor(stream: Stream, hops: number) {
    this.hops = hops
    this.#stream = stream
    stream.addEventListener('close', (event) => this.#onClose(event.error))
    stream.addEventListener('end', () => this.#onEnd())
    if (stream.status !== 'open') this.#onClose(undefined)
  }

  get closed(): AbortSignal {
    return this.#closed.signal
  }

  get isFull(): boolean {
    return this.#stream.writableNeedsDrain
  }

  write(bytes: Uint8Array): void {
    if (this.#stream.writeStatus !== 'writable') return
    try {
      this.#stream.send(bytes)
    } catch (error) {
      this.#stream.abort(error as Error)
    }
  }

  /** Waits for 'drain' itself: `onDrain()` of js-libp2p 3.3 stops waiting after the first time. */
  async drained(): Promise<void> {
    while (this.#stream.writableNeedsDrain && !this.#closed.signal.aborted) {
      const { promise, resolve } = Promise.withResolvers<unknown>()
      this.#stream.addEventListener('drain', resolve, { once: true })
      this.#closed.signal.addEventListener('abort', resolve, { once: true })
      await promise
      this.#stream.removeEventListener('drain', resolve)
      this.#closed.signal.removeEventListener('abort', resolve)
    }
  }

  receive(sink: PipeSink): void {
    const isFirst = this.#sink === undefined
    this.#sink = sink
    if (!isFirst) return
    if (this.#hasEnded) sink.ended()
    this.#stream.addEventListener('message', ({ data }) => {
      if (data instanceof Uint8Array) this.#sink!.data(data)
      else for (const part of data) this.#sink!.data(part)
    })
  }

  pause(): void {
    if (this.#stream.readStatus === 'readable') this.#stream.pause()
  }

  resume(): void {
    if (this.#stream.readStatus === 'paused') this.#stream.resume()
  }

  end(): void {
    void this.#stream.close().catch((error: Error) => this.#stream.abort(error))
    if (this.#closed.signal.aborted) return
    // a signal with a timeout would outlive the stream
    const timer = setTimeout(() => this.abort('peer does not end its side'), lingerMs).unref()
    this.#closed.signal.addEventListener('abort', () => clearTimeout(timer), { once: true })
  }

  abort(reason: string): void {
    if (!this.#closed.signal.aborted) this.#stream.abort(new MyceliumError('unreachable', { reason }))
  }

  #onEnd(): void {
    if (this.#stream.status === 'aborted' || this.#stream.status === 'reset') return
    this.#hasEnded = true
    this.#sink?.ended()
  }

  #onClose(error: Error | undefined): void {
    this.#closed.abort(error ?? streamClosed)
  }
}

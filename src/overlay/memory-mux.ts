/**
 * Streams over one pipe, for paths through gateways in memory: what TLS and Yamux are to libp2p, without the secrecy.
 * The opener says who it is; a stream is: kind (1) | stream (4) | length (4) | content.
 */
import { MyceliumError } from '../core/errors.ts'
import type { GatewayId } from '../core/ids.ts'
import type { Pipe, PipeSink } from './network.ts'

const kinds = { hello: 0, open: 1, data: 2, end: 3, abort: 4 } as const
const headerBytes = 9

export interface MemoryMuxEvents {
  readonly onHello: (peer: GatewayId) => void
  readonly onPipe: (protocol: string, pipe: Pipe) => void
}

export class MemoryMux {
  readonly #pipe: Pipe
  readonly #hops: number
  readonly #events: MemoryMuxEvents
  readonly #streams = new Map<number, MuxedPipe>()
  #pending = Buffer.alloc(0)
  #next: number

  constructor(
    pipe: Pipe,
    made: { readonly self: GatewayId; readonly isOpener: boolean; readonly hops: number },
    events: MemoryMuxEvents,
  ) {
    this.#pipe = pipe
    this.#hops = made.hops
    this.#events = events
    this.#next = made.isOpener ? 1 : 2
    pipe.closed.addEventListener('abort', () => this.#closeAll(), { once: true })
    pipe.receive({ data: (bytes) => this.#onData(bytes), ended: () => pipe.abort('path ended') })
    this.write(kinds.hello, 0, Buffer.from(made.self))
  }

  open(protocol: string): Pipe {
    const id = this.#next
    this.#next += 2
    this.write(kinds.open, id, Buffer.from(protocol))
    return this.#stream(id)
  }

  write(kind: number, stream: number, content: Uint8Array): void {
    const frame = Buffer.alloc(headerBytes + content.length)
    frame[0] = kind
    frame.writeUInt32BE(stream, 1)
    frame.writeUInt32BE(content.length, 5)
    frame.set(content, headerBytes)
    this.#pipe.write(frame)
  }

  get pipe(): Pipe {
    return this.#pipe
  }

  #stream(id: number): MuxedPipe {
    const stream = new MuxedPipe(this, id, this.#hops)
    this.#streams.set(id, stream)
    stream.closed.addEventListener('abort', () => this.#streams.delete(id), { once: true })
    return stream
  }

  #onData(bytes: Uint8Array): void {
    this.#pending = Buffer.concat([this.#pending, bytes])
    while (this.#pending.length >= headerBytes) {
      const end = headerBytes + this.#pending.readUInt32BE(5)
      if (this.#pending.length < end) return
      const content = Buffer.from(this.#pending.subarray(headerBytes, end))
      const [kind] = this.#pending
      const id = this.#pending.readUInt32BE(1)
      this.#pending = this.#pending.subarray(end)
      if (kind === kinds.hello) this.#events.onHello(content.toString() as GatewayId)
      else if (kind === kinds.open) this.#events.onPipe(content.toString(), this.#stream(id))
      else this.#streams.get(id)?.arrive(kind!, content)
    }
  }

  #closeAll(): void {
    for (const stream of this.#streams.values()) stream.close('path lost')
  }
}

class MuxedPipe implements Pipe {
  readonly hops: number
  readonly #mux: MemoryMux
  readonly #id: number
  readonly #closed = new AbortController()
  #early: ((sink: PipeSink) => void)[] = []
  #sink: PipeSink | undefined
  #isPaused = false
  #hasEnded = false
  #isEndedByFar = false

  constructor(mux: MemoryMux, id: number, hops: number) {
    this.#mux = mux
    this.#id = id
    this.hops = hops
  }

  get closed(): AbortSignal {
    return this.#closed.signal
  }

  get isFull(): boolean {
    return this.#mux.pipe.isFull
  }

  write(bytes: Uint8Array): void {
    if (!this.#closed.signal.aborted && !this.#hasEnded) this.#mux.write(kinds.data, this.#id, bytes)
  }

  async drained(): Promise<void> {
    await this.#mux.pipe.drained()
  }

  receive(sink: PipeSink): void {
    this.#sink = sink
    this.#deliver()
  }

  pause(): void {
    this.#isPaused = true
  }

  resume(): void {
    this.#isPaused = false
    this.#deliver()
  }

  end(): void {
    if (this.#hasEnded) return
    this.#hasEnded = true
    this.#mux.write(kinds.end, this.#id, Buffer.alloc(0))
    if (this.#isEndedByFar) this.close('stream closed')
  }

  abort(reason: string): void {
    if (this.#closed.signal.aborted) return
    this.#mux.write(kinds.abort, this.#id, Buffer.from(reason))
    this.close(reason)
  }

  close(reason: string): void {
    this.#closed.abort(new MyceliumError('unreachable', { reason }))
  }

  arrive(kind: number, content: Uint8Array): void {
    if (kind === kinds.abort) return this.close(Buffer.from(content).toString())
    this.#early.push((sink) => (kind === kinds.data ? sink.data(content) : sink.ended()))
    this.#deliver()
    if (kind !== kinds.end) return
    this.#isEndedByFar = true
    if (this.#hasEnded) this.close('stream closed')
  }

  #deliver(): void {
    while (this.#sink !== undefined && !this.#isPaused && this.#early.length > 0) this.#early.shift()!(this.#sink)
  }
}

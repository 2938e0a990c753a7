/** A pipe through other gateways in the place of a socket: libp2p secures and multiplexes it like one. */
import type { Logger, MessageStreamDirection } from '@libp2p/interface'
import { AbstractMultiaddrConnection } from '@libp2p/utils'
import { multiaddr } from '@multiformats/multiaddr'
import { MyceliumError } from '../core/errors.ts'
import type { Pipe } from './network.ts'

export class PipeConnection extends AbstractMultiaddrConnection {
  readonly #pipe: Pipe

  /** @param address unique to this connection, so that it is found again once libp2p has made its own of it */
  constructor(pipe: Pipe, address: string, direction: MessageStreamDirection, log: Logger) {
    super({ remoteAddr: multiaddr(address), direction, log })
    this.#pipe = pipe
    const onClosed = (): void => this.onTransportClosed(new MyceliumError('unreachable', { reason: 'path lost' }))
    pipe.closed.addEventListener('abort', onClosed, { once: true })
    pipe.receive({ data: (bytes) => this.onData(bytes), ended: () => this.#onEnded() })
    if (pipe.closed.aborted) onClosed()
  }

  sendData(data: Parameters<AbstractMultiaddrConnection['sendData']>[0]): {
    sentBytes: number
    canSendMore: boolean
  } {
    const sentBytes = data.byteLength
    this.#pipe.write(data.subarray())
    const canSendMore = !this.#pipe.isFull
    if (!canSendMore) void this.#pipe.drained().then(() => this.safeDispatchEvent('drain'))
    return { sentBytes, canSendMore }
  }

  async sendClose(): Promise<void> {
    await Promise.resolve(this.#pipe.end())
  }

  sendReset(): void {
    this.#pipe.abort('connection closed')
  }

  sendPause(): void {
    this.#pipe.pause()
  }

  sendResume(): void {
    this.#pipe.resume()
  }

  #onEnded(): void {
    this.#pipe.end()
    this.onTransportClosed()
  }
}

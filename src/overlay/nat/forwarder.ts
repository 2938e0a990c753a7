/**
 * Carries QUIC between this machine's own QUIC sockets and a punched route: a UDP socket on loopback stands for the other
 * gateway. Loss, order, congestion and encryption stay QUIC's own affair.
 */
import { createSocket, type Socket } from 'node:dgram'
import { once } from 'node:events'
import type { Endpoint } from './endpoint.ts'
import { type PunchSocket, widen } from './punch-socket.ts'

const loopback = '127.0.0.1'

export interface ForwarderOptions {
  readonly socket: PunchSocket
  readonly outside: Endpoint
  /** Own QUIC listener; absent where own QUIC is to dial the forwarder. */
  readonly listener?: { readonly host: string; readonly port: number }
}

export class Forwarder implements AsyncDisposable {
  readonly #local: Socket
  readonly #route: Disposable
  /** Whoever on this machine uses it; the first one that sends, and nobody else. */
  #user: { readonly port: number; readonly host: string } | undefined
  #heardAtMs: number

  private constructor(local: Socket, { socket, outside, listener }: ForwarderOptions) {
    this.#local = local
    this.#user = listener
    this.#heardAtMs = performance.now()
    this.#route = socket.route(outside, (bytes) => {
      this.#heardAtMs = performance.now()
      if (this.#user !== undefined) local.send(bytes, this.#user.port, this.#user.host, () => {})
    })
    local.on('message', (bytes, { port, address }) => {
      this.#user ??= { port, host: address }
      if (port === this.#user.port && address === this.#user.host) socket.send(bytes, outside)
    })
    local.on('error', () => {})
    local.unref()
  }

  static async open(options: ForwarderOptions): Promise<Forwarder> {
    const local = createSocket('udp4')
    local.bind(0, options.listener?.host ?? loopback)
    await once(local, 'listening')
    widen(local)
    return new Forwarder(local, options)
  }

  /** Where own QUIC finds it, or sees it. */
  get address(): { readonly host: string; readonly port: number } {
    const { address, port } = this.#local.address()
    return { host: address, port }
  }

  /** How long nothing has come from outside, milliseconds. */
  get quietMs(): number {
    return performance.now() - this.#heardAtMs
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#route[Symbol.dispose]()
    await new Promise<void>((resolve) => this.#local.close(() => resolve()))
  }
}

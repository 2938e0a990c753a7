/**
 * The one UDP socket of a family from which this gateway talks to others without their routers' leave: it learns where it
 * is seen, answers who asks the same of it, sends and hears probes, and carries the datagrams of agreed routes. All of
 * that from one socket, because a router opens a way for one socket only.
 */
import { createSocket, type RemoteInfo, type Socket } from 'node:dgram'
import { once } from 'node:events'
import type { Ambient } from '../../core/ambient.ts'
import { toHex } from '../../core/bytes.ts'
import { MyceliumError } from '../../core/errors.ts'
import { limits } from '../../core/limits.ts'
import { sourceOf } from '../inbound-guard.ts'
import { SourceLimit } from './source-limit.ts'
import { type Endpoint, endpointKey, type Family } from './endpoint.ts'
import { isProbe, sessionOf } from './probe.ts'
import { decodeStun, encodeRequest, encodeSuccess, isStun, transactionBytes } from './stun.ts'

export interface PunchSocketOptions {
  readonly family: Family
  /** Address to bind to; every one of the family where absent. */
  readonly host: string | undefined
  /** Another one is taken where this one is not free. */
  readonly port: number
  readonly ambient: Ambient
}

/** Gets every datagram that has the form of a probe of its session. */
export type ProbeSink = (bytes: Uint8Array, from: Endpoint) => void
export type DatagramSink = (bytes: Uint8Array) => void

export class PunchSocket implements AsyncDisposable {
  readonly family: Family
  readonly #socket: Socket
  readonly #ambient: Ambient
  /** By session, as hex. */
  readonly #sessions = new Map<string, ProbeSink>()
  readonly #routes = new Map<string, DatagramSink>()
  /** Own requests, by transaction as hex. */
  readonly #asked = new Map<string, (mapped: Endpoint) => void>()
  readonly #answers = new SourceLimit({
    perSource: limits.stunPerSourceSecondMax,
    total: limits.stunPerSecondMax,
  })

  private constructor(socket: Socket, family: Family, ambient: Ambient) {
    this.#socket = socket
    this.family = family
    this.#ambient = ambient
    socket.on('message', (bytes, from) => this.#onMessage(bytes, from))
    socket.on('error', () => {}) // an address that cannot be reached; the sender waits for an answer anyway
    socket.unref()
  }

  /** @returns undefined where the machine does not have the family */
  static async open({ family, host, port, ambient }: PunchSocketOptions): Promise<PunchSocket | undefined> {
    for (const wanted of new Set([port, 0])) {
      const kind = family === 'ipv4' ? ({ type: 'udp4' } as const) : ({ type: 'udp6', ipv6Only: true } as const)
      const socket = createSocket(kind)
      try {
        socket.bind(wanted, host)
        await once(socket, 'listening')
        widen(socket)
        return new PunchSocket(socket, family, ambient)
      } catch {
        socket.close()
      }
    }
    return undefined
  }

  get port(): number {
    return this.#socket.address().port
  }

  send(bytes: Uint8Array, { host, port }: Endpoint): void {
    try {
      this.#socket.send(bytes, port, host, () => {})
    } catch {
      // closed
    }
  }

  /** Probes of a session go to `sink` until it is disposed of. */
  listen(session: Uint8Array, sink: ProbeSink): Disposable {
    return entry(this.#sessions, toHex(session), sink)
  }

  /** Whatever else comes from an endpoint goes to `sink` until it is disposed of. */
  route(from: Endpoint, sink: DatagramSink): Disposable {
    return entry(this.#routes, endpointKey(from), sink)
  }

  /** Where the socket of another gateway sees this one. @throws `unreachable` without an answer */
  async ask(other: Endpoint, { signal }: { readonly signal: AbortSignal }): Promise<Endpoint> {
    const transaction = this.#ambient.random.bytes(transactionBytes)
    const key = toHex(transaction)
    const { promise, resolve, reject } = Promise.withResolvers<Endpoint>()
    const stop = AbortSignal.any([signal, AbortSignal.timeout(limits.stunMsMax)])
    const giveUp = (): void => reject(new MyceliumError('unreachable', { reason: 'no answer to a binding request' }))
    stop.addEventListener('abort', giveUp, { once: true })
    this.#asked.set(key, resolve)
    const request = encodeRequest(transaction)
    this.send(request, other)
    const again = setInterval(() => this.send(request, other), limits.stunRepeatMs)
    try {
      return await promise
    } finally {
      clearInterval(again)
      this.#asked.delete(key)
      stop.removeEventListener('abort', giveUp)
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#sessions.clear()
    this.#routes.clear()
    await new Promise<void>((resolve) => this.#socket.close(() => resolve()))
  }

  #onMessage(bytes: Uint8Array, { address, port }: RemoteInfo): void {
    const from: Endpoint = { family: this.family, host: address.split('%')[0]!, port }
    const stun = isStun(bytes) ? decodeStun(bytes) : undefined
    if (stun?.kind === 'request') return this.#answer(stun.transaction, from)
    if (stun !== undefined) return this.#asked.get(toHex(stun.transaction))?.(stun.mapped)
    // QUIC may begin a datagram with any octet: what no session knows is still a route's
    const session = isProbe(bytes) ? this.#sessions.get(toHex(sessionOf(bytes))) : undefined
    if (session === undefined) this.#routes.get(endpointKey(from))?.(bytes)
    else session(bytes, from)
  }

  #answer(transaction: Uint8Array, from: Endpoint): void {
    if (this.#answers.take(sourceOf(from.host), this.#ambient.clock.monotonicMs()))
      this.send(encodeSuccess(transaction, from), from)
  }
}

/** Room for what arrives while this thread does something else; less where the system allows less. */
export function widen(socket: Socket): void {
  try {
    socket.setRecvBufferSize(limits.punchBufferBytes)
    socket.setSendBufferSize(limits.punchBufferBytes)
  } catch {
    // as it is
  }
}

function entry<V>(map: Map<string, V>, key: string, value: V): Disposable {
  map.set(key, value)
  return { [Symbol.dispose]: () => void (map.get(key) === value && map.delete(key)) }
}

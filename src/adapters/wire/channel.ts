/**
 * One client connection of a line protocol: a bounded reader, a writer that sends replies together, and a change to
 * TLS in the middle. Whoever serves it ends with `end`; the listener destroys what is left.
 */
import type { Duplex } from 'node:stream'
import type { Socket } from 'node:net'
import type { TLSSocket } from 'node:tls'
import { fromUtf8 } from '../../core/bytes.ts'
import { MyceliumError } from '../../core/errors.ts'
import { limits } from '../../core/limits.ts'
import { LineReader } from './line-reader.ts'
import type { TlsAcceptor } from './tls.ts'

/** @param address as Node writes it: dotted decimal, or compressed IPv6 */
export const isLoopback = (address: string): boolean => address === '::1' || address.startsWith('127.')

/** The peer's address in one spelling: IPv4 clients of an IPv6 socket count as IPv4. */
export const remoteAddressOf = (socket: Socket): string => (socket.remoteAddress ?? '').replace(/^::ffff:/i, '')

/** Queued replies are handed to the socket beyond this many bytes even if more may follow. */
const handOverBytes = 16 * 1024
/** RFC 9266 §2. */
const channelBindingOctets = 32

export class Channel {
  /** Address that the peer connects from: what failures are counted against. */
  readonly remote: string
  readonly reader: LineReader
  readonly #tls: TlsAcceptor | undefined
  readonly #socket: Socket
  #stream: Duplex
  #secure: TLSSocket | undefined
  #outgoing: (string | Uint8Array)[] = []
  /** Characters of text count as one each: what matters is that there is a bound. */
  #outgoingBytes = 0
  #draining: Promise<void> | undefined

  constructor(socket: Socket, tls: TlsAcceptor | undefined) {
    this.#socket = socket
    this.#stream = socket
    this.#tls = tls
    this.remote = remoteAddressOf(socket)
    this.reader = new LineReader(() => this.#handOver())
    socket.on('error', () => socket.destroy())
    this.reader.attach(socket)
  }

  /** Inside TLS. */
  get isSecure(): boolean {
    return this.#secure !== undefined
  }
  /** Nobody else can listen in: TLS, or both ends on this machine. Passwords may travel. */
  get isPrivate(): boolean {
    return this.isSecure || isLoopback(this.remote)
  }
  get canStartTls(): boolean {
    return this.#tls !== undefined && !this.isSecure
  }
  /** Nothing more can be said to the peer. */
  get isClosed(): boolean {
    return this.#stream.destroyed
  }
  /** Replies pile up because the peer does not read: `flush` before working for it again. */
  get isCongested(): boolean {
    return this.#stream.writableNeedDrain
  }

  /** Bytes that the peer has not taken yet. */
  get waitingBytes(): number {
    return this.#outgoingBytes + this.#stream.writableLength
  }
  /** RFC 9266 `tls-exporter`; `undefined` where there is no TLS 1.3. */
  channelBinding(): Uint8Array | undefined {
    const secure = this.#secure
    if (secure?.getProtocol() !== 'TLSv1.3') return undefined
    return secure.exportKeyingMaterial(channelBindingOctets, 'EXPORTER-Channel-Binding', Buffer.alloc(0))
  }

  /** Queues text (as UTF-8) or bytes, which the channel then owns; they leave when the reader next waits, or with `flush`. */
  send(data: string | Uint8Array): void {
    if (data.length === 0) return
    this.#outgoing.push(data)
    this.#outgoingBytes += data.length
    if (this.#outgoingBytes >= handOverBytes) this.#handOver()
  }

  /** Sends what is queued now rather than when the reader next waits. */
  push(): void {
    this.#handOver()
  }

  /** Sends what is queued and waits while the peer does not read. @throws `timeout`, `connection-closed` */
  async flush(): Promise<void> {
    this.#handOver()
    const stream = this.#stream
    if (stream.destroyed) throw new MyceliumError('connection-closed')
    if (!stream.writableNeedDrain) return
    // Whoever else waits, waits for the same.
    this.#draining ??= this.#drained(stream).finally(() => {
      this.#draining = undefined
    })
    await this.#draining
  }

  async #drained(stream: Duplex): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      const settle = (finish: () => void) => (): void => {
        clearTimeout(timer)
        stream.off('drain', drained).off('close', closed)
        finish()
      }
      const drained = settle(resolve)
      const closed = settle(() => reject(new MyceliumError('connection-closed')))
      const timer = setTimeout(
        settle(() => reject(new MyceliumError('timeout'))),
        limits.wireWriteMs,
      )
      stream.once('drain', drained).once('close', closed)
    })
  }

  /**
   * The server's side of a TLS handshake on this connection. Whatever the peer sent ahead in clear could have been put
   * there by somebody else and would be taken for protected (CVE-2011-0411): then there is no TLS and no connection.
   * @throws `malformed` (bytes before the handshake), `connection-closed`
   */
  async startTls(): Promise<void> {
    if (this.#tls === undefined || this.isSecure) throw new TypeError('startTls needs a plain channel with material')
    await this.flush()
    this.reader.detach()
    if (this.reader.buffered > 0 || this.#socket.readableLength > 0) {
      throw new MyceliumError('malformed', { octets: this.reader.buffered })
    }
    this.#secure = await this.#tls.accept(this.#socket)
    this.layer(this.#secure)
  }

  /** From now on reads and writes go through `stream`, which stands on top of the present one. */
  layer(stream: Duplex): void {
    stream.on('error', () => stream.destroy())
    this.#stream = stream
    this.reader.attach(stream)
  }

  /** The same for a stream made from the present one, e.g. one that compresses: what has arrived of it goes through that too. */
  layerOver(make: (below: Duplex) => Duplex): void {
    this.#handOver()
    this.reader.detach()
    const early = this.reader.takeBuffered()
    if (early.length > 0) this.#stream.unshift(early)
    this.layer(make(this.#stream))
  }

  /** Sends what is queued, closes our direction, and gives the peer a moment to read it: closing with unread input would reset. */
  async end(): Promise<void> {
    this.#handOver()
    const stream = this.#stream
    if (stream.destroyed) return
    this.reader.detach()
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, limits.lingerMs)
      const done = (): void => {
        clearTimeout(timer)
        resolve()
      }
      stream.once('close', done).once('end', done)
      stream.end()
      stream.resume()
    })
    this.destroy()
  }

  destroy(): void {
    this.reader.close()
    this.#stream.destroy()
    this.#socket.destroy()
  }

  #handOver(): void {
    if (this.#outgoing.length === 0) return
    const joined = join(this.#outgoing)
    this.#outgoing = []
    this.#outgoingBytes = 0
    if (this.#stream.writable) this.#stream.write(joined)
  }
}

/** Text stays text as long as there is nothing else: Node encodes it on its way to the socket. */
function join(pieces: readonly (string | Uint8Array)[]): string | Uint8Array {
  if (pieces.length === 1) return pieces[0]!
  if (pieces.every((piece) => typeof piece === 'string')) return pieces.join('')
  return Buffer.concat(pieces.map((piece) => (typeof piece === 'string' ? fromUtf8(piece) : piece)))
}

/** XML streams over TCP (RFC 6120 §3–4), in clear until STARTTLS or inside TLS from the first byte (XEP-0368). */
import { MyceliumError } from '../../core/errors.ts'
import { limits } from '../../core/limits.ts'
import type { Channel } from '../wire/channel.ts'
import { isTlsRecord } from '../wire/foreign.ts'
import { type Element, el, escaped, serialise, streamNs } from './element.ts'
import { XmlReader } from './xml-reader.ts'
import type { ReadBounds, StreamError, StreamEvent, Transport } from './transport.ts'
import { streamErrorElement } from './stream-error.ts'

/** ALPN name of XEP-0368. */
export const tcpProtocols = ['xmpp-client']

export class TcpTransport implements Transport {
  readonly #channel: Channel
  readonly #reader = new XmlReader()
  #isNew = true
  /** Our direction of the present stream has begun. */
  #isOpen = false
  #isPushing = false

  constructor(channel: Channel) {
    this.#channel = channel
  }

  get remote(): string {
    return this.#channel.remote
  }
  get isSecure(): boolean {
    return this.#channel.isSecure
  }
  get isPrivate(): boolean {
    return this.#channel.isPrivate
  }
  get canStartTls(): boolean {
    return this.#channel.canStartTls
  }
  get waitingBytes(): number {
    return this.#channel.waitingBytes
  }

  async next({ stanzaBytesMax, idleMs }: ReadBounds): Promise<StreamEvent> {
    for (;;) {
      const event = this.#reader.take(stanzaBytesMax)
      if (event !== undefined) return event
      const { reader } = this.#channel
      const first = await reader.peek({ waitMsMax: idleMs })
      if (first === undefined) return { kind: 'end', isOrderly: false }
      if (this.#isNew && isForeign(first)) throw new MyceliumError('malformed')
      this.#isNew = false
      const piece = await reader.piece({ waitMsMax: idleMs, octetsMax: limits.wireBufferBytes })
      if (piece === undefined) return { kind: 'end', isOrderly: false }
      this.#reader.give(piece)
    }
  }

  restart(): void {
    this.#reader.restart()
    this.#isOpen = false
  }

  open({ from, id, to }: Parameters<Transport['open']>[0]): void {
    this.#isOpen = true
    const addressed = to === undefined ? '' : ` to='${escaped(to)}'`
    this.sendText(
      `<?xml version='1.0'?><stream:stream xmlns='jabber:client' xmlns:stream='${streamNs}' id='${id}' from='${escaped(from)}'${addressed} version='1.0' xml:lang='en'>`,
    )
  }

  send(element: Element): void {
    this.sendText(element.ns === streamNs ? ofStream(element) : serialise(element))
  }

  /** All that is sent in one turn of the event loop leaves together. */
  sendText(xml: string): void {
    this.#channel.send(xml)
    if (this.#isPushing) return
    this.#isPushing = true
    setImmediate(() => {
      this.#isPushing = false
      this.#channel.push()
    })
  }

  async flush(): Promise<void> {
    await this.#channel.flush()
  }

  /** @throws `malformed` when something was sent ahead in clear, `connection-closed` */
  async startTls(): Promise<void> {
    if (this.#reader.unread > 0) throw new MyceliumError('malformed')
    await this.#channel.startTls()
  }

  channelBinding(): Uint8Array | undefined {
    return this.#channel.channelBinding()
  }

  async end(error?: StreamError): Promise<void> {
    if (this.#isOpen) {
      if (error !== undefined) this.send(streamErrorElement(error))
      this.sendText('</stream:stream>')
      this.#isOpen = false
    }
    await this.#channel.end()
  }

  destroy(): void {
    this.#channel.destroy()
  }
}

/** RFC 6120 §4.8.5: elements of the stream itself have its prefix; some clients know them by nothing else. */
function ofStream({ name, attrs, children }: Element): string {
  const inner = serialise(el('x', attrs, ...children))
  const isEmpty = children.length === 0
  return `<stream:${name}${inner.slice(2, isEmpty ? -2 : -4)}${isEmpty ? '/>' : `</stream:${name}>`}`
}

/** A browser or a TLS client at the wrong port: HTTP methods are upper-case, and no stream begins with a letter. */
const isForeign = (first: number): boolean => isTlsRecord(first) || (first >= 0x41 && first <= 0x5a)

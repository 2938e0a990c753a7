/** XML streams over a WebSocket (RFC 7395): a message is an element, and `open` and `close` stand for the stream's ends. */
import type { WebSocket } from 'ws'
import { toUtf8 } from '../../../core/bytes.ts'
import { MyceliumError } from '../../../core/errors.ts'
import { limits } from '../../../core/limits.ts'
import { isLoopback } from '../../wire/channel.ts'
import { type Element, el, serialise } from '../element.ts'
import { streamErrorElement } from '../stream-error.ts'
import { type ReadBounds, StreamError, type StreamEvent, type Transport } from '../transport.ts'
import { ElementReader } from './element-reader.ts'
import { standalone, standaloneStanzas } from './framing.ts'
import { Inbox } from './inbox.ts'

const framingNs = 'urn:ietf:params:xml:ns:xmpp-framing'

export class WebSocketTransport implements Transport {
  readonly remote: string
  readonly isSecure: boolean
  readonly canStartTls = false
  readonly #socket: WebSocket
  readonly #inbox = new Inbox<string>()
  readonly #reader = new ElementReader()
  #isEnding = false
  #lastSent: Promise<void> = Promise.resolve()

  constructor(socket: WebSocket, { remote, isSecure }: { readonly remote: string; readonly isSecure: boolean }) {
    this.#socket = socket
    this.remote = remote
    this.isSecure = isSecure
    socket.on('message', (data: Buffer, isBinary) => {
      const text = isBinary ? undefined : toUtf8(data)
      if (text === undefined) return socket.close(1003) // RFC 7395 §3.2: text alone
      this.#inbox.push(text)
      if (this.#inbox.size >= limits.xmppWebMessagesAhead) socket.pause()
    })
    socket.on('close', () => this.#inbox.end())
    // what is said wrong in the WebSocket protocol ends it: `close` follows
    socket.on('error', () => {})
  }

  get isPrivate(): boolean {
    return this.isSecure || isLoopback(this.remote)
  }
  get waitingBytes(): number {
    return this.#socket.bufferedAmount
  }

  async next({ stanzaBytesMax, idleMs }: ReadBounds): Promise<StreamEvent> {
    for (;;) {
      const text = await this.#inbox.next(idleMs)
      if (this.#inbox.size === 0) this.#socket.resume()
      if (text === undefined) return { kind: 'end', isOrderly: false }
      if (text.trim() !== '') return eventOf(this.#reader.read(text, stanzaBytesMax))
    }
  }

  /** Each message stands for itself. */
  restart(): void {}

  open({ from, id, to }: Parameters<Transport['open']>[0]): void {
    this.#say(serialise(el(`open ${framingNs}`, { from, id, to, version: '1.0', 'xml:lang': 'en' })))
  }

  send(element: Element): void {
    this.#say(standalone(element))
  }

  sendText(xml: string): void {
    for (const stanza of standaloneStanzas(xml)) this.#say(stanza)
  }

  #say(text: string): void {
    if (this.#isEnding || this.#socket.readyState !== this.#socket.OPEN) return
    this.#lastSent = new Promise((resolve) => this.#socket.send(text, () => resolve()))
  }

  async flush(): Promise<void> {
    const { readyState, OPEN } = this.#socket
    if (readyState !== OPEN) throw new MyceliumError('connection-closed')
    if (this.#socket.bufferedAmount === 0) return
    if (!(await within(limits.wireWriteMs, this.#lastSent))) throw new MyceliumError('timeout')
  }

  async startTls(): Promise<void> {
    await Promise.reject(new TypeError('a WebSocket is inside TLS from the start or not at all'))
  }

  channelBinding(): undefined {
    return undefined
  }

  async end(error?: StreamError): Promise<void> {
    if (this.#isEnding) return
    if (error !== undefined) this.send(streamErrorElement(error))
    this.#say(serialise(el(`close ${framingNs}`)))
    this.#isEnding = true
    this.#inbox.end()
    this.#socket.resume() // the peer's own close is among what it sent
    const closed = new Promise<void>((resolve) => {
      if (this.#socket.readyState === this.#socket.CLOSED) resolve()
      else this.#socket.once('close', () => resolve())
    })
    this.#socket.close(1000)
    await within(limits.lingerMs, closed)
    this.destroy()
  }

  /** Whoever reads next is told that the gateway goes. */
  interrupt(): void {
    this.#inbox.end(new MyceliumError('shutting-down'))
  }

  destroy(): void {
    this.#isEnding = true
    this.#inbox.end()
    this.#socket.terminate()
  }
}

/** @throws StreamError */
function eventOf(element: Element): StreamEvent {
  if (element.ns !== framingNs) return { kind: 'stanza', element }
  if (element.name === 'open') return { kind: 'open', header: element }
  if (element.name === 'close') return { kind: 'end', isOrderly: true }
  throw new StreamError('bad-format')
}

/** Whether it was done in time. */
async function within(ms: number, work: Promise<void>): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<false>((resolve) => {
    timer = setTimeout(() => resolve(false), ms)
  })
  const isDone = await Promise.race([work.then(() => true), late])
  clearTimeout(timer)
  return isDone
}

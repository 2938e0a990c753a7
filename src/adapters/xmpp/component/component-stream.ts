/**
 * A stream to a server as one of its components (XEP-0114). The library for it, `@xmpp/component` 0.13, was tried and
 * rejected (2026-12): it decodes each piece from the socket by itself, which breaks letters in two, bounds nothing and reads
 * XML leniently. The stream has no encryption: it belongs on one machine.
 */
import { createHash } from 'node:crypto'
import { MyceliumError } from '../../../core/errors.ts'
import { limits } from '../../../core/limits.ts'
import { dial } from '../../wire/dial.ts'
import type { Channel } from '../../wire/channel.ts'
import { type Element, el, escaped, serialise, streamNs, textOf } from '../element.ts'
import type { StreamEvent } from '../transport.ts'
import { XmlReader } from '../xml-reader.ts'

const componentNs = 'jabber:component:accept'

export interface ComponentAt {
  readonly host: string
  readonly port: number
  readonly domain: string
}

export class ComponentStream {
  readonly #channel: Channel
  readonly #reader = new XmlReader(componentNs)
  #isPushing = false

  private constructor(channel: Channel) {
    this.#channel = channel
  }

  /** @throws `unreachable`, `wrong-credentials`; `peer-misbehaved` for what is no such server */
  static async open(
    { host, port, domain }: ComponentAt,
    secret: string,
    { signal }: { readonly signal: AbortSignal },
  ): Promise<ComponentStream> {
    const stream = new ComponentStream(await dial({ host, port }, { signal }))
    try {
      await stream.#begin(domain, secret)
      return stream
    } catch (error) {
      stream.destroy()
      throw error
    }
  }

  /** @returns undefined when nothing came for a while. @throws `connection-closed`, StreamError */
  async next(): Promise<Element | undefined> {
    let event: StreamEvent | undefined
    try {
      event = await this.#event(limits.componentIdleMs)
    } catch (error) {
      if (error instanceof MyceliumError && error.code === 'timeout') return undefined
      throw error
    }
    if (event.kind !== 'stanza' || event.element.ns === streamNs) throw new MyceliumError('connection-closed')
    return event.element
  }

  send(element: Element): void {
    this.#channel.send(serialise(element))
    if (this.#isPushing) return
    this.#isPushing = true
    setImmediate(() => {
      this.#isPushing = false
      this.#channel.push()
    })
  }

  /** Waits while the server does not read. @throws `timeout`, `connection-closed` */
  async flush(): Promise<void> {
    await this.#channel.flush()
  }

  async end(): Promise<void> {
    this.#channel.send('</stream:stream>')
    await this.#channel.end()
  }

  destroy(): void {
    this.#channel.destroy()
  }

  async #begin(domain: string, secret: string): Promise<void> {
    this.#channel.send(
      `<?xml version='1.0'?><stream:stream xmlns='${componentNs}' xmlns:stream='${streamNs}' to='${escaped(domain)}'>`,
    )
    const opened = await this.#event(limits.componentHandshakeMs)
    const id = opened.kind === 'open' ? opened.header.attrs.id : undefined
    if (id === undefined) throw new MyceliumError('peer-misbehaved')
    const digest = createHash('sha1').update(`${id}${secret}`).digest('hex')
    this.#channel.send(serialise(el('handshake', {}, digest)))
    const answer = await this.#event(limits.componentHandshakeMs)
    const isTaken = answer.kind === 'stanza' && answer.element.name === 'handshake' && textOf(answer.element) === ''
    if (!isTaken) throw new MyceliumError('wrong-credentials')
  }

  async #event(idleMs: number): Promise<StreamEvent> {
    for (;;) {
      const event = this.#reader.take(limits.componentStanzaBytesMax)
      if (event !== undefined) return event
      const bounds = { waitMsMax: idleMs, octetsMax: limits.wireBufferBytes }
      const piece = await this.#channel.reader.piece(bounds)
      if (piece === undefined) throw new MyceliumError('connection-closed')
      this.#reader.give(piece)
    }
  }
}

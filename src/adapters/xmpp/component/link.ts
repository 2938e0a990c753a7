/** The connection to the server, made again whenever it is lost; what is asked over it ends with an answer or without one. */
import type { Ambient } from '../../../core/ambient.ts'
import { toBase64Url } from '../../../core/bytes.ts'
import { MyceliumError } from '../../../core/errors.ts'
import { limits } from '../../../core/limits.ts'
import { type Element, el, withAttrs } from '../element.ts'
import { StreamError } from '../transport.ts'
import { Waiting } from '../waiting.ts'
import { type ComponentAt, ComponentStream } from './component-stream.ts'

interface LinkParts {
  readonly at: ComponentAt
  /** Read for each connection. @throws when it cannot be had */
  readonly secret: () => Promise<string>
  readonly ambient: Ambient
  readonly onUp: () => void
  readonly onDown: () => void
  /** Anything but answers to what was asked. The next one is read once this resolves. */
  readonly onStanza: (stanza: Element) => Promise<void>
}

type Answered = (answer: Element | undefined) => void

export class ComponentLink implements AsyncDisposable {
  readonly #parts: LinkParts
  readonly #closing = new AbortController()
  readonly #asked = new Waiting<Answered>({ ms: limits.componentAnswerMs, max: limits.componentAsksMax }, (answered) =>
    answered(undefined),
  )
  /** Of this connection, by domain. */
  readonly #greetings = new Map<string, Promise<boolean>>()
  #stream: ComponentStream | undefined
  #running: Promise<void> | undefined

  constructor(parts: LinkParts) {
    this.#parts = parts
  }

  get isUp(): boolean {
    return this.#stream !== undefined
  }

  start(): void {
    this.#running = this.#run()
  }

  /** Lost where there is no connection. */
  send(element: Element): void {
    this.#stream?.send(element)
  }

  /** @returns its result or error; undefined without an answer */
  async ask(iq: Element): Promise<Element | undefined> {
    const stream = this.#stream
    if (stream === undefined) return undefined
    const id = toBase64Url(this.#parts.ambient.random.bytes(9))
    return await new Promise((resolve) => {
      if (!this.#asked.add(id, resolve)) return resolve(undefined)
      stream.send(withAttrs(iq, { id }))
    })
  }

  /** Stanzas are handled in their order: what was sent before has been taken once this is answered. */
  async isTaken(serverDomain: string): Promise<boolean> {
    try {
      await this.#stream?.flush()
    } catch {
      return false
    }
    const ping = el('iq', { type: 'get', from: this.#parts.at.domain, to: serverDomain }, el('ping urn:xmpp:ping'))
    return (await this.ask(ping)) !== undefined
  }

  /**
   * What the server says of its own accord to a component that comes, such as what it may do, has come before this resolves.
   * @returns false when the connection was lost first
   */
  async isGreeted(serverDomain: string): Promise<boolean> {
    const known = this.#greetings.get(serverDomain)
    if (known !== undefined) return await known
    const greeting = this.isTaken(serverDomain)
    this.#greetings.set(serverDomain, greeting)
    return await greeting
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort()
    await this.#stream?.end().catch(() => this.#stream?.destroy())
    await this.#running
    this.#asked[Symbol.dispose]()
  }

  async #run(): Promise<void> {
    const { log } = this.#parts.ambient
    let waitMs: number = limits.componentRetryMsMin
    while (!this.#closing.signal.aborted) {
      try {
        await this.#serve(() => {
          waitMs = limits.componentRetryMsMin
        })
      } catch (error) {
        if (!this.#closing.signal.aborted) log.warn('xmpp.component-lost', { reason: reasonOf(error) })
      }
      await this.#pause(waitMs * (0.5 + this.#parts.ambient.random.bytes(1)[0]! / 512))
      waitMs = Math.min(2 * waitMs, limits.componentRetryMsMax)
    }
  }

  async #serve(onUp: () => void): Promise<void> {
    const { at, secret, ambient } = this.#parts
    const stream = await ComponentStream.open(at, await secret(), { signal: this.#closing.signal })
    this.#greetings.clear()
    this.#stream = stream
    ambient.log.info('xmpp.component-connected')
    onUp()
    try {
      this.#parts.onUp()
      await this.#read(stream)
    } finally {
      this.#stream = undefined
      stream.destroy()
      for (const answered of this.#asked.takeWhere(() => true)) answered(undefined)
      this.#parts.onDown()
    }
  }

  async #read(stream: ComponentStream): Promise<void> {
    let isAsked = false
    while (!this.#closing.signal.aborted) {
      const stanza = await stream.next()
      if (stanza === undefined) {
        if (isAsked) throw new MyceliumError('timeout')
        isAsked = true
        const { domain } = this.#parts.at
        stream.send(el('iq', { type: 'get', id: 'here', from: domain, to: domain }, el('ping urn:xmpp:ping')))
        continue
      }
      isAsked = false
      const { id = '', type } = stanza.attrs
      const isAnswer = stanza.name === 'iq' && (type === 'result' || type === 'error')
      const answered = isAnswer ? this.#asked.take(id) : undefined
      if (answered === undefined) await this.#parts.onStanza(stanza)
      else answered(stanza)
    }
  }

  async #pause(ms: number): Promise<void> {
    const { signal } = this.#closing
    if (signal.aborted) return
    await new Promise<void>((resolve) => {
      const done = (): void => {
        clearTimeout(timer)
        signal.removeEventListener('abort', done)
        resolve()
      }
      const timer = setTimeout(done, ms).unref()
      signal.addEventListener('abort', done)
    })
  }
}

function reasonOf(error: unknown): string {
  if (error instanceof MyceliumError) return error.code
  return error instanceof StreamError ? error.condition : 'secret-unreadable'
}

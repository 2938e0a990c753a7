/**
 * One client's connection: reads what it says, answers what belongs to the stream itself (RFC 6120 §4), and hands stanzas
 * to the parts that answer them. The same over every transport.
 */
import type { WriteTx } from '../../core/store/store.ts'
import { toBase64Url } from '../../core/bytes.ts'
import { hasCode, MyceliumError } from '../../core/errors.ts'
import { limits } from '../../core/limits.ts'
import { clientNs, type Element, el, streamNs } from './element.ts'
import { fullOf, parseJid } from './jid.ts'
import { LoginDialogue, type LoggedIn } from './login/dialogue.ts'
import { isSessionRequest, startTlsFeature, streamFeatures, tlsNs } from './stream-features.ts'
import { answerManagement, failedResumption, isEnable, resumeOf, tooEarly } from './resumption/nonzas.ts'
import { managementNs } from './resumption/management.ts'
import { isPlainMessage } from './plain-message.ts'
import { resultOf, routeStanza } from './router.ts'
import { csiNs } from './login/sasl2.ts'
import type { Session } from './session.ts'
import { bindRequest, bound } from './binding.ts'
import { errorReply, StanzaError } from './stanza-error.ts'
import type { StreamContext } from './stream-context.ts'
import { StreamError, type StreamEvent, type Transport } from './transport.ts'

/** Resolves when the connection is done. @throws what ends it early, for the listener to log */
export async function serveStream(transport: Transport, context: StreamContext): Promise<void> {
  const connection = new Connection(transport, context)
  // Every wait has its own limit; this one is for whoever keeps within each of them and never logs in.
  const guest = setTimeout(() => {
    if (!connection.isBound) transport.destroy()
  }, limits.xmppLoginMs + limits.lingerMs)
  let isFarewell = false
  try {
    isFarewell = await connection.converse()
    await transport.end()
  } catch (error) {
    isFarewell = isFinal(error)
    await connection.sayGoodbye(error)
  } finally {
    clearTimeout(guest)
    connection.close(isFarewell)
  }
}

class Connection {
  readonly #transport: Transport
  readonly #context: StreamContext
  readonly #startedMs = performance.now()
  readonly #dialogue: LoginDialogue
  #loggedIn: LoggedIn | undefined
  #session: Session | undefined
  #streams = 0
  /** It was asked for a sign of life and has not given one. */
  #isAsked = false
  #stopWatching = (): void => {}

  constructor(transport: Transport, context: StreamContext) {
    this.#transport = transport
    this.#context = context
    this.#dialogue = new LoginDialogue(transport, context)
  }

  get isBound(): boolean {
    return this.#session !== undefined
  }
  get #domain(): string {
    return this.#context.server.names.server
  }

  /** @returns whether the client has said good-bye */
  async converse(): Promise<boolean> {
    for (;;) {
      const event = await this.#next()
      if (event === undefined) continue
      this.#isAsked = false
      if (event.kind === 'end') {
        await this.#session?.settled()
        return event.isOrderly
      }
      // another connection has taken the client over
      if (this.#session?.isOn(this.#transport) === false) return false
      if (event.kind === 'open') this.#openStream(event.header)
      else if (event.element.ns === streamNs) return false
      else await this.#answer(event.element)
      const turn = this.#context.turns.giveWay()
      if (turn !== undefined) await turn
    }
  }

  /** `undefined` where nothing came, and the client was asked whether it is there. */
  async #next(): Promise<StreamEvent | undefined> {
    const session = this.#session
    const stanzaBytesMax =
      this.#loggedIn === undefined ? limits.xmppStanzaBeforeLoginBytesMax : limits.xmppStanzaBytesMax
    if (session === undefined) {
      const leftMs = Math.max(1, this.#startedMs + limits.xmppLoginMs - performance.now())
      return await this.#transport.next({ stanzaBytesMax, idleMs: leftMs })
    }
    try {
      const idleMs = this.#isAsked ? limits.xmppSignMs : limits.xmppIdleMs
      return await this.#transport.next({ stanzaBytesMax, idleMs })
    } catch (error) {
      if (!hasCode(error, 'timeout') || this.#isAsked) throw error
      this.#isAsked = true
      this.#askForSign(session)
      return undefined
    }
  }

  #askForSign(session: Session): void {
    if (session.management !== undefined) {
      session.management.ask()
      return
    }
    const attrs = { type: 'get', id: `alive-${this.#randomId()}`, from: this.#domain, to: fullOf(session.jid) }
    session.send(el('iq', attrs, el('ping urn:xmpp:ping')))
  }

  /** RFC 6120 §4.7. */
  #openStream({ attrs }: Element): void {
    this.#streams += 1
    if (this.#streams > limits.xmppStreamsMax) throw new StreamError('policy-violation', 'too many streams')
    this.#transport.open({ from: this.#domain, id: this.#randomId(), to: attrs.from })
    if (attrs.to === undefined) throw new StreamError('improper-addressing')
    const to = parseJid(attrs.to)
    if (to === undefined || fullOf(to) !== this.#domain) throw new StreamError('host-unknown')
    if (attrs.version === undefined || !/^[1-9]\d*\.\d+$/.test(attrs.version))
      throw new StreamError('unsupported-version')
    this.#transport.send(this.#features())
  }

  /** RFC 6120 §4.3.2. */
  #features(): Element {
    const { server } = this.#context
    if (this.#loggedIn !== undefined) return streamFeatures(server, { isBound: this.isBound, isManaged: false })
    const offered = this.#dialogue.features()
    return el(`features ${streamNs}`, {}, startTlsFeature(this.#transport, offered.length === 0), ...offered)
  }

  async #answer(element: Element): Promise<void> {
    if (this.#streams === 0) throw new StreamError('not-well-formed')
    if (element.ns === tlsNs && element.name === 'starttls') return await this.#startTls()
    if (this.#session === undefined && isEnable(element)) return this.#transport.send(tooEarly())
    if (this.#loggedIn === undefined) return await this.#login(element)
    const session = this.#session
    if (session === undefined) return await this.#begin(this.#loggedIn, element)
    if (element.ns === clientNs && isPlainMessage(element)) return await this.#beginMessage(session, element)
    await session.settled()
    if (!session.isOn(this.#transport)) return
    if (element.ns === clientNs) return await this.#stanza(session, element)
    if (element.ns === managementNs)
      return await answerManagement(element, session, this.#transport, this.#context.sessions)
    if (element.ns !== csiNs) throw new StreamError('unsupported-stanza-type')
    session.setInactive(element.name === 'inactive')
  }

  async #startTls(): Promise<void> {
    const transport = this.#transport
    if (!transport.canStartTls || this.#loggedIn !== undefined) {
      transport.send(el(`failure ${tlsNs}`))
      throw new StreamError('policy-violation')
    }
    transport.send(el(`proceed ${tlsNs}`))
    await transport.startTls()
    transport.restart()
    this.#dialogue.restart()
  }

  async #login(element: Element): Promise<void> {
    const loggedIn = await this.#dialogue.answer(element)
    if (loggedIn === undefined) return
    this.#loggedIn = loggedIn
    this.#watch(loggedIn)
    if (loggedIn.isNewStream) return this.#transport.restart()
    const { begin, isManaged } = loggedIn
    this.#transport.send(streamFeatures(this.#context.server, { isBound: begin !== undefined, isManaged }))
    this.#session = begin?.()
  }

  #watch({ login }: LoggedIn): void {
    this.#stopWatching = this.#context.server.services.logins.watch(login, () => {
      void this.#transport.end(new StreamError('not-authorized'))
    })
  }

  /** RFC 6120 §7: before a resource is bound nothing but that may be said, or what stands in its place. */
  async #begin({ login }: LoggedIn, element: Element): Promise<void> {
    const transport = this.#transport
    const { sessions } = this.#context
    const resuming = resumeOf(element)
    if (resuming !== undefined) {
      const resumption = await sessions.resume(login, resuming.previous, resuming.h)
      if (resumption.kind === 'failed') return transport.send(failedResumption(resumption.h))
      transport.send(resumption.element)
      resumption.goOn(transport)
      this.#session = resumption.session
      return
    }
    if (isSessionRequest(element)) return transport.send(resultOf(element, undefined))
    const bind = bindRequest(element)
    if (bind === undefined) throw new StreamError('not-authorized')
    try {
      const session = sessions.prepare(login, bind.resource ?? this.#randomId())
      transport.send(bound(element, session.jid))
      sessions.admit(session, transport)
      this.#session = session
    } catch (error) {
      if (!(error instanceof StanzaError)) throw error
      transport.send(errorReply(element, error))
    }
  }

  /** While one waits for the disk the next ones do too, so that a program's messages share the wait. */
  async #beginMessage(session: Session, element: Element): Promise<void> {
    await session.room(limits.xmppMessagesAtOnce)
    // the client was told, on its new connection, how far its stanzas were handled, and says this one again (XEP-0198 §5)
    if (!session.isOn(this.#transport)) return
    this.#stanza(session, element).catch((error: unknown) => void this.sayGoodbye(error).catch(() => {}))
  }

  async #stanza(session: Session, element: Element): Promise<void> {
    await session.handle(async (handled) => {
      if (isSessionRequest(element)) session.send(resultOf(element, undefined))
      else await this.#route(session, element, handled)
    })
  }

  /** What goes wrong inside with one stanza does not end the stream. */
  async #route(session: Session, element: Element, handled: (tx: WriteTx) => void): Promise<void> {
    try {
      await routeStanza(this.#context.server, session, element, handled)
    } catch (error) {
      if (error instanceof StreamError) throw error
      const what = error instanceof MyceliumError ? error.code : error instanceof Error ? error.name : typeof error
      this.#context.ambient.log.error('xmpp.failed', { error: what })
      const isAnswer = element.attrs.type === 'error' || element.attrs.type === 'result'
      const from = { ...element, attrs: { ...element.attrs, from: fullOf(session.jid) } }
      if (!isAnswer) session.send(errorReply(from, new StanzaError('internal-server-error')))
    }
  }

  /** The last word where there is one; other failures are the listener's. */
  async sayGoodbye(error: unknown): Promise<void> {
    const last = lastWord(error)
    if (last === undefined) throw error
    // RFC 6120 §4.9.1.2: an error is said inside a stream
    if (this.#streams === 0) this.#transport.open({ from: this.#domain, id: this.#randomId() })
    await this.#transport.end(last)
    if (last.condition === 'internal-server-error') throw error
  }

  /** @param isFarewell the client does not come back to this stream */
  close(isFarewell: boolean): void {
    this.#stopWatching()
    const session = this.#session
    this.#session = undefined
    if (session?.isOn(this.#transport) !== true) return
    if (isFarewell) this.#context.sessions.end(session)
    else this.#context.sessions.lost(session)
  }

  #randomId = (): string => toBase64Url(this.#context.ambient.random.bytes(12))
}

/** What the client did wrong is the end of its stream, what befell it is not. */
const isFinal = (error: unknown): boolean => error instanceof StreamError

function lastWord(error: unknown): StreamError | undefined {
  if (error instanceof StreamError) return error
  if (!(error instanceof MyceliumError)) return new StreamError('internal-server-error')
  if (error.code === 'timeout') return new StreamError('connection-timeout')
  if (error.code === 'shutting-down') return new StreamError('system-shutdown')
  return undefined
}

/**
 * One client's connection: reads what it says, answers what belongs to the stream itself (RFC 6120 §4–7), and hands
 * stanzas to the parts that answer them. The same over every transport.
 */
import type { Ambient } from '../../core/ambient.ts'
import { toBase64, toBase64Url } from '../../core/bytes.ts'
import type { Login } from '../../core/account/logins.ts'
import { hasCode, MyceliumError } from '../../core/errors.ts'
import { limits } from '../../core/limits.ts'
import { Authentication, channelBindings, mechanismsOver, saslText, type SaslStep } from './authentication.ts'
import { child, childText, clientNs, elements, type Element, el, streamNs } from './element.ts'
import { fullOf, parseJid, withResource } from './jid.ts'
import { resultOf, routeStanza } from './router.ts'
import type { XmppServer } from './server.ts'
import { Session } from './session.ts'
import { errorReply, StanzaError } from './stanza-error.ts'
import { StreamError, type Transport } from './transport.ts'

const tlsNs = 'urn:ietf:params:xml:ns:xmpp-tls'
const saslNs = 'urn:ietf:params:xml:ns:xmpp-sasl'
const bindNs = 'urn:ietf:params:xml:ns:xmpp-bind'
const sessionNs = 'urn:ietf:params:xml:ns:xmpp-session'

export interface StreamContext {
  readonly server: XmppServer
  readonly ambient: Ambient
}

/** Resolves when the connection is done. @throws what ends it early, for the listener to log */
export async function serveStream(transport: Transport, context: StreamContext): Promise<void> {
  const connection = new Connection(transport, context)
  // Every wait has its own limit; this one is for whoever keeps within each of them and never logs in.
  const guest = setTimeout(() => {
    if (!connection.isBound) transport.destroy()
  }, limits.xmppLoginMs + limits.lingerMs)
  try {
    await connection.converse()
    await transport.end()
  } catch (error) {
    await connection.sayGoodbye(error)
  } finally {
    clearTimeout(guest)
    connection.close()
  }
}

class Connection {
  readonly #transport: Transport
  readonly #context: StreamContext
  readonly #startedMs = performance.now()
  #authentication: Authentication
  #login: Login | undefined
  #session: Session | undefined
  #failures = 0
  #streams = 0
  /** It was asked for a sign of life and has not given one. */
  #isAsked = false
  #stopWatching = (): void => {}

  constructor(transport: Transport, context: StreamContext) {
    this.#transport = transport
    this.#context = context
    this.#authentication = this.#newAuthentication()
  }

  get isBound(): boolean {
    return this.#session !== undefined
  }

  get #domain(): string {
    return this.#context.server.names.server
  }

  async converse(): Promise<void> {
    for (;;) {
      const event = await this.#next()
      if (event === undefined) continue
      this.#isAsked = false
      if (event.kind === 'end') return
      if (event.kind === 'open') this.#openStream(event.header)
      else if (event.element.ns === streamNs) return
      else await this.#answer(event.element)
    }
  }

  /** `undefined` where nothing came, and the client was asked whether it is there. */
  async #next(): Promise<Awaited<ReturnType<Transport['next']>> | undefined> {
    const stanzaBytesMax = this.#login === undefined ? limits.xmppStanzaBeforeLoginBytesMax : limits.xmppStanzaBytesMax
    if (this.#session === undefined) {
      const leftMs = Math.max(1, this.#startedMs + limits.xmppLoginMs - performance.now())
      return await this.#transport.next({ stanzaBytesMax, idleMs: leftMs })
    }
    try {
      const idleMs = this.#isAsked ? limits.xmppSignMs : limits.xmppIdleMs
      return await this.#transport.next({ stanzaBytesMax, idleMs })
    } catch (error) {
      if (!hasCode(error, 'timeout') || this.#isAsked) throw error
      this.#isAsked = true
      this.#askForSign(this.#session)
      return undefined
    }
  }

  #askForSign(session: Session): void {
    const id = `alive-${this.#randomId()}`
    session.send(el('iq', { type: 'get', id, from: this.#domain, to: fullOf(session.jid) }, el('ping urn:xmpp:ping')))
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
    const transport = this.#transport
    if (this.#login !== undefined) {
      return el(
        `features ${streamNs}`,
        {},
        el(`bind ${bindNs}`),
        el(`session ${sessionNs}`, {}, el(`optional ${sessionNs}`)),
      )
    }
    const mechanisms = mechanismsOver(transport)
    return el(
      `features ${streamNs}`,
      {},
      transport.canStartTls
        ? el(`starttls ${tlsNs}`, {}, mechanisms.length === 0 ? el(`required ${tlsNs}`) : undefined)
        : undefined,
      mechanisms.length === 0
        ? undefined
        : el(`mechanisms ${saslNs}`, {}, ...mechanisms.map((name) => el(`mechanism ${saslNs}`, {}, name))),
      channelBindings(transport),
    )
  }

  async #answer(element: Element): Promise<void> {
    if (this.#streams === 0) throw new StreamError('not-well-formed')
    const session = this.#session
    if (element.ns === tlsNs && element.name === 'starttls') return await this.#startTls()
    if (element.ns === saslNs && this.#login === undefined) return await this.#saslStep(element)
    if (this.#login === undefined) throw new StreamError('not-authorized')
    if (element.ns !== clientNs) throw new StreamError('unsupported-stanza-type')
    if (session === undefined) return this.#bindStep(this.#login, element)
    if (isSessionRequest(element)) return session.send(resultOf(element, undefined))
    await routeStanza(this.#context.server, session, element)
  }

  async #startTls(): Promise<void> {
    const transport = this.#transport
    if (!transport.canStartTls || this.#login !== undefined) {
      transport.send(el(`failure ${tlsNs}`))
      throw new StreamError('policy-violation')
    }
    transport.send(el(`proceed ${tlsNs}`))
    await transport.startTls()
    this.#newStream()
  }

  /** RFC 6120 §4.3.3: nothing of what was said before counts. */
  #newStream(): void {
    this.#transport.restart()
    this.#authentication = this.#newAuthentication()
  }

  #newAuthentication(): Authentication {
    const { server, ambient } = this.#context
    return new Authentication(this.#transport, { logins: server.services.logins, random: ambient.random })
  }

  /** RFC 6120 §6.4. */
  async #saslStep(element: Element): Promise<void> {
    const step = await this.#saslOutcome(element)
    if (step.kind === 'challenge') {
      this.#transport.send(el(`challenge ${saslNs}`, {}, toBase64(step.data)))
    } else if (step.kind === 'failure') {
      this.#transport.send(el(`failure ${saslNs}`, {}, el(`${step.condition} ${saslNs}`)))
      this.#countFailure()
    } else {
      this.#loggedIn(step.login)
      this.#transport.send(el(`success ${saslNs}`, {}, step.last === undefined ? undefined : toBase64(step.last)))
      this.#newStream()
    }
  }

  async #saslOutcome(element: Element): Promise<SaslStep> {
    if (element.name === 'auth') return await this.#authentication.begin(element.attrs.mechanism, saslText(element))
    if (element.name === 'response') return await this.#authentication.answer(saslText(element))
    return this.#authentication.abort()
  }

  #countFailure(): void {
    this.#failures += 1
    if (this.#failures >= limits.xmppLoginFailuresMax) throw new StreamError('policy-violation', 'too many failures')
  }

  #loggedIn(login: Login): void {
    this.#login = login
    this.#stopWatching = this.#context.server.services.logins.watch(login, () => {
      void this.#transport.end(new StreamError('not-authorized'))
    })
  }

  /** RFC 6120 §7: nothing else may be said before a resource is bound. */
  #bindStep(login: Login, element: Element): void {
    const bind = element.name === 'iq' && element.attrs.type === 'set' ? child(element, `bind ${bindNs}`) : undefined
    if (bind === undefined && isSessionRequest(element)) return this.#transport.send(resultOf(element, undefined))
    if (bind === undefined || elements(element).length !== 1) throw new StreamError('not-authorized')
    try {
      const session = this.#bind(login, childText(bind, 'resource'))
      session.send(resultOf(element, el(`bind ${bindNs}`, {}, el(`jid ${bindNs}`, {}, fullOf(session.jid)))))
    } catch (error) {
      if (!(error instanceof StanzaError)) throw error
      this.#transport.send(errorReply(element, error))
    }
  }

  /** @throws StanzaError */
  #bind(login: Login, wanted: string | undefined): Session {
    const { server } = this.#context
    const own = server.names.own(login.account)
    const resource = wanted === undefined || wanted === '' ? this.#randomId() : wanted
    const jid = parseJid(fullOf(withResource(own, resource)))
    if (jid === undefined) throw new StanzaError('bad-request', 'no such resource can be')
    const isAnother = server.hub.find(login.account, jid) === undefined
    if (isAnother && server.hub.of(login.account).length >= limits.xmppClientsPerAccountMax)
      throw new StanzaError('resource-constraint', 'too many clients of this account')
    const session = new Session(login, jid, this.#transport)
    this.#session = session
    server.hub.add(session)
    for (const feature of server.features) feature.bound?.(session)
    return session
  }

  /** The last word where there is one; other failures are the listener's. */
  async sayGoodbye(error: unknown): Promise<void> {
    const last = lastWord(error)
    if (last === undefined) throw error
    // RFC 6120 §4.9.1.2: an error is said inside a stream
    if (this.#streams === 0) this.#transport.open({ from: this.#domain, id: this.#randomId() })
    await this.#transport.end(last)
  }

  close(): void {
    this.#stopWatching()
    const session = this.#session
    if (session === undefined) return
    this.#session = undefined
    const { server } = this.#context
    server.hub.remove(session)
    for (const feature of server.features) feature.gone?.(session)
  }

  #randomId = (): string => toBase64Url(this.#context.ambient.random.bytes(12))
}

const isSessionRequest = (element: Element): boolean =>
  element.name === 'iq' && element.attrs.type === 'set' && child(element, `session ${sessionNs}`) !== undefined

function lastWord(error: unknown): StreamError | undefined {
  if (error instanceof StreamError) return error
  if (!(error instanceof MyceliumError)) return new StreamError('internal-server-error')
  if (error.code === 'timeout') return new StreamError('connection-timeout')
  if (error.code === 'shutting-down') return new StreamError('system-shutdown')
  return undefined
}

/** What is said until a client is logged in, in both framings of SASL: RFC 6120 §6 and XEP-0388. */
import type { Login } from '../../../core/account/logins.ts'
import { toBase64, toBase64Url } from '../../../core/bytes.ts'
import { limits } from '../../../core/limits.ts'
import { child, type Element, el } from '../element.ts'
import { bareOf, fullOf } from '../jid.ts'
import { enableOf, failedResumption, resumeOf } from '../resumption/nonzas.ts'
import type { Session } from '../session.ts'
import type { Enabling } from '../sessions.ts'
import { StanzaError } from '../stanza-error.ts'
import type { StreamContext } from '../stream-context.ts'
import { StreamError, type Transport } from '../transport.ts'
import { Authentication, channelBindings, mechanismsOver, saslText, type SaslStep } from './authentication.ts'
import {
  authenticationFeature,
  bind2Ns,
  byToken,
  carbonsNs,
  csiNs,
  initialResponse,
  readRequest,
  type Request,
  resourceFor,
  sasl2Ns,
  tokenElement,
} from './sasl2.ts'

const saslNs = 'urn:ietf:params:xml:ns:xmpp-sasl'

export interface LoggedIn {
  readonly login: Login
  /** The client begins a new stream (RFC 6120 §6.4.6). */
  readonly isNewStream: boolean
  /** Where the client was bound or resumed in the same go: what it is sent begins with this. */
  readonly begin: (() => Session) | undefined
  /** It counts stanzas from then on (XEP-0198). */
  readonly isManaged: boolean
}

export class LoginDialogue {
  readonly #transport: Transport
  readonly #context: StreamContext
  #authentication: Authentication
  /** Of the exchange that is going on, where it is in the framing of XEP-0388. */
  #request: Request | undefined
  #failures = 0

  constructor(transport: Transport, context: StreamContext) {
    this.#transport = transport
    this.#context = context
    this.#authentication = this.#newAuthentication()
  }

  /** RFC 6120 §4.3.3: nothing of what was said before counts. */
  restart(): void {
    this.#authentication = this.#newAuthentication()
    this.#request = undefined
  }

  #newAuthentication(): Authentication {
    const { server, ambient } = this.#context
    return new Authentication(this.#transport, { logins: server.services.logins, random: ambient.random })
  }

  /** Nothing where logins are not safe. */
  features(): readonly Element[] {
    const transport = this.#transport
    const mechanisms = mechanismsOver(transport)
    if (mechanisms.length === 0) return []
    return [
      el(`mechanisms ${saslNs}`, {}, ...mechanisms.map((name) => el(`mechanism ${saslNs}`, {}, name))),
      authenticationFeature(transport),
      channelBindings(transport),
    ].filter((one) => one !== undefined)
  }

  /** @returns once the client is logged in @throws StreamError `not-authorized` for anything else than a login */
  async answer(element: Element): Promise<LoggedIn | undefined> {
    if (element.ns === saslNs) return this.#tell(await this.#step(element))
    if (element.ns === sasl2Ns) return await this.#answer2(element)
    throw new StreamError('not-authorized')
  }

  async #step(element: Element): Promise<SaslStep> {
    if (element.name === 'auth') return await this.#authentication.begin(element.attrs.mechanism, saslText(element))
    if (element.name === 'response') return await this.#authentication.answer(saslText(element))
    return this.#authentication.abort()
  }

  /** RFC 6120 §6.4. */
  #tell(step: SaslStep): LoggedIn | undefined {
    const transport = this.#transport
    if (step.kind === 'challenge') {
      transport.send(el(`challenge ${saslNs}`, {}, toBase64(step.data)))
      return undefined
    }
    if (step.kind === 'failure') {
      transport.send(el(`failure ${saslNs}`, {}, el(`${step.condition} ${saslNs}`)))
      return this.#countFailure()
    }
    transport.send(el(`success ${saslNs}`, {}, step.last === undefined ? undefined : toBase64(step.last)))
    return { login: step.login, isNewStream: true, begin: undefined, isManaged: false }
  }

  /** RFC 6120 §6.4.5. */
  #countFailure(): undefined {
    this.#failures += 1
    if (this.#failures >= limits.xmppLoginFailuresMax) throw new StreamError('policy-violation', 'too many failures')
  }

  async #answer2(element: Element): Promise<LoggedIn | undefined> {
    const used = { mechanism: element.attrs.mechanism, isOld: false }
    let step: SaslStep
    if (element.name === 'authenticate') {
      this.#request = readRequest(element, this.#transport)
      if (this.#request.isFast) {
        const { tokens, server } = this.#context
        const shown = await byToken(element, this.#request, this.#transport, { ...server.services, tokens })
        step = shown.step
        used.isOld = shown.isOld
      } else step = await this.#authentication.begin(used.mechanism, initialResponse(element))
    } else if (this.#request === undefined) throw new StreamError('not-authorized')
    else if (element.name === 'response') step = await this.#authentication.answer(saslText(element))
    else step = this.#authentication.abort()
    return await this.#tell2(step, this.#request, used)
  }

  async #tell2(
    step: SaslStep,
    request: Request,
    used: { readonly mechanism: string | undefined; readonly isOld: boolean },
  ): Promise<LoggedIn | undefined> {
    const transport = this.#transport
    if (step.kind === 'challenge') {
      transport.send(el(`challenge ${sasl2Ns}`, {}, toBase64(step.data)))
      return undefined
    }
    this.#request = undefined
    if (step.kind === 'failure') {
      transport.send(el(`failure ${sasl2Ns}`, {}, el(`${step.condition} ${saslNs}`)))
      return this.#countFailure()
    }
    const { login, last } = step
    const started = await this.#start(login, request)
    const token = await tokenElement(this.#context.tokens, login, request, used)
    const { names } = this.#context.server
    const identifier = started.session === undefined ? bareOf(names.own(login.account)) : fullOf(started.session.jid)
    transport.send(
      el(
        `success ${sasl2Ns}`,
        {},
        last === undefined ? undefined : el(`additional-data ${sasl2Ns}`, {}, toBase64(last)),
        el(`authorization-identifier ${sasl2Ns}`, {}, identifier),
        ...started.told,
        token,
      ),
    )
    return { login, isNewStream: false, begin: started.begin, isManaged: started.isManaged }
  }

  /** Resumes or binds, as the client asked along with its login. */
  async #start(login: Login, { resume, bind, agent }: Request): Promise<Started> {
    const { sessions } = this.#context
    const told: Element[] = []
    const resuming = resume && resumeOf(resume)
    if (resuming !== undefined) {
      const resumption = await sessions.resume(login, resuming.previous, resuming.h)
      if (resumption.kind === 'resumed') {
        const { session, element } = resumption
        const begin = (): Session => {
          resumption.goOn(this.#transport)
          return session
        }
        return { session, told: [element], begin, isManaged: true }
      }
      told.push(failedResumption(resumption.h))
    }
    if (bind === undefined) return { session: undefined, told, begin: undefined, isManaged: false }
    try {
      const session = sessions.prepare(login, resourceFor(bind, agent, this.#randomId))
      session.state.carbons = child(bind, `enable ${carbonsNs}`) !== undefined
      session.state.isInactive = child(bind, `inactive ${csiNs}`) !== undefined
      const wishes = enableOf(bind)
      const enabling: Enabling | undefined =
        wishes && (await sessions.prepareManagement(session, wishes.mayResume, wishes.wanted))
      told.push(el(`bound ${bind2Ns}`, {}, enabling?.element))
      const begin = (): Session => {
        sessions.admit(session, this.#transport, enabling)
        return session
      }
      return { session, told, begin, isManaged: enabling !== undefined }
    } catch (error) {
      if (!(error instanceof StanzaError)) throw error
      return { session: undefined, told, begin: undefined, isManaged: false }
    }
  }

  #randomId = (): string => toBase64Url(this.#context.ambient.random.bytes(9))
}

interface Started {
  readonly session: Session | undefined
  readonly told: readonly Element[]
  readonly begin: (() => Session) | undefined
  readonly isManaged: boolean
}

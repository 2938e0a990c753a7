/**
 * A user of the other server, as one more program of their account here: what the parts of this server say to it goes to the
 * user under the names that people have there. Messages of chats come by outgoing.ts, which remembers how far it is.
 */
import { fromUtf8 } from '../../../core/bytes.ts'
import { sha256Hex } from '../../../core/crypto/kdf.ts'
import type { Login } from '../../../core/account/logins.ts'
import type { Identity } from '../../../core/ids.ts'
import { limits } from '../../../core/limits.ts'
import { type Client, newClientState } from '../client.ts'
import { child, type Element, elements, withAttrs } from '../element.ts'
import type { Server } from '../feature.ts'
import { bareOf, fullOf, type Jid, parseJid, withResource } from '../jid.ts'
import { ns } from '../messages/namespaces.ts'
import { errorReply, StanzaError } from '../stanza-error.ts'
import { stepOf } from '../xep/calls/payload.ts'
import { outward } from './names.ts'

interface UserClientParts {
  readonly server: Server
  readonly account: Identity
  /** Bare, at the other server. */
  readonly user: string
  /** Of the component. */
  readonly domain: string
  readonly send: (stanza: Element) => void
  /** What the user's program would say. */
  readonly say: (client: UserClient, stanza: Element) => void
}

/** Where an answer goes. */
interface Asked {
  readonly from: string
  readonly to: string
  readonly id: string
}

const jingleNs = 'urn:xmpp:jingle:1'

export class UserClient implements Client {
  readonly login: Login
  readonly jid: Jid
  readonly state = newClientState()
  readonly #parts: UserClientParts
  /** By the id that this server knows it by. */
  readonly #asked = new Map<string, Asked>()
  /** Who of the user's programs sent a message, by its id: for what went wrong with it. */
  readonly #speakers = new Map<string, string>()
  /** Full JID of the program that is in a call. */
  #caller: string | undefined
  #count = 0

  constructor(parts: UserClientParts) {
    this.#parts = parts
    this.login = { account: parts.account, passwordId: `component ${parts.user}` }
    // other accounts of this gateway see it, and need not know where else somebody is
    this.jid = withResource(
      parts.server.names.own(parts.account),
      `component-${sha256Hex(fromUtf8(parts.user)).slice(0, 12)}`,
    )
  }

  get account(): Identity {
    return this.login.account
  }

  /** A message of one of the user's programs, before it is said. */
  spoke(program: string, message: Element): void {
    const { id } = message.attrs
    if (id !== undefined) remember(this.#speakers, id, program)
    if (stepOf(message) !== undefined) this.#caller = program
  }

  /** An iq of one of the user's programs, as it is to be asked here. */
  asks(iq: Element): Element {
    const { from = '', to = '', id = '' } = iq.attrs
    this.#count += 1
    const own = `c${this.#count}`
    remember(this.#asked, own, { from, to, id })
    if (elements(iq)[0]?.ns !== jingleNs) return withAttrs(iq, { id: own })
    this.#caller = from
    return withAttrs(iq, { id: own })
  }

  send(stanza: Element): void {
    if (stanza.name === 'iq') this.#sendIq(stanza)
    else if (stanza.name === 'presence') this.#forward(stanza, this.#parts.user)
    else if (stanza.attrs.type === 'error') this.#sendError(stanza)
    else if (!isTold(stanza)) this.#forward(stanza, this.#parts.user)
  }

  /** Nobody else has its resource. */
  close(): void {}

  #sendIq(iq: Element): void {
    const { type, id = '' } = iq.attrs
    if (type === 'result' || type === 'error') {
      const asked = this.#asked.get(id)
      if (asked === undefined) return
      this.#asked.delete(id)
      this.#parts.send(withAttrs(iq, { from: asked.to, to: asked.from, id: asked.id }))
      return
    }
    const [payload] = elements(iq)
    if (payload?.ns === jingleNs && this.#caller !== undefined) return this.#forward(iq, this.#caller)
    const refusal = errorReply(iq, new StanzaError('service-unavailable'))
    this.#parts.say(this, withAttrs(refusal, { from: undefined }))
  }

  #sendError(message: Element): void {
    const program = this.#speakers.get(message.attrs.id ?? '')
    this.#forward(message, program ?? this.#parts.user)
  }

  /** What people say; what is said of oneself or by this server is for its own programs. */
  #forward(stanza: Element, to: string): void {
    const { server, account, domain, send } = this.#parts
    const from = parseJid(stanza.attrs.from ?? '')
    if (from === undefined || bareOf(from) === bareOf(this.jid)) return
    const { kind } = server.names.named(account, from)
    const isAddress =
      kind === 'person' || (kind === 'unknown' && from.domain !== server.names.server && from.local !== '')
    if (isAddress) send(withAttrs(stanza, { from: fullOf(outward(from, domain)), to }))
  }
}

/** Of a chat as it is kept, or of a room: outgoing.ts tells the first, nobody the second. */
const isTold = (message: Element): boolean =>
  message.attrs.type === 'groupchat' ||
  elements(message).some(({ name, ns: of }) => (of === ns.sid && name === 'stanza-id') || of === ns.carbons) ||
  child(message, `delay ${ns.delay}`) !== undefined

function remember<T>(map: Map<string, T>, name: string, value: T): void {
  map.delete(name)
  map.set(name, value)
  if (map.size > limits.componentAsksMax) map.delete(map.keys().next().value!)
}

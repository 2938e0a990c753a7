/**
 * The gateway as a component of another XMPP server (XEP-0114, XEP-0100): its users who have an account here see contacts of
 * the overlay as `bob\40other.org@component.domain`. A user counts as one more program of the account, so that all parts of the
 * server serve them; only what must survive a restart of either side (outgoing.ts) and the names of people (names.ts) are
 * the component's own.
 */
import type { Ambient } from '../../../core/ambient.ts'
import type { Identity } from '../../../core/ids.ts'
import { isChosen } from '../../../core/account/contact.ts'
import { limits } from '../../../core/limits.ts'
import { asStanzaError } from '../core-errors.ts'
import { type Element, el, elements, withAttrs } from '../element.ts'
import { bareOf, fullOf, type Jid, parseJid } from '../jid.ts'
import { ClientIds } from '../messages/client-ids.ts'
import { resultOf, routeStanza } from '../router.ts'
import type { XmppServer } from '../server.ts'
import { errorReply, StanzaError } from '../stanza-error.ts'
import { StreamError } from '../transport.ts'
import { CommandDesk } from '../xep/commands/desk.ts'
import type { ComponentAt } from './component-stream.ts'
import { answerGateway } from './gateway-iq.ts'
import { ComponentLink } from './link.ts'
import { inward } from './names.ts'
import { Outgoing } from './outgoing.ts'
import { noPrivileges, type Privileges, readPrivileges } from './privileges.ts'
import { Registration } from './registration.ts'
import { Rosters } from './rosters.ts'
import { UserClient } from './user-client.ts'
import { type ComponentUser, ComponentUsers, noteSaid } from './users.ts'

export interface ComponentConfig extends ComponentAt {
  /** Bare JIDs at the other server, with the localNames or addresses of their accounts. */
  readonly users: ReadonlyMap<string, string>
  /** Read for each connection. */
  readonly secret: () => Promise<string>
}

export interface Component extends AsyncDisposable {
  readonly isConnected: boolean
}

/** Resolves before there is a connection: that may take as long as the other server takes to start. */
export async function openComponent(config: ComponentConfig, server: XmppServer, ambient: Ambient): Promise<Component> {
  const users = await ComponentUsers.open(server.services, config.users, ambient.log)
  return new RunningComponent(config, server, ambient, users)
}

class RunningComponent implements Component {
  readonly #domain: string
  readonly #server: XmppServer
  readonly #ambient: Ambient
  readonly #users: ComponentUsers
  readonly #link: ComponentLink
  readonly #outgoing: Outgoing
  readonly #rosters: Rosters
  readonly #registration: Registration
  readonly #desk: CommandDesk
  readonly #clients = new Map<string, UserClient>()
  /** By domain of the users. */
  readonly #privileges = new Map<string, Privileges>()
  /** Programs of each user that are there. */
  readonly #present = new Map<string, Set<string>>()
  /** What is said in a user's name, in its order. */
  readonly #turns = new Map<string, Promise<void>>()
  readonly #stops: readonly (() => void)[]
  #waiting = 0
  #room = Promise.withResolvers<void>()

  constructor(config: ComponentConfig, server: XmppServer, ambient: Ambient, users: ComponentUsers) {
    this.#domain = config.domain
    this.#server = server
    this.#ambient = ambient
    this.#users = users
    this.#desk = new CommandDesk(server.services, ambient)
    const privilegesOf = (jid: string): Privileges => this.#privileges.get(parseJid(jid)?.domain ?? '') ?? noPrivileges
    const { domain } = config
    const common = { server, users, domain, link: () => this.#link, privilegesOf }
    this.#outgoing = new Outgoing({ ...common, ids: new ClientIds(server.services.conversations) })
    this.#rosters = new Rosters(common)
    this.#registration = new Registration({
      services: server.services,
      users,
      onBound: (jid) => this.#bound(jid),
      onUnbound: (user) => this.#unbound(user),
    })
    this.#link = new ComponentLink({
      at: config,
      secret: config.secret,
      ambient,
      onUp: () => this.#up(),
      onDown: () => this.#down(),
      onStanza: async (stanza) => await this.#take(stanza),
    })
    const { conversations, contacts } = server.services
    this.#stops = [
      conversations.watch((account) => {
        for (const { jid } of users.of(account)) this.#outgoing.pump(jid)
      }),
      contacts.watch((account) => {
        for (const { jid } of users.of(account)) this.#rosters.changed(jid)
      }),
    ]
    for (const user of users.all()) this.#clientOf(user)
    this.#link.start()
  }

  get isConnected(): boolean {
    return this.#link.isUp
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const stop of this.#stops) stop()
    await this.#outgoing.close()
    await this.#link[Symbol.asyncDispose]()
    await this.#rosters.idle()
    await Promise.all(this.#turns.values())
    for (const client of this.#clients.values()) this.#leave(client)
    this.#desk[Symbol.dispose]()
  }

  #up(): void {
    for (const { jid, showsPresence } of this.#users.all()) {
      this.#outgoing.pump(jid)
      this.#rosters.compare(jid)
      if (showsPresence) this.#link.send(el('presence', { type: 'probe', from: this.#domain, to: jid }))
    }
  }

  #down(): void {
    this.#privileges.clear()
    for (const jid of this.#present.keys()) this.#gone(jid)
    this.#present.clear()
  }

  #bound(jid: string): void {
    const user = this.#users.get(jid)
    if (user === undefined) return
    this.#clientOf(user)
    // XEP-0100 §4.1.1: the gateway is in the roster, and hears who is there
    this.#link.send(el('presence', { type: 'subscribe', from: this.#domain, to: jid }))
    this.#rosters.compare(jid)
    this.#outgoing.pump(jid)
  }

  #unbound({ jid }: ComponentUser): void {
    const client = this.#clients.get(jid)
    if (client !== undefined) this.#leave(client)
    this.#clients.delete(jid)
    for (const type of ['unsubscribe', 'unsubscribed', 'unavailable'])
      this.#link.send(el('presence', { type, from: this.#domain, to: jid }))
    if (client !== undefined) this.#rosters.removeAll(jid, client.account)
  }

  #clientOf({ jid, account }: ComponentUser): UserClient {
    const known = this.#clients.get(jid)
    if (known?.account === account) return known
    if (known !== undefined) this.#leave(known)
    const client = new UserClient({
      server: this.#server,
      account,
      user: jid,
      domain: this.#domain,
      send: (stanza) => this.#link.send(stanza),
      say: (as, stanza) => this.#inTurn(jid, async () => await routeStanza(this.#server, as, stanza)),
    })
    this.#clients.set(jid, client)
    this.#server.hub.add(client)
    for (const feature of this.#server.features) feature.bound?.(client)
    return client
  }

  #leave(client: UserClient): void {
    if (this.#server.hub.remove(client)) for (const feature of this.#server.features) feature.gone?.(client)
  }

  /** The next stanza is read once there is room for it. */
  async #take(stanza: Element): Promise<void> {
    const from = parseJid(stanza.attrs.from ?? '')
    const to = parseJid(stanza.attrs.to ?? '')
    if (from === undefined || to?.domain !== this.#domain) return
    const privileges = from.local === '' ? readPrivileges(stanza) : undefined
    if (privileges !== undefined) {
      this.#privileges.set(from.domain, privileges)
      for (const { jid } of this.#users.all()) if (parseJid(jid)?.domain === from.domain) this.#rosters.compare(jid)
      for (const { jid } of this.#users.all()) this.#outgoing.pump(jid)
      return
    }
    const asked = { stanza, from, to, jid: bareOf(from) }
    if (stanza.name === 'iq') this.#count(this.#iq(asked))
    else if (stanza.name === 'message') this.#inTurn(asked.jid, async () => await this.#message(asked))
    else if (stanza.name === 'presence') this.#inTurn(asked.jid, async () => await this.#presence(asked))
    while (this.#waiting >= limits.componentWaitingMax) await this.#room.promise
  }

  #inTurn(jid: string, work: () => Promise<void>): void {
    const turn = (this.#turns.get(jid) ?? Promise.resolve()).then(work).catch((error: unknown) => this.#failed(error))
    this.#turns.set(jid, turn)
    this.#count(
      turn.finally(() => {
        if (this.#turns.get(jid) === turn) this.#turns.delete(jid)
      }),
    )
  }

  #count(work: Promise<void>): void {
    this.#waiting += 1
    void work
      .catch((error: unknown) => this.#failed(error))
      .finally(() => {
        this.#waiting -= 1
        this.#room.resolve()
        this.#room = Promise.withResolvers()
      })
  }

  /** One stanza that cannot be handled harms no other. */
  #failed(error: unknown): void {
    const reason = error instanceof StreamError ? error.condition : 'internal'
    this.#ambient.log.warn('xmpp.component-stanza-failed', { reason })
  }

  async #message({ stanza, from, to, jid }: Asked): Promise<void> {
    const { type, id } = stanza.attrs
    if (id !== undefined && this.#outgoing.takeEcho(jid, id)) return
    const user = this.#users.get(jid)
    const contact = inward(to)
    if (type === 'error' || to.local === '') return
    if (user === undefined) return this.#refuse(stanza, new StanzaError('registration-required', mustRegister))
    if (contact === undefined) return this.#refuse(stanza, new StanzaError('item-not-found'))
    const client = this.#clientOf(user)
    const named = id ?? `c-${this.#ambient.clock.nowMs()}-${Math.trunc(this.#ambient.clock.monotonicMs() * 1000)}`
    const message = withAttrs(stanza, { id: named, from: undefined, to: fullOf(contact) })
    client.spoke(fullOf(from), message)
    await routeStanza(this.#server, client, message, (tx) => noteSaid(tx, user.account, `${jid} ${named}`))
  }

  async #iq({ stanza, from, to, jid }: Asked): Promise<void> {
    const { type = '', id } = stanza.attrs
    const isQuery = type === 'get' || type === 'set'
    if (id === undefined) return
    const user = this.#users.get(jid)
    try {
      if (to.local !== '') return await this.#iqToPerson({ stanza, from, to, jid }, user, isQuery)
      const [payload, ...more] = elements(stanza)
      if (!isQuery) return
      if (payload === undefined || more.length > 0) throw new StanzaError('bad-request')
      const parts = { domain: this.#domain, desk: this.#desk, registration: this.#registration }
      const answer = await answerGateway(parts, { jid, from: fullOf(from), user, type, payload })
      this.#link.send(resultOf(stanza, answer))
    } catch (error) {
      if (!(error instanceof StanzaError)) throw error
      if (isQuery) this.#refuse(stanza, error)
    }
  }

  async #iqToPerson({ stanza, to }: Asked, user: ComponentUser | undefined, isQuery: boolean): Promise<void> {
    const contact = inward(to)
    if (user === undefined) throw new StanzaError('registration-required', mustRegister)
    if (contact === undefined) throw new StanzaError('item-not-found')
    const isPing = elements(stanza)[0]?.ns === 'urn:xmpp:ping'
    if (isQuery && isPing) return this.#link.send(resultOf(stanza, undefined))
    const client = this.#clientOf(user)
    const asked = isQuery ? client.asks(stanza) : stanza
    await routeStanza(this.#server, client, withAttrs(asked, { from: undefined, to: fullOf(contact) }))
  }

  async #presence({ stanza, from, to, jid }: Asked): Promise<void> {
    const { type = '' } = stanza.attrs
    const user = this.#users.get(jid)
    if (type === 'error') return
    if (user === undefined) {
      if (type === 'subscribe') this.#answer(to, from, 'unsubscribed')
      return
    }
    if (type === '') await this.#came(user, from, stanza)
    else if (type === 'unavailable') this.#went(jid, fullOf(from))
    if (to.local === '' && (type === 'subscribed' || type === 'unsubscribed'))
      await this.#users.showsPresence(jid, type === 'subscribed')
    else if (to.local === '') this.#presenceOfGateway(from, to, type)
    else await this.#presenceOfPerson(user, from, to, type)
  }

  async #came(user: ComponentUser, from: Jid, stanza: Element): Promise<void> {
    const there = this.#present.get(user.jid) ?? new Set()
    this.#present.set(user.jid, there)
    if (there.has(fullOf(from))) return
    const isFirst = there.size === 0
    there.add(fullOf(from))
    if (!isFirst) return
    const client = this.#clientOf(user)
    const shown = elements(stanza).filter(({ name }) => name === 'show')
    await routeStanza(this.#server, client, el('presence', {}, shown))
    client.state.presence ??= el('presence')
  }

  #went(jid: string, program: string): void {
    const there = this.#present.get(jid)
    if (there?.delete(program) !== true || there.size > 0) return
    this.#present.delete(jid)
    this.#gone(jid)
  }

  #gone(jid: string): void {
    const client = this.#clients.get(jid)
    if (client === undefined) return
    this.#inTurn(jid, async () => {
      await routeStanza(this.#server, client, el('presence', { type: 'unavailable' }))
      client.state.presence = undefined
    })
  }

  #presenceOfGateway(from: Jid, to: Jid, type: string): void {
    if (type === 'subscribe') this.#answer(to, from, 'subscribed')
    if (type === 'unsubscribe') this.#answer(to, from, 'unsubscribed')
    if (type === '' || type === 'probe' || type === 'subscribe')
      this.#link.send(el('presence', { from: fullOf(to), to: bareOf(from) }))
  }

  async #presenceOfPerson(user: ComponentUser, from: Jid, to: Jid, type: string): Promise<void> {
    const client = this.#clientOf(user)
    const contact = inward({ ...to, resource: '' })
    const named = contact === undefined ? undefined : this.#server.names.named(user.account, contact)
    if (contact === undefined || named?.kind !== 'person') {
      if (type === 'subscribe' || type === 'probe') this.#answer(to, from, 'unsubscribed')
      return
    }
    if (type === 'subscribe' || type === 'subscribed') {
      const isKnown = await this.#accept(user.account, named.identity)
      if (type === 'subscribe') this.#answer(to, from, isKnown ? 'subscribed' : 'unsubscribed')
    }
    if (type === 'unsubscribe') this.#answer(to, from, 'unsubscribed')
    if (type === 'subscribe' || type === 'probe')
      await routeStanza(this.#server, client, el('presence', { type: 'probe', to: fullOf(contact) }))
  }

  /** A stranger who waits becomes a contact. @returns whether the account knows them now */
  async #accept(account: Identity, identity: Identity): Promise<boolean> {
    const { accounts, contacts, store } = this.#server.services
    if (accounts.has(identity)) return true
    const contact = contacts.byIdentity(account, identity)
    if (contact === undefined || contact.blocked) return false
    if (contact.state !== 'request') return isChosen(contact)
    try {
      await store.write((tx) => contacts.using(tx).accept(account, identity))
    } catch (error) {
      throw asStanzaError(error)
    }
    return true
  }

  #answer(from: Jid, to: Jid, type: string): void {
    this.#link.send(el('presence', { type, from: bareOf(from), to: bareOf(to) }))
  }

  #refuse(stanza: Element, error: StanzaError): void {
    this.#link.send(errorReply(stanza, error))
  }
}

const mustRegister = 'Register with the gateway first, with your account and an app password.'

interface Asked {
  readonly stanza: Element
  readonly from: Jid
  readonly to: Jid
  /** Bare JID of the sender. */
  readonly jid: string
}

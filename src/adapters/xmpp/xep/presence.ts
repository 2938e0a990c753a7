/**
 * Presence (RFC 6121 §4). Programs of one account see each other. Contacts are shown by what is known here: `Signals` says who
 * told that they are there; everybody else is `xa`, since their gateway takes messages at any time. What goes out is one coarse
 * word for the whole account, and only where the account wants it known.
 */
import type { Identity } from '../../../core/ids.ts'
import { limits } from '../../../core/limits.ts'
import type { Availability } from '../../../core/delivery/signals.ts'
import type { Client } from '../client.ts'
import { childText, clientNs, type Element, el, serialise, withAttrs } from '../element.ts'
import type { Feature, Server, Stanza } from '../feature.ts'
import { fullOf } from '../jid.ts'
import { contactResource } from '../names.ts'
import { StanzaError } from '../stanza-error.ts'
import { avatarMetadata, photoUpdate, withPhoto } from './avatars.ts'
import { capsOf } from './disco.ts'
import { interestsOf } from './interests.ts'
import { isOpenTo, type Neighbours, neighboursOf } from './neighbours.ts'
import { pepOf } from './pep/pep.ts'

/** A presence as it was sent. */
interface Shown {
  readonly from: string | undefined
  readonly text: string
}

class Presences implements Disposable {
  readonly #server: Server
  readonly #neighbours: Neighbours
  /** What the programs of an account were last shown of somebody. */
  readonly #shown = new Map<Identity, Map<Identity, Shown>>()
  /** What anybody was last shown of somebody: mostly what all others are shown, and kept once. */
  readonly #lastShown = new Map<Identity, Shown>()
  /** What the other accounts of this gateway were last told of one. */
  readonly #told = new Map<Identity, Availability | 'nothing'>()
  /** Accounts of this gateway that have seen a program. */
  readonly #directed = new WeakMap<Client, Set<Identity>>()
  readonly #stops: readonly (() => void)[]

  constructor(server: Server) {
    this.#server = server
    this.#neighbours = neighboursOf(server)
    const { signals, accounts, contacts, profiles } = server.services
    pepOf(server).whenChanged((tx, account, node) => {
      if (node === avatarMetadata) tx.afterCommit(() => this.#pictured(account))
    })
    this.#stops = [
      signals.watch((account, heard) => {
        if (heard.kind === 'presence') this.refresh(account, heard.who)
      }),
      contacts.watch((account, contact) => this.refresh(account, contact)),
      accounts.watch((identity) => {
        for (const account of this.#shown.keys()) if (account !== identity) this.refresh(account, identity)
      }),
      this.#neighbours.watch((account, other) => {
        this.refresh(account, other)
        this.#opened(other, account)
      }),
      profiles.watch(({ account, contact, topic }) => {
        if (topic === avatarMetadata) this.refresh(account, contact)
      }),
    ]
  }

  /** What `account` sees of somebody; `undefined` of whom it sees nothing. */
  #of(account: Identity, identity: Identity): Element | undefined {
    const { accounts, contacts, signals } = this.#server.services
    const from = fullOf({ ...this.#server.names.person(account, identity), resource: contactResource })
    const gone = el('presence', { type: 'unavailable', from })
    if (accounts.has(identity)) {
      if (accounts.get(identity).disabled || identity === account) return undefined
      if (!this.#neighbours.of(account, identity).sees) return gone
      return this.#shownAs(account, identity, from, this.#tells(identity) ? this.availability(identity) : 'offline')
    }
    const contact = contacts.byIdentity(account, identity)
    if (contact === undefined) return gone
    if (contact.state !== 'active') return undefined
    return contact.blocked ? gone : this.#shownAs(account, identity, from, signals.availabilityOf(account, identity))
  }

  #shownAs(account: Identity, identity: Identity, from: string, availability: Availability): Element {
    const show = { available: undefined, away: 'away', offline: 'xa' }[availability]
    const { names } = this.#server
    return el(
      'presence',
      { from },
      show && el('show', {}, show),
      capsOf(this.#server, names.person(account, identity), { kind: 'person', identity }),
      photoUpdate(this.#server, account, identity),
    )
  }

  #tells(account: Identity): boolean {
    return this.#server.services.conversations.settings(account).tellsPresence
  }

  /** Programs that are there hear of somebody who is shown in another way now. */
  refresh(account: Identity, identity: Identity): void {
    const shown = this.#shown.get(account)
    if (shown === undefined) return
    const before = shown.get(identity)
    const now = this.#of(account, identity)
    const presence = now?.attrs.type === undefined ? now : undefined
    // with the JID that it had: who was removed, or has another address, has that one no more
    if (before !== undefined && before.from !== presence?.attrs.from)
      this.#server.hub.toAll(account, el('presence', { type: 'unavailable', from: before.from }), isAvailable)
    if (presence === undefined) return void shown.delete(identity)
    const after = this.#asShown(identity, presence)
    if (before?.text === after.text) return
    shown.set(identity, after)
    this.#server.hub.toAll(account, presence, isAvailable)
  }

  heard(stanza: Stanza): 'done' | 'next' {
    const { element, type, toNamed, client } = stanza
    if (element.attrs.to === undefined) {
      if (type === '') this.#broadcast(client, element)
      else if (type === 'unavailable') this.#leave(client, element)
      else if (type !== 'error') throw new StanzaError('bad-request', `There is no presence of the type ${type}.`)
      return 'done'
    }
    if (toNamed.kind === 'room' || toNamed.kind === 'rooms') return 'next'
    if (type === 'probe') this.#probed(client, stanza)
    else if (type === '' || type === 'unavailable') this.#direct(stanza)
    return 'done'
  }

  #broadcast(client: Client, element: Element): void {
    const { account, state } = client
    const isInitial = state.presence === undefined
    const stamped = withPhoto(this.#server, account, element)
    state.presence = stamped
    state.priority = priorityOf(element)
    this.#server.hub.toAll(account, stamped, isAvailable)
    for (const other of this.#server.hub.accounts()) this.#tellNeighbour(client, other, stamped)
    if (isInitial) this.#showOthers(client)
    interestsOf(this.#server).heard(client, element)
    if (isInitial) for (const feature of this.#server.features) feature.available?.(client)
    this.#tellOthers(account)
  }

  #showOthers(client: Client): void {
    const { account } = client
    const { accounts, contacts } = this.#server.services
    for (const other of this.#server.hub.of(account))
      if (other !== client && other.state.presence !== undefined)
        client.send(withAttrs(other.state.presence, { to: fullOf(client.jid) }))
    this.#showNeighbours(client)
    const shown = this.#shown.get(account) ?? new Map<Identity, Shown>()
    this.#shown.set(account, shown)
    const people = [
      ...accounts.list(),
      ...contacts
        .list(account)
        .filter(({ state }) => state === 'active')
        .slice(-limits.xmppPresencesMax),
    ]
    for (const { identity } of people) {
      const presence = this.#of(account, identity)
      if (presence === undefined || presence.attrs.type !== undefined) continue
      shown.set(identity, this.#asShown(identity, presence))
      client.send(withAttrs(presence, { to: fullOf(client.jid) }))
    }
  }

  #asShown(identity: Identity, presence: Element): Shown {
    const text = serialise(presence)
    const last = this.#lastShown.get(identity)
    if (last?.text === text) return last
    const shown = { from: presence.attrs.from, text }
    this.#lastShown.set(identity, shown)
    return shown
  }

  /** RFC 6121 §4.2.2, §4.4.2: each program of another account of this gateway, for those who may see it. */
  #tellNeighbour(client: Client, other: Identity, presence: Element): void {
    if (other === client.account || !isOpenTo(this.#server, client.account, other)) return
    this.#server.hub.toAll(other, presence, isAvailable)
    this.#note(client, other)
  }

  /** Those of other accounts of this gateway whom it may see. */
  #showNeighbours(client: Client): void {
    const { hub } = this.#server
    for (const owner of hub.accounts())
      if (owner !== client.account && isOpenTo(this.#server, owner, client.account))
        for (const other of hub.of(owner).filter(isAvailable)) {
          client.send(withAttrs(other.state.presence!, { to: fullOf(client.jid) }))
          this.#note(other, client.account)
        }
  }

  /** It was agreed anew whether the other sees the owner. */
  #opened(owner: Identity, other: Identity): void {
    const isOpen = isOpenTo(this.#server, owner, other)
    for (const client of this.#server.hub.of(owner).filter(isAvailable)) {
      const isTold = this.#directed.get(client)?.has(other) === true
      if (isOpen && !isTold) this.#tellNeighbour(client, other, client.state.presence!)
      if (isOpen || !isTold) continue
      this.#directed.get(client)?.delete(other)
      this.#server.hub.toAll(other, el('presence', { type: 'unavailable', from: fullOf(client.jid) }), isAvailable)
    }
  }

  /** The account has another picture (XEP-0398 §4). */
  #pictured(account: Identity): void {
    for (const { state } of this.#server.hub.of(account)) {
      if (state.presence === undefined) continue
      state.presence = withPhoto(this.#server, account, state.presence)
      this.#server.hub.toAll(account, state.presence, isAvailable)
    }
    for (const other of this.#shown.keys()) if (other !== account) this.refresh(other, account)
  }

  #leave(client: Client, element: Element): void {
    const { account, state } = client
    const wasThere = state.presence !== undefined
    state.presence = undefined
    state.priority = 0
    interestsOf(this.#server).forget(client)
    this.#endDirected(client, withAttrs(element, { from: fullOf(client.jid) }))
    if (!wasThere) return
    // itself included: RFC 6121 §4.5.2
    if (this.#server.hub.find(account, client.jid) === client)
      client.send(withAttrs(element, { to: fullOf(client.jid) }))
    this.#server.hub.toAll(account, element, isAvailable)
    this.#tellOthers(account)
  }

  gone(client: Client): void {
    this.#leave(client, el('presence', { type: 'unavailable', from: fullOf(client.jid) }))
    if (this.#server.hub.of(client.account).length === 0) this.#shown.delete(client.account)
  }

  /** One word for all programs of an account. */
  availability(account: Identity): Availability {
    const present = this.#server.hub.of(account).filter(isAvailable)
    if (present.length === 0) return 'offline'
    const isAway = ({ state }: Client): boolean => /^(?:away|xa)$/.test(childText(state.presence!, 'show') ?? '')
    return present.every(isAway) ? 'away' : 'available'
  }

  /** Whoever goes on as before is news to nobody: a login would concern everybody on a box otherwise. */
  #tellOthers(account: Identity): void {
    const { signals } = this.#server.services
    const availability = this.availability(account)
    signals.setAvailability(account, availability, 'xmpp')
    const told = this.#tells(account) ? availability : 'nothing'
    if (this.#told.get(account) === told) return
    this.#told.set(account, told)
    for (const other of this.#shown.keys()) if (other !== account) this.refresh(other, account)
  }

  #probed(client: Client, { toNamed }: Stanza): void {
    if (toNamed.kind !== 'person') return
    const presence = this.#of(client.account, toNamed.identity)
    if (presence !== undefined) client.send(withAttrs(presence, { to: fullOf(client.jid) }))
  }

  /** To another account of this gateway; over the network no presence of one program goes to anybody (docs/xmpp.md). */
  #direct({ client, element, to, toNamed, type }: Stanza): void {
    const { hub, names, services } = this.#server
    if (toNamed.kind === 'self') {
      const other = hub.find(client.account, to)
      if (other !== undefined) other.send(element)
      return
    }
    if (toNamed.kind !== 'person' || !services.accounts.has(toNamed.identity)) return
    const from = fullOf({ ...names.person(toNamed.identity, client.account), resource: client.jid.resource })
    const isMeant = (other: Client): boolean =>
      isAvailable(other) && (to.resource === '' || other.jid.resource === to.resource)
    const there = fullOf({ ...names.own(toNamed.identity), resource: to.resource })
    for (const other of hub.of(toNamed.identity))
      if (isMeant(other)) other.send(withAttrs(element, { from, to: there }))
    if (type === 'unavailable') this.#directed.get(client)?.delete(toNamed.identity)
    else this.#note(client, toNamed.identity)
  }

  /** They hear of it when the program leaves. */
  #note(client: Client, other: Identity): void {
    const directed = this.#directed.get(client) ?? new Set()
    if (directed.size < limits.xmppDirectedMax) directed.add(other)
    this.#directed.set(client, directed)
  }

  #endDirected(client: Client, element: Element): void {
    for (const identity of this.#directed.get(client) ?? []) this.#server.hub.toAll(identity, element, isAvailable)
    this.#directed.delete(client)
  }

  [Symbol.dispose](): void {
    for (const stop of this.#stops) stop()
  }
}

const isAvailable = ({ state }: Client): boolean => state.presence !== undefined

/** RFC 6121 §4.7.2.3. */
function priorityOf(presence: Element): number {
  const text = childText(presence, `priority ${clientNs}`)?.trim() ?? '0'
  const value = /^-?\d{1,3}$/.test(text) ? Number(text) : 0
  return value >= -128 && value <= 127 ? value : 0
}

export const presence = (server: Server): Feature => {
  const own = new Presences(server)
  return {
    presence: async (stanza) => await Promise.resolve(own.heard(stanza)),
    gone: (client) => own.gone(client),
    [Symbol.dispose]: () => own[Symbol.dispose](),
  }
}

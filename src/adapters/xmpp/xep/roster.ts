/**
 * The roster (RFC 6121 §2) is the contacts and the other accounts of this gateway: a name is the contact's name, groups are kept
 * for the account, removing removes the contact. Versions (§2.6) are sums over all items: the same whatever led there.
 */
import { isChosen } from '../../../core/account/contact.ts'
import { array, type Codec, hexId, record, text } from '../../../core/codec.ts'
import { sha256Hex } from '../../../core/crypto/kdf.ts'
import { fromUtf8 } from '../../../core/bytes.ts'
import type { Identity } from '../../../core/ids.ts'
import { limits } from '../../../core/limits.ts'
import type { WriteTx } from '../../../core/store/store.ts'
import { childrenNamed, type Element, el, elements, serialise, textOf } from '../element.ts'
import type { Feature, Iq, Server } from '../feature.ts'
import { bareOf, type Jid, parseJid } from '../jid.ts'
import { Kept } from '../kept.ts'
import { StanzaError } from '../stanza-error.ts'
import { type Neighbours, neighboursOf, passStep, type Terms } from './neighbours.ts'

const ns = 'jabber:iq:roster'

/** What the account noted of somebody in the roster. */
interface Noted {
  readonly identity: Identity
  /** Of another account of this gateway, which has no contact's name. */
  readonly name: string
  readonly groups: readonly string[]
}
const notedCodec: Codec<Noted> = record<Noted>({
  identity: hexId<Identity>(32),
  name: text(limits.displayNameOctetsMax),
  groups: array(text(limits.xmppRosterGroupOctetsMax), limits.xmppRosterGroupsMax),
})
const noted = new Kept<Noted>('groups', notedCodec)

/** Somebody whom nobody here knows: an item and nothing more (RFC 6121 §2.1.2.5, `none`). */
interface Listed {
  readonly jid: string
  readonly name: string
  readonly groups: readonly string[]
}
const listedCodec: Codec<Listed> = record<Listed>({
  jid: text(limits.xmppJidOctetsMax),
  name: text(limits.displayNameOctetsMax),
  groups: array(text(limits.xmppRosterGroupOctetsMax), limits.xmppRosterGroupsMax),
})
const listed = new Kept<Listed>('listed', listedCodec)

/** An identity, or the JID of nobody known. */
type Who = Identity | string

/** An item as programs were told of it. */
interface ToldItem {
  readonly jid: string
  readonly text: string
  readonly digest: bigint
}

/** What anybody was last told of somebody: mostly what all others are told, and kept once. */
type LastTold = Map<Identity, ToldItem>

/** What programs of one account were told. */
class Told {
  readonly items = new Map<Who, ToldItem>()
  readonly #last: LastTold
  #sum = 0n

  constructor(last: LastTold) {
    this.#last = last
  }

  /** @returns whether it is something else than before */
  set(who: Who, item: Element | undefined): boolean {
    const before = this.items.get(who)
    const text = item && serialise(item, ns)
    if (before?.text === text) return false
    if (before !== undefined) this.#sum ^= before.digest
    if (text === undefined) this.items.delete(who)
    else {
      const told = this.#asTold(who, item!.attrs.jid!, text)
      this.#sum ^= told.digest
      this.items.set(who, told)
    }
    return true
  }

  #asTold(who: Who, jid: string, text: string): ToldItem {
    const last = isIdentity(who) ? this.#last.get(who) : undefined
    if (last?.text === text) return last
    const told = { jid, text, digest: digestOf(text) }
    if (isIdentity(who)) this.#last.set(who, told)
    return told
  }

  get version(): string {
    return this.#sum.toString(36)
  }
}

const digestOf = (item: string): bigint => BigInt(`0x${sha256Hex(fromUtf8(item)).slice(0, 32)}`)

class Roster implements Disposable {
  readonly #server: Server
  readonly #neighbours: Neighbours
  /** Of accounts of which a program asked for the roster, while one is there. */
  readonly #told = new Map<Identity, Told>()
  readonly #lastTold: LastTold = new Map()
  readonly #stops: readonly (() => void)[]
  #pushes = 0

  constructor(server: Server) {
    this.#server = server
    this.#neighbours = neighboursOf(server)
    const { contacts, accounts } = server.services
    this.#stops = [
      contacts.watch((account, contact) => this.refresh(account, contact)),
      this.#neighbours.watch((account, other) => this.refresh(account, other)),
      accounts.watch((identity) => {
        for (const account of this.#told.keys()) if (account !== identity) this.refresh(account, identity)
      }),
    ]
  }

  #item(account: Identity, who: Who): Element | undefined {
    return isIdentity(who) ? this.#itemOf(account, who) : this.#listedItem(account, who)
  }

  #listedItem(account: Identity, text: string): Element | undefined {
    const found = this.#server.services.store.read((tx) => listed.get(tx, account, text))
    const jid = parseJid(text)
    // since become somebody
    if (found === undefined || jid === undefined || this.#isSomebody(account, jid)) return undefined
    const groups = found.groups.map((group) => el(`group ${ns}`, {}, group))
    const name = found.name === '' ? undefined : found.name
    return el(`item ${ns}`, { jid: text, name, subscription: 'none' }, groups)
  }

  #isSomebody(account: Identity, jid: Jid): boolean {
    return this.#server.names.named(account, jid).kind === 'person'
  }

  #itemOf(account: Identity, identity: Identity): Element | undefined {
    const { accounts, contacts, store, people } = this.#server.services
    const jid = bareOf(this.#server.names.person(account, identity))
    const note = store.read((tx) => noted.get(tx, account, identity))
    const groups = (note?.groups ?? []).map((group) => el(`group ${ns}`, {}, group))
    if (accounts.has(identity)) {
      if (identity === account || accounts.get(identity).disabled) return undefined
      const terms = this.#neighbours.of(account, identity)
      if (!terms.isListed) return undefined
      const name = note?.name === undefined || note.name === '' ? people.nameOf(account, identity) : note.name
      return el(`item ${ns}`, { jid, name, ...subscriptionOf(terms) }, groups)
    }
    const contact = contacts.byIdentity(account, identity)
    if (contact === undefined || !isChosen(contact)) return undefined
    const name = contact.displayName === '' ? undefined : contact.displayName
    const state = contact.state === 'active' ? { subscription: 'both' } : { subscription: 'none', ask: 'subscribe' }
    return el(`item ${ns}`, { jid, name, ...state }, groups)
  }

  #toldOf(account: Identity): Told {
    const known = this.#told.get(account)
    if (known !== undefined) return known
    const told = new Told(this.#lastTold)
    this.#told.set(account, told)
    const { accounts, contacts, store } = this.#server.services
    const people: readonly Who[] = [
      ...store.read((tx) => listed.list(tx, account)).map(({ jid }) => jid),
      ...accounts.list().map(({ identity }) => identity),
      ...contacts
        .list(account)
        .filter(isChosen)
        .slice(-limits.xmppRosterItemsMax)
        .map(({ identity }) => identity),
    ]
    for (const who of people) told.set(who, this.#item(account, who))
    return told
  }

  get({ client, payload }: Iq): Element | undefined {
    client.state.wantsRoster = true
    const told = this.#toldOf(client.account)
    const { ver } = payload.attrs
    if (ver !== undefined && ver === told.version) return undefined
    const items = [...told.items.keys()].flatMap((who) => this.#item(client.account, who) ?? [])
    return el(`query ${ns}`, { ver: told.version }, items)
  }

  /** Programs hear of an item once it is another one than they know. */
  refresh(account: Identity, who: Who): void {
    const told = this.#told.get(account)
    if (told === undefined) return
    const item = this.#item(account, who)
    const before = told.items.get(who)
    if (before === undefined && item !== undefined && told.items.size >= 2 * limits.xmppRosterItemsMax) return
    if (isIdentity(who) && item !== undefined) told.set(item.attrs.jid!, undefined)
    if (!told.set(who, item)) return
    // another address is another item to programs
    if (before !== undefined && before.jid !== item?.attrs.jid)
      this.#push(account, el(`item ${ns}`, { jid: before.jid, subscription: 'remove' }))
    if (item !== undefined) this.#push(account, item)
  }

  #push(account: Identity, item: Element): void {
    this.#pushes += 1
    const query = el(`query ${ns}`, { ver: this.#told.get(account)?.version ?? '' }, item)
    this.#server.hub.toAll(
      account,
      el('iq', { type: 'set', id: `roster-${this.#pushes}` }, query),
      ({ state }) => state.wantsRoster,
    )
  }

  /** Tells one item again as it is: a program thinks that it has changed it. */
  pushAgain(account: Identity, identity: Identity): void {
    const item = this.#item(account, identity)
    if (item !== undefined) this.#push(account, item)
  }

  async set({ client, payload, handled }: Iq): Promise<undefined> {
    const { account } = client
    const [item, ...more] = elements(payload)
    if (item?.name !== 'item' || item.ns !== ns || more.length > 0)
      throw new StanzaError('bad-request', 'One item at a time.')
    const jid = parseJid(item.attrs.jid ?? '')
    if (jid === undefined) throw new StanzaError('jid-malformed')
    const { contacts, accounts, store } = this.#server.services
    const named = this.#server.names.named(account, jid)
    if (named.kind === 'self') throw new StanzaError('not-allowed', 'That is this account itself.')
    if (item.attrs.subscription === 'remove') {
      if (named.kind !== 'person') return await this.#unlist(account, bareOf(jid), handled)
      const contact = contacts.byIdentity(account, named.identity)
      if (accounts.has(named.identity)) return await this.#part(account, named.identity, handled)
      if (contact === undefined || !isChosen(contact)) throw new StanzaError('item-not-found')
      await store.write((tx) => {
        contacts.using(tx).remove(account, contact.identity)
        noted.remove(tx, account, contact.identity)
        handled(tx)
      })
      return undefined
    }
    const groups = readGroups(item)
    const { name } = item.attrs
    if (name !== undefined && Buffer.byteLength(name) > limits.displayNameOctetsMax)
      throw new StanzaError('not-acceptable', `A name has at most ${limits.displayNameOctetsMax} octets.`)
    if (named.kind !== 'person')
      return await this.#list(account, { jid: bareOf(jid), name: name ?? '', groups }, handled)
    const { identity } = named
    await store.write((tx) => {
      const contact = contacts.byIdentity(account, identity)
      const isNamed = contact !== undefined && name !== undefined && name !== contact.displayName
      if (isNamed) contacts.using(tx).rename(account, identity, name)
      const kept = accounts.has(identity) ? (name ?? '') : ''
      if (accounts.has(identity)) this.#neighbours.list(tx, account, identity)
      noted.put(tx, account, [identity], { identity, name: kept, groups })
      handled(tx)
      tx.afterCommit(() => this.refresh(account, identity))
    })
    return undefined
  }

  /** With another account of this gateway. */
  async #part(account: Identity, other: Identity, handled: (tx: WriteTx) => void): Promise<undefined> {
    await this.#server.services.store.write((tx) => {
      if (!this.#neighbours.of(account, other).isListed) throw new StanzaError('item-not-found')
      this.#neighbours.remove(tx, account, other, (type) => passStep(this.#server, account, other, type))
      noted.remove(tx, account, other)
      handled(tx)
    })
    return undefined
  }

  async #list(account: Identity, item: Listed, handled: (tx: WriteTx) => void): Promise<undefined> {
    await this.#server.services.store.write((tx) => {
      if (listed.get(tx, account, item.jid) === undefined && listed.count(tx, account) >= limits.xmppListedMax)
        throw new StanzaError('resource-constraint', `At most ${limits.xmppListedMax} addresses of nobody known.`)
      listed.put(tx, account, [item.jid], item)
      handled(tx)
      tx.afterCommit(() => this.refresh(account, item.jid))
    })
    return undefined
  }

  async #unlist(account: Identity, jid: string, handled: (tx: WriteTx) => void): Promise<undefined> {
    await this.#server.services.store.write((tx) => {
      if (listed.get(tx, account, jid) === undefined) throw new StanzaError('item-not-found')
      listed.remove(tx, account, jid)
      handled(tx)
      tx.afterCommit(() => this.refresh(account, jid))
    })
    return undefined
  }

  gone(account: Identity): void {
    if (this.#server.hub.of(account).length === 0) this.#told.delete(account)
  }

  [Symbol.dispose](): void {
    for (const stop of this.#stops) stop()
  }
}

/** RFC 6121 §2.1.2.5, §2.1.2.2. */
const subscriptionOf = ({ sees, isSeen, asks }: Terms): Readonly<Record<string, string>> => ({
  subscription: sees ? (isSeen ? 'both' : 'to') : isSeen ? 'from' : 'none',
  ...(asks ? { ask: 'subscribe' } : {}),
})

const isIdentity = (who: Who): who is Identity => /^[\da-f]{64}$/.test(who)

/** RFC 6121 §2.3.3. @throws StanzaError `bad-request`, `not-acceptable` */
function readGroups(item: Element): readonly string[] {
  const groups = childrenNamed(item, 'group').map(textOf)
  if (new Set(groups).size < groups.length) throw new StanzaError('bad-request', 'The same group twice.')
  const fits = (group: string): boolean => group !== '' && Buffer.byteLength(group) <= limits.xmppRosterGroupOctetsMax
  if (groups.length > limits.xmppRosterGroupsMax || !groups.every(fits))
    throw new StanzaError('not-acceptable', 'Too many groups, one too long, or one without a name.')
  return groups
}

const known = new WeakMap<Server['hub'], Roster>()

/** One for each server. */
export function rosterOf(server: Server): Roster {
  const made = known.get(server.hub) ?? new Roster(server)
  known.set(server.hub, made)
  return made
}

export const roster = (server: Server): Feature => {
  const own = rosterOf(server)
  return {
    // RFC 6121 §2.6.1
    streamFeatures: () => [el('ver urn:xmpp:features:rosterver')],
    iq: [
      { payload: `query ${ns}`, type: 'get', at: ['self'], answer: (iq) => own.get(iq) },
      { payload: `query ${ns}`, type: 'set', at: ['self'], answer: (iq) => own.set(iq) },
      {
        payload: `query ${ns}`,
        at: ['person', 'unknown'],
        answer() {
          throw new StanzaError('forbidden', 'That is the roster of somebody else.')
        },
      },
    ],
    // programs answer pushes; nothing depends on it (RFC 6121 §2.1.6)
    result: ({ element }) => (/^roster-\d+$/.test(element.attrs.id ?? '') ? 'done' : 'next'),
    gone: ({ account }) => own.gone(account),
    [Symbol.dispose]: () => own[Symbol.dispose](),
  }
}

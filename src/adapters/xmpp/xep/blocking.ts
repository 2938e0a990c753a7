/**
 * XEP-0191: blocking somebody blocks the contact, as `contact block` does, on every protocol. JIDs of nobody who is known are
 * noted, and whoever comes by such an address later is blocked at once.
 */
import { type Codec, record, text } from '../../../core/codec.ts'
import type { Contact } from '../../../core/account/contact.ts'
import type { Identity } from '../../../core/ids.ts'
import { domainOf } from '../../../core/message/address.ts'
import { limits } from '../../../core/limits.ts'
import type { WriteTx } from '../../../core/store/store.ts'
import { childrenNamed, type Element, el } from '../element.ts'
import type { Feature, Iq, Server } from '../feature.ts'
import { bareOf, type Jid, parseJid } from '../jid.ts'
import { Kept } from '../kept.ts'
import { StanzaError } from '../stanza-error.ts'

const ns = 'urn:xmpp:blocking'

interface BlockedJid {
  readonly jid: string
}
const blockedCodec: Codec<BlockedJid> = record<BlockedJid>({ jid: text(2 * limits.xmppNameOctetsMax) })
const noted = new Kept<BlockedJid>('blocked', blockedCodec)

class Blocking implements Disposable {
  readonly #server: Server
  /** Accounts' programs that asked for the list: they hear of changes (§3.4). */
  readonly #follow = new WeakSet()
  readonly #stop: () => void
  #pushes = 0

  constructor(server: Server) {
    this.#server = server
    this.#stop = server.services.contacts.watch((account, contact) => void this.#blockIfNoted(account, contact))
  }

  list({ client }: Iq): Element {
    this.#follow.add(client)
    const { account } = client
    const { contacts, store } = this.#server.services
    const people = contacts
      .list(account)
      .filter(({ blocked }) => blocked)
      .map(({ identity }) => bareOf(this.#server.names.person(account, identity)))
    const others = store.read((tx) => noted.list(tx, account)).map(({ jid }) => jid)
    const jids = [...new Set([...people, ...others])].toSorted()
    return el(
      `blocklist ${ns}`,
      {},
      jids.map((jid) => el(`item ${ns}`, { jid })),
    )
  }

  async block(iq: Iq): Promise<undefined> {
    const jids = itemsOf(iq.payload)
    if (jids.length === 0) throw new StanzaError('bad-request', 'Whom?')
    const { account } = iq.client
    for (const jid of jids) {
      const named = this.#server.names.named(account, jid)
      if (named.kind === 'self' || named.kind === 'server')
        throw new StanzaError('not-allowed', 'An account does not block itself, nor its gateway.')
      if (named.kind === 'person' && this.#server.services.accounts.has(named.identity))
        throw new StanzaError('not-allowed', 'Accounts of this gateway are the affair of whoever runs it.')
    }
    await this.#server.services.store.write((tx) => {
      for (const jid of jids) this.#blockOne(tx, account, jid)
      if (noted.count(tx, account) > limits.xmppBlockedMax)
        throw new StanzaError('resource-constraint', 'Too many addresses are blocked.')
      iq.handled(tx)
    })
    this.#push(account, 'block', jids)
    return undefined
  }

  #blockOne(tx: WriteTx, account: Identity, jid: Jid): void {
    const named = this.#server.names.named(account, jid)
    if (named.kind === 'person') this.#server.services.contacts.using(tx).block(account, named.identity)
    else noted.put(tx, account, [bareOf(jid)], { jid: bareOf(jid) })
  }

  /** Nobody named: everybody. */
  async unblock(iq: Iq): Promise<undefined> {
    const { account } = iq.client
    const { contacts, store } = this.#server.services
    const jids = itemsOf(iq.payload)
    await store.write((tx) => {
      const writer = contacts.using(tx)
      if (jids.length === 0) {
        for (const { identity, blocked } of contacts.list(account)) if (blocked) writer.unblock(account, identity)
        noted.removeAll(tx, account)
      }
      for (const jid of jids) {
        const named = this.#server.names.named(account, jid)
        if (named.kind === 'person' && contacts.byIdentity(account, named.identity)?.blocked === true)
          writer.unblock(account, named.identity)
        noted.remove(tx, account, bareOf(jid))
      }
      iq.handled(tx)
    })
    this.#push(account, 'unblock', jids)
    return undefined
  }

  #push(account: Identity, what: 'block' | 'unblock', jids: readonly Jid[]): void {
    this.#pushes += 1
    const items = jids.map((jid) => el(`item ${ns}`, { jid: bareOf(jid) }))
    const push = el('iq', { type: 'set', id: `blocking-${this.#pushes}` }, el(`${what} ${ns}`, {}, items))
    this.#server.hub.toAll(account, push, (client) => this.#follow.has(client))
  }

  /** A stranger who comes by an address that was blocked before anybody had it. */
  async #blockIfNoted(account: Identity, identity: Identity): Promise<void> {
    const { contacts, store } = this.#server.services
    const contact = contacts.byIdentity(account, identity)
    if (contact?.state !== 'request' || contact.blocked) return
    const isNoted = isBlockedBeforehand(this.#server, account, contact)
    if (isNoted) await store.write((tx) => contacts.using(tx).block(account, identity)).catch(() => {})
  }

  [Symbol.dispose](): void {
    this.#stop()
  }
}

/** Did the account block an address of theirs, or its domain, before it knew them? */
export const isBlockedBeforehand = (
  { services: { store } }: Server,
  account: Identity,
  { addresses }: Contact,
): boolean =>
  store.read((tx) =>
    addresses.some(({ address }) =>
      [address, domainOf(address)].some((jid) => noted.get(tx, account, jid) !== undefined),
    ),
  )

/** @throws StanzaError `jid-malformed`, `not-acceptable` */
function itemsOf(payload: Element): readonly Jid[] {
  const items = childrenNamed(payload, 'item')
  if (items.length > limits.xmppBlockedMax) throw new StanzaError('not-acceptable', 'Too many at once.')
  return items.map(({ attrs }) => {
    const jid = parseJid(attrs.jid ?? '')
    if (jid === undefined) throw new StanzaError('jid-malformed')
    return jid
  })
}

export const blocking = (server: Server): Feature => {
  const own = new Blocking(server)
  return {
    iq: [
      { payload: `blocklist ${ns}`, type: 'get', at: ['self', 'server'], answer: (iq) => own.list(iq) },
      { payload: `block ${ns}`, type: 'set', at: ['self', 'server'], answer: (iq) => own.block(iq) },
      { payload: `unblock ${ns}`, type: 'set', at: ['self', 'server'], answer: (iq) => own.unblock(iq) },
    ],
    disclose: (_to, { kind }, _client, node) =>
      node === undefined && (kind === 'server' || kind === 'self') ? { features: [ns] } : undefined,
    result: ({ element }) => (/^blocking-\d+$/.test(element.attrs.id ?? '') ? 'done' : 'next'),
    [Symbol.dispose]: () => own[Symbol.dispose](),
  }
}

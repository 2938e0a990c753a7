/**
 * Subscriptions (RFC 6121 §3) are contact requests: who waits to be accepted asks to subscribe, and is accepted by being told
 * `subscribed`. Between contacts a subscription is always mutual; there is nothing to give or take back by itself. Between accounts of this
 * gateway it is as neighbours.ts says.
 */
import type { Contact } from '../../../core/account/contact.ts'
import type { ContactWriter } from '../../../core/account/contact-writer.ts'
import type { Identity } from '../../../core/ids.ts'
import { type Element, el, elements, withAttrs } from '../element.ts'
import type { Feature, Server, Stanza } from '../feature.ts'
import { bareOf } from '../jid.ts'
import { StanzaError } from '../stanza-error.ts'
import { isBlockedBeforehand } from './blocking.ts'
import { neighboursOf, passStep, subscriptionTypes, type SubscriptionType } from './neighbours.ts'
import { rosterOf } from './roster.ts'
import { unknownPerson } from './unknown-person.ts'

const isSubscription = (type: string): type is SubscriptionType =>
  (subscriptionTypes as readonly string[]).includes(type)

export const subscriptions = (server: Server): Feature => {
  const { accounts, contacts, store } = server.services
  const neighbours = neighboursOf(server)
  /** Strangers whose request the programs that are there have seen. */
  const shown = new Map<Identity, Set<Identity>>()

  const asking = (account: Identity, { identity, displayName, fingerprint }: Contact): Element =>
    el(
      'presence',
      { type: 'subscribe', from: bareOf(server.names.person(account, identity)) },
      el('status', {}, `Wants to be your contact. Compare these digits before you trust it: ${fingerprint}`),
      displayName === '' ? undefined : el('nick http://jabber.org/protocol/nick', {}, displayName),
    )

  /** One who has just come. */
  const show = (account: Identity, identity: Identity): void => {
    const contact = contacts.byIdentity(account, identity)
    const known = shown.get(account) ?? new Set()
    if (contact?.state !== 'request' || contact.blocked) return void known.delete(identity)
    if (known.has(identity) || server.hub.of(account).length === 0) return
    if (isBlockedBeforehand(server, account, contact)) return
    shown.set(account, known.add(identity))
    server.hub.toAll(account, asking(account, contact), ({ state }) => state.presence !== undefined)
  }
  const stop = contacts.watch(show)

  const change = async (
    { client, handled }: Stanza,
    use: (writer: ContactWriter, account: Identity) => unknown,
  ): Promise<void> => {
    await store.write((tx) => {
      use(contacts.using(tx), client.account)
      handled(tx)
    })
  }

  const answer = (account: Identity, identity: Identity, type: string): void => {
    const { hub, names } = server
    const presence = el('presence', {
      type,
      from: bareOf(names.person(account, identity)),
      to: bareOf(names.own(account)),
    })
    for (const client of hub.of(account)) if (client.state.wantsRoster) client.send(presence)
  }

  const accept = async (stanza: Stanza, { identity }: Contact): Promise<void> =>
    await change(stanza, (writer, account) => writer.accept(account, identity))

  /** With another account of this gateway. */
  const step = async (
    { client: { account }, element, handled }: Stanza,
    other: Identity,
    type: SubscriptionType,
  ): Promise<void> => {
    const beside = elements(element)
    const passed = (): void => passStep(server, account, other, type, beside)
    const isNews = await store.write((tx) => {
      handled(tx)
      return neighbours.step(tx, account, other, { type, beside, passed })
    })
    if (!isNews && type === 'subscribe') answer(account, other, 'subscribed')
  }

  const subscribe = async (stanza: Stanza): Promise<void> => {
    const { client, toNamed, to } = stanza
    // RFC 6121 §8.5.1
    if (toNamed.kind !== 'person' && to.domain === server.names.server) return
    if (toNamed.kind !== 'person') throw unknownPerson(bareOf(to))
    const { account } = client
    const contact = contacts.byIdentity(account, toNamed.identity)
    if (contact?.blocked === true) throw new StanzaError('not-allowed', 'Take the block off first.')
    if (contact?.state === 'request' || contact?.state === 'fellow') await accept(stanza, contact)
    rosterOf(server).pushAgain(account, toNamed.identity)
    // one who was invited and has not answered stays asked
    if (contact?.state !== 'pending') answer(account, toNamed.identity, 'subscribed')
  }

  return {
    async presence(stanza) {
      const { client, toNamed, type, element } = stanza
      if (!isSubscription(type)) return 'next'
      if (element.attrs.to === undefined) throw new StanzaError('bad-request', 'To whom?')
      if (toNamed.kind !== 'person' && toNamed.kind !== 'unknown') return 'done'
      if (toNamed.kind === 'person' && accounts.has(toNamed.identity)) {
        await step(stanza, toNamed.identity, type)
        return 'done'
      }
      if (type === 'subscribe') {
        await subscribe(stanza)
        return 'done'
      }
      if (toNamed.kind !== 'person') return 'done'
      const { identity } = toNamed
      const contact = contacts.byIdentity(client.account, identity)
      if (contact?.state === 'request') {
        if (type === 'subscribed') await accept(stanza, contact)
        // removed, it would ask again at once: its gateway goes on trying
        if (type === 'unsubscribed') await change(stanza, (writer, account) => writer.block(account, identity))
      } else if (type === 'unsubscribe' || type === 'unsubscribed') rosterOf(server).pushAgain(client.account, identity)
      return 'done'
    },
    gone({ account }) {
      if (server.hub.of(account).length === 0) shown.delete(account)
    },
    [Symbol.dispose]: stop,
    // RFC 6121 §3.1.3: each program that comes hears of all who wait
    available(client) {
      const { account, jid } = client
      const known = shown.get(account) ?? new Set()
      for (const contact of contacts.requests(account)) {
        known.add(contact.identity)
        client.send(withAttrs(asking(account, contact), { to: bareOf(jid) }))
      }
      shown.set(account, known)
      for (const { identity, beside } of neighbours.asking(account)) {
        if (!accounts.has(identity)) continue
        const from = bareOf(server.names.own(identity))
        client.send(el('presence', { type: 'subscribe', from, to: bareOf(jid) }, beside))
      }
    },
  }
}

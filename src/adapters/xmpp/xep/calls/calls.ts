/**
 * Calls between programs of two gateways. What invites to one (XEP-0353) goes as messages to all programs of a contact or
 * to one, the negotiation (XEP-0166, 0167, 0176, 0320) as iqs between two programs and their answers. All of it passes as
 * a signal, kept nowhere; that somebody called is a message of the conversation.
 */
import { fromUtf8 } from '../../../../core/bytes.ts'
import type { HeardCall } from '../../../../core/delivery/call-signals.ts'
import { MyceliumError } from '../../../../core/errors.ts'
import type { DeviceId, Identity } from '../../../../core/ids.ts'
import { limits } from '../../../../core/limits.ts'
import type { Client } from '../../client.ts'
import { asStanzaError } from '../../core-errors.ts'
import { child, childrenNamed, type Element, el, elements, serialise, withAttrs, withChildren } from '../../element.ts'
import type { Feature, Iq, IqHandler, Server, Stanza } from '../../feature.ts'
import { bareOf, fullOf, type Jid, parseJid, withResource } from '../../jid.ts'
import { errorReply, StanzaError } from '../../stanza-error.ts'
import { Aliases, isAlias } from './aliases.ts'
import { withoutHosts } from './candidates.ts'
import { type CallStanza, jingleNs, onlyCall, readCall, refusal, renamed, stepOf, writeCall } from './payload.ts'
import { Waiting } from '../../waiting.ts'

const carbonsNs = 'urn:xmpp:carbons:2'
const rtpNs = 'urn:xmpp:jingle:apps:rtp:1'

/** Said of every contact's programs, whatever they are: what theirs can do shows in the call itself. */
const callFeatures: readonly string[] = [
  jingleNs,
  'urn:xmpp:jingle-message:0',
  rtpNs,
  'urn:xmpp:jingle:apps:rtp:audio',
  'urn:xmpp:jingle:apps:rtp:video',
  'urn:xmpp:jingle:apps:rtp:rtcp-fb:0',
  'urn:xmpp:jingle:apps:rtp:rtp-hdrext:0',
  'urn:xmpp:jingle:apps:dtls:0',
  'urn:xmpp:jingle:transports:ice-udp:1',
]

/** An iq that a program of this gateway has sent and waits for. */
interface Asked {
  readonly client: Client
  readonly element: Element
}

/** An iq that came for a program of this gateway, which has not answered yet. */
interface Asking {
  readonly client: Client
  readonly peer: Identity
  readonly alias: string
  readonly device: DeviceId
  readonly id: string
}

export const calls = (server: Server): Feature => new Calls(server)

class Calls implements Feature {
  readonly #server: Server
  readonly #aliases: Aliases
  readonly #asked: Waiting<Asked>
  readonly #asking: Waiting<Asking>
  /** Calls that are noted in their conversation. */
  readonly #begun = new Set<string>()
  readonly #unwatch: () => void
  readonly iq: readonly IqHandler[]

  constructor(server: Server) {
    this.#server = server
    this.#aliases = new Aliases(server.ambient.random)
    const bounds = { ms: limits.xmppCallAnswerMs, max: limits.xmppCallAsksMax }
    this.#asked = new Waiting(bounds, ({ client, element }) =>
      client.send(errorReply(element, new StanzaError('remote-server-timeout'))),
    )
    this.#asking = new Waiting({ ...bounds, ms: 2 * bounds.ms }, () => {})
    this.#unwatch = server.services.callSignals.watch((account, heard) => this.#heard(account, heard))
    this.iq = [
      {
        payload: `jingle ${jingleNs}`,
        at: ['person'],
        full: true,
        type: 'set',
        answer: async (iq) => {
          await this.#ask(iq)
          return 'later' as const
        },
      },
    ]
  }

  /** Of a contact as a whole: with one resource for all of its programs, presence says the same (XEP-0115). */
  disclose(
    _to: Jid,
    { kind }: Stanza['toNamed'],
    _client: Client | undefined,
    node: string | undefined,
  ): { readonly features: readonly string[] } | undefined {
    return kind === 'person' && node === undefined ? { features: callFeatures } : undefined
  }

  async message(message: Stanza): Promise<'done' | 'next'> {
    const { client, element, to, toNamed, type } = message
    const step = stepOf(element)
    if (step === undefined || type === 'error' || type === 'groupchat') return 'next'
    if (toNamed.kind === 'self') {
      if (to.resource === '') this.#invite(client.account, message)
      this.#toOwn(client.account, onlyCall(element), client.jid, to)
      return 'done'
    }
    if (toNamed.kind !== 'person') return 'next'
    const told = this.#invite(toNamed.identity, message)
    this.#copySent(message)
    if (step.name === 'propose') await this.#note(message, toNamed.identity, step)
    if (told === 0 && step.name === 'propose')
      throw new StanzaError('recipient-unavailable', 'This contact is not there now.')
    return 'done'
  }

  result({ client, element, to, toNamed }: Stanza): 'done' | 'next' {
    if (toNamed.kind !== 'person') return 'next'
    const asking = this.#asking.take(askingName(client, toNamed.identity, to.resource, element.attrs.id!))
    if (asking === undefined) return 'next'
    this.#reply(asking, this.#outward(element))
    return 'done'
  }

  gone(client: Client): void {
    for (const asking of this.#asking.takeWhere((one) => one.client === client))
      this.#reply(asking, refusal(asking.id, 'recipient-unavailable'))
    this.#asked.takeWhere((one) => one.client === client)
    this.#aliases.gone(client)
  }

  [Symbol.dispose](): void {
    this.#unwatch()
    this.#asked[Symbol.dispose]()
    this.#asking[Symbol.dispose]()
  }

  /** @returns how many devices of theirs it goes to */
  #invite(peer: Identity, { client, element, to }: Stanza): number {
    const alias = to.resource
    const device = this.#aliases.deviceOf(client.account, peer, alias)
    return this.#send(client, peer, {
      element: this.#outward(element),
      // RFC 6121 §8.5.3.2.1: what is for a program that is not known is for all
      to: device === undefined ? '' : alias,
      device,
    })
  }

  /** To own other programs, here and at own other devices (XEP-0280). */
  #copySent({ client, element, to }: Stanza): void {
    if (child(element, `private ${carbonsNs}`) !== undefined) return
    const { hub } = this.#server
    const { account, jid } = client
    hub.toAll(account, carbonOf('sent', jid, element), (one) => one !== client && one.state.carbons)
    const copy = { element: this.#outward(element), from: this.#aliases.of(client), to: bareOf(to) }
    this.#tryToSend(account, account, writeCall(copy))
  }

  /** @throws StanzaError */
  async #ask(iq: Iq): Promise<void> {
    const { client, element, to, toNamed } = iq
    const { id } = element.attrs
    if (toNamed.kind !== 'person' || id === undefined) throw new StanzaError('service-unavailable')
    const peer = toNamed.identity
    const device = this.#aliases.deviceOf(client.account, peer, to.resource)
    if (device === undefined) throw new StanzaError('service-unavailable', 'No such program is known.')
    const name = askedName(this.#aliases.of(client), peer, to.resource, id)
    if (!this.#asked.add(name, { client, element })) throw new StanzaError('resource-constraint')
    try {
      const alias = this.#aliases.of(client)
      const names = new Map([
        [fullOf(client.jid), alias],
        [fullOf(to), to.resource],
      ])
      const outward = renamed(this.#outward(element), (jid) => names.get(jid))
      const told = this.#send(client, peer, { element: outward, to: to.resource, device })
      if (told === 0) throw new StanzaError('recipient-unavailable')
      await this.#noteStart(iq, peer)
    } catch (error) {
      this.#asked.take(name)
      throw error
    }
  }

  #send(
    client: Client,
    peer: Identity,
    { device, ...stanza }: Omit<CallStanza, 'from'> & { readonly device: DeviceId | undefined },
  ): number {
    const payload = writeCall({ ...stanza, from: this.#aliases.of(client) })
    try {
      return this.#server.services.callSignals.send(client.account, peer, { protocol: 'jingle', payload }, device)
    } catch (error) {
      throw asStanzaError(error)
    }
  }

  /** As others may see it. */
  #outward(element: Element): Element {
    const call = onlyCall(element)
    return this.#server.services.hostCandidates ? call : withoutHosts(call)
  }

  #noteStart(iq: Iq, peer: Identity): Promise<void> | undefined {
    const { action, sid = '' } = iq.payload.attrs
    const descriptions = childrenNamed(iq.payload, 'content').flatMap((content) => elements(content))
    const started = descriptions.filter(({ name, ns }) => name === 'description' && ns === rtpNs)
    if (action !== 'session-initiate' || started.length === 0) return undefined
    const kinds = started.map(({ attrs: { media } }) => el(`description ${rtpNs}`, { media }))
    return this.#note(iq, peer, el('propose urn:xmpp:jingle-message:0', { id: sid }, kinds))
  }

  /** That somebody called, once for each call. */
  async #note({ client, handled }: Stanza, peer: Identity, propose: Element): Promise<void> {
    const name = client.account + (propose.attrs.id ?? '')
    if (this.#begun.has(name)) return
    this.#begun.add(name)
    if (this.#begun.size > limits.xmppCallsBegunMax) this.#begun.delete(this.#begun.values().next().value!)
    const { store, chats } = this.#server.services
    const part = { kind: 'call', protocol: 'jingle', payload: fromUtf8(serialise(propose)) } as const
    try {
      await store.write((tx) => {
        chats.sayIn(tx, client.account, peer, { parts: [part] })
        handled(tx)
      })
    } catch (error) {
      throw asStanzaError(error)
    }
  }

  #heard(account: Identity, { from: peer, device, protocol, payload }: HeardCall): void {
    if (protocol !== 'jingle') return
    const call = readCall(payload)
    if (call === undefined) return
    const { names } = this.#server
    const from = withResource(names.person(account, peer), call.from)
    if (peer === account) return this.#heardOfOwn(account, from, call)
    this.#aliases.heard(account, peer, call.from, device)
    if (call.element.name === 'iq') this.#heardIq(account, peer, device, call)
    else this.#heardMessage(account, from, call)
  }

  #heardMessage(account: Identity, from: Jid, { element, to }: CallStanza): void {
    const { hub, names } = this.#server
    const only = to === '' ? undefined : this.#aliases.client(account, to)
    if (only === undefined) return this.#toOwn(account, element, from, names.own(account))
    const arrived = addressed(element, from, only.jid)
    only.send(arrived)
    hub.toAll(account, carbonOf('received', only.jid, arrived), (one) => one !== only && one.state.carbons)
  }

  /** From a program at another device of the account: it went to all own ones, or to somebody else. */
  #heardOfOwn(account: Identity, from: Jid, { element, to }: CallStanza): void {
    const { hub, names } = this.#server
    if (element.name !== 'message') return
    const other = parseJid(to)
    if (other === undefined || !to.includes('@')) return this.#toOwn(account, element, from, names.own(account))
    const copy = carbonOf('sent', from, addressed(element, from, other))
    hub.toAll(account, copy, (one) => one.state.carbons)
  }

  #toOwn(account: Identity, element: Element, from: Jid, to: Jid): void {
    const { hub } = this.#server
    const only = to.resource === '' ? undefined : hub.find(account, to)
    for (const client of only === undefined ? hub.of(account) : [only]) client.send(addressed(element, from, to))
  }

  #heardIq(account: Identity, peer: Identity, device: DeviceId, { element, from: alias, to }: CallStanza): void {
    const id = element.attrs.id!
    const client = this.#aliases.client(account, to)
    if (element.attrs.type !== 'set') {
      const asked = this.#asked.take(askedName(to, peer, alias, id))
      if (asked === undefined || asked.client !== client) return
      const { to: from, from: back } = asked.element.attrs
      client.send(withAttrs(element, { from, to: back }))
      return
    }
    if (client === undefined) {
      const payload = writeCall({ element: refusal(id, 'service-unavailable'), from: to, to: alias })
      if (isAlias(to)) this.#tryToSend(account, peer, payload, device)
      return
    }
    const asking = { client, peer, alias, device, id }
    if (!this.#asking.add(askingName(client, peer, alias, id), asking))
      return this.#reply(asking, refusal(id, 'resource-constraint'))
    const from = withResource(this.#server.names.person(account, peer), alias)
    const names = new Map([
      [alias, fullOf(from)],
      [to, fullOf(client.jid)],
    ])
    const inward = renamed(element, (name) => names.get(name))
    client.send(addressed(inward, from, client.jid))
  }

  #reply({ client, peer, alias, device }: Asking, element: Element): void {
    const payload = writeCall({ element, from: this.#aliases.of(client), to: alias })
    this.#tryToSend(client.account, peer, payload, device)
  }

  /** Whoever cannot be told learns it from their own gateway's patience. */
  #tryToSend(account: Identity, peer: Identity, payload: Uint8Array, device?: DeviceId): void {
    try {
      this.#server.services.callSignals.send(account, peer, { protocol: 'jingle', payload }, device)
    } catch (error) {
      if (!(error instanceof MyceliumError)) throw error
    }
  }
}

const askedName = (own: string, peer: Identity, alias: string, id: string): string => [own, peer, alias, id].join(' ')
const askingName = ({ account, jid }: Client, peer: Identity, alias: string, id: string): string =>
  [account, jid.resource, peer, alias, id].join(' ')

const addressed = (element: Element, from: Jid, to: Jid): Element =>
  withAttrs(element, { from: fullOf(from), to: fullOf(to) })

/** XEP-0280 §7, §8. */
function carbonOf(kind: 'sent' | 'received', own: Jid, element: Element): Element {
  const message = el('message', { from: bareOf(own), type: element.attrs.type })
  const forwarded = el('forwarded urn:xmpp:forward:0', {}, element)
  return withChildren(message, el(`${kind} ${carbonsNs}`, {}, forwarded))
}

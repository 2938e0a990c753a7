/**
 * What happens in the chats of accounts whose programs are there, as stanzas to each of them: what others say, what the
 * same person says with another program or by mail (XEP-0280), what was delivered, failed, read and typed.
 */
import type { FeedStep } from '../../../core/conversation/conversations.ts'
import type { FeedEvent } from '../../../core/conversation/rows.ts'
import { hasBody } from '../../../core/conversation/history.ts'
import type { Heard } from '../../../core/delivery/signals.ts'
import type { ConversationId, Identity, MessageId } from '../../../core/ids.ts'
import { limits } from '../../../core/limits.ts'
import type { ReadTx } from '../../../core/store/store.ts'
import type { Client } from '../client.ts'
import { type Element, el, withAttrs, withChildren } from '../element.ts'
import type { Server } from '../feature.ts'
import { bareOf, fullOf } from '../jid.ts'
import { errorReply, StanzaError } from '../stanza-error.ts'
import type { ClientIds } from './client-ids.ts'
import { ns } from './namespaces.ts'
import type { Origin, Origins } from './origins.ts'
import { dated, directSight, readStored } from './stored.ts'
import { forwarded, idIn, type Sight, type Stored, toXmpp } from './to-xmpp.ts'

interface FollowParts {
  readonly server: Server
  readonly ids: ClientIds
  readonly origins: Origins
  /** Somebody's programs were given what came up to this number. */
  readonly onGiven: (account: Identity, number: number) => void
}

/** RFC 6121 §8.5.2: those that a message without a resource goes to. */
export const hears = ({ state }: Client): boolean => state.presence !== undefined && state.priority >= 0

export class Follower implements Disposable {
  readonly #parts: FollowParts
  readonly #stops: readonly (() => void)[]
  /** Who the other of a conversation is: it never changes. Undefined for groups. */
  readonly #peers = new Map<string, Identity | undefined>()
  /** Of those that have not sent their first presence: where in the account's feed they were bound. */
  readonly #awaited = new WeakMap<Client, number>()
  #isOver = false

  constructor(parts: FollowParts) {
    this.#parts = parts
    const { conversations, signals } = parts.server.services
    this.#stops = [
      conversations.watch((account, step) => this.#step(account, step)),
      signals.watch((account, heard) => this.#heard(account, heard)),
    ]
    conversations.whenShown((tx, account, row, { id, message }) => {
      // nothing that is shown, for programs that are there
      const isPassing = row.state === 'quiet' && message.author !== account && message.place?.kind === 'direct'
      if (isPassing) tx.afterCommit(() => this.#pass(account, id, message.author))
    })
  }

  [Symbol.dispose](): void {
    this.#isOver = true
    for (const stop of this.#stops) stop()
  }

  /**
   * One that may resume its stream after the gateway has started again gets what it was not given before (its `upTo` is
   * read at once: every part does the same for its own). Its first presence may have gone with the process
   * before, which is then sent again: until it comes nothing counts as given.
   */
  bound(client: Client): void {
    const { state } = client
    const from = state.upTo
    if (from === undefined) return
    if (state.presence === undefined && !state.carbons) this.#awaited.set(client, from)
    else queueMicrotask(() => this.#catchUp(client, from))
  }

  /** After which number all is given with the first presence; `undefined` of one that has sent it. */
  awaitedFrom(client: Client): number | undefined {
    return this.#awaited.get(client)
  }

  awaitedCame(client: Client): void {
    const from = this.#awaited.get(client)
    if (from === undefined) return
    this.#awaited.delete(client)
    this.#catchUp(client, from)
  }

  #catchUp(client: Client, from: number): void {
    const { server, ids } = this.#parts
    const { account, jid, state } = client
    const { store, conversations } = server.services
    if (this.#isOver || server.hub.find(account, jid) !== client) return
    store.read((tx) => {
      const to = conversations.history.feed.lastNumber(tx, account) + 1
      for (const step of conversations.history.feed.steps(tx, account, { from: from + 1, to })) {
        state.upTo = Math.max(state.upTo ?? 0, step.number)
        if (step.event.kind !== 'message' && step.event.kind !== 'about') continue
        const stanza = this.stanzaOf(tx, account, step)
        const stored = readStored(tx, server, account, step.event.message)
        if (stanza === undefined || stored === undefined) continue
        const isSent = stored.message.author === account && this.#peerOf(account, step.conversation) !== account
        if (!isSent) this.#giveTo(client, stanza)
        // what it said itself it knows
        else if (state.carbons && ids.spoken(tx, account, stored.id)?.resource !== jid.resource)
          client.send(carbon('sent', stanza, bareOf(server.names.own(account)), client))
      }
    })
  }

  /** What is said in the account's chats, as its programs see it. @returns undefined for what is no stanza */
  stanzaOf(
    tx: ReadTx,
    account: Identity,
    { conversation, event }: Pick<FeedStep, 'conversation' | 'event'>,
  ): Element | undefined {
    const peer = this.#peerOf(account, conversation)
    if (peer === undefined || (event.kind !== 'message' && event.kind !== 'about')) return undefined
    const { server, ids } = this.#parts
    const stored = readStored(tx, server, account, event.message)
    return stored && this.#made(stored, directSight(tx, server, ids, account, peer))
  }

  #made(stored: Stored, sight: Sight): Element | undefined {
    const stanza = toXmpp(stored, sight)
    return stanza && dated(this.#parts.server, stored, stanza)
  }

  #step(account: Identity, { number, conversation, event }: FeedStep): void {
    const { server, onGiven } = this.#parts
    const clients = server.hub.of(account)
    if (clients.length === 0 || this.#isOver) return
    for (const client of clients) if (!this.#awaited.has(client)) client.state.upTo = number
    const peer = this.#peerOf(account, conversation)
    if (peer !== undefined) server.services.store.read((tx) => this.#tell(tx, account, { peer, conversation, event }))
    if (clients.some(hears)) onGiven(account, number)
  }

  #tell(
    tx: ReadTx,
    account: Identity,
    step: { readonly peer: Identity; readonly conversation: ConversationId; readonly event: FeedEvent },
  ): void {
    const { server, ids } = this.#parts
    const { peer, event } = step
    const sight = directSight(tx, server, ids, account, peer)
    switch (event.kind) {
      case 'message':
      case 'about': {
        const stored = readStored(tx, server, account, event.message)
        const stanza = stored && this.#made(stored, sight)
        if (stanza === undefined) return
        if (stored?.message.author === account && peer !== account)
          this.#copy(account, stanza, this.#parts.origins.ofSaid(account, event.message))
        else this.#give(account, stanza, this.#parts.origins.ofSaid(stored!.message.author, event.message))
        return
      }
      case 'delivered':
        this.#delivered(account, event.message, sight)
        return
      case 'failed':
        this.#failed(account, event.message, sight)
        return
      case 'read':
        this.#read(tx, account, { ...step, event }, sight)
        return
      // of groups only
      case 'struck':
      case 'file':
      case 'group':
    }
  }

  /** To whom it is for, and to the others as a copy, where they want one (XEP-0280 §7). */
  #give(account: Identity, stanza: Element, origin?: Origin): void {
    const clients = this.#parts.server.hub.of(account)
    if (origin === undefined || origin.client.account === account)
      for (const client of clients) this.#giveTo(client, stanza)
    else for (const client of clients) this.#passTo(client, stanza, origin)
  }

  #giveTo(client: Client, stanza: Element): void {
    const own = bareOf(this.#parts.server.names.own(client.account))
    if (hears(client)) client.send(withAttrs(stanza, { to: fullOf(client.jid) }))
    else if (client.state.carbons) client.send(carbon('received', stanza, own, client))
  }

  /** From a program of another account of this gateway: addressed as it was (RFC 6120 §8.1, RFC 6121 §8.5). */
  #passTo(client: Client, stanza: Element, origin: Origin): void {
    const { client: sender, type, recipient, isPrivate, states = [] } = origin
    const own = bareOf(this.#parts.server.names.own(client.account))
    const to = recipient === undefined ? own : fullOf(recipient.jid)
    const passed = withChildren(withAttrs(stanza, { from: fullOf(sender.jid), to, type }), ...states)
    if (recipient === undefined ? hears(client) : client === recipient) client.send(passed)
    else if (client.state.carbons && !isPrivate) client.send(carbon('received', passed, own, client))
  }

  /** What the account itself said, to its other programs. */
  #copy(account: Identity, stanza: Element, origin: Origin | undefined): void {
    if (origin?.isPrivate === true) return
    const { hub, names } = this.#parts.server
    for (const client of hub.of(account))
      if (client.state.carbons && client !== origin?.client)
        client.send(carbon('sent', stanza, bareOf(names.own(account)), client))
  }

  /** XEP-0184 §5.4: where its program asked, and only once the contact has it. */
  #delivered(account: Identity, id: MessageId, sight: Sight): void {
    const spoken = sight.spoken(id)
    if (spoken?.wantsReceipt !== true) return
    const receipt = el(`received ${ns.receipts}`, { id: spoken.id ?? id })
    this.#give(account, this.#aside(sight, `delivered-${id}`, receipt))
  }

  /** Nobody will bring it there any more (RFC 6120 §8.3). */
  #failed(account: Identity, id: MessageId, sight: Sight): void {
    const said = el('message', { type: 'chat', id: idIn(sight, id), from: sight.by, to: sight.to(account) })
    const error = new StanzaError('recipient-unavailable', 'This message was not delivered, and is not tried any more.')
    this.#parts.server.hub.toAll(account, errorReply(said, error), hears)
  }

  #read(
    tx: ReadTx,
    account: Identity,
    {
      peer,
      conversation,
      event,
    }: {
      readonly peer: Identity
      readonly conversation: ConversationId
      readonly event: Extract<FeedEvent, { readonly kind: 'read' }>
    },
    sight: Sight,
  ): void {
    const { who, upTo } = event
    const isOwn = who === account
    const named = this.#markable(tx, account, { conversation, upTo, author: isOwn ? peer : account })
    if (named !== undefined) {
      const marker = this.#markerOf(who, named, sight)
      if (!isOwn) this.#give(account, marker)
      else if (peer !== account) this.#copy(account, marker, this.#parts.origins.ofRead(account, upTo))
    }
  }

  #markerOf(who: Identity, id: MessageId, sight: Sight): Element {
    const marker = el(`displayed ${ns.markers}`, { id: idIn(sight, id) })
    const attrs = { type: sight.type, id: `displayed-${id}`, from: sight.from(who), to: sight.to(who) }
    return el('message', attrs, marker)
  }

  /** XEP-0333 §4: a marker names a message of the other: the last one up to there. */
  #markable(
    tx: ReadTx,
    account: Identity,
    {
      conversation,
      upTo,
      author,
    }: { readonly conversation: ConversationId; readonly upTo: MessageId; readonly author: Identity },
  ): MessageId | undefined {
    const { history } = this.#parts.server.services.conversations
    const row = history.message(tx, account, upTo)
    if (row === undefined) return undefined
    let left: number = limits.xmppMarkLookBack
    for (const { id } of history.feed.numbers(tx, account, conversation, {
      from: 1,
      to: row.number + 1,
      reverse: true,
    })) {
      const stored = readStored(tx, this.#parts.server, account, id)
      if (stored?.message.author === author && hasBody(stored.message)) return id
      left -= 1
      if (left === 0) return undefined
    }
    return undefined
  }

  #heard(account: Identity, heard: Heard): void {
    if (heard.kind !== 'typing' || heard.who === account || this.#parts.server.hub.of(account).length === 0) return
    const peer = this.#peerOf(account, heard.conversation)
    if (peer !== heard.who) return
    const { server, ids } = this.#parts
    const sight = server.services.store.read((tx) => directSight(tx, server, ids, account, peer))
    const state = el(`${heard.isOn ? 'composing' : 'paused'} ${ns.chatStates}`)
    const stanza = this.#aside(sight, undefined, state, el(`no-store ${ns.hints}`))
    this.#parts.server.hub.toAll(account, stanza, (client) => hears(client) && !client.state.isInactive)
  }

  #pass(account: Identity, id: MessageId, peer: Identity): void {
    const { server, ids } = this.#parts
    if (this.#isOver || server.hub.of(account).length === 0) return
    const stanza = server.services.store.read((tx) => {
      const stored = readStored(tx, server, account, id)
      return stored && toXmpp(stored, directSight(tx, server, ids, account, peer))
    })
    if (stanza !== undefined) this.#give(account, stanza, this.#parts.origins.ofSaid(peer, id))
  }

  /** Something that the other's server says of a chat. */
  #aside(sight: Sight, id: string | undefined, ...children: readonly Element[]): Element {
    return el('message', { type: 'chat', id, from: sight.to(sight.account), to: sight.by }, children)
  }

  #peerOf(account: Identity, conversation: ConversationId): Identity | undefined {
    const name = account + conversation
    if (this.#peers.has(name)) return this.#peers.get(name)
    const partner = this.#parts.server.services.conversations.get(account, conversation)?.partner
    if (partner === undefined) return undefined
    if (this.#peers.size >= limits.xmppPartnersKnownMax) this.#peers.clear()
    const peer = partner.kind === 'direct' ? partner.peer : undefined
    this.#peers.set(name, peer)
    return peer
  }
}

function carbon(direction: 'sent' | 'received', stanza: Element, own: string, { jid }: Client): Element {
  const attrs = { type: stanza.attrs.type, from: own, to: fullOf(jid) }
  return el('message', attrs, el(`${direction} ${ns.carbons}`, {}, forwarded(stanza)))
}

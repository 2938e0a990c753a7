/** What is said in rooms: what clients say, what those in the room get, and what was said before they came. */
import { type FeedStep, idOfPartner } from '../../../../core/conversation/conversations.ts'
import { hasBody } from '../../../../core/conversation/history.ts'
import type { FeedEvent } from '../../../../core/conversation/rows.ts'
import type { Heard } from '../../../../core/delivery/signals.ts'
import type { ConversationId, GroupId, Identity, MessageId } from '../../../../core/ids.ts'
import { limits } from '../../../../core/limits.ts'
import type { ReadTx, WriteTx } from '../../../../core/store/store.ts'
import { asStanzaError } from '../../core-errors.ts'
import { el, type Element, withAttrs } from '../../element.ts'
import type { Stanza } from '../../feature.ts'
import { fullOf } from '../../jid.ts'
import { ClientIds } from '../../messages/client-ids.ts'
import { ns } from '../../messages/namespaces.ts'
import { againOf, fileBehind, isSignal } from '../../messages/say.ts'
import { readStored } from '../../messages/stored.ts'
import { type Meaning, toCanonical, uploadUrlOf } from '../../messages/to-canonical.ts'
import type { Seat } from './attendance.ts'
import { boundsOf, within } from './history-bounds.ts'
import type { MucParts } from './parts.ts'
import { inRoom, type Room } from './rooms.ts'
import { type Past, pastStanzaIn, type RoomView, type SightParts, stanzaIn, struckIn } from './sight.ts'

export const conversationOf = (account: Identity, group: GroupId): ConversationId =>
  idOfPartner(account, { kind: 'group', group })

/** Of every number. */
const beyond = Number.MAX_SAFE_INTEGER

interface Done {
  readonly meaning: Meaning | undefined
  readonly said: MessageId | undefined
}

export class RoomTalk {
  readonly #parts: SightParts
  #isOver = false

  constructor(parts: MucParts) {
    const { conversations } = parts.server.services
    this.#parts = { ...parts, ids: new ClientIds(conversations) }
    conversations.whenShown((tx, account, row, { id, message }) => {
      const group = message.place?.kind === 'group' ? message.place.group : undefined
      // nothing that is kept: for programs that are there, the author's own too (XEP-0045 §7.4)
      if (row.state === 'quiet' && group !== undefined) tx.afterCommit(() => this.#show(account, group, id, 0))
    })
  }

  [Symbol.dispose](): void {
    this.#isOver = true
  }

  get parts(): SightParts {
    return this.#parts
  }

  /** @throws StanzaError */
  async say(seat: Seat, stanza: Stanza): Promise<void> {
    const { client, element } = stanza
    const { account } = client
    const { services } = this.#parts.server
    const conversation = conversationOf(account, seat.group)
    try {
      const { meaning } = isSignal(element)
        ? { meaning: this.#meant(account, conversation, element) }
        : await this.#say(seat, stanza, conversation)
      if (meaning?.isTyping !== undefined) services.signals.typing(account, conversation, meaning.isTyping)
      if (meaning?.displayed !== undefined) await services.chats.markRead(account, conversation, meaning.displayed)
    } catch (error) {
      throw asStanzaError(error)
    }
  }

  /** Takes back what another said (XEP-0425). @throws StanzaError */
  async moderate(account: Identity, group: GroupId, id: string, handled: (tx: WriteTx) => void): Promise<void> {
    const { services } = this.#parts.server
    const conversation = conversationOf(account, group)
    try {
      await services.store.write((tx) => {
        const draft = toCanonical(el('message', {}, el(`retract ${ns.retract}`, { id })), {
          resolve: (one) => this.#parts.ids.resolve(tx, account, conversation, one),
        }).draft!
        services.groups.sayIn(tx, account, group, draft)
        handled(tx)
      })
    } catch (error) {
      throw asStanzaError(error)
    }
  }

  /** What was said up to the seat's number, for who enters. @param wanted the `history` element (XEP-0045 §7.2.13) */
  historyOf(
    { client, group, room: jid, sinceNumber }: Seat,
    room: Room,
    wanted: Element | undefined,
  ): readonly Element[] {
    const { services, ambient } = this.#parts.server
    const bounds = boundsOf(wanted, ambient.clock.nowMs())
    if (bounds.stanzasMax === 0) return []
    const view: RoomView = { room, jid, account: client.account }
    return services.store.read((tx) =>
      within(this.#latest(tx, view, group, sinceNumber), bounds).map((stanza) =>
        withAttrs(stanza, { to: fullOf(client.jid) }),
      ),
    )
  }

  *#latest(tx: ReadTx, view: RoomView, group: GroupId, upTo: number): Generator<Past> {
    const { history } = this.#parts.server.services.conversations
    const { account } = view
    const conversation = conversationOf(account, group)
    for (const { id } of history.feed.numbers(tx, account, conversation, { from: 1, to: upTo + 1, reverse: true })) {
      const past = pastStanzaIn(tx, this.#parts, view, id)
      if (past !== undefined) yield past
    }
  }

  /** What was said since the seat's number; how far that is, chats say for both. */
  catchUp(seat: Seat): void {
    const { services } = this.#parts.server
    const { account } = seat.client
    const conversation = conversationOf(account, seat.group)
    const missed = services.store.read((tx) => [
      ...services.conversations.history.feed.numbers(tx, account, conversation, {
        from: seat.sinceNumber + 1,
        to: beyond,
      }),
    ])
    for (const { id } of missed) this.#showTo([seat], id)
  }

  /** Something happened in a group. */
  tell(account: Identity, group: GroupId, { number, event }: FeedStep): void {
    if (event.kind === 'message' || event.kind === 'about') this.#show(account, group, event.message, number)
    else if (event.kind === 'read') this.#read(account, group, event)
    else if (event.kind === 'struck')
      for (const { client, room } of this.#parts.attendance.in(account, group))
        client.send(withAttrs(struckIn(room, event.message), { to: fullOf(client.jid) }))
  }

  /** Another member types. */
  hear(account: Identity, group: GroupId, heard: Extract<Heard, { readonly kind: 'typing' }>): void {
    for (const seat of this.#parts.attendance.in(account, group)) {
      const nick = seat.scene.occupants.get(heard.who)?.nick
      if (nick === undefined || seat.client.state.isInactive) continue
      const state = el(`${heard.isOn ? 'composing' : 'paused'} ${ns.chatStates}`)
      this.#aside(seat, nick, undefined, state, el(`no-store ${ns.hints}`))
    }
  }

  #meant(account: Identity, conversation: ConversationId, element: Element): Meaning {
    const { server, ids } = this.#parts
    return server.services.store.read((tx) =>
      toCanonical(element, { resolve: (id) => ids.resolve(tx, account, conversation, id) }),
    )
  }

  async #say(seat: Seat, { client, element, handled }: Stanza, conversation: ConversationId): Promise<Done> {
    const { server, ids } = this.#parts
    const { account } = client
    const { services, ambient } = server
    const url = uploadUrlOf(element)
    using prepared = url === undefined ? undefined : await fileBehind(server, account, url)
    const again = againOf(element, ambient.clock.nowMs())
    const { before, ...done } = await services.store.write((tx) => {
      handled(tx)
      const saidBefore = ids.saidBefore(tx, account, again)
      if (saidBefore !== undefined) return { before: saidBefore, meaning: undefined, said: undefined }
      const resolve = (id: string) => ids.resolve(tx, account, conversation, id)
      const meaning = toCanonical(element, { resolve, file: prepared?.part })
      if (meaning.draft === undefined) return { before: undefined, meaning, said: undefined }
      const { id: said } = services.groups.sayIn(tx, account, seat.group, meaning.draft)
      ids.remember(tx, account, said, again)
      return { before: undefined, meaning, said }
    })
    // said again by a program that has not seen it come back
    if (before !== undefined) this.#showTo([seat], before)
    if (url !== undefined && prepared !== undefined && done.said !== undefined)
      await services.uploads.said(account, url, done.said)
    return done
  }

  /** @param number of the feed; 0 for what has none */
  #show(account: Identity, group: GroupId, id: MessageId, number: number): void {
    const seats = this.#parts.attendance.in(account, group)
    if (number === 0) this.#showTo(seats, id)
    else
      this.#showNumbered(
        seats.filter(({ sinceNumber }) => number > sinceNumber),
        id,
        number,
      )
  }

  /** So that a client that is resumed after a start gets what comes after this one (client.ts). */
  #showNumbered(seats: readonly Seat[], id: MessageId, number: number): void {
    for (const { client } of seats) client.state.upTo = Math.max(client.state.upTo ?? 0, number)
    this.#showTo(seats, id)
  }

  #showTo(seats: readonly Seat[], id: MessageId): void {
    const { rooms, server } = this.#parts
    for (const { client, group, room: jid } of this.#isOver ? [] : seats) {
      const room = rooms.find(client.account, group)
      if (room === undefined) continue
      const view: RoomView = { room, jid, account: client.account }
      const stanza = server.services.store.read((tx) => stanzaIn(tx, this.#parts, view, id))
      if (stanza !== undefined) client.send(withAttrs(stanza, { to: fullOf(client.jid) }))
    }
  }

  /** XEP-0333 §5: by its stanza-id. How far the account itself has read its programs know by XEP-0490. */
  #read(account: Identity, group: GroupId, { who, upTo }: Extract<FeedEvent, { readonly kind: 'read' }>): void {
    const seats = this.#parts.attendance.in(account, group)
    if (seats.length === 0 || who === account) return
    const named = this.#parts.server.services.store.read((tx) => this.#lastWords(tx, account, group, upTo))
    if (named === undefined) return
    for (const seat of seats) {
      const nick = seat.scene.occupants.get(who)?.nick
      if (nick !== undefined)
        this.#aside(seat, nick, `displayed-${named}`, el(`displayed ${ns.markers}`, { id: named }))
    }
  }

  /** A mark may stand at a reaction: what was read is the message before it. */
  #lastWords(tx: ReadTx, account: Identity, group: GroupId, upTo: MessageId): MessageId | undefined {
    const { history } = this.#parts.server.services.conversations
    const row = history.message(tx, account, upTo)
    if (row === undefined) return undefined
    let left: number = limits.xmppMarkLookBack
    const span = { from: 1, to: row.number + 1, reverse: true }
    for (const { id } of history.feed.numbers(tx, account, conversationOf(account, group), span)) {
      const stored = readStored(tx, this.#parts.server, account, id)
      if (stored !== undefined && hasBody(stored.message)) return id
      left -= 1
      if (left === 0) return undefined
    }
    return undefined
  }

  #aside({ client, room }: Seat, nick: string, id: string | undefined, ...children: readonly Element[]): void {
    const from = fullOf(inRoom(room, nick))
    client.send(el('message', { type: 'groupchat', id, from, to: fullOf(client.jid) }, children))
  }
}

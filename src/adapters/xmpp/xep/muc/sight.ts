/** Messages of a group as a client in its room sees them: as in a chat, and with whose they are (XEP-0421) and moderation (XEP-0425). */
import { aboutOf } from '../../../../core/conversation/history.ts'
import type { Identity, MessageId } from '../../../../core/ids.ts'
import type { ReadTx } from '../../../../core/store/store.ts'
import { el, type Element, withChildren } from '../../element.ts'
import { bareOf, fullOf, type Jid, parseJid } from '../../jid.ts'
import type { ClientIds } from '../../messages/client-ids.ts'
import { ns } from '../../messages/namespaces.ts'
import { readStored, sightBase } from '../../messages/stored.ts'
import { delayOf, saidAtMs, type Sight, type Stored, toXmpp } from '../../messages/to-xmpp.ts'
import { mucUser, occupantIdNs } from './namespaces.ts'
import type { MucParts } from './parts.ts'
import { inRoom, type Room } from './rooms.ts'

/** @param jid as whoever looks calls the room */
export interface RoomView {
  readonly room: Room
  readonly jid: Jid
  readonly account: Identity
}

export interface SightParts extends MucParts {
  readonly ids: ClientIds
}

export const moderateNs = 'urn:xmpp:message-moderate:1'
export const moderateOldNs = 'urn:xmpp:message-moderate:0'

function roomSight(tx: ReadTx, { server, rooms, ids }: SightParts, { room, jid, account }: RoomView): Sight {
  const base = sightBase(tx, server, ids, account)
  return {
    ...base,
    // RFC 6120 §8.1.3: between accounts of one gateway an id stays what it was
    spoken(id) {
      const author = base.spoken(id) === undefined ? base.cited(id)?.author : undefined
      return author !== undefined && server.services.accounts.has(author) ? ids.spoken(tx, author, id) : base.spoken(id)
    },
    type: 'groupchat',
    by: bareOf(jid),
    from: (author) => fullOf(inRoom(jid, rooms.author(account, room, author).nick)),
    to: () => undefined,
  }
}

/** @returns undefined for what is no stanza, or not here any more */
export function stanzaIn(tx: ReadTx, parts: SightParts, view: RoomView, id: MessageId): Element | undefined {
  const stored = readStored(tx, parts.server, view.account, id)
  return stored && stanzaOf(parts, view, stored, roomSight(tx, parts, view))
}

/** With when it was said, for who was not there. */
export function pastStanzaIn(tx: ReadTx, parts: SightParts, view: RoomView, id: MessageId): Past | undefined {
  const stored = readStored(tx, parts.server, view.account, id)
  const stanza = stored && stanzaOf(parts, view, stored, roomSight(tx, parts, view))
  if (stored === undefined || stanza === undefined) return undefined
  const atMs = saidAtMs(stored)
  return { atMs, stanza: withChildren(stanza, delayOf(atMs, bareOf(view.jid))) }
}

/** As the room's archive holds it: with the address of its author too (XEP-0313 §6.1.2). */
export function archivedStanza(tx: ReadTx, parts: SightParts, view: RoomView, stored: Stored): Element | undefined {
  const stanza = stanzaOf(parts, view, stored, roomSight(tx, parts, view))
  if (stanza === undefined || parseJid(stanza.attrs.from ?? '')?.resource === '') return stanza
  const { account, room } = view
  const { author } = stored.message
  const there = parts.rooms.occupants(account, room).get(author)
  const { jid } = there ?? parts.rooms.author(account, room, author)
  const item = el(`item ${mucUser}`, { jid, affiliation: there?.affiliation ?? 'none', role: there?.role ?? 'none' })
  return withChildren(stanza, el(`x ${mucUser}`, {}, item))
}

export interface Past {
  readonly atMs: number
  readonly stanza: Element
}

function stanzaOf(parts: SightParts, view: RoomView, stored: Stored, sight: Sight): Element | undefined {
  const about = aboutOf(stored.message)
  const isOthers = about?.kind === 'redaction' && sight.cited(about.target)?.author !== stored.message.author
  const stanza = isOthers ? moderation(parts, view, stored, about.target) : toXmpp(stored, sight)
  if (stanza === undefined || isOthers) return stanza
  return withChildren(stanza, el(`occupant-id ${occupantIdNs}`, { id: authorOf(parts, view, stored).id }))
}

const authorOf = ({ rooms }: MucParts, { account, room }: RoomView, { message }: Stored) =>
  rooms.author(account, room, message.author)

/** XEP-0425 §4: said by the room; and once more for programs that know its first version. */
function moderation(parts: MucParts, view: RoomView, stored: Stored, target: MessageId): Element {
  const { jid } = view
  const { nick, id } = authorOf(parts, view, stored)
  const by = fullOf(inRoom(jid, nick))
  return el(
    'message',
    { type: 'groupchat', id: stored.id, from: bareOf(jid) },
    el(
      `retract ${ns.retract}`,
      { id: target },
      el(`moderated ${moderateNs}`, { by }, el(`occupant-id ${occupantIdNs}`, { id })),
    ),
    el(
      `apply-to ${ns.apply}`,
      { id: target },
      el(`moderated ${moderateOldNs}`, { by }, el(`retract ${ns.retractOld}`)),
    ),
    el(`stanza-id ${ns.sid}`, { id: stored.id, by: bareOf(jid) }),
    el(`store ${ns.hints}`),
  )
}

/** What somebody said who had been removed, as is known only now: the room takes it back (XEP-0425 §4). */
export const struckIn = (room: Jid, id: MessageId): Element =>
  el(
    'message',
    { type: 'groupchat', id: `struck-${id}`, from: bareOf(room) },
    el(
      `retract ${ns.retract}`,
      { id },
      el(`moderated ${moderateNs}`, { by: bareOf(room) }),
      el(`reason ${ns.retract}`, {}, 'Its author had been removed from the room.'),
    ),
  )

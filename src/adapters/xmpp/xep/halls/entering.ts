/** Presence that programs send to halls: entering, another nick, what they do, leaving (XEP-0045 §7.2, §7.6, §7.7). */
import { fromUtf8 } from '../../../../core/bytes.ts'
import { limits } from '../../../../core/limits.ts'
import type { Client } from '../../client.ts'
import { child, childText, el, type Element, elements, serialise } from '../../element.ts'
import type { Stanza } from '../../feature.ts'
import { fullOf } from '../../jid.ts'
import { StanzaError } from '../../stanza-error.ts'
import { boundsOf, within } from '../muc/history-bounds.ts'
import { muc, mucUser, occupantIdNs } from '../muc/namespaces.ts'
import { type Hall, isAdmin, type Occupant, status } from './hall.ts'
import { type HallParts, ownJid } from './parts.ts'
import { subjectOf } from './history.ts'
import { leave } from './leaving.ts'

/** @throws StanzaError */
export function takePresence(parts: HallParts, presence: Stanza): void {
  const { client, element, to, type } = presence
  const hall = parts.halls.find(to)
  const occupant = hall?.of(client)
  if (type === 'error') return
  if (type === 'unavailable') {
    if (hall !== undefined) leave(parts, hall, client, shownOf(element))
    return
  }
  if (type !== '') throw new StanzaError('not-allowed', 'there is nothing to subscribe to in a room')
  const x = child(element, `x ${muc}`)
  if (hall !== undefined && occupant !== undefined) {
    if (to.resource === '') throw new StanzaError('jid-malformed', 'the nick is missing')
    if (to.resource !== occupant.nick) return changeNick(hall, occupant, presence)
    occupant.shown = shownOf(element)
    // a program that enters again has lost what it knew (XEP-0045 §7.2.2)
    if (x === undefined) hall.show(occupant)
    else welcome(parts, hall, { occupant, client, x, isNew: false })
    return
  }
  if (x === undefined) throw new StanzaError('not-acceptable', 'enter the room first')
  enter(parts, presence, x)
}

function checkNick(nick: string): void {
  if (nick === '') throw new StanzaError('jid-malformed', 'a room is entered with a nick')
  if (fromUtf8(nick).length > limits.xmppNickOctetsMax) throw new StanzaError('not-acceptable', 'the nick is too long')
}

/** @throws StanzaError */
function enter(parts: HallParts, { client, element, to }: Stanza, x: Element): void {
  const nick = to.resource
  checkNick(nick)
  const before = parts.halls.find(to)
  const jid = ownJid(parts, client.account)
  if (before !== undefined) checkEntry(before, { jid, nick, password: childText(x, 'password') })
  const hall = before ?? parts.halls.open(to, client.account)
  const there = hall.byNick(nick)
  const occupant: Occupant = there ?? {
    nick,
    role: hall.roleAtFirst(hall.affiliationOf(jid)),
    account: client.account,
    jid,
    clients: new Set(),
    shown: [],
  }
  occupant.shown = shownOf(element)
  hall.seat(occupant, client)
  welcome(parts, hall, { occupant, client, x, isNew: before === undefined })
}

/** XEP-0045 §7.2.5 to §7.2.10. @throws StanzaError */
function checkEntry(
  hall: Hall,
  { jid, nick, password }: { readonly jid: string; readonly nick: string; readonly password: string | undefined },
): void {
  const { settings } = hall
  const affiliation = hall.affiliationOf(jid)
  const isSecond = hall.byNick(nick)?.jid === jid
  if (affiliation === 'outcast') throw new StanzaError('forbidden', 'you are banned from this room')
  if (hall.isLocked && affiliation !== 'owner') throw new StanzaError('item-not-found', 'not set up yet')
  if (settings.isForMembers && affiliation === 'none')
    throw new StanzaError('registration-required', 'this room is for members: somebody in it has to invite you')
  if (settings.password !== '' && password !== settings.password)
    throw new StanzaError('not-authorized', 'this room asks for a password')
  if ((hall.byNick(nick) !== undefined && !isSecond) || hall.isReserved(nick, jid))
    throw new StanzaError('conflict', 'somebody else is called so')
  const most = settings.occupantsMax + (isAdmin(affiliation) ? limits.xmppHallAdminsBeyond : 0)
  if (hall.size >= most && !isSecond) throw new StanzaError('service-unavailable', 'the room is full')
}

/** XEP-0045 §7.1: the others, oneself, what was said, the subject. */
function welcome(
  parts: HallParts,
  hall: Hall,
  {
    occupant,
    client,
    x,
    isNew,
  }: { readonly occupant: Occupant; readonly client: Client; readonly x: Element; readonly isNew: boolean },
): void {
  for (const other of hall.occupants()) if (other !== occupant) client.send(hall.hereOf(other, occupant, client))
  for (const other of hall.occupants())
    for (const one of other.clients) if (one !== client) one.send(hall.hereOf(occupant, other, one))
  const statuses = [
    ...(hall.settings.whois === 'anyone' ? [status.nonAnonymous] : []),
    ...(isNew ? [status.created] : []),
  ]
  client.send(hall.hereOf(occupant, occupant, client, { statuses }))
  const bounds = boundsOf(child(x, `history ${muc}`), parts.server.ambient.clock.nowMs())
  for (const message of within(parts.halls.historyOf(hall).latest(), bounds))
    client.send({ ...message, attrs: { ...message.attrs, to: fullOf(client.jid) } })
  client.send(subjectOf(hall, client))
}

/** @throws StanzaError */
function changeNick(hall: Hall, occupant: Occupant, { element, to }: Stanza): void {
  const nick = to.resource
  checkNick(nick)
  if (hall.byNick(nick) !== undefined || hall.isReserved(nick, occupant.jid))
    throw new StanzaError('conflict', 'somebody else is called so')
  hall.toAll((viewer, client) => hall.goneOf(occupant, viewer, client, { nick, statuses: [status.nickChanged] }))
  hall.rename(occupant, nick)
  occupant.shown = shownOf(element)
  hall.show(occupant)
}

/** Of a program's presence: all but what a hall says. */
function shownOf(presence: Element): readonly Element[] {
  const shown = elements(presence).filter(({ ns }) => ns !== muc && ns !== mucUser && ns !== occupantIdNs)
  // it is kept, and shown to everybody who enters
  if (serialise(el('presence', {}, shown)).length > limits.xmppHallPresenceCharsMax)
    throw new StanzaError('policy-violation', 'too much beside the presence')
  return shown
}

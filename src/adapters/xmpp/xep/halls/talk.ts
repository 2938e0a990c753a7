/** What is said in halls: to all, to one alone, and what it is about (XEP-0045 §7.4, §7.5, §8.1). */
import { fromUtf8, toHex } from '../../../../core/bytes.ts'
import { limits } from '../../../../core/limits.ts'
import { child, childText, el, type Element, elements, withChildren } from '../../element.ts'
import type { Stanza } from '../../feature.ts'
import { bareOf, fullOf } from '../../jid.ts'
import { ns } from '../../messages/namespaces.ts'
import { StanzaError } from '../../stanza-error.ts'
import { muc, mucUser, occupantIdNs } from '../muc/namespaces.ts'
import { type Hall, inside, type Occupant } from './hall.ts'
import { hallAt, type HallParts } from './parts.ts'
import { handleInvitation } from './invitations.ts'

/** @throws StanzaError */
export function takeMessage(parts: HallParts, message: Stanza): void {
  const { client, element, to, type } = message
  const hall = hallAt(parts, to)
  if (to.resource !== '') {
    if (type === 'groupchat') throw new StanzaError('bad-request', 'what is for everybody goes to the room itself')
    return whisper(hall, message)
  }
  if (type !== 'groupchat') {
    if (handleInvitation(parts, hall, message)) return
    throw new StanzaError('bad-request', 'a message to a room is of type groupchat, or an invitation')
  }
  const occupant = inside(hall, client)
  if (isSubject(element)) setSubject(parts, hall, occupant, message)
  else say(parts, hall, occupant, message)
}

/** XEP-0045 §8.1: with a body or a thread it is a message. */
const isSubject = (element: Element): boolean =>
  child(element, 'subject') !== undefined &&
  child(element, 'body') === undefined &&
  child(element, 'thread') === undefined

function setSubject(parts: HallParts, hall: Hall, occupant: Occupant, { element }: Stanza): void {
  const isFree = hall.settings.isSubjectFree && occupant.role === 'participant'
  if (occupant.role !== 'moderator' && !isFree) throw new StanzaError('forbidden', 'moderators give it its subject')
  const text = childText(element, 'subject')!
  if (fromUtf8(text).length > limits.xmppHallTextOctetsMax) throw new StanzaError('policy-violation', 'too long')
  hall.subject = { text, nick: occupant.nick, atMs: parts.server.ambient.clock.nowMs() }
  const from = fullOf(hall.place(occupant.nick))
  hall.toAll((_, client) =>
    el(
      'message',
      { type: 'groupchat', id: element.attrs.id, from, to: fullOf(client.jid) },
      el('subject', {}, text),
      el(`occupant-id ${occupantIdNs}`, { id: hall.occupantId(occupant.account) }),
    ),
  )
}

/** What only a hall or a server says. */
const notSpoken: ReadonlySet<string> = new Set([
  muc,
  mucUser,
  occupantIdNs,
  ns.carbons,
  ns.delay,
  ns.mam,
  'http://jabber.org/protocol/pubsub#event',
  'jabber:x:delay',
  'urn:xmpp:message-moderate:1',
])
const spoken = (element: Element): readonly Element[] =>
  elements(element).filter((one) => !notSpoken.has(one.ns) && !(one.ns === ns.sid && one.name === 'stanza-id'))

function say({ server, halls }: HallParts, hall: Hall, occupant: Occupant, { element }: Stanza): void {
  if (occupant.role === 'visitor') throw new StanzaError('forbidden', 'you have no voice in this room')
  const { clock, random } = server.ambient
  const by = bareOf(hall.jid)
  const { id } = element.attrs
  const stanza = el(
    'message',
    { type: 'groupchat', id, 'xml:lang': element.attrs['xml:lang'], from: fullOf(hall.place(occupant.nick)) },
    spoken(element),
    el(`occupant-id ${occupantIdNs}`, { id: hall.occupantId(occupant.account) }),
    el(`stanza-id ${ns.sid}`, { id: toHex(random.bytes(16)), by }),
  )
  hall.toAll((_, client) => ({ ...stanza, attrs: { ...stanza.attrs, to: fullOf(client.jid) } }))
  if (child(element, 'body') === undefined) return
  const atMs = clock.nowMs()
  const delay = el(`delay ${ns.delay}`, { from: by, stamp: new Date(atMs).toISOString() })
  halls.historyOf(hall).add(withChildren(stanza, delay), atMs)
}

/** XEP-0045 §7.5: to all programs of the one, which see that it came through the hall. */
function whisper(hall: Hall, { client, element, to }: Stanza): void {
  const from = inside(hall, client)
  const other = hall.byNick(to.resource)
  if (other === undefined) throw new StanzaError('item-not-found', 'nobody in the room is called so')
  const { whisper: who } = hall.settings
  const isLet =
    who === 'anyone' ||
    (who === 'participants' && from.role !== 'visitor') ||
    (who === 'moderators' && from.role === 'moderator')
  if (!isLet) throw new StanzaError('forbidden', 'the room does not let you speak to one alone')
  const { id, type } = element.attrs
  for (const one of other.clients)
    one.send(
      el(
        'message',
        { type, id, from: fullOf(hall.place(from.nick)), to: fullOf(one.jid) },
        spoken(element),
        el(`x ${mucUser}`),
        el(`occupant-id ${occupantIdNs}`, { id: hall.occupantId(from.account) }),
      ),
    )
}

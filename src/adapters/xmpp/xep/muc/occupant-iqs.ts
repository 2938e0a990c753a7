/** What clients ask of occupants (XEP-0045 §5.1.3, XEP-0410): answered here, since an occupant is a person and no program. */
import { el, type Element } from '../../element.ts'
import type { Iq, IqAnswer } from '../../feature.ts'
import { fullOf } from '../../jid.ts'
import type { Client } from '../../client.ts'
import { StanzaError } from '../../stanza-error.ts'
import { groupIn } from './admin.ts'
import { type MucParts, roomFor } from './parts.ts'
import type { Occupant, Room } from './rooms.ts'

/** Whoever is asked about; the client has to have entered (XEP-0045 §17.3, XEP-0410 §3). @throws StanzaError */
export function occupantOf(parts: MucParts, client: Client, room: Room, nick: string): Occupant {
  const seat = parts.attendance.of(client, room.group)
  if (seat === undefined) throw new StanzaError('not-acceptable', 'enter the room first')
  const isOwn = nick === seat.asked
  const found = parts.rooms.byNick(client.account, room, nick)
  const own = isOwn ? parts.rooms.occupants(client.account, room).get(client.account) : undefined
  const occupant = found ?? own
  if (occupant === undefined) throw new StanzaError('item-not-found', 'nobody in the room is called so')
  return occupant
}

/** Of the room itself, or of an occupant: of the own one it says whether the client is still in the room. */
export function ping(parts: MucParts, { client, to, toNamed }: Iq): undefined {
  const room = roomFor(parts, client, groupIn(toNamed))
  if (to.resource !== '') occupantOf(parts, client, room, to.resource)
  return undefined
}

const vcardNs = 'vcard-temp'

/** An occupant's is that of the person. */
export async function vcard(parts: MucParts, iq: Iq): Promise<IqAnswer> {
  const { client, to, toNamed } = iq
  const room = roomFor(parts, client, groupIn(toNamed))
  if (to.resource === '') return cardOf(room.roster.name)
  const occupant = occupantOf(parts, client, room, to.resource)
  const { names, features } = parts.server
  const person = names.person(client.account, occupant.identity)
  const isSelf = occupant.identity === client.account
  const handler = features
    .flatMap(({ iq: handlers = [] }) => handlers)
    .find(({ payload, at }) => payload === `vCard ${vcardNs}` && at.includes(isSelf ? 'self' : 'person'))
  if (handler === undefined) return cardOf(occupant.nick, occupant.jid)
  return await handler.answer({
    ...iq,
    to: person,
    toNamed: isSelf ? { kind: 'self' } : { kind: 'person', identity: occupant.identity },
    element: { ...iq.element, attrs: { ...iq.element.attrs, to: fullOf(person) } },
  })
}

const cardOf = (name: string, jid?: string): Element =>
  el(
    `vCard ${vcardNs}`,
    {},
    el(`FN ${vcardNs}`, {}, name),
    jid === undefined ? undefined : el(`JABBERID ${vcardNs}`, {}, jid),
  )

/** What rooms say of themselves (XEP-0045 §6). Only those whose account is in a group learn that there is one. */
import { el, type Element } from '../../element.ts'
import type { Client } from '../../client.ts'
import type { Disclosed } from '../../feature.ts'
import type { Jid } from '../../jid.ts'
import { bareOf, fullOf } from '../../jid.ts'
import type { Named } from '../../names.ts'
import { archiveFeatures } from '../../messages/archive.ts'
import { StanzaError } from '../../stanza-error.ts'
import { queryNs } from '../disco.ts'
import { conferenceNs, muc, occupantIdNs, registerNs } from './namespaces.ts'
import { form, valueOf } from './forms.ts'
import { isIn, type MucParts } from './parts.ts'
import { inRoom, type Room } from './rooms.ts'

const roomFeatures = [
  queryNs.info,
  queryNs.items,
  muc,
  `${muc}#stable_id`,
  `${muc}#self-ping-optimization`, // XEP-0410 §3
  'muc_hidden',
  'muc_membersonly',
  'muc_nonanonymous',
  'muc_persistent',
  'muc_unsecured',
  registerNs,
  conferenceNs,
  occupantIdNs,
  ...archiveFeatures,
  'urn:xmpp:message-moderate:1', // XEP-0425
  'urn:xmpp:ping',
  'vcard-temp',
]
/** XEP-0045 §6.6. */
const nickNode = 'x-roomuser-item'

export function disclose(
  parts: MucParts,
  to: Jid,
  named: Named,
  client: Client | undefined,
  node?: string,
): Disclosed | undefined {
  if (named.kind === 'rooms')
    return node === undefined
      ? { identities: [{ category: 'conference', type: 'text', name: 'Groups' }], features: [muc] }
      : undefined
  if (named.kind !== 'room' || client === undefined) return undefined
  const room = parts.rooms.find(client.account, named.group)
  if (room === undefined || room.row.state === 'left') return to.resource === '' ? undefined : refuseOccupant()
  const identities = [{ category: 'conference', type: 'text', name: room.roster.name }]
  if (to.resource !== '') {
    const isThere = parts.rooms.byNick(client.account, room, to.resource) !== undefined
    return isThere ? { identities: [{ category: 'client', type: 'pc' }], features: ['vcard-temp'] } : undefined
  }
  if (node === nickNode) {
    const nick = parts.rooms.occupants(client.account, room).get(client.account)?.nick
    return nick === undefined ? undefined : { identities: [{ category: 'conference', type: 'text', name: nick }] }
  }
  if (node !== undefined) return undefined
  const isModerated = room.roster.policy.post === 'admins'
  return {
    identities,
    features: [...roomFeatures, isModerated ? 'muc_moderated' : 'muc_unmoderated'],
    forms: [roomInfo(parts, room, client)],
  }
}

/** XEP-0045 §6.6: who is in a room is told to those who are. */
function refuseOccupant(): never {
  throw new StanzaError('bad-request', 'Only who is in a room asks those in it.')
}

/** XEP-0045 §15.5.4. */
function roomInfo({ rooms }: MucParts, room: Room, { account }: Client): Element {
  const { name, members, policy } = room.roster
  const isAdmin = rooms.occupants(account, room).get(account)?.affiliation === 'owner'
  return form('result', `${muc}#roominfo`, [
    valueOf('muc#roominfo_description', name),
    valueOf('muc#roominfo_subject', name),
    valueOf('muc#roominfo_subjectmod', false),
    valueOf('muc#roominfo_changesubject', isAdmin),
    valueOf('muc#roominfo_occupants', members.size),
    valueOf('muc#roomconfig_roomname', name),
    valueOf('muc#roomconfig_allowinvites', isAdmin || policy.add === 'members'),
  ])
}

/** Rooms of the account, or who is in one. */
export function items(parts: MucParts, to: Jid, named: Named, { account }: Client, node?: string): readonly Element[] {
  const item = (attrs: Readonly<Record<string, string>>): Element =>
    el('item http://jabber.org/protocol/disco#items', attrs)
  const { rooms, server } = parts
  if (node !== undefined) return []
  if (named.kind === 'rooms')
    return rooms
      .list(account)
      .map(({ group, roster }) => item({ jid: bareOf(server.names.room(group)), name: roster.name }))
  if (named.kind !== 'room') return []
  const room = rooms.find(account, named.group)
  if (room === undefined || !isIn(room, account)) return to.resource === '' ? [] : refuseOccupant()
  if (to.resource !== '') return []
  return [...rooms.occupants(account, room).values()].map(({ nick }) =>
    item({ jid: fullOf(inRoom({ ...to, resource: '' }, nick)), name: nick }),
  )
}

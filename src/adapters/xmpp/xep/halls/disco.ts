/** What halls say of themselves (XEP-0045 §6). Hidden ones are found by those only who know their JID. */
import type { Client } from '../../client.ts'
import { el, type Element } from '../../element.ts'
import type { Disclosed } from '../../feature.ts'
import { bareOf, fullOf, type Jid } from '../../jid.ts'
import type { Named } from '../../names.ts'
import { queryNs } from '../disco.ts'
import { form, valueOf } from '../muc/forms.ts'
import { conferenceNs, muc, occupantIdNs, registerNs } from '../muc/namespaces.ts'
import { StanzaError } from '../../stanza-error.ts'
import type { Hall } from './hall.ts'
import { type HallParts, ownJid } from './parts.ts'
import { pictureHash } from './vcard.ts'

const nickNode = 'x-roomuser-item' // XEP-0045 §7.12

const featuresOf = ({ settings }: Hall): readonly string[] => [
  queryNs.info,
  queryNs.items,
  muc,
  `${muc}#stable_id`,
  `${muc}#self-ping-optimization`, // XEP-0410 §3
  conferenceNs,
  occupantIdNs,
  registerNs,
  'urn:xmpp:sid:0',
  'urn:xmpp:ping',
  'vcard-temp',
  'muc_temporary',
  settings.isPublic ? 'muc_public' : 'muc_hidden',
  settings.isForMembers ? 'muc_membersonly' : 'muc_open',
  settings.isModerated ? 'muc_moderated' : 'muc_unmoderated',
  settings.whois === 'anyone' ? 'muc_nonanonymous' : 'muc_semianonymous',
  settings.password === '' ? 'muc_unsecured' : 'muc_passwordprotected',
]

export function disclose(
  parts: HallParts,
  to: Jid,
  named: Named,
  client: Client | undefined,
  node: string | undefined,
): Disclosed | undefined {
  if (named.kind === 'halls')
    return node === undefined
      ? { identities: [{ category: 'conference', type: 'text', name: 'Rooms of this gateway' }], features: [muc] }
      : undefined
  if (named.kind !== 'hall' || client === undefined || to.resource !== '') return undefined
  const hall = parts.halls.find(to)
  if (hall === undefined || hall.isLocked) return undefined
  if (node === nickNode) {
    const nick = hall.standingOf(ownJid(parts, client.account)).nick ?? hall.of(client)?.nick
    return nick === undefined ? undefined : { identities: [{ category: 'conference', type: 'text', name: nick }] }
  }
  if (node !== undefined) return undefined
  return {
    identities: [{ category: 'conference', type: 'text', name: hall.settings.name }],
    features: featuresOf(hall),
    forms: [infoOf(hall)],
  }
}

/** XEP-0045 §15.5.4. */
function infoOf(hall: Hall): Element {
  const { name, description, isSubjectFree, occupantsMax } = hall.settings
  const hash = pictureHash(hall)
  return form('result', `${muc}#roominfo`, [
    valueOf('muc#roominfo_description', description),
    valueOf('muc#roominfo_subject', hall.subject?.text ?? ''),
    valueOf('muc#roominfo_changesubject', isSubjectFree),
    valueOf('muc#roominfo_occupants', hall.size),
    valueOf('muc#maxhistoryfetch', 0),
    valueOf('muc#roomconfig_roomname', name),
    valueOf('muc#roomconfig_maxusers', occupantsMax),
    ...(hash === undefined ? [] : [valueOf('muc#roominfo_avatarhash', hash)]),
  ])
}

/** @throws StanzaError `bad-request` (XEP-0045 §6.6) */
export function items(
  { halls }: HallParts,
  to: Jid,
  named: Named,
  client: Client,
  node: string | undefined,
): readonly Element[] {
  const item = (attrs: Readonly<Record<string, string>>): Element => el(`item ${queryNs.items}`, attrs)
  if (node !== undefined) return []
  if (named.kind === 'halls')
    return halls
      .list()
      .filter((hall) => !hall.isLocked && (hall.settings.isPublic || hall.of(client) !== undefined))
      .map(({ jid, settings }) => item({ jid: bareOf(jid), name: settings.name }))
  const hall = named.kind === 'hall' ? halls.find(to) : undefined
  if (hall === undefined) return []
  if (to.resource !== '') throw new StanzaError('bad-request', 'only who is in a room asks those in it')
  // who is in one that is hidden is no affair of others
  if (!hall.settings.isPublic && hall.of(client) === undefined) return []
  return hall.occupants().map(({ nick }) => item({ jid: fullOf(hall.place(nick)), name: nick }))
}

/** A nick that stays one's own in a hall (XEP-0045 §7.10): with it comes membership, where that is free to have. */
import { fromUtf8 } from '../../../../core/bytes.ts'
import { limits } from '../../../../core/limits.ts'
import { child, el, type Element } from '../../element.ts'
import { readForm, writeForm } from '../../data-form.ts'
import type { Iq } from '../../feature.ts'
import { parseJid } from '../../jid.ts'
import { StanzaError } from '../../stanza-error.ts'
import { registerNs } from '../muc/namespaces.ts'
import { setAffiliation } from './admin.ts'
import type { Hall } from './hall.ts'
import { hallAt, type HallParts, ownJid } from './parts.ts'

const nickField = 'muc#register_roomnick'

/** @throws StanzaError */
function openFor(parts: HallParts, { client, to }: Iq): { readonly hall: Hall; readonly jid: string } {
  const hall = hallAt(parts, to)
  const jid = ownJid(parts, client.account)
  const affiliation = hall.affiliationOf(jid)
  if (affiliation === 'outcast') throw new StanzaError('forbidden', 'you are banned from this room')
  if (affiliation === 'none' && (hall.settings.isForMembers || hall.isLocked))
    throw new StanzaError('not-allowed', 'this room is for members: somebody in it has to invite you')
  return { hall, jid }
}

/** @throws StanzaError */
export function registration(parts: HallParts, iq: Iq): Element {
  const { hall, jid } = openFor(parts, iq)
  const { nick } = hall.standingOf(jid)
  if (nick !== undefined)
    return el(`query ${registerNs}`, {}, el(`registered ${registerNs}`), el(`username ${registerNs}`, {}, nick))
  return el(
    `query ${registerNs}`,
    {},
    writeForm('form', {
      title: hall.settings.name,
      instructions: '',
      fields: [
        {
          name: 'FORM_TYPE',
          label: '',
          type: 'hidden',
          values: ['http://jabber.org/protocol/muc#register'],
        },
        { name: nickField, label: 'Nick', type: 'text-single', isRequired: true },
      ],
    }),
  )
}

/** @throws StanzaError */
export function register(parts: HallParts, iq: Iq): undefined {
  const { hall, jid } = openFor(parts, iq)
  const before = hall.standingOf(jid)
  if (child(iq.payload, `remove ${registerNs}`) !== undefined) {
    hall.stand(jid, { affiliation: before.affiliation })
    return undefined
  }
  // as it is when somebody enters by it
  const nick = parseJid(`x/${readForm(iq.payload)?.get(nickField) ?? ''}`)?.resource ?? ''
  if (nick === '' || fromUtf8(nick).length > limits.xmppNickOctetsMax)
    throw new StanzaError('bad-request', 'a nick, in the form')
  const there = hall.byNick(nick)
  if (hall.isReserved(nick, jid) || (there !== undefined && there.jid !== jid))
    throw new StanzaError('conflict', 'somebody else is called so')
  if (before.affiliation === 'none' && hall.standings >= limits.xmppHallStandingsMax)
    throw new StanzaError('resource-constraint', 'the lists are full')
  const to = before.affiliation === 'none' ? 'member' : before.affiliation
  setAffiliation(parts, hall, { jid, to, nick, reason: undefined }, undefined)
  return undefined
}

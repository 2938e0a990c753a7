/** Cards of halls, with their picture (XEP-0486), and of those who are in them (XEP-0054). */
import { fromBase64, toHex } from '../../../../core/bytes.ts'
import { sha1 } from '../../../../core/crypto/kdf.ts'
import { limits } from '../../../../core/limits.ts'
import { child, childText, el, serialise } from '../../element.ts'
import type { Iq, IqAnswer } from '../../feature.ts'
import { bareOf, fullOf } from '../../jid.ts'
import { StanzaError } from '../../stanza-error.ts'
import { type Hall, inside, status } from './hall.ts'
import { hallAt, type HallParts, ownJid } from './parts.ts'

const ns = 'vcard-temp'

/** @throws StanzaError */
export async function showCard(parts: HallParts, iq: Iq): Promise<IqAnswer> {
  const { client, to } = iq
  const hall = hallAt(parts, to)
  if (to.resource === '') return hall.vcard ?? el(`vCard ${ns}`)
  const asker = inside(hall, client)
  const occupant = hall.byNick(to.resource)
  if (occupant === undefined) throw new StanzaError('item-not-found', 'nobody in the room is called so')
  // a card says who one is: where addresses are hidden, so are cards
  const isShown = hall.settings.whois === 'anyone' || asker.role === 'moderator' || occupant.account === asker.account
  if (!isShown) throw new StanzaError('forbidden', 'the room does not tell who is who')
  const { names, features } = parts.server
  const person = names.own(occupant.account)
  const isSelf = occupant.account === client.account
  const handler = features
    .flatMap(({ iq: handlers = [] }) => handlers)
    .find(({ payload, at }) => payload === `vCard ${ns}` && at.includes(isSelf ? 'self' : 'person'))
  if (handler === undefined) throw new StanzaError('service-unavailable')
  return await handler.answer({
    ...iq,
    to: person,
    toNamed: isSelf ? { kind: 'self' } : { kind: 'person', identity: occupant.account },
    element: { ...iq.element, attrs: { ...iq.element.attrs, to: fullOf(person) } },
  })
}

/** @throws StanzaError */
export function publishCard(parts: HallParts, { client, to, payload }: Iq): undefined {
  const hall = hallAt(parts, to)
  if (hall.affiliationOf(ownJid(parts, client.account)) !== 'owner') throw new StanzaError('forbidden')
  if (serialise(payload).length > limits.xmppKeptElementBytesMax) throw new StanzaError('policy-violation', 'too large')
  hall.vcard = payload.children.length === 0 ? undefined : payload
  // XEP-0486 §3.1: the hash is in the disco#info, and in the room's own presence
  hall.tellStatuses(status.configurationChanged)
  hall.toAll((_, one) =>
    el(
      'presence',
      { from: bareOf(hall.jid), to: fullOf(one.jid) },
      el('x vcard-temp:x:update', {}, el('photo vcard-temp:x:update', {}, pictureHash(hall) ?? '')),
    ),
  )
  return undefined
}

/** SHA-1 of the picture, in hexadecimal, as XEP-0153 §4.1 has it; `undefined` without one. */
export function pictureHash({ vcard }: Hall): string | undefined {
  const photo = vcard && child(vcard, 'PHOTO')
  const bytes = photo && fromBase64((childText(photo, 'BINVAL') ?? '').replaceAll(/\s/g, ''))
  return bytes === undefined || bytes.length === 0 ? undefined : toHex(sha1(bytes))
}

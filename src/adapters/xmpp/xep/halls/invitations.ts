/**
 * Invitations into halls: through the hall (XEP-0045 §7.8.2) or straight from one to another (XEP-0249). They go to programs that
 * are there now, of accounts of this gateway.
 */
import type { Client } from '../../client.ts'
import { child, childrenNamed, childText, el, type Element, elements } from '../../element.ts'
import type { Stanza } from '../../feature.ts'
import { bareOf, fullOf, parseJid } from '../../jid.ts'
import { StanzaError } from '../../stanza-error.ts'
import { noSuchUser } from '../unknown-person.ts'
import { conferenceNs, mucUser } from '../muc/namespaces.ts'
import { setAffiliation } from './admin.ts'
import { type Hall, inside, isAdmin } from './hall.ts'
import { type HallParts, ownJid } from './parts.ts'

/** Sent to the hall itself: an invitation, or that one does not come. @returns whether it was one @throws StanzaError */
export function handleInvitation(parts: HallParts, hall: Hall, message: Stanza): boolean {
  const x = child(message.element, `x ${mucUser}`)
  if (x === undefined) return false
  const invites = childrenNamed(x, `invite ${mucUser}`)
  for (const invite of invites) inviteOne(parts, hall, message, invite)
  const decline = child(x, `decline ${mucUser}`)
  if (decline !== undefined) pass(parts, hall, message, decline)
  return invites.length > 0 || decline !== undefined
}

function inviteOne(parts: HallParts, hall: Hall, message: Stanza, invite: Element): void {
  const occupant = inside(hall, message.client)
  const own = hall.affiliationOf(occupant.jid)
  if (!hall.settings.mayInvite && !isAdmin(own)) throw new StanzaError('forbidden', 'admins invite into this room')
  const jid = pass(parts, hall, message, invite)
  // §7.8.2, §9.3: who is invited by somebody in it can enter
  if (hall.settings.isForMembers && hall.affiliationOf(jid) === 'none')
    setAffiliation(parts, hall, { jid, to: 'member', nick: undefined, reason: undefined }, occupant.nick)
}

/** @returns to whom @throws StanzaError */
function pass(parts: HallParts, hall: Hall, { client, element }: Stanza, said: Element): string {
  const to = recipientsOf(parts, client, said.attrs.to ?? '')
  const reason = childText(said, 'reason')
  const isInvitation = said.name === 'invite'
  const { password } = hall.settings
  for (const one of to)
    one.send(
      el(
        'message',
        { id: element.attrs.id, from: bareOf(hall.jid), to: fullOf(one.jid) },
        el(
          `x ${mucUser}`,
          {},
          el(
            `${said.name} ${mucUser}`,
            { from: fullOf(client.jid) },
            elements(said).filter(({ name }) => name === 'continue'),
            reason === undefined ? undefined : el(`reason ${mucUser}`, {}, reason),
          ),
          isInvitation && password !== '' ? el(`password ${mucUser}`, {}, password) : undefined,
        ),
        isInvitation ? el(`x ${conferenceNs}`, { jid: bareOf(hall.jid), reason }) : undefined,
      ),
    )
  return ownJid(parts, to[0]!.account)
}

/** The one program that was named, or all that are there. @throws StanzaError */
function recipientsOf({ server }: HallParts, client: Client, text: string): readonly Client[] {
  const jid = parseJid(text)
  if (jid === undefined) throw new StanzaError('jid-malformed')
  const named = server.names.named(client.account, jid)
  if (named.kind === 'unknown' && jid.domain === server.names.server) throw noSuchUser()
  const account = named.kind === 'person' ? named.identity : named.kind === 'self' ? client.account : undefined
  if (account === undefined || !server.services.accounts.has(account))
    throw new StanzaError('not-acceptable', 'this room is for accounts of this gateway: make a group to invite others')
  const one = server.hub.find(account, jid)
  const all = one === undefined ? server.hub.of(account).filter(({ state }) => state.presence !== undefined) : [one]
  if (all.length === 0) throw new StanzaError('recipient-unavailable', 'no program of theirs is there now')
  return all
}

/** XEP-0249. @throws StanzaError */
export function inviteDirectly(parts: HallParts, { client, element, to, type }: Stanza): 'done' | 'next' {
  const x = child(element, `x ${conferenceNs}`)
  const jid = parseJid(x?.attrs.jid ?? '')
  if (x === undefined || jid === undefined || type === 'error') return 'next'
  if (parts.server.names.named(client.account, jid).kind !== 'hall') return 'next'
  for (const one of recipientsOf(parts, client, fullOf(to)))
    one.send(
      el(
        'message',
        { type: element.attrs.type, id: element.attrs.id, from: fullOf(client.jid), to: fullOf(one.jid) },
        child(element, 'body'),
        x,
      ),
    )
  return 'done'
}

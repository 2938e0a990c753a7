/**
 * Lists of members and admins, and how they change (XEP-0045 §9, §10): an affiliation is what the group's signed operations
 * say. All that one request asks for is done, or nothing of it.
 */
import type { Identity } from '../../../../core/ids.ts'
import { limits } from '../../../../core/limits.ts'
import type { WriteTx } from '../../../../core/store/store.ts'
import { childrenNamed, el, type Element } from '../../element.ts'
import type { Iq } from '../../feature.ts'
import { bareOf, parseJid } from '../../jid.ts'
import { StanzaError } from '../../stanza-error.ts'
import { mucAdmin } from './namespaces.ts'
import { asRoom, type MucParts, roomFor } from './parts.ts'
import type { Occupant, Room } from './rooms.ts'

const affiliations = ['owner', 'admin', 'member', 'none', 'outcast'] as const
const roles = ['moderator', 'participant', 'visitor', 'none'] as const

/** @throws StanzaError */
export function listMembers(parts: MucParts, { client, toNamed, payload }: Iq): Element {
  const room = roomFor(parts, client, groupIn(toNamed))
  const [asked] = childrenNamed(payload, `item ${mucAdmin}`)
  const { affiliation, role } = asked?.attrs ?? {}
  const wants = affiliation ?? role
  const isKnown = [...affiliations, ...roles].some((one) => one === wants)
  if (wants === undefined || !isKnown) throw new StanzaError('bad-request', 'ask for an affiliation or a role')
  const found = [...parts.rooms.occupants(client.account, room).values()].filter((one) =>
    affiliation === undefined ? one.role === role : one.affiliation === affiliation,
  )
  return el(`query ${mucAdmin}`, {}, found.map(itemOf))
}

const itemOf = ({ jid, nick, affiliation, role }: Occupant): Element =>
  el(`item ${mucAdmin}`, { jid, nick, affiliation, role })

/** @throws StanzaError `forbidden` where the group's rules do not let the account do one of these */
export async function changeMembers(parts: MucParts, { client, toNamed, payload, handled }: Iq): Promise<undefined> {
  const room = roomFor(parts, client, groupIn(toNamed))
  const items = childrenNamed(payload, `item ${mucAdmin}`)
  if (items.length === 0 || items.length > limits.xmppRoomItemsMax)
    throw new StanzaError('bad-request', `change one to ${limits.xmppRoomItemsMax} at once`)
  const steps = items.flatMap((item) => stepsOf(parts, client.account, room, item))
  await asRoom(
    async () =>
      await parts.server.services.store.write((tx) => {
        for (const step of steps) step(tx)
        handled(tx)
      }),
  )
  return undefined
}

type Step = (tx: WriteTx) => void

/** @throws StanzaError */
function stepsOf(parts: MucParts, account: Identity, room: Room, { attrs }: Element): readonly Step[] {
  const who = whoIs(parts, account, room, attrs)
  const { groups } = parts.server.services
  const { group } = room
  const there = parts.rooms.occupants(account, room).get(who)
  const add: Step = (tx) => groups.addIn(tx, account, group, [who])
  const grant: Step = (tx) => groups.grantIn(tx, account, group, who)
  const revoke: Step = (tx) => groups.revokeIn(tx, account, group, who)
  const remove: Step = (tx) =>
    who === account ? groups.leaveIn(tx, account, group) : groups.removeIn(tx, account, group, who)
  switch (attrs.affiliation ?? `role ${attrs.role}`) {
    case 'owner':
    case 'admin':
      if (there?.affiliation === 'owner') return []
      return there === undefined ? [add, grant] : [grant]
    case 'role moderator':
      if (there === undefined) throw new StanzaError('item-not-found', 'not in the room')
      return there.affiliation === 'owner' ? [] : [grant]
    case 'member':
      if (there === undefined) return [add]
      return there.affiliation === 'owner' ? [revoke] : []
    case 'role participant':
      if (there === undefined) throw new StanzaError('item-not-found', 'not in the room')
      return there.affiliation === 'owner' ? [revoke] : []
    case 'none':
      return there === undefined ? [] : [remove]
    case 'outcast':
    case 'role none':
      if (there === undefined) throw new StanzaError('not-allowed', 'whoever is not in the group cannot be removed')
      return [remove]
    case 'role visitor':
      throw new StanzaError('not-allowed', 'the rules of the group say for all who may write')
    default:
      throw new StanzaError('bad-request', 'no such affiliation or role')
  }
}

/** By nick, or by an address as this account sees it. @throws StanzaError */
function whoIs(parts: MucParts, account: Identity, room: Room, { nick, jid: text }: Element['attrs']): Identity {
  const occupants = [...parts.rooms.occupants(account, room).values()]
  if (text === undefined) {
    const found = occupants.find((one) => one.nick === nick)
    if (found === undefined) throw new StanzaError('item-not-found', 'nobody in the room is called so')
    return found.identity
  }
  const jid = parseJid(text)
  if (jid === undefined) throw new StanzaError('jid-malformed')
  const member = occupants.find((one) => one.jid === bareOf(jid))
  return member?.identity ?? personOf(parts, account, text)
}

/** Somebody who can be added. @throws StanzaError `item-not-found` */
export function personOf({ server }: MucParts, account: Identity, text: string): Identity {
  const jid = parseJid(text)
  if (jid === undefined) throw new StanzaError('jid-malformed')
  const named = server.names.named(account, jid)
  if (named.kind === 'self') return account
  if (named.kind !== 'person') throw new StanzaError('item-not-found', 'only contacts can be added')
  return named.identity
}

export function groupIn(named: Iq['toNamed']): Room['group'] {
  if (named.kind !== 'room') throw new StanzaError('item-not-found')
  return named.group
}

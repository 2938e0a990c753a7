/** Affiliations and roles in halls, and how they change (XEP-0045 §8, §9, §10.3 to §10.8). */
import { limits } from '../../../../core/limits.ts'
import { childrenNamed, childText, el, type Element } from '../../element.ts'
import type { Iq } from '../../feature.ts'
import { StanzaError } from '../../stanza-error.ts'
import { mucAdmin } from '../muc/namespaces.ts'
import { remove } from './leaving.ts'
import {
  type Affiliation,
  affiliations,
  type Hall,
  isAbove,
  isAdmin,
  type Occupant,
  type Role,
  roles,
  type Standing,
  status,
} from './hall.ts'
import { bareJid, hallAt, type HallParts, ownJid } from './parts.ts'

/** @throws StanzaError */
export function listStandings(parts: HallParts, { client, to, payload }: Iq): Element {
  const hall = hallAt(parts, to)
  const { affiliation, role } = childrenNamed(payload, `item ${mucAdmin}`)[0]?.attrs ?? {}
  const own = hall.affiliationOf(ownJid(parts, client.account))
  const wanted = affiliations.find((one) => one === affiliation)
  const wantedRole = roles.find((one) => one === role)
  if (wanted !== undefined) {
    if (!mayList(hall, wanted, { own, isInside: hall.of(client) !== undefined })) throw new StanzaError('forbidden')
    return el(
      `query ${mucAdmin}`,
      {},
      hall.affiliated(wanted).map(([jid, { nick }]) => {
        const there = hall.byJid(jid)[0]
        return el(`item ${mucAdmin}`, { affiliation: wanted, jid, nick: nick ?? there?.nick, role: there?.role })
      }),
    )
  }
  if (wantedRole === undefined) throw new StanzaError('bad-request', 'ask for an affiliation or a role')
  // §8.4, §9.8: who may change a list sees it
  const isModerator = isAdmin(own) || hall.of(client)?.role === 'moderator'
  if (!(wantedRole === 'moderator' ? isAdmin(own) : isModerator)) throw new StanzaError('forbidden')
  return el(
    `query ${mucAdmin}`,
    {},
    hall
      .occupants()
      .filter((one) => one.role === wantedRole)
      .map(({ nick, jid, role: is }) =>
        el(`item ${mucAdmin}`, { nick, jid, role: is, affiliation: hall.affiliationOf(jid) }),
      ),
  )
}

/** §9.5, §10.5, §10.8: what those in it see anyhow is no secret where addresses are none. */
function mayList(
  { settings }: Hall,
  wanted: Affiliation,
  { own, isInside }: { readonly own: Affiliation; readonly isInside: boolean },
): boolean {
  if (own === 'owner') return true
  const isOpen = settings.whois === 'anyone' && isInside
  if (wanted === 'owner' || wanted === 'admin') return isOpen
  return own === 'admin' || (wanted === 'member' && isOpen && settings.isForMembers)
}

/** One thing to be done, looked at and found good. */
type Step = () => void

/** All that is asked for is done, or nothing of it. @throws StanzaError */
export function changeStandings(parts: HallParts, { client, to, payload }: Iq): undefined {
  const hall = hallAt(parts, to)
  const items = childrenNamed(payload, `item ${mucAdmin}`)
  if (items.length === 0 || items.length > limits.xmppRoomItemsMax)
    throw new StanzaError('bad-request', `change one to ${limits.xmppRoomItemsMax} at once`)
  const by: By = {
    jid: ownJid(parts, client.account),
    affiliation: hall.affiliationOf(ownJid(parts, client.account)),
    occupant: hall.of(client),
  }
  const changes = items.map((item) => (item.attrs.affiliation === undefined ? undefined : changeOf(hall, item)))
  const steps = items.map((item, at) => {
    const change = changes[at]
    return change === undefined ? roleStep(parts, hall, by, item) : affiliationStep(parts, hall, by, change)
  })
  checkOwnerLeft(hall, changes)
  for (const step of steps) step()
  return undefined
}

interface By {
  readonly jid: string
  readonly affiliation: Affiliation
  readonly occupant: Occupant | undefined
}

export interface Change {
  readonly jid: string
  readonly to: Affiliation
  readonly nick: string | undefined
  readonly reason: string | undefined
}

/** @throws StanzaError */
function changeOf(hall: Hall, item: Element): Change {
  const to = affiliations.find((one) => one === item.attrs.affiliation)
  if (to === undefined) throw new StanzaError('bad-request', 'no such affiliation')
  const { jid: text, nick } = item.attrs
  const jid = text === undefined ? hall.byNick(nick ?? '')?.jid : bareJid(text)
  if (jid === undefined) throw new StanzaError('item-not-found', 'nobody in the room is called so')
  return { jid, to, nick: text === undefined ? undefined : nick, reason: childText(item, 'reason') }
}

/** §10.4: a hall has an owner. @throws StanzaError `conflict` */
export function checkOwnerLeft(hall: Hall, changes: readonly (Change | undefined)[]): void {
  const after = new Map(hall.affiliated('owner').map(([jid]): [string, Affiliation] => [jid, 'owner']))
  for (const change of changes) if (change !== undefined) after.set(change.jid, change.to)
  if (![...after.values()].includes('owner'))
    throw new StanzaError('conflict', 'it has to have an owner: name another one first')
}

/** @throws StanzaError */
function affiliationStep(parts: HallParts, hall: Hall, by: By, change: Change): Step {
  const before = hall.affiliationOf(change.jid)
  const { to } = change
  if (!isAdmin(by.affiliation)) throw new StanzaError('forbidden', 'only admins and owners do that')
  // §9.1: nobody bans themselves
  if (to === 'outcast' && change.jid === by.jid) throw new StanzaError('conflict', 'you cannot ban yourself')
  if (by.affiliation === 'admin' && isAdmin(to)) throw new StanzaError('forbidden', 'only owners do that')
  if (by.affiliation === 'admin' && isAdmin(before) && change.jid !== by.jid)
    throw new StanzaError('not-allowed', 'only owners do that')
  const isFull = hall.standings >= limits.xmppHallStandingsMax
  if (before === 'none' && isFull) throw new StanzaError('resource-constraint', 'the lists are full')
  return () => setAffiliation(parts, hall, change, by.occupant?.nick)
}

/** And shows it to all that are in. */
export function setAffiliation(
  parts: HallParts,
  hall: Hall,
  { jid, to, nick, reason }: Change,
  actor: string | undefined,
): void {
  const before = hall.standingOf(jid)
  const kept = nick ?? before.nick
  const isNamed = kept !== undefined && to !== 'outcast' && to !== 'none'
  const standing: Standing = { affiliation: to, ...(isNamed ? { nick: kept } : {}) }
  hall.stand(jid, standing)
  if (before.affiliation === to) return
  const told = { actor, reason }
  for (const occupant of hall.byJid(jid)) {
    if (to === 'outcast') {
      occupant.role = 'none'
      remove(parts, hall, occupant, { ...told, statuses: [status.banned] })
    } else if (to === 'none' && hall.settings.isForMembers) {
      remove(parts, hall, occupant, { ...told, statuses: [status.affiliationLost] })
    } else {
      occupant.role = roleAfter(hall, occupant.role, before.affiliation, to)
      hall.show(occupant, told)
    }
  }
}

/** §5.2: who becomes more has at least the role of that; who is no admin any more has none of an admin's. */
function roleAfter(hall: Hall, role: Role, before: Affiliation, to: Affiliation): Role {
  if (isAdmin(to) || isAdmin(before)) return hall.roleAtFirst(to)
  return to === 'member' && role === 'visitor' ? 'participant' : role
}

/** @throws StanzaError */
function roleStep(parts: HallParts, hall: Hall, by: By, item: Element): Step {
  const { nick = '' } = item.attrs
  const role = roles.find((one) => one === item.attrs.role)
  if (role === undefined) throw new StanzaError('bad-request', 'no such role')
  if (by.occupant?.role !== 'moderator' && !isAdmin(by.affiliation))
    throw new StanzaError('forbidden', 'only moderators do that')
  const occupant = hall.byNick(nick)
  if (occupant === undefined) throw new StanzaError('item-not-found', 'nobody in the room is called so')
  const theirs = hall.affiliationOf(occupant.jid)
  const told = { actor: by.occupant?.nick, reason: childText(item, 'reason') }
  if (role === 'none') {
    // §8.2
    if (isAbove(theirs, by.affiliation) || (isAdmin(theirs) && by.affiliation !== 'owner'))
      throw new StanzaError('not-allowed', 'who is above you cannot be sent out')
    return () => remove(parts, hall, occupant, { ...told, statuses: [status.kicked] })
  }
  const isRaised = role === 'moderator'
  const isTaken = occupant.role === 'moderator' && !isRaised
  // §9.6, §9.7: moderators are made by admins
  if ((isRaised || isTaken) && !isAdmin(by.affiliation)) {
    if (isAdmin(theirs)) throw new StanzaError('not-allowed', 'admins and owners are moderators')
    throw new StanzaError('forbidden', 'admins make moderators')
  }
  // §8.4, §9.7: an admin's comes with the affiliation
  if (!isRaised && isAdmin(theirs)) throw new StanzaError('not-allowed', 'admins and owners are moderators')
  return () => {
    occupant.role = role
    hall.show(occupant, told)
  }
}

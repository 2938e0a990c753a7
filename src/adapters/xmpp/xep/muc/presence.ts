/** Presence of occupants as clients get it (XEP-0045 §7.2): always there, never away, since no program is what is shown. */
import { el, type Element } from '../../element.ts'
import { fullOf, type Jid } from '../../jid.ts'
import { mucUser, occupantIdNs } from './namespaces.ts'
import { inRoom, type Occupant } from './rooms.ts'

/** XEP-0045 §15.6.2. */
export const status = {
  nonAnonymous: 100,
  configurationChanged: 104,
  self: 110,
  created: 201,
  nickAssigned: 210,
  nickChanged: 303,
  kicked: 307,
  affiliationLost: 321,
} as const

/** Many programs say something only of the first. */
export const removedStatuses: readonly number[] = [status.kicked, status.affiliationLost]

interface Said {
  /** As this client calls the room. */
  readonly room: Jid
  readonly to: Jid
  /** Whether it is the client's own account: it is named with its resource. */
  readonly isSelf: boolean
  readonly statuses?: readonly number[]
}

export function hereOf(occupant: Occupant, { room, to, isSelf, statuses = [] }: Said): Element {
  const { nick, affiliation, role, jid, id } = occupant
  return el(
    'presence',
    { from: fullOf(inRoom(room, nick)), to: fullOf(to) },
    el(`occupant-id ${occupantIdNs}`, { id }),
    el(
      `x ${mucUser}`,
      {},
      el(`item ${mucUser}`, { affiliation, role, jid: isSelf ? fullOf(to) : jid }),
      statusesOf(isSelf, statuses),
    ),
  )
}

export interface Leaving {
  /** Still of the group, as one who is called differently now. */
  readonly affiliation: Occupant['affiliation'] | 'none'
  readonly nick?: string | undefined
  readonly more?: Element | undefined
}

export function goneOf(
  { nick, jid, id }: Occupant,
  { affiliation, nick: next, more }: Leaving,
  { room, to, isSelf, statuses = [] }: Said,
): Element {
  return el(
    'presence',
    { type: 'unavailable', from: fullOf(inRoom(room, nick)), to: fullOf(to) },
    el(`occupant-id ${occupantIdNs}`, { id }),
    el(
      `x ${mucUser}`,
      {},
      el(`item ${mucUser}`, { affiliation, role: 'none', jid: isSelf ? fullOf(to) : jid, nick: next }),
      more,
      statusesOf(isSelf, statuses),
    ),
  )
}

const statusesOf = (isSelf: boolean, statuses: readonly number[]): readonly Element[] =>
  [...statuses, ...(isSelf ? [status.self] : [])].map((code) => el(`status ${mucUser}`, { code }))

/** Something changed about the room itself (XEP-0045 §10.2.1). */
export const configurationChanged = (room: Jid, to: Jid): Element =>
  el(
    'message',
    { type: 'groupchat', from: fullOf(room), to: fullOf(to) },
    el(`x ${mucUser}`, {}, el(`status ${mucUser}`, { code: status.configurationChanged })),
  )

/** The group's name. @param from the nick of whoever gave it, where that is known */
export const subjectOf = (room: Jid, to: Jid, name: string): Element =>
  el('message', { type: 'groupchat', from: fullOf(room), to: fullOf(to) }, el('subject', {}, name))

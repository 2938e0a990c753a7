/** What stands in a room, told from what the gateway knows of the conversation: members, rights and rules, and its name. */
import type { Partner } from '../../../core/conversation/rows.ts'
import { isAdmin, type Roster } from '../../../core/group/roster.ts'
import type { Identity } from '../../../core/ids.ts'
import type { ReadTx } from '../../../core/store/store.ts'
import { tierWords } from '../../../core/identity/trust.ts'
import type { Names } from '../names.ts'
import type { MatrixServices } from '../services.ts'
import type { Membership } from '../stream/rows.ts'

export interface Standing {
  readonly type: string
  readonly stateKey: string
  /** Undefined: the gateway itself. */
  readonly by: Identity | undefined
  readonly content: Readonly<Record<string, unknown>>
}

export const roomVersion = '10'
/** Rooms v10: nobody has it, so programs offer nothing that needs it. */
const unattainable = 100
export const admin = 100

export interface RoomStateParts {
  readonly services: MatrixServices
  readonly names: Names
  /** mxc URI of somebody's picture. */
  readonly avatarOf: (account: Identity, who: Identity) => string | undefined
}

/**
 * Whether the account is in it now, or was asked; `undefined` where it has nothing to do with it.
 * @param tx read with, and not beside it: the step that brings a group may be of the same commit as the group
 */
export function membershipOf(
  services: Pick<MatrixServices, 'groupBook' | 'accounts' | 'contacts'>,
  tx: ReadTx,
  account: Identity,
  partner: Partner,
): Membership | undefined {
  if (partner.kind === 'group') {
    const state = services.groupBook.row(tx, account, partner.group)?.state
    const isMember = services.groupBook.group(tx, account, partner.group)?.state.members.has(account) === true
    if (state === undefined) return undefined
    return state === 'left' || !isMember ? 'leave' : state === 'invited' ? 'invite' : 'join'
  }
  const { peer } = partner
  if (peer === account || services.accounts.has(peer)) return 'join'
  const contact = services.contacts.byIdentity(account, peer)
  if (contact === undefined || contact.blocked) return 'leave'
  return contact.state === 'active' || contact.state === 'pending' ? 'join' : 'invite'
}

/** In the order in which a room gets it. */
export function roomState(parts: RoomStateParts, tx: ReadTx, account: Identity, partner: Partner): readonly Standing[] {
  return partner.kind === 'direct'
    ? directState(parts, tx, account, partner.peer)
    : groupState(parts, tx, account, partner)
}

const rules = (by: Identity): readonly Standing[] => [
  { type: 'm.room.join_rules', stateKey: '', by, content: { join_rule: 'invite' } },
  { type: 'm.room.guest_access', stateKey: '', by, content: { guest_access: 'forbidden' } },
]

function directState(parts: RoomStateParts, tx: ReadTx, account: Identity, peer: Identity): readonly Standing[] {
  const { names, services } = parts
  const own = names.own(account)
  const powers = powerLevels({}, { add: unattainable, post: 0, change: unattainable })
  const isWaiting = services.contacts.byIdentity(account, peer)?.state === 'pending'
  const isAsking = membershipOf(services, tx, account, { kind: 'direct', peer }) === 'invite'
  return [
    { type: 'm.room.create', stateKey: '', by: account, content: { creator: own, room_version: roomVersion } },
    isAsking ? member(parts, account, account, 'invite', peer) : member(parts, account, account, 'join', account),
    { type: 'm.room.power_levels', stateKey: '', by: account, content: powers },
    ...rules(account),
    { type: 'm.room.history_visibility', stateKey: '', by: account, content: { history_visibility: 'shared' } },
    ...trustOf(services, account, peer),
    ...(peer === account
      ? []
      : [member(parts, account, peer, isWaiting ? 'invite' : 'join', isWaiting ? account : peer)]),
  ]
}

/** How well it is known that they are they: a state event of our own, whose changes the room tells of. */
export const trustType = 'net.mycelium.trust'

function trustOf({ contacts }: MatrixServices, account: Identity, peer: Identity): readonly Standing[] {
  const contact = contacts.byIdentity(account, peer)
  if (contact?.state !== 'active') return []
  const trust = contact.keyChanged ? 'key-changed' : tierWords[contact.tier]
  return [{ type: trustType, stateKey: '', by: undefined, content: { trust } }]
}

function groupState(
  parts: RoomStateParts,
  tx: ReadTx,
  account: Identity,
  { group }: Extract<Partner, { readonly kind: 'group' }>,
): readonly Standing[] {
  const { names, services } = parts
  const found = services.groupBook.group(tx, account, group)
  const row = services.groupBook.row(tx, account, group)
  if (found === undefined || row === undefined) return []
  const { state } = found
  const admins = [...state.members.keys()].filter((who) => isAdmin(state, who))
  const by = admins[0] ?? account
  const users = Object.fromEntries(admins.map((who) => [names.user(account, who), admin]))
  const { add, post } = state.policy
  const powers = powerLevels(users, {
    add: add === 'admins' ? admin : 0,
    post: post === 'admins' ? admin : 0,
    change: admin,
  })
  const isAsked = row.state === 'invited'
  return [
    {
      type: 'm.room.create',
      stateKey: '',
      by,
      content: { creator: names.user(account, by), room_version: roomVersion },
    },
    { type: 'm.room.power_levels', stateKey: '', by, content: powers },
    ...rules(by),
    { type: 'm.room.history_visibility', stateKey: '', by, content: { history_visibility: visibilityOf(state) } },
    { type: 'm.room.name', stateKey: '', by, content: { name: state.name } },
    ...[...state.members.keys()].map((who) =>
      who === account && isAsked
        ? member(parts, account, who, 'invite', row.addedBy)
        : member(parts, account, who, 'join', who),
    ),
  ]
}

const visibilityOf = ({ policy }: Roster): string => (policy.sharesHistory ? 'shared' : 'joined')

export function powerLevels(
  users: Readonly<Record<string, number>>,
  { add, post, change }: { readonly add: number; readonly post: number; readonly change: number },
): Standing['content'] {
  return {
    users,
    users_default: 0,
    events: { 'm.room.name': change, 'm.room.power_levels': change, 'm.room.encryption': change + 1 },
    events_default: post,
    state_default: change,
    ban: change,
    kick: change,
    redact: change,
    invite: add,
    notifications: { room: change },
  }
}

function member(
  { names, services, avatarOf }: RoomStateParts,
  account: Identity,
  who: Identity,
  membership: Membership,
  by: Identity,
): Standing {
  const displayname = services.people.nameOf(account, who)
  const avatar = avatarOf(account, who)
  return {
    type: 'm.room.member',
    stateKey: names.user(account, who),
    by,
    content: {
      membership,
      ...(displayname === undefined || membership === 'leave' ? {} : { displayname }),
      ...(avatar === undefined || membership === 'leave' ? {} : { avatar_url: avatar }),
    },
  }
}

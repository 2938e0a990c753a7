/**
 * The room's configuration (XEP-0045 §10): the group's name and rules. What a group is by nature stands in the form with the one
 * value that it can have. Destroying a room leaves the group: nobody can end it for the others.
 */
import type { GroupPolicy } from '../../../../core/group/op.ts'
import { child, el, type Element } from '../../element.ts'
import type { Iq } from '../../feature.ts'
import { StanzaError } from '../../stanza-error.ts'
import { groupIn } from './admin.ts'
import { fieldOf, form, readBoolean, submitted } from './forms.ts'
import { formNs, muc, mucOwner, mucUser } from './namespaces.ts'
import { asRoom, type MucParts, roomFor } from './parts.ts'
import { goneOf } from './presence.ts'
import type { Room } from './rooms.ts'

const config = `${muc}#roomconfig`

/** @throws StanzaError */
function ownRoom(parts: MucParts, { client, toNamed }: Iq): Room {
  const room = roomFor(parts, client, groupIn(toNamed))
  if (parts.rooms.occupants(client.account, room).get(client.account)?.affiliation !== 'owner')
    throw new StanzaError('forbidden', 'only admins of the group change it')
  return room
}

export function configuration(parts: MucParts, iq: Iq): Element {
  const { name, policy } = ownRoom(parts, iq).roster
  return el(
    `query ${mucOwner}`,
    {},
    form('form', config, [
      fieldOf('muc#roomconfig_roomname', { label: 'Name of the group', type: 'text-single', value: name }),
      ...rules.map(({ field, label, read }) => fieldOf(field, { label, type: 'boolean', value: read(policy) })),
      ...fixed.map(({ field, label, value }) => fieldOf(field, { label, type: 'boolean', value })),
      fieldOf('muc#roomconfig_whois', {
        label: 'Who sees the addresses of members',
        type: 'list-single',
        value: 'anyone',
        options: [['anyone', 'All members']],
      }),
    ]),
  )
}

interface Rule {
  readonly field: string
  readonly label: string
  readonly read: (policy: GroupPolicy) => boolean
  readonly change: (isOn: boolean, policy: GroupPolicy) => Partial<GroupPolicy>
}

const rules: readonly Rule[] = [
  {
    field: 'muc#roomconfig_allowinvites',
    label: 'Members may add people',
    read: ({ add }) => add === 'members',
    change: (isOn) => ({ add: isOn ? 'members' : 'admins' }),
  },
  {
    field: 'muc#roomconfig_moderatedroom',
    label: 'Only admins may write',
    read: ({ post }) => post === 'admins',
    // that mail from outside is taken is no affair of rooms
    change: (isOn, { post }) => ({ post: isOn ? 'admins' : post === 'admins' ? 'members' : post }),
  },
  {
    field: 'mycelium#shares_history',
    label: 'Whoever is added may read what was said before',
    read: ({ sharesHistory }) => sharesHistory,
    change: (isOn) => ({ sharesHistory: isOn }),
  },
  {
    field: 'mycelium#read_receipts',
    label: 'Members see how far others have read',
    read: ({ readReceipts }) => readReceipts,
    change: (isOn) => ({ readReceipts: isOn }),
  },
]

const fixed = [
  { field: 'muc#roomconfig_persistentroom', label: 'The room stays', value: true },
  { field: 'muc#roomconfig_membersonly', label: 'For members only', value: true },
  { field: 'muc#roomconfig_publicroom', label: 'Others can find it', value: false },
  { field: 'muc#roomconfig_passwordprotectedroom', label: 'A password is asked for', value: false },
] as const

/** @throws StanzaError */
export async function configure(parts: MucParts, iq: Iq): Promise<undefined> {
  const room = ownRoom(parts, iq)
  if (child(iq.payload, `destroy ${mucOwner}`) !== undefined) return await destroy(parts, iq, room)
  const x = child(iq.payload, `x ${formNs}`)
  if (x === undefined) throw new StanzaError('bad-request', 'a form, or that the room is to be destroyed')
  if (x.attrs.type === 'cancel') return undefined
  if (x.attrs.type !== 'submit') throw new StanzaError('bad-request', 'the form is to be submitted')
  const given = submitted(x)
  const { name, policy } = changesIn(given, room)
  const { client, handled } = iq
  const { groups, store } = parts.server.services
  await asRoom(
    async () =>
      await store.write((tx) => {
        if (name !== undefined) groups.renameIn(tx, client.account, room.group, name)
        if (policy !== undefined) groups.setPolicyIn(tx, client.account, room.group, policy)
        handled(tx)
      }),
  )
  return undefined
}

interface Changes {
  readonly name: string | undefined
  readonly policy: GroupPolicy | undefined
}

/** @throws StanzaError `not-acceptable` for what a group cannot be (XEP-0045 §10.1.3) */
function changesIn(given: ReadonlyMap<string, string>, { roster }: Room): Changes {
  for (const { field, label, value } of fixed) {
    const text = given.get(field)
    if (text !== undefined && booleanOf(text, field) !== value)
      throw new StanzaError('not-acceptable', `“${label}” cannot be other than ${value ? 'on' : 'off'}`)
  }
  const whois = given.get('muc#roomconfig_whois')
  if (whois !== undefined && whois !== 'anyone')
    throw new StanzaError('not-acceptable', 'members of a group know each other')
  let policy = roster.policy
  for (const { field, read, change } of rules) {
    const text = given.get(field)
    if (text === undefined) continue
    const isOn = booleanOf(text, field)
    if (isOn !== read(policy)) policy = { ...policy, ...change(isOn, policy) }
  }
  const name = given.get('muc#roomconfig_roomname')?.trim()
  return {
    // an empty one is what a form holds that nobody filled in
    name: name === undefined || name === '' || name === roster.name ? undefined : name,
    policy: policy === roster.policy ? undefined : policy,
  }
}

function booleanOf(text: string, field: string): boolean {
  const value = readBoolean(text)
  if (value === undefined) throw new StanzaError('not-acceptable', `${field} is 1 or 0`)
  return value
}

/** For this account: the others go on. */
async function destroy(parts: MucParts, { client, handled }: Iq, room: Room): Promise<undefined> {
  const seats = parts.attendance.in(client.account, room.group)
  for (const { client: one } of seats) parts.attendance.leave(one, room.group)
  try {
    await asRoom(
      async () =>
        await parts.server.services.store.write((tx) => {
          parts.server.services.groups.leaveIn(tx, client.account, room.group)
          handled(tx)
        }),
    )
  } catch (error) {
    for (const seat of seats) parts.attendance.take(seat)
    throw error
  }
  for (const { client: one, room: jid, scene } of seats)
    one.send(
      goneOf(
        scene.occupants.get(client.account)!,
        { affiliation: 'none', more: el(`destroy ${mucUser}`) },
        { room: jid, to: one.jid, isSelf: true },
      ),
    )
  return undefined
}

/** What the pieces of rooms share. */
import { hasCode, MyceliumError } from '../../../../core/errors.ts'
import type { Identity } from '../../../../core/ids.ts'
import type { Client } from '../../client.ts'
import type { Server } from '../../feature.ts'
import { type Condition, StanzaError } from '../../stanza-error.ts'
import type { Attendance, Scene } from './attendance.ts'
import type { Room, Rooms } from './rooms.ts'

export interface MucParts {
  readonly server: Server
  readonly rooms: Rooms
  readonly attendance: Attendance
}

export const sceneOf = ({ rooms }: MucParts, account: Identity, room: Room): Scene => ({
  occupants: rooms.occupants(account, room),
  name: room.roster.name,
  policy: room.roster.policy,
})

export const isIn = ({ row, roster }: Room, account: Identity): boolean =>
  row.state !== 'left' && roster.members.has(account)

/** A room that the client's account is in. @throws StanzaError for what it is not */
export function roomFor({ rooms }: MucParts, { account }: Client, group: Room['group']): Room {
  const room = rooms.find(account, group)
  if (room === undefined) throw new StanzaError('item-not-found')
  if (!isIn(room, account)) throw new StanzaError('forbidden', 'you are not a member of this group')
  return room
}

/** What a group does not let its members do, as a room says it. */
const conditions: Partial<Record<MyceliumError['code'], readonly [Condition, string]>> = {
  'not-permitted': ['forbidden', 'the rules of the group do not let you do that'],
  'not-a-member': ['forbidden', 'not a member of the group'],
  'no-such-group': ['item-not-found', ''],
  'no-such-contact': ['item-not-found', 'only contacts can be added'],
  'group-full': ['resource-constraint', 'the group has as many members or changes as it can have'],
  'too-large': ['policy-violation', 'too long'],
  'clock-off': ['resource-constraint', 'the clock of this computer is wrong'],
}

/** Runs it, and turns what the group refuses into an error of the room. */
export async function asRoom<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    const [condition, text] = (error instanceof MyceliumError && conditions[error.code]) || []
    if (condition === undefined || hasCode(error, 'shutting-down')) throw error
    throw new StanzaError(condition, text)
  }
}

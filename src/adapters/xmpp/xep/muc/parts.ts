/** What the pieces of rooms share. */
import type { Identity } from '../../../../core/ids.ts'
import type { Client } from '../../client.ts'
import { asStanzaError } from '../../core-errors.ts'
import type { Server } from '../../feature.ts'
import { StanzaError } from '../../stanza-error.ts'
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
  heads: room.heads,
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

/** Runs it, and turns what the group refuses into an error of the room. */
export async function asRoom<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    throw asStanzaError(error)
  }
}

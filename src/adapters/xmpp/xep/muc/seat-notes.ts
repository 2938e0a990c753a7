/** In which rooms a client is, written down for when its stream is resumed after a start of the gateway (client.ts). */
import type { GroupId, GroupOpId } from '../../../../core/ids.ts'
import type { Client } from '../../client.ts'
import { bareOf, type Jid, parseJid } from '../../jid.ts'
import type { Seat } from './attendance.ts'

const name = 'muc'
/** A room whose members are in dispute at the moment is entered anew. */
const headsMax = 16

export interface SeatNote {
  readonly group: GroupId
  readonly room: Jid
  readonly asked: string
  readonly sinceNumber: number
  readonly heads: readonly GroupOpId[]
}

/** Replaced, never changed. */
export function noteSeats({ state }: Client, seats: Iterable<Seat>): void {
  const { [name]: _, ...others } = state.notes
  const rows = [...seats].flatMap(({ group, room, asked, sinceNumber, scene: { heads } }) =>
    heads.length > headsMax ? [] : [[group, bareOf(room), asked, String(sinceNumber), ...heads]],
  )
  state.notes = rows.length === 0 ? others : { ...others, [name]: JSON.stringify(rows) }
}

export function seatNotesOf({ state }: Client): readonly SeatNote[] {
  const text = state.notes[name]
  if (text === undefined) return []
  return (JSON.parse(text) as readonly (readonly string[])[]).flatMap(
    ([group, jid = '', asked = '', since, ...heads]) => {
      const room = parseJid(jid)
      return room === undefined
        ? []
        : [{ group: group as GroupId, room, asked, sinceNumber: Number(since), heads: heads as GroupOpId[] }]
    },
  )
}

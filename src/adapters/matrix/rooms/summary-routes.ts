/** A room in few words (Client-Server API, "Room previews", "Spaces"). There are no spaces: below a room there is only itself. */
import type { ReadTx, Store } from '../../../core/store/store.ts'
import type { ViewParts } from '../events/event-view.ts'
import type { Api, Asked, Json } from '../http/api.ts'
import { MatrixError } from '../http/matrix-error.ts'
import type { RoomRow } from '../stream/rows.ts'
import { summaryOf } from '../sync/room-summary.ts'
import { roomOf } from './room-of.ts'
import { roomVersion } from './room-state.ts'

interface SummaryParts extends ViewParts {
  readonly store: Store
}

export function summaryRoutes(api: Api, parts: SummaryParts): void {
  const { store, names, stream } = parts
  const summary = ({ caller, path }: Asked): Json =>
    store.read((tx) => {
      const conversation = names.conversation(path['room']!)
      const room = conversation && stream.room(tx, caller.account, conversation)
      if (room === undefined) throw new MatrixError('M_NOT_FOUND', 'No such room is known to you')
      return { ...inFewWords(parts, tx, caller, room), membership: room.membership }
    })
  for (const path of ['/room_summary/:room', '/rooms/:room/summary']) api.on('GET', path, summary)
  api.on('GET', '/rooms/:room/hierarchy', (asked) => {
    const { caller, path, query } = asked
    countOf(query, 'limit', 1)
    countOf(query, 'max_depth', 0)
    if (query.has('from')) throw new MatrixError('M_INVALID_PARAM', 'This token is none of this server')
    return store.read((tx) => {
      const room = roomOf(parts, caller, path['room']!, tx)
      if (room.membership === 'leave') throw new MatrixError('M_FORBIDDEN', 'You are not in this room')
      return { rooms: [{ ...inFewWords(parts, tx, caller, room), children_state: [] }] }
    })
  })
}

/** @throws MatrixError */
function countOf(query: URLSearchParams, name: string, min: number): void {
  const text = query.get(name)
  if (text !== null && (!/^\d{1,9}$/.test(text) || Number(text) < min))
    throw new MatrixError('M_INVALID_PARAM', `${name} is no number from ${min} on`)
}

function inFewWords(parts: SummaryParts, tx: ReadTx, { account }: Asked['caller'], room: RoomRow): Json {
  const { stream, names } = parts
  const { conversation } = room
  const said = (type: string, field: string): Json => {
    const state = stream.stateAt(tx, account, conversation, type, '')
    const value = state && (JSON.parse(state.content) as Json)[field]
    return typeof value === 'string' ? { [field === 'url' ? 'avatar_url' : field]: value } : {}
  }
  return {
    room_id: names.room(conversation),
    ...said('m.room.name', 'name'),
    ...said('m.room.avatar', 'url'),
    num_joined_members: summaryOf(parts, tx, account, room).joined,
    join_rule: 'invite',
    guest_can_join: false,
    world_readable: false,
    room_version: roomVersion,
  }
}

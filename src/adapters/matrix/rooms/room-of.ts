/** The room that a request names, where its account may do what it asks. */
import type { ReadTx } from '../../../core/store/store.ts'
import type { Caller } from '../http/api.ts'
import { MatrixError } from '../http/matrix-error.ts'
import type { Names } from '../names.ts'
import type { MatrixServices } from '../services.ts'
import type { RoomRow } from '../stream/rows.ts'
import type { Stream } from '../stream/stream.ts'

export interface RoomOfParts {
  readonly services: MatrixServices
  readonly names: Names
  readonly stream: Stream
}

/** In which the account is, was, or to which it was asked. @throws MatrixError `M_FORBIDDEN`: of a room of others nobody learns whether there is one */
export function roomOf(
  { services, names, stream }: RoomOfParts,
  { account }: Caller,
  id: string,
  tx?: ReadTx,
): RoomRow {
  const conversation = names.conversation(id)
  const read = (from: ReadTx): RoomRow | undefined => conversation && stream.room(from, account, conversation)
  const room = tx === undefined ? services.store.read(read) : read(tx)
  if (room === undefined) throw new MatrixError('M_FORBIDDEN', 'You are not in this room')
  return room
}

/** In which the account is, or was until it forgot it: of one to which it is only asked nothing is read. @throws MatrixError `M_FORBIDDEN` */
export function readableRoom(parts: RoomOfParts, caller: Caller, id: string, tx?: ReadTx): RoomRow {
  const room = roomOf(parts, caller, id, tx)
  if (room.isForgotten) throw new MatrixError('M_FORBIDDEN', 'You have forgotten this room')
  if (room.membership === 'invite') throw new MatrixError('M_FORBIDDEN', 'Join this room first')
  return room
}

/** @throws MatrixError `M_FORBIDDEN` where the account is not in it now */
export function joinedRoom(parts: RoomOfParts, caller: Caller, id: string, tx?: ReadTx): RoomRow {
  const room = roomOf(parts, caller, id, tx)
  if (room.membership !== 'join') throw new MatrixError('M_FORBIDDEN', 'You are not in this room')
  return room
}

/** `m.direct`: which rooms are chats with one person. Programs keep it; a room that comes by itself is put into it here. */
import type { ConversationId, Identity } from '../../../core/ids.ts'
import type { WriteTx } from '../../../core/store/store.ts'
import type { Kept } from '../kept.ts'
import type { Names } from '../names.ts'
import type { Stream } from '../stream/stream.ts'

type Direct = Readonly<Record<string, readonly string[]>>

export function markDirect(
  { kept, names, stream }: { readonly kept: Kept; readonly names: Names; readonly stream: Stream },
  tx: WriteTx,
  account: Identity,
  { peer, conversation }: { readonly peer: Identity; readonly conversation: ConversationId },
): void {
  const direct = kept.get<Direct>(tx, account, 'data', '', 'm.direct')?.value ?? {}
  const [user, room] = [names.user(account, peer), names.room(conversation)]
  const rooms = Array.isArray(direct[user]) ? direct[user] : []
  if (rooms.includes(room)) return
  const number = stream.append(tx, account, { kind: 'data', room: undefined, type: 'm.direct' })
  kept.put(tx, account, 'data', ['', 'm.direct'], { ...direct, [user]: [...rooms, room] }, { number })
}

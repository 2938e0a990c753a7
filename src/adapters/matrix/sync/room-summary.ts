/** Who is in a room, in few words, and what it is called (Client-Server API, "Room summary"). */
import type { Identity } from '../../../core/ids.ts'
import type { ReadTx } from '../../../core/store/store.ts'
import type { ViewParts } from '../events/event-view.ts'
import type { Json } from '../http/api.ts'
import type { RoomRow } from '../stream/rows.ts'

export interface Summary {
  /** By whom a room without a name is called. */
  readonly heroes: readonly Json[]
  readonly joined: number
  readonly invited: number
  readonly name: string | undefined
}

export function summaryOf(
  { services, stream, names }: Pick<ViewParts, 'services' | 'stream' | 'names'>,
  tx: ReadTx,
  account: Identity,
  { conversation, partner }: RoomRow,
): Summary {
  if (partner.kind === 'group') {
    const roster = services.groupBook.group(tx, account, partner.group)?.state
    return { heroes: [], joined: roster?.members.size ?? 0, invited: 0, name: roster?.name }
  }
  const { peer } = partner
  if (peer === account) return { heroes: [], joined: 1, invited: 0, name: undefined }
  const user = names.user(account, peer)
  const member = stream.stateAt(tx, account, conversation, 'm.room.member', user)
  const isWaiting = member !== undefined && /"membership":"invite"/.test(member.content)
  const name = services.people.nameOf(account, peer)
  const hero = { user_id: user, ...(name === undefined ? {} : { displayname: name, name }) }
  return { heroes: [hero], joined: isWaiting ? 1 : 2, invited: isWaiting ? 1 : 0, name: undefined }
}

/**
 * Joining, leaving, inviting and removing. To join where one was asked accepts a contact request or an invitation to a
 * group; to leave there refuses it.
 */
import { unreachable } from '../../../core/errors.ts'
import type { Store } from '../../../core/store/store.ts'
import type { Caller } from '../http/api.ts'
import { MatrixError } from '../http/matrix-error.ts'
import type { Names } from '../names.ts'
import type { MatrixServices } from '../services.ts'
import type { RoomRow } from '../stream/rows.ts'
import type { Stream } from '../stream/stream.ts'
import { identityOf } from './create-room.ts'
import { roomOf } from './room-of.ts'
import type { Rooms } from './rooms.ts'

interface MembershipParts {
  readonly services: MatrixServices
  readonly store: Store
  readonly names: Names
  readonly stream: Stream
  readonly rooms: Rooms
}

export class Memberships {
  readonly #parts: MembershipParts

  constructor(parts: MembershipParts) {
    this.#parts = parts
  }

  /** @throws MatrixError */
  async join(caller: Caller, id: string): Promise<RoomRow> {
    const { services, rooms, store } = this.#parts
    const { account } = caller
    const room = roomOf(this.#parts, caller, id)
    const { partner } = room
    if (room.membership === 'join') return room
    if (partner.kind === 'group') {
      const state = services.groups.row(account, partner.group)?.state
      if (state !== 'invited') throw new MatrixError('M_FORBIDDEN', 'You are not invited: ask a member to add you')
      await services.groups.accept(account, partner.group)
    }
    await store.write((tx) => {
      if (partner.kind === 'direct' && room.membership === 'invite')
        services.contacts.using(tx).accept(account, partner.peer)
    })
    await store.write((tx) => rooms.enter(tx, account, room))
    return store.read((tx) => this.#parts.stream.room(tx, account, room.conversation)!)
  }

  async leave({ account }: Caller, room: RoomRow): Promise<void> {
    const { services, rooms, store } = this.#parts
    const { partner } = room
    if (room.membership === 'leave') return
    if (partner.kind === 'group') await services.groups.leave(account, partner.group)
    // removed, it would ask again at once: its gateway goes on trying
    else if (room.membership === 'invite')
      await store.write((tx) => services.contacts.using(tx).block(account, partner.peer))
    await store.write((tx) => {
      if (partner.kind === 'group') rooms.ensure(tx, account, partner)
      else rooms.leave(tx, account, room)
    })
  }

  /** @throws MatrixError */
  async forget({ account }: Caller, room: RoomRow): Promise<void> {
    if (room.membership !== 'leave') throw new MatrixError('M_UNKNOWN', 'Leave the room first')
    await this.#parts.store.write((tx) => this.#parts.rooms.forget(tx, account, room))
  }

  async invite({ account }: Caller, room: RoomRow, user: string): Promise<void> {
    const { services, names } = this.#parts
    const group = groupOf(room)
    const who = identityOf({ names }, account, user)
    if (services.groupBook.groupNow(account, group)?.state.members.has(who) === true)
      throw new MatrixError('M_FORBIDDEN', `${user} is in the room already`)
    await services.groups.add(account, group, [who])
  }

  async kick(caller: Caller, room: RoomRow, user: string): Promise<void> {
    await this.#remove(caller, room, user)
  }

  /** Whoever was removed comes back only when somebody adds them: that is a ban already. */
  async ban(caller: Caller, room: RoomRow, user: string): Promise<void> {
    await this.#remove(caller, room, user)
  }

  async unban(_caller: Caller, room: RoomRow, _user: string): Promise<void> {
    groupOf(room)
    await Promise.resolve()
  }

  async #remove({ account }: Caller, room: RoomRow, user: string): Promise<void> {
    const { services, names } = this.#parts
    const group = groupOf(room)
    const who = names.identity(account, user)
    const members = services.groupBook.groupNow(account, group)?.state.members
    if (who === undefined || members?.has(who) !== true)
      throw new MatrixError(
        'M_FORBIDDEN',
        `${user} is not in this room, and comes into it only when somebody adds them`,
      )
    if (who === account) await services.groups.leave(account, group)
    else await services.groups.remove(account, group, who)
  }
}

/** @throws MatrixError: a chat of two has no members to add or remove */
function groupOf({ partner }: RoomRow): Extract<RoomRow['partner'], { readonly kind: 'group' }>['group'] {
  switch (partner.kind) {
    case 'group':
      return partner.group
    case 'direct':
      throw new MatrixError('M_FORBIDDEN', 'This is a chat of two people: make a group for more')
    default:
      return unreachable(partner)
  }
}

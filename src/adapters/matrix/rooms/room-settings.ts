/**
 * What a person changes of a room by state events: a group's name and who may do what. What is not the gateway's to keep
 * is refused as a whole.
 */
import { isDeepStrictEqual } from 'node:util'
import { z } from 'zod'
import { isAdmin } from '../../../core/group/roster.ts'
import type { GroupId, Identity } from '../../../core/ids.ts'
import type { Store } from '../../../core/store/store.ts'
import type { Caller, Json } from '../http/api.ts'
import { MatrixError } from '../http/matrix-error.ts'
import type { Names } from '../names.ts'
import type { MatrixServices } from '../services.ts'
import type { RoomRow } from '../stream/rows.ts'
import type { Memberships } from './memberships.ts'
import { admin, powerLevels } from './room-state.ts'

interface SettingsParts {
  readonly services: MatrixServices
  readonly store: Store
  readonly names: Names
  readonly memberships: Memberships
}

export interface Setting {
  readonly type: string
  readonly stateKey: string
  readonly content: Json
}

const name = z.looseObject({ name: z.string().min(1) })
const membership = z.looseObject({ membership: z.enum(['invite', 'join', 'leave', 'ban']) })
const powers = z.looseObject({
  users: z.record(z.string(), z.number()).optional(),
  events_default: z.number().optional(),
  invite: z.number().optional(),
})
/** What a group has of power levels: who is an admin, who may speak and who may add others. */
const changeable: ReadonlySet<string> = new Set(['users', 'events_default', 'invite'])
const visibility = z.looseObject({ history_visibility: z.enum(['shared', 'joined', 'invited', 'world_readable']) })

export class RoomSettings {
  readonly #parts: SettingsParts

  constructor(parts: SettingsParts) {
    this.#parts = parts
  }

  /** @throws MatrixError */
  async set(caller: Caller, room: RoomRow, setting: Setting): Promise<void> {
    const { account } = caller
    const { type, stateKey, content } = setting
    if (type === 'm.room.member') {
      await this.#setMembership(caller, room, stateKey, read(membership, content))
      return
    }
    if (type === 'm.room.encryption')
      throw new MatrixError('M_FORBIDDEN', 'The gateway encrypts what is said here: nothing is to be turned on')
    const { partner } = room
    if (room.membership !== 'join') throw new MatrixError('M_FORBIDDEN', 'You are not in this room')
    if (partner.kind !== 'group') throw new MatrixError('M_FORBIDDEN', 'Nothing is set in a chat of two people')
    const { groups } = this.#parts.services
    if (type === 'm.room.name' && stateKey === '') await groups.rename(account, partner.group, read(name, content).name)
    else if (type === 'm.room.power_levels' && stateKey === '')
      await this.#setPowers(account, partner.group, read(powers, content))
    else if (type === 'm.room.history_visibility' && stateKey === '') {
      const { history_visibility: wanted } = read(visibility, content)
      if (wanted === 'world_readable') throw new MatrixError('M_FORBIDDEN', 'Nobody outside reads what is said here')
      await groups.setPolicy(account, partner.group, { sharesHistory: wanted === 'shared' })
    } else throw new MatrixError('M_FORBIDDEN', `${type} is not kept here`)
  }

  async #setMembership(
    caller: Caller,
    room: RoomRow,
    user: string,
    { membership: wanted }: z.infer<typeof membership>,
  ): Promise<void> {
    const { memberships, names } = this.#parts
    const isOwn = user === names.own(caller.account)
    if (wanted === 'invite') await memberships.invite(caller, room, user)
    else if (wanted === 'join' && isOwn && room.membership === 'join')
      throw new MatrixError('M_FORBIDDEN', 'You are called the same in all rooms: change your name in your profile')
    else if (wanted === 'join' && isOwn) await memberships.join(caller, names.room(room.conversation))
    else if (wanted === 'join') throw new MatrixError('M_FORBIDDEN', 'Nobody joins for another')
    else if (isOwn) await memberships.leave(caller, room)
    else await memberships.kick(caller, room, user)
  }

  /** Two levels there are: members, and admins with 100. All of it or nothing. */
  async #setPowers(account: Identity, group: GroupId, wanted: z.infer<typeof powers>): Promise<void> {
    const { services, store, names } = this.#parts
    const roster = services.groupBook.groupNow(account, group)?.state
    if (roster === undefined) throw new MatrixError('M_FORBIDDEN', 'You are not in this room')
    const users = new Map(
      Object.entries(wanted.users ?? {}).flatMap(([user, level]) => {
        const who = names.identity(account, user)
        return who === undefined ? [] : [[who, level] as const]
      }),
    )
    for (const level of [...users.values(), wanted.events_default, wanted.invite])
      if (level !== undefined && level !== 0 && level !== admin)
        throw new MatrixError('M_FORBIDDEN', 'There are members (0) and admins (100), and nothing between')
    const fixed: Json = powerLevels({}, { add: 0, post: 0, change: admin })
    for (const [field, level] of Object.entries(wanted))
      if (!changeable.has(field) && !isDeepStrictEqual(level, fixed[field]))
        throw new MatrixError('M_FORBIDDEN', `${field} is for admins here, and stays so`)
    await store.write((tx) => {
      const { groups } = services
      for (const [who, level] of users)
        if (level === 100 && roster.members.has(who) && !isAdmin(roster, who)) groups.grantIn(tx, account, group, who)
      for (const who of roster.members.keys())
        if (isAdmin(roster, who) && users.get(who) !== 100) groups.revokeIn(tx, account, group, who)
      const [post, add] = [levelName(wanted.events_default), levelName(wanted.invite)]
      const isSame = post === roster.policy.post && add === roster.policy.add
      if (!isSame) groups.setPolicyIn(tx, account, group, { post, add })
    })
  }
}

const levelName = (level = 0): 'admins' | 'members' => (level > 0 ? 'admins' : 'members')

function read<T>(schema: z.ZodType<T>, content: Json): T {
  const found = schema.safeParse(content)
  if (found.success) return found.data
  const [issue] = found.error.issues
  throw new MatrixError('M_BAD_JSON', `${issue?.path.join('.') ?? ''}: ${issue?.message ?? 'not as expected'}`)
}

/** A new room: a group, or the chat with one person, which there is once (Client-Server API, "Creation"). */
import { z } from 'zod'
import { idOfPartner } from '../../../core/conversation/conversations.ts'
import type { ConversationId, Identity } from '../../../core/ids.ts'
import { limits } from '../../../core/limits.ts'
import { groupConversation } from '../../../core/message/conversation.ts'
import type { Store } from '../../../core/store/store.ts'
import type { Caller } from '../http/api.ts'
import { MatrixError } from '../http/matrix-error.ts'
import type { Names } from '../names.ts'
import type { MatrixServices } from '../services.ts'
import type { Stream } from '../stream/stream.ts'
import { roomVersion } from './room-state.ts'
import type { Rooms } from './rooms.ts'

const id = z.string().max(limits.matrixIdOctetsMax)
export const createRoomBody = z.looseObject({
  name: z.string().optional(),
  topic: z.string().optional(),
  invite: z.array(id).max(1000).optional(),
  invite_3pid: z.array(z.unknown()).max(1000).optional(),
  is_direct: z.boolean().optional(),
  preset: z.string().optional(),
  visibility: z.string().optional(),
  room_alias_name: z.string().max(limits.matrixIdOctetsMax).optional(),
  room_version: z.string().optional(),
  creation_content: z.looseObject({ type: z.string().optional() }).optional(),
  initial_state: z
    .array(z.looseObject({ type: z.string(), state_key: z.string().optional(), content: z.looseObject({}) }))
    .max(100)
    .optional(),
})
type CreateRoom = z.infer<typeof createRoomBody>

interface CreateRoomParts {
  readonly services: MatrixServices
  readonly store: Store
  readonly names: Names
  readonly stream: Stream
  readonly rooms: Rooms
}

/** @throws MatrixError */
export async function createRoom(parts: CreateRoomParts, caller: Caller, wanted: CreateRoom): Promise<ConversationId> {
  const { account } = caller
  refuseUnknown(wanted)
  const people = [...new Set(wanted.invite)].map((user) => identityOf(parts, account, user))
  const [only] = people
  const isChat = people.length === 1 && wanted.name === undefined && wanted.is_direct === true
  return isChat ? await openChat(parts, account, only!) : await foundGroup(parts, account, wanted, people)
}

/** What rooms here are not, said before anything is done. @throws MatrixError */
function refuseUnknown({
  visibility,
  preset,
  room_version: version,
  room_alias_name: alias,
  invite_3pid,
  creation_content,
  initial_state: state,
}: CreateRoom): void {
  if (visibility === 'public' || preset === 'public_chat')
    throw new MatrixError('M_FORBIDDEN', 'Rooms here are for those who were invited: make a private one')
  if (standingIn(state, 'm.room.history_visibility')?.['history_visibility'] === 'world_readable')
    throw new MatrixError('M_FORBIDDEN', 'Nobody outside reads what is said here')
  if (version !== undefined && version !== roomVersion)
    throw new MatrixError('M_UNSUPPORTED_ROOM_VERSION', `Rooms here have version ${roomVersion}`)
  if (alias !== undefined) throw new MatrixError('M_FORBIDDEN', 'Rooms here have no aliases')
  if (invite_3pid !== undefined && invite_3pid.length > 0)
    throw new MatrixError('M_FORBIDDEN', 'Invite by user id: @name:domain for name@domain')
  if (creation_content?.type !== undefined)
    throw new MatrixError('M_FORBIDDEN', 'Spaces and other kinds of rooms are not made here')
}

/** @throws MatrixError */
export function identityOf({ names }: Pick<CreateRoomParts, 'names'>, account: Identity, user: string): Identity {
  const identity = names.identity(account, user)
  if (identity === undefined)
    throw new MatrixError(
      'M_NOT_FOUND',
      `Nobody here is known as ${user}: ask them for an invitation and accept it (\`mycelium-gateway invite accept\`)`,
    )
  return identity
}

async function openChat(
  { store, stream, rooms }: CreateRoomParts,
  account: Identity,
  peer: Identity,
): Promise<ConversationId> {
  const partner = { kind: 'direct', peer } as const
  const conversation = idOfPartner(account, partner)
  await store.write((tx) => {
    const known = stream.room(tx, account, conversation)
    if (known?.hasLeft === true || known?.isForgotten === true) rooms.enter(tx, account, known)
    else rooms.ensure(tx, account, partner)
  })
  return conversation
}

const standingIn = (
  state: CreateRoom['initial_state'],
  wanted: string,
): Readonly<Record<string, unknown>> | undefined => state?.findLast(({ type }) => type === wanted)?.content

async function foundGroup(
  { services, store }: CreateRoomParts,
  account: Identity,
  { name, initial_state: state }: CreateRoom,
  people: readonly Identity[],
): Promise<ConversationId> {
  const stated = standingIn(state, 'm.room.name')?.['name']
  const isShared = standingIn(state, 'm.room.history_visibility')?.['history_visibility'] === 'shared'
  const called =
    name ?? (typeof stated === 'string' ? stated : undefined) ?? services.people.nameOf(account, account) ?? 'Group'
  const group = await store.write((tx) => {
    const made = services.groups.createIn(tx, account, called)
    if (isShared) services.groups.setPolicyIn(tx, account, made, { sharesHistory: true })
    const others = people.filter((who) => who !== account)
    if (others.length > 0) services.groups.addIn(tx, account, made, others)
    return made
  })
  return groupConversation(group)
}

/** Rooms: who is in them, what stands in them, and what a person does with them (Client-Server API, "Rooms"). */
import { isDeepStrictEqual } from 'node:util'
import { z } from 'zod'
import { limits } from '../../../core/limits.ts'
import type { Store } from '../../../core/store/store.ts'
import { type ClientEvent, inRoom, viewState, type ViewParts } from '../events/event-view.ts'
import type { Api, Asked, Json } from '../http/api.ts'
import { eventContent, refuseLarge } from '../http/canonical-json.ts'
import { MatrixError } from '../http/matrix-error.ts'
import { pageNumber } from '../events/event-routes.ts'
import { eventId } from '../names.ts'
import type { Follower } from '../stream/follower.ts'
import type { StateRow } from '../stream/rows.ts'
import { createRoom, createRoomBody } from './create-room.ts'
import type { Memberships } from './memberships.ts'
import { joinedRoom, readableRoom, roomOf } from './room-of.ts'
import type { Rooms } from './rooms.ts'
import type { RoomSettings } from './room-settings.ts'

export interface RoomRouteParts extends ViewParts {
  readonly store: Store
  readonly rooms: Rooms
  readonly memberships: Memberships
  readonly settings: RoomSettings
  readonly follower: Follower
}

const user = z.looseObject({
  user_id: z.string().max(limits.matrixIdOctetsMax),
  reason: z.string().max(limits.matrixEventBytesMax).optional(),
})
const nothing = z.looseObject({})
/** Left out it means to publish (Client-Server API, "Listing rooms"). */
const listed = z.looseObject({ visibility: z.enum(['private', 'public']).default('public') })

export function roomRoutes(api: Api, parts: RoomRouteParts): void {
  const { store, stream, names, memberships, settings, follower } = parts
  api.withBody('POST', '/createRoom', createRoomBody, async ({ caller }, body) => {
    const conversation = await createRoom(parts, caller, body)
    await follower.caughtUp(caller.account)
    return { room_id: names.room(conversation) }
  })
  api.on('GET', '/joined_rooms', ({ caller }) => ({
    joined_rooms: store
      .read((tx) => stream.rooms(tx, caller.account))
      .flatMap(({ membership, conversation }) => (membership === 'join' ? [names.room(conversation)] : [])),
  }))
  api.on('GET', '/directory/list/room/:room', ({ caller, path }) => {
    roomOf(parts, caller, path['room']!)
    return { visibility: 'private' }
  })
  api.withBody('PUT', '/directory/list/room/:room', listed, ({ caller, path }, { visibility }) => {
    roomOf(parts, caller, path['room']!)
    if (visibility !== 'private')
      throw new MatrixError('M_FORBIDDEN', 'Rooms here are for those who were invited, and listed nowhere')
    return {}
  })
  const join = async ({ caller, path }: Asked): Promise<Json> => {
    const room = await memberships.join(caller, path['room']!)
    await follower.caughtUp(caller.account)
    return { room_id: names.room(room.conversation) }
  }
  api.withBody('POST', '/join/:room', nothing, join)
  api.withBody('POST', '/rooms/:room/join', nothing, join)
  api.withBody('POST', '/rooms/:room/leave', nothing, async ({ caller, path }) => {
    await memberships.leave(caller, roomOf(parts, caller, path['room']!))
    return {}
  })
  api.withBody('POST', '/rooms/:room/forget', nothing, async ({ caller, path }) => {
    await memberships.forget(caller, roomOf(parts, caller, path['room']!))
    return {}
  })
  for (const action of ['invite', 'kick', 'ban', 'unban'] as const)
    api.withBody('POST', `/rooms/:room/${action}`, user, async ({ caller, path }, body) => {
      await memberships[action](caller, roomOf(parts, caller, path['room']!), body.user_id)
      return {}
    })
  api.on('GET', '/rooms/:room/state', ({ caller, path }) =>
    store.read((tx) => {
      const { conversation } = readableRoom(parts, caller, path['room']!, tx)
      return asList(
        stream.state(tx, caller.account, conversation).map((state) => shown(parts, caller, state, conversation)),
      )
    }),
  )
  const stateAt = ({ caller, path, query }: Asked): Json =>
    store.read((tx) => {
      const { conversation } = readableRoom(parts, caller, path['room']!, tx)
      const state = stream.stateAt(tx, caller.account, conversation, path['type']!, path['key'] ?? '')
      if (state === undefined) throw new MatrixError('M_NOT_FOUND', 'Nothing stands there')
      return query.get('format') === 'event'
        ? { ...shown(parts, caller, state, conversation) }
        : (JSON.parse(state.content) as Json)
    })
  const setState = async ({ caller, path }: Asked, content: Json): Promise<Json> => {
    refuseLarge(content)
    const room = roomOf(parts, caller, path['room']!)
    const standing = (): StateRow | undefined =>
      store.read((tx) => stream.stateAt(tx, caller.account, room.conversation, path['type']!, path['key'] ?? ''))
    const before = room.membership === 'join' ? standing() : undefined
    // programs write what stands already: it is no change, and needs no right
    if (before !== undefined && isDeepStrictEqual(JSON.parse(before.content), content))
      return { event_id: eventId(before.key) }
    await settings.set(caller, room, { type: path['type']!, stateKey: path['key'] ?? '', content })
    await follower.caughtUp(caller.account)
    const now = standing()
    if (now === undefined)
      throw new MatrixError('M_UNKNOWN', 'It was taken, and does not stand here yet', { status: 500 })
    return { event_id: eventId(now.key) }
  }
  for (const path of ['/rooms/:room/state/:type', '/rooms/:room/state/:type/', '/rooms/:room/state/:type/:key']) {
    api.on('GET', path, stateAt)
    api.withBody('PUT', path, eventContent, setState)
  }
  api.on('GET', '/rooms/:room/members', ({ caller, path, query }) =>
    store.read((tx) => {
      const { conversation } = readableRoom(parts, caller, path['room']!, tx)
      const [only, not] = [query.get('membership'), query.get('not_membership')]
      const at = query.get('at') ?? ''
      // what a program got with a page of a sync stands where that sync stood
      const before = at === '' ? undefined : pageNumber(at.replace(/^t\d{1,15}_(?=\d)/, 's'))
      const chunk = stream
        .state(tx, caller.account, conversation)
        .filter(({ type }) => type === 'm.room.member')
        .flatMap((row) => (before === undefined ? row : (stream.stateBefore(tx, caller.account, row, before) ?? [])))
        .map((state) => shown(parts, caller, state, conversation))
        .filter(({ content: { membership } }) => (only === null || membership === only) && membership !== not)
      return { chunk }
    }),
  )
  api.on('GET', '/rooms/:room/joined_members', ({ caller, path }) =>
    store.read((tx) => {
      const { conversation } = joinedRoom(parts, caller, path['room']!, tx)
      const members = stream
        .state(tx, caller.account, conversation)
        .filter(({ type }) => type === 'm.room.member')
        .map((state) => ({ id: state.stateKey, content: JSON.parse(state.content) as Json }))
        .filter(({ content }) => content['membership'] === 'join')
      return {
        joined: Object.fromEntries(
          members.map(({ id, content }) => [
            id,
            { display_name: content['displayname'] ?? null, avatar_url: content['avatar_url'] ?? null },
          ]),
        ),
      }
    }),
  )
}

const shown = (
  parts: RoomRouteParts,
  { account }: Asked['caller'],
  state: StateRow,
  conversation: Parameters<typeof inRoom>[2],
): ClientEvent => inRoom(parts, viewState(parts, account, state), conversation)

/** The answer is a list, not an object. */
const asList = (list: readonly unknown[]) => ({
  raw: { status: 200, headers: { 'content-type': 'application/json' }, body: JSON.stringify(list) },
})

/** What programs keep of an account and of its rooms: data by type, and tags (Client-Server API, "Client Config", "Room Tagging"). */
import { z } from 'zod'
import type { Identity } from '../../../core/ids.ts'
import { limits } from '../../../core/limits.ts'
import type { Store, WriteTx } from '../../../core/store/store.ts'
import { type Api, anyJson, type Asked, type Json } from '../http/api.ts'
import { MatrixError } from '../http/matrix-error.ts'
import type { Kept } from '../kept.ts'
import type { Names } from '../names.ts'
import { joinedRoom, type RoomOfParts } from '../rooms/room-of.ts'
import type { Stream } from '../stream/stream.ts'
import { ownOnly } from '../sync/sync-route.ts'

export interface DataParts extends RoomOfParts {
  readonly store: Store
  readonly kept: Kept
  readonly names: Names
  readonly stream: Stream
}

/** Types that have ways of their own to be set. */
const reserved: ReadonlySet<string> = new Set(['m.fully_read', 'm.push_rules'])

/** @param room '' for all of the account */
export function putData(
  { kept, stream, names }: Pick<DataParts, 'kept' | 'stream' | 'names'>,
  tx: WriteTx,
  account: Identity,
  { room, type, content }: { readonly room: string; readonly type: string; readonly content: Json },
): void {
  const before = kept.get<Json>(tx, account, 'data', room, type)?.value
  if (JSON.stringify(before) === JSON.stringify(content)) return
  const number = stream.append(tx, account, { kind: 'data', room: names.conversation(room), type })
  kept.put(tx, account, 'data', [room, type], content, { number })
}

export function dataRoutes(api: Api, parts: DataParts): void {
  const { store, kept } = parts
  const roomIn = (asked: Asked): string => {
    ownOnly(parts, asked.caller, asked.path['user']!)
    const id = asked.path['room']
    return id === undefined ? '' : parts.names.room(joinedRoom(parts, asked.caller, id).conversation)
  }
  const get = (asked: Asked): Json => {
    const room = roomIn(asked)
    const found = store.read((tx) => kept.get<Json>(tx, asked.caller.account, 'data', room, asked.path['type']!))
    if (found === undefined) throw new MatrixError('M_NOT_FOUND', 'Nothing is kept under this type')
    return found.value
  }
  const put = async (asked: Asked, content: Json): Promise<Json> => {
    const room = roomIn(asked)
    const type = asked.path['type']!
    if (reserved.has(type)) throw new MatrixError('M_BAD_JSON', `${type} is not set this way`, { status: 405 })
    await store.write((tx) => putData(parts, tx, asked.caller.account, { room, type, content }))
    return {}
  }
  for (const path of ['/user/:user/account_data/:type', '/user/:user/rooms/:room/account_data/:type']) {
    api.on('GET', path, get)
    api.withBody('PUT', path, anyJson, put)
  }
  const tagsOf = (asked: Asked, room: string): Json =>
    store.read((tx) => kept.get<{ readonly tags?: Json }>(tx, asked.caller.account, 'data', room, 'm.tag'))?.value
      .tags ?? {}
  api.on('GET', '/user/:user/rooms/:room/tags', (asked) => ({ tags: tagsOf(asked, roomIn(asked)) }))
  const tagPath = '/user/:user/rooms/:room/tags/:tag'
  const tagBody = z.looseObject({ order: z.number().optional() })
  const setTags = async (asked: Asked, change: (tags: Json) => Json): Promise<Json> => {
    const room = roomIn(asked)
    await store.write((tx) => {
      const { account } = asked.caller
      const tags = kept.get<{ readonly tags?: Json }>(tx, account, 'data', room, 'm.tag')?.value.tags ?? {}
      putData(parts, tx, account, { room, type: 'm.tag', content: { tags: change(tags) } })
    })
    return {}
  }
  api.withBody('PUT', tagPath, tagBody, async (asked, body) => {
    const tag = asked.path['tag']!
    if (Buffer.byteLength(tag) > limits.matrixIdOctetsMax) throw new MatrixError('M_TOO_LARGE', 'This tag is too long')
    return await setTags(asked, (tags) => ({ ...tags, [tag]: body }))
  })
  api.on(
    'DELETE',
    tagPath,
    async (asked) =>
      await setTags(asked, (tags) =>
        Object.fromEntries(Object.entries(tags).filter(([tag]) => tag !== asked.path['tag'])),
      ),
  )
}

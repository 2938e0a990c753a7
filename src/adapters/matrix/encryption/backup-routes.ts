/** Backups of room keys over HTTP: their versions, and sessions one by one, by room, or all (Client-Server API, "room_keys"). */
import { z } from 'zod'
import { limits } from '../../../core/limits.ts'
import type { Store } from '../../../core/store/store.ts'
import type { Api, Asked, Json } from '../http/api.ts'
import { MatrixError } from '../http/matrix-error.ts'
import type { Kept } from '../kept.ts'
import { type At, type BackedUp, Backups, type Session, sessionSchema, type Version, versionSchema } from './backup.ts'

const id = z.string().min(1).max(limits.matrixIdOctetsMax)
const roomSchema = z.looseObject({ sessions: z.record(id, sessionSchema) })
const allSchema = z.looseObject({ rooms: z.record(id, roomSchema) })

export function backupRoutes(api: Api, { store, kept }: { readonly store: Store; readonly kept: Kept }): void {
  const backups = new Backups(store, kept)
  const changed = ({ count, etag }: Version): Json => ({ count, etag: String(etag) })
  const shown = (of: Version): Json => ({
    version: of.version,
    algorithm: of.algorithm,
    auth_data: of.auth_data,
    ...changed(of),
  })
  api.withBody('POST', '/room_keys/version', versionSchema, async ({ caller }, body) => ({
    version: await backups.create(caller.account, body),
  }))
  api.on('GET', '/room_keys/version', ({ caller }) => shown(store.read((tx) => backups.version(tx, caller.account))))
  api.on('GET', '/room_keys/version/:version', ({ caller, path }) =>
    shown(store.read((tx) => backups.version(tx, caller.account, path['version']))),
  )
  api.withBody('PUT', '/room_keys/version/:version', versionSchema, async ({ caller, path }, body) => {
    await backups.update(caller.account, path['version']!, body)
    return {}
  })
  api.on('DELETE', '/room_keys/version/:version', async ({ caller, path }) => {
    await backups.remove(caller.account, path['version']!)
    return {}
  })

  const put = async (asked: Asked, sessions: readonly BackedUp[]): Promise<Json> =>
    changed(await backups.put(asked.caller.account, atOf(asked).version, sessions))
  const ofRoom = (room: string, sessions: Readonly<Record<string, Session>>): readonly BackedUp[] =>
    Object.entries(sessions).map(([session, value]) => ({ room, session, value }))
  api.withBody(
    'PUT',
    '/room_keys/keys',
    allSchema,
    async (asked, { rooms }) =>
      await put(
        asked,
        Object.entries(rooms).flatMap(([room, { sessions }]) => ofRoom(room, sessions)),
      ),
  )
  api.withBody(
    'PUT',
    '/room_keys/keys/:room',
    roomSchema,
    async (asked, { sessions }) => await put(asked, ofRoom(asked.path['room']!, sessions)),
  )
  api.withBody(
    'PUT',
    '/room_keys/keys/:room/:session',
    sessionSchema,
    async (asked, value) => await put(asked, [{ room: asked.path['room']!, session: asked.path['session']!, value }]),
  )

  const byRoom = async (asked: Asked): Promise<ReadonlyMap<string, ReadonlyMap<string, Session>>> => {
    const rooms = new Map<string, Map<string, Session>>()
    for await (const { room, session, value } of backups.sessions(asked.caller.account, atOf(asked)))
      rooms.set(room, (rooms.get(room) ?? new Map<string, Session>()).set(session, value))
    return rooms
  }
  const inRoom = async (asked: Asked): Promise<ReadonlyMap<string, Session>> =>
    (await byRoom(asked)).get(asked.path['room']!) ?? new Map<string, Session>()
  api.on('GET', '/room_keys/keys', async (asked) => ({
    rooms: Object.fromEntries(
      Array.from(await byRoom(asked), ([room, sessions]) => [room, { sessions: Object.fromEntries(sessions) }]),
    ),
  }))
  api.on('GET', '/room_keys/keys/:room', async (asked) => ({ sessions: Object.fromEntries(await inRoom(asked)) }))
  api.on('GET', '/room_keys/keys/:room/:session', async (asked) => {
    const found = (await inRoom(asked)).get(asked.path['session']!)
    if (found === undefined) throw new MatrixError('M_NOT_FOUND', 'This key is not in the backup')
    return { ...found }
  })
  for (const path of ['/room_keys/keys', '/room_keys/keys/:room', '/room_keys/keys/:room/:session'])
    api.on('DELETE', path, async (asked) => changed(await backups.delete(asked.caller.account, atOf(asked))))
}

/** @throws MatrixError */
function atOf({ query, path }: Asked): At {
  const version = query.get('version')
  if (version === null) throw new MatrixError('M_MISSING_PARAM', 'Say which version')
  if (Buffer.byteLength(version) > limits.matrixIdOctetsMax) throw new MatrixError('M_INVALID_PARAM', 'No such version')
  for (const name of [path['room'], path['session']])
    if (Buffer.byteLength(name ?? '') > limits.matrixIdOctetsMax)
      throw new MatrixError('M_INVALID_PARAM', `Ids have ${limits.matrixIdOctetsMax} octets at most`)
  return { version, room: path['room'], session: path['session'] }
}

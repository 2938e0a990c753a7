/** Backups of room keys over HTTP: their versions, and sessions one by one, by room, or all (Client-Server API, "room_keys"). */
import { z } from 'zod'
import { limits } from '../../../core/limits.ts'
import type { Store } from '../../../core/store/store.ts'
import type { Api, Asked, Json } from '../http/api.ts'
import { MatrixError } from '../http/matrix-error.ts'
import type { Kept } from '../kept.ts'
import { type At, Backups, type Session, sessionSchema, type Version, versionSchema } from './backup.ts'

const id = z.string().max(1024)
const roomSchema = z.looseObject({ sessions: z.record(id, sessionSchema) })
const allSchema = z.looseObject({ rooms: z.record(id, roomSchema) })

export function backupRoutes(api: Api, { store, kept }: { readonly store: Store; readonly kept: Kept }): void {
  const backups = new Backups(kept)
  const shown = ({ etag, ...version }: Version): Json => ({ ...version, etag: String(etag) })
  const changed = ({ count, etag }: Version): Json => ({ count, etag: String(etag) })
  api.withBody('POST', '/room_keys/version', versionSchema, async ({ caller }, body) => ({
    version: await store.write((tx) => backups.create(tx, caller.account, body)),
  }))
  api.on('GET', '/room_keys/version', ({ caller }) => shown(store.read((tx) => backups.version(tx, caller.account))))
  api.on('GET', '/room_keys/version/:version', ({ caller, path }) =>
    shown(store.read((tx) => backups.version(tx, caller.account, path['version']))),
  )
  api.withBody('PUT', '/room_keys/version/:version', versionSchema, async ({ caller, path }, body) => {
    await store.write((tx) => backups.update(tx, caller.account, path['version']!, body))
    return {}
  })
  api.on('DELETE', '/room_keys/version/:version', async ({ caller, path }) => {
    await store.write((tx) => backups.remove(tx, caller.account, path['version']!))
    return {}
  })

  const put = async (asked: Asked, sessions: Parameters<Backups['put']>[3]): Promise<Json> => {
    const { version } = atOf(asked)
    return changed(await store.write((tx) => backups.put(tx, asked.caller.account, version, sessions)))
  }
  const ofRoom = (room: string, sessions: Readonly<Record<string, Session>>) =>
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

  const get = (asked: Asked) =>
    store.read((tx) => {
      const at = atOf(asked)
      backups.version(tx, asked.caller.account, at.version)
      return backups.sessions(tx, asked.caller.account, at)
    })
  const sessionsOf = (found: ReturnType<typeof get>): Json =>
    Object.fromEntries(found.map(({ session, value }) => [session, value]))
  api.on('GET', '/room_keys/keys', (asked) => ({
    rooms: Object.fromEntries(
      [...Map.groupBy(get(asked), ({ room }) => room)].map(([room, of]) => [room, { sessions: sessionsOf(of) }]),
    ),
  }))
  api.on('GET', '/room_keys/keys/:room', (asked) => ({ sessions: sessionsOf(get(asked)) }))
  api.on('GET', '/room_keys/keys/:room/:session', (asked) => {
    const [found] = get(asked)
    if (found === undefined) throw new MatrixError('M_NOT_FOUND', 'This key is not in the backup')
    return { ...found.value }
  })
  for (const path of ['/room_keys/keys', '/room_keys/keys/:room', '/room_keys/keys/:room/:session'])
    api.on('DELETE', path, async (asked) =>
      changed(await store.write((tx) => backups.delete(tx, asked.caller.account, atOf(asked)))),
    )
}

/** @throws MatrixError */
function atOf({ query, path }: Asked): At {
  const version = query.get('version')
  if (version === null) throw new MatrixError('M_MISSING_PARAM', 'Say which version')
  if (Buffer.byteLength(version) > limits.matrixIdOctetsMax) throw new MatrixError('M_INVALID_PARAM', 'No such version')
  return { version, room: path['room'], session: path['session'] }
}

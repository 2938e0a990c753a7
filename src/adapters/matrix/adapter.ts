/** The Matrix server: the Client-Server API over the HTTP listeners. One homeserver without federation, for the accounts of this gateway. */
import type { Ambient } from '../../core/ambient.ts'
import { limits } from '../../core/limits.ts'
import type { HttpRoute } from '../wire/http.ts'
import { dataRoutes } from './account/data-routes.ts'
import { profileRoutes } from './account/profile-routes.ts'
import { Calls } from './calls/calls.ts'
import { turnRoute } from './calls/turn-route.ts'
import { backupRoutes } from './encryption/backup-routes.ts'
import { crossSigningRoutes } from './encryption/cross-signing-routes.ts'
import { Encryption } from './encryption/encryption.ts'
import { keyRoutes } from './encryption/key-routes.ts'
import { eventRoutes } from './events/event-routes.ts'
import { relationRoutes } from './events/relation-routes.ts'
import { forgetSaid, Said } from './events/said.ts'
import { searchRoute } from './events/search-route.ts'
import { Sender } from './events/send.ts'
import { Api } from './http/api.ts'
import { serverRoutes } from './http/server-routes.ts'
import { Kept } from './kept.ts'
import { Again } from './login/again.ts'
import { byPassword, loginRoutes } from './login/login-routes.ts'
import { Tokens } from './login/tokens.ts'
import { mediaRoutes } from './media/media-routes.ts'
import { Media } from './media/media.ts'
import { Names } from './names.ts'
import { pushRoutes } from './push/push-routes.ts'
import { Memberships } from './rooms/memberships.ts'
import { receiptRoutes } from './rooms/receipt-routes.ts'
import { roomRoutes } from './rooms/room-routes.ts'
import { RoomSettings } from './rooms/room-settings.ts'
import { Rooms } from './rooms/rooms.ts'
import type { MatrixServices } from './services.ts'
import { Follower } from './stream/follower.ts'
import { Relations } from './stream/relations.ts'
import { Stream } from './stream/stream.ts'
import { Attendance } from './sync/attendance.ts'
import { Moments } from './sync/moments.ts'
import { slidingRoutes } from './sync/sliding/routes.ts'
import { syncRoutes, type SyncRouteParts } from './sync/sync-route.ts'
import { Unread } from './sync/unread.ts'

export interface Matrix extends AsyncDisposable {
  readonly routes: readonly HttpRoute[]
}

export async function openMatrix(services: MatrixServices, ambient: Ambient): Promise<Matrix> {
  await using scope = new AsyncDisposableStack()
  const { store, logins } = services
  const names = new Names(services)
  const stream = new Stream(store)
  const relations = new Relations(stream)
  const kept = new Kept()
  const said = new Said(ambient.clock)
  const media = new Media({ services, names, ambient })
  const tokens = new Tokens({ store, logins, ambient })
  const avatarOf = media.avatarOf.bind(media)
  const rooms = new Rooms({ services, names, stream, kept, ambient, avatarOf })
  const follower = scope.use(new Follower({ services, stream, relations, rooms, ambient }))
  const attendance = scope.use(new Attendance({ signals: services.signals, ambient }))
  const moments = scope.use(new Moments({ services, stream, ambient }))
  const view = { services, store, names, stream, said, relations, fileUrl: media.fileUrl.bind(media) }
  const unread = new Unread({ ...view, kept })
  const encryption = new Encryption({ services, kept, names, stream })
  tokens.whenEnded((tx, account, device) => encryption.deviceEnded(tx, account, device))
  const closing = new AbortController()
  scope.defer(() => closing.abort())
  const calls = scope.use(new Calls({ services, stream, said, ambient }))
  const sender = new Sender({
    services,
    stream,
    said,
    calls,
    fileBehind: media.fileBehind.bind(media),
    fileSaid: media.fileSaid.bind(media),
  })
  const memberships = new Memberships({ services, store, names, stream, rooms })
  const settings = new RoomSettings({ services, store, names, memberships })
  const api = new Api({
    log: ambient.log,
    callerOf: (token) => tokens.callerOf(token),
    ready: async (account) => await follower.caughtUp(account),
  })
  serverRoutes(api, { baseUrl: (authority, isSecure) => `${isSecure ? 'https' : 'http'}://${authority}` })
  const again = new Again({
    random: ambient.random,
    names,
    byPassword: async (user, password, request) => await byPassword({ logins, names }, user, password, request),
  })
  loginRoutes(api, {
    logins,
    tokens,
    names,
    again,
    onLogin: (account) => void follower.caughtUp(account),
  })
  const syncParts: SyncRouteParts = {
    ...view,
    kept,
    moments,
    unread,
    encryption,
    run: Buffer.from(ambient.random.bytes(6)).toString('base64url'),
    onPresence: (caller, presence) => attendance.saw(caller, presence),
    onHeard: (caller, token) => encryption.heard(caller, token),
    closing: closing.signal,
  }
  syncRoutes(api, syncParts)
  slidingRoutes(api, syncParts)
  const data = { services, store, kept, names, stream }
  eventRoutes(api, { ...view, sender })
  relationRoutes(api, view)
  searchRoute(api, view)
  roomRoutes(api, { ...view, rooms, memberships, settings, follower })
  receiptRoutes(api, { ...data, moments })
  dataRoutes(api, data)
  pushRoutes(api, data)
  mediaRoutes(api, media)
  turnRoute(api, services.externalServices, ambient)
  keyRoutes(api, { ...data, tokens, said, encryption })
  crossSigningRoutes(api, { ...data, encryption, again })
  backupRoutes(api, data)
  profileRoutes(api, { services, names, attendance, avatarOf, setAvatar: media.setAvatar.bind(media) })
  for (const account of tokens.accounts(services.accounts.list().map(({ identity }) => identity)))
    void follower.caughtUp(account)
  const sweep = setInterval(() => {
    for (const { identity } of services.accounts.list())
      forgetSaid(store, ambient.clock, identity).catch(() => ambient.log.warn('matrix.said-not-forgotten'))
  }, limits.matrixTransactionMs / 4)
  sweep.unref()
  scope.defer(() => clearInterval(sweep))
  const owned = scope.move()
  const answer = api.answer.bind(api)
  const route = (path: string, bodyBytesMax: number): HttpRoute => ({
    path,
    methods: ['GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'OPTIONS'],
    bodyBytesMax,
    origins: 'any',
    requestHeaders: ['authorization', 'x-requested-with', 'accept'],
    answer,
  })
  return {
    routes: [route('/_matrix/', limits.fileBytesMax), route('/.well-known/matrix/client', 0)],
    [Symbol.asyncDispose]: async () => await owned.disposeAsync(),
  }
}

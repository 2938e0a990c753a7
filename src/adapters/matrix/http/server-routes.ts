/** What a program asks before anything else: which versions there are, where the server is, what it can do. */
import { z } from 'zod'
import { roomVersion } from '../rooms/room-state.ts'
import type { Api } from './api.ts'
import { MatrixError } from './matrix-error.ts'

/** All that a client may look for: one that finds none of its own gives up. */
const versions = [
  'r0.0.1',
  'r0.1.0',
  'r0.2.0',
  'r0.3.0',
  'r0.4.0',
  'r0.5.0',
  'r0.6.0',
  'r0.6.1',
  ...Array.from({ length: 15 }, (_, at) => `v1.${at + 1}`),
]

const unstable = {
  'org.matrix.msc4222': true, // use_state_after
  'org.matrix.simplified_msc3575': true, // sliding sync
  'org.matrix.e2e_cross_signing': true,
  'uk.tcpip.msc4133': true, // fields of profiles
}

interface ServerParts {
  /** Where clients reach this server, as they named it. */
  readonly baseUrl: (authority: string, isSecure: boolean) => string
}

export function serverRoutes(api: Api, { baseUrl }: ServerParts): void {
  api.open('GET', '/_matrix/client/versions', () => ({ versions, unstable_features: unstable }))
  api.open('GET', '/.well-known/matrix/client', ({ authority, isSecure }) => ({
    'm.homeserver': { base_url: baseUrl(authority, isSecure) },
  }))
  const unknown = (): never => {
    throw new MatrixError('M_UNRECOGNIZED', 'Programs log in with an app password here')
  }
  api.open('GET', '/auth_metadata', unknown)
  api.open('GET', '/auth_issuer', unknown)
  api.on('GET', '/capabilities', () => ({
    capabilities: {
      'm.change_password': { enabled: false },
      'm.room_versions': { default: roomVersion, available: { [roomVersion]: 'stable' } },
      'm.set_displayname': { enabled: true },
      'm.set_avatar_url': { enabled: true },
      'm.3pid_changes': { enabled: false },
      'm.get_login_token': { enabled: false },
      'm.profile_fields': { enabled: false },
    },
  }))
  api.on('GET', '/thirdparty/protocols', () => ({}))
  api.on('GET', '/thirdparty/location', () => list([]))
  api.on('GET', '/thirdparty/user', () => list([]))
  api.on('GET', '/account/3pid', () => ({ threepids: [] }))
  for (const kind of ['protocol', 'location', 'user'])
    api.on('GET', `/thirdparty/${kind}/:protocol`, () => {
      throw new MatrixError('M_NOT_FOUND', 'There are no bridges to other networks here')
    })
  for (const path of ['password', 'deactivate', '3pid', '3pid/add', '3pid/bind', '3pid/delete', '3pid/unbind'])
    api.on('POST', `/account/${path}`, () => {
      throw new MatrixError('M_FORBIDDEN', 'The account is looked after with `mycelium-gateway`, not by programs')
    })
  api.withBody('POST', '/rooms/:room/upgrade', z.looseObject({}), () => {
    throw new MatrixError('M_FORBIDDEN', 'Rooms here need no other version')
  })
  for (const path of ['/rooms/:room/report', '/rooms/:room/report/:event', '/users/:user/report'])
    api.withBody('POST', path, z.looseObject({}), () => {
      throw new MatrixError('M_FORBIDDEN', 'There is nobody to report to: block who troubles you, or leave')
    })
  api.on('POST', '/knock/:room', () => {
    throw new MatrixError('M_FORBIDDEN', 'Nobody knocks here: ask a member to add you')
  })
  api.open('GET', '/publicRooms', () => ({ chunk: [], total_room_count_estimate: 0 }))
  api.withBody('POST', '/publicRooms', z.looseObject({}), () => ({ chunk: [], total_room_count_estimate: 0 }))
  api.on('GET', '/directory/room/:alias', () => {
    throw new MatrixError('M_NOT_FOUND', 'Rooms here have no aliases')
  })
  for (const method of ['PUT', 'DELETE'] as const)
    api.on(method, '/directory/room/:alias', () => {
      throw new MatrixError('M_FORBIDDEN', 'Rooms here have no aliases')
    })
  api.on('GET', '/rooms/:room/aliases', () => ({ aliases: [] }))
}

const list = (items: readonly unknown[]) => ({
  raw: { status: 200, headers: { 'content-type': 'application/json' }, body: JSON.stringify(items) },
})

/** Logging in and out, and the programs of an account (Client-Server API, "Client Authentication", "Device Management"). */
import { z } from 'zod'
import type { Logins } from '../../../core/account/logins.ts'
import { hasCode } from '../../../core/errors.ts'
import type { Identity } from '../../../core/ids.ts'
import { limits } from '../../../core/limits.ts'
import type { HttpRequest } from '../../wire/http.ts'
import { type Api, type Json, readBody } from '../http/api.ts'
import { MatrixError } from '../http/matrix-error.ts'
import { addressOfUser, type Names } from '../names.ts'
import { type Again, authSchema } from './again.ts'
import type { Device, Given, Tokens } from './tokens.ts'

interface LoginParts {
  readonly logins: Logins
  readonly tokens: Tokens
  readonly names: Names
  readonly again: Again
  /** A program has come: its account is followed from now on. */
  readonly onLogin: (account: Identity) => void
}

const deviceId = z.string().min(1).max(limits.matrixIdOctetsMax)
const deviceName = z.string().max(limits.matrixDeviceNameOctetsMax)
const loginBody = z.looseObject({
  type: z.string(),
  identifier: z.looseObject({ type: z.string(), user: z.string().optional() }).optional(),
  user: z.string().optional(),
  password: z.string().optional(),
  device_id: deviceId.optional(),
  initial_device_display_name: deviceName.optional(),
  refresh_token: z.boolean().optional(),
})
const refreshBody = z.looseObject({ refresh_token: z.string().max(limits.matrixIdOctetsMax) })

export function loginRoutes(api: Api, parts: LoginParts): void {
  const { tokens, names, again } = parts
  api.open('GET', '/login', () => ({ flows: [{ type: 'm.login.password' }] }))
  api.open('POST', '/login', async (request) => await logIn(parts, request))
  api.open('POST', '/refresh', async (request) => {
    const { refresh_token: token } = await readBody(request, refreshBody)
    return tokensJson(await tokens.refresh(token))
  })
  api.on('POST', '/logout', async ({ caller }) => {
    await tokens.end(caller.account, [caller.device])
    return {}
  })
  api.on('POST', '/logout/all', async ({ caller }) => {
    await tokens.end(
      caller.account,
      tokens.devices(caller.account).map(({ id }) => id),
    )
    return {}
  })
  api.on('GET', '/account/whoami', ({ caller }) => ({
    user_id: names.own(caller.account),
    device_id: caller.device,
    is_guest: false,
  }))
  api.on('GET', '/devices', ({ caller }) => ({ devices: tokens.devices(caller.account).map((one) => deviceJson(one)) }))
  api.on('GET', '/devices/:device', ({ caller, path }) => {
    const device = tokens.devices(caller.account).find(({ id }) => id === path['device'])
    if (device === undefined) throw new MatrixError('M_NOT_FOUND', 'There is no such device')
    return deviceJson(device)
  })
  api.withBody(
    'PUT',
    '/devices/:device',
    z.looseObject({ display_name: deviceName.optional() }),
    async ({ caller, path }, body) => {
      if (body.display_name !== undefined) await tokens.rename(caller.account, path['device']!, body.display_name)
      return {}
    },
  )
  api.withBody(
    'DELETE',
    '/devices/:device',
    z.looseObject({ auth: authSchema.optional() }),
    async ({ caller, path, request }, body) => {
      await again.check(caller, { what: `delete ${path['device']!}`, request }, body.auth)
      await tokens.end(caller.account, [path['device']!])
      return {}
    },
  )
  api.withBody(
    'POST',
    '/delete_devices',
    z.looseObject({ devices: z.array(deviceId).max(limits.matrixDevicesMax), auth: authSchema.optional() }),
    async ({ caller, request }, body) => {
      await again.check(caller, { what: `delete ${body.devices.join(' ')}`, request }, body.auth)
      await tokens.end(caller.account, body.devices)
      return {}
    },
  )
  api.open('GET', '/register', () => closed())
  api.open('POST', '/register', () => closed())
}

const closed = (): never => {
  throw new MatrixError('M_FORBIDDEN', 'Accounts are made with `mycelium-gateway account add`, not by programs')
}

async function logIn(parts: LoginParts, request: HttpRequest): Promise<Json> {
  const { tokens, names, onLogin } = parts
  const body = await readBody(request, loginBody)
  if (body.type !== 'm.login.password')
    throw new MatrixError('M_UNKNOWN', 'Log in with m.login.password and an app password')
  const user =
    body.identifier === undefined ? body.user : body.identifier.type === 'm.id.user' ? body.identifier.user : undefined
  if (user === undefined || body.password === undefined)
    throw new MatrixError('M_BAD_JSON', 'Give your name here as m.id.user, and an app password')
  const login = await byPassword(parts, user, body.password, request)
  if (login === undefined)
    throw new MatrixError(
      'M_FORBIDDEN',
      'Unknown user, or wrong app password (`mycelium-gateway password add` makes one)',
    )
  const made = await tokens.make(login, {
    device: body.device_id,
    name: body.initial_device_display_name,
    refreshes: body.refresh_token,
  })
  onLogin(login.account)
  return {
    user_id: names.own(login.account),
    device_id: made.device,
    home_server: names.server,
    ...tokensJson(made),
  }
}

const tokensJson = ({ token, refresh }: Given): Json => ({
  access_token: token,
  ...(refresh === undefined ? {} : { refresh_token: refresh.token, expires_in_ms: refresh.expiresInMs }),
})

/** @throws MatrixError */
export async function byPassword(
  { logins, names }: Pick<LoginParts, 'logins' | 'names'>,
  user: string,
  password: string,
  { remote }: HttpRequest,
): ReturnType<Logins['byPassword']> {
  try {
    return await logins.byPassword(localNameOf(names, user), password, remote)
  } catch (error) {
    if (hasCode(error, 'throttled'))
      throw new MatrixError('M_LIMIT_EXCEEDED', 'Too many wrong passwords: wait', {
        fields: { retry_after_ms: 10_000 },
      })
    throw error
  }
}

/** `name`, `@name:localhost` or an address: what stands for an account here. */
function localNameOf(names: Names, user: string): string {
  const address = addressOfUser(user)
  if (address === undefined) return user
  return address.endsWith(`@${names.server}`) ? address.slice(0, -names.server.length - 1) : address
}

const deviceJson = ({ id, name, seenAtMs }: Device): Json => ({
  device_id: id,
  ...(name === undefined ? {} : { display_name: name }),
  last_seen_ts: seenAtMs,
})

/**
 * Tokens by which a program shows a service who its person is (Client-Server API, "OpenID"). There is no federation: only
 * what reaches this gateway itself, such as a service on the same machine, can ask whose a token is. In memory, since
 * they are good for an hour.
 */
import { z } from 'zod'
import type { Ambient } from '../../../core/ambient.ts'
import { toBase64Url } from '../../../core/bytes.ts'
import type { Identity } from '../../../core/ids.ts'
import { limits } from '../../../core/limits.ts'
import type { Api } from '../http/api.ts'
import { MatrixError } from '../http/matrix-error.ts'
import type { Names } from '../names.ts'
import type { MatrixServices } from '../services.ts'
import { ownOnly } from '../sync/sync-route.ts'

interface OpenIdParts {
  readonly services: MatrixServices
  readonly names: Names
  readonly ambient: Ambient
}

export function openIdRoutes(api: Api, parts: OpenIdParts): void {
  const { services, names, ambient } = parts
  const given = new Map<string, { readonly account: Identity; readonly untilMs: number }>()
  api.withBody('POST', '/user/:user/openid/request_token', z.looseObject({}), ({ caller, path }) => {
    ownOnly(parts, caller, path['user']!)
    const token = toBase64Url(ambient.random.bytes(32))
    const [oldest] = given.keys()
    if (given.size >= limits.matrixOpenIdTokensMax && oldest !== undefined) given.delete(oldest)
    given.set(token, {
      account: caller.account,
      untilMs: ambient.clock.monotonicMs() + limits.matrixOpenIdMs,
    })
    return {
      access_token: token,
      token_type: 'Bearer',
      matrix_server_name: names.server,
      expires_in: limits.matrixOpenIdMs / 1000,
    }
  })
  // Server-Server API, "OpenID"
  api.open('GET', '/_matrix/federation/v1/openid/userinfo', ({ query }) => {
    const found = given.get(query.get('access_token') ?? '')
    const isGood = found !== undefined && found.untilMs > ambient.clock.monotonicMs()
    if (!isGood || !services.accounts.has(found.account))
      throw new MatrixError('M_UNKNOWN_TOKEN', 'This token is unknown, or no longer good')
    return { sub: names.own(found.account) }
  })
}

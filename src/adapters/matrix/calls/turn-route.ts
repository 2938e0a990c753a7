/** Servers that help calls through routers, with a login for a while (Client-Server API, "GET voip/turnServer"). */
import type { Ambient } from '../../../core/ambient.ts'
import { equalConstantTime, fromUtf8, toBase64, toBase64Url } from '../../../core/bytes.ts'
import { hmac } from '../../../core/crypto/kdf.ts'
import { limits } from '../../../core/limits.ts'
import type { ExternalService } from '../../wire/external-service.ts'
import type { Api, Json } from '../http/api.ts'

/** One login for all: of several secrets that of the first server counts. */
export function turnRoute(api: Api, services: readonly ExternalService[], { clock, random }: Ambient): void {
  api.on('GET', '/voip/turnServer', (): Json => {
    const secret = services.map((service) => service.secret()).find((one) => one !== undefined)
    if (secret === undefined) return {}
    const shared = services.filter((service) => {
      const own = service.secret()
      return own === undefined ? service.type.startsWith('stun') : equalConstantTime(own, secret)
    })
    const ttl = Math.floor(limits.turnLoginMs / 1000)
    const username = `${Math.floor(clock.nowMs() / 1000) + ttl}:${toBase64Url(random.bytes(9))}`
    return { username, password: toBase64(hmac('sha1', secret, fromUtf8(username))), ttl, uris: shared.map(uriOf) }
  })
}

/** RFC 7064 §3.1, RFC 7065 §3.1. */
const uriOf = ({ type, host, port, transport }: ExternalService): string =>
  type.startsWith('stun') ? `${type}:${host}:${port}` : `${type}:${host}:${port}?transport=${transport}`

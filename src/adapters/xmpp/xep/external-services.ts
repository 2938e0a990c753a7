/**
 * XEP-0215: STUN and TURN servers for calls, if the owner has named some. Where a secret is shared with the server, each
 * program has a login of its own that ends by itself, as TURN servers understand it: name `<end, Unix seconds>:<random>`,
 * password its HMAC-SHA-1 under the secret.
 */
import { toBase64, toBase64Url } from '../../../core/bytes.ts'
import { hmac } from '../../../core/crypto/kdf.ts'
import { fromUtf8 } from '../../../core/bytes.ts'
import { limits } from '../../../core/limits.ts'
import type { Client } from '../client.ts'
import { childrenNamed, type Element, el } from '../element.ts'
import type { ExternalService } from '../../wire/external-service.ts'
import type { Feature, Server } from '../feature.ts'
import { StanzaError } from '../stanza-error.ts'

const ns = 'urn:xmpp:extdisco:2'

interface Login {
  readonly sinceMs: number
  readonly endSeconds: number
  readonly name: string
}

export function externalServices({ services: { externalServices }, ambient }: Server): Feature {
  /** A program that asks for all, then for some, then for a login is told of one and the same. */
  const known = new WeakMap<Client, Map<ExternalService, Login>>()
  const loginOf = (client: Client, service: ExternalService): Login => {
    const own = known.get(client) ?? new Map<ExternalService, Login>()
    known.set(client, own)
    const nowMs = ambient.clock.nowMs()
    const before = own.get(service)
    if (before !== undefined && nowMs - before.sinceMs < limits.turnLoginAgainMs) return before
    const endSeconds = Math.floor((nowMs + limits.turnLoginMs) / 1000)
    const { username } = service
    const name = `${endSeconds}:${username === '' ? toBase64Url(ambient.random.bytes(9)) : username}`
    const login = { sinceMs: nowMs, endSeconds, name }
    own.set(service, login)
    return login
  }
  const written = (client: Client, service: ExternalService): Element => {
    const { type, host, port, transport, username, secret: secretOf } = service
    const place = { type, host, port, transport }
    const secret = secretOf()
    if (secret === undefined) {
      const named = username === '' ? {} : { username, restricted: 'true' }
      return el(`service ${ns}`, { ...place, ...named })
    }
    const { endSeconds, name } = loginOf(client, service)
    return el(`service ${ns}`, {
      ...place,
      restricted: 'true',
      username: name,
      password: toBase64(hmac('sha1', secret, fromUtf8(name))),
      expires: new Date(endSeconds * 1000).toISOString().replace('.000', ''),
    })
  }
  return {
    iq: [
      {
        payload: `services ${ns}`,
        at: ['server'],
        type: 'get',
        answer({ client, payload: { attrs } }) {
          const chosen = externalServices.filter(({ type }) => attrs.type === undefined || attrs.type === type)
          return el(`services ${ns}`, { type: attrs.type }, ...chosen.map((one) => written(client, one)))
        },
      },
      {
        payload: `credentials ${ns}`,
        at: ['server'],
        type: 'get',
        answer({ client, payload }) {
          const [asked] = childrenNamed(payload, 'service')
          const found = externalServices.find(
            ({ host, type, port }) =>
              asked?.attrs.host === host &&
              asked.attrs.type === type &&
              (asked.attrs.port === undefined || asked.attrs.port === String(port)),
          )
          if (found === undefined) throw new StanzaError('item-not-found')
          return el(`credentials ${ns}`, {}, written(client, found))
        },
      },
    ],
    disclose: (_, named) => (named.kind === 'server' ? { features: [ns] } : undefined),
  }
}

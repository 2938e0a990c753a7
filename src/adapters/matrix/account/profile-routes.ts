/** Who people are: names, pictures, how well it is known that they are they (Client-Server API, "Profiles", "User Directory"). */
import { z } from 'zod'
import { isChosen } from '../../../core/account/contact.ts'
import type { Identity } from '../../../core/ids.ts'
import { tierWords } from '../../../core/identity/trust.ts'
import { limits } from '../../../core/limits.ts'
import type { Api, Asked, Json } from '../http/api.ts'
import { MatrixError } from '../http/matrix-error.ts'
import type { Names } from '../names.ts'
import type { MatrixServices } from '../services.ts'
import type { Attendance } from '../sync/attendance.ts'
import { presenceOf } from '../sync/presence.ts'
import { trustType } from '../rooms/room-state.ts'
import { ownOnly } from '../sync/sync-route.ts'

export interface ProfileParts {
  readonly services: MatrixServices
  readonly names: Names
  readonly attendance: Attendance
  readonly avatarOf: (account: Identity, who: Identity) => string | undefined
  readonly setAvatar: (account: Identity, url: string) => Promise<void>
}

export function profileRoutes(api: Api, parts: ProfileParts): void {
  const { services, names, attendance, avatarOf, setAvatar } = parts
  const personIn = ({ caller, path }: Asked): Identity => {
    const identity = names.identity(caller.account, path['user']!)
    if (identity === undefined) throw new MatrixError('M_NOT_FOUND', 'Nobody is known here by that user id')
    return identity
  }
  const profile = (account: Identity, who: Identity): Json => {
    const displayname = services.people.nameOf(account, who)
    const avatar = avatarOf(account, who)
    const contact = services.contacts.byIdentity(account, who)
    return {
      ...(displayname === undefined ? {} : { displayname }),
      ...(avatar === undefined ? {} : { avatar_url: avatar }),
      ...(contact === undefined ? {} : { [trustType]: contact.keyChanged ? 'key-changed' : tierWords[contact.tier] }),
    }
  }
  api.on('GET', '/profile/:user', (asked) => profile(asked.caller.account, personIn(asked)))
  api.on('GET', '/profile/:user/:field', (asked) => {
    const all = profile(asked.caller.account, personIn(asked))
    const field = asked.path['field']!
    if (!(field in all) && field !== 'displayname' && field !== 'avatar_url')
      throw new MatrixError('M_NOT_FOUND', 'There is nothing of that in this profile')
    return field in all ? { [field]: all[field] } : {}
  })
  api.withBody(
    'PUT',
    '/profile/:user/displayname',
    z.looseObject({ displayname: z.string().nullish() }),
    async ({ caller, path }, body) => {
      ownOnly(parts, caller, path['user']!)
      const name = body.displayname ?? ''
      if (Buffer.byteLength(name) > limits.displayNameOctetsMax)
        throw new MatrixError('M_TOO_LARGE', 'This name is too long')
      await services.accounts.setDisplayName(caller.account, name)
      return {}
    },
  )
  api.withBody(
    'PUT',
    '/profile/:user/avatar_url',
    z.looseObject({ avatar_url: z.string().nullish() }),
    async ({ caller, path }, body) => {
      ownOnly(parts, caller, path['user']!)
      await setAvatar(caller.account, body.avatar_url ?? '')
      return {}
    },
  )
  const search = z.looseObject({ search_term: z.string(), limit: z.number().optional() })
  api.withBody('POST', '/user_directory/search', search, ({ caller }, body) => {
    const { account } = caller
    const term = body.search_term.toLowerCase().replace(/^@/, '')
    const people: readonly Identity[] = [
      ...services.contacts.list(account).flatMap((one) => (isChosen(one) && !one.blocked ? [one.identity] : [])),
      ...services.accounts.list().flatMap((one) => (one.identity === account || one.disabled ? [] : [one.identity])),
    ]
    const found = people
      .map((who) => ({ user_id: names.user(account, who), display_name: services.people.nameOf(account, who), who }))
      .filter(({ user_id: id, display_name: name }) => `${id.slice(1)} ${name ?? ''}`.toLowerCase().includes(term))
    const max = Math.min(Math.max(1, body.limit ?? 10), 100)
    return {
      limited: found.length > max,
      results: found.slice(0, max).map(({ user_id, display_name, who }) => {
        const avatar = avatarOf(account, who)
        return {
          user_id,
          ...(display_name === undefined ? {} : { display_name }),
          ...(avatar === undefined ? {} : { avatar_url: avatar }),
        }
      }),
    }
  })
  api.on('GET', '/presence/:user/status', (asked) => {
    const who = personIn(asked)
    const presence = presenceOf(services, asked.caller.account, who)
    return { presence, currently_active: presence === 'online' }
  })
  const presence = z.looseObject({
    presence: z.enum(['online', 'offline', 'unavailable']),
    status_msg: z.string().optional(),
  })
  api.withBody('PUT', '/presence/:user/status', presence, ({ caller, path }, body) => {
    ownOnly(parts, caller, path['user']!)
    attendance.saw(caller, body.presence)
    return {}
  })
}

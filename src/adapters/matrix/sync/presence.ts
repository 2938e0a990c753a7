/** Who is there, as coarsely as it is known (Client-Server API, "Presence"). */
import type { Identity } from '../../../core/ids.ts'
import type { Json } from '../http/api.ts'
import type { Names } from '../names.ts'
import type { MatrixServices } from '../services.ts'

const words = { available: 'online', away: 'unavailable', offline: 'offline' } as const

export const presenceOf = (services: MatrixServices, account: Identity, who: Identity): string =>
  words[services.signals.availabilityOf(account, who)]

export function presenceEvent(
  { services, names }: { readonly services: MatrixServices; readonly names: Names },
  account: Identity,
  who: Identity,
): Json & { readonly type: string; readonly sender: string; readonly content: Json } {
  const presence = presenceOf(services, account, who)
  return {
    type: 'm.presence',
    sender: names.user(account, who),
    content: { presence, currently_active: presence === 'online' },
  }
}

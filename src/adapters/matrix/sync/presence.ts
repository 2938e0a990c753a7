/** Who is there, as coarsely as it is known (Client-Server API, "Presence"). */
import type { Identity } from '../../../core/ids.ts'
import type { Json } from '../http/api.ts'
import type { Names } from '../names.ts'
import type { MatrixServices } from '../services.ts'
import type { presences } from './attendance.ts'

const words = { available: 'online', away: 'unavailable', offline: 'offline' } as const

/** Contacts say it over the overlay; accounts of this gateway are asked, where they want it known. */
export function presenceOf(
  { signals, accounts, conversations }: MatrixServices,
  account: Identity,
  who: Identity,
): keyof typeof presences {
  if (who !== account && !accounts.has(who)) return words[signals.availabilityOf(account, who)]
  const isTold = who === account || conversations.settings(who).tellsPresence
  return isTold ? words[signals.ownAvailability(who)] : 'offline'
}

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

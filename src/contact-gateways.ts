/** Which gateways accepted contacts live on: what decides whose connections this gateway carries. */
import type { Clock } from './core/ambient.ts'
import type { GatewayId } from './core/ids.ts'
import type { Knowledge } from './node.ts'

/** Contacts are read anew after this long: asking costs a walk through all of them. */
const rememberedMs = 5_000

/** A function that says whether an accepted contact of any account here lives at a gateway. */
export function contactGateways(
  { accounts, contacts }: Pick<Knowledge, 'accounts' | 'contacts'>,
  clock: Clock,
): (gateway: GatewayId) => boolean {
  let known = new Set<GatewayId>()
  let readAtMs = -Infinity
  return (gateway) => {
    const nowMs = clock.monotonicMs()
    if (nowMs - readAtMs >= rememberedMs) {
      readAtMs = nowMs
      known = new Set(
        accounts
          .list()
          .flatMap(({ identity }) => contacts.list(identity))
          .filter(({ state, blocked }) => state === 'active' && !blocked)
          .flatMap(({ devices }) => devices.flatMap(({ locators }) => locators?.gateway ?? [])),
      )
    }
    return known.has(gateway)
  }
}

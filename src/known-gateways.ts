/** Which gateways are those of contacts: a relay holds more for them, and carries what they send. */
import type { Contact } from './core/account/contact.ts'
import type { Clock } from './core/ambient.ts'
import type { GatewayId } from './core/ids.ts'
import type { Knowledge } from './node.ts'

/** Whether a gateway is one of an accepted contact of any account here, as of the last committed change, an account's within a minute. */
export function knownGateways(
  { accounts, contacts }: Pick<Knowledge, 'accounts' | 'contacts'>,
  clock: Clock,
): (gateway: GatewayId) => boolean {
  let known: ReadonlySet<string> | undefined
  let collectedAtMs = 0
  contacts.watch(() => {
    known = undefined
  })
  return (gateway) => {
    const nowMs = clock.monotonicMs()
    // accounts come and go without word here
    if (nowMs - collectedAtMs > keptMs) known = undefined
    if (known === undefined) collectedAtMs = nowMs
    known ??= new Set(
      accounts
        .list()
        .filter(({ disabled }) => !disabled)
        .flatMap(({ identity }) => contacts.list(identity).flatMap(gatewaysOf)),
    )
    return known.has(gateway)
  }
}

const keptMs = 60_000

const gatewaysOf = ({ state, blocked, devices }: Contact): readonly string[] =>
  state !== 'active' || blocked ? [] : devices.flatMap(({ locators }) => locators?.gateway ?? [])

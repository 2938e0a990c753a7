/**
 * Which gateways are those of contacts: a relay holds more for them, and carries what they send. Narrower than whom
 * delivery need not keep waiting behind strangers (`Switchboard.isFamiliar`): somebody who is still to be met has no claim
 * on room or lines here.
 */
import { type Contact, gatewaysOfContact } from './core/account/contact.ts'
import type { Clock } from './core/ambient.ts'
import type { Sibling } from './core/account/siblings.ts'
import type { GatewayId } from './core/ids.ts'
import { readLocators } from './core/identity/locators.ts'
import type { Knowledge } from './node.ts'

/** Whether a gateway is one of an accepted contact, or another device, of any account here, as of the last committed change, an account's within a minute. */
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
        .flatMap(({ identity }) => [
          ...contacts.list(identity).filter(isAccepted).flatMap(gatewaysOfContact),
          ...accounts.siblings(identity).flatMap(gatewayOfSibling),
        ]),
    )
    return known.has(gateway)
  }
}

const keptMs = 60_000

const gatewayOfSibling = ({ records }: Sibling): readonly GatewayId[] =>
  records?.locators === undefined ? [] : [readLocators(records.locators).gateway]

const isAccepted = ({ state, blocked }: Contact): boolean => state === 'active' && !blocked

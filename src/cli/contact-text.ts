/** One contact as text for a person. */
import type { ContactView } from '../core/control.ts'
import { printable, time } from './format.ts'

export function contactText({
  name,
  identity,
  fingerprint,
  addresses,
  state,
  connected,
  lastSeenMs,
}: ContactView): string {
  return [
    `Name         ${printable(name)}`,
    ...addresses.map(
      ({ address, tier, conflicting }) =>
        `Address      ${printable(address)} (${tier}${conflicting ? ', CONFLICTING claim' : ''})`,
    ),
    `State        ${state}${connected ? ', connected' : ''}`,
    `Last seen    ${time(lastSeenMs)}`,
    `Identity     ${identity}`,
    `Fingerprint  ${fingerprint}`,
  ].join('\n')
}

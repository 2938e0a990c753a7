/** One contact as text for a person. */
import type { ContactView, ReachView } from '../core/control-views.ts'
import { printable, time } from './format.ts'
import { reachText, sinceText } from './reach-text.ts'

const stateTexts: Readonly<Record<ContactView['state'], string>> = {
  pending: 'invited; their gateway was not reached yet',
  active: 'contact',
  request: 'waits to be accepted: contact accept, or contact block',
  fellow: 'in a group with you; contact accept makes them a contact',
  blocked: 'blocked; contact unblock ends it',
  'key-changed': 'their key changed: nothing is sent until digits are compared again (contact verify)',
}

const connectedFor = ({ state, sinceMs, transport }: ReachView, nowMs: number): string =>
  state === 'connected' ? `, ${transport ?? 'connected'} for ${sinceText(sinceMs, nowMs)}` : ''

export function contactText({
  name,
  identity,
  fingerprint,
  addresses,
  state,
  connected,
  lastSeenMs,
  reach,
}: ContactView): string {
  const nowMs = Date.now()
  return [
    `Name         ${printable(name)}`,
    ...addresses.map(
      ({ address, tier, conflicting }) =>
        `Address      ${printable(address)} (${tier}${conflicting ? ', CONFLICTING claim' : ''})`,
    ),
    `State        ${stateTexts[state]}`,
    ...(reach === undefined ? [] : [`Reached      ${reachText(reach, nowMs)}${connectedFor(reach, nowMs)}`]),
    ...(reach?.problem === undefined ? [] : [`Problem      ${printable(reach.problem)}`]),
    ...(reach?.remedy === undefined ? [] : [`To do        ${printable(reach.remedy)}`]),
    ...(connected ? [] : [`Last seen    ${time(lastSeenMs)}`]),
    `Identity     ${identity}`,
    `Fingerprint  ${fingerprint}`,
  ].join('\n')
}

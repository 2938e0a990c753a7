/** What a stream offers (RFC 6120 §4.3.2). */
import { child, type Element, el, streamNs } from './element.ts'
import type { Server } from './feature.ts'
import { csiNs } from './login/sasl2.ts'
import { managementNs } from './resumption/management.ts'
import type { Transport } from './transport.ts'

export const tlsNs = 'urn:ietf:params:xml:ns:xmpp-tls'
export const bindNs = 'urn:ietf:params:xml:ns:xmpp-bind'
const sessionNs = 'urn:ietf:params:xml:ns:xmpp-session'

export const startTlsFeature = (transport: Transport, isRequired: boolean): Element | undefined =>
  transport.canStartTls ? el(`starttls ${tlsNs}`, {}, isRequired ? el(`required ${tlsNs}`) : undefined) : undefined

/**
 * After login: what was not agreed on along with it. RFC 3921's session is nothing any more, but some clients go no
 * further without it.
 */
export function streamFeatures(
  { features }: Server,
  { isBound, isManaged }: { readonly isBound: boolean; readonly isManaged: boolean },
): Element {
  const binding = [el(`bind ${bindNs}`), el(`session ${sessionNs}`, {}, el(`optional ${sessionNs}`))]
  return el(
    `features ${streamNs}`,
    {},
    ...(isBound ? [] : binding),
    isManaged ? undefined : el(`sm ${managementNs}`, {}, el(`optional ${managementNs}`)),
    el(`csi ${csiNs}`),
    ...features.flatMap((feature) => feature.streamFeatures?.() ?? []),
  )
}

export const isSessionRequest = (element: Element): boolean =>
  element.name === 'iq' && element.attrs.type === 'set' && child(element, `session ${sessionNs}`) !== undefined

/** Stanza errors (RFC 6120 §8.3): what a handler throws, and the answer that comes of it. */
import { type Element, el, withAttrs } from './element.ts'

const stanzasNs = 'urn:ietf:params:xml:ns:xmpp-stanzas'

/** The conditions that are used here, with the type that goes with each (RFC 6120 §8.3.3). */
const types = {
  'bad-request': 'modify',
  conflict: 'cancel',
  'feature-not-implemented': 'cancel',
  forbidden: 'auth',
  gone: 'cancel',
  'internal-server-error': 'wait',
  'item-not-found': 'cancel',
  'jid-malformed': 'modify',
  'not-acceptable': 'modify',
  'not-allowed': 'cancel',
  'not-authorized': 'auth',
  'policy-violation': 'modify',
  'recipient-unavailable': 'wait',
  'registration-required': 'auth',
  'remote-server-not-found': 'cancel',
  'remote-server-timeout': 'wait',
  'resource-constraint': 'wait',
  'service-unavailable': 'cancel',
  'subscription-required': 'auth',
  'unexpected-request': 'wait',
} as const

export type Condition = keyof typeof types

export class StanzaError extends Error {
  override readonly name = 'StanzaError'
  readonly condition: Condition
  /** An application-specific condition (RFC 6120 §8.3.4). */
  readonly detail: Element | undefined

  /** @param text for a person, in words that say what to do */
  constructor(condition: Condition, text = '', detail?: Element) {
    super(text)
    this.condition = condition
    this.detail = detail
  }
}

/** The stanza returned to whoever sent it, with what went wrong. */
export function errorReply(stanza: Element, { condition, message, detail }: StanzaError): Element {
  const { to, from, id } = stanza.attrs
  const error = el(
    `error ${stanza.ns}`,
    { type: types[condition] },
    el(`${condition} ${stanzasNs}`),
    message === '' ? undefined : el(`text ${stanzasNs}`, {}, message),
    detail,
  )
  const reply = el(`${stanza.name} ${stanza.ns}`, { type: 'error', id }, error)
  return withAttrs(reply, { from: to, to: from })
}

/** How the end of a stream by an error is written (RFC 6120 §4.9). */
import { type Element, el, streamNs } from './element.ts'
import type { StreamError } from './transport.ts'

const conditionsNs = 'urn:ietf:params:xml:ns:xmpp-streams'

export const streamErrorElement = ({ condition, message, detail }: StreamError): Element =>
  el(
    `error ${streamNs}`,
    {},
    el(`${condition} ${conditionsNs}`),
    message === '' ? undefined : el(`text ${conditionsNs}`, { 'xml:lang': 'en' }, message),
    detail,
  )

/** One element that came whole, as in a WebSocket message (RFC 7395 §3.3.3) or a BOSH request: the same bounds as in a stream. */
import { fromUtf8 } from '../../../core/bytes.ts'
import { clientNs, type Element, streamNs } from '../element.ts'
import { StreamError } from '../transport.ts'
import { XmlReader } from '../xml-reader.ts'

const surroundings = fromUtf8(`<stream:stream xmlns='${clientNs}' xmlns:stream='${streamNs}'>`)
const declaration = /^\s*<\?xml[^>]{0,200}\?>/

/** @throws StreamError for what is not exactly one element of bounded, plain XML */
export function readElement(text: string, bytesMax: number): Element {
  const bytes = fromUtf8(text.replace(declaration, ''))
  if (bytes.length > bytesMax) throw new StreamError('policy-violation', 'too large')
  const reader = new XmlReader()
  reader.give(surroundings)
  reader.take(surroundings.length)
  reader.give(bytes)
  const event = reader.take(bytesMax)
  if (event?.kind !== 'stanza') throw new StreamError('not-well-formed')
  if (reader.take(bytesMax) !== undefined || reader.unread > 0) throw new StreamError('bad-format', 'one element each')
  return event.element
}

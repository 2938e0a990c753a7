/** Elements that come whole, as in WebSocket messages (RFC 7395 §3.3.3) or BOSH requests: with the same bounds as in a stream. */
import { fromUtf8 } from '../../../core/bytes.ts'
import { clientNs, type Element, streamNs } from '../element.ts'
import { StreamError } from '../transport.ts'
import { XmlReader } from '../xml-reader.ts'

const surroundings = fromUtf8(`<stream:stream xmlns='${clientNs}' xmlns:stream='${streamNs}'>`)
const declaration = /^\s*<\?xml[^>]{0,200}\?>/

/** One after the other; of no use any more once it has thrown. */
export class ElementReader {
  readonly #reader = new XmlReader()

  constructor() {
    this.#reader.give(surroundings)
    this.#reader.take(surroundings.length)
  }

  /** @throws StreamError for what is not exactly one element of bounded, plain XML */
  read(text: string, bytesMax: number): Element {
    const bytes = fromUtf8(text.replace(declaration, ''))
    if (bytes.length > bytesMax) throw new StreamError('policy-violation', 'too large')
    const reader = this.#reader
    reader.give(bytes)
    const event = reader.take(bytesMax)
    if (event?.kind !== 'stanza') throw new StreamError('not-well-formed')
    if (reader.take(bytesMax) !== undefined || reader.unread > 0)
      throw new StreamError('bad-format', 'one element each')
    return event.element
  }
}

export const readElement = (text: string, bytesMax: number): Element => new ElementReader().read(text, bytesMax)

/**
 * What a peer sends, as the header of its stream and whole stanzas (RFC 6120 §4, §11). Bytes are counted and read as
 * UTF-8 before the parser sees them. Input is handed on up to each `>`, since whatever can be complete ends there: so
 * nothing after an event is looked at before that event was taken, and each byte is looked at once.
 */
import { isUtf8 } from 'node:buffer'
import { SaxesParser, type SaxesTagNS } from 'saxes'
import { concat, fromUtf8 } from '../../core/bytes.ts'
import { limits } from '../../core/limits.ts'
import { clientNs, type Element, type Node, streamNs } from './element.ts'
import { type StreamCondition, StreamError, type StreamEvent } from './transport.ts'

const greaterThan = 0x3e
/** Tab, line feed, carriage return, space. */
const isSpace = (byte: number): boolean => byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09
const xmlNs = 'http://www.w3.org/XML/1998/namespace'

interface Growing {
  readonly name: string
  readonly ns: string
  readonly attrs: Readonly<Record<string, string>>
  readonly children: Node[]
}

export class XmlReader {
  /** Namespace of stanzas; they are read as those of clients, so that nobody else has to know another one. */
  readonly #contentNs: string
  #unread: Uint8Array = new Uint8Array()
  /** First bytes of a character that came in two pieces. */
  #half: Uint8Array = new Uint8Array()
  #parser = this.#newParser()
  #event: StreamEvent | undefined
  #isOpen = false
  /** Elements begun and not ended, below the stream's. */
  #open: Growing[] = []
  #attributes = 0
  /** Of what is being read. */
  #bytes = 0

  /** @param contentNs of another kind of stream, such as `jabber:component:accept` */
  constructor(contentNs: string = clientNs) {
    this.#contentNs = contentNs
  }

  /** Bytes that were given and not looked at. */
  get unread(): number {
    return this.#unread.length + this.#half.length
  }

  /** What follows is a stream of its own (RFC 6120 §4.3.3). */
  restart(): void {
    this.#parser = this.#newParser()
    this.#isOpen = false
    this.#open = []
    this.#bytes = 0
  }

  /** @throws StreamError `bad-format`, `unsupported-encoding` */
  give(piece: Uint8Array): void {
    const bytes = this.#half.length === 0 ? piece : concat(this.#half, piece)
    const whole = bytes.length - halfAtEnd(bytes)
    this.#half = bytes.slice(whole)
    const text = bytes.subarray(0, whole)
    // RFC 6120 §11.6; what begins like UTF-16 or Latin-1 is another encoding, the rest is broken
    if (!isUtf8(text)) throw new StreamError(this.#isOpen ? 'bad-format' : 'unsupported-encoding')
    this.#unread = this.#unread.length === 0 ? text : concat(this.#unread, text)
  }

  /**
   * The next event; `undefined` when more must be given first.
   * @throws StreamError for what is no stream of bounded, plain XML
   */
  take(stanzaBytesMax: number): StreamEvent | undefined {
    while (this.#event === undefined) {
      if (this.#bytes === 0) this.#skipSpaces()
      if (this.#unread.length === 0) return undefined
      const end = this.#unread.indexOf(greaterThan) + 1
      const segment = end === 0 ? this.#unread : this.#unread.subarray(0, end)
      this.#bytes += segment.length
      if (this.#bytes > stanzaBytesMax) throw new StreamError('policy-violation', 'too large')
      this.#unread = this.#unread.subarray(segment.length)
      this.#parse(Buffer.from(segment.buffer, segment.byteOffset, segment.length).toString('utf8'))
    }
    const event = this.#event
    this.#event = undefined
    this.#bytes = 0
    return event
  }

  /** Between stanzas they only show that the peer is there (RFC 6120 §4.6.1). */
  #skipSpaces(): void {
    let at = 0
    while (at < this.#unread.length && isSpace(this.#unread[at]!)) at += 1
    if (at > 0) this.#unread = this.#unread.subarray(at)
  }

  /** @throws StreamError */
  #parse(text: string): void {
    try {
      this.#parser.write(text)
    } catch (error) {
      if (error instanceof StreamError) throw error
      // An entity that is none of the five is well-formed with a DTD, which nobody may send.
      const isEntity = (error as Error).message.startsWith('undefined entity')
      throw new StreamError(isEntity ? 'restricted-xml' : 'not-well-formed')
    }
  }

  #newParser(): SaxesParser<{ xmlns: true }> {
    const parser = new SaxesParser({ xmlns: true, position: false, defaultXMLVersion: '1.0', forceXMLVersion: true })
    const refuse = (condition: StreamCondition) => (): never => {
      throw new StreamError(condition)
    }
    parser.on('doctype', refuse('restricted-xml'))
    parser.on('processinginstruction', refuse('restricted-xml'))
    parser.on('comment', refuse('restricted-xml'))
    parser.on('xmldecl', ({ version, encoding = 'UTF-8' }) => {
      if (version !== '1.0') throw new StreamError('not-well-formed')
      if (encoding.toUpperCase() !== 'UTF-8') throw new StreamError('unsupported-encoding')
    })
    parser.on('opentagstart', () => {
      this.#attributes = 0
      if (this.#open.length >= limits.xmppDepthMax) throw new StreamError('policy-violation', 'too deep')
    })
    parser.on('attribute', () => {
      this.#attributes += 1
      if (this.#attributes > limits.xmppAttributesMax) throw new StreamError('policy-violation', 'too many attributes')
    })
    parser.on('opentag', (tag) => this.#begin(tag))
    parser.on('closetag', () => this.#end())
    const text = (piece: string): void => this.#text(piece)
    parser.on('text', text)
    parser.on('cdata', text)
    return parser
  }

  #begin(tag: SaxesTagNS): void {
    if (this.#isOpen) {
      const ns = tag.uri === this.#contentNs ? clientNs : tag.uri
      this.#open.push({ name: tag.local, ns, attrs: attributesOf(tag), children: [] })
      return
    }
    if (tag.uri !== streamNs) throw new StreamError('invalid-namespace')
    if (tag.local !== 'stream') throw new StreamError('bad-format')
    // RFC 6120 §4.8.2
    if (tag.ns[''] !== undefined && tag.ns[''] !== this.#contentNs && tag.ns[''] !== streamNs)
      throw new StreamError('invalid-namespace')
    this.#isOpen = true
    this.#event = {
      kind: 'open',
      header: { name: 'stream', ns: streamNs, attrs: attributesOf(tag), children: [] },
    }
  }

  #end(): void {
    const ended = this.#open.pop()
    if (ended === undefined) {
      this.#event = { kind: 'end', isOrderly: true }
      return
    }
    const parent = this.#open.at(-1)
    if (parent === undefined) this.#event = { kind: 'stanza', element: ended }
    else parent.children.push(ended)
  }

  #text(piece: string): void {
    const parent = this.#open.at(-1)
    if (parent === undefined) {
      if (/[^ \t\r\n]/.test(piece)) throw new StreamError('bad-format', 'text between stanzas')
      return
    }
    const { children } = parent
    const before = children.at(-1)
    if (piece === '') return
    if (typeof before === 'string') children[children.length - 1] = before + piece
    else children.push(piece)
  }
}

/** One element that was written here, as `serialise` writes it. @throws StreamError */
export function elementOf(xml: string): Element {
  const reader = new XmlReader()
  reader.give(fromUtf8(`<s:stream xmlns:s='${streamNs}' xmlns='${clientNs}'>${xml}`))
  reader.take(Infinity)
  const event = reader.take(Infinity)
  if (event?.kind !== 'stanza') throw new StreamError('not-well-formed')
  return event.element
}

/** Without namespaces and what declares them; of prefixed ones only those of XML itself (`xml:lang`) are kept. */
function attributesOf({ attributes }: SaxesTagNS): Element['attrs'] {
  return Object.fromEntries(
    Object.values(attributes).flatMap(({ prefix, local, uri, value }) => {
      if (prefix === '') return local === 'xmlns' ? [] : [[local, value]]
      return uri === xmlNs ? [[`xml:${local}`, value]] : []
    }),
  )
}

/** How many bytes at the end begin a character that is not complete. */
function halfAtEnd(bytes: Uint8Array): number {
  for (let back = 1; back <= Math.min(3, bytes.length); back += 1) {
    const byte = bytes[bytes.length - back]!
    if ((byte & 0xc0) === 0x80) continue
    if (byte > 0xf4) return 0
    const length = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : byte >= 0xc0 ? 2 : 1
    return length > back ? back : 0
  }
  return 0
}

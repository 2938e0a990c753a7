import fc from 'fast-check'
import { SaxesParser } from 'saxes'
import { describe, expect, test, vi } from 'vitest'
import { type Element, el, serialise } from '../../../src/adapters/xmpp/element.ts'
import { StreamError, type StreamEvent } from '../../../src/adapters/xmpp/transport.ts'
import { elementOf, XmlReader } from '../../../src/adapters/xmpp/xml-reader.ts'
import { fromUtf8 } from '../../../src/core/bytes.ts'
import { limits } from '../../../src/core/limits.ts'
import { header } from './stream-server.ts'

type Outcome = readonly (StreamEvent | string)[]

/** Events, and the condition of the error that ended it. */
function readAll(pieces: readonly Uint8Array[], stanzaBytesMax: number = limits.xmppStanzaBytesMax): Outcome {
  const reader = new XmlReader()
  const events: (StreamEvent | string)[] = []
  try {
    for (const piece of pieces) {
      reader.give(piece)
      for (let event = reader.take(stanzaBytesMax); event !== undefined; event = reader.take(stanzaBytesMax))
        events.push(event)
    }
  } catch (error) {
    if (!(error instanceof StreamError)) throw error
    events.push(error.condition)
  }
  return events
}

const bytesOf = (text: string | Uint8Array): Uint8Array => (typeof text === 'string' ? fromUtf8(text) : text)
const inStream = (text: string): string => header() + text
const read = (text: string): Outcome => readAll([fromUtf8(inStream(text))]).slice(1)
const first = (text: string): Element => (read(text)[0] as { readonly element: Element }).element

describe('a stream', () => {
  test('is its header, whole stanzas, and its end; spaces between them are nothing', () => {
    const events = readAll([
      fromUtf8(
        `${header()} \n<message to='a'><body>x &amp; y</body></message>\r\n<r xmlns='urn:xmpp:sm:3'/></stream:stream>`,
      ),
    ])
    expect(events).toMatchObject([
      { kind: 'open', header: { attrs: { to: 'localhost', version: '1.0' } } },
      { kind: 'stanza', element: el('message', { to: 'a' }, el('body', {}, 'x & y')) },
      { kind: 'stanza', element: el('r urn:xmpp:sm:3') },
      { kind: 'end', isOrderly: true },
    ])
  })

  test('elements have their namespaces, whatever the prefixes; attributes keep xml:lang and lose other prefixes', () => {
    const found = first(
      `<x:message xmlns:x='jabber:client' xml:lang='de'><x:body>1</x:body><a:b xmlns:a='urn:a' a:c='1' d='2' __proto__='3'/></x:message>`,
    )
    const inner = { name: 'b', ns: 'urn:a', attrs: JSON.parse('{"d":"2","__proto__":"3"}') as object, children: [] }
    expect(found).toEqual({
      ...el('message', { 'xml:lang': 'de' }, el('body', {}, '1')),
      children: [el('body', {}, '1'), inner],
    })
  })

  test('text in pieces, sections and entities is one text', () => {
    expect(first(`<a>1<![CDATA[<2>]]>&#51;&lt;</a>`).children).toEqual(['1<2>3<'])
  })

  test('begins anew with another header after a restart', () => {
    const reader = new XmlReader()
    reader.give(fromUtf8(header()))
    expect(reader.take(10_000)?.kind).toBe('open')
    reader.restart()
    reader.give(fromUtf8(inStream('<a/>')))
    expect([reader.take(10_000)?.kind, reader.take(10_000)?.kind]).toEqual(['open', 'stanza'])
  })

  test('nothing after an event is looked at before that was taken: what came too early stays unread', () => {
    const reader = new XmlReader()
    reader.give(fromUtf8(inStream("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>injected<<<")))
    reader.take(10_000)
    expect(reader.take(10_000)?.kind).toBe('stanza')
    expect(reader.unread).toBe('injected<<<'.length)
  })
})

describe('what is no plain XML', () => {
  test.each([
    ['a DTD', `<?xml version='1.0'?><!DOCTYPE a [<!ENTITY b 'c'>]>`, 'restricted-xml'],
    ['another encoding', `<?xml version='1.0' encoding='ISO-8859-1'?><a/>`, 'unsupported-encoding'],
    ['UTF-16', Buffer.from(`\ufeff${header()}`, 'utf16le'), 'unsupported-encoding'],
    ['another version of XML', `<?xml version='1.1'?><a/>`, 'not-well-formed'],
    ['no stream', `<stream xmlns='http://etherx.jabber.org/streams' xmlns:s='urn:x'><s:a/>`, undefined],
    ['another name', `<s:other xmlns:s='http://etherx.jabber.org/streams'>`, 'bad-format'],
    ['another namespace', `<stream:stream xmlns:stream='urn:other'>`, 'invalid-namespace'],
    ["a server's stream", header().replace('jabber:client', 'jabber:server'), 'invalid-namespace'],
    ['no XML', `hello`, 'not-well-formed'],
  ])('%s at the beginning', (_, text, condition) => {
    const end = readAll([bytesOf(text), fromUtf8('>')]).at(-1)
    if (condition === undefined) expect(end).toMatchObject({ kind: 'stanza' })
    else expect(end).toBe(condition)
  })

  test.each([
    ['a comment', '<!-- -->', 'restricted-xml'],
    ['a comment inside', '<a><!-- --></a>', 'restricted-xml'],
    ['a processing instruction', '<?php 1?>', 'restricted-xml'],
    ['an entity of its own', '<a>&b;</a>', 'restricted-xml'],
    ['an entity in an attribute', `<a b='&c;'/>`, 'restricted-xml'],
    ['an XML declaration in the middle', `<?xml version='1.0'?>`, 'not-well-formed'],
    ['a wrong end', '<a></b>', 'not-well-formed'],
    ['an attribute twice', `<a b='1' b='2'/>`, 'not-well-formed'],
    ['an attribute twice by its namespace', `<a xmlns:x='u' xmlns:y='u' x:b='1' y:b='2'/>`, 'not-well-formed'],
    ['a prefix that is not bound', '<a:b/>', 'not-well-formed'],
    ['a prefix of an attribute that is not bound', `<a b:c='1'/>`, 'not-well-formed'],
    ['a control character', '<a>\u0001</a>', 'not-well-formed'],
    ['a reference to one', '<a>&#1;</a>', 'not-well-formed'],
    ['a reference to half a character', '<a>&#xD800;</a>', 'not-well-formed'],
    ['no character', '<a>\uffff</a>', 'not-well-formed'],
    ['the end of a section', '<a>]]></a>', 'not-well-formed'],
    ['text between stanzas', 'x<a/>', 'bad-format'],
    ['an attribute without quotes', '<a b=c/>', 'not-well-formed'],
  ])('%s', (_, text, condition) => {
    expect(read(text).at(-1)).toBe(condition)
  })

  test('bytes that are no UTF-8', () => {
    expect(readAll([fromUtf8(inStream('<a>')), Uint8Array.of(0xc3, 0x28), fromUtf8('</a>')]).at(-1)).toBe('bad-format')
    expect(readAll([fromUtf8(inStream('<a>')), Uint8Array.of(0xed, 0xa0, 0x80)]).at(-1)).toBe('bad-format')
  })
})

describe('bounds', () => {
  const nested = (depth: number): string => `${'<a>'.repeat(depth)}${'</a>'.repeat(depth)}`
  const withAttributes = (count: number): string =>
    `<a ${Array.from({ length: count }, (_, at) => `b${at}='1'`).join(' ')}/>`

  test('of depth and of attributes', () => {
    expect(read(nested(limits.xmppDepthMax))).toHaveLength(1)
    expect(read(nested(limits.xmppDepthMax + 1))).toEqual(['policy-violation'])
    expect(read(withAttributes(limits.xmppAttributesMax))).toHaveLength(1)
    expect(read(withAttributes(limits.xmppAttributesMax + 1))).toEqual(['policy-violation'])
  })

  test('of octets: a stanza of exactly that many passes, one more does not, in one piece as in many', () => {
    const stanza = (octets: number): string => `<a>${'ä'.repeat((octets - 7) / 2)}</a>`
    const of = (octets: number, pieces: number): Outcome => {
      const bytes = fromUtf8(inStream(stanza(octets)))
      const size = Math.ceil(bytes.length / pieces)
      const cut = Array.from({ length: pieces }, (_, at) => bytes.slice(at * size, (at + 1) * size))
      return readAll(cut, 1001).slice(1)
    }
    for (const pieces of [1, 2, 7, 500]) {
      expect(of(1001, pieces)).toMatchObject([{ kind: 'stanza' }])
      expect(of(1003, pieces)).toEqual(['policy-violation'])
    }
  })

  test('spaces between stanzas count as nothing', () => {
    const spaces = fromUtf8(' '.repeat(1000))
    expect(
      readAll([fromUtf8(header()), ...Array.from({ length: 50 }, () => spaces), fromUtf8('<a/>')], 500),
    ).toHaveLength(2)
  })

  test('each character is handed to the parser once, however it comes', () => {
    const write = vi.spyOn(SaxesParser.prototype, 'write')
    const resolve = vi.spyOn(SaxesParser.prototype, 'resolve')
    const text = inStream(`<a>${'>'.repeat(20_000)}${'x'.repeat(20_000)}</a>`)
    for (const size of [1, 3, 1000]) {
      write.mockClear()
      const bytes = fromUtf8(text)
      const pieces = Array.from({ length: Math.ceil(bytes.length / size) }, (_, at) =>
        bytes.slice(at * size, (at + 1) * size),
      )
      expect(readAll(pieces)).toHaveLength(2)
      expect(write.mock.calls.reduce((sum, [piece]) => sum + (piece as string).length, 0)).toBe(text.length)
    }
    resolve.mockClear()
    const deep = `${`<a xmlns:p='u'>`.repeat(63)}${`<p:a/>`.repeat(1000)}${'</a>'.repeat(63)}`
    expect(readAll([fromUtf8(inStream(deep))])).toHaveLength(2)
    expect(resolve.mock.calls.length).toBeLessThan(deep.length)
    write.mockRestore()
    resolve.mockRestore()
  })
})

const name = fc.stringMatching(/^[a-z_][a-z0-9._-]{0,8}$/)
const text = fc.string({ unit: 'binary', maxLength: 30 })
/** What XML can say. */
const sayable = text.map((one) => one.replaceAll(/[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\u{10000}-\u{10ffff}]/gu, ''))
const { element } = fc.letrec<{ element: Element }>((tie) => ({
  element: fc
    .record({
      name,
      ns: fc.constantFrom('jabber:client', 'urn:a', "urn:'b'&"),
      attrs: fc.dictionary(
        name.filter((one) => one !== 'xmlns'),
        sayable,
        { maxKeys: 4, noNullPrototype: true },
      ),
      children: fc.array(
        fc.oneof(
          { maxDepth: 4 },
          sayable.filter((one) => one !== ''),
          tie('element'),
        ),
        { maxLength: 4 },
      ),
    })
    .map((one) => ({ ...one, children: joined(one.children) })),
}))

/** Two texts in a row are one. */
function joined(children: Element['children']): Element['children'] {
  const all: (Element | string)[] = []
  for (const child of children) {
    const before = all.at(-1)
    if (typeof child === 'string' && typeof before === 'string') all[all.length - 1] = before + child
    else all.push(child)
  }
  return all
}

/** Cuts `whole` at the given places. */
const cutAt = (whole: Uint8Array, cuts: readonly number[]): Uint8Array[] => {
  const at = [0, ...cuts.map((cut) => cut % (whole.length + 1)).sort((a, b) => a - b), whole.length]
  return at.slice(1).map((end, index) => whole.slice(at[index], end))
}

describe('anything', () => {
  test('what is written is read as it was', () => {
    fc.assert(
      fc.property(element, (one) => {
        expect(elementOf(serialise(one))).toEqual(one)
      }),
    )
  })

  test('any cutting gives the same', () => {
    fc.assert(
      fc.property(fc.array(element, { maxLength: 4 }), fc.array(fc.nat(), { maxLength: 30 }), (stanzas, cuts) => {
        const bytes = fromUtf8(inStream(stanzas.map((one) => serialise(one)).join(' ')))
        expect(readAll(cutAt(bytes, cuts))).toEqual(readAll([bytes]))
      }),
    )
  })

  test('broken bytes give an error of the stream or what else they say, and no less when they are cut', () => {
    const mutation = fc.record({ at: fc.nat(), gone: fc.nat(4), put: fc.uint8Array({ maxLength: 4 }) })
    fc.assert(
      fc.property(
        fc.array(element, { maxLength: 3 }),
        fc.array(mutation, { minLength: 1, maxLength: 4 }),
        fc.array(fc.nat(), { maxLength: 10 }),
        (stanzas, mutations, cuts) => {
          let bytes = fromUtf8(inStream(stanzas.map((one) => serialise(one)).join('')))
          for (const { at, gone, put } of mutations) {
            const place = at % (bytes.length + 1)
            bytes = Uint8Array.from([...bytes.slice(0, place), ...put, ...bytes.slice(place + gone)])
          }
          const stanzasOf = (pieces: readonly Uint8Array[]): Outcome =>
            readAll(pieces).filter((one) => typeof one !== 'string')
          const whole = stanzasOf([bytes])
          // a piece that is no UTF-8 is not looked at: what comes before it in the same piece is not taken
          expect(stanzasOf(cutAt(bytes, cuts)).slice(0, whole.length)).toEqual(whole)
        },
      ),
    )
  })
})

/** What another gateway sends as a step of a call: read strictly or not at all; and where programs are, hidden. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { type Element, el, elements, type Node, serialise } from '../../../../src/adapters/xmpp/element.ts'
import { withoutHosts } from '../../../../src/adapters/xmpp/xep/calls/candidates.ts'
import { readCall, writeCall } from '../../../../src/adapters/xmpp/xep/calls/payload.ts'
import { elementText, parseElement } from '../../../../src/adapters/xmpp/xml-text.ts'

const names = fc.constantFrom('jingle', 'content', 'candidate', 'description', 'transport')
const namespaces = fc.constantFrom(
  'urn:xmpp:jingle:1',
  'urn:xmpp:jingle:transports:ice-udp:1',
  'urn:xmpp:jingle:transports:s5b:1',
  'urn:xmpp:jingle:apps:rtp:1',
)
// eslint-disable-next-line no-control-regex
const words = fc.string({ unit: 'grapheme' }).map((text) => text.replaceAll(/[\u0000-\u001f\ufffe\uffff]/g, ''))
const attrs = fc.dictionary(fc.constantFrom('id', 'type', 'ip', 'rel-addr'), fc.oneof(words, fc.constant('host')))
const { element } = fc.letrec<{ element: Element; node: Node }>((tie) => ({
  element: fc
    .tuple(names, namespaces, attrs, fc.array(tie('node'), { maxLength: 3 }))
    .map(([name, ns, given, children]) => el(`${name} ${ns}`, given, children)),
  node: fc.oneof({ depthSize: 'small' }, words, tie('element')),
}))

/** Texts that stand side by side are one. */
function joined(one: Element): Element {
  const children: Node[] = []
  for (const node of one.children) {
    const before = children.at(-1)
    if (typeof node === 'string' && typeof before === 'string') children[children.length - 1] = before + node
    else children.push(typeof node === 'string' ? node : joined(node))
  }
  return { ...one, children }
}

test('what is written is read again', () => {
  fc.assert(
    fc.property(element, (one) => {
      expect(joined(parseElement(elementText(one))!)).toEqual(joined(one))
    }),
  )
})

test('whatever comes is a step of a call or nothing, and a step is the same when it is sent on', () => {
  const pieces = fc.array(
    fc.oneof(
      fc.constantFrom(
        "<iq xmlns='jabber:client' from='AAAAAAAAAAAA' to='BBBBBBBBBBBB' id='1' type='set'>",
        "<jingle xmlns='urn:xmpp:jingle:1'>",
        '</jingle>',
        '</iq>',
        "<message xmlns='jabber:client' from='AAAAAAAAAAAA'>",
        "<propose xmlns='urn:xmpp:jingle-message:0'/>",
        '</message>',
        '<![CDATA[x]]>',
        '<?x y?>',
        '<!-- -->',
        '&amp;',
        '&lt',
      ),
      fc.string(),
    ),
  )
  const read = (bytes: Uint8Array): boolean => {
    const call = readCall(bytes)
    if (call !== undefined) expect(readCall(writeCall(call))).toEqual(call)
    return call !== undefined
  }
  fc.assert(fc.property(fc.uint8Array(), (bytes) => void read(bytes)))
  fc.assert(fc.property(pieces, (given) => void read(Buffer.from(given.join('')))))
  const whole =
    "<iq xmlns='jabber:client' from='AAAAAAAAAAAA' to='BBBBBBBBBBBB' id='1' type='set'><jingle xmlns='urn:xmpp:jingle:1'/></iq>"
  expect(read(Buffer.from(whole))).toBe(true)
  expect(read(Buffer.from(whole.replace('BBBBBBBBBBBB', 'desk')))).toBe(false)
})

test('no candidate with an own address is left, at whatever depth, and everything else stays', () => {
  const tags = (one: Element): readonly Element[] => [one, ...elements(one).flatMap(tags)]
  const isHost = ({ name, ns, attrs: { type } }: Element): boolean =>
    name === 'candidate' &&
    ((ns.includes('ice-udp') && type === 'host') || (ns.includes('s5b') && (type === undefined || type === 'direct')))
  fc.assert(
    fc.property(element, (one) => {
      const root = el('jingle urn:xmpp:jingle:1', {}, one)
      const left = tags(withoutHosts(root))
      expect(left.filter(isHost)).toEqual([])
      if (!tags(root).some(({ name }) => name === 'candidate'))
        expect(serialise(withoutHosts(root))).toBe(serialise(root))
    }),
  )
  const candidate = (type: string) =>
    el('candidate urn:xmpp:jingle:transports:ice-udp:1', { type, ip: '203.0.113.5', 'rel-addr': '10.0.0.1' })
  expect(withoutHosts(el('x', {}, ['host', 'srflx', 'prflx', 'relay'].map(candidate))).children).toEqual(
    ['srflx', 'prflx', 'relay'].map((type) =>
      el('candidate urn:xmpp:jingle:transports:ice-udp:1', { type, ip: '203.0.113.5' }),
    ),
  )
})

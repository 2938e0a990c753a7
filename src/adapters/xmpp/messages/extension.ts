/**
 * Payloads of a message that mean nothing to anybody but XMPP programs: they go through as written, but for those whose
 * meaning a server gives. Who writes one of these could be anybody, so they are sieved when they leave and when they come.
 */
import { type SaxesAttributeNS, SaxesParser } from 'saxes'
import { fromUtf8, toUtf8 } from '../../../core/bytes.ts'
import { limits } from '../../../core/limits.ts'
import type { Part } from '../../../core/message/part.ts'
import { clientNs, type Element, type Node, serialise } from '../element.ts'
import { StanzaError } from '../stanza-error.ts'
import { ns } from './namespaces.ts'

/** What a server says, or what is told in other words here. */
const heldBack: ReadonlySet<string> = new Set([
  ns.apply,
  ns.carbons,
  ns.chatStates,
  ns.correct,
  ns.delay,
  ns.fallback,
  ns.forward,
  ns.hints,
  ns.mam,
  ns.markers,
  ns.mds,
  ns.reactions,
  ns.receipts,
  ns.reply,
  ns.retract,
  ns.retractOld,
  ns.sid,
  'http://jabber.org/protocol/address',
  'http://jabber.org/protocol/muc',
  'http://jabber.org/protocol/nick',
  'http://jabber.org/protocol/xhtml-im',
  'http://www.w3.org/1999/xhtml',
  'jabber:component:accept',
  'jabber:x:conference',
  'jabber:x:delay',
  'urn:xmpp:blocking',
  'urn:xmpp:occupant-id:0',
  'vcard-temp:x:update',
])
const heldBackBelow =
  /^(?:http:\/\/jabber\.org\/protocol\/(?:muc|pubsub)#|http:\/\/jabber\.org\/protocol\/pubsub$|urn:xmpp:(?:carbons|mam|privilege|jingle|jingle-message|message-moderate|sm|push|component)(?::|$))/
/** Of a message itself: its language is that of its text. */
const ownPassing: ReadonlySet<string> = new Set(['subject', 'thread'])

export const mayPass = (element: Element): boolean =>
  element.ns === clientNs ? ownPassing.has(element.name) : !heldBack.has(element.ns) && !heldBackBelow.test(element.ns)

type ExtensionPart = Extract<Part, { readonly kind: 'extension' }>

/** @throws StanzaError when they are too long */
export function extensionOf(payloads: readonly Element[]): ExtensionPart {
  // in no namespace, so that each says its own
  const payload = fromUtf8(payloads.map((one) => serialise(one, '')).join(''))
  if (payload.length > limits.messageExtensionBytesMax)
    throw new StanzaError('policy-violation', `more than ${limits.messageExtensionBytesMax} octets beside the text`)
  return { kind: 'extension', protocol: 'xmpp', payload }
}

/** Nothing of what is malformed, and what may not pass is left out. @param alsoPasses of a message without a text part */
export function payloadsOf(
  parts: readonly Part[],
  alsoPasses: (element: Element) => boolean = () => false,
): readonly Element[] {
  return parts.flatMap((part) =>
    part.kind === 'extension' && part.protocol === 'xmpp'
      ? parseFragment(toUtf8(part.payload) ?? '').filter((one) => mayPass(one) || alsoPasses(one))
      : [],
  )
}

interface Open {
  readonly element: Element
  readonly children: Node[]
}

/** Elements one after the other; none at all where anything is wrong with one. */
export function parseFragment(text: string): readonly Element[] {
  const parser = new SaxesParser({ xmlns: true, fragment: true })
  const found: Element[] = []
  const open: Open[] = []
  const refuse = (): never => {
    throw new TypeError('not a fragment')
  }
  parser.on('error', refuse)
  parser.on('doctype', refuse)
  parser.on('processinginstruction', refuse)
  parser.on('comment', refuse)
  parser.on('cdata', refuse)
  parser.on('text', (data) => open.at(-1)?.children.push(data))
  parser.on('opentag', ({ local, uri, attributes }) => {
    if (open.length >= limits.xmppExtensionDepthMax || uri === '') refuse()
    const children: Node[] = []
    open.push({ element: { name: local, ns: uri, attrs: attrsOf(attributes), children }, children })
  })
  parser.on('closetag', () => {
    const { element } = open.pop()!
    const outer = open.at(-1)
    if (outer === undefined) found.push(element)
    else outer.children.push(element)
  })
  try {
    parser.write(text).close()
    return found
  } catch {
    return []
  }
}

const attrsOf = (attributes: Readonly<Record<string, SaxesAttributeNS>>): Record<string, string> =>
  Object.fromEntries(
    Object.values(attributes).flatMap(({ name, prefix, value }) =>
      name === 'xml:lang' || (prefix === '' && name !== 'xmlns') ? [[name, value]] : [],
    ),
  )

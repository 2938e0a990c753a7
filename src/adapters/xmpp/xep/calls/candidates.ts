/**
 * Where a program can be reached, as Jingle says it: addresses in its own network tell others more than a call needs.
 * Relayed and reflexive candidates stay, without the private address that they were made from.
 */
import { type Element, type Node, isElement } from '../../element.ts'

/** Transports whose candidates have a `type` (XEP-0176 §5.4, XEP-0371, XEP-0177, XEP-0260), with the types that are own addresses. */
const ownAddresses: ReadonlyMap<string, readonly (string | undefined)[]> = new Map([
  ['urn:xmpp:jingle:transports:ice-udp:1', ['host']],
  ['urn:xmpp:jingle:transports:ice:0', ['host']],
  ['urn:xmpp:jingle:transports:raw-udp:1', ['host', undefined]],
  ['urn:xmpp:jingle:transports:s5b:1', ['direct', undefined]],
])

/** The same, without candidates of type host. */
export function withoutHosts(element: Element): Element {
  return { ...element, children: element.children.flatMap(kept) }
}

function kept(node: Node): readonly Node[] {
  if (!isElement(node)) return [node]
  if (node.name !== 'candidate') return [withoutHosts(node)]
  const own = ownAddresses.get(node.ns)
  if (own === undefined) return [withoutHosts(node)]
  if (own.includes(node.attrs.type)) return []
  const { 'rel-addr': _address, 'rel-port': _port, ...attrs } = node.attrs
  return [{ ...withoutHosts(node), attrs }]
}

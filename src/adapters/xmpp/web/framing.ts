/** Elements written so that each stands for itself, as WebSocket messages and BOSH bodies have them. */
import { clientNs, type Element, serialise, streamNs } from '../element.ts'

/** RFC 7395 §3.3.3: all namespaces are declared within; those of the stream keep its prefix, which some clients look for. */
export function standalone(element: Element): string {
  if (element.ns !== streamNs) return serialise(element, '')
  const { name, children } = element
  const inside = children.map((node) => (typeof node === 'string' ? '' : serialise(node, '')))
  return `<stream:${name} xmlns:stream='${streamNs}'>${inside.join('')}</stream:${name}>`
}

/** Stanzas written by `serialise` with `jabber:client` around them, one by one and each with its namespace. */
export function* standaloneStanzas(xml: string): Generator<string> {
  let depth = 0
  let from = 0
  // `<` and `>` stand nowhere but around tags: `serialise` escapes them in text and attributes
  for (const { 0: tag, index } of xml.matchAll(/<(\/?)[^<>]*>/g)) {
    if (tag.startsWith('</')) depth -= 1
    else if (!tag.endsWith('/>')) depth += 1
    if (depth > 0) continue
    const end = index + tag.length
    yield withNs(xml.slice(from, end))
    from = end
  }
}

const withNs = (stanza: string): string =>
  /^<[^<>]* xmlns=/.test(stanza) ? stanza : stanza.replace(/^<[^\s/>]+/, (name) => `${name} xmlns='${clientNs}'`)

/** One element of text, as plays and tests write it: in the namespace `jabber:client` unless it says another. */
import { SaxesParser } from 'saxes'
import { clientNs, type Element, type Node } from '../../../src/adapters/xmpp/element.ts'

/** @throws Error for what is not one well-formed element */
export function xml(text: string): Element {
  const parser = new SaxesParser({ xmlns: true, additionalNamespaces: { '': clientNs } })
  const open: { element: Omit<Element, 'children'>; children: Node[] }[] = []
  let root: Element | undefined
  parser.on('error', (error) => {
    throw error
  })
  parser.on('opentag', ({ local, uri, attributes }) => {
    const attrs = Object.fromEntries(
      Object.values(attributes)
        .filter(({ prefix, name }) => prefix !== 'xmlns' && name !== 'xmlns')
        .map(({ name, value }) => [name, value]),
    )
    open.push({ element: { name: local, ns: uri, attrs }, children: [] })
  })
  parser.on('text', (piece) => open.at(-1)?.children.push(piece))
  parser.on('closetag', () => {
    const { element, children } = open.pop()!
    const made = { ...element, children }
    const outer = open.at(-1)
    if (outer === undefined) root = made
    else outer.children.push(made)
  })
  parser.write(text).close()
  if (root === undefined) throw new SyntaxError('no element')
  return root
}

/** One element from text that did not come over a stream: of another gateway, or kept earlier. */
import { SaxesParser } from 'saxes'
import { limits } from '../../core/limits.ts'
import { type Element, type Node, serialise } from './element.ts'

interface Open extends Omit<Element, 'children'> {
  readonly children: Node[]
}

/** Namespaces of attributes are not kept, but for `xml:lang`. `undefined` for what is not one well-formed, small element. */
export function parseElement(text: string): Element | undefined {
  const parser = new SaxesParser({ xmlns: true, position: false })
  const open: Open[] = []
  let root: Element | undefined
  const refuse = (): never => {
    throw new TypeError('not such XML')
  }
  for (const event of ['error', 'doctype', 'processinginstruction', 'comment', 'xmldecl'] as const)
    parser.on(event, refuse)
  parser.on('opentag', ({ local, uri, attributes }) => {
    const given = Object.values(attributes)
    if (open.length >= limits.xmlTextDepthMax || given.length > limits.xmlTextAttributesMax) refuse()
    const kept = given.filter((one) => one.uri === '' || one.name === 'xml:lang')
    const element: Open = {
      name: local,
      ns: uri,
      attrs: Object.fromEntries(kept.map(({ name, value }) => [name, value])),
      children: [],
    }
    open.at(-1)?.children.push(element)
    root ??= element
    open.push(element)
  })
  const addText = (piece: string): void => void open.at(-1)?.children.push(piece)
  parser.on('text', addText)
  parser.on('cdata', addText)
  parser.on('closetag', () => void open.pop())
  try {
    parser.write(text).close()
  } catch (error) {
    if (error instanceof TypeError || error instanceof Error) return undefined
    throw error
  }
  return root
}

/** Says its namespace even where that is `jabber:client`. */
export const elementText = (element: Element): string => serialise(element, '')

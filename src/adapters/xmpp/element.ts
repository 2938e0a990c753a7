/**
 * XML as XMPP uses it (RFC 6120 §11): elements with a namespace each, attributes without one, and text. Immutable;
 * made with `el`, found with `child`, written with `serialise`.
 */
export interface Element {
  readonly name: string
  /** Namespace URI. */
  readonly ns: string
  /** Without namespaces, but for `xml:lang`. */
  readonly attrs: Readonly<Record<string, string>>
  readonly children: readonly Node[]
}
export type Node = Element | string

type Given = Node | undefined | readonly (Node | undefined)[]

/**
 * @param name with its namespace: `ping urn:xmpp:ping`; without one it is that of stanzas, `jabber:client`
 * @param attrs those that are undefined are left out
 */
export function el(
  name: string,
  attrs: Readonly<Record<string, string | number | undefined>> = {},
  ...children: readonly Given[]
): Element {
  const [local, ns = clientNs] = name.split(' ')
  return {
    name: local!,
    ns,
    attrs: Object.fromEntries(
      Object.entries(attrs).flatMap(([key, value]) => (value === undefined ? [] : [[key, String(value)]])),
    ),
    children: children.flat().filter((child): child is Node => child !== undefined && child !== ''),
  }
}

export const clientNs = 'jabber:client'
export const streamNs = 'http://etherx.jabber.org/streams'

export const isElement = (node: Node): node is Element => typeof node !== 'string'

export const elements = ({ children }: Element): readonly Element[] => children.filter(isElement)

/** The first child of that name. @param name as `el` takes it; without a namespace that of the parent */
export function child(parent: Element, name: string): Element | undefined {
  const [local, ns = parent.ns] = name.split(' ')
  return elements(parent).find((one) => one.name === local && one.ns === ns)
}

export function childrenNamed(parent: Element, name: string): readonly Element[] {
  const [local, ns = parent.ns] = name.split(' ')
  return elements(parent).filter((one) => one.name === local && one.ns === ns)
}

/** Text directly inside. */
export const textOf = ({ children }: Element): string =>
  children.filter((node): node is string => typeof node === 'string').join('')

/** Text of the first child of that name; `undefined` where there is none. */
export function childText(parent: Element, name: string): string | undefined {
  const found = child(parent, name)
  return found === undefined ? undefined : textOf(found)
}

export const withAttrs = (element: Element, attrs: Readonly<Record<string, string | undefined>>): Element => ({
  ...element,
  attrs: Object.fromEntries(
    Object.entries({ ...element.attrs, ...attrs }).filter((entry): entry is [string, string] => entry[1] !== undefined),
  ),
})

export const withChildren = (element: Element, ...children: readonly Given[]): Element => ({
  ...element,
  children: [...element.children, ...children.flat().filter((one): one is Node => one !== undefined && one !== '')],
})

/**
 * Names and namespaces that every program reads. Others may write what XML allows: letters that older readers know in no
 * name, a namespace that is XML's own, one with a space in it. expat ends the stream over any of these, each time that the
 * message comes, so elements and attributes called so are left out.
 */
const writableName = /^[A-Za-z_][\w.-]*$/
const writableNs = /^(?!http:\/\/www\.w3\.org\/(?:XML\/1998\/namespace|2000\/xmlns\/)$)[\u0021-\u007e]*$/
const isWritable = ({ name, ns }: Element): boolean => writableName.test(name) && writableNs.test(ns)
const isWritableAttribute = (name: string): boolean =>
  name !== 'xmlns' && writableName.test(name.startsWith('xml:') ? name.slice(4) : name)

/** @param outerNs of what stands around it, which need not be said again */
export function serialise(element: Element, outerNs: string = clientNs): string {
  if (!isWritable(element)) return ''
  const { name, ns, attrs, children } = element
  const xmlns = ns === outerNs ? '' : ` xmlns='${escaped(ns)}'`
  const written = Object.entries(attrs).map(([key, value]) =>
    isWritableAttribute(key) ? ` ${key}='${escaped(value)}'` : '',
  )
  const open = `<${name}${xmlns}${written.join('')}`
  if (children.length === 0) return `${open}/>`
  const inside = children.map((node) => (typeof node === 'string' ? escaped(node) : serialise(node, ns)))
  return `${open}>${inside.join('')}</${name}>`
}

/** What XML 1.0 §2.2 has no place for, as text from mail can have, is left out: strict clients would drop the stream. */
// eslint-disable-next-line no-control-regex
const unwritable =
  /[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g
const special = /[&<>'"\t\n\r]/g
const entities: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  "'": '&apos;',
  '"': '&quot;',
  '\t': '&#9;',
  '\n': '&#10;',
  '\r': '&#13;',
}

export const escaped = (text: string): string => text.replace(unwritable, '').replace(special, (one) => entities[one]!)

/** Resource binding (RFC 6120 §7). */
import { child, childText, elements, type Element, el } from './element.ts'
import { fullOf, type Jid } from './jid.ts'
import { resultOf } from './router.ts'
import { bindNs } from './stream-features.ts'

/** `undefined` for what is no such request; the resource is left to the server where it names none. */
export function bindRequest(element: Element): { readonly resource: string | undefined } | undefined {
  const bind = element.name === 'iq' && element.attrs.type === 'set' ? child(element, `bind ${bindNs}`) : undefined
  if (bind === undefined || elements(element).length !== 1) return undefined
  const resource = childText(bind, 'resource')
  return { resource: resource === '' ? undefined : resource }
}

export const bound = (request: Element, jid: Jid): Element =>
  resultOf(request, el(`bind ${bindNs}`, {}, el(`jid ${bindNs}`, {}, fullOf(jid))))

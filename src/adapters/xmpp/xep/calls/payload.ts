/**
 * A stanza of a call as it goes to another gateway: its addresses reduced to resources, which are aliases there, and of
 * its contents nothing but the call. Whoever reads one trusts nothing in it.
 */
import { fromUtf8, toUtf8 } from '../../../../core/bytes.ts'
import { type Element, el, elements, withAttrs } from '../../element.ts'
import { parseJid } from '../../jid.ts'
import { elementText, parseElement } from '../../xml-text.ts'
import { isAlias } from './aliases.ts'

const invitationNs = 'urn:xmpp:jingle-message:0'
export const jingleNs = 'urn:xmpp:jingle:1'
const stanzasNs = 'urn:ietf:params:xml:ns:xmpp-stanzas'

/** XEP-0353. */
const steps = ['propose', 'ringing', 'proceed', 'accept', 'reject', 'retract', 'finish']
/** What may stand beside a step: how it is to be treated, and its sender's own id. */
const beside = new Set(['urn:xmpp:hints', 'urn:xmpp:sid:0 origin-id'])

export interface CallStanza {
  readonly element: Element
  /** Alias of the program that sent it. */
  readonly from: string
  /** Of the program that it is for; the bare JID of somebody else in a copy for own devices; '' for all programs. */
  readonly to: string
}

/** The step of a call's invitation (XEP-0353) that a message is. */
export function stepOf(message: Element): Element | undefined {
  const found = elements(message).filter(({ ns }) => ns === invitationNs)
  const [step, ...more] = found
  return step !== undefined && more.length === 0 && steps.includes(step.name) ? step : undefined
}

/** Without what is for the sender's own server or would be taken for something else than a call. */
export function onlyCall(stanza: Element): Element {
  const isKept = ({ name, ns }: Element): boolean =>
    stanza.name === 'message'
      ? ns === invitationNs || beside.has(ns) || beside.has(`${ns} ${name}`)
      : ns === jingleNs || (name === 'error' && ns === stanza.ns)
  const { id, type } = stanza.attrs
  return el(stanza.name, { id, type }, elements(stanza).filter(isKept))
}

export function writeCall({ element, from, to }: CallStanza): Uint8Array {
  const { id, type } = element.attrs
  const attrs = { from, to: to === '' ? undefined : to, id, type }
  return fromUtf8(elementText(el(element.name, attrs, element.children)))
}

/** `undefined` for what is no step of a call. */
export function readCall(payload: Uint8Array): CallStanza | undefined {
  const text = toUtf8(payload)
  const stanza = text === undefined ? undefined : parseElement(text)
  if (stanza === undefined || stanza.ns !== 'jabber:client') return undefined
  const { from = '', to = '' } = stanza.attrs
  const element = onlyCall(stanza)
  const isTo = to === '' || isAlias(to) || (to.includes('@') && parseJid(to)?.resource === '')
  return isAlias(from) && isTo && isCall(element) ? { element, from, to } : undefined
}

function isCall(stanza: Element): boolean {
  const { id, type } = stanza.attrs
  if (stanza.name === 'message') return type !== 'error' && type !== 'groupchat' && stepOf(stanza) !== undefined
  if (stanza.name !== 'iq' || id === undefined) return false
  const [child, ...more] = elements(stanza)
  if (type === 'set') return child?.ns === jingleNs && child.name === 'jingle' && more.length === 0
  return type === 'result' || (type === 'error' && elements(stanza).some(({ name }) => name === 'error'))
}

/**
 * The same with other names for who began and who answers a session (XEP-0166 §7.2): each side has its own for both.
 * Whom it does not know is left out, as whoever sends it counts then.
 */
export function renamed(iq: Element, nameOf: (name: string) => string | undefined): Element {
  const children = elements(iq).map((jingle) => {
    if (jingle.ns !== jingleNs) return jingle
    const { initiator, responder } = jingle.attrs
    return withAttrs(jingle, {
      initiator: initiator === undefined ? undefined : nameOf(initiator),
      responder: responder === undefined ? undefined : nameOf(responder),
    })
  })
  return { ...iq, children }
}

/** An answer that this gateway gives for a program. */
export const refusal = (id: string, condition: string): Element =>
  el('iq', { type: 'error', id }, el('error', { type: 'cancel' }, el(`${condition} ${stanzasNs}`)))

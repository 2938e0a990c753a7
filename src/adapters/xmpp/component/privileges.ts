/** What the server lets the component do in the name of its users (XEP-0356), and what is done with it. */
import { child, elements, type Element, el } from '../element.ts'

/** Both versions in use; servers understand the one that they speak. */
const namespaces = ['urn:xmpp:privilege:2', 'urn:xmpp:privilege:1']

export interface Privileges {
  readonly ns: string
  readonly mayReadRoster: boolean
  readonly maySetRoster: boolean
  /** Messages that a user has sent by other ways. */
  readonly maySpeak: boolean
}

export const noPrivileges: Privileges = {
  ns: namespaces[0]!,
  mayReadRoster: false,
  maySetRoster: false,
  maySpeak: false,
}

/** @returns undefined for a message that grants nothing */
export function readPrivileges(message: Element): Privileges | undefined {
  const granted = elements(message).find(({ name, ns }) => name === 'privilege' && namespaces.includes(ns))
  if (granted === undefined || message.name !== 'message') return undefined
  const types = new Map(
    elements(granted)
      .filter(({ name }) => name === 'perm')
      .map(({ attrs }) => [attrs.access, attrs.type]),
  )
  const roster = types.get('roster')
  return {
    ns: granted.ns,
    mayReadRoster: roster === 'get' || roster === 'both',
    maySetRoster: roster === 'set' || roster === 'both',
    maySpeak: types.get('message') === 'outgoing',
  }
}

/** XEP-0356 §5: a message of a user, to be taken as if their program had sent it. */
export const spoken = (message: Element, { ns }: Privileges, from: string, to: string): Element =>
  el('message', { from, to }, el(`privilege ${ns}`, {}, el('forwarded urn:xmpp:forward:0', {}, message)))

export interface RosterItem {
  readonly jid: string
  readonly name: string
  readonly subscription: string
}

const rosterNs = 'jabber:iq:roster'

/** XEP-0356 §4. */
export const rosterGet = (user: string, from: string): Element =>
  el('iq', { type: 'get', from, to: user }, el(`query ${rosterNs}`))

export const rosterSet = (user: string, from: string, { jid, name, subscription }: RosterItem): Element => {
  const group = subscription === 'remove' ? undefined : el(`group ${rosterNs}`, {}, 'Mycelium')
  const named = name === '' ? undefined : name
  const item = el(`item ${rosterNs}`, { jid, name: named, subscription }, group)
  return el('iq', { type: 'set', from, to: user }, el(`query ${rosterNs}`, {}, item))
}

/** @returns undefined for what is no roster */
export function readRoster(answer: Element | undefined): readonly RosterItem[] | undefined {
  const query = answer?.attrs.type === 'result' ? child(answer, `query ${rosterNs}`) : undefined
  if (query === undefined) return undefined
  return elements(query).map(({ attrs: { jid = '', name = '', subscription = 'none' } }) => ({
    jid,
    name,
    subscription,
  }))
}

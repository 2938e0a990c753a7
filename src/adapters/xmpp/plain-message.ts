/** Messages that stand for themselves: what comes of one does not hang on what is said right before it. */
import { clientNs, type Element, elements } from './element.ts'

const types: readonly (string | undefined)[] = [undefined, 'chat', 'groupchat', 'normal']
/** Beside these a message may refer to another one, which must be there then. */
const alone: ReadonlySet<string> = new Set([
  'body jabber:client',
  'subject jabber:client',
  'thread jabber:client',
  'active http://jabber.org/protocol/chatstates',
  'request urn:xmpp:receipts',
  'markable urn:xmpp:chat-markers:0',
  'origin-id urn:xmpp:sid:0',
  'store urn:xmpp:hints',
  'delay urn:xmpp:delay',
  'encryption urn:xmpp:eme:0',
  'encrypted eu.siacs.conversations.axolotl',
  'encrypted urn:xmpp:omemo:2',
])

export const isPlainMessage = (element: Element): boolean =>
  element.name === 'message' &&
  element.ns === clientNs &&
  element.attrs.from === undefined &&
  types.includes(element.attrs.type) &&
  elements(element).some(({ name }) => name === 'body') &&
  elements(element).every(({ name, ns }) => alone.has(`${name} ${ns}`))

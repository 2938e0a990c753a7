/** Where a client's stanza goes: its addresses read, then to the part that answers it (RFC 6120 §8, RFC 6121 §8). */
import type { WriteTx } from '../../core/store/store.ts'
import type { Client } from './client.ts'
import { elements, type Element, el, withAttrs } from './element.ts'
import type { Iq, Server, Stanza } from './feature.ts'
import { bareOf, fullOf, parseJid } from './jid.ts'
import { errorReply, StanzaError } from './stanza-error.ts'
import { StreamError } from './transport.ts'

/**
 * @param handled goes into the transaction that makes it durable
 * @returns once it is done with: what it asked to keep is durable
 * @throws StreamError where RFC 6120 ends the stream over it
 */
export async function routeStanza(
  server: Server,
  client: Client,
  element: Element,
  handled: (tx: WriteTx) => void = () => {},
): Promise<void> {
  const { attrs } = element
  if (attrs.from !== undefined && !isOwn(client, attrs.from)) throw new StreamError('invalid-from')
  const stamped = withAttrs(element, { from: fullOf(client.jid) })
  try {
    const stanza = { ...read(server, client, stamped), handled }
    if (element.name === 'iq') await answerIq(server, stanza)
    else if (element.name === 'message') await hand(server, stanza, 'message')
    else if (element.name === 'presence') await hand(server, stanza, 'presence')
    else throw new StreamError('unsupported-stanza-type')
  } catch (error) {
    if (!(error instanceof StanzaError)) throw error
    // RFC 6120 §8.3.1: an error is never answered with one
    const isAnswer = attrs.type === 'error' || (element.name === 'iq' && attrs.type === 'result')
    if (!isAnswer) client.send(errorReply(stamped, error))
  }
}

function isOwn({ jid }: Client, from: string): boolean {
  const given = parseJid(from)
  return (
    given !== undefined && bareOf(given) === bareOf(jid) && (given.resource === '' || given.resource === jid.resource)
  )
}

/** @throws StanzaError `jid-malformed` */
function read({ names }: Server, client: Client, element: Element): Omit<Stanza, 'handled'> {
  const { to: text, type = '' } = element.attrs
  const to = text === undefined ? { ...client.jid, resource: '' } : parseJid(text)
  if (to === undefined) throw new StanzaError('jid-malformed')
  return { client, element, to, toNamed: names.named(client.account, to), type }
}

async function hand({ features }: Server, stanza: Stanza, kind: 'message' | 'presence'): Promise<void> {
  for (const feature of features) if ((await feature[kind]?.(stanza)) === 'done') return
  if (kind === 'message' && stanza.type !== 'error') throw new StanzaError('service-unavailable')
}

async function answerIq(server: Server, stanza: Stanza): Promise<void> {
  const { client, element, to, toNamed, type } = stanza
  if (element.attrs.id === undefined) throw new StanzaError('bad-request', 'an iq has an id')
  if (toNamed.kind === 'self' && to.resource !== '') return toOwnClient(server, stanza)
  const neighbour = toNamed.kind === 'person' ? server.hub.find(toNamed.identity, to) : undefined
  if (neighbour !== undefined) return neighbour.send(withAttrs(element, { to: fullOf(neighbour.jid) }))
  if (type === 'result' || type === 'error') {
    for (const feature of server.features) if (feature.result?.(stanza) === 'done') return
    return
  }
  const [payload, ...more] = elements(element)
  if ((type !== 'get' && type !== 'set') || payload === undefined || more.length > 0)
    throw new StanzaError('bad-request', 'an iq is a get or a set with one child')
  for (const feature of server.features) if (feature.relay?.(stanza) === 'done') return
  const name = `${payload.name} ${payload.ns}`
  const handler = server.features
    .flatMap(({ iq = [] }) => iq)
    .find(
      (one) =>
        (one.payload === name || one.payload === `* ${payload.ns}`) &&
        one.at.includes(toNamed.kind) &&
        (one.type === undefined || one.type === type) &&
        (to.resource === '' || one.full === true),
    )
  if (handler === undefined) throw new StanzaError('service-unavailable')
  const iq: Iq = { ...stanza, type, payload }
  const answer = await handler.answer(iq)
  if (answer !== 'later') client.send(resultOf(element, answer))
}

/** Between clients of one account, untouched. */
function toOwnClient({ hub }: Server, { client, element, to }: Stanza): void {
  const other = hub.find(client.account, to)
  if (other === undefined) throw new StanzaError('service-unavailable')
  other.send(element)
}

export function resultOf({ attrs }: Element, payload: Element | undefined): Element {
  return el('iq', { type: 'result', id: attrs.id, from: attrs.to, to: attrs.from }, payload)
}

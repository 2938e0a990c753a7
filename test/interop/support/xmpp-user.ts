/** A user of a real XMPP server: logs in with PLAIN over TCP in clear, and keeps what comes. */
import { dial } from '../../../src/adapters/wire/dial.ts'
import { child, type Element, el, elements, serialise, textOf } from '../../../src/adapters/xmpp/element.ts'
import { XmlReader } from '../../../src/adapters/xmpp/xml-reader.ts'

export interface XmppUser extends AsyncDisposable {
  readonly jid: string
  /** Messages and presence that came and were not taken. */
  readonly inbox: Element[]
  send(stanza: Element): void
  /** @returns the result or error */
  ask(iq: Element): Promise<Element>
}

interface LoginAt {
  readonly port: number
  readonly domain: string
  readonly user: string
  readonly password: string
  readonly resource?: string
}

export async function logIn({ port, domain, user, password, resource = 'test' }: LoginAt): Promise<XmppUser> {
  const { signal } = new AbortController()
  const channel = await dial({ host: '127.0.0.1', port }, { signal })
  const reader = new XmlReader()
  const next = async (): Promise<Element | undefined> => {
    for (;;) {
      const event = reader.take(1024 * 1024)
      if (event?.kind === 'stanza') return event.element
      if (event?.kind === 'end') return undefined
      if (event !== undefined) continue
      const piece = await channel.reader.piece({ waitMsMax: 600_000, octetsMax: 65_536 }).catch(() => undefined)
      if (piece === undefined) return undefined
      reader.give(piece)
    }
  }
  const say = (xml: string): void => {
    channel.send(xml)
    channel.push()
  }
  const open = `<?xml version='1.0'?><stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' to='${domain}' version='1.0'>`
  say(open)
  await next()
  const plain = Buffer.from(`\0${user}\0${password}`).toString('base64')
  say(`<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>${plain}</auth>`)
  const outcome = await next()
  if (outcome?.name !== 'success') throw new Error(`not logged in: ${outcome === undefined ? '' : serialise(outcome)}`)
  reader.restart()
  say(open)
  await next()
  const waiting = new Map<string, (answer: Element) => void>()
  const inbox: Element[] = []
  let count = 0
  const ask = async (iq: Element): Promise<Element> =>
    await new Promise((resolve) => {
      count += 1
      const id = `t${count}`
      waiting.set(id, resolve)
      say(serialise({ ...iq, attrs: { ...iq.attrs, id } }))
    })
  const reading = (async () => {
    for (;;) {
      const stanza = await next()
      if (stanza === undefined) return
      const { id = '', type = '' } = stanza.attrs
      if (stanza.name !== 'iq') inbox.push(stanza)
      else if (type === 'result' || type === 'error') waiting.get(id)?.(stanza)
      else say(serialise(el('iq', { type: 'result', id, to: stanza.attrs.from })))
    }
  })()
  const bindNs = 'urn:ietf:params:xml:ns:xmpp-bind'
  const bind = el(`bind ${bindNs}`, {}, el(`resource ${bindNs}`, {}, resource))
  await ask(el('iq', { type: 'set' }, bind))
  await ask(el('iq', { type: 'set' }, el('session urn:ietf:params:xml:ns:xmpp-session')))
  return {
    jid: `${user}@${domain}/${resource}`,
    inbox,
    send: (stanza) => say(serialise(stanza)),
    ask,
    async [Symbol.asyncDispose]() {
      say('</stream:stream>')
      channel.destroy()
      await reading
    },
  }
}

/** Bodies of messages that came from somebody, carbons and archived ones not counted. */
export const bodiesFrom = ({ inbox }: XmppUser, jid: string): readonly string[] =>
  inbox.flatMap((stanza) => {
    const body = child(stanza, 'body')
    return stanza.name === 'message' && stanza.attrs.from?.split('/')[0] === jid && body !== undefined
      ? [textOf(body)]
      : []
  })

/** What is inside the first element of that name, at whatever depth. */
export function findInside(element: Element, name: string): readonly Element[] {
  return elements(element).flatMap((one) => [...(one.name === name ? [one] : []), ...findInside(one, name)])
}

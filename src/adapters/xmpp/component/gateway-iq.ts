/** What the component itself answers: what it is, registration, commands, how to find somebody, signs of life. */
import { type Element, el, elements, textOf } from '../element.ts'
import { bareOf, parseJid } from '../jid.ts'
import { StanzaError } from '../stanza-error.ts'
import { type CommandDesk, commandsNs } from '../xep/commands/desk.ts'
import { formNs } from '../data-form.ts'
import { outward } from './names.ts'
import { type Registration, registerNs } from './registration.ts'
import type { ComponentUser } from './users.ts'

const infoNs = 'http://jabber.org/protocol/disco#info'
const itemsNs = 'http://jabber.org/protocol/disco#items'
const pingNs = 'urn:xmpp:ping'
const versionNs = 'jabber:iq:version'
const gatewayFeatures = [infoNs, itemsNs, registerNs, commandsNs, pingNs, versionNs, 'vcard-temp', 'jabber:iq:gateway']

interface Identity {
  readonly category: string
  readonly type: string
  readonly name: string
}

interface GatewayIqParts {
  readonly domain: string
  readonly desk: CommandDesk
  readonly registration: Registration
}

interface AskedIq {
  /** Bare and full JID of whoever asks. */
  readonly jid: string
  readonly from: string
  readonly user: ComponentUser | undefined
  readonly type: string
  readonly payload: Element
}

const infoOf = (node: string | undefined, identity: Identity, features: readonly string[]): Element =>
  el(
    `query ${infoNs}`,
    { node },
    el(`identity ${infoNs}`, { ...identity }),
    features.map((name) => el(`feature ${infoNs}`, { var: name })),
  )

/** To the component's own domain. @throws StanzaError */
export async function answerGateway(
  { domain, desk, registration }: GatewayIqParts,
  { jid, from, user, type, payload }: AskedIq,
): Promise<Element | undefined> {
  const { node } = payload.attrs
  switch (`${type} ${payload.name} ${payload.ns}`) {
    case `get query ${infoNs}`:
      return gatewayInfo(desk, node)
    case `get query ${itemsNs}`:
      return el(`query ${itemsNs}`, { node }, node === commandsNs && user !== undefined ? desk.items(domain) : [])
    case `get query ${registerNs}`:
      return registration.form(jid)
    case `set query ${registerNs}`:
      await registration.set(jid, payload)
      return undefined
    case `set command ${commandsNs}`:
      if (user === undefined) throw new StanzaError('registration-required', 'Register with the gateway first.')
      return await desk.answer({ account: user.account, jid: from }, payload)
    case `get ping ${pingNs}`:
      return undefined
    case `get query ${versionNs}`:
      return el(`query ${versionNs}`, {}, el(`name ${versionNs}`, {}, 'Mycelium'), el(`version ${versionNs}`, {}, '1'))
    case 'get vCard vcard-temp':
      return el('vCard vcard-temp', {}, el('FN vcard-temp', {}, 'Mycelium'))
    case 'get query jabber:iq:gateway':
      return prompt()
    case 'set query jabber:iq:gateway':
      return translated(payload, domain)
    default:
      throw new StanzaError('service-unavailable')
  }
}

function gatewayInfo(desk: CommandDesk, node: string | undefined): Element {
  if (node === undefined)
    return infoOf(node, { category: 'gateway', type: 'mycelium', name: 'Mycelium' }, gatewayFeatures)
  if (node === commandsNs) return infoOf(node, { category: 'automation', type: 'command-list', name: 'Commands' }, [])
  const name = desk.nameOf(node)
  if (name === undefined) throw new StanzaError('item-not-found')
  return infoOf(node, { category: 'automation', type: 'command-node', name }, [commandsNs, formNs])
}

const gatewayNs = 'jabber:iq:gateway'

/** XEP-0100 §6: how somebody is added by their own address. */
const prompt = (): Element =>
  el(
    `query ${gatewayNs}`,
    {},
    el(`desc ${gatewayNs}`, {}, 'The address of somebody who is a contact at the gateway.'),
    el(`prompt ${gatewayNs}`, {}, 'Address'),
  )

function translated(payload: Element, domain: string): Element {
  const asked = elements(payload).find(({ name }) => name === 'prompt')
  const jid = parseJid(asked === undefined ? '' : textOf(asked).trim())
  if (jid === undefined || jid.local === '' || jid.resource !== '') throw new StanzaError('item-not-found')
  return el(`query ${gatewayNs}`, {}, el(`jid ${gatewayNs}`, {}, bareOf(outward(jid, domain))))
}

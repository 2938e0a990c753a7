/**
 * XEP-0030: what the server, its domains, the own account and contacts are and can do, gathered from all parts; and XEP-0115,
 * by which programs need not ask.
 */
import { sha1 } from '../../../core/crypto/kdf.ts'
import { fromUtf8, toBase64 } from '../../../core/bytes.ts'
import type { Client } from '../client.ts'
import { childrenNamed, type Element, el, textOf } from '../element.ts'
import type { Disclosed, Feature, Identity, Iq, Server } from '../feature.ts'
import type { Jid } from '../jid.ts'
import { contactResource, type Named } from '../names.ts'
import { StanzaError } from '../stanza-error.ts'
import { neighboursOf } from './neighbours.ts'

const infoNs = 'http://jabber.org/protocol/disco#info'
const itemsNs = 'http://jabber.org/protocol/disco#items'
export const capsNs = 'http://jabber.org/protocol/caps'
export const formNs = 'jabber:x:data'
/** XEP-0115 `node`: names the program, as a URI. */
const capsNode = 'urn:mycelium:gateway'

const everywhere = [
  'server',
  'rooms',
  'uploads',
  'self',
  'person',
  'room',
  'vacant',
  'halls',
  'hall',
  'pubsub',
] as const

export const disco = (server: Server): Feature => ({
  iq: [
    {
      payload: `query ${infoNs}`,
      type: 'get',
      at: everywhere,
      full: true,
      answer: (iq) => answerInfo(server, iq),
    },
    {
      payload: `query ${itemsNs}`,
      type: 'get',
      at: [...everywhere, 'unknown'],
      full: true,
      answer: (iq) => answerItems(server, iq),
    },
  ],
  disclose(_to, { kind }, _client, node) {
    if (node !== undefined) return undefined
    const features = [infoNs, itemsNs]
    if (kind === 'server')
      return {
        identities: [{ category: 'server', type: 'im', name: 'Mycelium' }],
        features: [...features, capsNs],
      }
    if (kind === 'self') return { identities: [{ category: 'account', type: 'registered' }], features }
    if (kind === 'person') return { identities: [{ category: 'account', type: 'registered' }], features }
    return kind === 'rooms' || kind === 'halls' || kind === 'pubsub' || kind === 'uploads' ? { features } : undefined
  },
  streamFeatures: () => streamCaps(server),
  items(_to, { kind }) {
    if (kind !== 'server') return []
    const { halls, pubsub, rooms, uploads } = server.names
    const isThere = (domain: string, named: Named): boolean =>
      server.features.some((feature) => {
        const said = feature.disclose?.({ local: '', domain, resource: '' }, named, undefined, undefined)
        return said?.identities !== undefined
      })
    const groups = isThere(rooms, { kind: 'rooms' }) ? itemOf(rooms, 'Groups') : undefined
    // to somebody who is alone here it would be an empty place in which programs make rooms that nobody can enter
    const open =
      server.services.accounts.list().length > 1 && isThere(halls, { kind: 'halls' })
        ? itemOf(halls, 'Rooms of this gateway')
        : undefined
    return [
      // programs make their rooms at the first: what is said in an open room nobody keeps, and who is away misses it
      ...(server.services.openRoomsFirst ? [open, groups] : [groups, open]),
      server.services.accounts.list().length > 1 && isThere(pubsub, { kind: 'pubsub' })
        ? itemOf(pubsub, 'Nodes of this gateway')
        : undefined,
      isThere(uploads, { kind: 'uploads' }) ? itemOf(uploads, 'Files') : undefined,
    ].filter((item) => item !== undefined)
  },
})

const itemOf = (jid: string, name: string): Element => el(`item ${itemsNs}`, { jid, name })

/** All that parts say of an address. With a node only those count that know the node: they name an identity. */
function disclosedOf(
  { features }: Pick<Server, 'features'>,
  to: Jid,
  named: Named,
  client: Client | undefined,
  node?: string,
): Disclosed | undefined {
  const said = features
    .flatMap((feature) => feature.disclose?.(to, named, client, node) ?? [])
    .filter(({ identities }) => node === undefined || identities !== undefined)
  const identities = said.flatMap((one) => one.identities ?? [])
  if (identities.length === 0) return undefined
  return {
    identities,
    features: [...new Set(said.flatMap((one) => one.features ?? []))].toSorted(byCodePoint),
    forms: said.flatMap((one) => one.forms ?? []),
  }
}

const infoOf = ({ identities = [], features = [], forms = [] }: Disclosed): readonly Element[] => [
  ...identities.map(({ category, type, name }) => el(`identity ${infoNs}`, { category, type, name })),
  ...features.map((name) => el(`feature ${infoNs}`, { var: name })),
  ...forms,
]

/** XEP-0030 §8: an account of this gateway, to one that is not subscribed to it. */
const isHidden = (server: Server, { account }: Client, named: Named): boolean =>
  named.kind === 'person' &&
  server.services.accounts.has(named.identity) &&
  !neighboursOf(server).of(account, named.identity).sees

/** RFC 6121 §8.5.3.2.3: a program that is not there, of an account of this gateway; those that are answer by themselves. */
const isGone = ({ services }: Server, { resource }: Jid, named: Named): boolean =>
  named.kind === 'person' && services.accounts.has(named.identity) && resource !== '' && resource !== contactResource

function answerInfo(server: Server, { client, to, toNamed, payload }: Iq): Element {
  const { node } = payload.attrs
  // XEP-0115 §6.2: what the server's own capabilities name is asked for like this
  const asked = node?.startsWith(`${capsNode}#`) === true ? undefined : node
  if (isHidden(server, client, toNamed) || isGone(server, to, toNamed)) throw new StanzaError('service-unavailable')
  const disclosed = disclosedOf(server, to, toNamed, client, asked)
  if (disclosed === undefined) throw new StanzaError('item-not-found')
  return el(`query ${infoNs}`, { node }, infoOf(disclosed))
}

function answerItems(server: Server, { client, to, toNamed, payload }: Iq): Element {
  const { features, names } = server
  const { node } = payload.attrs
  if (isGone(server, to, toNamed) || (toNamed.kind === 'unknown' && to.domain !== names.server))
    throw new StanzaError('service-unavailable')
  if (toNamed.kind === 'unknown' || isHidden(server, client, toNamed)) return el(`query ${itemsNs}`, { node })
  const items = features.flatMap((feature) => feature.items?.(to, toNamed, client, node) ?? [])
  if (node !== undefined && items.length === 0) throw new StanzaError('item-not-found')
  return el(`query ${itemsNs}`, { node }, items)
}

const known = new WeakMap<Server['features'], Map<Named['kind'], Element | undefined>>()

/**
 * XEP-0115 `<c/>` for an address: of the server in the features of a stream, of a contact in its presence. The same for all
 * of a kind, and for as long as the parts are: each login asks for it as often as there are people.
 */
export function capsOf({ features }: Pick<Server, 'features'>, to: Jid, named: Named): Element | undefined {
  const ofKinds = known.get(features) ?? new Map<Named['kind'], Element | undefined>()
  known.set(features, ofKinds)
  if (!ofKinds.has(named.kind)) {
    const disclosed = disclosedOf({ features }, to, named, undefined)
    const ver = disclosed && verificationOf(disclosed)
    ofKinds.set(named.kind, ver === undefined ? undefined : el(`c ${capsNs}`, { hash: 'sha-1', node: capsNode, ver }))
  }
  return ofKinds.get(named.kind)
}

/** For the features of a stream (XEP-0115 §6.3). */
function streamCaps(server: Server): readonly Element[] {
  const caps = capsOf(server, { local: '', domain: server.names.server, resource: '' }, { kind: 'server' })
  return caps === undefined ? [] : [caps]
}

/** XEP-0115 §5.1: of what, in its order. */
export function verificationOf({ identities = [], features = [], forms = [] }: Disclosed): string {
  const parts = identities
    .map(({ category, type, lang, name }) => `${category}/${type}/${lang ?? ''}/${name ?? ''}`)
    .toSorted(byCodePoint)
  const said = [...parts, ...features.toSorted(byCodePoint), ...forms.map(formText).toSorted(byCodePoint)]
  return toBase64(sha1(fromUtf8(said.map((part) => `${part}<`).join(''))))
}

/** Without the `<` at its end, which comes between everything. */
function formText(form: Element): string {
  const fields = childrenNamed(form, 'field').map((field) => ({
    name: field.attrs.var ?? '',
    values: childrenNamed(field, 'value').map(textOf).toSorted(byCodePoint),
  }))
  const type = fields.find(({ name }) => name === 'FORM_TYPE')?.values[0] ?? ''
  const others = fields.filter(({ name }) => name !== 'FORM_TYPE').toSorted((a, b) => byCodePoint(a.name, b.name))
  return [type, ...others.flatMap(({ name, values }) => [name, ...values])].join('<')
}

const surrogates = /[\ud800-\udfff]/

/** RFC 4790 `i;octet`. Strings of UTF-16 units have the same order but for those of two units. */
const byCodePoint = (a: string, b: string): number => {
  if (surrogates.test(a) || surrogates.test(b)) return Buffer.compare(fromUtf8(a), fromUtf8(b))
  return a < b ? -1 : a > b ? 1 : 0
}

/** What a program says of itself in answer to disco#info. */
export function readInfo(query: Element): Disclosed {
  return {
    identities: childrenNamed(query, 'identity').map(({ attrs }): Identity => {
      const { category = '', type = '', name, 'xml:lang': lang } = attrs
      return { category, type, ...(name === undefined ? {} : { name }), ...(lang === undefined ? {} : { lang }) }
    }),
    features: childrenNamed(query, 'feature').flatMap(({ attrs }) => attrs.var ?? []),
    forms: childrenNamed(query, `x ${formNs}`),
  }
}

/** XEP-0128: a form of facts. */
export const factsForm = (type: string, facts: Readonly<Record<string, string>>): Element =>
  el(
    `x ${formNs}`,
    { type: 'result' },
    el(`field ${formNs}`, { var: 'FORM_TYPE', type: 'hidden' }, el(`value ${formNs}`, {}, type)),
    Object.entries(facts).map(([name, value]) =>
      el(`field ${formNs}`, { var: name }, el(`value ${formNs}`, {}, value)),
    ),
  )

export const queryNs = { info: infoNs, items: itemsNs }

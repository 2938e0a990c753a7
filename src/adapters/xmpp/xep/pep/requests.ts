/** What programs ask of personal events: XEP-0060 as far as XEP-0163 needs it, at one's own bare JID and at contacts'. */
import { toBase64Url } from '../../../../core/bytes.ts'
import { limits } from '../../../../core/limits.ts'
import type { WriteTx } from '../../../../core/store/store.ts'
import { child, childrenNamed, type Element, el, elements } from '../../element.ts'
import type { Feature, Iq, Server } from '../../feature.ts'
import { bareOf } from '../../jid.ts'
import { StanzaError } from '../../stanza-error.ts'
import { factsForm, formNs, queryNs } from '../disco.ts'
import { storable } from '../storable.ts'
import { configForm, defaultConfig, readConfig } from './config.ts'
import { errorsNs, pepOf, pubsubNs } from './pep.ts'

const ownerNs = `${pubsubNs}#owner`

/** XEP-0060 §10: what this service can do. */
const features = [
  'access-open',
  'access-presence',
  'access-whitelist',
  'auto-create',
  'auto-subscribe',
  'config-node',
  'config-node-max',
  'create-and-configure',
  'create-nodes',
  'delete-items',
  'delete-nodes',
  'filtered-notifications',
  'item-ids',
  'last-published',
  'meta-data',
  'multi-items',
  'owner',
  'persistent-items',
  'presence-notifications',
  'presence-subscribe',
  'publish',
  'publish-options',
  'purge-nodes',
  'retract-items',
  'retrieve-default',
  'retrieve-items',
].map((name) => `${pubsubNs}#${name}`)

export const pep = (server: Server): Feature => {
  pepOf(server)
  return {
    iq: [
      { payload: `pubsub ${pubsubNs}`, type: 'get', at: ['self', 'person'], answer: (iq) => read(server, iq) },
      { payload: `pubsub ${pubsubNs}`, type: 'set', at: ['self'], answer: (iq) => change(server, iq) },
      { payload: `pubsub ${ownerNs}`, type: 'get', at: ['self'], answer: (iq) => readAsOwner(server, iq) },
      { payload: `pubsub ${ownerNs}`, type: 'set', at: ['self'], answer: (iq) => changeAsOwner(server, iq) },
      ...([pubsubNs, ownerNs] as const).map((ns) => ({
        payload: `pubsub ${ns}`,
        at: ['person'] as const,
        answer: () => {
          throw new StanzaError('forbidden', 'Only its owner changes a node.')
        },
      })),
    ],
    disclose(_to, named, client, node) {
      // some libraries ask the server, and take what is kept at accounts for impossible otherwise (Smack 4.5: OMEMO, OpenPGP)
      if (named.kind === 'server' && node === undefined) return { features: [pubsubNs, ...features] }
      if (named.kind !== 'self' && named.kind !== 'person') return undefined
      if (node === undefined)
        return named.kind === 'self'
          ? { identities: [{ category: 'pubsub', type: 'pep' }], features: [pubsubNs, ...features] }
          : { identities: [{ category: 'pubsub', type: 'pep' }] }
      if (client === undefined || !pepOf(server).nodesOf(client.account, named).includes(node)) return undefined
      return {
        identities: [{ category: 'pubsub', type: 'leaf' }],
        features: [pubsubNs],
        forms: [
          factsForm(`${pubsubNs}#meta-data`, {
            'pubsub#num_items': String(pepOf(server).itemsOf(client.account, named, node)?.length ?? 0),
          }),
        ],
      }
    },
    items(to, named, client, node) {
      const jid = bareOf(to)
      if (node === undefined)
        return pepOf(server)
          .nodesOf(client.account, named)
          .map((name) => el(`item ${queryNs.items}`, { jid, node: name }))
      const found = pepOf(server).itemsOf(client.account, named, node) ?? []
      return found.map(({ id }) => el(`item ${queryNs.items}`, { jid, name: id }))
    },
  }
}

const unsupported = (feature: string): StanzaError =>
  new StanzaError('feature-not-implemented', '', el(`unsupported ${errorsNs}`, { feature }))

const nodeIdRequired = (): StanzaError => new StanzaError('bad-request', '', el(`nodeid-required ${errorsNs}`))

/** @throws StanzaError `bad-request`, `not-acceptable` */
function nodeOf({ attrs: { node = '' } }: Element): string {
  if (node === '') throw nodeIdRequired()
  return checkedName(node)
}

function checkedName(name: string): string {
  if (Buffer.byteLength(name) > limits.profileNameOctetsMax)
    throw new StanzaError(
      'not-acceptable',
      `Names of nodes and items have at most ${limits.profileNameOctetsMax} octets.`,
    )
  return name
}

function read(server: Server, { client, toNamed, payload }: Iq): Element {
  const items = child(payload, 'items')
  if (items === undefined) throw unsupported(childrenNames(payload))
  const node = nodeOf(items)
  const found = pepOf(server).itemsOf(client.account, toNamed, node)
  if (found === undefined) throw new StanzaError('item-not-found')
  const wanted = childrenNamed(items, 'item').flatMap(({ attrs }) => attrs.id ?? [])
  // none of them is an answer too (§6.5.7), as long as there is the node
  const named = wanted.length === 0 ? found : found.filter(({ id }) => wanted.includes(id))
  const { max_items: max = '' } = items.attrs
  const last = /^[1-9]\d{0,8}$/.test(max) ? named.slice(-Number(max)) : named
  return el(
    `pubsub ${pubsubNs}`,
    {},
    el(
      `items ${pubsubNs}`,
      { node },
      last.map(({ id, payload: kept }) => el(`item ${pubsubNs}`, { id }, kept)),
    ),
  )
}

const childrenNames = (payload: Element): string => elements(payload)[0]?.name ?? 'nothing'

/** One transaction, with what says that the stanza is done with. */
async function written(server: Server, { handled }: Iq, use: (tx: WriteTx) => void): Promise<void> {
  await server.services.store.write((tx) => {
    use(tx)
    handled(tx)
  })
}

async function change(server: Server, iq: Iq): Promise<Element | undefined> {
  const [what] = elements(iq.payload)
  if (what?.name === 'publish') return await publish(server, iq, what)
  if (what?.name === 'create') return await create(server, iq, what)
  if (what?.name !== 'retract') throw unsupported(childrenNames(iq.payload))
  const node = nodeOf(what)
  const ids = childrenNamed(what, 'item').flatMap(({ attrs }) => attrs.id ?? [])
  if (ids.length === 0) throw new StanzaError('bad-request', '', el(`item-required ${errorsNs}`))
  const isTold = what.attrs.notify !== 'false' && what.attrs.notify !== '0'
  await written(server, iq, (tx) => pepOf(server).retract(tx, iq.client.account, node, ids, isTold))
  return undefined
}

async function create(server: Server, iq: Iq, what: Element): Promise<Element> {
  const name = checkedName(what.attrs.node ?? toBase64Url(server.ambient.random.bytes(12)))
  const form = child(iq.payload, 'configure')
  const asked = form === undefined ? {} : readConfig(child(form, `x ${formNs}`) ?? form)
  await written(server, iq, (tx) => pepOf(server).create(tx, iq.client.account, name, asked))
  return el(`pubsub ${pubsubNs}`, {}, el(`create ${pubsubNs}`, { node: name }))
}

async function publish(server: Server, iq: Iq, what: Element): Promise<Element> {
  const { client, payload } = iq
  const node = nodeOf(what)
  const given = childrenNamed(what, 'item')
  if (given.length > limits.xmppNodeItemsMax) throw new StanzaError('not-acceptable', 'Too many items at once.')
  const items = given.map((item) => {
    const [kept, ...more] = elements(item)
    if (kept === undefined || more.length > 0)
      throw new StanzaError('bad-request', '', el(`invalid-payload ${errorsNs}`))
    const id = item.attrs.id ?? (readableOnce(node) ? 'current' : toBase64Url(server.ambient.random.bytes(12)))
    return { id: checkedName(id), payload: storable(kept) }
  })
  if (items.length === 0) throw new StanzaError('bad-request', '', el(`item-required ${errorsNs}`))
  const form = child(payload, 'publish-options')
  const options = form === undefined ? {} : readConfig(child(form, `x ${formNs}`) ?? form)
  await written(server, iq, (tx) => pepOf(server).publish(tx, client.account, { node, items, options }))
  return el(
    `pubsub ${pubsubNs}`,
    {},
    el(
      `publish ${pubsubNs}`,
      { node },
      items.map(({ id }) => el(`item ${pubsubNs}`, { id })),
    ),
  )
}

/** Nodes of which there is one item, by their rules: an id that changes would tell nothing. */
const readableOnce = (node: string): boolean => node === 'storage:bookmarks'

function readAsOwner(server: Server, { client, payload }: Iq): Element {
  const [what] = elements(payload)
  if (what?.name === 'default')
    return el(`pubsub ${ownerNs}`, {}, el(`default ${ownerNs}`, {}, configForm(defaultConfig)))
  if (what === undefined || !['configure', 'affiliations', 'subscriptions'].includes(what.name))
    throw unsupported(childrenNames(payload))
  const node = nodeOf(what)
  const config = pepOf(server).configOf(client.account, node)
  if (config === undefined) throw new StanzaError('item-not-found')
  if (what.name === 'configure')
    return el(`pubsub ${ownerNs}`, {}, el(`configure ${ownerNs}`, { node }, configForm(config)))
  const owner = el(`affiliation ${ownerNs}`, { jid: bareOf(client.jid), affiliation: 'owner' })
  return el(
    `pubsub ${ownerNs}`,
    {},
    el(`${what.name} ${ownerNs}`, { node }, what.name === 'affiliations' ? owner : undefined),
  )
}

async function changeAsOwner(server: Server, iq: Iq): Promise<undefined> {
  const { client, payload } = iq
  const { account } = client
  const [what] = elements(payload)
  const here = pepOf(server)
  if (what?.name === 'delete') await written(server, iq, (tx) => here.delete(tx, account, nodeOf(what)))
  else if (what?.name === 'purge') await written(server, iq, (tx) => here.purge(tx, account, nodeOf(what)))
  else if (what?.name === 'configure') {
    const form = child(what, `x ${formNs}`)
    const isCancelled = form?.attrs.type === 'cancel'
    const asked = form === undefined || isCancelled ? {} : readConfig(form)
    await written(server, iq, (tx) => here.configure(tx, account, nodeOf(what), asked))
  } else throw unsupported(childrenNames(payload))
  return undefined
}

/** What programs ask of the service, and what it does for it (XEP-0060 §5 to §8). */
import { toBase64Url } from '../../../../core/bytes.ts'
import type { Identity } from '../../../../core/ids.ts'
import { limits } from '../../../../core/limits.ts'
import type { ReadTx, WriteTx } from '../../../../core/store/store.ts'
import { child, childrenNamed, el, type Element, elements } from '../../element.ts'
import { formNs, readForm, writeForm } from '../../data-form.ts'
import type { Iq, Server } from '../../feature.ts'
import { bareOf, fullOf, type Jid, parseJid, withResource } from '../../jid.ts'
import { StanzaError } from '../../stanza-error.ts'
import { neighboursOf } from '../neighbours.ts'
import { errorsNs, pubsubNs } from '../pep/pep.ts'
import { storable } from '../storable.ts'
import { changed, defaultConfig, fieldsOf, type NodeConfig } from './config.ts'
import { eventNs, notify } from './notify.ts'
import {
  affiliate,
  affiliated,
  type Affiliation,
  affiliationOf,
  affiliations,
  isSubscribed,
  type Node,
  putItem,
  putNode,
  readItems,
  readNode,
  readNodes,
  readSubscriptions,
  removeItem,
  removeItems,
  removeNode,
  subscribe,
  type Subscription,
  unsubscribe,
  unsubscribeAll,
} from './rows.ts'

export const ownerNs = `${pubsubNs}#owner`

const detail = (name: string, attrs = {}): Element => el(`${name} ${errorsNs}`, attrs)
const unsupported = (feature: string): StanzaError =>
  new StanzaError('feature-not-implemented', '', detail('unsupported', { feature }))

/** That an account can see; those of accounts that are gone are gone with them. @throws StanzaError `item-not-found` */
export function nodeIn(server: Server, tx: ReadTx, name: string | undefined): Node {
  if (name === undefined || name === '') throw new StanzaError('bad-request', '', detail('nodeid-required'))
  const node = readNode(tx, name)
  if (node === undefined || !server.services.accounts.has(node.owner)) throw new StanzaError('item-not-found')
  return node
}

export const nodesIn = (server: Server, tx: ReadTx): readonly Node[] =>
  readNodes(tx).filter(({ owner }) => server.services.accounts.has(owner))

/** Why an account may not subscribe and read; `undefined` where it may (§6.1.3). */
export function barred(server: Server, tx: ReadTx, node: Node, account: Identity): StanzaError | undefined {
  const affiliation = affiliationOf(tx, node, account)
  if (affiliation === 'outcast') return new StanzaError('forbidden')
  if (affiliation !== 'none' || node.config.access === 'open') return undefined
  if (node.config.access === 'whitelist') return new StanzaError('not-allowed', '', detail('closed-node'))
  return neighboursOf(server).of(account, node.owner).sees
    ? undefined
    : new StanzaError('not-authorized', '', detail('presence-subscription-required'))
}

function readable(server: Server, tx: ReadTx, name: string | undefined, account: Identity): Node {
  const node = nodeIn(server, tx, name)
  const error = barred(server, tx, node, account)
  if (error !== undefined) throw error
  return node
}

function owned(server: Server, tx: ReadTx, name: string | undefined, account: Identity): Node {
  const node = nodeIn(server, tx, name)
  if (affiliationOf(tx, node, account) !== 'owner') throw new StanzaError('forbidden')
  return node
}

/** One transaction, with what says that the stanza is done with. */
async function written<T>(server: Server, { handled }: Iq, use: (tx: WriteTx) => T): Promise<T> {
  return await server.services.store.write((tx) => {
    const result = use(tx)
    handled(tx)
    return result
  })
}

const only = (payload: Element): Element => {
  const [what] = elements(payload)
  if (what === undefined) throw new StanzaError('bad-request')
  return what
}

export function read(server: Server, { client: { account }, payload }: Iq): Element {
  const what = only(payload)
  return server.services.store.read((tx) => {
    const { node: name } = what.attrs
    if (what.name === 'items') return answer(itemsOf(tx, readable(server, tx, name, account), what))
    if (what.name !== 'subscriptions' && what.name !== 'affiliations') throw unsupported(`retrieve-${what.name}`)
    const nodes = name === undefined ? nodesIn(server, tx) : [nodeIn(server, tx, name)]
    const found =
      what.name === 'subscriptions'
        ? nodes.flatMap((node) =>
            readSubscriptions(tx, node.name)
              .filter((one) => one.account === account)
              .map((one) => subscriptionOf(server, node.name, one)),
          )
        : nodes.flatMap((node) => {
            const affiliation = affiliationOf(tx, node, account)
            return affiliation === 'none' ? [] : el(`affiliation ${pubsubNs}`, { node: node.name, affiliation })
          })
    return answer(el(`${what.name} ${pubsubNs}`, { node: name }, found))
  })
}

const answer = (...children: readonly Element[]): Element => el(`pubsub ${pubsubNs}`, {}, children)

function itemsOf(tx: ReadTx, { name }: Node, what: Element): Element {
  const all = readItems(tx, name)
  const ids = childrenNamed(what, 'item').flatMap(({ attrs }) => attrs.id ?? [])
  const wanted = ids.length === 0 ? all : all.filter(({ id }) => ids.includes(id))
  const { max_items: max = '' } = what.attrs
  const last = /^[1-9]\d{0,8}$/.test(max) ? wanted.slice(-Number(max)) : wanted
  return el(
    `items ${pubsubNs}`,
    { node: name },
    last.map(({ id, payload }) => el(`item ${pubsubNs}`, { id }, payload)),
  )
}

const jidOf = ({ names }: Server, { account, resource }: Subscription): Jid =>
  withResource(names.own(account), resource)

const subscriptionOf = (server: Server, node: string, subscription: Subscription, ns = pubsubNs): Element =>
  el(`subscription ${ns}`, {
    node: ns === pubsubNs ? node : undefined,
    jid: fullOf(jidOf(server, subscription)),
    subscription: 'subscribed',
  })

export async function change(server: Server, iq: Iq): Promise<Element | undefined> {
  const what = only(iq.payload)
  switch (what.name) {
    case 'create':
      return await create(server, iq, what)
    case 'publish':
      return await publish(server, iq, what)
    case 'retract':
      return await retract(server, iq, what)
    case 'subscribe':
      return await addSubscription(server, iq, what)
    case 'unsubscribe':
      return await removeSubscription(server, iq, what)
    default:
      throw unsupported(what.name)
  }
}

function checkedName(name: string): string {
  if (Buffer.byteLength(name) > limits.profileNameOctetsMax) throw new StanzaError('not-acceptable', 'too long a name')
  return name
}

const configIn = (parent: Element | undefined, before: NodeConfig): NodeConfig => {
  const given = parent && readForm(parent)
  return given === undefined ? before : changed(before, given)
}

async function create(server: Server, iq: Iq, what: Element): Promise<Element> {
  const name = checkedName(what.attrs.node ?? toBase64Url(server.ambient.random.bytes(12)))
  const config = configIn(child(iq.payload, 'configure'), defaultConfig)
  await written(server, iq, (tx) => {
    // what accounts that are gone have left behind
    for (const { name: old, owner } of readNodes(tx)) if (!server.services.accounts.has(owner)) removeNode(tx, old)
    if (readNode(tx, name) !== undefined) throw new StanzaError('conflict')
    putNode(tx, { name, owner: iq.client.account, config })
  })
  return answer(el(`create ${pubsubNs}`, { node: name }))
}

function mayPublish(server: Server, tx: ReadTx, node: Node, account: Identity): boolean {
  const affiliation = affiliationOf(tx, node, account)
  if (affiliation === 'owner' || affiliation === 'publisher') return true
  if (affiliation === 'outcast' || node.config.publish === 'publishers') return false
  if (node.config.publish === 'open') return barred(server, tx, node, account) === undefined
  return readSubscriptions(tx, node.name).some((one) => one.account === account)
}

async function publish(server: Server, iq: Iq, what: Element): Promise<Element> {
  const { account } = iq.client
  const given = childrenNamed(what, 'item')
  const items = await written(server, iq, (tx) => {
    const node = nodeIn(server, tx, what.attrs.node)
    if (!mayPublish(server, tx, node, account)) throw new StanzaError('forbidden')
    checkItems(node.config, given)
    const published = given.map((item) => {
      const id = checkedName(item.attrs.id ?? toBase64Url(server.ambient.random.bytes(12)))
      return { id, payload: storable(elements(item)[0]!) }
    })
    if (node.config.persists)
      for (const { id, payload } of published) putItem(tx, node, { id, publisher: account, payload })
    const told = published.map(({ id, payload }) =>
      el(`item ${eventNs}`, { id }, node.config.delivers ? payload : undefined),
    )
    notify(server, tx, node, el(`items ${eventNs}`, { node: node.name }, told))
    return published
  })
  const { node } = what.attrs
  return answer(
    el(
      `publish ${pubsubNs}`,
      { node },
      items.map(({ id }) => el(`item ${pubsubNs}`, { id })),
    ),
  )
}

/** §7.1.3.6. @throws StanzaError `bad-request` */
function checkItems({ persists, delivers }: NodeConfig, given: readonly Element[]): void {
  const refuse = (name: string): StanzaError => new StanzaError('bad-request', '', detail(name))
  if (!persists && !delivers) {
    if (given.length > 0) throw refuse('item-forbidden')
    return
  }
  if (given.length === 0) throw refuse('item-required')
  if (given.length > limits.xmppNodeItemsMax) throw new StanzaError('not-acceptable', 'Too many items at once.')
  for (const item of given) {
    const payloads = elements(item)
    if (payloads.length > 1) throw refuse('invalid-payload')
    if (payloads.length === 0) throw refuse('payload-required')
  }
}

async function retract(server: Server, iq: Iq, what: Element): Promise<undefined> {
  const { account } = iq.client
  const ids = childrenNamed(what, 'item').flatMap(({ attrs }) => attrs.id ?? [])
  if (ids.length === 0) throw new StanzaError('bad-request', '', detail('item-required'))
  await written(server, iq, (tx) => {
    const node = nodeIn(server, tx, what.attrs.node)
    const there = readItems(tx, node.name)
    const isOwner = affiliationOf(tx, node, account) === 'owner'
    for (const id of ids) {
      const item = there.find((one) => one.id === id)
      if (!isOwner && item?.publisher !== account) throw new StanzaError('forbidden')
      if (item === undefined) throw new StanzaError('item-not-found')
      removeItem(tx, node.name, id)
    }
    const { notify: asked } = what.attrs
    if (!node.config.notifiesRetract && asked !== '1' && asked !== 'true') return
    const gone = ids.map((id) => el(`retract ${eventNs}`, { id }))
    notify(server, tx, node, el(`items ${eventNs}`, { node: node.name }, gone))
  })
  return undefined
}

/** §6.1.3.1: of whoever asks. @throws StanzaError `bad-request`, or what `other` makes of somebody else's */
function subscriberIn(
  { names }: Server,
  { client }: Iq,
  { attrs }: Element,
  other: () => StanzaError = () => new StanzaError('bad-request', '', detail('invalid-jid')),
): Subscription {
  const jid = attrs.jid === undefined ? undefined : parseJid(attrs.jid)
  if (jid === undefined) throw new StanzaError('bad-request', '', detail('jid-required'))
  if (bareOf(jid) !== bareOf(names.own(client.account))) throw other()
  return { account: client.account, resource: jid.resource }
}

async function addSubscription(server: Server, iq: Iq, what: Element): Promise<Element> {
  const { account } = iq.client
  const subscriber = subscriberIn(server, iq, what)
  return await written(server, iq, (tx) => {
    const node = readable(server, tx, what.attrs.node, account)
    subscribe(tx, node.name, subscriber)
    return answer(subscriptionOf(server, node.name, subscriber))
  })
}

async function removeSubscription(server: Server, iq: Iq, what: Element): Promise<undefined> {
  await written(server, iq, (tx) => {
    const node = nodeIn(server, tx, what.attrs.node)
    // §6.2.3.3
    const subscriber = subscriberIn(server, iq, what, () => new StanzaError('forbidden'))
    // §6.2.3.5: there are no ids of subscriptions here
    if (what.attrs.subid !== undefined) throw new StanzaError('not-acceptable', '', detail('invalid-subid'))
    if (!isSubscribed(tx, node.name, subscriber))
      throw new StanzaError('unexpected-request', '', detail('not-subscribed'))
    unsubscribe(tx, node.name, subscriber)
  })
  return undefined
}

const formOf = (title: string, config: NodeConfig): Element =>
  writeForm('form', { title, instructions: '', fields: fieldsOf(config) })

export function readAsOwner(server: Server, { client: { account }, payload }: Iq): Element {
  const what = only(payload)
  const owner = (...children: readonly Element[]): Element => el(`pubsub ${ownerNs}`, {}, children)
  if (what.name === 'default') return owner(el(`default ${ownerNs}`, {}, formOf('', defaultConfig)))
  return server.services.store.read((tx) => {
    const node = owned(server, tx, what.attrs.node, account)
    const { name } = node
    if (what.name === 'configure') return owner(el(`configure ${ownerNs}`, { node: name }, formOf(name, node.config)))
    if (what.name === 'subscriptions')
      return owner(
        el(
          `subscriptions ${ownerNs}`,
          { node: name },
          readSubscriptions(tx, name)
            .filter((one) => server.services.accounts.has(one.account))
            .map((one) => subscriptionOf(server, name, one, ownerNs)),
        ),
      )
    if (what.name !== 'affiliations') throw unsupported(what.name)
    return owner(
      el(
        `affiliations ${ownerNs}`,
        { node: name },
        affiliated(tx, node)
          .filter(([one]) => server.services.accounts.has(one))
          .map(([one, affiliation]) =>
            el(`affiliation ${ownerNs}`, { jid: bareOf(server.names.own(one)), affiliation }),
          ),
      ),
    )
  })
}

export async function changeAsOwner(server: Server, iq: Iq): Promise<undefined> {
  const what = only(iq.payload)
  await written(server, iq, (tx) => {
    const node = owned(server, tx, what.attrs.node, iq.client.account)
    switch (what.name) {
      case 'delete':
        if (node.config.notifiesDelete) notify(server, tx, node, el(`delete ${eventNs}`, { node: node.name }))
        return removeNode(tx, node.name)
      case 'purge':
        removeItems(tx, node.name)
        return notify(server, tx, node, el(`purge ${eventNs}`, { node: node.name }))
      case 'configure': {
        if (child(what, `x ${formNs}`)?.attrs.type === 'cancel') return undefined
        const config = configIn(what, node.config)
        const items = readItems(tx, node.name)
        const over = config.persists ? items.slice(0, Math.max(0, items.length - config.maxItems)) : items
        for (const { id } of over) removeItem(tx, node.name, id)
        return putNode(tx, { ...node, config })
      }
      case 'affiliations':
        for (const item of childrenNamed(what, 'affiliation')) changeAffiliation(server, tx, node, item)
        return undefined
      case 'subscriptions':
        for (const item of childrenNamed(what, 'subscription')) changeSubscription(server, tx, node, item)
        return undefined
      default:
        throw unsupported(what.name)
    }
  })
  return undefined
}

/** An account of this gateway. @throws StanzaError `item-not-found` */
function accountIn({ names, services }: Server, text: string | undefined, owner: Identity): Identity {
  const jid = parseJid(text ?? '')
  if (jid === undefined) throw new StanzaError('jid-malformed')
  const named = names.named(owner, jid)
  const account = named.kind === 'person' ? named.identity : named.kind === 'self' ? owner : undefined
  if (account === undefined || !services.accounts.has(account))
    throw new StanzaError('item-not-found', 'nodes of this service are for accounts of this gateway')
  return account
}

function changeAffiliation(server: Server, tx: WriteTx, node: Node, { attrs }: Element): void {
  const account = accountIn(server, attrs.jid, node.owner)
  const known: readonly Affiliation[] = [...(Object.keys(affiliations) as Affiliation[]), 'none']
  const affiliation = known.find((one) => one === attrs.affiliation)
  if (affiliation === undefined) throw new StanzaError('bad-request', 'no such affiliation')
  if (account === node.owner) {
    if (affiliation === 'owner') return
    // §8.9.2.4: it has to have one
    throw new StanzaError('not-acceptable', 'who made a node stays its owner')
  }
  affiliate(tx, node.name, account, affiliation)
  if (affiliation === 'outcast' || (affiliation === 'none' && node.config.access === 'whitelist'))
    unsubscribeAll(tx, node.name, account)
}

function changeSubscription(server: Server, tx: WriteTx, node: Node, { attrs }: Element): void {
  const account = accountIn(server, attrs.jid, node.owner)
  const subscription = { account, resource: parseJid(attrs.jid ?? '')?.resource ?? '' }
  if (attrs.subscription === 'subscribed') subscribe(tx, node.name, subscription)
  else if (attrs.subscription === 'none') unsubscribe(tx, node.name, subscription)
  else throw new StanzaError('not-acceptable', 'a subscription is there or not')
}

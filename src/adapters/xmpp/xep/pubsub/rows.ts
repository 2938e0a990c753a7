/** Nodes of the service as they are kept: what is in them, who has subscribed, who may do what. */
import { hexId, record, text, u64, u8 } from '../../../../core/codec.ts'
import type { Identity } from '../../../../core/ids.ts'
import { limits } from '../../../../core/limits.ts'
import type { ReadTx, WriteTx } from '../../../../core/store/store.ts'
import { elementCodec } from '../../element-codec.ts'
import type { Element } from '../../element.ts'
import { Kept } from '../../kept.ts'
import { StanzaError } from '../../stanza-error.ts'
import { configCodec, type NodeConfig } from './config.ts'

/** ◆ In keys, where others have an account: the service is of all accounts. */
const service = '00'.repeat(32) as Identity

export interface Node {
  readonly name: string
  /** Who made it: it goes with that account. */
  readonly owner: Identity
  readonly config: NodeConfig
}

export interface Item {
  readonly id: string
  /** Order of publishing within the node. */
  readonly seq: number
  readonly publisher: Identity
  readonly payload: Element
}

export interface Subscription {
  readonly account: Identity
  /** Empty for all programs of the account. */
  readonly resource: string
}

/** The owner is none of these: it is in the node. ◆ Numbers are kept. */
export const affiliations = { publisher: 1, member: 2, outcast: 3, owner: 4 } as const
export type Affiliation = keyof typeof affiliations | 'none'

const name = text(limits.profileNameOctetsMax)
const identity = hexId<Identity>(32)
const nodes = new Kept<Node>('serviceNode', record<Node>({ name, owner: identity, config: configCodec }))
const items = new Kept<Item>(
  'serviceItem',
  record<Item>({ id: name, seq: u64, publisher: identity, payload: elementCodec }),
)
const subscriptions = new Kept<Subscription>(
  'serviceSubscription',
  record<Subscription>({ account: identity, resource: text(limits.xmppJidOctetsMax) }),
)
interface Standing {
  readonly account: Identity
  readonly affiliation: number
}
const standings = new Kept<Standing>('serviceStanding', record<Standing>({ account: identity, affiliation: u8 }))

export const readNode = (tx: ReadTx, node: string): Node | undefined => nodes.get(tx, service, node)
export const readNodes = (tx: ReadTx): readonly Node[] =>
  nodes.list(tx, service).toSorted((a, b) => (a.name < b.name ? -1 : 1))

/** @throws StanzaError `resource-constraint` */
export function putNode(tx: WriteTx, node: Node): void {
  const others = nodes.get(tx, service, node.name) === undefined ? nodes.list(tx, service) : []
  const own = others.filter(({ owner }) => owner === node.owner)
  if (others.length >= limits.xmppServiceNodesMax || own.length >= limits.xmppNodesMax)
    throw new StanzaError('resource-constraint', 'There are too many nodes: delete some first.')
  nodes.put(tx, service, [node.name], node)
}

/** With all that belongs to it. */
export function removeNode(tx: WriteTx, node: string): void {
  for (const rows of [items, subscriptions, standings]) rows.removeAll(tx, service, node)
  nodes.remove(tx, service, node)
}

/** Oldest first. */
export const readItems = (tx: ReadTx, node: string): readonly Item[] =>
  items.list(tx, service, node).toSorted((a, b) => a.seq - b.seq)

/** The latest from now on; the oldest ones give way. @throws StanzaError `resource-constraint` */
export function putItem(tx: WriteTx, { name: node, config }: Node, item: Omit<Item, 'seq'>): void {
  const there = readItems(tx, node)
  const others = there.filter(({ id }) => id !== item.id)
  for (const { id } of others.slice(0, Math.max(0, others.length + 1 - config.maxItems))) removeItem(tx, node, id)
  items.put(tx, service, [node, item.id], { ...item, seq: (there.at(-1)?.seq ?? 0) + 1 })
  if (items.bytes(tx, service) > limits.xmppServiceBytesMax)
    throw new StanzaError('resource-constraint', 'Too much is kept in nodes: delete some of it first.')
}

export const removeItem = (tx: WriteTx, node: string, id: string): void => items.remove(tx, service, node, id)
export const removeItems = (tx: WriteTx, node: string): void => items.removeAll(tx, service, node)

export const readSubscriptions = (tx: ReadTx, node: string): readonly Subscription[] =>
  subscriptions.list(tx, service, node)
export const isSubscribed = (tx: ReadTx, node: string, { account, resource }: Subscription): boolean =>
  subscriptions.get(tx, service, node, account, resource) !== undefined

/** @throws StanzaError `resource-constraint` */
export function subscribe(tx: WriteTx, node: string, subscription: Subscription): void {
  const { account, resource } = subscription
  if (!isSubscribed(tx, node, subscription) && subscriptions.count(tx, service, node) >= limits.xmppSubscriptionsMax)
    throw new StanzaError('resource-constraint', 'There are too many subscriptions.')
  subscriptions.put(tx, service, [node, account, resource], subscription)
}
export const unsubscribe = (tx: WriteTx, node: string, { account, resource }: Subscription): void =>
  subscriptions.remove(tx, service, node, account, resource)
export const unsubscribeAll = (tx: WriteTx, node: string, account: Identity): void =>
  subscriptions.removeAll(tx, service, node, account)

export function affiliationOf(tx: ReadTx, { name: node, owner }: Node, account: Identity): Affiliation {
  if (account === owner) return 'owner'
  return named(standings.get(tx, service, node, account)?.affiliation)
}

const named = (number: number | undefined): Affiliation =>
  (Object.keys(affiliations) as (keyof typeof affiliations)[]).find((one) => affiliations[one] === number) ?? 'none'

export function affiliated(
  tx: ReadTx,
  { name: node, owner }: Node,
): readonly (readonly [account: Identity, affiliation: Affiliation])[] {
  const others = standings.list(tx, service, node)
  return [[owner, 'owner'], ...others.map(({ account, affiliation }) => [account, named(affiliation)] as const)]
}

export function affiliate(tx: WriteTx, node: string, account: Identity, affiliation: Affiliation): void {
  if (affiliation === 'none') standings.remove(tx, service, node, account)
  else standings.put(tx, service, [node, account], { account, affiliation: affiliations[affiliation] })
}

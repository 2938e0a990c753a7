/** Nodes of an account and their items, as they are kept. Every change is part of the caller's transaction. */
import { type Codec, record, text, u64 } from '../../../../core/codec.ts'
import type { Identity } from '../../../../core/ids.ts'
import { limits } from '../../../../core/limits.ts'
import type { ReadTx, WriteTx } from '../../../../core/store/store.ts'
import { elementCodec } from '../../element-codec.ts'
import type { Element } from '../../element.ts'
import { Kept } from '../../kept.ts'
import { StanzaError } from '../../stanza-error.ts'
import { configCodec, type NodeConfig } from './config.ts'

export interface PepNode {
  readonly name: string
  readonly config: NodeConfig
}

export interface PepItem {
  readonly id: string
  /** Order of publishing within the node. */
  readonly seq: number
  /** Unix milliseconds. */
  readonly atMs: number
  readonly payload: Element
}

const name = text(limits.profileNameOctetsMax)
const nodeRows = new Kept<PepNode>('node', record<PepNode>({ name, config: configCodec }))
const itemCodec: Codec<PepItem> = record<PepItem>({ id: name, seq: u64, atMs: u64, payload: elementCodec })
const itemRows = new Kept<PepItem>('item', itemCodec)

export const readNode = (tx: ReadTx, account: Identity, node: string): PepNode | undefined =>
  nodeRows.get(tx, account, node)

export const readNodes = (tx: ReadTx, account: Identity): readonly PepNode[] =>
  [...nodeRows.list(tx, account)].sort((a, b) => (a.name < b.name ? -1 : 1))

/** Oldest first. */
export const readItems = (tx: ReadTx, account: Identity, node: string): readonly PepItem[] =>
  [...itemRows.list(tx, account, node)].sort((a, b) => a.seq - b.seq)

/** @throws StanzaError `resource-constraint` */
export function putNode(tx: WriteTx, account: Identity, node: PepNode): void {
  const isNew = nodeRows.get(tx, account, node.name) === undefined
  if (isNew && nodeRows.count(tx, account) >= limits.xmppNodesMax)
    throw new StanzaError('resource-constraint', 'There are too many nodes: delete some first.')
  nodeRows.put(tx, account, [node.name], node)
}

export function removeNode(tx: WriteTx, account: Identity, node: string): void {
  itemRows.removeAll(tx, account, node)
  nodeRows.remove(tx, account, node)
}

/**
 * The latest of its node from now on; the oldest ones give way.
 * @returns ids of those that did
 * @throws StanzaError `resource-constraint`
 */
export function putItem(
  tx: WriteTx,
  account: Identity,
  { name: node, config }: PepNode,
  { id, atMs, payload }: Omit<PepItem, 'seq'>,
): readonly string[] {
  const items = readItems(tx, account, node)
  const others = items.filter((item) => item.id !== id)
  const gone = others.slice(0, Math.max(0, others.length + 1 - config.maxItems)).map((item) => item.id)
  for (const old of gone) itemRows.remove(tx, account, node, old)
  itemRows.put(tx, account, [node, id], { id, atMs, payload, seq: (items.at(-1)?.seq ?? 0) + 1 })
  if (itemRows.bytes(tx, account) > limits.xmppItemsBytesMax)
    throw new StanzaError('resource-constraint', 'Too much is kept for programs: delete some of it first.')
  return gone
}

export const removeItem = (tx: WriteTx, account: Identity, node: string, id: string): void =>
  itemRows.remove(tx, account, node, id)

export const removeItems = (tx: WriteTx, account: Identity, node: string): void => itemRows.removeAll(tx, account, node)

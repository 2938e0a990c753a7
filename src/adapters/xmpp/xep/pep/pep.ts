/**
 * Personal events (XEP-0163): nodes of the accounts here, and what contacts show of theirs. An own node with the access model
 * `presence` or `open` goes to contacts, wherever they are, through core's `Profiles`; every other one stays on this gateway.
 */
import { MyceliumError, unreachable } from '../../../../core/errors.ts'
import type { Identity } from '../../../../core/ids.ts'
import { limits } from '../../../../core/limits.ts'
import type { ReadTx, WriteTx } from '../../../../core/store/store.ts'
import type { Client } from '../../client.ts'
import { decodeElement, encodeElement } from '../../element-codec.ts'
import { type Element, el } from '../../element.ts'
import type { Server } from '../../feature.ts'
import { bareOf } from '../../jid.ts'
import type { Named } from '../../names.ts'
import { StanzaError } from '../../stanza-error.ts'
import { interestsOf } from '../interests.ts'
import { neighboursOf } from '../neighbours.ts'
import { defaultConfig, isShown, meets, type NodeConfig } from './config.ts'
import {
  type PepItem,
  type PepNode,
  putItem,
  putNode,
  readItems,
  readNode,
  readNodes,
  removeItem,
  removeItems,
  removeNode,
} from './nodes.ts'

export const pubsubNs = 'http://jabber.org/protocol/pubsub'
const eventNs = `${pubsubNs}#event`
export const errorsNs = `${pubsubNs}#errors`

type Shown = Pick<PepItem, 'id' | 'payload' | 'atMs'>

type Event =
  | { readonly kind: 'items'; readonly items: readonly Shown[] }
  | { readonly kind: 'retract'; readonly ids: readonly string[] }
  | { readonly kind: 'purge' }
  | { readonly kind: 'delete' }

/** A node that is another way to see something that is kept elsewhere. */
export interface VirtualNode {
  readonly name: string
  items(tx: ReadTx, account: Identity): readonly Shown[]
  publish(tx: WriteTx, account: Identity, item: Element): void
}

/** In the transaction in which an own node changes. */
export type NodeListener = (tx: WriteTx, account: Identity, node: string) => void

export interface Publication {
  readonly node: string
  readonly items: readonly { readonly id: string; readonly payload: Element }[]
  /** What the node must be like, or is made like. */
  readonly options?: Partial<NodeConfig>
}

export class Pep {
  readonly #server: Server
  readonly #virtuals = new Map<string, VirtualNode>()
  readonly #listeners = new Set<NodeListener>()

  constructor(server: Server) {
    this.#server = server
    interestsOf(server).watch((client, before, now) => {
      if (client.state.presence !== undefined)
        this.#sendLast(client, (node) => now.has(`${node}+notify`) && !before.has(`${node}+notify`))
    })
    server.services.profiles.watch(({ account, contact, topic, id }) => this.#heard(account, contact, topic, id))
  }

  addVirtual(node: VirtualNode): void {
    this.#virtuals.set(node.name, node)
  }

  whenChanged(listener: NodeListener): void {
    this.#listeners.add(listener)
  }

  /** Nodes that `account` sees of somebody. */
  nodesOf(account: Identity, whose: Named): readonly string[] {
    const { store, profiles } = this.#server.services
    if (whose.kind === 'self')
      return store.read((tx) => [
        ...readNodes(tx, account).map(({ name }) => name),
        ...[...this.#virtuals.values()].filter((node) => node.items(tx, account).length > 0).map(({ name }) => name),
      ])
    if (whose.kind !== 'person') return []
    if (this.#isHere(whose.identity))
      return store.read((tx) =>
        readNodes(tx, whose.identity)
          .filter(({ config }) => this.#shows(whose.identity, config, account))
          .map(({ name }) => name),
      )
    return [...new Set(profiles.of(account, whose.identity).map(({ topic }) => topic))]
  }

  configOf(account: Identity, node: string): NodeConfig | undefined {
    return this.#server.services.store.read((tx) => readNode(tx, account, node))?.config
  }

  /** Oldest first; `undefined` where `account` sees no such node of that person. */
  itemsOf(account: Identity, whose: Named, node: string): readonly Shown[] | undefined {
    const { store, profiles } = this.#server.services
    if (whose.kind === 'self') return this.ownItems(account, node)
    if (whose.kind !== 'person') return undefined
    if (this.#isHere(whose.identity)) {
      return store.read((tx) => {
        const config = readNode(tx, whose.identity, node)?.config
        const isSeen = config !== undefined && this.#shows(whose.identity, config, account)
        return isSeen ? this.ownItemsIn(tx, whose.identity, node) : undefined
      })
    }
    const items = profiles.of(account, whose.identity, node).flatMap(shownOf)
    return items.length === 0 ? undefined : items.toSorted((a, b) => a.atMs - b.atMs)
  }

  ownItems(account: Identity, node: string): readonly Shown[] | undefined {
    return this.#server.services.store.read((tx) => this.ownItemsIn(tx, account, node))
  }

  ownItemsIn(tx: ReadTx, account: Identity, node: string): readonly Shown[] | undefined {
    const virtual = this.#virtuals.get(node)
    const seen = virtual?.items(tx, account)
    // nobody has made it: it is there when there is something to see in it
    if (seen !== undefined) return seen.length === 0 ? undefined : seen
    return readNode(tx, account, node) === undefined ? undefined : readItems(tx, account, node)
  }

  /** @throws StanzaError `conflict` where the node is not as the options say; as `putItem` and `putNode` */
  publish(tx: WriteTx, account: Identity, { node: name, items, options = {} }: Publication): void {
    const virtual = this.#virtuals.get(name)
    if (virtual !== undefined) {
      for (const { payload } of items) virtual.publish(tx, account, payload)
      return
    }
    const node = this.#nodeFor(tx, account, name, options)
    // later than what it takes the place of, whatever the clock says: the account's other gateways go by it
    const latest = Math.max(0, ...readItems(tx, account, name).map((item) => item.atMs + 1))
    const atMs = Math.max(latest, this.#server.ambient.clock.nowMs())
    for (const item of items) putItem(tx, account, node, { ...item, atMs })
    this.#changed(tx, account, node, { kind: 'items', items: items.map((item) => ({ ...item, atMs })) })
    if (!node.config.persists) for (const { id } of items) removeItem(tx, account, name, id)
  }

  #nodeFor(tx: WriteTx, account: Identity, name: string, options: Partial<NodeConfig>): PepNode {
    const known = readNode(tx, account, name)
    if (known !== undefined && !meets(known.config, options))
      throw new StanzaError('conflict', 'The node is not as these options say.', el(`precondition-not-met ${errorsNs}`))
    const node = known ?? { name, config: { ...defaultConfig, ...options } }
    if (known === undefined) putNode(tx, account, node)
    return node
  }

  /** @throws StanzaError `item-not-found` */
  retract(tx: WriteTx, account: Identity, node: string, ids: readonly string[], isTold = true): void {
    const known = this.#existing(tx, account, node)
    const there = new Set(readItems(tx, account, node).map(({ id }) => id))
    const missing = ids.find((id) => !there.has(id))
    if (missing !== undefined) throw new StanzaError('item-not-found')
    for (const id of ids) removeItem(tx, account, node, id)
    this.#changed(tx, account, known, isTold && known.config.notifiesRetract ? { kind: 'retract', ids } : undefined)
  }

  purge(tx: WriteTx, account: Identity, node: string): void {
    const known = this.#existing(tx, account, node)
    removeItems(tx, account, node)
    this.#changed(tx, account, known, { kind: 'purge' })
  }

  delete(tx: WriteTx, account: Identity, node: string): void {
    const known = this.#existing(tx, account, node)
    removeNode(tx, account, node)
    this.#changed(tx, account, known, known.config.notifiesDelete ? { kind: 'delete' } : undefined)
  }

  /** @throws StanzaError `conflict` */
  create(tx: WriteTx, account: Identity, name: string, config: Partial<NodeConfig>): void {
    if (this.#virtuals.has(name) || readNode(tx, account, name) !== undefined) throw new StanzaError('conflict')
    putNode(tx, account, { name, config: { ...defaultConfig, ...config } })
  }

  configure(tx: WriteTx, account: Identity, name: string, change: Partial<NodeConfig>): void {
    const known = this.#existing(tx, account, name)
    const node = { name, config: { ...known.config, ...change } }
    putNode(tx, account, node)
    const items = readItems(tx, account, name)
    const over = items.slice(0, Math.max(0, items.length - node.config.maxItems))
    for (const { id } of over) removeItem(tx, account, name, id)
    this.#changed(tx, account, node, undefined)
  }

  #existing(tx: ReadTx, account: Identity, name: string): PepNode {
    const node = readNode(tx, account, name)
    if (node === undefined) throw new StanzaError('item-not-found')
    return node
  }

  /** Contacts elsewhere see the items that there are now, and everybody else hears what happened. */
  #changed(tx: WriteTx, account: Identity, { name, config }: PepNode, event: Event | undefined): void {
    const { profiles } = this.#server.services
    const items = isShown(config) ? readItems(tx, account, name) : []
    try {
      profiles.show(
        tx,
        account,
        name,
        items.map(({ id, atMs, payload }) => ({ id, atMs, value: encodeElement(payload) })),
      )
    } catch (error) {
      if (!(error instanceof MyceliumError)) throw error
      throw new StanzaError('resource-constraint', 'Contacts cannot be shown so much: delete some of it first.')
    }
    for (const listener of this.#listeners) listener(tx, account, name)
    if (event !== undefined) tx.afterCommit(() => this.#tell(account, name, event, isShown(config)))
  }

  /** Something that is seen in another way too has changed: its other name is told. */
  changedVirtually(account: Identity, name: string): void {
    const items = this.ownItems(account, name) ?? []
    this.#tell(account, name, { kind: 'items', items: items.slice(-1) }, false)
  }

  #tell(owner: Identity, node: string, event: Event, toOthers: boolean): void {
    const { accounts } = this.#server.services
    this.#tellOne(owner, owner, node, event)
    if (!toOthers) return
    const others = [...this.#server.hub.accounts()].filter((other) => other !== owner && accounts.has(other))
    for (const other of others.filter((one) => neighboursOf(this.#server).of(one, owner).sees))
      this.#tellOne(other, owner, node, event)
  }

  #tellOne(account: Identity, owner: Identity, node: string, event: Event): void {
    const interests = interestsOf(this.#server)
    this.#server.hub.toAll(
      account,
      this.#message(account, owner, node, event),
      (client) => client.state.presence !== undefined && interests.of(client).has(`${node}+notify`),
    )
  }

  #message(account: Identity, owner: Identity, node: string, event: Event): Element {
    const from = bareOf(this.#server.names.person(account, owner))
    return el('message', { type: 'headline', from }, el(`event ${eventNs}`, {}, eventElement(node, event)))
  }

  /** A contact's gateway has told something new. */
  #heard(account: Identity, contact: Identity, node: string, id: string): void {
    if (contact === account) return void this.#adopt(account, node)
    if (this.#server.hub.of(account).length === 0) return
    const item = this.#server.services.profiles
      .of(account, contact, node)
      .filter((one) => one.id === id)
      .flatMap(shownOf)[0]
    this.#tellOne(account, contact, node, item ? { kind: 'items', items: [item] } : { kind: 'retract', ids: [id] })
  }

  /** Another gateway of the account shows something newer: it is shown here too. What is taken back there stays here. */
  async #adopt(account: Identity, name: string): Promise<void> {
    const { store, profiles } = this.#server.services
    const theirs = profiles.ofSiblings(account, name)
    try {
      await store.write((tx) => {
        const known = readNode(tx, account, name)
        if (known !== undefined && !isShown(known.config)) return
        const own = new Map(readItems(tx, account, name).map((item) => [item.id, item.atMs]))
        const newer = theirs.filter(({ id, atMs }) => (own.get(id) ?? -1) < atMs).flatMap(shownOf)
        if (newer.length === 0) return
        const config = known?.config ?? { ...defaultConfig, access: isForAnybody(name) ? 'open' : 'presence' }
        const maxItems = Math.min(Math.max(config.maxItems, theirs.length), limits.xmppNodeItemsMax)
        const node = { name, config: { ...config, maxItems } }
        putNode(tx, account, node)
        for (const item of newer.toSorted((a, b) => a.atMs - b.atMs)) putItem(tx, account, node, item)
        this.#changed(tx, account, node, { kind: 'items', items: newer })
      })
    } catch {
      this.#server.ambient.log.warn('xmpp.node-not-adopted')
    }
  }

  /** XEP-0163 §4.3.2: what was published last, once a program is there that wants to hear of it. */
  #sendLast(client: Client, isWanted: (node: string) => boolean): void {
    const { account } = client
    const { store, accounts, profiles } = this.#server.services
    let left: number = limits.xmppLastItemsMax
    const send = (owner: Identity, node: string, item: Shown | undefined): void => {
      if (item === undefined || left <= 0) return
      left -= 1
      const message = this.#message(account, owner, node, { kind: 'items', items: [item] })
      client.send({ ...message, attrs: { ...message.attrs, to: `${bareOf(client.jid)}/${client.jid.resource}` } })
    }
    for (const { identity, disabled } of accounts.list()) {
      if (disabled) continue
      const nodes = store.read((tx) => readNodes(tx, identity))
      const sees = identity !== account && neighboursOf(this.#server).of(account, identity).sees
      for (const { name, config } of nodes)
        if (
          isWanted(name) &&
          config.sendLast === 'on_sub_and_presence' &&
          (identity === account || (sees && isShown(config)))
        )
          send(identity, name, this.ownItems(identity, name)?.at(-1))
    }
    for (const { name } of this.#virtuals.values())
      if (isWanted(name)) send(account, name, this.ownItems(account, name)?.at(-1))
    for (const [contact, items] of profiles.ofAll(account, isWanted))
      for (const [node, ofNode] of Map.groupBy(items, ({ topic }) => topic))
        send(
          contact,
          node,
          ofNode
            .toSorted((a, b) => a.atMs - b.atMs)
            .flatMap(shownOf)
            .at(-1),
        )
  }

  /** To another account of this gateway. */
  #shows(owner: Identity, config: NodeConfig, other: Identity): boolean {
    return isShown(config) && (config.access === 'open' || neighboursOf(this.#server).of(other, owner).sees)
  }

  #isHere(identity: Identity): boolean {
    return this.#server.services.accounts.has(identity)
  }
}

/** As programs make nodes of OMEMO (XEP-0384 §5.3): one of another model would be refused or changed by them. */
const isForAnybody = (node: string): boolean => /^(?:urn:xmpp:omemo:|eu\.siacs\.conversations\.axolotl)/.test(node)

function eventElement(node: string, event: Event): Element {
  switch (event.kind) {
    case 'items':
      return el(
        `items ${eventNs}`,
        { node },
        event.items.map(({ id, payload }) => el(`item ${eventNs}`, { id }, payload)),
      )
    case 'retract':
      return el(
        `items ${eventNs}`,
        { node },
        event.ids.map((id) => el(`retract ${eventNs}`, { id })),
      )
    case 'purge':
      return el(`purge ${eventNs}`, { node })
    case 'delete':
      return el(`delete ${eventNs}`, { node })
    default:
      return unreachable(event)
  }
}

/** Of what came from elsewhere, what is an element. */
function shownOf({ id, atMs, value }: { id: string; atMs: number; value: Uint8Array }): readonly Shown[] {
  const payload = value.length > limits.xmppKeptElementBytesMax ? undefined : decodeElement(value)
  return payload === undefined ? [] : [{ id, atMs, payload }]
}

const known = new WeakMap<Server['hub'], Pep>()

/** One for each server. */
export function pepOf(server: Server): Pep {
  const made = known.get(server.hub) ?? new Pep(server)
  known.set(server.hub, made)
  return made
}

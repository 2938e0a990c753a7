/** What is known of relays and queues, at rest and by the ids under which entries come; memory follows each commit. */
import { concat, fromUtf8, toHex } from '../../bytes.ts'
import { type Codec, decode, encode } from '../../codec.ts'
import { signingKey, type SigningKey } from '../../crypto/sign.ts'
import type { GatewayId, Identity } from '../../ids.ts'
import { limits } from '../../limits.ts'
import type { ReadTx, Store, WriteTx } from '../../store/store.ts'
import type { Table } from '../../store/store.ts'
import { tables } from '../../store/tables.ts'
import { receiveIdOf } from '../relay-ids.ts'
import { type Pair, pairName } from '../session-book.ts'
import {
  type GivenQueue,
  type InQueue,
  type InQueues,
  inQueuesCodec,
  type OutQueues,
  outQueuesCodec,
  type RelayChoice,
  relayChoiceCodec,
  toldBytes,
} from './queues.ts'

const hex = (text: string): Uint8Array => Buffer.from(text, 'hex')
const choiceName = (account: Identity, gateway: GatewayId): string => account + gateway

/** The queue that an entry came out of. */
export interface Found {
  readonly pair: Pair
  readonly queue: InQueue
}

export class RelayBook {
  readonly #choices = new Map<string, RelayChoice>()
  readonly #owners = new Map<string, SigningKey>()
  readonly #in = new Map<string, InQueues>()
  readonly #out = new Map<string, OutQueues>()
  /** Choice and receive id → pair and send seed. */
  readonly #found = new Map<string, { readonly pair: Pair; readonly sendSeed: Uint8Array }>()

  constructor(store: Store) {
    store.read((tx) => {
      for (const choice of all(tx, tables.relayChoices, relayChoiceCodec)) this.#keepChoice(choice)
      for (const row of all(tx, tables.relayInQueues, inQueuesCodec)) this.#keepIn(row)
      for (const row of all(tx, tables.relayOutQueues, outQueuesCodec)) this.#out.set(pairName(row.pair), row)
    })
  }

  choices(account?: Identity): readonly RelayChoice[] {
    return [...this.#choices.values()].filter((choice) => account === undefined || choice.account === account)
  }
  choice(account: Identity, gateway: GatewayId): RelayChoice | undefined {
    return this.#choices.get(choiceName(account, gateway))
  }
  owner({ account, relay, ownerSeed }: RelayChoice): SigningKey {
    const name = choiceName(account, relay.gateway)
    const known = this.#owners.get(name)
    if (known !== undefined) return known
    const made = signingKey(ownerSeed)
    this.#owners.set(name, made)
    return made
  }
  putChoice(tx: WriteTx, choice: RelayChoice): void {
    tx.put(tables.relayChoices, choiceKey(tx, choice), encode(relayChoiceCodec, choice))
    tx.afterCommit(() => this.#keepChoice(choice))
  }
  removeChoice(tx: WriteTx, choice: RelayChoice): void {
    tx.remove(tables.relayChoices, choiceKey(tx, choice))
    tx.afterCommit(() => {
      this.#choices.delete(choiceName(choice.account, choice.relay.gateway))
      this.#owners.delete(choiceName(choice.account, choice.relay.gateway))
    })
  }

  inQueues(pair: Pair): readonly InQueue[] {
    return this.#in.get(pairName(pair))?.queues ?? []
  }
  /** Every pair that has queues of ours. */
  inRows(): Iterable<InQueues> {
    return this.#in.values()
  }
  /** An empty list removes the row. */
  putIn(tx: WriteTx, row: InQueues): void {
    const key = pairKey(tx, row.pair)
    if (row.queues.length === 0) tx.remove(tables.relayInQueues, key)
    else tx.put(tables.relayInQueues, key, encode(inQueuesCodec, row))
    tx.afterCommit(() => this.#keepIn(row))
  }
  /** The row as this transaction sees it. */
  readIn(tx: ReadTx, pair: Pair): InQueues {
    const value = tx.get(tables.relayInQueues, pairKey(tx, pair))
    return value === undefined ? { pair, queues: [] } : decode(inQueuesCodec, value)
  }
  find(choice: RelayChoice, receiveId: Uint8Array): Found | undefined {
    const found = this.#found.get(choiceName(choice.account, choice.relay.gateway) + toHex(receiveId))
    if (found === undefined) return undefined
    const queue = this.inQueues(found.pair).find(({ sendSeed }) => Buffer.compare(sendSeed, found.sendSeed) === 0)
    return queue === undefined ? undefined : { pair: found.pair, queue }
  }

  outRows(): readonly OutQueues[] {
    return [...this.#out.values()]
  }
  out(pair: Pair): OutQueues | undefined {
    return this.#out.get(pairName(pair))
  }
  readOut(tx: ReadTx, pair: Pair): OutQueues | undefined {
    const value = tx.get(tables.relayOutQueues, pairKey(tx, pair))
    return value === undefined ? undefined : decode(outQueuesCodec, value)
  }
  putOut(tx: WriteTx, row: OutQueues): void {
    tx.put(tables.relayOutQueues, pairKey(tx, row.pair), encode(outQueuesCodec, row))
    tx.afterCommit(() => this.#out.set(pairName(row.pair), row))
  }
  /** Takes what a contact's device gives; counts of queues that it gives again go on. */
  given(tx: WriteTx, pair: Pair, queues: readonly GivenQueue[]): void {
    const before = this.readOut(tx, pair)
    const left = (one: GivenQueue): number =>
      before?.queues.find(({ sendSeed }) => Buffer.compare(sendSeed, one.sendSeed) === 0)?.left ?? 0
    const next = queues.slice(0, limits.relaysUsedMax).map((one) => ({ ...copied(one), left: left(one) }))
    this.putOut(tx, {
      depositedTo: 0,
      sinceMs: 0,
      framesOut: 0,
      told: new Uint8Array(toldBytes),
      ...before,
      pair,
      queues: next,
    })
  }

  /** The pair ended: its contact or device is gone. */
  forget(tx: WriteTx, pair: Pair): void {
    tx.remove(tables.relayInQueues, pairKey(tx, pair))
    tx.remove(tables.relayOutQueues, pairKey(tx, pair))
    tx.afterCommit(() => {
      this.#keepIn({ pair, queues: [] })
      this.#out.delete(pairName(pair))
    })
  }

  #keepChoice(choice: RelayChoice): void {
    this.#choices.set(choiceName(choice.account, choice.relay.gateway), choice)
    for (const row of this.#in.values()) if (row.pair.account === choice.account) this.#index(row)
  }

  #keepIn(row: InQueues): void {
    const name = pairName(row.pair)
    if (row.queues.length === 0) this.#in.delete(name)
    else {
      this.#in.set(name, row)
      this.#index(row)
    }
  }

  #index({ pair, queues }: InQueues): void {
    for (const { gateway, sendSeed } of queues) {
      const choice = this.choice(pair.account, gateway)
      if (choice === undefined) continue
      const id = receiveIdOf(this.owner(choice).publicKey, signingKey(sendSeed).publicKey)
      this.#found.set(choiceName(pair.account, gateway) + toHex(id), { pair, sendSeed })
    }
  }
}

/** Those of an account that is going. */
export function forgetRelays(tx: WriteTx, account: Identity): void {
  for (const { key, value } of tx.range(tables.relayChoices, {}))
    if (decode(relayChoiceCodec, value).account === account) tx.remove(tables.relayChoices, key)
  for (const { key, value } of tx.range(tables.relayInQueues, {}))
    if (decode(inQueuesCodec, value).pair.account === account) tx.remove(tables.relayInQueues, key)
  for (const { key, value } of tx.range(tables.relayOutQueues, {}))
    if (decode(outQueuesCodec, value).pair.account === account) tx.remove(tables.relayOutQueues, key)
}

const all = <T>(tx: ReadTx, table: Table, codec: Codec<T>): readonly T[] =>
  [...tx.range(table, {})].map(({ value }) => decode(codec, value))

const choiceKey = (tx: ReadTx, { account, relay }: RelayChoice): Uint8Array =>
  tx.opaque(concat(hex(account), fromUtf8(relay.gateway)))
const pairKey = (tx: ReadTx, pair: Pair): Uint8Array => tx.opaque(hex(pair.device), hex(pair.peerDevice))

/** What came in a frame goes with it. */
const copied = (queue: GivenQueue): GivenQueue => ({
  ...queue,
  sealKey: Uint8Array.from(queue.sealKey),
  sendSeed: Uint8Array.from(queue.sendSeed),
  bodyKey: Uint8Array.from(queue.bodyKey),
})

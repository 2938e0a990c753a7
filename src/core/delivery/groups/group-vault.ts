/**
 * The keys of groups at rest: one row for each sender device's chain in each epoch, so that a message moves one row. A seed
 * becomes chains as soon as it is here.
 */
import type { Ambient } from '../../ambient.ts'
import { concat, wipe } from '../../bytes.ts'
import type { DevicesOf, GroupBook } from '../../conversation/group-book.ts'
import { Secret } from '../../crypto/secret.ts'
import { type ErrorCode, MyceliumError } from '../../errors.ts'
import { judgeEnvelope, type Judgement } from '../../group/acceptance.ts'
import { readEnvelope, type ReadEnvelope, type SignedEnvelope } from '../../group/envelope.ts'
import type { Group, GroupAuthor } from '../../group/group.ts'
import {
  type ChainHead,
  commitmentTo,
  EpochKeys,
  firstPlace,
  sealGroup,
  seedBytes,
  SenderChain,
} from '../../group/group-keys.ts'
import type { Cut } from '../../group/op.ts'
import type { Epoch } from '../../group/roster.ts'
import type { DeviceId, GroupId, GroupOpId, Identity } from '../../ids.ts'
import { limits } from '../../limits.ts'
import type { ReadTx, WriteTx } from '../../store/store.ts'
import { tables } from '../../store/tables.ts'

export type Opened =
  | { readonly kind: 'opened'; readonly envelope: ReadEnvelope; readonly payload: Uint8Array }
  /** It can be taken once something else is here. */
  | (Extract<Judgement, { readonly kind: 'waiting' }> & { readonly envelope: ReadEnvelope })
  | { readonly kind: 'waiting'; readonly for: 'keys'; readonly envelope: ReadEnvelope }
  | { readonly kind: 'refused'; readonly code: ErrorCode; readonly reason: string }

export interface Sealed {
  readonly envelope: ReadEnvelope
  /** The beginning of a chain of one's own, where the epoch's seed was not for this device: everybody needs it. */
  readonly chain: ChainHead | undefined
}

const raw = (hex: string): Uint8Array => Buffer.from(hex, 'hex')

export class GroupVault {
  readonly #book: GroupBook
  readonly #ambient: Ambient
  readonly #devicesOf: DevicesOf

  constructor(parts: { readonly book: GroupBook; readonly ambient: Ambient; readonly devicesOf: DevicesOf }) {
    this.#book = parts.book
    this.#ambient = parts.ambient
    this.#devicesOf = parts.devicesOf
  }

  /** Of a new epoch. The caller hands it out, keeps it and wipes it. */
  drawSeed(group: GroupId): { readonly seed: Uint8Array; readonly commitment: Uint8Array } {
    const seed = Uint8Array.from(this.#ambient.random.bytes(seedBytes))
    return { seed, commitment: commitmentTo(group, seed) }
  }

  /** Are there keys of an epoch at all? */
  holds(tx: ReadTx, account: Identity, group: GroupId, epoch: GroupOpId): boolean {
    const prefix = this.#epochKey(tx, account, group, epoch)
    for (const _ of tx.keys(tables.groupChains, { prefix, limit: 1 })) return true
    return false
  }

  /** Chains of everybody who was a member when the epoch was made. Wipes the seed. @throws `malformed` when it is another one */
  keep(tx: WriteTx, account: Identity, group: Group, { op, commitment }: Epoch, seed: Uint8Array): void {
    const members = [...(group.stateAt([op])?.members.keys() ?? [])]
    const devices = members.flatMap((member) => [...this.#devicesOf(tx, account, member)])
    using keys = EpochKeys.fromSeed({ group: group.id, epoch: op, commitment }, new Secret(seed), devices)
    for (const device of keys.devices())
      if (!tx.has(tables.groupChains, this.#chainKey(tx, account, group.id, op, device)))
        this.#putChain(tx, account, group.id, op, keys.chain(device)!)
    this.#forgetOld(tx, account, group)
  }

  /** Everything that this account holds of an epoch, from here on, in pieces of which each fits one statement. */
  headsOf(tx: ReadTx, account: Identity, group: GroupId, epoch: GroupOpId): readonly (readonly ChainHead[])[] {
    const prefix = this.#epochKey(tx, account, group, epoch)
    const heads = [...tx.range(tables.groupChains, { prefix })].map(({ value }) => {
      using chain = SenderChain.decode(value)
      wipe(value)
      return chain.head()
    })
    const pieces: (readonly ChainHead[])[] = []
    for (let at = 0; at < heads.length; at += limits.groupGrantChainsMax)
      pieces.push(heads.slice(at, at + limits.groupGrantChainsMax))
    return pieces
  }

  /** Where chains stand, as a member says. What is here stays, unless it is about that member's own devices. */
  learn(
    tx: WriteTx,
    account: Identity,
    group: Group,
    {
      epoch,
      chains,
      from,
    }: { readonly epoch: GroupOpId; readonly chains: readonly ChainHead[]; readonly from: Identity },
  ): void {
    if (group.epoch(epoch) === undefined) throw new MyceliumError('no-such-group', { reason: 'epoch' })
    const own = this.#devicesOf(tx, account, from)
    for (const head of chains) {
      const known = this.#chain(tx, account, group.id, epoch, head.device)
      known?.[Symbol.dispose]()
      if (known !== undefined && !own.has(head.device)) continue
      using chain = SenderChain.fromHead(head)
      this.#putChain(tx, account, group.id, epoch, chain)
    }
  }

  /** @throws `too-large` */
  seal(tx: WriteTx, group: Group, { op: epoch }: Epoch, author: GroupAuthor, payload: Uint8Array): Sealed {
    const { identity: account, device } = author
    const moment = { random: this.#ambient.random, nowMs: this.#ambient.clock.nowMs() }
    const known = this.#chain(tx, account, group.id, epoch, device)
    using chain = known ?? SenderChain.fresh(device, moment.random)
    const head = known === undefined ? chain.head() : undefined
    const place = this.#book.places.next(tx, account, group.id, device) ?? firstPlace
    const draft = { group: group.id, epoch, heads: group.headsToCite(device), place, payload }
    const envelope = sealGroup(author, chain, draft, moment)
    this.#putChain(tx, account, group.id, epoch, chain)
    return { envelope, chain: head }
  }

  /** @param wasLookedAt before, and waited since: its signature is good @throws `malformed`, `too-large` */
  open(tx: WriteTx, account: Identity, group: Group, signed: SignedEnvelope, wasLookedAt: boolean): Opened {
    const envelope = readEnvelope(signed)
    const { device, epoch } = envelope.header
    const nowMs = this.#ambient.clock.nowMs()
    const judged = judgeEnvelope(group, envelope, {
      nowMs,
      named: (of, sequence) => this.#book.places.named(tx, account, group.id, of, sequence),
      ...(wasLookedAt ? { isSigned: () => true } : {}),
    })
    if (judged.kind === 'waiting') return { ...judged, envelope }
    if (judged.kind === 'refused') return judged
    using chain = this.#chain(tx, account, group.id, epoch, device)
    if (chain === undefined) return { kind: 'waiting', for: 'keys', envelope }
    const opened = chain.open(judged.envelope, nowMs)
    if (opened.kind === 'refused') return { ...opened, reason: 'chain' }
    this.#putChain(tx, account, group.id, epoch, chain)
    return { kind: 'opened', envelope, payload: opened.payload }
  }

  /** Does it stand, and was this member in the group where it was said? */
  isFor(
    tx: ReadTx,
    account: Identity,
    group: Group,
    { signed, member }: { readonly signed: SignedEnvelope; readonly member: Identity },
  ): boolean {
    const { heads } = readEnvelope(signed).header
    return group.stateAt(heads)?.members.has(member) === true && this.#book.stands(tx, account, group, signed)
  }

  /** How far a member's devices have come, as this account knows: what a removal lets stand. */
  cutsOf(tx: ReadTx, account: Identity, group: Group, member: Identity): readonly Cut[] {
    return [...this.#devicesOf(tx, account, member)]
      .toSorted((a, b) => (a < b ? -1 : 1))
      .flatMap((device): readonly Cut[] => {
        const place = this.#book.places.next(tx, account, group.id, device)
        return place === undefined ? [] : [{ device, count: place.sequence, last: place.previous }]
      })
  }

  /** Epochs under which nobody seals any more go when enough newer ones have taken their place. */
  #forgetOld(tx: WriteTx, account: Identity, group: Group): void {
    const current = new Set(group.state.epochs.map(({ op }) => op))
    const prefix = this.#book.key(tx, account, group.id)
    const held = new Set(
      [...tx.keys(tables.groupChains, { prefix })].map(
        (key) => Buffer.from(key.subarray(prefix.length, prefix.length + 32)).toString('hex') as GroupOpId,
      ),
    )
    const numberOf = (epoch: GroupOpId): number => group.epoch(epoch)?.number ?? 0
    const old = [...held].filter((epoch) => !current.has(epoch)).toSorted((a, b) => numberOf(b) - numberOf(a))
    for (const epoch of old.slice(limits.groupOldEpochsMax)) {
      const keys = [...tx.keys(tables.groupChains, { prefix: concat(prefix, raw(epoch)) })]
      for (const key of keys) tx.remove(tables.groupChains, key)
    }
  }

  #epochKey(tx: ReadTx, account: Identity, group: GroupId, epoch: GroupOpId): Uint8Array {
    return concat(this.#book.key(tx, account, group), raw(epoch))
  }

  #chainKey(tx: ReadTx, account: Identity, group: GroupId, epoch: GroupOpId, device: DeviceId): Uint8Array {
    return concat(this.#epochKey(tx, account, group, epoch), raw(device))
  }

  #chain(tx: ReadTx, account: Identity, group: GroupId, epoch: GroupOpId, device: DeviceId): SenderChain | undefined {
    const value = tx.get(tables.groupChains, this.#chainKey(tx, account, group, epoch, device))
    if (value === undefined) return undefined
    const chain = SenderChain.decode(value)
    wipe(value)
    return chain
  }

  #putChain(tx: WriteTx, account: Identity, group: GroupId, epoch: GroupOpId, chain: SenderChain): void {
    tx.put(tables.groupChains, this.#chainKey(tx, account, group, epoch, chain.device), chain.encode())
  }
}

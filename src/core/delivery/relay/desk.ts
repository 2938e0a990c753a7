/**
 * Relays as the delivery path uses them: the way of frames to whoever is away, and the taking in of what others left for
 * us. Opens the pieces of this folder and keeps them going.
 */
import type { Ambient } from '../../ambient.ts'
import { hasCode, MyceliumError } from '../../errors.ts'
import type { GatewayId, Identity } from '../../ids.ts'
import { limits } from '../../limits.ts'
import { encodeItems } from '../../session/items.ts'
import type { Store, WriteTx } from '../../store/store.ts'
import type { Arrivals } from '../arrivals.ts'
import type { BlobSource } from '../blob-source.ts'
import type { Inbound } from '../inbound.ts'
import type { Item } from '../items.ts'
import type { Keyring } from '../needs.ts'
import type { Outbox } from '../outbox.ts'
import type { GatewayAddress, Link } from '../ports.ts'
import type { Relays } from '../relay-ports.ts'
import { type Pair, pairName, type SessionBook } from '../session-book.ts'
import { RelayBook } from './book.ts'
import { RelayCollector } from './collector.ts'
import { Depositor } from './depositor.ts'
import type { Fault } from './health.ts'
import { RelayKeeper } from './keeper.ts'
import { isOld, RelayOutlet } from './outlet.ts'
import { RelayProber } from './prober.ts'
import type { GivenQueue, RelayChoice } from './queues.ts'
import { RelayWatcher, type WatcherStatus } from './watcher.ts'

export interface RelaySettings {
  /** Tried before those that contacts run. */
  readonly relays: readonly GatewayAddress[]
  /** Leave mail only through a relay of our own: the recipient's relay never learns where we are. */
  readonly isHidden: boolean
}

export interface DeskParts {
  readonly store: Store
  readonly relays: Relays
  readonly settings: RelaySettings
  readonly keyring: Keyring
  readonly sessions: SessionBook
  readonly outbox: Outbox
  readonly blobSource: BlobSource
  readonly inbound: Inbound
  readonly arrivals: Arrivals
  readonly ambient: Ambient
  readonly self: GatewayId
  readonly isConnected: (gateway: GatewayId) => boolean
  /** The link over which this pair may speak now. */
  readonly readyLink: (pair: Pair) => Link | undefined
  /** Items for a contact's device, by whatever way there is. */
  readonly say: (pair: Pair, item: Item) => void
  /** A contact's device was heard of. */
  readonly onFresh: (pair: Pair) => void
  /** The way over relays is gone for now. */
  readonly onOutletFailed: (pair: Pair) => void
}

export interface RelayInUse {
  readonly choice: RelayChoice
  readonly watching: WatcherStatus | undefined
}

export class RelayDesk implements AsyncDisposable {
  readonly #parts: DeskParts
  readonly #book: RelayBook
  readonly #keeper: RelayKeeper
  readonly #collector: RelayCollector
  readonly #prober: RelayProber
  readonly #depositors = new Map<string, Depositor>()
  readonly #resting = new Map<GatewayId, number>()
  readonly #watchers = new Map<string, RelayWatcher>()
  readonly #stop = new AbortController()
  #maintained: Promise<void> = Promise.resolve()
  #nextMaintainMs = 0

  constructor(parts: DeskParts) {
    this.#parts = parts
    this.#book = new RelayBook(parts.store)
    const shared = { ...parts, book: this.#book }
    this.#keeper = new RelayKeeper({
      ...shared,
      configured: parts.settings.relays,
      tell: (pair) => this.#tell(pair),
      onChosen: (choice) => this.#watch(choice),
    })
    this.#prober = new RelayProber({
      ...shared,
      carrierFor: ({ gateway }) => this.#carrier(gateway),
      isWatched: (choice) => this.#isWatched(choice),
      onLost: (choice) => this.#caught(choice, 'probe-lost'),
    })
    this.#collector = new RelayCollector({
      ...shared,
      onAnswers: (pair, tag, frames) => this.#answer(pair, tag, frames),
      onFresh: parts.onFresh,
      onFault: (choice, fault) => this.#caught(choice, fault),
      onProbe: (choice) => this.#prober.returned(choice),
    })
  }

  start(): void {
    for (const choice of this.#book.choices()) this.#watch(choice)
    this.wake()
  }

  /** Contacts, devices or what is connected changed. */
  wake(): void {
    this.#nextMaintainMs = 0
    this.#maintainSoon()
  }

  /** A gateway was heard of: if it is a relay of ours, it is watched at once. */
  reachable(gateway: GatewayId): void {
    this.#resting.delete(gateway)
    for (const choice of this.#book.choices()) if (choice.relay.gateway === gateway) this.#watcher(choice)?.nudge()
    if (this.#book.choices().length < limits.relaysUsedMax) this.wake()
  }

  /** Once a minute. */
  async tick(): Promise<void> {
    if (this.#parts.ambient.clock.monotonicMs() >= this.#nextMaintainMs) this.#maintainSoon()
    for (const depositor of this.#depositors.values()) await depositor.tick(this.#stop.signal)
    await this.#prober.tick(this.#stop.signal)
  }

  /** What a contact's device is to be told on each new link; `undefined` while there is nothing. */
  queuesFor(pair: Pair): Item | undefined {
    const queues = this.#keeper.given(pair)
    return queues.length === 0 ? undefined : { kind: 'queues', queues }
  }

  /** The pair's peer cannot be reached: the way of its frames, if it gave us one. */
  outletFor(pair: Pair): RelayOutlet | undefined {
    const row = this.#book.out(pair)
    if (row === undefined || row.queues.length === 0 || this.#stop.signal.aborted) return undefined
    return new RelayOutlet({
      ...this.#parts,
      book: this.#book,
      depositor: this.#depositor(pair),
      nowMs: () => this.#parts.ambient.clock.nowMs(),
      onFailed: () => this.#parts.onOutletFailed(pair),
    })
  }

  /** Was what lies at relays for this pair left so long ago that it should go once more? */
  isOverdue(pair: Pair): boolean {
    const row = this.#book.out(pair)
    return row !== undefined && row.depositedTo > 0 && isOld(row, this.#parts.ambient.clock.nowMs())
  }

  /** References of this pair up to this number lie at relays; and how many relays the peer named. */
  depositsOf(pair: Pair): { readonly to: number; readonly sinceMs: number; readonly relays: number } | undefined {
    const row = this.#book.out(pair)
    if (row === undefined || row.depositedTo === 0) return undefined
    return { to: row.depositedTo, sinceMs: row.sinceMs, relays: row.queues.length }
  }

  given(tx: WriteTx, pair: Pair, queues: readonly GivenQueue[]): void {
    this.#book.given(tx, pair, queues)
  }

  /** The peer has answered: its session is no longer ahead of it. */
  heard(tx: WriteTx, pair: Pair): void {
    const row = this.#book.out(pair) === undefined ? undefined : this.#book.readOut(tx, pair)
    if (row !== undefined && row.framesOut > 0) this.#book.putOut(tx, { ...row, framesOut: 0 })
  }

  forget(tx: WriteTx, pair: Pair): void {
    this.#book.forget(tx, pair)
  }

  inUse(account?: Identity): readonly RelayInUse[] {
    return this.#book.choices(account).map((choice) => ({ choice, watching: this.#watcher(choice)?.status }))
  }

  /** @throws `unreachable`, `peer-misbehaved` */
  async use(
    account: Identity,
    at: GatewayAddress,
    { capability, signal }: { readonly capability: Uint8Array | undefined; readonly signal: AbortSignal },
  ): Promise<RelayInUse> {
    const choice = await this.#keeper.use(account, at, {
      capability,
      signal: AbortSignal.any([signal, this.#stop.signal]),
    })
    return { choice, watching: this.#watcher(choice)?.status }
  }

  async drop({ choice }: RelayInUse): Promise<void> {
    await this.#keeper.drop(choice)
    this.wake()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort()
    await Promise.all([...this.#watchers.values()].map((watcher) => watcher[Symbol.asyncDispose]()))
    await this.#maintained
  }

  #maintainSoon(): void {
    if (this.#stop.signal.aborted) return
    this.#nextMaintainMs = this.#parts.ambient.clock.monotonicMs() + limits.relayMaintainMs
    this.#maintained = this.#guarded(this.#keeper.maintain(this.#stop.signal))
  }

  #watch(choice: RelayChoice): void {
    const name = choice.account + choice.relay.gateway
    if (this.#watchers.get(name)?.isOver === false || this.#stop.signal.aborted) return
    this.#watchers.set(
      name,
      new RelayWatcher(choice, {
        ...this.#parts,
        book: this.#book,
        collector: this.#collector,
        onSeen: (seen) => void this.#guarded(this.#keeper.seen(seen)),
        onForgotten: async (forgotten, signal) => {
          await this.#keeper.caught(forgotten, 'forgot')
          await this.#keeper.forgotten(forgotten, signal)
        },
      }),
    )
  }

  #watcher({ account, relay }: RelayChoice): RelayWatcher | undefined {
    return this.#watchers.get(account + relay.gateway)
  }

  #isWatched(choice: RelayChoice): boolean {
    return this.#watcher(choice)?.status.state === 'watching'
  }

  /** A relay that we watch anyway, other than the one that it is about. */
  #carrier(to: GatewayId): GatewayAddress | undefined {
    return this.#book.choices().find((choice) => choice.relay.gateway !== to && this.#isWatched(choice))?.relay
  }

  #tell(pair: Pair): void {
    const item = this.queuesFor(pair)
    if (item !== undefined && pair.peer !== pair.account) this.#parts.say(pair, item)
  }

  #caught(choice: RelayChoice, fault: Fault): void {
    void this.#guarded(this.#replaceIfPoor(choice, fault))
  }

  async #replaceIfPoor(choice: RelayChoice, fault: Fault): Promise<void> {
    await this.#keeper.caught(choice, fault)
    this.wake()
  }

  /** By the link when there is one, else to where the peer looks. What is lost is asked for again. */
  #answer(pair: Pair, tag: Uint8Array, frames: readonly Uint8Array[]): void {
    const link = this.#parts.readyLink(pair)
    const items = encodeItems(tag, frames)
    if (link !== undefined) {
      link.send(items).catch(() => {})
      return
    }
    const expiresAtMs = this.#parts.ambient.clock.nowMs() + limits.messageExpiryMs
    void this.#guarded(
      this.#depositor(pair).leave({ kind: 'frames', items }, { expiresAtMs, signal: this.#stop.signal }),
    )
  }

  #depositor(pair: Pair): Depositor {
    const name = pairName(pair)
    const known = this.#depositors.get(name)
    if (known !== undefined) return known
    const made = new Depositor(pair, {
      ...this.#parts,
      book: this.#book,
      carrierFor: ({ relay }) => this.#carrier(relay.gateway),
      resting: this.#resting,
      isHidden: this.#parts.settings.isHidden,
    })
    this.#depositors.set(name, made)
    return made
  }

  async #guarded(work: Promise<unknown>): Promise<void> {
    try {
      await work
    } catch (error) {
      if (this.#stop.signal.aborted || hasCode(error, 'shutting-down') || hasCode(error, 'unreachable')) return
      const code = error instanceof MyceliumError ? error.code : 'unexpected'
      this.#parts.ambient.log.warn('relay.failed', { code })
    }
  }
}

/**
 * Relays as the delivery path uses them: the way of frames to whoever is away, and the taking in of what others left for
 * us. Opens the pieces of this folder and keeps them going.
 */
import type { Ambient } from '../../ambient.ts'
import { compare, fromUtf8 } from '../../bytes.ts'
import { sha256 } from '../../crypto/kdf.ts'
import { hasCode, MyceliumError } from '../../errors.ts'
import type { GatewayId, Identity } from '../../ids.ts'
import { limits } from '../../limits.ts'
import { encodeItems } from '../../session/items.ts'
import type { Store, WriteTx } from '../../store/store.ts'
import type { BlobSource } from '../blob-source.ts'
import type { Inbound } from '../inbound.ts'
import type { Item } from '../items.ts'
import type { FirstContact } from '../first-contact.ts'
import type { Keyring, PeerContact } from '../needs.ts'
import type { Outbox } from '../outbox.ts'
import { seqsPerMs } from '../outbox-packs.ts'
import type { GatewayAddress, Link, Locator } from '../ports.ts'
import type { Relays } from '../relay-ports.ts'
import { type Pair, pairName, type SessionBook } from '../session-book.ts'
import { RelayBook } from './book.ts'
import { RelayCollector, type TakeChunk } from './collector.ts'
import { Depositor } from './depositor.ts'
import type { Fault } from './health.ts'
import { RelayKeeper } from './keeper.ts'
import { RelayIntroducer } from './introducer.ts'
import { throughRelay } from './meeting.ts'
import { isOld, RelayOutlet } from './outlet.ts'
import { RelayProber } from './prober.ts'
import { type GivenQueue, type OutQueue, type OutQueues, type RelayChoice, toldBytes } from './queues.ts'
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
  readonly takeChunk: TakeChunk
  readonly ambient: Ambient
  readonly self: GatewayId
  readonly locators: () => readonly string[]
  readonly firstContact: () => FirstContact
  readonly isConnected: (gateway: GatewayId) => boolean
  /** The link over which this pair may speak now. */
  readonly readyLink: (pair: Pair) => Link | undefined
  /** Items for a contact's device, by whatever way there is. */
  readonly say: (pair: Pair, item: Item) => void
  /** A contact's device was heard of. */
  readonly onFresh: (pair: Pair) => void
  /** A relay of ours answers again: what could not be left may find its way now. */
  readonly onRelayBack: () => void
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
  readonly #introducer: RelayIntroducer
  readonly #depositors = new Map<string, Depositor>()
  readonly #resting = new Map<GatewayId, number>()
  readonly #lateOctets = { now: 0 }
  /** Pairs for which nothing could be left lately: how often in a row, and until when they rest (monotonic). */
  readonly #failures = new Map<string, { readonly count: number; readonly untilMs: number }>()
  readonly #opening = new Set<string>()
  /** Contacts in whose queues a relay was caught at something. */
  readonly #accusers = new Map<string, Set<Identity>>()
  /** How often the session of a pair was replaced since start. */
  readonly #restarts = new Map<string, number>()
  /** The place that a pair's peer hears of with what is left next. */
  readonly #telling = new Map<string, Uint8Array>()
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
      isWatched: (choice) => this.#isWatched(choice),
      tell: (pair) => this.#tell(pair),
      onChosen: (choice) => this.#watch(choice),
    })
    this.#prober = new RelayProber({
      ...shared,
      carrierFor: ({ gateway }) => this.#carrier(gateway),
      isWatched: (choice) => this.#isWatched(choice),
      onLost: (choice) => this.#caught(choice, 'probe-lost'),
    })
    this.#introducer = new RelayIntroducer({
      ...shared,
      here: () => ({ gateway: parts.self, locators: parts.locators() }),
      given: (pair) => this.#keeper.given(pair),
      depositor: (pair) => this.#depositor(pair),
      carrierFor: ({ gateway }) => this.#carrier(gateway),
      isHidden: parts.settings.isHidden,
    })
    this.#collector = new RelayCollector({
      ...shared,
      onIntroduction: async (account, content) => await this.#introducer.introduced(account, content),
      onFlight: async (pair, content) =>
        await this.#introducer.flew(pair, content, (to, tag, frames) => this.#answer(to, tag, frames)),
      onAnswers: (pair, tag, frames) => this.#answer(pair, tag, frames),
      onFresh: parts.onFresh,
      onFault: (choice, fault, { peer }) => {
        if (this.#isNews(choice, peer)) this.#caught(choice, fault)
      },
      onProbe: (choice, id) => this.#prober.returned(choice, id),
    })
  }

  start(): void {
    for (const choice of this.#book.choices()) this.#watch(choice)
    this.wake()
    void this.#guarded(this.#moveBack())
  }

  /** The clock was ahead when these were marked: what is submitted now is numbered below. */
  async #moveBack(): Promise<void> {
    const { store, ambient } = this.#parts
    const nowMs = ambient.clock.nowMs()
    const ahead = this.#book.outRows().filter((row) => isAhead(row, nowMs))
    if (ahead.length === 0) return
    await store.write((tx) => {
      for (const { pair } of ahead) {
        const row = this.#book.readOut(tx, pair)
        if (row !== undefined && isAhead(row, nowMs)) this.#book.putOut(tx, { ...row, depositedTo: 0, sinceMs: nowMs })
      }
    })
  }

  /** Contacts, devices or what is connected changed. */
  wake(): void {
    this.#nextMaintainMs = 0
    this.#maintainSoon()
  }

  /** A gateway was heard of: if it is a relay of ours, it is watched at once. */
  reachable(gateway: GatewayId): void {
    if (this.#resting.delete(gateway)) this.#failures.clear()
    for (const choice of this.#book.choices()) if (choice.relay.gateway === gateway) this.#watcher(choice)?.nudge()
    if (this.#book.choices().length < limits.relaysUsedMax) this.wake()
  }

  /** Once a minute. */
  async tick(): Promise<void> {
    for (const choice of this.#book.choices()) if (this.#isWatched(choice)) await this.#keeper.seen(choice)
    if (this.#parts.ambient.clock.monotonicMs() >= this.#nextMaintainMs) this.#maintainSoon()
    for (const depositor of this.#depositors.values()) await depositor.tick(this.#stop.signal)
    await this.#prober.tick(this.#stop.signal)
  }

  /** What a contact's device is to be told on each new link; `undefined` while there is nothing. */
  queuesFor(pair: Pair): Item | undefined {
    const queues = this.#keeper.given(pair)
    return queues.length === 0 ? undefined : { kind: 'queues', queues }
  }

  /**
   * The pair's peer cannot be reached: the way of its frames, if it gave us one and somebody there answers. Frames that are
   * sealed and get nowhere are lost to the session, so nothing is sealed on a mere chance.
   */
  async outletFor(pair: Pair): Promise<RelayOutlet | undefined> {
    const name = pairName(pair)
    const queues = this.#isAccepted(pair) ? (this.#book.out(pair)?.queues ?? []) : []
    const nowMs = this.#parts.ambient.clock.monotonicMs()
    const isResting = (this.#failures.get(name)?.untilMs ?? 0) > nowMs
    if (queues.length === 0 || isResting || this.#opening.has(name) || this.#stop.signal.aborted) return undefined
    this.#opening.add(name)
    try {
      if (!this.#depositor(pair).hasWay || !(await this.#isAnyoneThere(queues))) {
        this.#noteFailure(name)
        return undefined
      }
    } finally {
      this.#opening.delete(name)
    }
    await this.#leaveOldAgain(pair).catch(() => {}) // it is due again
    return new RelayOutlet({
      ...this.#parts,
      book: this.#book,
      depositor: this.#depositor(pair),
      nowMs: () => this.#parts.ambient.clock.nowMs(),
      restarts: () => this.#restartsOf(pair),
      onLeft: () => {
        this.#failures.delete(name)
        this.#noteTold(pair)
      },
      onFailed: () => {
        this.#telling.delete(name)
        this.#noteFailure(name)
        this.#parts.onOutletFailed(pair)
      },
    })
  }

  /** Once: the mark goes back, and what is left from now on counts from now on. */
  async #leaveOldAgain(pair: Pair): Promise<void> {
    const nowMs = this.#parts.ambient.clock.nowMs()
    const row = this.#book.out(pair)
    const isDue = (one: OutQueues): boolean => isOld(one, nowMs) || isAhead(one, nowMs)
    if (row === undefined || !isDue(row)) return
    await this.#parts.store.write((tx) => {
      const now = this.#book.readOut(tx, pair)
      if (now !== undefined && isDue(now)) this.#book.putOut(tx, { ...now, depositedTo: 0, sinceMs: nowMs })
    })
  }

  /** In this transaction another session takes the place of the pair's: what was left in the one before is left again. */
  restarted(tx: WriteTx, pair: Pair): void {
    this.#restarts.set(pairName(pair), this.#restartsOf(pair) + 1)
    const row = this.#book.readOut(tx, pair)
    if (row !== undefined) this.#book.putOut(tx, { ...row, depositedTo: 0, sinceMs: 0, framesOut: 0 })
  }

  #restartsOf(pair: Pair): number {
    return this.#restarts.get(pairName(pair)) ?? 0
  }

  /** Does the peer's device know from its relays that we are at these locators? */
  hasTold(pair: Pair, locators: readonly Locator[]): boolean {
    return compare(this.#book.out(pair)?.told ?? new Uint8Array(), placeOf(locators)) === 0
  }

  /** What is left next says where we are. */
  tells(pair: Pair, locators: readonly Locator[]): void {
    this.#telling.set(pairName(pair), placeOf(locators))
  }

  #noteTold(pair: Pair): void {
    const told = this.#telling.get(pairName(pair))
    if (told === undefined) return
    this.#telling.delete(pairName(pair))
    const note = (tx: WriteTx): void => {
      const row = this.#book.readOut(tx, pair)
      if (row !== undefined) this.#book.putOut(tx, { ...row, told })
    }
    this.#parts.store.write(note).catch(() => {}) // at worst it is told once more
  }

  /** A relay of ours that carries deposits, or else one of theirs that answers. */
  async #isAnyoneThere(queues: readonly OutQueue[]): Promise<boolean> {
    if (queues.some(({ relay }) => this.#carrier(relay.gateway) !== undefined)) return true
    if (this.#parts.settings.isHidden) return false
    const signal = AbortSignal.any([this.#stop.signal, AbortSignal.timeout(limits.relayAskMs)])
    const answers = queues.map(async ({ relay }) => {
      if ((await this.#parts.relays.describe(relay, { signal })) === undefined) throw new MyceliumError('unreachable')
    })
    return await Promise.any(answers).then(
      () => true,
      () => false,
    )
  }

  #noteFailure(name: string): void {
    const count = (this.#failures.get(name)?.count ?? 0) + 1
    const pauseMs = Math.min(limits.relayRestMs * 2 ** Math.min(count - 1, 16), limits.relayFailureMsMax)
    this.#failures.set(name, { count, untilMs: this.#parts.ambient.clock.monotonicMs() + pauseMs })
  }

  /** A contact who has not been met is not there: it finds who we are where its invitation leads. */
  async introduce(account: Identity, contact: PeerContact): Promise<void> {
    await this.#guarded(this.#introducer.introduce(account, contact, this.#stop.signal))
  }

  /** A contact's device with which there is no session is not there: a first flight waits for it. */
  async offer(pair: Pair): Promise<void> {
    if ((this.#book.out(pair)?.queues.length ?? 0) > 0)
      await this.#guarded(this.#introducer.offer(pair, this.#stop.signal))
  }

  /** An invitation was made: at each relay in use it leads to a queue. */
  async invited(account: Identity, capability: Uint8Array): Promise<void> {
    const bounded = AbortSignal.any([this.#stop.signal, AbortSignal.timeout(limits.relayAskMs)])
    await this.#guarded(this.#keeper.invite(account, capability, bounded))
  }

  /** The relays in use as locators of this gateway. */
  locatorsThrough(account: Identity): readonly string[] {
    return this.#book
      .choices(account)
      .filter(({ retiredAtMs }) => retiredAtMs === 0)
      .flatMap(({ relay }) => throughRelay(relay))
  }

  /** Was what lies at relays for this pair left so long ago that it should go once more? */
  isOverdue(pair: Pair): boolean {
    const row = this.#book.out(pair)
    return row !== undefined && isOld(row, this.#parts.ambient.clock.nowMs())
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
    const row = (this.#book.out(pair)?.framesOut ?? 0) === 0 ? undefined : this.#book.readOut(tx, pair)
    if (row !== undefined && row.framesOut > 0) this.#book.putOut(tx, { ...row, framesOut: 0 })
  }

  forget(tx: WriteTx, pair: Pair): void {
    this.#book.forget(tx, pair)
  }

  /** How many queues the devices of a contact have given us; the fewest of one device. */
  queuesOf(account: Identity, contact: Identity): number {
    const counts = this.#book.outRows().filter(({ pair }) => pair.account === account && pair.peer === contact)
    return counts.length === 0 ? 0 : Math.min(...counts.map(({ queues }) => queues.length))
  }

  /** Nothing of ours is on its way to a relay. */
  isQuiet(): boolean {
    return [...this.#depositors.values()].every((depositor) => depositor.isQuiet)
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
        onBack: () => {
          this.#failures.clear()
          this.#parts.onRelayBack()
        },
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

  /** Numbers are a sender's word: of one contact they count once, or it could have a good relay replaced by its own. */
  #isNews({ account, relay }: RelayChoice, accuser: Identity): boolean {
    const name = account + relay.gateway
    const known = this.#accusers.get(name) ?? new Set()
    this.#accusers.set(name, known)
    if (known.has(accuser)) return false
    known.add(accuser)
    return true
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
    // a stranger who waits is not called, at whatever relay it names either
    if (!this.#isAccepted(pair)) return
    const expiresAtMs = this.#parts.ambient.clock.nowMs() + limits.messageExpiryMs
    void this.#guarded(
      this.#depositor(pair).leave({ kind: 'frames', items }, { expiresAtMs, signal: this.#stop.signal }),
    )
  }

  /** A contact, also one who is to hear that it is blocked. */
  #isAccepted({ account, peer }: Pair): boolean {
    const state = this.#parts.keyring.contact(account, peer)?.state
    return state !== undefined && state !== 'request'
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
      lateOctets: this.#lateOctets,
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

const isAhead = ({ depositedTo }: OutQueues, nowMs: number): boolean => depositedTo > nowMs * seqsPerMs

const placeOf = (locators: readonly Locator[]): Uint8Array => sha256(fromUtf8(locators.join(' '))).slice(0, toldBytes)

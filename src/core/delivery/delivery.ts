/**
 * The delivery path as one part: what clients submit goes out, what contacts send comes in, whatever falls over in
 * between. Opens every piece in order and closes in reverse; the pieces know each other only through this file.
 */
import type { Ambient } from '../ambient.ts'
import { hasCode, MyceliumError } from '../errors.ts'
import type { DeviceId, Identity } from '../ids.ts'
import { limits } from '../limits.ts'
import type { Mailboxes } from '../mailbox/mailbox.ts'
import { decodeMessage } from '../message/message.ts'
import type { Blobs } from '../store/blobs.ts'
import type { Store, WriteTx } from '../store/store.ts'
import { Arrivals } from './arrivals.ts'
import { BlobSource } from './blob-source.ts'
import { Channel } from './channel.ts'
import { Courier, type CourierStatus } from './courier.ts'
import { Deliverer } from './deliver.ts'
import { FirstContact } from './first-contact.ts'
import { Inbound } from './inbound.ts'
import type { Item } from './items.ts'
import { LinkHub } from './link-hub.ts'
import { LongReports } from './long-reports.ts'
import type { Directory, Keyring } from './needs.ts'
import { Outbox, type OutgoingMessage, type QueuedRef } from './outbox.ts'
import type { GatewayAddress, Link, Overlay } from './ports.ts'
import { deliveredHere, Reports } from './reports.ts'
import { RunClock } from './run-clock.ts'
import { SentCopies } from './sent-copies.ts'
import { type Pair, pairName, SessionBook } from './session-book.ts'
import { refusalTexts, Settler } from './settle.ts'
import { SharedWrite } from './shared-write.ts'
import type { Submitter } from './submission.ts'
import { submitter } from './submit.ts'
import { Tombstones } from './tombstones.ts'

export interface DeliveryParts {
  readonly store: Store
  readonly blobs: Blobs
  readonly mailboxes: Mailboxes
  readonly overlay: Overlay
  readonly directory: Directory
  readonly keyring: Keyring
  readonly ambient: Ambient
  /** A step of an online confirmation arrived inside a contact's session. */
  readonly onConfirmation: (account: Identity, contact: Identity, step: Uint8Array) => void
  /** A peer has seen more of our frames than we know of: this home is an older copy of itself. */
  readonly onRolledBack: (account: Identity) => void
}

export interface Waiting {
  readonly seq: number
  readonly ref: QueuedRef['ref']
  /** Octets of the mail; 0 when they cannot be told. */
  readonly bytes: number
  readonly courier: CourierStatus | undefined
  readonly inFlight: boolean
}

export interface Delivery extends AsyncDisposable {
  readonly submitter: Submitter
  readonly sentCopies: SentCopies
  /** Everything that waits to be acknowledged. */
  waiting(account?: Identity): readonly Waiting[]
  /** How many references wait; reads none of them. */
  queued(): number
  /** Nothing waits at all; cheap. */
  isIdle(): boolean
  /** How many references are in memory on their way, over all connected devices; cheap. */
  backlog(): number
  /** Tries a contact now, or everybody. */
  retry(account?: Identity, contact?: Identity): void
  /** Takes a reference back; false when it is gone already. */
  cancel(account: Identity, contact: Identity, seq: number): Promise<boolean>
  /** A contact was added, changed or removed. */
  contactChanged(account: Identity, contact: Identity): void
  courierOf(account: Identity, contact: Identity): CourierStatus | undefined
  /** Sends an item to every device of a contact, once connected. */
  say(account: Identity, contact: Identity, item: Item): void
  /** Forgets every session of an account: its device was replaced. */
  retireSessions(tx: WriteTx, account: Identity): void
}

export async function openDelivery(parts: DeliveryParts): Promise<Delivery> {
  const delivery = new RunningDelivery(parts)
  delivery.start()
  return delivery
}

class RunningDelivery implements Delivery {
  readonly submitter: Submitter
  readonly sentCopies: SentCopies
  readonly #parts: DeliveryParts
  readonly #outbox = new Outbox()
  readonly #book: SessionBook
  readonly #hub: LinkHub
  readonly #settler: Settler
  readonly #arrivals: Arrivals
  readonly #longReports: LongReports
  readonly #firstContact: FirstContact
  readonly #blobSource: BlobSource
  readonly #runClock: RunClock
  readonly #tombstones: Tombstones
  readonly #channels = new Map<string, Channel>()
  readonly #couriers = new Map<string, Courier>()
  readonly #timers: NodeJS.Timeout[] = []
  #closing = false

  constructor(parts: DeliveryParts) {
    const { store, ambient, overlay, keyring, directory, mailboxes } = parts
    this.#parts = parts
    this.#book = new SessionBook(store, ambient)
    this.#runClock = new RunClock(store, ambient)
    this.#blobSource = new BlobSource(parts)
    this.sentCopies = new SentCopies(parts)
    this.#tombstones = new Tombstones({ store, ambient, runClock: this.#runClock })
    const deliverer = new Deliverer({ ...parts, tombstones: this.#tombstones })
    this.#longReports = new LongReports({ ...parts, deliverer })
    const reports = new Reports({ deliverer, directory, longReports: this.#longReports, ambient })
    this.#settler = new Settler({
      ...parts,
      outbox: this.#outbox,
      reports,
      blobSource: this.#blobSource,
      runClock: this.#runClock,
      hasAccount: (account) => directory.isOwn(account),
      devicesOf: (account, contact) => this.#devicesOf(account, contact),
    })
    this.#arrivals = new Arrivals({
      ...parts,
      deliverer,
      runClock: this.#runClock,
      whereIs: (account, author, device) =>
        keyring.contact(account, author)?.devices.find((one) => one.device === device)?.where,
      onLocal: (tx, about, outcome) =>
        reports.report(
          tx,
          about,
          outcome.kind === 'refused' ? { action: 'failed', ...refusalTexts[outcome.reason] } : deliveredHere,
        ),
      onSettled: (mail, device, outcome) => {
        const item: Item =
          outcome.kind === 'refused'
            ? { kind: 'refused', id: mail.id, reason: outcome.reason }
            : { kind: 'received', ids: [mail.id] }
        this.#channel(this.#pairOf(mail.account, mail.author, device)).say(item)
      },
    })
    const inbound = new Inbound({
      store,
      ambient,
      deliverer,
      book: this.#book,
      arrivals: this.#arrivals,
      handlers: this.#handlers(),
      mayMeet: (pair) => keyring.mayMeet(pair),
      dayBytesMax: ({ account, peer }) =>
        keyring.contact(account, peer)?.state === 'request' ? limits.strangerDayBytesMax : limits.contactDayBytesMax,
    })
    this.#hub = new LinkHub({
      store,
      overlay,
      ambient,
      inbound,
      book: this.#book,
      mayMeet: (pair) => keyring.mayMeet(pair),
      onReady: (pair, link) => this.#ready(pair, link),
      onClosed: (link, pairs) => this.#lost(link, pairs),
      onSpent: (pair) => this.#courier(pair.account, pair.peer).lost(),
      onRollback: (pair, who) => this.#rolledBack(pair, who),
    })
    this.#firstContact = new FirstContact({
      store,
      keyring,
      overlay,
      ambient,
      book: this.#book,
      onSession: (pair) => this.#newSession(pair),
    })
    this.submitter = submitter({
      writes: new SharedWrite(store),
      mailboxes,
      directory,
      deliverer,
      ambient,
      outbox: this.#outbox,
      sentCopies: this.sentCopies,
      blobSource: this.#blobSource,
      arrivals: this.#arrivals,
      reports,
      runClock: this.#runClock,
      onQueued: (queued) => this.#queued(queued),
    })
  }

  start(): void {
    this.#parts.overlay.serve({
      onLink: (link) => this.#hub.attach(link),
      onReachable: (gateway) => this.#reachable(gateway),
      onLocatorsChanged: () => this.#announce(),
      answer: {
        bundle: this.#firstContact.answerBundle,
        handshake: this.#firstContact.answerHandshake,
        blob: this.#blobSource.answer,
      },
    })
    this.#arrivals.start()
    this.#longReports.writeAll()
    this.#every(limits.resendTickMs, () => {
      for (const channel of this.#channels.values()) channel.tick()
    })
    this.#every(60_000, () => this.#guarded('sweep', this.#minute()))
    this.#every(3600_000, () => {
      this.#book.refreshTags()
      this.#guarded('handshakes', this.#firstContact.sweep())
    })
    for (const account of this.#parts.keyring.accounts()) {
      for (const { identity } of this.#parts.keyring.contacts(account)) this.#courier(account, identity).start()
    }
  }

  waiting(account?: Identity): readonly Waiting[] {
    return this.#parts.store.read((tx) =>
      [...this.#outbox.all(tx)]
        .filter(({ ref }) => account === undefined || ref.account === account)
        .map(({ seq, ref }) => ({
          seq,
          ref,
          bytes: sizeOf(this.#outbox.message(tx, ref)),
          courier: this.courierOf(ref.account, ref.recipient),
          inFlight: this.#isInFlight(ref),
        })),
    )
  }

  backlog(): number {
    let references = 0
    for (const channel of this.#channels.values()) references += channel.backlog
    return references
  }

  queued(): number {
    return this.#parts.store.read((tx) => this.#outbox.count(tx))
  }

  isIdle(): boolean {
    return this.#parts.store.read((tx) => this.#outbox.isEmpty(tx))
  }

  retry(account?: Identity, contact?: Identity): void {
    for (const courier of this.#couriers.values()) {
      const isMeant =
        (account === undefined || courier.account === account) && (contact === undefined || courier.contact === contact)
      if (isMeant) courier.nudge()
    }
    this.#arrivals.nudge()
  }

  async cancel(account: Identity, contact: Identity, seq: number): Promise<boolean> {
    return await this.#parts.store.write((tx) => {
      const ref = this.#outbox.get(tx, account, contact, seq)
      if (ref !== undefined) this.#settler.cancelled(tx, { seq, ref })
      return ref !== undefined
    })
  }

  contactChanged(account: Identity, contact: Identity): void {
    this.#endSessions(account, contact)
    for (const channel of this.#channels.values())
      if (channel.pair.account === account && channel.pair.peer === contact) channel.pump()
    this.#courier(account, contact).nudge()
  }

  /** Sessions with a device that was revoked, or of a contact that was removed, end here and on every link. */
  #endSessions(account: Identity, contact: Identity): void {
    const isOver = (pair: Pair): boolean =>
      pair.account === account && pair.peer === contact && !this.#parts.keyring.mayMeet(pair)
    const over = [...this.#book.pairs()].filter(isOver)
    if (over.length === 0) return
    for (const pair of over) {
      this.#hub.forget(pair)
      this.#channel(pair).closed()
    }
    const ended = this.#parts.store.write((tx) => {
      for (const pair of over) if (isOver(pair)) this.#book.remove(tx, pair)
    })
    this.#guarded('sessions', ended)
  }

  courierOf(account: Identity, contact: Identity): CourierStatus | undefined {
    return this.#couriers.get(account + contact)?.status
  }

  say(account: Identity, contact: Identity, item: Item): void {
    for (const device of this.#devicesOf(account, contact))
      this.#channel(this.#pairOf(account, contact, device)).say(item)
    this.#courier(account, contact).start()
  }

  retireSessions(tx: WriteTx, account: Identity): void {
    for (const pair of this.#book.pairs()) if (pair.account === account) this.#book.remove(tx, pair)
    tx.afterCommit(() => {
      for (const courier of this.#couriers.values()) if (courier.account === account) courier.restart()
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing = true
    for (const timer of this.#timers) clearInterval(timer)
    await Promise.all([...this.#couriers.values()].map((courier) => courier[Symbol.asyncDispose]()))
    await this.#arrivals[Symbol.asyncDispose]()
    await this.#longReports[Symbol.asyncDispose]()
    // a full disk must not keep the rest from closing: at worst some running time is not counted
    await this.#runClock.save().catch((error: unknown) => this.#failed('run-clock', error))
  }

  /** What arrives inside a session and is not a message. */
  #handlers(): ConstructorParameters<typeof Inbound>[0]['handlers'] {
    return {
      received: (tx, pair, ids) => {
        for (const id of ids)
          this.#settle(tx, pair, id, (queued) => this.#settler.acknowledged(tx, queued, pair.peerDevice), true)
      },
      refused: (tx, pair, id, reason) =>
        this.#settle(tx, pair, id, (queued) => this.#settler.refused(tx, queued, pair.peerDevice, reason)),
      bundle: (tx, pair, bundle) => {
        this.#parts.keyring.learn(tx, pair.account, bundle, pair.peer)
        tx.afterCommit(() => this.#courier(pair.account, pair.peer).start())
      },
      confirmation: (tx, pair, step) => {
        if (!this.#isAccepted(pair)) return
        const copy = Uint8Array.from(step)
        tx.afterCommit(() => this.#parts.onConfirmation(pair.account, pair.peer, copy))
      },
      welcome: () => {},
    }
  }

  #settle(
    tx: WriteTx,
    pair: Pair,
    id: Parameters<Channel['inFlightAs']>[0],
    end: (queued: QueuedRef) => void,
    isTaken = false,
  ): void {
    const channel = this.#channel(pair)
    const queued = channel.inFlightAs(id)
    if (queued === undefined) return
    const { seq } = queued
    const ref =
      isTaken && this.#isOnlyCopy(queued) && this.#outbox.has(tx, queued)
        ? queued.ref
        : this.#outbox.get(tx, pair.account, pair.peer, seq)
    if (ref !== undefined) end({ seq, ref })
    tx.afterCommit(() => channel.settled(seq))
  }

  /**
   * One message to one device, of whose end nobody hears: what other devices said before they were revoked does not
   * matter, so what is in memory serves as well as what is stored.
   */
  #isOnlyCopy({ ref }: QueuedRef): boolean {
    return (
      !ref.notify.includes('success') &&
      ref.alone !== undefined &&
      ref.ackedBy.length === 0 &&
      ref.refusedBy.length === 0 &&
      this.#devicesOf(ref.account, ref.recipient).length === 1
    )
  }

  #queued(queued: QueuedRef): void {
    const { account, recipient } = queued.ref
    for (const device of this.#devicesOf(account, recipient))
      this.#channel(this.#pairOf(account, recipient, device)).offer(queued)
    this.#courier(account, recipient).start()
  }

  #ready(pair: Pair, link: Link): void {
    const channel = this.#channel(pair)
    channel.opened(link)
    this.#tell(channel)
  }

  /** A contact's device hears where we are and which prekeys it may use, on each new link; a stranger's does not. */
  #tell(channel: Channel): void {
    const { overlay, keyring } = this.#parts
    if (!this.#isAccepted(channel.pair)) return
    channel.say({
      kind: 'bundle',
      bundle: keyring.bundle(channel.pair.account, { gateway: overlay.self, locators: overlay.locators() }),
    })
  }

  #announce(): void {
    for (const channel of this.#channels.values()) if (channel.isOpen) this.#tell(channel)
    for (const courier of this.#couriers.values()) courier.nudge()
  }

  #lost(link: Link, pairs: readonly Pair[]): void {
    for (const pair of pairs) {
      const isLost = this.#channel(pair).lost(link)
      if (isLost && !this.#closing) this.#courier(pair.account, pair.peer).lost()
    }
    if (pairs.length === 0) this.#parts.ambient.log.debug('link.unused', { gateway: link.peer.slice(-8) })
  }

  #reachable(gateway: GatewayAddress): void {
    for (const account of this.#parts.keyring.accounts()) {
      for (const { identity, devices, invitation } of this.#parts.keyring.contacts(account)) {
        const isThere =
          invitation?.at.gateway === gateway.gateway || devices.some(({ where }) => where?.gateway === gateway.gateway)
        if (isThere) this.#courier(account, identity).nudge()
      }
    }
    this.#arrivals.nudge()
  }

  #newSession(pair: Pair): void {
    this.#hub.forget(pair)
    this.#channel(pair).closed()
    this.#courier(pair.account, pair.peer).start()
  }

  #rolledBack(pair: Pair, who: 'self-rolled-back' | 'peer-rolled-back'): void {
    this.#parts.ambient.log.warn(who === 'self-rolled-back' ? 'home.rolled-back' : 'peer.restored-copy', {
      device: pair.peerDevice.slice(0, 8),
    })
    // it is the peer's word alone: a stranger's does not count
    if (who === 'self-rolled-back' && this.#isAccepted(pair)) this.#parts.onRolledBack(pair.account)
  }

  #isAccepted({ account, peer }: Pair): boolean {
    const state = this.#parts.keyring.contact(account, peer)?.state
    return state === 'active' || state === 'pending'
  }

  async #minute(): Promise<void> {
    await this.#settler.sweep()
    this.#longReports.writeAll()
    await this.#tombstones.sweepSome()
    await this.#runClock.save()
  }

  #isInFlight({ account, recipient, message }: QueuedRef['ref']): boolean {
    return this.#devicesOf(account, recipient).some(
      (device) =>
        this.#channels.get(pairName(this.#pairOf(account, recipient, device)))?.inFlightAs(message) !== undefined,
    )
  }

  #devicesOf(account: Identity, contact: Identity): readonly DeviceId[] {
    return this.#parts.keyring.contact(account, contact)?.devices.map(({ device }) => device) ?? []
  }

  #pairOf(account: Identity, peer: Identity, peerDevice: DeviceId): Pair {
    return { account, device: this.#parts.directory.deviceOf(account), peer, peerDevice }
  }

  #channel(pair: Pair): Channel {
    const name = pairName(pair)
    const known = this.#channels.get(name)
    if (known !== undefined) return known
    const made = new Channel(pair, {
      ...this.#parts,
      book: this.#book,
      outbox: this.#outbox,
      mayMail: ({ account, peer }) => this.#parts.keyring.contact(account, peer)?.mayMail === true,
    })
    this.#channels.set(name, made)
    return made
  }

  #courier(account: Identity, contact: Identity): Courier {
    const name = account + contact
    const known = this.#couriers.get(name)
    if (known !== undefined) return known
    const made = new Courier(account, contact, {
      ...this.#parts,
      book: this.#book,
      hub: this.#hub,
      firstContact: this.#firstContact,
    })
    this.#couriers.set(name, made)
    return made
  }

  #every(ms: number, task: () => void): void {
    const timer = setInterval(task, ms)
    timer.unref()
    this.#timers.push(timer)
  }

  #guarded(task: string, work: Promise<void>): void {
    work.catch((error: unknown) => this.#failed(task, error))
  }

  #failed(task: string, error: unknown): void {
    if (hasCode(error, 'shutting-down')) return
    this.#parts.ambient.log.error('task.failed', {
      task,
      code: error instanceof MyceliumError ? error.code : 'unexpected',
    })
  }
}

function sizeOf(outgoing: OutgoingMessage | undefined): number {
  const part = outgoing && decodeMessage(outgoing.encoded).parts[0]
  if (part?.kind !== 'mail') return 0
  return part.content.kind === 'inline' ? part.content.bytes.length : part.content.size
}

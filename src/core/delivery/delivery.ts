/**
 * The delivery path as one part: what clients submit goes out, what contacts send comes in, whatever falls over in
 * between. Opens every piece in order and closes in reverse; the pieces know each other only through this file.
 */
import type { FileUse } from '../account/file-use.ts'
import type { Ambient } from '../ambient.ts'
import type { Conversations } from '../conversation/conversations.ts'
import type { GroupBook } from '../conversation/group-book.ts'
import { hasCode, MyceliumError } from '../errors.ts'
import type { DeviceId, Identity } from '../ids.ts'
import { limits } from '../limits.ts'
import { thumbnailOf } from '../message/thumbnail/thumbnails.ts'
import type { Mailboxes } from '../mailbox/mailbox.ts'
import { decodeMessage } from '../message/message.ts'
import type { Replication } from '../replica/replication.ts'
import type { Blobs } from '../store/blobs.ts'
import type { Store, WriteTx } from '../store/store.ts'
import { Arrivals } from './arrivals.ts'
import { BlobSource } from './blob-source.ts'
import { Answers } from './chat-mail/answers.ts'
import { ChatMail } from './chat-mail/chat-mail.ts'
import type { ChatGroups } from './chat-mail/groups.ts'
import { groupsInMail } from './chat-mail/groups-in-mail.ts'
import { ReadMarks } from './chat-mail/read-marks.ts'
import { StoredFiles } from './chat-mail/stored-files.ts'
import { ChatPost } from './chat-post.ts'
import { CallSignals } from './call-signals.ts'
import { Chats } from './chats.ts'
import type { CourierStatus } from './courier.ts'
import { type DeliveryCounts, newDeliveryCounts } from './counts.ts'
import { Deliverer } from './deliver.ts'
import { Fetches } from './fetches.ts'
import { type ArrivingFile, keptByRoot } from './file-rows.ts'
import { Files } from './files.ts'
import { FirstContact } from './first-contact.ts'
import { nextRelease } from './held.ts'
import { Inbound } from './inbound.ts'
import { itemHandlers } from './item-handlers.ts'
import { GroupInbox } from './groups/group-inbox.ts'
import { GroupPost } from './groups/group-post.ts'
import { GroupVault } from './groups/group-vault.ts'
import { Groups } from './groups/groups.ts'
import type { Item } from './items.ts'
import { LinkHub } from './link-hub.ts'
import { LongReports } from './long-reports.ts'
import type { Directory, Keyring, PeerDevice } from './needs.ts'
import { Outbox, type OutboxRef } from './outbox.ts'
import type { AskHandler, GatewayAddress, Overlay } from './ports.ts'
import { Receipts } from './receipts.ts'
import { RelayDesk, type RelaySettings } from './relay/desk.ts'
import { release, Releases } from './releases.ts'
import { deliveredHere, type Outcome, Reports } from './reports.ts'
import type { Requests } from './requests.ts'
import { RunClock } from './run-clock.ts'
import { SentCopies } from './sent-copies.ts'
import { type Pair, SessionBook } from './session-book.ts'
import { refusalTexts, Settler } from './settle.ts'
import { Profiles } from './profiles.ts'
import { Signals } from './signals.ts'
import { SharedWrite } from './shared-write.ts'
import type { Submitter } from './submission.ts'
import { submitter, type SubmitParts } from './submit.ts'
import { Switchboard } from './switchboard.ts'
import { Sync } from './sync.ts'
import { Tombstones } from './tombstones.ts'
import { type Waiting, WaitingList } from './waiting-list.ts'
import { Uploads } from './uploads.ts'

export interface DeliveryParts {
  readonly store: Store
  readonly blobs: Blobs
  readonly mailboxes: Mailboxes
  readonly overlay: Overlay
  readonly directory: Directory
  readonly keyring: Keyring
  readonly requests: Requests
  readonly conversations: Conversations
  readonly groupBook: GroupBook
  readonly fileUse: FileUse
  /** Groups as mail programs see them; the accounts' own where absent. */
  readonly groups?: ChatGroups | undefined
  /** What the devices of an account have in common. */
  readonly replication: Replication
  readonly ambient: Ambient
  /** A step of an online confirmation arrived inside a contact's session. */
  readonly onConfirmation: (account: Identity, contact: Identity, step: Uint8Array) => void
  /** What a new device asks that has a link of ours, or a gateway that pretends to be one. */
  readonly onDevice: AskHandler
  /** A peer has seen more of our frames than we know of: this home is an older copy of itself. */
  readonly onRolledBack: (account: Identity) => void
  readonly relaySettings?: RelaySettings
}

export interface Delivery extends AsyncDisposable {
  readonly submitter: Submitter
  readonly sentCopies: SentCopies
  readonly chats: Chats
  readonly groups: Groups
  readonly files: Files
  readonly uploads: Uploads
  readonly signals: Signals
  readonly callSignals: CallSignals
  readonly profiles: Profiles
  readonly counts: Readonly<DeliveryCounts>
  /** The relays through which accounts can be reached while this gateway is away; absent on a network without them. */
  readonly relays:
    | Pick<RelayDesk, 'inUse' | 'use' | 'drop' | 'queuesOf' | 'isQuiet' | 'invited' | 'locatorsThrough'>
    | undefined
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
  cancel(waiting: Pick<Waiting, 'seq' | 'ref' | 'heldUntilMs'>): Promise<boolean>
  /** A contact was added, changed or removed. */
  contactChanged(account: Identity, contact: Identity): void
  /** Compares with the account's other devices that are linked now; resolves when that is done. */
  compareNow(account: Identity): Promise<void>
  /** Is there a link over which this other device of an account is spoken to now? */
  isConnected(account: Identity, device: DeviceId): boolean
  /** An account's own log or other devices changed. */
  accountChanged(account: Identity): void
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
  readonly chats: Chats
  readonly groups: Groups
  readonly files: Files
  readonly uploads: Uploads
  readonly signals: Signals
  readonly callSignals: CallSignals
  readonly profiles: Profiles
  readonly #groupInbox: GroupInbox
  readonly #receipts: Receipts
  readonly counts = newDeliveryCounts()
  readonly #parts: DeliveryParts
  readonly #outbox = new Outbox()
  readonly #book: SessionBook
  readonly #hub: LinkHub
  readonly #settler: Settler
  readonly #waiting: WaitingList
  readonly #arrivals: Arrivals
  readonly #fetches: Fetches
  readonly #longReports: LongReports
  readonly #firstContact: FirstContact
  readonly #blobSource: BlobSource
  readonly #runClock: RunClock
  readonly #tombstones: Tombstones
  readonly #releases: Releases
  readonly #chatMail: ChatMail
  readonly #chatFiles: StoredFiles
  readonly #readMarks: ReadMarks
  readonly #switchboard: Switchboard
  readonly #sync: Sync
  readonly relays: RelayDesk | undefined
  readonly #timers: NodeJS.Timeout[] = []

  constructor(parts: DeliveryParts) {
    const { store, ambient, overlay, keyring, directory, mailboxes, requests } = parts
    const groups = parts.groups ?? groupsInMail({ ...parts, book: parts.groupBook, groups: () => this.groups })
    this.#parts = parts
    this.#book = new SessionBook(store, ambient)
    this.#runClock = new RunClock(store, ambient)
    this.#blobSource = new BlobSource({ ...parts, kept: keptByRoot })
    this.sentCopies = new SentCopies(parts)
    this.#switchboard = new Switchboard({
      ...parts,
      outbox: this.#outbox,
      book: this.#book,
      hub: () => this.#hub,
      firstContact: () => this.#firstContact,
      relays: () => this.relays,
      profileFor: (pair) => this.profiles.listFor(pair),
      newProfileFor: (pair) => this.profiles.newListFor(pair),
      onEnded: (pair) => {
        inbound.forget(pair)
        this.#sync.lost(pair)
      },
    })
    this.#tombstones = new Tombstones({ store, ambient, runClock: this.#runClock })
    const { copies } = parts.replication
    const deliverer = new Deliverer({ ...parts, copies, tombstones: this.#tombstones, counts: this.counts })
    this.#sync = new Sync({ ...parts, say: (pair, item) => this.#switchboard.channel(pair).say(item) })
    this.#longReports = new LongReports({ ...parts, deliverer })
    const reports = new Reports({ deliverer, directory, longReports: this.#longReports, ambient })
    this.#settler = new Settler({
      ...parts,
      outbox: this.#outbox,
      counts: this.counts,
      reports,
      blobSource: this.#blobSource,
      runClock: this.#runClock,
      hasAccount: (account) => directory.isOwn(account),
      devicesOf: (account, contact) => this.#switchboard.devicesOf(account, contact),
      isLeft: ({ seq, ref }) => this.#waiting.atRelays(seq, ref) !== undefined,
      onChatEnded: (tx, ref, outcome) => {
        this.chats.ended(tx, ref, outcome === 'delivered' ? 'delivered' : 'failed')
        if (outcome === 'delivered') return
        this.#reportOfChat(tx, ref, outcome, reports)
        this.#failedInGroup(tx, ref)
      },
    })
    this.#waiting = new WaitingList({
      store,
      outbox: this.#outbox,
      switchboard: this.#switchboard,
      settler: this.#settler,
      blobSource: this.#blobSource,
      relays: () => this.relays,
    })
    this.#chatMail = new ChatMail({
      ...parts,
      deliverer,
      groups,
      copies,
      onFileHere: (tx, account, id) => this.#chatFiles.add(tx, account, id),
      onRendered: (account) => this.#readMarks.watch(account),
    })
    this.#chatFiles = new StoredFiles({ ...parts, chatMail: this.#chatMail, log: ambient.log })
    const post = new ChatPost({
      ...parts,
      outbox: this.#outbox,
      runClock: this.#runClock,
      onQueued: (queued) => this.#switchboard.queued(queued),
    })
    this.chats = new Chats({
      ...parts,
      settled: (tx, ...arrived) => this.files.settled(tx, ...arrived),
      hasRoom: (tx, account, arriving) => this.#chatMail.hasRoom(tx, account, arriving),
      outbox: this.#outbox,
      post,
      say: (account, contact, item) => this.#switchboard.say(account, contact, item),
      sayTo: (pair, item) => this.#switchboard.channel(pair).say(item),
      onRead: (account, conversation) => this.#receipts.read(account, conversation),
      takeOfGroup: (tx, ...statement) => this.#groupInbox.take(tx, ...statement),
    })
    const devicesOf = keyring.devicesInLog.bind(keyring)
    const vault = new GroupVault({ book: parts.groupBook, ambient, devicesOf })
    const groupPost = new GroupPost({
      post,
      directory,
      takeHere: (tx, account, from, group, payload) => void this.#groupInbox.take(tx, account, from, group, payload),
    })
    const grouped = { ...parts, book: parts.groupBook, vault, post, groupPost, devicesOf }
    this.groups = new Groups({
      ...grouped,
      here: () => ({ gateway: overlay.self, locators: overlay.locators() }),
    })
    this.#groupInbox = new GroupInbox({
      ...grouped,
      groups: this.groups,
      hasRoomFor: (tx, account, bytes) => this.#chatMail.hasRoomFor(tx, account, bytes),
    })
    this.#receipts = new Receipts({ ...parts, chats: this.chats, groups: this.groups })
    this.signals = new Signals({
      ...parts,
      membersOf: (account, conversation) => this.groups.others(account, conversation),
      whisper: (account, contact, item) => this.#switchboard.whisper(account, contact, item),
    })
    this.callSignals = new CallSignals({
      ...parts,
      whisper: (account, contact, item, device) => this.#switchboard.whisper(account, contact, item, device),
    })
    this.profiles = new Profiles({
      ...parts,
      sayIfOpen: (account, contact, item) => this.#switchboard.sayIfOpen(account, contact, item),
      sayTo: (pair, item) => this.#switchboard.channel(pair).say(item),
    })
    this.#readMarks = new ReadMarks({
      ...parts,
      log: ambient.log,
      markRead: async (...read) => await this.chats.markRead(...read),
    })
    this.#fetches = new Fetches({ ...parts, askHere: this.#blobSource.answer })
    this.files = new Files({
      ...parts,
      blobSource: this.#blobSource,
      fetches: this.#fetches,
      runClock: this.#runClock,
      thumbnailOf,
      sourcesOf: (file) => this.#holdersOf(file),
      dayBytesMax: (account, author) => this.#fileBytesInDay(account, author),
      onHere: ({ account, author, device, message }) => {
        if (!directory.isOwn(author))
          this.#switchboard
            .channel(this.#switchboard.pairOf(account, author, device))
            .say({ kind: 'received', ids: [message] })
      },
    })
    this.uploads = new Uploads(parts)
    this.#arrivals = new Arrivals({
      ...parts,
      deliverer,
      fetches: this.#fetches,
      runClock: this.#runClock,
      deviceOf: (account, author, device) => {
        const devices = keyring.contact(account, author)?.devices ?? []
        return devices.find((one) => one.device === device) ?? devices[0]
      },
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
        this.#switchboard.channel(this.#switchboard.pairOf(mail.account, mail.author, device)).say(item)
      },
    })
    const inbound = new Inbound({
      store,
      ambient,
      deliverer,
      book: this.#book,
      arrivals: this.#arrivals,
      chats: this.chats,
      handlers: itemHandlers({
        ...parts,
        chats: this.chats,
        signals: this.signals,
        callSignals: this.callSignals,
        profiles: this.profiles,
        outbox: this.#outbox,
        settler: this.#settler,
        switchboard: this.#switchboard,
        onQueues: (tx, pair, queues) => this.relays?.given(tx, pair, queues),
        onSync: (tx, pair, message) => this.#sync.heard(tx, pair, message),
        onHeard: (tx, pair) => this.relays?.heard(tx, pair),
      }),
      mayMeet: (pair) => keyring.mayMeet(pair),
      onSession: (pair) => this.#switchboard.newSession(pair),
      dayBytesMax: ({ account, peer }) =>
        keyring.contact(account, peer)?.state === 'request' ? limits.strangerDayBytesMax : limits.contactDayBytesMax,
      strangerMay: (tx, { account, peer }, size) => requests.takes(tx, account, peer, size),
    })
    this.#hub = new LinkHub({
      store,
      overlay,
      ambient,
      inbound,
      book: this.#book,
      mayMeet: (pair) => keyring.mayMeet(pair),
      onReady: (pair, link) => {
        this.#switchboard.ready(pair, link)
        if (pair.peer === pair.account) this.#sync.ready(pair)
      },
      onClosed: (link, pairs) => {
        // another link may have taken its place before it was over
        for (const pair of pairs)
          if (pair.peer === pair.account && this.#hub.readyLinkOf(pair) === undefined) this.#sync.lost(pair)
        this.#switchboard.lost(link, pairs)
      },
      onSpent: (pair) => this.#switchboard.courier(pair.account, pair.peer).lost(),
      onRollback: (pair, who) => this.#rolledBack(pair, who),
    })
    this.#firstContact = new FirstContact({
      store,
      keyring,
      overlay,
      ambient,
      book: this.#book,
      onSession: (pair) => this.#switchboard.newSession(pair),
      onReplaced: (tx, pair) => this.relays?.restarted(tx, pair),
      isFamiliar: (gateway) => this.#switchboard.isFamiliar(gateway),
      waiting: (account) => requests.count(account),
      isTooSoon: (account, stranger) => this.#sync.isTooSoon(account, stranger),
      counts: this.counts,
    })
    this.relays =
      overlay.relays === undefined
        ? undefined
        : new RelayDesk({
            ...parts,
            relays: overlay.relays,
            settings: parts.relaySettings ?? { relays: [], isHidden: false },
            sessions: this.#book,
            outbox: this.#outbox,
            blobSource: this.#blobSource,
            inbound,
            takeChunk: async (account, chunk) => {
              const { isSettled, isWhole } = await this.#fetches.takeChunk(account, chunk)
              if (isWhole) this.#nudge()
              return isSettled
            },
            self: overlay.self,
            locators: () => overlay.locators(),
            firstContact: () => this.#firstContact,
            isConnected: (gateway) =>
              overlay.peers().some((peer) => peer.gateway === gateway && peer.state === 'connected'),
            readyLink: (pair) => this.#hub.readyLinkOf(pair),
            say: (pair, item) => this.#switchboard.channel(pair).say(item),
            onFresh: (pair) => this.#switchboard.heardOf(pair),
            onRelayBack: () => this.#switchboard.minute(),
            onOutletFailed: (pair) => this.#switchboard.channel(pair).closed(),
          })
    const submitting: SubmitParts = {
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
      answers: new Answers({ ...parts, groups, files: this.files }),
      chats: this.chats,
      groups,
      onSaidAsMail: (arriving, messageId) => this.#chatMail.cameAsMail(arriving, messageId),
      onQueued: (queued) => this.#switchboard.queued(queued),
      onHeld: () => this.#releases.nudge(),
    }
    this.submitter = submitter(submitting)
    this.#releases = new Releases({ store, ambient, release: (held) => release(submitting, held) })
  }

  start(): void {
    this.#parts.overlay.serve({
      onLink: (link) => this.#hub.attach(link),
      onReachable: (gateway) => {
        this.#switchboard.reachable(gateway)
        this.relays?.reachable(gateway.gateway)
        this.#nudge()
      },
      isFamiliar: (gateway) => this.#firstContact.isFamiliar(gateway),
      onLocatorsChanged: () => this.#switchboard.announce(),
      answer: {
        bundle: this.#firstContact.answerBundle,
        handshake: this.#firstContact.answerHandshake,
        blob: async (request, context) =>
          (await this.#blobSource.answer(request)) ?? (await this.#sync.answer(request, context)),
        device: this.#parts.onDevice,
      },
    })
    this.#arrivals.start()
    this.files.start()
    for (const account of this.#parts.keyring.accounts()) this.#readMarks.watch(account)
    this.#longReports.writeAll()
    this.#chatFiles.wake()
    this.#every(limits.resendTickMs, () => this.#switchboard.tick())
    this.#every(60_000, () => this.#guarded('sweep', this.#minute()))
    this.#every(3600_000, () => {
      this.#book.refreshTags()
      this.#guarded('sessions', this.#switchboard.sweep())
      this.#guarded('handshakes', this.#firstContact.sweep())
    })
    this.#switchboard.start()
    this.relays?.start()
    this.#releases.nudge()
  }

  waiting(account?: Identity): readonly Waiting[] {
    return this.#waiting.list(account)
  }

  backlog(): number {
    return this.#switchboard.backlog()
  }

  queued(): number {
    return this.#waiting.count()
  }

  isIdle(): boolean {
    return this.#parts.store.read((tx) => this.#outbox.isEmpty(tx) && nextRelease(tx) === undefined)
  }

  retry(account?: Identity, contact?: Identity): void {
    this.#switchboard.retry(account, contact)
    this.#nudge()
  }

  cancel(waiting: Parameters<Delivery['cancel']>[0]): Promise<boolean> {
    return this.#waiting.cancel(waiting)
  }

  contactChanged(account: Identity, contact: Identity): void {
    this.#guarded('sessions', this.#switchboard.contactChanged(account, contact))
    this.profiles.contactChanged(account, contact)
    this.relays?.wake()
  }

  compareNow(account: Identity): Promise<void> {
    return this.#sync.compareNow(account)
  }

  isConnected(account: Identity, device: DeviceId): boolean {
    return this.#hub.readyLinkOf(this.#switchboard.pairOf(account, account, device)) !== undefined
  }

  accountChanged(account: Identity): void {
    this.#guarded('sessions', this.#switchboard.accountChanged(account))
    this.relays?.wake()
  }

  courierOf(account: Identity, contact: Identity): CourierStatus | undefined {
    return this.#switchboard.courierOf(account, contact)
  }

  say(account: Identity, contact: Identity, item: Item): void {
    this.#switchboard.say(account, contact, item)
  }

  retireSessions(tx: WriteTx, account: Identity): void {
    for (const pair of this.#book.pairs()) {
      if (pair.account !== account) continue
      this.#book.remove(tx, pair)
      this.relays?.forget(tx, pair)
    }
    tx.afterCommit(() => this.#switchboard.restart(account))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const timer of this.#timers) clearInterval(timer)
    await this.#readMarks[Symbol.asyncDispose]()
    await this.#chatFiles[Symbol.asyncDispose]()
    this.chats[Symbol.dispose]()
    this.#groupInbox[Symbol.dispose]()
    this.#receipts[Symbol.dispose]()
    this.signals[Symbol.dispose]()
    this.profiles[Symbol.dispose]()
    await this.relays?.[Symbol.asyncDispose]()
    await this.#releases[Symbol.asyncDispose]()
    await this.#sync[Symbol.asyncDispose]()
    await this.#switchboard[Symbol.asyncDispose]()
    await this.#arrivals[Symbol.asyncDispose]()
    await this.files[Symbol.asyncDispose]()
    this.uploads[Symbol.dispose]()
    await this.#longReports[Symbol.asyncDispose]()
    // a full disk must not keep the rest from closing: at worst some running time is not counted
    await this.#runClock.save().catch((error: unknown) => this.#failed('run-clock', error))
  }

  /** Who has only mail programs hears of a chat that nobody took as of a mail. */
  #reportOfChat(tx: WriteTx, ref: OutboxRef, outcome: Outcome, reports: Reports): void {
    const bytes = this.#chatMail.returned(tx, ref.account, ref.message)
    if (bytes === undefined) return
    const about = { ...ref, notify: ['failure'], envelopeId: undefined, mail: { kind: 'inline', bytes } } as const
    reports.report(
      tx,
      { ...about, returned: bytes.length > limits.messageInlineBytesMax ? 'headers' : 'full' },
      outcome,
    )
  }

  #rolledBack(pair: Pair, who: 'self-rolled-back' | 'peer-rolled-back'): void {
    this.#parts.ambient.log.warn(who === 'self-rolled-back' ? 'home.rolled-back' : 'peer.restored-copy', {
      device: pair.peerDevice.slice(0, 8),
    })
    // it is the peer's word alone: a stranger's does not count
    if (who === 'self-rolled-back' && this.#switchboard.isAccepted(pair)) this.#parts.onRolledBack(pair.account)
  }

  /** Who may hold a file: the author's device, their other ones, and those who have the same message. */
  #holdersOf({ account, author, device, conversation }: ArrivingFile): readonly GatewayAddress[] {
    const { directory, keyring, overlay } = this.#parts
    const here = { gateway: overlay.self, locators: [] }
    const devicesOf = (who: Identity): readonly PeerDevice[] => keyring.contact(account, who)?.devices ?? []
    const others = this.groups.others(account, conversation).filter((who) => who !== author)
    const away = [
      ...devicesOf(author).toSorted((a, b) => Number(b.device === device) - Number(a.device === device)),
      ...[account, ...others].flatMap(devicesOf),
    ].flatMap(({ where }) => where ?? [])
    const isHere = [author, ...others].some((who) => who !== account && directory.isOwn(who))
    const all = isHere ? [here, ...away] : away
    return all.filter(({ gateway }, at) => all.findIndex((one) => one.gateway === gateway) === at)
  }

  #fileBytesInDay(account: Identity, author: Identity): number {
    if (this.#parts.directory.isOwn(author)) return Infinity
    const state = this.#parts.keyring.contact(account, author)?.state
    return state === 'active' || state === 'fellow' ? limits.contactDayFileBytesMax : 0
  }

  /** What is on its way here may be had now. */
  #nudge(): void {
    this.#arrivals.nudge()
    this.files.nudge()
  }

  #failedInGroup(tx: WriteTx, ref: OutboxRef): void {
    const outgoing = this.#outbox.message(tx, ref)
    const part = outgoing && decodeMessage(outgoing.encoded).parts[0]
    if (part?.kind === 'group') this.groups.failed(tx, ref.account, ref.recipient, part.payload)
  }

  async #minute(): Promise<void> {
    this.#switchboard.minute()
    await this.relays?.tick()
    await this.#settler.sweep()
    await this.chats.minute()
    await this.#groupInbox.minute()
    this.#longReports.writeAll()
    await this.#tombstones.sweepSome()
    await this.#runClock.save()
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

/**
 * Who is reached how: one channel for each pair of devices and one courier for each contact, made when they are first
 * needed, and what links, contacts and sessions that come and go mean for them.
 */
import type { Ambient } from '../ambient.ts'
import type { DeviceId, GatewayId, Identity } from '../ids.ts'
import { limits } from '../limits.ts'
import type { Store } from '../store/store.ts'
import { Channel } from './channel.ts'
import { Courier, type CourierStatus } from './courier.ts'
import type { FirstContact } from './first-contact.ts'
import type { Item } from './items.ts'
import type { LinkHub } from './link-hub.ts'
import type { Directory, Keyring } from './needs.ts'
import type { Outbox, QueuedRef } from './outbox.ts'
import { LinkOutlet } from './outlet.ts'
import type { GatewayAddress, Link, Overlay } from './ports.ts'
import type { RelayDesk } from './relay/desk.ts'
import { type Pair, pairName, type SessionBook } from './session-book.ts'

interface SwitchboardParts {
  readonly store: Store
  readonly outbox: Outbox
  readonly book: SessionBook
  readonly overlay: Overlay
  readonly directory: Directory
  readonly keyring: Keyring
  readonly ambient: Ambient
  /** They tell the switchboard what happens and are made after it. */
  readonly hub: () => LinkHub
  readonly firstContact: () => FirstContact
  /** Absent on a network without relays. */
  readonly relays: () => RelayDesk | undefined
  /** What the account shows that contact of itself. */
  readonly profileFor: (pair: Pair) => Item | undefined
  /** The same, where it is something else than it was told before. */
  readonly newProfileFor: (pair: Pair) => Item | undefined
  /** A pair's sessions are over for good. */
  readonly onEnded: (pair: Pair) => void
}

export class Switchboard implements AsyncDisposable {
  readonly #parts: SwitchboardParts
  readonly #channels = new Map<string, Channel>()
  readonly #couriers = new Map<string, Courier>()
  /** When a pair was last tried because of what lay at a relay, monotonic. */
  readonly #heardOfMs = new Map<string, number>()
  /** Gateways of contacts who were accepted; found anew after a change. */
  #familiar: Set<GatewayId> | undefined
  #closing = false

  constructor(parts: SwitchboardParts) {
    this.#parts = parts
  }

  /** Begins to reach every contact there is. */
  start(): void {
    for (const account of this.#parts.keyring.accounts()) {
      for (const { identity } of this.#parts.keyring.contacts(account)) this.courier(account, identity).start()
    }
  }

  /** Twice a second. */
  tick(): void {
    for (const channel of this.#channels.values()) channel.tick()
  }

  /** Once a minute: whoever cannot be reached is left mail at relays, again after a while if nobody answers. */
  minute(): void {
    for (const channel of this.#channels.values()) {
      const { pair, way } = channel
      const state = this.courierOf(pair.account, pair.peer)?.state
      // of a contact who is connected with one device, others may be away
      const isAway = way === undefined && (state === 'waiting' || state === 'connected')
      if (isAway || (way === 'relay' && this.#parts.relays()?.isOverdue(pair) === true)) this.unreached(pair)
    }
  }

  /** This device cannot be reached now: its frames go to relays, if it named some. */
  unreached(pair: Pair): void {
    const channel = this.channel(pair)
    const relays = this.#parts.relays()
    if (this.#closing || channel.way === 'link') return
    if (!this.#parts.book.has(pair)) return void relays?.offer(pair)
    if (relays === undefined || (channel.way === 'relay' && !relays.isOverdue(pair))) return
    void this.#openRelayed(channel, relays)
  }

  async #openRelayed(channel: Channel, relays: RelayDesk): Promise<void> {
    const outlet = await relays.outletFor(channel.pair)
    if (outlet === undefined || this.#closing || channel.way === 'link') return
    // two that moved while they were apart find each other by this alone; it goes with the first that is left
    const locators = this.#parts.overlay.locators()
    if (!relays.hasTold(channel.pair, locators)) {
      relays.tells(channel.pair, locators)
      this.#tell(channel)
    }
    const profile = this.#parts.newProfileFor(channel.pair)
    if (profile !== undefined) channel.say(profile)
    channel.opened(outlet)
  }

  /** What lay at a relay is fresh: its sender may be there. */
  heardOf(pair: Pair): void {
    const nowMs = this.#parts.ambient.clock.monotonicMs()
    const name = pairName(pair)
    if (nowMs - (this.#heardOfMs.get(name) ?? -Infinity) < limits.relayFreshMs) return
    this.#heardOfMs.set(name, nowMs)
    if (this.channel(pair).way !== 'link') this.courier(pair.account, pair.peer).nudge()
  }

  /** References in memory on their way. */
  backlog(): number {
    let references = 0
    for (const channel of this.#channels.values()) references += channel.backlog
    return references
  }

  isInFlight({ account, recipient, message }: QueuedRef['ref']): boolean {
    return this.devicesOf(account, recipient).some(
      (device) =>
        this.#channels.get(pairName(this.pairOf(account, recipient, device)))?.inFlightAs(message) !== undefined,
    )
  }

  /** Tries a contact now, or everybody. */
  retry(account?: Identity, contact?: Identity): void {
    for (const courier of this.#couriers.values()) {
      const isMeant =
        (account === undefined || courier.account === account) && (contact === undefined || courier.contact === contact)
      if (isMeant) courier.nudge()
    }
  }

  /** Of one account: its sessions are gone, and every attempt begins anew. */
  restart(account: Identity): void {
    for (const courier of this.#couriers.values()) if (courier.account === account) courier.restart()
  }

  /** Resolves when sessions that a change of this contact ended are gone from the store too. */
  contactChanged(account: Identity, contact: Identity): Promise<void> {
    this.#familiar = undefined
    const ended = this.#endSessions((pair) => pair.account === account && pair.peer === contact)
    if (this.#parts.keyring.contact(account, contact) === undefined) {
      this.#forget(account, contact)
      return ended
    }
    for (const channel of this.#channels.values())
      if (channel.pair.account === account && channel.pair.peer === contact) channel.pump()
    this.courier(account, contact).nudge()
    return ended
  }

  /**
   * An account's own log changed: a device that was revoked is spoken to no more, and everybody who is connected hears of
   * it. Resolves as `contactChanged` does.
   */
  accountChanged(account: Identity): Promise<void> {
    this.#familiar = undefined
    const ended = this.#endSessions((pair) => pair.account === account)
    for (const channel of this.#channels.values())
      if (channel.pair.account === account && channel.way !== undefined) this.#tell(channel)
    if (this.#parts.keyring.contact(account, account) === undefined) this.#forget(account, account)
    else this.courier(account, account).nudge()
    return ended
  }

  /** Once an hour: sessions whose end a crash kept from the store. */
  sweep(): Promise<void> {
    return this.#endSessions(() => true)
  }

  /** Does a contact who was accepted live there, or one who is still to be met? */
  isFamiliar(gateway: GatewayId): boolean {
    this.#familiar ??= this.#familiarGateways()
    return this.#familiar.has(gateway)
  }

  #familiarGateways(): Set<GatewayId> {
    const { keyring } = this.#parts
    const contacts = keyring.accounts().flatMap((account) => keyring.contacts(account))
    const accepted = contacts.filter(({ state }) => state === 'active' || state === 'pending')
    return new Set(
      accepted.flatMap(({ devices, invitation }) => [
        ...devices.flatMap(({ where }) => where?.gateway ?? []),
        ...(invitation === undefined ? [] : [invitation.at.gateway]),
      ]),
    )
  }

  /** Nothing is kept of a contact that is gone. */
  #forget(account: Identity, contact: Identity): void {
    void this.#couriers.get(account + contact)?.[Symbol.asyncDispose]()
    this.#couriers.delete(account + contact)
    for (const [name, { pair }] of this.#channels)
      if (pair.account === account && pair.peer === contact) this.#channels.delete(name)
  }

  /** Sessions with a device that was revoked, or of a contact that was removed, end here and on every link. */
  async #endSessions(isMeant: (pair: Pair) => boolean): Promise<void> {
    const isOver = (pair: Pair): boolean => isMeant(pair) && !this.#parts.keyring.mayMeet(pair)
    const over = [...this.#parts.book.pairs()].filter(isOver)
    if (over.length === 0) return
    for (const pair of over) {
      this.#parts.hub().forget(pair)
      this.channel(pair).closed()
      this.#parts.onEnded(pair)
    }
    await this.#parts.store.write((tx) => {
      for (const pair of over) {
        if (!isOver(pair)) continue
        this.#parts.book.remove(tx, pair)
        this.#parts.relays()?.forget(tx, pair)
      }
    })
  }

  courierOf(account: Identity, contact: Identity): CourierStatus | undefined {
    return this.#couriers.get(account + contact)?.status
  }

  /** Sends an item to every device of a contact, once connected. */
  say(account: Identity, contact: Identity, item: Item): void {
    for (const device of this.devicesOf(account, contact)) this.channel(this.pairOf(account, contact, device)).say(item)
    this.courier(account, contact).start()
  }

  /**
   * The same to those that are connected, and now or not at all.
   * @param only one of them
   * @returns how many that were
   */
  whisper(account: Identity, contact: Identity, item: Item, only?: DeviceId): number {
    const connected = this.devicesOf(account, contact).flatMap((device) => {
      const channel = this.#channels.get(pairName(this.pairOf(account, contact, device)))
      return channel?.way === 'link' && (only === undefined || device === only) ? [channel] : []
    })
    for (const channel of connected) channel.say(item)
    return connected.length
  }

  /** The same to those to whom there is a way now, be it by relays. */
  sayIfOpen(account: Identity, contact: Identity, item: Item): void {
    for (const device of this.devicesOf(account, contact)) {
      const channel = this.#channels.get(pairName(this.pairOf(account, contact, device)))
      if (channel?.way !== undefined) channel.say(item)
    }
  }

  /** A reference was committed just now. */
  queued(queued: QueuedRef): void {
    const { account, recipient } = queued.ref
    for (const device of this.devicesOf(account, recipient))
      this.channel(this.pairOf(account, recipient, device)).offer(queued)
    this.courier(account, recipient).start()
  }

  /** Frames of this pair may flow over this link. */
  ready(pair: Pair, link: Link): void {
    const channel = this.channel(pair)
    channel.opened(new LinkOutlet(link))
    this.#tell(channel)
  }

  /**
   * A contact's device hears where we are and which prekeys it may use, on each new link, and once at its relays where it
   * may not have heard it; a stranger's does not.
   */
  #tell(channel: Channel): void {
    const { overlay, keyring } = this.#parts
    if (this.#parts.keyring.contact(channel.pair.account, channel.pair.peer)?.state === 'request') return
    channel.say({
      kind: 'bundle',
      bundle: keyring.bundle(channel.pair.account, { gateway: overlay.self, locators: overlay.locators() }),
    })
    const queues = this.#parts.relays()?.queuesFor(channel.pair)
    if (queues !== undefined) channel.say(queues)
    const profile = this.#parts.profileFor(channel.pair)
    if (profile !== undefined) channel.say(profile)
  }

  /** Our locators changed. */
  announce(): void {
    for (const channel of this.#channels.values()) if (channel.way !== undefined) this.#tell(channel)
    for (const courier of this.#couriers.values()) courier.nudge()
  }

  /** A link over which these pairs spoke is over. */
  lost(link: Link, pairs: readonly Pair[]): void {
    for (const pair of pairs) {
      const isLost = this.channel(pair).lost(link)
      if (isLost && !this.#closing) this.courier(pair.account, pair.peer).lost()
    }
    if (pairs.length === 0) this.#parts.ambient.log.debug('link.unused', { gateway: link.peer.slice(-8) })
  }

  /** A gateway was seen: whoever lives there is tried now. */
  reachable(gateway: GatewayAddress): void {
    for (const account of this.#parts.keyring.accounts()) {
      for (const { identity, devices, invitation } of this.#parts.keyring.contacts(account)) {
        const isThere =
          invitation?.at.gateway === gateway.gateway || devices.some(({ where }) => where?.gateway === gateway.gateway)
        if (isThere) this.courier(account, identity).nudge()
      }
    }
  }

  /** Another session has taken the place of the one before. */
  newSession(pair: Pair): void {
    this.#parts.hub().forget(pair)
    this.channel(pair).closed()
    this.courier(pair.account, pair.peer).start()
  }

  /** A contact, and no stranger who asks to become one. */
  isAccepted({ account, peer }: Pair): boolean {
    const state = this.#parts.keyring.contact(account, peer)?.state
    return state === 'active' || state === 'pending'
  }

  /**
   * Devices of a contact that are to get a copy. One that has been silent for 30 days while another one was not is left
   * out: it catches up from that one.
   */
  devicesOf(account: Identity, contact: Identity): readonly DeviceId[] {
    const devices = this.#parts.keyring.contact(account, contact)?.devices ?? []
    const since = this.#parts.ambient.clock.nowMs() - limits.deviceSilentMs
    const awake = devices.filter(({ statedAtMs }) => statedAtMs === undefined || statedAtMs >= since)
    return (awake.length > 0 ? awake : devices).map(({ device }) => device)
  }

  pairOf(account: Identity, peer: Identity, peerDevice: DeviceId): Pair {
    return { account, device: this.#parts.directory.deviceOf(account), peer, peerDevice }
  }

  channel(pair: Pair): Channel {
    const name = pairName(pair)
    const known = this.#channels.get(name)
    if (known !== undefined) return known
    const made = new Channel(pair, {
      ...this.#parts,
      book: this.#parts.book,
      outbox: this.#parts.outbox,
      mayMail: ({ account, peer }) => this.#parts.keyring.contact(account, peer)?.mayMail === true,
    })
    this.#channels.set(name, made)
    return made
  }

  courier(account: Identity, contact: Identity): Courier {
    const name = account + contact
    const known = this.#couriers.get(name)
    if (known !== undefined) return known
    const made = new Courier(account, contact, {
      ...this.#parts,
      book: this.#parts.book,
      hub: this.#parts.hub(),
      firstContact: this.#parts.firstContact(),
      onUnreached: (pair) => this.unreached(pair),
      onUnmet: (unmet) => void this.#parts.relays()?.introduce(account, unmet),
    })
    this.#couriers.set(name, made)
    return made
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing = true
    await Promise.all([...this.#couriers.values()].map((courier) => courier[Symbol.asyncDispose]()))
  }
}

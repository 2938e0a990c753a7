/** Accounts, contacts and invitations as the delivery path asks of them (needs.ts). */
import type { Accounts } from '../account/accounts.ts'
import { type Contact, isChosen } from '../account/contact.ts'
import { readContact } from '../account/contact-rows.ts'
import type { Contacts } from '../account/contacts.ts'
import type { Invitations } from '../account/invitations.ts'
import type { Sibling } from '../account/siblings.ts'
import type { Ambient } from '../ambient.ts'
import { equalConstantTime } from '../bytes.ts'
import { MyceliumError, unreachable } from '../errors.ts'
import type { Address, DeviceId, Identity } from '../ids.ts'
import { activeDevices, isActive, type LogState } from '../identity/account-log.ts'
import { encodeBundle, verifyBundle } from '../identity/bundle.ts'
import { readLocators } from '../identity/locators.ts'
import { entryHash, type SignedEntry } from '../identity/log-entry.ts'
import { readPrekey } from '../identity/prekeys.ts'
import type { ReversePath } from '../message/part.ts'
import type { ReadTx, WriteTx } from '../store/store.ts'
import type {
  Directory,
  Introduced,
  Keyring,
  OwnDevice,
  PairOfDevices,
  PeerContact,
  Route,
  SenderStanding,
} from './needs.ts'
import { PeerClocks } from './peer-clocks.ts'
import type { GatewayAddress } from './ports.ts'
import type { Requests } from './requests.ts'

interface PeopleParts {
  readonly accounts: Accounts
  readonly contacts: Contacts
  readonly invitations: Invitations
  readonly requests: Requests
  readonly ambient: Ambient
}

export class People implements Directory, Keyring {
  readonly clocks = new PeerClocks()
  readonly #accounts: Accounts
  readonly #contacts: Contacts
  readonly #invitations: Invitations
  readonly #requests: Requests
  readonly #ambient: Ambient

  constructor({ accounts, contacts, invitations, requests, ambient }: PeopleParts) {
    this.#accounts = accounts
    this.#contacts = contacts
    this.#invitations = invitations
    this.#requests = requests
    this.#ambient = ambient
  }

  ownsAddress(account: Identity, address: Address): boolean {
    return this.#accounts.ownsAddress(account, address)
  }

  isOwn(account: Identity): boolean {
    return this.#accounts.has(account)
  }

  primaryAddress(account: Identity): Address {
    return this.#accounts.get(account).address
  }

  addressOf(account: Identity, contact: Identity): Address {
    if (this.#accounts.has(contact)) return this.#accounts.get(contact).address
    const known = this.#contacts.byIdentity(account, contact)?.addresses[0]?.address
    return known ?? (`${contact.slice(0, 16)}@identity.invalid` as Address)
  }

  nameOf(account: Identity, identity: Identity): string | undefined {
    if (this.#accounts.has(identity)) {
      const { displayName, localName } = this.#accounts.get(identity)
      return displayName === '' ? localName : displayName
    }
    const contact = this.#contacts.byIdentity(account, identity)
    return contact === undefined || contact.displayName === '' ? undefined : contact.displayName
  }

  deviceOf(account: Identity): DeviceId {
    return this.#accounts.deviceSecrets(account).id
  }

  /** Accounts of this gateway need no invitation to write to each other. */
  route(account: Identity, address: Address): Route {
    const local = this.#accounts.byUser(address)
    if (local !== undefined && !local.disabled) return { kind: 'local', account: local.identity }
    const found = this.#contacts.resolve(account, address)
    switch (found.kind) {
      case 'self':
        return { kind: 'local', account }
      case 'contact':
        return this.#isChosen(account, found.identity)
          ? { kind: 'contact', contact: found.identity }
          : { kind: 'refused', code: 'no-such-recipient' }
      case 'unknown':
        return { kind: 'refused', code: 'no-such-recipient' }
      case 'conflict':
        return { kind: 'refused', code: 'identity-conflict' }
      case 'key-changed':
        return { kind: 'refused', code: 'key-changed' }
      case 'blocked':
        return { kind: 'refused', code: 'blocked' }
      default:
        return unreachable(found)
    }
  }

  #isChosen(account: Identity, identity: Identity): boolean {
    const contact = this.#contacts.byIdentity(account, identity)
    return contact !== undefined && isChosen(contact)
  }

  standing(_tx: ReadTx, account: Identity, author: Identity, from: ReversePath): SenderStanding {
    if (this.#accounts.has(author))
      return from !== '' && this.#accounts.ownsAddress(author, from)
        ? { kind: 'bound', tier: 'local' }
        : { kind: 'false' }
    const contact = this.#contacts.byIdentity(account, author)
    if (contact === undefined || contact.blocked) return { kind: 'blocked' }
    if (from === '' || this.#accounts.byUser(from) !== undefined) return { kind: 'false' }
    const claim = contact.addresses.find(({ address }) => address === from)
    if (!isChosen(contact)) return claim === undefined ? { kind: 'false' } : { kind: 'request' }
    // an address that several claim and nobody vouches for proves nothing about its sender
    if (claim === undefined || claim.conflicting) return { kind: 'false' }
    // what stood behind the address stood behind the key before
    return { kind: 'bound', tier: contact.keyChanged ? 'claimed' : claim.tier }
  }

  accounts(): readonly Identity[] {
    return this.#accounts
      .list()
      .filter(({ disabled }) => !disabled)
      .map(({ identity }) => identity)
  }

  own(account: Identity): OwnDevice {
    const { device, state } = this.#accounts.get(account)
    return {
      party: { identity: account, device: device.id, deviceDh: device.dh, logHead: state.head },
      signing: device.signing,
    }
  }

  hasHadHead(account: Identity, head: Uint8Array): boolean {
    return isAmong(this.#accounts.entries(account), head)
  }

  accountOfDevice(device: DeviceId): Identity | undefined {
    return this.accounts().find((account) => this.deviceOf(account) === device)
  }

  prekey(account: Identity, id: number): { readonly dh: Uint8Array; readonly kem: Uint8Array } | undefined {
    const secret = this.#accounts.prekeySecret(account, id)
    return secret === undefined ? undefined : { dh: secret.dh.secretKey, kem: secret.kem.seed }
  }

  prekeyUsed(tx: WriteTx, account: Identity, id: number): void {
    this.#accounts.prekeyUsed(tx, account, id)
  }

  introduction(account: Identity, here: GatewayAddress): Uint8Array {
    return this.#accounts.introduction(account, here)
  }

  bundle(account: Identity, here: GatewayAddress): Uint8Array {
    return this.#accounts.bundle(account, here)
  }

  contacts(account: Identity): readonly PeerContact[] {
    if (this.#isRevoked(account)) return []
    const own = this.#ownDevices(account)
    return [...(own === undefined ? [] : [own]), ...this.#contacts.list(account).map(peerOf)]
  }

  contact(account: Identity, identity: Identity): PeerContact | undefined {
    if (this.#isRevoked(account)) return undefined
    if (identity === account) return this.#ownDevices(account)
    const contact = this.#contacts.byIdentity(account, identity)
    return contact === undefined ? undefined : peerOf(contact)
  }

  /** The account's other devices, as the contact that they are to this one. */
  #ownDevices(account: Identity): PeerContact | undefined {
    if (!this.#accounts.has(account)) return undefined
    const siblings = this.#accounts.siblings(account)
    return siblings.length === 0 ? undefined : ownDevicesOf(this.#accounts.get(account).state, siblings)
  }

  #isRevoked(account: Identity): boolean {
    if (!this.#accounts.has(account)) return false
    const { state, device } = this.#accounts.get(account)
    return !isActive(state, device.id)
  }

  mayMeet({ account, device, peer, peerDevice }: PairOfDevices): boolean {
    if (!this.#accounts.has(account)) return false
    const { disabled, device: own, state } = this.#accounts.get(account)
    // a device that was revoked speaks to nobody, and nobody to it
    if (disabled || own.id !== device || !isActive(state, device)) return false
    if (peer === account) return peerDevice !== device && isActive(state, peerDevice)
    const contact = this.#contacts.byIdentity(account, peer)
    // a contact who is blocked is told so with each mail; a stranger is told nothing
    if (contact === undefined || (contact.blocked && contact.state === 'request')) return false
    return contact.devices.some(({ id }) => id === peerDevice)
  }

  learn(tx: WriteTx, account: Identity, bundle: Uint8Array, from: Identity): void {
    const nowMs = this.#ambient.clock.nowMs()
    const verified = verifyBundle(bundle, from, nowMs)
    const { issuedAtMs } = verified
    if (from === account) {
      this.#accounts.learnSiblings(tx, account, { encoded: bundle, verified })
      if (issuedAtMs !== undefined) tx.afterCommit(() => this.clocks.saw(from, issuedAtMs, nowMs))
      return
    }
    const { contact, keyChanged, fork } = this.#contacts.using(tx).learn(account, verified)
    if (issuedAtMs !== undefined && contact.state !== 'request')
      tx.afterCommit(() => this.clocks.saw(from, issuedAtMs, nowMs))
    if (keyChanged || fork !== undefined)
      this.#ambient.log.warn('contact.key-changed', { contact: from.slice(0, 8), fork: fork !== undefined })
  }

  learnFellow(tx: WriteTx, account: Identity, bundle: Uint8Array): Identity | undefined {
    const verified = verifyBundle(bundle, undefined, this.#ambient.clock.nowMs())
    const { identity } = verified
    if (identity === account || this.#accounts.has(identity)) return undefined
    const writer = this.#contacts.using(tx)
    const { contact } = writer.learn(account, verified, { stateIfNew: 'fellow' })
    if (contact.state === 'request') writer.fellow(account, identity)
    return identity
  }

  devicesInLog(tx: ReadTx, account: Identity, identity: Identity): ReadonlySet<DeviceId> {
    if (this.#accounts.has(identity)) return devicesOfLog(this.#accounts.get(identity).state)
    // whoever is new may have come in this very transaction
    const log = this.#contacts.byIdentity(account, identity)?.log ?? readContact(tx, account, identity)?.log
    return log === undefined ? new Set() : devicesOfLog(log)
  }

  bundleOf(account: Identity, identity: Identity, here: GatewayAddress): Uint8Array | undefined {
    if (this.#accounts.has(identity)) return this.#accounts.introduction(identity, here)
    const contact = this.#contacts.record(account, identity)
    if (contact === undefined || contact.entries.length === 0) return undefined
    const devices = contact.devices.map((records) => ({ ...records, prekeys: records.prekeys.slice(0, 2) }))
    return encodeBundle({ entries: contact.entries, devices, names: [] })
  }

  meet(tx: WriteTx, account: Identity, who: Introduced): PeerContact {
    if (who.claimed === account) return this.#meetOwn(tx, account, who)
    const { introduction, claimed, capability, source, flight } = who
    const known = this.#contacts.byIdentity(account, claimed)
    if (known?.blocked === true) throw new MyceliumError('blocked')
    const invited = capability !== undefined && this.#redeems(tx, account, capability, claimed)
    if (known === undefined && !invited) this.#requests.makeRoom(tx, account, source)
    const bundle = verifyBundle(introduction, claimed, this.#ambient.clock.nowMs(), known?.entries)
    const writer = this.#contacts.using(tx)
    const { contact } = writer.learn(account, bundle, { stateIfNew: invited ? 'active' : 'request' })
    if (contact.state === 'request' && !invited) this.#requests.cameBy(tx, account, claimed, { source, flight })
    const met = peerOf(invited && contact.state === 'request' ? writer.accept(account, claimed) : contact)
    return { ...met, logHead: bundle.state.head }
  }

  /** Another device of this very account: one that the log has, as it is with what the device shows of it. */
  #meetOwn(tx: WriteTx, account: Identity, { introduction, seenLogHead }: Introduced): PeerContact {
    const known = this.#accounts.entries(account)
    const verified = verifyBundle(introduction, account, this.#ambient.clock.nowMs(), known)
    const learnt = this.#accounts.learnSiblings(tx, account, { encoded: introduction, verified })
    if (seenLogHead === undefined || !isAmong(learnt.entries, seenLogHead))
      throw new MyceliumError('handshake-refused', { reason: 'head' })
    return { ...ownDevicesOf(learnt.state, learnt.siblings), logHead: verified.state.head }
  }

  #redeems(tx: WriteTx, account: Identity, capability: Uint8Array, by: Identity): boolean {
    const redemption = this.#invitations.redeem(tx, capability, by)
    return redemption.kind === 'redeemed' && redemption.account === account
  }

  invitationDone(tx: WriteTx, account: Identity, identity: Identity): void {
    if (this.#contacts.byIdentity(account, identity)?.invitation !== undefined)
      this.#contacts.using(tx).invitationTaken(account, identity)
  }

  capabilityOpens(account: Identity, capability: Uint8Array): boolean {
    return this.#invitations.opens(account, capability)
  }
}

const logDevices = new WeakMap<LogState, ReadonlySet<DeviceId>>()

function devicesOfLog(log: LogState): ReadonlySet<DeviceId> {
  const known = logDevices.get(log)
  if (known !== undefined) return known
  const made = new Set(log.devices.keys())
  logDevices.set(log, made)
  return made
}

/** Contacts are replaced, never changed: what was made of one holds for as long as it does. */
const peers = new WeakMap<Contact, PeerContact>()

function peerOf(contact: Contact): PeerContact {
  const known = peers.get(contact)
  if (known !== undefined) return known
  const { identity, invitation, log } = contact
  const made: PeerContact = {
    identity,
    state: contact.blocked ? 'blocked' : contact.state,
    mayMail: contact.state !== 'request' && !contact.blocked && !contact.keyChanged,
    logHead: log?.head,
    devices: contact.devices.map(({ id, dhPublic, prekeys, locators }) => ({
      device: id,
      dhPublic,
      prekeys,
      where: locators,
      statedAtMs: locators?.issuedAtMs,
    })),
    invitation: invitation === undefined ? undefined : { capability: invitation.capability, at: invitation },
  }
  peers.set(contact, made)
  return made
}

const isAmong = (entries: readonly SignedEntry[], head: Uint8Array): boolean =>
  entries.some((entry) => equalConstantTime(entryHash(entry), head))

function ownDevicesOf(state: LogState, siblings: readonly Sibling[]): PeerContact {
  const devices = activeDevices(state).flatMap(({ id, dhPublic }) => {
    const sibling = siblings.find(({ device }) => device === id)
    if (sibling === undefined) return []
    const { prekeys = [], locators } = sibling.records ?? {}
    const where = locators === undefined ? undefined : readLocators(locators)
    return [{ device: id, dhPublic, prekeys: prekeys.map(readPrekey), where, statedAtMs: where?.issuedAtMs }]
  })
  return {
    identity: state.identity,
    state: 'active',
    mayMail: false, // mail to oneself needs no network
    logHead: state.head,
    devices,
    invitation: undefined,
  }
}

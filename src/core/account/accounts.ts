/**
 * The accounts of this gateway: created, found, changed and removed over the store, held in memory for the hot paths.
 * Every change of an account's log goes through here and is verified before it is kept.
 */
import { equalConstantTime, fromUtf8, wipe } from '../bytes.ts'
import type { Ambient } from '../ambient.ts'
import type { SigningKey } from '../crypto/sign.ts'
import { MyceliumError } from '../errors.ts'
import { type Address, type DeviceId, type Identity, short } from '../ids.ts'
import { limits } from '../limits.ts'
import {
  activeDevices,
  extendLog,
  isActive,
  type LogState,
  mayRevoke,
  nextEntry,
  verifyLog,
} from '../identity/account-log.ts'
import type { VerifiedBundle } from '../identity/bundle.ts'
import {
  decodeDeviceSecrets,
  type DeviceDescription,
  type DeviceSecrets,
  encodeDeviceSecrets,
  makeDevice,
} from '../identity/device.ts'
import type { SignedLocatorRecord } from '../identity/locators.ts'
import type { EntryContent, SignedEntry, Signer } from '../identity/log-entry.ts'
import { entropyBytes, parseWords, rootKeyOf, wordsOf } from '../identity/mnemonic.ts'
import { zoneDomain, zoneKeyOf } from '../identity/names.ts'
import type { PrekeyId, PrekeySecret } from '../identity/prekeys.ts'
import { domainOf, localPartOf, parseAddress } from '../message/address.ts'
import type { ReadTx, Store, WriteTx } from '../store/store.ts'
import { tables } from '../store/tables.ts'
import { localNameFrom, parseLocalName } from './local-name.ts'
import { firstEntries, mayReplaceDevice, mergeOwnLog, replacingEntries } from './own-log.ts'
import { type AccountRecord, decodeAccount, encodeAccount, type OwnAccount, ownAccount } from './own-account.ts'
import { OwnBundles, type Whereabouts } from './own-bundle.ts'
import { OwnPrekeys } from './own-prekeys.ts'
import { confirmRecovery, recoveryWords, type WordAt } from './recovery.ts'
import { learnSiblings, nameSibling, readSiblings, type Sibling } from './siblings.ts'
import { openZone } from './zone.ts'

export interface NewAccountRequest {
  /** Left out: made from the address, or from `me`. */
  readonly localName?: string | undefined
  readonly displayName?: string | undefined
  /** Left out: `<localName>@<own zone>.myc`. */
  readonly address?: string | undefined
  /** Holds the words sealed until somebody confirms them: for when they cannot be shown now. */
  readonly keepWords?: boolean | undefined
}

export interface CreatedAccount {
  readonly identity: Identity
  readonly localName: string
  readonly address: Address
  readonly fingerprint: string
  /** 24 words, for this once: nothing else keeps them unless `keepWords` was asked for. */
  readonly mnemonic: string
}

/** Reads the gateway's accounts and its zone key, which is made at the first opening. @throws `store-corrupt` */
export async function openAccounts(store: Store, ambient: Ambient): Promise<Accounts> {
  const zone = await openZone(store, ambient.random)
  const accounts = new Accounts(store, ambient, zone)
  await accounts.rotatePrekeys(ambient.clock.nowMs())
  return accounts
}

const idBytes = (identity: Identity): Uint8Array => Buffer.from(identity, 'hex')
const nameKey = (tx: ReadTx, name: string): Uint8Array => tx.opaque(fromUtf8(name))
const accountKey = (tx: ReadTx, identity: Identity): Uint8Array => tx.opaque(idBytes(identity))
/** Tables whose keys begin with opaque(account): what goes when an account goes. */
const ownTables = [
  tables.accounts,
  tables.deviceSecrets,
  tables.prekeySecrets,
  tables.contacts,
  tables.contactAddresses,
  tables.requests,
  tables.requestNotices,
  tables.appPasswords,
  tables.recovery,
  tables.quotas,
  tables.siblings,
  tables.copies,
  tables.folders,
  tables.replicas,
  tables.sharedContacts,
  tables.xmppKept,
  tables.matrixDevices,
  tables.matrixStream,
  tables.matrixTimeline,
  tables.matrixEvents,
  tables.matrixState,
  tables.matrixRooms,
  tables.matrixReactions,
  tables.matrixProgress,
  tables.matrixKept,
  tables.matrixSaid,
  tables.matrixRelations,
  tables.matrixThreads,
  tables.matrixTimes,
  tables.matrixNotices,
  tables.matrixToDevice,
  tables.componentSaid,
]

/** An account that lives on other devices already, as one of them handed it over. */
export interface JoinedAccount {
  readonly localName: string
  readonly displayName: string
  readonly entries: readonly SignedEntry[]
  readonly device: DeviceSecrets
}

export class Accounts {
  readonly #store: Store
  readonly #ambient: Ambient
  readonly #zone: SigningKey
  readonly #prekeys: OwnPrekeys
  readonly #bundles: OwnBundles
  readonly #byIdentity = new Map<Identity, OwnAccount>()
  /** localName and every address. */
  readonly #byName = new Map<string, Identity>()
  readonly #watchers = new Set<(identity: Identity) => void>()
  readonly #siblings = new Map<Identity, readonly Sibling[]>()

  constructor(store: Store, ambient: Ambient, zone: SigningKey) {
    this.#store = store
    this.#ambient = ambient
    this.#zone = zone
    this.#prekeys = new OwnPrekeys(store, ambient)
    this.#bundles = new OwnBundles(zone)
    for (const account of store.read(readAccounts)) this.#remember(account)
  }

  /** The domain that this gateway's own key speaks for: `<52 characters>.myc`. */
  get zoneDomain(): string {
    return zoneDomain(this.#zone.publicKey)
  }

  /** In order of creation. */
  list(): readonly OwnAccount[] {
    return [...this.#byIdentity.values()].toSorted((a, b) => a.createdAtMs - b.createdAtMs)
  }
  /** @throws `no-such-account` */
  get(identity: Identity): OwnAccount {
    const account = this.#byIdentity.get(identity)
    if (account === undefined) throw new MyceliumError('no-such-account')
    return account
  }
  has(identity: Identity): boolean {
    return this.#byIdentity.has(identity)
  }
  /** By localName or any address, as a person may type it. */
  byUser(user: string): OwnAccount | undefined {
    const identity = this.#byName.get(user.toLowerCase()) ?? this.#byName.get(parseAddress(user) ?? '')
    return identity && this.#byIdentity.get(identity)
  }
  addresses(identity: Identity): readonly Address[] {
    return this.get(identity).addresses
  }
  ownsAddress(identity: Identity, address: Address): boolean {
    return this.#byName.get(address) === identity
  }
  /** @throws `no-such-account` */
  deviceSecrets(identity: Identity): DeviceSecrets {
    return this.get(identity).device
  }
  entries(identity: Identity): readonly SignedEntry[] {
    return this.get(identity).entries
  }

  /** @throws `address-taken`, `invalid-address`, `too-large` (accounts on this gateway) */
  async create(request: NewAccountRequest): Promise<CreatedAccount> {
    const { localName, address } = this.#names(request)
    const { random, clock } = this.#ambient
    const nowMs = clock.nowMs()
    const entropy = random.bytes(entropyBytes)
    const mnemonic = wordsOf(entropy)
    const device = makeDevice(random)
    const entries = firstEntries(entropy, device, address, this.#byIdentity.size === 0 ? this.#zone : undefined, nowMs)
    const account = ownAccount(
      {
        identity: verifyLog(entries).identity,
        localName,
        displayName: request.displayName ?? localName,
        createdAtMs: nowMs,
        disabled: false,
        recoveryConfirmed: false,
        entries,
      },
      device,
    )
    await this.#store.write((tx) => {
      for (const name of new Set([localName, address])) {
        if (tx.has(tables.accountNames, nameKey(tx, name))) throw new MyceliumError('address-taken')
        tx.put(tables.accountNames, nameKey(tx, name), idBytes(account.identity))
      }
      const key = accountKey(tx, account.identity)
      tx.put(tables.deviceSecrets, key, encodeDeviceSecrets(device))
      if (request.keepWords === true) tx.put(tables.recovery, key, entropy)
      this.#put(tx, account)
    })
    wipe(entropy)
    await this.#prekeys.rotate(account.identity, device, nowMs)
    const { identity, fingerprint } = account
    return { identity, localName, address, fingerprint, mnemonic }
  }

  #names({ localName, address }: NewAccountRequest): { localName: string; address: Address } {
    if (this.#byIdentity.size >= limits.accountsMax)
      throw new MyceliumError('too-large', { accounts: limits.accountsMax })
    const given = address === undefined ? undefined : this.#ownableAddress(address)
    const name = parseLocalName(localName ?? localNameFrom(given === undefined ? 'me' : localPartOf(given)))
    if (name === undefined) throw new MyceliumError('invalid-address', { reason: 'local-name' })
    return { localName: name, address: given ?? (`${name}@${this.zoneDomain}` as Address) }
  }

  /** Somebody else's self-certifying domain can never be ours. */
  #ownableAddress(text: string): Address {
    const address = parseAddress(text)
    if (address === undefined) throw new MyceliumError('invalid-address')
    const domain = domainOf(address)
    if (zoneKeyOf(domain) !== undefined && domain !== this.zoneDomain) {
      throw new MyceliumError('invalid-address', { reason: 'zone' })
    }
    return address
  }

  /** One more address, which the log names from now on. @throws `address-taken`, `invalid-address`, `no-such-account` */
  async addAddress(identity: Identity, text: string): Promise<void> {
    const address = this.#ownableAddress(text)
    await this.#append(identity, { kind: 'name-address', address, present: true }, (tx) => {
      if (tx.has(tables.accountNames, nameKey(tx, address))) throw new MyceliumError('address-taken')
      tx.put(tables.accountNames, nameKey(tx, address), idBytes(identity))
    })
  }

  /** @throws `invalid-address` for the last one, or one that is not the account's */
  async removeAddress(identity: Identity, address: Address): Promise<void> {
    const { addresses } = this.get(identity)
    if (!addresses.includes(address) || addresses.length === 1) throw new MyceliumError('invalid-address')
    await this.#append(identity, { kind: 'name-address', address, present: false }, (tx) => {
      tx.remove(tables.accountNames, nameKey(tx, address))
    })
  }

  /** A log entry signed by this gateway's device, or as told, kept with `also` in one transaction. */
  async #append(
    identity: Identity,
    content: EntryContent,
    also: (tx: WriteTx) => void,
    by?: { readonly signer: Signer; readonly key: SigningKey },
  ): Promise<void> {
    await this.#change(identity, (account, tx) => {
      const { signer, key } = by ?? {
        signer: { kind: 'device', device: account.device.id } as const,
        key: account.device.signing,
      }
      const entry = nextEntry(account.state, signer, key, content, this.#ambient.clock.nowMs())
      extendLog(account.state, entry)
      also(tx)
      return { ...account, entries: [...account.entries, entry] }
    })
  }

  /**
   * Goes on as a new device, vouched for and then revoked by the old one: this home turned out to be an older copy of
   * itself, whose keys were used further than it knows. `also` joins the transaction. Each time takes room in the log
   * for good, and the reason is somebody's word: once a day, and never into the last quarter.
   * @throws `no-such-account`, `throttled`
   */
  async replaceDevice(
    identity: Identity,
    also: (tx: WriteTx) => void,
    { isCertain = false }: { readonly isCertain?: boolean } = {},
  ): Promise<void> {
    const fresh = makeDevice(this.#ambient.random)
    await this.#store.write((tx) => {
      const account = readAccount(tx, identity)
      if (account === undefined) throw new MyceliumError('no-such-account')
      const nowMs = this.#ambient.clock.nowMs()
      if (!mayReplaceDevice(account, nowMs, isCertain)) throw new MyceliumError('throttled')
      const entries = [...account.entries, ...replacingEntries(account, fresh, nowMs)]
      tx.put(tables.deviceSecrets, accountKey(tx, identity), encodeDeviceSecrets(fresh))
      this.#prekeys.replace(tx, identity, fresh, nowMs)
      this.#put(tx, ownAccount({ ...account, entries }, fresh))
      also(tx)
    })
  }

  // Several devices

  /** The other active devices of an account; none on a device that was revoked itself. */
  siblings(identity: Identity): readonly Sibling[] {
    const { state, device } = this.get(identity)
    if (!isActive(state, device.id)) return []
    const others = activeDevices(state).filter(({ id }) => id !== device.id)
    if (others.length === 0) return []
    const known = this.#namedDevices(identity)
    return others.map(
      ({ id }) => known.find((one) => one.device === id) ?? { device: id, name: '', records: undefined, names: [] },
    )
  }
  /** What its owner calls a device of the account; empty where nobody has said. */
  deviceName(identity: Identity, device: DeviceId): string {
    return this.#namedDevices(identity).find((one) => one.device === device)?.name ?? ''
  }

  #namedDevices(identity: Identity): readonly Sibling[] {
    const known = this.#siblings.get(identity)
    if (known !== undefined) return known
    const read = this.#store.read((tx) => readSiblings(tx, identity))
    this.#siblings.set(identity, read)
    return read
  }

  /** @throws `no-such-device` */
  async nameDevice(identity: Identity, device: DeviceId, name: string): Promise<void> {
    if (!this.get(identity).state.devices.has(device)) throw new MyceliumError('no-such-device')
    await this.#store.write((tx) => {
      nameSibling(tx, identity, device, name)
      this.#siblingsChanged(tx, identity)
    })
  }

  /**
   * Vouches for a device that agreed to join. `also` joins the transaction. The same device again changes nothing.
   * @throws `malformed` (no grant, or too many devices), `signature-invalid`
   */
  async addDevice(identity: Identity, device: DeviceDescription, name: string): Promise<void> {
    if (isActive(this.get(identity).state, device.id)) return
    await this.#append(identity, { kind: 'add-device', device }, (tx) => {
      nameSibling(tx, identity, device.id, name)
      this.#siblingsChanged(tx, identity)
    })
  }

  /**
   * Cuts a device off from everything that comes after. @param words for one that is older than this one, or where this
   * one may not: the root key overrides
   * @throws `no-such-device`, `not-permitted`, `words-wrong`, `invalid-mnemonic`
   */
  async revokeDevice(identity: Identity, device: DeviceId, words?: string): Promise<void> {
    const { state, device: own } = this.get(identity)
    if (!isActive(state, device)) throw new MyceliumError('no-such-device')
    const content = { kind: 'revoke-device', device } as const
    if (words === undefined) {
      if (!mayRevoke(state, own.id, device)) throw new MyceliumError('device-not-permitted')
      await this.#append(identity, content, () => {})
      return
    }
    const root = rootKeyOf(parseWords(words), state.generation)
    try {
      if (!equalConstantTime(root.publicKey, state.rootKey)) throw new MyceliumError('words-wrong')
      await this.#append(identity, content, () => {}, { signer: { kind: 'root' }, key: root })
    } finally {
      wipe(root.secretKey)
    }
  }

  /**
   * Takes an account on that lives on other devices. @param also joins the transaction
   * @throws `address-taken`, `too-large`; what the log's verification throws
   */
  async adopt(joined: JoinedAccount, also: (tx: WriteTx, account: OwnAccount) => void): Promise<OwnAccount> {
    if (this.#byIdentity.size >= limits.accountsMax)
      throw new MyceliumError('too-large', { accounts: limits.accountsMax })
    const { identity } = verifyLog(joined.entries)
    const nowMs = this.#ambient.clock.nowMs()
    const localName = this.#freeLocalName(joined.localName)
    const account = ownAccount(
      { ...joined, identity, localName, createdAtMs: nowMs, disabled: false, recoveryConfirmed: true },
      joined.device,
    )
    await this.#store.write((tx) => {
      for (const name of [localName, ...account.addresses]) {
        if (tx.has(tables.accountNames, nameKey(tx, name))) throw new MyceliumError('address-taken')
        tx.put(tables.accountNames, nameKey(tx, name), idBytes(identity))
      }
      tx.put(tables.deviceSecrets, accountKey(tx, identity), encodeDeviceSecrets(joined.device))
      this.#prekeys.replace(tx, identity, joined.device, nowMs)
      this.#put(tx, account)
      also(tx, account)
    })
    return account
  }

  #freeLocalName(wanted: string): string {
    const name = parseLocalName(wanted) ?? localNameFrom(wanted)
    for (let number = 1; number <= limits.accountsMax; number += 1) {
      const candidate = number === 1 ? name : `${name.slice(0, 58)}-${number}`
      if (!this.#byName.has(candidate)) return candidate
    }
    throw new MyceliumError('address-taken')
  }

  /**
   * What a bundle of another device of this account proves: entries of the log that are new here, and records. Where
   * both sides added entries while they were apart, the rule of log-merge.ts decides, and this device issues again what
   * it lost by that. @returns the log and the devices as they are after this transaction
   */
  learnSiblings(
    tx: WriteTx,
    identity: Identity,
    bundle: { readonly encoded: Uint8Array; readonly verified: VerifiedBundle },
  ): { readonly state: LogState; readonly entries: readonly SignedEntry[]; readonly siblings: readonly Sibling[] } {
    const account = readAccount(tx, identity)
    if (account === undefined) throw new MyceliumError('no-such-account')
    const nowMs = this.#ambient.clock.nowMs()
    const { entries, fork } = mergeOwnLog(account, bundle.verified.entries, nowMs)
    if (fork !== undefined) this.#ambient.log.warn('account.forked', { account: short(identity) })
    const merged = entries === account.entries ? account : ownAccount({ ...account, entries }, account.device)
    if (merged !== account) this.#takeOver(tx, account, merged)
    learnSiblings(tx, identity, bundle, { state: merged.state, own: account.device.id, nowMs })
    this.#siblingsChanged(tx, identity)
    return { state: merged.state, entries, siblings: readSiblings(tx, identity) }
  }

  #takeOver(tx: WriteTx, before: OwnAccount, after: OwnAccount): void {
    for (const name of after.addresses)
      if (!tx.has(tables.accountNames, nameKey(tx, name)))
        tx.put(tables.accountNames, nameKey(tx, name), idBytes(after.identity))
    for (const name of before.addresses)
      if (!after.addresses.includes(name) && this.ownsAddress(after.identity, name))
        tx.remove(tables.accountNames, nameKey(tx, name))
    this.#put(tx, after)
  }

  #siblingsChanged(tx: WriteTx, identity: Identity): void {
    tx.afterCommit(() => this.#siblings.delete(identity))
  }

  async setDisplayName(identity: Identity, displayName: string): Promise<void> {
    await this.#change(identity, (account) => ({ ...account, displayName }))
  }
  /** A disabled account cannot log in, and neither sends nor receives; nothing is removed. */
  async setDisabled(identity: Identity, disabled: boolean): Promise<void> {
    await this.#change(identity, (account) => ({ ...account, disabled }))
  }

  /** Are the words still kept here, because nobody has confirmed them? */
  keepsWords(identity: Identity): boolean {
    return this.#store.read((tx) => tx.has(tables.recovery, accountKey(tx, identity)))
  }
  /** The words, while nobody has confirmed them. @throws `words-confirmed`, also when they were never kept */
  recoveryWords(identity: Identity): string {
    return recoveryWords(this.#store, this.get(identity).identity)
  }
  /**
   * Some of the words by position when they are kept, else all 24: right ones end the reminders and are forgotten.
   * @throws `words-wrong`, `words-confirmed`
   */
  async confirmRecovery(identity: Identity, words: readonly WordAt[]): Promise<void> {
    await this.#change(identity, (account, tx) => {
      if (account.recoveryConfirmed) throw new MyceliumError('words-confirmed')
      confirmRecovery(tx, account.state, words)
      return { ...account, recoveryConfirmed: true }
    })
  }

  /** Removes the account with its keys, contacts and passwords; its mail is the mailboxes' affair. @throws `no-such-account` */
  async remove(identity: Identity): Promise<void> {
    const { localName, addresses } = this.get(identity)
    await this.#store.write((tx) => {
      for (const name of [localName, ...addresses]) tx.remove(tables.accountNames, nameKey(tx, name))
      for (const table of ownTables) {
        const keys = Array.from(tx.keys(table, { prefix: accountKey(tx, identity) }))
        for (const key of keys) tx.remove(table, key)
      }
      tx.afterCommit(() => {
        this.#forget(identity)
        this.#prekeys.forget(identity)
        this.#siblings.delete(identity)
      })
    })
  }

  /** Makes coming weeks' prekeys and forgets old ones, of every account. Daily. */
  async rotatePrekeys(nowMs: number): Promise<void> {
    for (const { identity, device } of this.#byIdentity.values()) await this.#prekeys.rotate(identity, device, nowMs)
  }
  prekeySecret(identity: Identity, id: PrekeyId): PrekeySecret | undefined {
    return this.#prekeys.secret(identity, id)
  }
  /** Notes a handshake's use in its own transaction: 35 days are counted from it. */
  prekeyUsed(tx: WriteTx, identity: Identity, id: PrekeyId): void {
    this.#prekeys.used(tx, identity, id, this.#ambient.clock.nowMs())
  }

  /** What a first contact fetches: see identity/bundle.ts. */
  bundle(identity: Identity, at: Whereabouts): Uint8Array {
    const nowMs = this.#ambient.clock.nowMs()
    const own = { prekeys: this.#prekeys.published(identity, nowMs), siblings: this.siblings(identity) }
    return this.#bundles.bundle(this.get(identity), own, at, nowMs)
  }
  /** At most `limits.introductionWrittenBytesMax`, for a handshake's first flight. */
  introduction(identity: Identity, at: Whereabouts): Uint8Array {
    const nowMs = this.#ambient.clock.nowMs()
    const own = { prekeys: this.#prekeys.published(identity, nowMs), siblings: this.siblings(identity) }
    return this.#bundles.introduction(this.get(identity), own, at, nowMs)
  }
  /** The signed locator record alone, to tell contacts of a change. */
  locators(identity: Identity, at: Whereabouts): SignedLocatorRecord {
    return this.#bundles.locators(this.get(identity), at, this.#ambient.clock.nowMs())
  }

  /** Called after each committed change of an account; returns how to stop. */
  watch(listener: (identity: Identity) => void): () => void {
    this.#watchers.add(listener)
    return () => void this.#watchers.delete(listener)
  }

  /** Reads the account inside the transaction, changes, verifies, keeps. */
  async #change(identity: Identity, change: (account: OwnAccount, tx: WriteTx) => AccountRecord): Promise<void> {
    await this.#store.write((tx) => {
      const account = readAccount(tx, identity)
      if (account === undefined) throw new MyceliumError('no-such-account')
      this.#put(tx, ownAccount(change(account, tx), account.device))
    })
  }

  #put(tx: WriteTx, account: OwnAccount): void {
    tx.put(tables.accounts, accountKey(tx, account.identity), encodeAccount(account))
    tx.afterCommit(() => {
      this.#forget(account.identity)
      this.#remember(account)
      for (const listener of this.#watchers) listener(account.identity)
    })
  }

  #remember(account: OwnAccount): void {
    this.#byIdentity.set(account.identity, account)
    for (const name of [account.localName, ...account.addresses]) this.#byName.set(name, account.identity)
  }
  #forget(identity: Identity): void {
    const account = this.#byIdentity.get(identity)
    if (account === undefined) return
    for (const name of [account.localName, ...account.addresses]) this.#byName.delete(name)
    this.#byIdentity.delete(identity)
  }
}

function readAccount(tx: ReadTx, identity: Identity): OwnAccount | undefined {
  const key = accountKey(tx, identity)
  const [value, secrets] = [tx.get(tables.accounts, key), tx.get(tables.deviceSecrets, key)]
  if (value === undefined) return undefined
  if (secrets === undefined) throw new MyceliumError('store-corrupt', { table: 'device-secrets' })
  return ownAccount(decodeAccount(value), decodeDeviceSecrets(secrets))
}

function readAccounts(tx: ReadTx): readonly OwnAccount[] {
  return [...tx.range(tables.accounts, {})].flatMap(({ value }) => readAccount(tx, decodeAccount(value).identity) ?? [])
}

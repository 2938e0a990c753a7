/** Every change of a contact, inside the caller's transaction. The rules of binding are identity/trust.ts's. */
import { equalConstantTime } from '../bytes.ts'
import { encode } from '../codec.ts'
import type { Ambient } from '../ambient.ts'
import { MyceliumError } from '../errors.ts'
import { type Address, type DeviceId, type Identity, short } from '../ids.ts'
import { limits } from '../limits.ts'
import { isActive, type LogState, verifyLog } from '../identity/account-log.ts'
import type { VerifiedBundle } from '../identity/bundle.ts'
import { fingerprintOf, sameDigits } from '../identity/fingerprint.ts'
import type { Invitation } from '../identity/invitation.ts'
import {
  isFromFuture,
  readLocators,
  type SignedLocatorRecord,
  supersedes,
  verifyLocators,
} from '../identity/locators.ts'
import { type ForkProof, mergeLogs } from '../identity/log-merge.ts'
import { zoneKeyOf } from '../identity/names.ts'
import { addClaim, type Claim, dropClaim, isStronger, strongerOf, type Tier } from '../identity/trust.ts'
import { domainOf, localPartOf, parseAddress } from '../message/address.ts'
import type { WriteTx } from '../store/store.ts'
import { tables } from '../store/tables.ts'
import {
  addressClaimsCodec,
  type Contact,
  type ContactRecord,
  decodeContact,
  encodeContact,
  isChosen,
} from './contact.ts'
import { claimsKey, contactKey, readClaims, readContact } from './contact-rows.ts'
import { mergeDevices, mergeKnownLog, mergeRecordLists } from './learned.ts'

/** What contacts ask of accounts. */
export interface OwnAddresses {
  ownsAddress(account: Identity, address: Address): boolean
}

/** What a committed change makes stale: contacts that share an address included. */
export interface Touched {
  readonly account: Identity
  readonly contact: Identity
  readonly identities: readonly Identity[]
  readonly addresses: readonly Address[]
}

export interface LearnOptions {
  /** What vouches for the addresses beside the zone's signatures in the bundle; `claimed` when nothing does. */
  readonly tier?: Exclude<Tier, 'verified'> | undefined
  /** What a contact becomes that was unknown; `request` by default. A known one keeps its state, `pending` ends. */
  readonly stateIfNew?: 'active' | 'request' | 'fellow' | undefined
}

export interface LearnReport {
  readonly contact: Contact
  readonly isNew: boolean
  /** Active now and not before. */
  readonly newDevices: readonly DeviceId[]
  /** Active before and not now. */
  readonly revokedDevices: readonly DeviceId[]
  /** The root key is no longer the accepted one. */
  readonly keyChanged: boolean
  /** Raised once, when the proof is first seen. */
  readonly fork: ForkProof | undefined
  /** Addresses that it claims against somebody else. */
  readonly conflicts: readonly Address[]
}

/** `name@<zone key>.myc`: nobody but that key says whose it is, however well the person who claims it is known. */
const certifiesItself = (address: Address): boolean => zoneKeyOf(domainOf(address)) !== undefined

const isSame = (head: Uint8Array | undefined, other: Uint8Array): boolean =>
  head !== undefined && equalConstantTime(head, other)

export class ContactWriter {
  readonly #tx: WriteTx
  readonly #ambient: Ambient
  readonly #own: OwnAddresses
  readonly #touched: (touched: Touched) => void

  constructor(tx: WriteTx, ambient: Ambient, own: OwnAddresses, touched: (touched: Touched) => void) {
    this.#tx = tx
    this.#ambient = ambient
    this.#own = own
    this.#touched = touched
  }

  /**
   * The contact of an accepted invitation: pending until first contact, unless it is known already. A person chose it,
   * so its address asks to be pinned, a request becomes active and a block ends.
   * @throws `invitation-expired`, `invitation-invalid` (`reason` address or self)
   */
  addPending(account: Identity, invitation: Invitation): Contact {
    const { identity, expiresAtMs } = invitation
    const address = parseAddress(invitation.address)
    if (address === undefined) throw new MyceliumError('invitation-invalid', { reason: 'address' })
    if (identity === account || this.#own.ownsAddress(account, address)) {
      throw new MyceliumError('invitation-invalid', { reason: 'self' })
    }
    if (expiresAtMs <= this.#ambient.clock.nowMs()) throw new MyceliumError('invitation-expired')
    const known = this.#record(account, identity)
    const accepted = fingerprintOf({ identity, generation: 0, rootKey: undefined, ...invitation.root })
    const base = known ?? this.#fresh(identity, localPartOf(address), accepted)
    const state = known === undefined || known.state === 'pending' ? 'pending' : 'active'
    const addresses = base.addresses.includes(address) ? base.addresses : [...base.addresses, address]
    const next: ContactRecord = { ...base, state, blocked: false, addresses, invitation }
    this.#claim(account, identity, addresses, 'claimed', true)
    return this.#put(account, next)
  }

  #fresh(identity: Identity, displayName: string, accepted: string): ContactRecord {
    return {
      identity,
      displayName,
      state: 'pending',
      blocked: false,
      verified: false,
      accepted,
      addresses: [],
      entries: [],
      devices: [],
      invitation: undefined,
      fork: undefined,
      headStatedAtMs: 0,
      addedAtMs: this.#ambient.clock.nowMs(),
    }
  }

  /**
   * Takes over what a verified bundle proves: a longer log, devices, prekeys, locators, addresses. What contradicts the
   * pinned does not replace it; the report says what changed.
   */
  learn(
    account: Identity,
    bundle: VerifiedBundle,
    { tier = 'claimed', stateIfNew = 'request' }: LearnOptions = {},
  ): LearnReport {
    const { identity } = bundle
    if (identity === account) throw new MyceliumError('malformed', { reason: 'self' })
    const nowMs = this.#ambient.clock.nowMs()
    const before = readContact(this.#tx, account, identity)
    const known = this.#record(account, identity)
    const { entries, state, fork } = mergeKnownLog(known?.entries ?? [], bundle)
    const isZoned = (address: Address): boolean => bundle.names.some((name) => name.address === address)
    const named = state.addresses.filter(
      (address) =>
        parseAddress(address) === address &&
        !this.#own.ownsAddress(account, address) &&
        (!certifiesItself(address) || isZoned(address) || this.#hasZoned(account, identity, address)),
    )
    const name = named[0] === undefined ? short(identity) : localPartOf(named[0])
    const base: ContactRecord = known ?? { ...this.#fresh(identity, name, fingerprintOf(state)), state: stateIfNew }
    const next: ContactRecord = {
      ...base,
      state: base.state === 'pending' ? 'active' : base.state,
      addresses: named,
      entries,
      devices: mergeDevices(base.devices, bundle, state, nowMs),
      fork: base.fork ?? fork,
      headStatedAtMs: Math.max(
        isSame(before?.log?.head, state.head) ? base.headStatedAtMs : 0,
        isSame(bundle.state.head, state.head) ? (bundle.headStatedAtMs ?? 0) : 0,
      ),
    }
    for (const gone of base.addresses.filter((address) => !named.includes(address)))
      this.#unclaim(account, identity, gone)
    const pin = next.state === 'active' && !next.blocked
    const [zoned, others] = [named.filter(isZoned), named.filter((address) => !isZoned(address))]
    this.#claim(account, identity, zoned, strongerOf(tier, 'zone'), pin)
    this.#claim(account, identity, others, tier, pin)
    const contact = this.#put(account, next)
    const wasActive = new Set(before?.devices.map(({ id }) => id))
    return {
      contact,
      isNew: known === undefined,
      newDevices: contact.devices.map(({ id }) => id).filter((id) => !wasActive.has(id)),
      revokedDevices: [...wasActive].filter((id) => !isActive(state, id)),
      keyChanged: contact.keyChanged,
      fork: base.fork === undefined ? fork : undefined,
      conflicts: contact.addresses.filter(({ conflicting }) => conflicting).map(({ address }) => address),
    }
  }

  /** A device's own signed word of where it is now; ignored when it is older than what is known. @throws `signature-invalid` */
  learnLocators(account: Identity, identity: Identity, device: DeviceId, signed: SignedLocatorRecord): void {
    const contact = this.#existing(account, identity)
    const found = verifyLocators(signed, identity, device)
    if (found === undefined) throw new MyceliumError('signature-invalid', { record: 'locators' })
    const nowMs = this.#ambient.clock.nowMs()
    const known = contact.devices.find((records) => records.device === device)
    const old = known?.locators && readLocators(known.locators)
    if (isFromFuture(found, nowMs) || !supersedes(found, old, nowMs)) return
    const others = contact.devices.filter((records) => records.device !== device)
    const devices = [...others, { device, prekeys: known?.prekeys ?? [], locators: signed }]
    if (devices.length <= limits.devicesMax) this.#put(account, { ...contact, devices })
  }

  /**
   * The other's 60 digits, as typed, are right; or both people said so after an online confirmation, and `digits` is
   * the fingerprint that it covered. @throws `fingerprint-mismatch`, `no-such-contact`
   */
  verify(account: Identity, identity: Identity, digits: string): Contact {
    const contact = this.#existing(account, identity)
    const view = readContact(this.#tx, account, identity)!
    if (!sameDigits(digits, view.fingerprint)) throw new MyceliumError('fingerprint-mismatch')
    return this.#verified(account, contact, view.fingerprint)
  }

  /** Accepts the key as it is now and binds every present address in person. */
  #verified(account: Identity, contact: ContactRecord, fingerprint: string): Contact {
    const state = isChosen(contact) ? contact.state : 'active'
    const isTheirs = (address: Address): boolean =>
      !certifiesItself(address) || this.#hasZoned(account, contact.identity, address)
    this.#claim(account, contact.identity, contact.addresses.filter(isTheirs), 'verified', true)
    return this.#put(account, { ...contact, state, verified: true, accepted: fingerprint })
  }

  /** Takes a stranger in: mail goes to the inbox and the addresses ask to be pinned. @throws `no-such-contact` */
  accept(account: Identity, identity: Identity): Contact {
    const contact = this.#existing(account, identity)
    this.#claim(account, identity, contact.addresses, 'claimed', true)
    const state = isChosen(contact) ? contact.state : 'active'
    return this.#put(account, { ...contact, state, blocked: false })
  }

  /** A group that both are in vouches that it is there; a stranger who waited need not wait for that. */
  fellow(account: Identity, identity: Identity): Contact {
    const contact = this.#existing(account, identity)
    return this.#put(account, { ...contact, state: isChosen(contact) ? contact.state : 'fellow' })
  }

  /** The inviter's gateway took the capability: it need not be shown again. */
  invitationTaken(account: Identity, identity: Identity): Contact {
    return this.#put(account, { ...this.#existing(account, identity), invitation: undefined })
  }

  rename(account: Identity, identity: Identity, displayName: string): Contact {
    return this.#put(account, { ...this.#existing(account, identity), displayName })
  }
  block(account: Identity, identity: Identity): Contact {
    return this.#put(account, { ...this.#existing(account, identity), blocked: true })
  }
  unblock(account: Identity, identity: Identity): Contact {
    return this.#put(account, { ...this.#existing(account, identity), blocked: false })
  }

  /**
   * What another device of this account knows and has decided: taken over as it is, since it is the same person's word.
   * Where both know the contact, the longer log and the newer records stand.
   * @throws `malformed`, `signature-invalid`, `too-large` for a log that proves nothing
   */
  adopt(account: Identity, given: ContactRecord, claims: readonly (Claim & { readonly address: Address })[]): Contact {
    const { identity } = given
    const known = this.#record(account, identity)
    const log = given.entries.length === 0 ? undefined : verifyLog(given.entries)
    if (identity === account || (log !== undefined && log.identity !== identity))
      throw new MyceliumError('malformed', { reason: 'identity' })
    const usable = claims.filter(({ address }) => !this.#own.ownsAddress(account, address))
    const named = new Set(usable.map(({ address }) => address))
    for (const gone of (known?.addresses ?? []).filter((address) => !named.has(address)))
      this.#unclaim(account, identity, gone)
    for (const { address, tier, pinned } of usable) this.#claim(account, identity, [address], tier, pinned)
    return this.#put(account, { ...given, addresses: [...named], ...this.#newerOf(known, given, log) })
  }

  #newerOf(
    known: ContactRecord | undefined,
    given: ContactRecord,
    log: LogState | undefined,
  ): Pick<ContactRecord, 'entries' | 'devices' | 'headStatedAtMs'> {
    if (known === undefined || known.entries.length === 0) return given
    if (log === undefined) return known
    const { entries, state } = mergeLogs(known.entries, given.entries)
    return {
      entries,
      devices: mergeRecordLists([known.devices, given.devices], state, this.#ambient.clock.nowMs()),
      headStatedAtMs: entries === known.entries ? known.headStatedAtMs : given.headStatedAtMs,
    }
  }

  /** Forgets it and its claims; a later message from it is a stranger's. @throws `no-such-contact` */
  remove(account: Identity, identity: Identity): void {
    const contact = this.#existing(account, identity)
    for (const address of contact.addresses) this.#unclaim(account, identity, address)
    this.#tx.remove(tables.contacts, contactKey(this.#tx, account, identity))
    this.#stale(account, identity, [identity], contact.addresses)
  }

  #record(account: Identity, identity: Identity): ContactRecord | undefined {
    const value = this.#tx.get(tables.contacts, contactKey(this.#tx, account, identity))
    return value && decodeContact(value)
  }

  #existing(account: Identity, identity: Identity): ContactRecord {
    const found = this.#record(account, identity)
    if (found === undefined) throw new MyceliumError('no-such-contact')
    return found
  }

  #claim(account: Identity, identity: Identity, addresses: readonly Address[], tier: Tier, pin: boolean): void {
    for (const address of addresses) {
      this.#setClaims(account, identity, address, (claims) => addClaim(claims, { identity, tier, pin }))
    }
  }

  /** Did the zone's key sign for it once? */
  #hasZoned(account: Identity, identity: Identity, address: Address): boolean {
    const mine = readClaims(this.#tx, account, address).find((claim) => claim.identity === identity)
    return mine !== undefined && !isStronger('zone', mine.tier)
  }

  #unclaim(account: Identity, identity: Identity, address: Address): void {
    this.#setClaims(account, identity, address, (claims) => dropClaim(claims, identity))
  }

  #setClaims(
    account: Identity,
    identity: Identity,
    address: Address,
    change: (claims: readonly Claim[]) => readonly Claim[],
  ): void {
    const key = claimsKey(this.#tx, account, address)
    const claims = readClaims(this.#tx, account, address)
    const next = change(claims)
    if (next.length === 0) this.#tx.remove(tables.contactAddresses, key)
    else this.#tx.put(tables.contactAddresses, key, encode(addressClaimsCodec, { address, claims: next }))
    const identities = [...claims, ...next].map((claim) => claim.identity)
    this.#stale(account, identity, identities, [address])
  }

  #put(account: Identity, contact: ContactRecord): Contact {
    this.#tx.put(tables.contacts, contactKey(this.#tx, account, contact.identity), encodeContact(contact))
    this.#stale(account, contact.identity, [contact.identity], contact.addresses)
    return readContact(this.#tx, account, contact.identity)!
  }

  #stale(account: Identity, contact: Identity, identities: readonly Identity[], addresses: readonly Address[]): void {
    this.#tx.afterCommit(() => this.#touched({ account, contact, identities, addresses }))
  }
}

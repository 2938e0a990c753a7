/** The few abilities that the delivery path uses of accounts and contacts; the gateway wires the real ones. */
import type { ContactState } from '../account/contact.ts'
import type { Address, DeviceId, Identity } from '../ids.ts'
import type { SigningKey } from '../crypto/sign.ts'
import type { Prekey } from '../identity/prekeys.ts'
import type { ReversePath } from '../message/part.ts'
import type { Tier } from '../identity/trust.ts'
import type { Party, PrekeySecrets } from '../session/handshake.ts'
import type { ReadTx, WriteTx } from '../store/store.ts'
import type { GatewayAddress } from './ports.ts'

/** How an account stands to whoever sent it something under an address. */
export type SenderStanding =
  | { readonly kind: 'bound'; readonly tier: Tier | 'local' }
  /** A stranger: outside the inbox until accepted. */
  | { readonly kind: 'request' }
  | { readonly kind: 'blocked' }
  /** The address is not bound to that identity here. */
  | { readonly kind: 'false' }

/** Where an address leads from one account. */
export type Route =
  | { readonly kind: 'local'; readonly account: Identity }
  | { readonly kind: 'contact'; readonly contact: Identity }
  | { readonly kind: 'refused'; readonly code: 'no-such-recipient' | 'identity-conflict' | 'key-changed' | 'blocked' }

export interface Directory {
  ownsAddress(account: Identity, address: Address): boolean
  /** Also a disabled one. */
  isOwn(account: Identity): boolean
  /** The first address: where reports to this account go. */
  primaryAddress(account: Identity): Address
  /** What a contact, or another account of this gateway, is called in lists: its first address. */
  addressOf(account: Identity, contact: Identity): Address
  /** What the account calls a contact or itself, or another account of this gateway calls itself; `undefined` of others. */
  nameOf(account: Identity, identity: Identity): string | undefined
  deviceOf(account: Identity): DeviceId
  route(account: Identity, address: Address): Route
  standing(tx: ReadTx, account: Identity, author: Identity, from: ReversePath): SenderStanding
}

/** A device of a contact, as its signed records say. */
export interface PeerDevice {
  readonly device: DeviceId
  /** X25519, 32 bytes. */
  readonly dhPublic: Uint8Array
  readonly prekeys: readonly Prekey[]
  readonly where: GatewayAddress | undefined
  /** When it last signed where it is, by its own clock. */
  readonly statedAtMs: number | undefined
}

export interface PeerContact {
  readonly identity: Identity
  readonly state: ContactState | 'blocked'
  readonly logHead: Uint8Array | undefined
  /** Nothing keeps mail from it: accepted, not blocked, its key the accepted one. */
  readonly mayMail: boolean
  /** Active devices; none while pending. */
  readonly devices: readonly PeerDevice[]
  /** How to reach it first, from the invitation that was accepted here. */
  readonly invitation: { readonly capability: Uint8Array; readonly at: GatewayAddress } | undefined
}

export interface PairOfDevices {
  readonly account: Identity
  readonly device: DeviceId
  readonly peer: Identity
  readonly peerDevice: DeviceId
}

export interface OwnDevice {
  readonly party: Party & { readonly logHead: Uint8Array }
  readonly signing: SigningKey
}

/** Somebody whose first flight was opened. */
export interface Introduced {
  readonly introduction: Uint8Array
  readonly claimed: Identity
  readonly capability: Uint8Array | undefined
  /** Where it came from, as the overlay tells sources apart. */
  readonly source: string
  /** The flight's cache key. */
  readonly flight: Uint8Array
  /** Head of the account's own log that the sender had seen; none in what was left for later. */
  readonly seenLogHead: Uint8Array | undefined
}

/** Keys and contacts, as setting up sessions uses them. */
export interface Keyring {
  accounts(): readonly Identity[]
  own(account: Identity): OwnDevice
  /** Is this a head that the account's own log has, or has had? */
  hasHadHead(account: Identity, head: Uint8Array): boolean
  accountOfDevice(device: DeviceId): Identity | undefined
  prekey(account: Identity, id: number): PrekeySecrets | undefined
  prekeyUsed(tx: WriteTx, account: Identity, id: number): void
  introduction(account: Identity, here: GatewayAddress): Uint8Array
  bundle(account: Identity, here: GatewayAddress): Uint8Array

  /** The account's own other devices are one of them, under its own identity. */
  contacts(account: Identity): readonly PeerContact[]
  contact(account: Identity, identity: Identity): PeerContact | undefined
  /** Is this our device as of now, and theirs an active one of a contact, or another one of the account's own? Not after a revocation or a removal. */
  mayMeet(pair: PairOfDevices): boolean
  /** Merges what a verified bundle proves. @throws `signature-invalid`, `malformed`, `log-fork` */
  learn(tx: WriteTx, account: Identity, bundle: Uint8Array, from: Identity): void
  /**
   * Somebody who is in a group with this account: sessions are possible, and nothing else is given.
   * @returns who; `undefined` for an account of this gateway. @throws `signature-invalid`, `malformed`, `log-fork`
   */
  learnFellow(tx: WriteTx, account: Identity, bundle: Uint8Array): Identity | undefined
  /** Every device that the identity's log names, revoked ones too, as far as the log is known to this account. */
  devicesInLog(tx: ReadTx, account: Identity, identity: Identity): ReadonlySet<DeviceId>
  /** What a fellow needs to write to a contact of this account, or to another account of this gateway. */
  bundleOf(account: Identity, identity: Identity, here: GatewayAddress): Uint8Array | undefined
  /**
   * With the log head by which the sender stands, which need not be the latest that is known: its other devices may have
   * said more. Makes a contact of whoever sent this introduction: at once with a good capability of ours, else as a request.
   * @throws `too-large` when too many requests wait; `blocked`; what `verifyBundle` throws
   */
  meet(tx: WriteTx, account: Identity, who: Introduced): PeerContact
  /** The invitation behind a pending contact has done its work. */
  invitationDone(tx: WriteTx, account: Identity, identity: Identity): void
  /** May this capability fetch the account's bundle now? Uses nothing up. */
  capabilityOpens(account: Identity, capability: Uint8Array): boolean
}

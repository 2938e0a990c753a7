/** A contact: what the store keeps of it, and the view that everything else works with. */
import {
  array,
  bool,
  bytes,
  type Codec,
  decode,
  encode,
  hexId,
  optional,
  record,
  text,
  u64,
  u8,
  versionByte,
} from '../codec.ts'
import { MyceliumError } from '../errors.ts'
import type { Address, DeviceId, GatewayId, Identity } from '../ids.ts'
import { limits } from '../limits.ts'
import { activeDevices, type LogState, verifyLog } from '../identity/account-log.ts'
import { type DeviceRecords, deviceRecordsCodec } from '../identity/bundle.ts'
import { fingerprintOf } from '../identity/fingerprint.ts'
import { type Invitation, parseInvitation, writeInvitation } from '../identity/invitation.ts'
import { type LocatorRecord, readLocators } from '../identity/locators.ts'
import { entriesCodec, type SignedEntry } from '../identity/log-entry.ts'
import { type ForkProof, forkProofCodec } from '../identity/log-merge.ts'
import { type Prekey, readPrekey } from '../identity/prekeys.ts'
import { type Claim, isConflicting, strongerOf, type Tier, tiers } from '../identity/trust.ts'

/**
 * `pending`: invited, first contact not made. `request`: a stranger who wrote first and waits to be accepted. `fellow`:
 * known through a group that both are in, and no further: what it writes outside the group is a stranger's.
 */
export const contactStates = ['pending', 'active', 'request', 'fellow'] as const
export type ContactState = (typeof contactStates)[number]

/** Somebody whom a person chose to know. */
export const isChosen = ({ state }: { readonly state: ContactState }): boolean =>
  state === 'active' || state === 'pending'

export interface ContactRecord {
  readonly identity: Identity
  readonly displayName: string
  readonly state: ContactState
  readonly blocked: boolean
  /** Somebody compared the digits, in person or online. */
  readonly verified: boolean
  /** The fingerprint that was accepted: another one later is a changed key. */
  readonly accepted: string
  readonly addresses: readonly Address[]
  /** Verified before it was kept; empty while pending. */
  readonly entries: readonly SignedEntry[]
  readonly devices: readonly DeviceRecords[]
  /** The link that was accepted, until the inviter's gateway has taken its capability. */
  readonly invitation: Invitation | undefined
  /** Proof that one of its keys is in two hands. */
  readonly fork: ForkProof | undefined
  /** When a device last stood by the log head that we hold, Unix milliseconds; 0 when none did. */
  readonly headStatedAtMs: number
  readonly addedAtMs: number
}

export interface ContactDevice {
  readonly id: DeviceId
  readonly dhPublic: Uint8Array
  readonly prekeys: readonly Prekey[]
  readonly locators: LocatorRecord | undefined
}

export interface ContactAddress {
  readonly address: Address
  readonly tier: Tier
  readonly pinned: boolean
  readonly conflicting: boolean
}

export interface Contact extends Omit<ContactRecord, 'devices' | 'addresses'> {
  readonly addresses: readonly ContactAddress[]
  /** Strongest of its addresses' tiers; `verified` once the digits were compared. */
  readonly tier: Tier
  /** Its 60 digits now. */
  readonly fingerprint: string
  /** Its own root key changed and nobody has compared digits since: nothing is sent. */
  readonly keyChanged: boolean
  /** `undefined` while pending. */
  readonly log: LogState | undefined
  /** Active in the log, whether or not records of it are known. */
  readonly devices: readonly ContactDevice[]
}

const version = versionByte(1, (found) => new MyceliumError('store-corrupt', { table: 'contacts', version: found }))

/** One of a list, by its index. */
function oneOf<const T extends string>(values: readonly T[]): Codec<T> {
  return {
    write: (out, value) => out.u8(values.indexOf(value)),
    read: (from) => {
      const value = values[u8.read(from)]
      if (value === undefined) throw new MyceliumError('malformed', { at: from.position })
      return value
    },
  }
}

export const addressCodec = text(limits.addressOctetsMax) as unknown as Codec<Address>
const linkCodec = bytes(limits.inviteLinkCharsMax)
const invitationCodec: Codec<Invitation> = {
  write: (out, value) => linkCodec.write(out, Buffer.from(writeInvitation(value))),
  read: (from) => parseInvitation(Buffer.from(linkCodec.read(from)).toString()),
}

const contactCodec = record<ContactRecord & { readonly version: 1 }>({
  version,
  identity: hexId<Identity>(32),
  displayName: text(limits.displayNameOctetsMax),
  state: oneOf(contactStates),
  blocked: bool,
  verified: bool,
  accepted: text(71),
  addresses: array(addressCodec, limits.identityAddressesMax + 1),
  entries: entriesCodec,
  devices: array(deviceRecordsCodec, limits.devicesMax),
  invitation: optional(invitationCodec),
  fork: optional(forkProofCodec),
  headStatedAtMs: u64,
  addedAtMs: u64,
})

export const encodeContact = (contact: ContactRecord): Uint8Array => encode(contactCodec, { version: 1, ...contact })

/** @throws `malformed`, `too-large`, `store-corrupt` */
export const decodeContact = (encoded: Uint8Array): ContactRecord => decode(contactCodec, encoded)

/** The claims that a row of the address table holds. The address is inside, since its key is a keyed hash. */
export interface AddressClaims {
  readonly address: Address
  readonly claims: readonly Claim[]
}
export const claimCodec: Codec<Claim> = record<Claim>({
  identity: hexId<Identity>(32),
  tier: oneOf(tiers),
  pinned: bool,
})
export const addressClaimsCodec: Codec<AddressClaims> = record<AddressClaims>({
  address: addressCodec,
  claims: array(claimCodec, limits.claimsPerAddressMax),
})

/** @param claimsOf all identities' claims on an address */
export function viewContact(
  { addresses, devices, ...kept }: ContactRecord,
  claimsOf: (address: Address) => readonly Claim[],
): Contact {
  const log = kept.entries.length === 0 ? undefined : verifyLog(kept.entries)
  const fingerprint = log === undefined ? kept.accepted : fingerprintOf(log)
  const shown = addresses.flatMap((address) => viewAddress(address, kept.identity, claimsOf(address)))
  const strongest = shown.reduce<Tier>((tier, { tier: other }) => strongerOf(tier, other), 'claimed')
  return {
    ...kept,
    addresses: shown,
    tier: kept.verified && fingerprint === kept.accepted ? 'verified' : strongest,
    fingerprint,
    keyChanged: fingerprint !== kept.accepted,
    log,
    devices: log === undefined ? [] : viewDevices(log, devices),
  }
}

/** The gateways at which it lives, as its devices said. */
export const gatewaysOfContact = ({ devices }: Pick<Contact, 'devices'>): readonly GatewayId[] =>
  devices.flatMap(({ locators }) => locators?.gateway ?? [])

function viewAddress(address: Address, identity: Identity, claims: readonly Claim[]): readonly ContactAddress[] {
  const mine = claims.find((claim) => claim.identity === identity)
  if (mine === undefined) return []
  return [{ address, tier: mine.tier, pinned: mine.pinned, conflicting: isConflicting(claims, identity) }]
}

const viewDevices = (log: LogState, records: readonly DeviceRecords[]): readonly ContactDevice[] =>
  activeDevices(log).map(({ id, dhPublic }) => {
    const found = records.find(({ device }) => device === id)
    return {
      id,
      dhPublic,
      prekeys: found?.prekeys.map(readPrekey) ?? [],
      locators: found?.locators && readLocators(found.locators),
    }
  })

/**
 * ◆ What somebody needs before writing first: the account log, each active device's prekeys and locators, and the
 * zone's signatures over the names. A bundle is public and self-proving: whoever serves it cannot change it. An
 * introduction is the same bytes with less in them (12 KB at most), for the first flight of a handshake.
 */
import { toHex } from '../bytes.ts'
import { array, type Codec, decode, encode, hexId, optional, record, versionByte } from '../codec.ts'
import { MyceliumError } from '../errors.ts'
import type { DeviceId, Identity } from '../ids.ts'
import { limits } from '../limits.ts'
import { isActive, type LogState, verifyLog } from './account-log.ts'
import {
  isFromFuture,
  type LocatorRecord,
  signedLocatorsCodec,
  type SignedLocatorRecord,
  verifyLocators,
} from './locators.ts'
import { entriesCodec, readEntry, type SignedEntry } from './log-entry.ts'
import { type NameRecord, signedNameCodec, type SignedName, speaksFor, verifyName } from './names.ts'
import { type Prekey, type SignedPrekey, signedPrekeyCodec, verifyPrekey } from './prekeys.ts'

export interface DeviceRecords {
  readonly device: DeviceId
  readonly prekeys: readonly SignedPrekey[]
  readonly locators: SignedLocatorRecord | undefined
}

export interface Bundle {
  readonly entries: readonly SignedEntry[]
  readonly devices: readonly DeviceRecords[]
  readonly names: readonly SignedName[]
}

export interface VerifiedDevice {
  readonly device: DeviceId
  readonly prekeys: readonly Prekey[]
  readonly locators: LocatorRecord | undefined
  /** Of its locator record, also where that is from the future and left out. */
  readonly issuedAtMs: number | undefined
  /** What was verified, to be kept and checked again. */
  readonly signed: DeviceRecords
}

export interface VerifiedBundle {
  readonly identity: Identity
  readonly entries: readonly SignedEntry[]
  readonly state: LogState
  /** Active devices that had records. */
  readonly devices: readonly VerifiedDevice[]
  /** Valid now, about this identity, by a key that may speak for the address's domain. */
  readonly names: readonly NameRecord[]
  /** When a device last stood by this very log head, Unix milliseconds; `undefined` when none does. */
  readonly headStatedAtMs: number | undefined
  /** Of the newest locator record, also of one from the future; `undefined` when there is none. */
  readonly issuedAtMs: number | undefined
}

const version = versionByte(1)

export const deviceRecordsCodec: Codec<DeviceRecords> = record({
  device: hexId<DeviceId>(32),
  prekeys: array(signedPrekeyCodec, limits.deviceRecordPrekeysMax),
  locators: optional(signedLocatorsCodec),
})

const bundleCodec = record<Bundle & { readonly version: 1 }>({
  version,
  entries: entriesCodec,
  devices: array(deviceRecordsCodec, limits.devicesMax),
  names: array(signedNameCodec, limits.identityAddressesMax),
})

export const encodeBundle = (bundle: Bundle): Uint8Array => encode(bundleCodec, { version: 1, ...bundle })

/** Parsed, nothing verified. @throws `malformed`, `too-large` */
export function decodeBundle(encoded: Uint8Array): Bundle {
  if (encoded.length > limits.bundleBytesMax) throw new MyceliumError('too-large', { bytes: encoded.length })
  const { entries, devices, names } = decode(bundleCodec, encoded)
  return { entries, devices, names }
}

/**
 * Everything that the bundle proves. Forged or foreign records make the whole bundle suspect and are refused; records
 * that merely ran out, and those of devices revoked since, are left out. Copies its input.
 * @param expected the identity that was asked for; `undefined` only where any will do (a stranger's introduction)
 * @param known the log as held already: lets an introduction leave out what both know
 * @throws `malformed` (`reason` identity when it is somebody else's), `signature-invalid`, `too-large`
 */
export function verifyBundle(
  encoded: Uint8Array,
  expected: Identity | undefined,
  nowMs: number,
  known: readonly SignedEntry[] = [],
): VerifiedBundle {
  if (encoded.length > limits.bundleBytesMax) throw new MyceliumError('too-large', { bytes: encoded.length })
  const { entries: segment, devices, names } = decodeBundle(Uint8Array.from(encoded))
  const entries = completed(segment, known)
  const state = verifyLog(entries)
  const { identity } = state
  if (expected !== undefined && identity !== expected) throw new MyceliumError('malformed', { reason: 'identity' })
  const verified = devices
    .filter(({ device }) => isActive(state, device))
    .map((from) => verifyDevice(from, state, nowMs))
  if (new Set(verified.map(({ device }) => device)).size !== verified.length) {
    throw new MyceliumError('malformed', { reason: 'device-twice' })
  }
  const stated = verified.flatMap(({ locators }) =>
    locators !== undefined && toHex(locators.logHead) === toHex(state.head) ? [locators.issuedAtMs] : [],
  )
  const issued = verified.flatMap(({ issuedAtMs }) => issuedAtMs ?? [])
  return {
    identity,
    entries,
    state,
    devices: verified,
    names: names.flatMap((signed) => verifiedName(signed, identity, nowMs)),
    headStatedAtMs: stated.length > 0 ? Math.max(...stated) : undefined,
    issuedAtMs: issued.length > 0 ? Math.max(...issued) : undefined,
  }
}

/** A segment that does not begin the log, put after what is known of it; `verifyLog` checks that it fits. */
function completed(segment: readonly SignedEntry[], known: readonly SignedEntry[]): readonly SignedEntry[] {
  const from = segment[0] === undefined ? 0 : readEntry(segment[0]).sequence
  return from === 0 || from > known.length ? segment : [...known.slice(0, from), ...segment]
}

/** @throws `signature-invalid` */
function verifyDevice(signed: DeviceRecords, { identity }: LogState, nowMs: number): VerifiedDevice {
  const { device } = signed
  const refused = (what: string): MyceliumError => new MyceliumError('signature-invalid', { record: what })
  const prekeys = signed.prekeys.map((prekey) => {
    const verified = verifyPrekey(prekey, identity, device)
    if (verified === undefined) throw refused('prekey')
    return verified
  })
  const locators = signed.locators && verifyLocators(signed.locators, identity, device)
  if (signed.locators !== undefined && locators === undefined) throw refused('locators')
  if (locators === undefined || isFromFuture(locators, nowMs)) {
    return {
      device,
      prekeys,
      locators: undefined,
      issuedAtMs: locators?.issuedAtMs,
      signed: { ...signed, locators: undefined },
    }
  }
  return { device, prekeys, locators, issuedAtMs: locators.issuedAtMs, signed }
}

function verifiedName(signed: SignedName, identity: Identity, nowMs: number): readonly NameRecord[] {
  const name = verifyName(signed, nowMs)
  return name !== undefined && name.identity === identity && speaksFor(name.zone, name.address) ? [name] : []
}

/** Of a bundle or a contact: its head was stated over 7 days ago, or never; a revocation may have been withheld from us. */
export const isHeadStale = (
  { headStatedAtMs }: { readonly headStatedAtMs: number | undefined },
  nowMs: number,
): boolean => headStatedAtMs === undefined || headStatedAtMs < nowMs - limits.logHeadWarnMs

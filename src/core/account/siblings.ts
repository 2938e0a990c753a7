/**
 * What is known of an account's other devices beside what its log says: their names, their signed prekeys and locators,
 * and the signatures of zones over the account's addresses, which only the gateway with the zone's key can renew.
 */
import { concat } from '../bytes.ts'
import { array, decode, encode, hexId, optional, record, text } from '../codec.ts'
import type { DeviceId, Identity } from '../ids.ts'
import type { LogState } from '../identity/account-log.ts'
import { type DeviceRecords, decodeBundle, deviceRecordsCodec, type VerifiedBundle } from '../identity/bundle.ts'
import { type SignedName, signedNameCodec, verifyName } from '../identity/names.ts'
import { limits } from '../limits.ts'
import type { ReadTx, WriteTx } from '../store/store.ts'
import { tables } from '../store/tables.ts'
import { mergeDevices } from './learned.ts'

export interface Sibling {
  readonly device: DeviceId
  /** What its owner calls it; empty where nobody has said. */
  readonly name: string
  readonly records: DeviceRecords | undefined
  /** Signatures over the account's addresses that came from it. */
  readonly names: readonly SignedName[]
}

const codec = record<Sibling>({
  device: hexId<DeviceId>(32),
  name: text(limits.deviceNameOctetsMax),
  records: optional(deviceRecordsCodec),
  names: array(signedNameCodec, limits.identityAddressesMax),
})

const raw = (hex: string): Uint8Array => Buffer.from(hex, 'hex')
const keyOf = (tx: ReadTx, account: Identity, device: DeviceId): Uint8Array =>
  concat(tx.opaque(raw(account)), tx.opaque(raw(device)))

export const readSiblings = (tx: ReadTx, account: Identity): readonly Sibling[] =>
  Array.from(tx.range(tables.siblings, { prefix: tx.opaque(raw(account)) }), ({ value }) => decode(codec, value))

function readSibling(tx: ReadTx, account: Identity, device: DeviceId): Sibling {
  const value = tx.get(tables.siblings, keyOf(tx, account, device))
  return value === undefined ? { device, name: '', records: undefined, names: [] } : decode(codec, value)
}

function putSibling(tx: WriteTx, account: Identity, sibling: Sibling): void {
  tx.put(tables.siblings, keyOf(tx, account, sibling.device), encode(codec, sibling))
}

/** Any of the account's devices, this one included. */
export function nameSibling(tx: WriteTx, account: Identity, device: DeviceId, name: string): void {
  putSibling(tx, account, { ...readSibling(tx, account, device), name })
}

/**
 * Takes over what a bundle of another device proves: its own records, those of others that it passes on, and names.
 * @param state the account's log as it is after the bundle's was merged into it
 */
export function learnSiblings(
  tx: WriteTx,
  account: Identity,
  { encoded, verified }: { readonly encoded: Uint8Array; readonly verified: VerifiedBundle },
  { state, own, nowMs }: { readonly state: LogState; readonly own: DeviceId; readonly nowMs: number },
): void {
  const known = readSiblings(tx, account)
  const records = known.flatMap((sibling) => sibling.records ?? [])
  for (const merged of mergeDevices(records, verified, state, nowMs)) {
    if (merged.device !== own) putSibling(tx, account, { ...readSibling(tx, account, merged.device), records: merged })
  }
  const { names } = decodeBundle(Uint8Array.from(encoded))
  const from = verified.devices[0]?.device
  const valid = names.filter((name) => verified.names.some((one) => one.address === verifyName(name, nowMs)?.address))
  if (from !== undefined && from !== own && valid.length > 0)
    putSibling(tx, account, { ...readSibling(tx, account, from), names: valid })
}

/** An account of this gateway: what the store keeps of it, and the view that everything else works with. */
import { bool, decode, encode, hexId, record, text, u64, versionByte } from '../codec.ts'
import { MyceliumError } from '../errors.ts'
import type { Address, Identity } from '../ids.ts'
import { limits } from '../limits.ts'
import { type LogState, verifyLog } from '../identity/account-log.ts'
import type { DeviceSecrets } from '../identity/device.ts'
import { fingerprintOf } from '../identity/fingerprint.ts'
import { entriesCodec, type SignedEntry } from '../identity/log-entry.ts'

export interface AccountRecord {
  readonly identity: Identity
  readonly localName: string
  readonly displayName: string
  readonly createdAtMs: number
  readonly disabled: boolean
  /** Somebody showed that they have the words. */
  readonly recoveryConfirmed: boolean
  readonly entries: readonly SignedEntry[]
}

export interface OwnAccount extends AccountRecord {
  readonly state: LogState
  /** 60 digits in groups of five. */
  readonly fingerprint: string
  /** The first address: what mail clients are told to use. */
  readonly address: Address
  readonly addresses: readonly Address[]
  readonly device: DeviceSecrets
}

const version = versionByte(1, (found) => new MyceliumError('store-corrupt', { table: 'accounts', version: found }))

const recordCodec = record<AccountRecord & { readonly version: 1 }>({
  version,
  identity: hexId<Identity>(32),
  localName: text(64),
  displayName: text(limits.displayNameOctetsMax),
  createdAtMs: u64,
  disabled: bool,
  recoveryConfirmed: bool,
  entries: entriesCodec,
})

export const encodeAccount = (account: AccountRecord): Uint8Array => encode(recordCodec, { version: 1, ...account })

/** @throws `malformed`, `too-large`, `store-corrupt` */
export function decodeAccount(encoded: Uint8Array): AccountRecord {
  const { identity, localName, displayName, createdAtMs, disabled, recoveryConfirmed, entries } = decode(
    recordCodec,
    encoded,
  )
  return { identity, localName, displayName, createdAtMs, disabled, recoveryConfirmed, entries }
}

/** @throws as `verifyLog` */
export function ownAccount(account: AccountRecord, device: DeviceSecrets): OwnAccount {
  const state = verifyLog(account.entries)
  const address = state.addresses[0]
  if (address === undefined) throw new MyceliumError('malformed', { reason: 'no-address' })
  return { ...account, state, fingerprint: fingerprintOf(state), address, addresses: state.addresses, device }
}

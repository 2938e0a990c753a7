/** Rows of contacts and of claims on addresses, as one transaction sees them. */
import { concat, fromUtf8 } from '../bytes.ts'
import { decode } from '../codec.ts'
import type { Address, Identity } from '../ids.ts'
import type { Claim } from '../identity/trust.ts'
import type { ReadTx } from '../store/store.ts'
import { tables } from '../store/tables.ts'
import { addressClaimsCodec, type Contact, decodeContact, viewContact } from './contact.ts'

const idBytes = (identity: Identity): Uint8Array => Buffer.from(identity, 'hex')

export const contactKey = (tx: ReadTx, account: Identity, identity: Identity): Uint8Array =>
  concat(tx.opaque(idBytes(account)), tx.opaque(idBytes(identity)))
export const claimsKey = (tx: ReadTx, account: Identity, address: Address): Uint8Array =>
  concat(tx.opaque(idBytes(account)), tx.opaque(fromUtf8(address)))

/** All claims on an address. */
export function readClaims(tx: ReadTx, account: Identity, address: Address): readonly Claim[] {
  const value = tx.get(tables.contactAddresses, claimsKey(tx, account, address))
  return value === undefined ? [] : decode(addressClaimsCodec, value).claims
}

export function readContact(tx: ReadTx, account: Identity, identity: Identity): Contact | undefined {
  const value = tx.get(tables.contacts, contactKey(tx, account, identity))
  return value && viewContact(decodeContact(value), (address) => readClaims(tx, account, address))
}

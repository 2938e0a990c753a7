/**
 * ◆ One entry of an account log: its bytes, its hash, its signature. The signature and the hash are over the encoded
 * body, and the hash leaves the signature out, so that one statement has one hash.
 */
import { toHex } from '../bytes.ts'
import {
  array,
  bool,
  bytes,
  type Codec,
  decode,
  encode,
  fixed,
  hexId,
  literal,
  record,
  text,
  u32,
  u64,
  union,
  versionByte,
} from '../codec.ts'
import { labelledHash } from '../crypto/kdf.ts'
import { sign, type SigningKey, verify } from '../crypto/sign.ts'
import { MyceliumError } from '../errors.ts'
import type { Address, DeviceId, Identity } from '../ids.ts'
import { limits } from '../limits.ts'
import { type DeviceDescription, deviceDescriptionCodec } from './device.ts'

export type EntryContent =
  /** First entry: the account's root key of generation 0, the hash of generation 1's, and the first device. */
  | {
      readonly kind: 'create'
      readonly rootKey: Uint8Array
      readonly nextRootHash: Uint8Array
      readonly device: DeviceDescription
    }
  | { readonly kind: 'add-device'; readonly device: DeviceDescription }
  | { readonly kind: 'revoke-device'; readonly device: DeviceId }
  /** The identity goes by this address, or no longer does. A claim: what it is worth is the tier's affair. */
  | { readonly kind: 'name-address'; readonly address: Address; readonly present: boolean }
  | { readonly kind: 'name-zone'; readonly zone: Uint8Array; readonly present: boolean }
  /** Signed by the new root key itself, which the log committed to before. */
  | { readonly kind: 'rotate-root'; readonly rootKey: Uint8Array; readonly nextRootHash: Uint8Array }

export type Signer = { readonly kind: 'root' } | { readonly kind: 'device'; readonly device: DeviceId }

export interface EntryBody {
  /** Position in the log, from 0. */
  readonly sequence: number
  /** Hash of the entry before; 32 zero bytes for the first. */
  readonly previous: Uint8Array
  /** The signer's clock, Unix milliseconds: shown to people, trusted for nothing. */
  readonly atMs: number
  readonly signer: Signer
  readonly content: EntryContent
}

/** As it is kept and sent: the body's exact bytes, then the signature over them. */
export interface SignedEntry {
  readonly body: Uint8Array
  readonly signature: Uint8Array
}

const entryBodyBytesMax = 512
const entryLabel = 'mycelium/log-entry/1'

const addressCodec = text(limits.addressOctetsMax) as unknown as Codec<Address>

const contentCodec: Codec<EntryContent> = union<EntryContent>({
  create: {
    tag: 0,
    codec: record({
      kind: literal('create'),
      rootKey: fixed(32),
      nextRootHash: fixed(32),
      device: deviceDescriptionCodec,
    }),
  },
  'add-device': { tag: 1, codec: record({ kind: literal('add-device'), device: deviceDescriptionCodec }) },
  'revoke-device': { tag: 2, codec: record({ kind: literal('revoke-device'), device: hexId<DeviceId>(32) }) },
  'name-address': {
    tag: 3,
    codec: record({ kind: literal('name-address'), address: addressCodec, present: bool }),
  },
  'name-zone': { tag: 4, codec: record({ kind: literal('name-zone'), zone: fixed(32), present: bool }) },
  'rotate-root': {
    tag: 5,
    codec: record({ kind: literal('rotate-root'), rootKey: fixed(32), nextRootHash: fixed(32) }),
  },
})

const signerCodec: Codec<Signer> = union<Signer>({
  root: { tag: 0, codec: record({ kind: literal('root') }) },
  device: { tag: 1, codec: record({ kind: literal('device'), device: hexId<DeviceId>(32) }) },
})

const version = versionByte(1)

const bodyCodec = record<EntryBody & { readonly version: 1 }>({
  version,
  sequence: u32,
  previous: fixed(32),
  atMs: u64,
  signer: signerCodec,
  content: contentCodec,
})

export const signedEntryCodec: Codec<SignedEntry> = record({ body: bytes(entryBodyBytesMax), signature: fixed(64) })

const entriesInner = array(signedEntryCodec, limits.logEntriesMax)

/** Consecutive entries, bounded in number and together in bytes. */
export const entriesCodec: Codec<readonly SignedEntry[]> = {
  write: (out, entries) => {
    if (entriesBytes(entries) > limits.logBytesMax) throw new MyceliumError('too-large', { entries: entries.length })
    entriesInner.write(out, entries)
  },
  read: (from) => {
    const entries = entriesInner.read(from)
    if (entriesBytes(entries) > limits.logBytesMax) throw new MyceliumError('too-large', { entries: entries.length })
    return entries
  },
}

/** Encoded size in bytes. */
export const entriesBytes = (entries: readonly SignedEntry[]): number =>
  entries.reduce((sum, { body }) => sum + 4 + body.length + 64, 4)

export function signEntry(key: SigningKey, body: EntryBody): SignedEntry {
  const encoded = encode(bodyCodec, { version: 1, ...body })
  return { body: encoded, signature: sign(key, entryLabel, encoded) }
}

/** @throws `malformed`, `too-large` */
export const readEntry = (entry: SignedEntry): EntryBody => decode(bodyCodec, entry.body)

export const isSignedBy = (entry: SignedEntry, publicKey: Uint8Array): boolean =>
  verify(publicKey, entryLabel, entry.body, entry.signature)

/** SHA-256 under the label `mycelium/log-hash/1` of the body. */
export const entryHash = ({ body }: SignedEntry): Uint8Array => labelledHash('mycelium/log-hash/1', body)

/** The identity is the hash of the first entry. */
export const identityOf = (first: SignedEntry): Identity => toHex(entryHash(first)) as Identity

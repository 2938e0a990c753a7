/** ◆ Rows of stored content: what a content id leads to, and how an account makes content ids. */
import { concat, toHex } from '../bytes.ts'
import { type Codec, decode, encode, fixed, literal, record, u32, u64, union } from '../codec.ts'
import { blake2b } from '../crypto/kdf.ts'
import { MyceliumError } from '../errors.ts'
import type { ContentId, Identity } from '../ids.ts'
import type { ReadTx } from './store.ts'

export const fileIdBytes = 16
const contentIdBytes = 32
export const contentKeyBytes = 32

export interface BlobRow {
  /** 16 random bytes: the name of the file, in hex. */
  readonly file: Uint8Array
  /** Fresh for each blob. */
  readonly key: Uint8Array
  /** Plaintext, octets. */
  readonly size: number
}

export type ContentRow = { readonly kind: 'inline'; readonly bytes: Uint8Array } | ({ readonly kind: 'blob' } & BlobRow)

/** The rest of the input: a row's value has its own length. */
const rest: Codec<Uint8Array> = {
  write: (out, value) => out.raw(value),
  read: (from) => from.raw(from.remaining),
}

const contentRow: Codec<ContentRow> = union<ContentRow>({
  inline: { tag: 0, codec: record({ kind: literal('inline'), bytes: rest }) },
  blob: {
    tag: 1,
    codec: record({ kind: literal('blob'), file: fixed(fileIdBytes), key: fixed(contentKeyBytes), size: u64 }),
  },
})

/** One copy and no parsing: the delivery path makes this row for every message. */
export function encodeInline(bytes: Uint8Array): Uint8Array {
  const row = Buffer.allocUnsafe(bytes.length + 1)
  row[0] = 0
  row.set(bytes, 1)
  return row
}
export const encodeContent = (row: ContentRow): Uint8Array => encode(contentRow, row)
export const decodeContent = (value: Uint8Array): ContentRow => decode(contentRow, value)

export interface IncomingRow extends BlobRow {
  readonly chunkBytes: number
  /** Unix milliseconds of the last progress. */
  readonly updatedAtMs: number
  /** Bit i of byte i / 8, lowest first: chunk i is on disk. */
  readonly have: Uint8Array
}

export const incomingRow: Codec<IncomingRow> = record<IncomingRow>({
  file: fixed(fileIdBytes),
  key: fixed(contentKeyBytes),
  size: u64,
  chunkBytes: u32,
  updatedAtMs: u64,
  have: rest,
})

export const unreferencedState = 0
export const countedState = 1
export const refKey = (state: number, contentKey: Uint8Array): Uint8Array => concat(Uint8Array.of(state), contentKey)
export const sinceCodec = u64
export const countCodec = u32

/** An account's 16 bytes in keys of these tables. */
export const accountKey = (tx: ReadTx, account: Identity): Uint8Array => tx.opaque(idBytes(account))

/** Raw bytes of a hex id. @throws `malformed` */
export function idBytes(id: string): Uint8Array {
  const bytes = Buffer.from(id, 'hex') // stops at the first character that is not hex
  if (bytes.length * 2 !== id.length) throw new MyceliumError('malformed', { what: 'id' })
  return bytes
}

/**
 * Of a blob: keyed BLAKE2b-256 over the SHA-256 of the plaintext. It finds equal blobs of one account and
 * says nothing to whoever lacks the account's content key.
 */
export const contentIdOf = (contentKey: Uint8Array, plaintextHash: Uint8Array): ContentId =>
  toHex(blake2b(contentIdBytes, plaintextHash, contentKey)) as ContentId

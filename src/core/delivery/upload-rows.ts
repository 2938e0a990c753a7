/** ◆ What the store keeps of files that programs have put here before they say them: by an id that nobody can guess. */
import { fromUtf8 } from '../bytes.ts'
import { bool, type Codec, decode, encode, hexId, optional, record, text, u64, u8 } from '../codec.ts'
import type { ContentId, Identity, MessageId } from '../ids.ts'
import { limits } from '../limits.ts'
import type { ReadTx, WriteTx } from '../store/store.ts'
import { tables } from '../store/tables.ts'

export interface UploadRow {
  readonly account: Identity
  readonly name: string
  readonly mediaType: string
  /** Octets. */
  readonly size: number
  readonly content: ContentId
  readonly sinceMs: number
  /** Against the account's quota: until a message takes the file over. */
  readonly isCounted: boolean
  /** The message that has the file now. */
  readonly saidIn: MessageId | undefined
}

const rowCodec: Codec<UploadRow & { readonly version: number }> = record({
  version: u8,
  account: hexId<Identity>(32),
  name: text(limits.fileNameOctetsMax),
  mediaType: text(limits.mediaTypeOctetsMax),
  size: u64,
  content: hexId<ContentId>(32),
  sinceMs: u64,
  isCounted: bool,
  saidIn: optional(hexId<MessageId>(32)),
})
const version = 1

const keyOf = (tx: ReadTx, id: string): Uint8Array => tx.opaque(fromUtf8(id))

export const uploadRow = (tx: ReadTx, id: string): UploadRow | undefined => uploadAt(tx, keyOf(tx, id))

/** By its key, as `allUploads` gives it. */
export function uploadAt(tx: ReadTx, key: Uint8Array): UploadRow | undefined {
  const value = tx.get(tables.uploads, key)
  return value === undefined ? undefined : decode(rowCodec, value)
}

export const putUpload = (tx: WriteTx, id: string, row: UploadRow): void =>
  tx.put(tables.uploads, keyOf(tx, id), encode(rowCodec, { version, ...row }))

export const removeUpload = (tx: WriteTx, key: Uint8Array): void => tx.remove(tables.uploads, key)

/** With their keys: what they are asked for by is not kept. */
export const allUploads = (tx: ReadTx): readonly { readonly key: Uint8Array; readonly row: UploadRow }[] =>
  [...tx.range(tables.uploads, {})].map(({ key, value }) => ({ key, row: decode(rowCodec, value) }))

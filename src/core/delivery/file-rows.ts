/** ◆ What the store keeps of files of conversations: those on their way here, and those that are here, by message and by root. */
import { bool, decode, encode, fixed, hexId, optional, record, u32, u64, u8, type Codec } from '../codec.ts'
import { concat } from '../bytes.ts'
import type { BlobRoot, ContentId, ConversationId, DeviceId, Identity, MessageId } from '../ids.ts'
import { type BlobContent, type Content, sizeOfContent } from '../message/content.ts'
import type { ReadTx, WriteTx } from '../store/store.ts'
import { tables } from '../store/tables.ts'
import { type Refusal, refusals } from './items.ts'

/** Whose message it is part of. */
export interface FileOf {
  readonly account: Identity
  readonly message: MessageId
}

export interface ArrivingFile extends FileOf, Omit<BlobContent, 'kind'> {
  readonly author: Identity
  readonly device: DeviceId
  readonly conversation: ConversationId
  /** The author waits to hear that it is here. */
  readonly isAwaited: boolean
  readonly sinceMs: number
  readonly sinceRunMs: number
  /** It is not fetched, for this reason. */
  readonly refused: Refusal | undefined
}

export interface KeptFile extends FileOf, Omit<BlobContent, 'kind'> {
  readonly content: ContentId
}

const refusalCodec: Codec<Refusal> = {
  write: (out, value) => out.u8(refusals.indexOf(value)),
  read: (from) => refusals[u8.read(from)] ?? 'malformed',
}
const blobFields = { root: hexId<BlobRoot>(32), key: fixed(32), size: u64, chunkBytes: u32 }
const arrivingCodec = record<ArrivingFile & { readonly version: number }>({
  version: u8,
  account: hexId<Identity>(32),
  message: hexId<MessageId>(32),
  ...blobFields,
  author: hexId<Identity>(32),
  device: hexId<DeviceId>(32),
  conversation: hexId<ConversationId>(32),
  isAwaited: bool,
  sinceMs: u64,
  sinceRunMs: u64,
  refused: optional(refusalCodec),
})
const keptCodec = record<KeptFile & { readonly version: number }>({
  version: u8,
  account: hexId<Identity>(32),
  message: hexId<MessageId>(32),
  ...blobFields,
  content: hexId<ContentId>(32),
})
const version = 1

const raw = (hex: string): Uint8Array => Buffer.from(hex, 'hex')
const accountKey = (tx: ReadTx, account: Identity): Uint8Array => tx.opaque(raw(account))
const keyOf = (tx: ReadTx, { account, message }: FileOf): Uint8Array => concat(accountKey(tx, account), raw(message))
const rootKey = (tx: ReadTx, file: KeptFile): Uint8Array => concat(raw(file.root), keyOf(tx, file))

export function arrivingFile(tx: ReadTx, of: FileOf): ArrivingFile | undefined {
  const value = tx.get(tables.fileArrivals, keyOf(tx, of))
  return value === undefined ? undefined : decode(arrivingCodec, value)
}

export const arrivingFiles = (tx: ReadTx, account?: Identity): readonly ArrivingFile[] =>
  [...tx.range(tables.fileArrivals, account === undefined ? {} : { prefix: accountKey(tx, account) })].map(
    ({ value }) => decode(arrivingCodec, value),
  )

export const putArriving = (tx: WriteTx, file: ArrivingFile): void =>
  tx.put(tables.fileArrivals, keyOf(tx, file), encode(arrivingCodec, { version, ...file }))

export const removeArriving = (tx: WriteTx, of: FileOf): void => tx.remove(tables.fileArrivals, keyOf(tx, of))

export function keptFile(tx: ReadTx, of: FileOf): KeptFile | undefined {
  const value = tx.get(tables.files, keyOf(tx, of))
  return value === undefined ? undefined : decode(keptCodec, value)
}

export const keptFiles = (tx: ReadTx, account: Identity): readonly KeptFile[] =>
  [...tx.range(tables.files, { prefix: accountKey(tx, account) })].map(({ value }) => decode(keptCodec, value))

/** One of the kept contents behind a root. */
export function keptByRoot(tx: ReadTx, root: BlobRoot): KeptFile | undefined {
  for (const key of tx.keys(tables.fileRoots, { prefix: raw(root), limit: 1 })) {
    const value = tx.get(tables.files, key.subarray(raw(root).length))
    if (value !== undefined) return decode(keptCodec, value)
  }
  return undefined
}

export function putKept(tx: WriteTx, file: KeptFile): void {
  tx.put(tables.files, keyOf(tx, file), encode(keptCodec, { version, ...file }))
  tx.put(tables.fileRoots, rootKey(tx, file), new Uint8Array())
}

export function removeKept(tx: WriteTx, file: KeptFile): void {
  tx.remove(tables.files, keyOf(tx, file))
  tx.remove(tables.fileRoots, rootKey(tx, file))
}

export interface FileStanding extends FileOf {
  /** `absent`: nobody fetches it, and nothing was said against it. */
  readonly state: 'here' | 'coming' | 'refused' | 'absent'
  /** Why it is not fetched. */
  readonly reason?: Refusal
  /** Octets that are here. */
  readonly bytes: number
  readonly bytesTotal: number
  readonly bytesPerSecond: number
}

export function fileStanding(tx: ReadTx, account: Identity, message: MessageId, content: Content): FileStanding {
  const of = { account, message }
  const bytesTotal = sizeOfContent(content)
  const none = { ...of, bytes: 0, bytesTotal, bytesPerSecond: 0 }
  if (content.kind === 'inline' || keptFile(tx, of) !== undefined) return { ...none, state: 'here', bytes: bytesTotal }
  const coming = arrivingFile(tx, of)
  if (coming?.refused !== undefined) return { ...none, state: 'refused', reason: coming.refused }
  return { ...none, state: coming === undefined ? 'absent' : 'coming' }
}

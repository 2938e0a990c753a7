/**
 * ◆ What two devices of one account say to each other beside mail: questions about ranges and their answers, which items
 * one wants of the other, segments in which they come, and what has just changed. docs/protocol/devices.md
 */
import {
  array,
  bytes,
  type Codec,
  decode,
  encode,
  fixed,
  hexId,
  literal,
  Reader,
  record,
  u16,
  u32,
  u64,
  u8,
  union,
} from '../codec.ts'
import type { BlobRoot } from '../ids.ts'
import { limits } from '../limits.ts'
import type { Fingerprint, ItemId } from '../replica/set-reconciliation.ts'

/** Content that is fetched in chunks: a segment, or one long message. */
export interface Fetchable {
  readonly root: BlobRoot
  readonly key: Uint8Array
  readonly size: number
  readonly chunkBytes: number
}

/** All items of one kind. */
export interface KindSummary extends Fingerprint {
  readonly of: number
}

export type SyncMessage =
  /** Everything that the sender has, kind by kind. */
  | { readonly kind: 'summary'; readonly ticket: number; readonly kinds: readonly KindSummary[] }
  /** The kinds of which the receiver has something else. */
  | { readonly kind: 'differing'; readonly ticket: number; readonly kinds: readonly number[] }
  | { readonly kind: 'ask'; readonly ticket: number; readonly of: number; readonly question: Uint8Array }
  | { readonly kind: 'answer'; readonly ticket: number; readonly answer: Uint8Array }
  /** States of all, and contents of those in `full`. */
  | {
      readonly kind: 'get'
      readonly ticket: number
      readonly of: number
      readonly ids: readonly ItemId[]
      readonly full: readonly ItemId[]
    }
  /** The first `count` of what was asked for, `ids` before `full`. */
  | { readonly kind: 'segment'; readonly ticket: number; readonly count: number; readonly segment: Fetchable }
  /** Changed just now. */
  | { readonly kind: 'states'; readonly of: number; readonly states: readonly Uint8Array[] }
  /** More has changed than is worth telling: ask. */
  | { readonly kind: 'poke'; readonly of: number }

const itemId = hexId<ItemId>(16)
const fetchable: Codec<Fetchable> = record<Fetchable>({
  root: hexId<BlobRoot>(32),
  key: fixed(32),
  size: u64,
  chunkBytes: u32,
})
const inner = bytes(limits.itemBytesMax)
const codec: Codec<SyncMessage> = union<SyncMessage>({
  ask: { tag: 0, codec: record({ kind: literal('ask'), ticket: u32, of: u8, question: inner }) },
  answer: { tag: 1, codec: record({ kind: literal('answer'), ticket: u32, answer: inner }) },
  get: {
    tag: 2,
    codec: record({
      kind: literal('get'),
      ticket: u32,
      of: u8,
      ids: array(itemId, limits.replicaGetIdsMax),
      full: array(itemId, limits.replicaGetIdsMax),
    }),
  },
  segment: { tag: 3, codec: record({ kind: literal('segment'), ticket: u32, count: u16, segment: fetchable }) },
  states: { tag: 4, codec: record({ kind: literal('states'), of: u8, states: array(inner, limits.replicaGetIdsMax) }) },
  summary: {
    tag: 6,
    codec: record({
      kind: literal('summary'),
      ticket: u32,
      kinds: array(record<KindSummary>({ of: u8, count: u32, sum: fixed(16) }), limits.replicaKindsMax),
    }),
  },
  differing: {
    tag: 7,
    codec: record({ kind: literal('differing'), ticket: u32, kinds: array(u8, limits.replicaKindsMax) }),
  },
  poke: { tag: 5, codec: record({ kind: literal('poke'), of: u8 }) },
})
export const encodeSyncMessage = (message: SyncMessage): Uint8Array => encode(codec, message)
/** @throws `malformed`, `too-large` */
export const decodeSyncMessage = (encoded: Uint8Array): SyncMessage => decode(codec, encoded)

/** One item in a segment. */
export interface SegmentRecord {
  readonly id: ItemId
  readonly state: Uint8Array
  readonly content: SegmentContent
}
export type SegmentContent =
  | { readonly kind: 'none' }
  | { readonly kind: 'inline'; readonly internalDateMs: number; readonly bytes: Uint8Array }
  /** Too long for a segment: fetched by itself. */
  | { readonly kind: 'apart'; readonly internalDateMs: number; readonly at: Fetchable }

/** Dates before 1970 too. */
const dateOffset = 2 ** 51
const date: Codec<number> = {
  write: (out, value) => out.u64(Math.min(Math.max(Math.floor(value), -dateOffset), dateOffset - 1) + dateOffset),
  read: (from) => from.u64() - dateOffset,
}
const recordCodec: Codec<SegmentRecord> = record<SegmentRecord>({
  id: itemId,
  state: bytes(limits.replicaStateBytesMax),
  content: union<SegmentContent>({
    none: { tag: 0, codec: record({ kind: literal('none') }) },
    inline: {
      tag: 1,
      codec: record({ kind: literal('inline'), internalDateMs: date, bytes: bytes(limits.replicaInlineBytesMax) }),
    },
    apart: { tag: 2, codec: record({ kind: literal('apart'), internalDateMs: date, at: fetchable }) },
  }),
})
export const encodeRecord = (one: SegmentRecord): Uint8Array => encode(recordCodec, one)

/** @throws `malformed`, `too-large` */
export function decodeRecords(segment: Uint8Array): readonly SegmentRecord[] {
  const from = new Reader(segment)
  const records: SegmentRecord[] = []
  while (from.remaining > 0) records.push(recordCodec.read(from))
  return records
}

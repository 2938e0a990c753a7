/**
 * ◆ What an account shows its contacts of itself (a name, a picture, keys of programs), as it travels: items of topics, each in
 * pieces that fit one item of a session. Both sides tell pieces apart by their digests. docs/protocol/delivery.md
 */
import { array, bytes, type Codec, encode, fixed, literal, record, text, u64, u8, union } from '../codec.ts'
import { labelledHash } from '../crypto/kdf.ts'
import { limits } from '../limits.ts'

export interface ProfilePiece {
  /** What kind of thing it is, as programs name it. */
  readonly topic: string
  /** Which one of its kind. */
  readonly id: string
  /** When it was said, Unix milliseconds: of several devices' the later one stands. */
  readonly atMs: number
  readonly index: number
  /** Of how many. */
  readonly count: number
  readonly bytes: Uint8Array
}

export type ProfileSaid =
  /** Digests of everything that the sender shows the receiver now; nothing else of what it showed before stands. */
  | { readonly kind: 'list'; readonly digests: readonly Uint8Array[] }
  /** Of those that the receiver of a list lacks. */
  | { readonly kind: 'ask'; readonly digests: readonly Uint8Array[] }
  | { readonly kind: 'piece'; readonly piece: ProfilePiece }

export const digestBytes = 16
const digestsCodec = array(fixed(digestBytes), limits.profilePiecesMax)

export const pieceCodec: Codec<ProfilePiece> = record<ProfilePiece>({
  topic: text(limits.profileNameOctetsMax),
  id: text(limits.profileNameOctetsMax),
  atMs: u64,
  index: u8,
  count: u8,
  bytes: bytes(limits.profilePieceBytesMax),
})

export const profileSaidCodec: Codec<ProfileSaid> = union<ProfileSaid>({
  list: { tag: 0, codec: record({ kind: literal('list'), digests: digestsCodec }) },
  ask: { tag: 1, codec: record({ kind: literal('ask'), digests: digestsCodec }) },
  piece: { tag: 2, codec: record({ kind: literal('piece'), piece: pieceCodec }) },
})

/** 16 bytes. */
export const pieceDigest = (piece: ProfilePiece): Uint8Array =>
  labelledHash('mycelium profile piece', encode(pieceCodec, piece)).subarray(0, digestBytes)

export interface ProfileItem {
  readonly topic: string
  readonly id: string
  readonly atMs: number
  readonly value: Uint8Array
}

/** One at the least, also of nothing. */
export function piecesOf({ topic, id, atMs, value }: ProfileItem): readonly ProfilePiece[] {
  const size = limits.profilePieceBytesMax
  const count = Math.max(1, Math.ceil(value.length / size))
  return Array.from({ length: count }, (_, index) => ({
    topic,
    id,
    atMs,
    index,
    count,
    bytes: value.subarray(index * size, (index + 1) * size),
  }))
}

/** Those of which every piece is there; of several with one name the latest. */
export function itemsOfPieces(pieces: readonly ProfilePiece[]): readonly ProfileItem[] {
  const groups = Map.groupBy(pieces, ({ topic, id, atMs, count }) => JSON.stringify([topic, id, atMs, count]))
  const items = new Map<string, ProfileItem>()
  for (const group of groups.values()) {
    const { topic, id, atMs, count } = group[0]!
    const parts = Array.from({ length: count }, (_, index) => group.find((piece) => piece.index === index)?.bytes)
    if (count === 0 || !parts.every((part) => part !== undefined)) continue
    const name = JSON.stringify([topic, id])
    if ((items.get(name)?.atMs ?? -1) < atMs) items.set(name, { topic, id, atMs, value: Buffer.concat(parts) })
  }
  return [...items.values()]
}

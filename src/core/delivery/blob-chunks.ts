/**
 * ◆ Content over 16 KB as it travels: chunks sealed under the blob's own key, a Merkle tree over the sealed chunks, and
 * the question and answer by which one chunk is fetched. Whoever knows the root may fetch; only holders of the key can
 * read. docs/protocol/delivery.md
 */
import { array, bytes, decode, encode, fixed, hexId, record, u32, Writer } from '../codec.ts'
import { equalConstantTime, toHex } from '../bytes.ts'
import { aeadTagBytes, open, openInto, seal, sealInto } from '../crypto/aead.ts'
import { labelledHash } from '../crypto/kdf.ts'
import type { BlobRoot } from '../ids.ts'
import { limits } from '../limits.ts'

const chunkSizes = [
  { upTo: 1024 * 1024, chunkBytes: 64 * 1024 },
  { upTo: 64 * 1024 * 1024, chunkBytes: 256 * 1024 },
  { upTo: Infinity, chunkBytes: 1024 * 1024 },
] as const
const chunkBytesMax = 1024 * 1024
const hashBytes = 32

export const chunkBytesFor = (size: number): number => chunkSizes.find(({ upTo }) => size <= upTo)!.chunkBytes
export const chunkCount = (size: number, chunkBytes: number): number => Math.max(1, Math.ceil(size / chunkBytes))

function numbered(index: number): Uint8Array {
  const nonce = new Uint8Array(12)
  new DataView(nonce.buffer).setUint32(8, index)
  return nonce
}
const nothing = new Uint8Array()

/** The same key, index and plaintext always give the same bytes: chunks are made anew for each asker, never stored. */
export const sealChunk = (key: Uint8Array, index: number, plaintext: Uint8Array): Uint8Array =>
  seal(key, numbered(index), plaintext, nothing)
export const openChunk = (key: Uint8Array, index: number, sealed: Uint8Array): Uint8Array | undefined =>
  open(key, numbered(index), sealed, nothing)
/** The same where the plaintext is, which `sealed` begins with. */
export const sealChunkInPlace = (key: Uint8Array, index: number, sealed: Uint8Array): void =>
  sealInto(sealed, key, numbered(index), sealed.subarray(0, sealed.length - aeadTagBytes))
/** In its place; what was sealed is gone then. */
export function openChunkInPlace(key: Uint8Array, index: number, sealed: Uint8Array): Uint8Array | undefined {
  if (sealed.length < aeadTagBytes) return undefined
  const plaintext = sealed.subarray(0, sealed.length - aeadTagBytes)
  return openInto(plaintext, key, numbered(index), sealed) ? plaintext : undefined
}

export function leafOf(index: number, sealed: Uint8Array): Uint8Array {
  const number = new Writer(4)
  number.u32(index)
  return labelledHash('mycelium/blob-leaf/1', number.finish(), sealed)
}
const parentOf = (left: Uint8Array, right: Uint8Array): Uint8Array => labelledHash('mycelium/blob-node/1', left, right)

/** An odd node at the end of a level rises unchanged. */
function levelAbove(level: readonly Uint8Array[]): readonly Uint8Array[] {
  return Array.from({ length: Math.ceil(level.length / 2) }, (_, at) => {
    const right = level[at * 2 + 1]
    return right === undefined ? level[at * 2]! : parentOf(level[at * 2]!, right)
  })
}

function rootOver(top: Uint8Array, size: number, chunkBytes: number): BlobRoot {
  const shape = new Writer(12)
  shape.u64(size)
  shape.u32(chunkBytes)
  return toHex(labelledHash('mycelium/blob-root/1', shape.finish(), top)) as BlobRoot
}

/** The leaves, and above them level by level up to the one node at the top. */
export function merkleLevels(leaves: readonly Uint8Array[]): readonly (readonly Uint8Array[])[] {
  const levels = [leaves]
  while (levels.at(-1)!.length > 1) levels.push(levelAbove(levels.at(-1)!))
  return levels
}

export const merkleRoot = (leaves: readonly Uint8Array[], size: number, chunkBytes: number): BlobRoot =>
  rootOver(merkleLevels(leaves).at(-1)![0]!, size, chunkBytes)

/** Siblings from the leaf upwards; levels where the node has none are left out. */
export const merkleProof = (levels: readonly (readonly Uint8Array[])[], index: number): readonly Uint8Array[] =>
  levels.flatMap((level, height) => level[(index >> height) ^ 1] ?? [])

export interface BlobShape {
  readonly root: BlobRoot
  readonly size: number
  readonly chunkBytes: number
}

export function proofHolds(shape: BlobShape, index: number, sealed: Uint8Array, proof: readonly Uint8Array[]): boolean {
  let node = leafOf(index, sealed)
  let width = chunkCount(shape.size, shape.chunkBytes)
  let used = 0
  for (let at = index; width > 1; at >>= 1, width = Math.ceil(width / 2)) {
    if ((at ^ 1) >= width) continue
    const sibling = proof[used]
    if (sibling === undefined) return false
    used += 1
    node = at % 2 === 0 ? parentOf(node, sibling) : parentOf(sibling, node)
  }
  const root = rootOver(node, shape.size, shape.chunkBytes)
  return used === proof.length && equalConstantTime(Buffer.from(root, 'hex'), Buffer.from(shape.root, 'hex'))
}

export interface ChunkRequest {
  readonly root: BlobRoot
  readonly index: number
}
export interface ChunkAnswer {
  readonly proof: readonly Uint8Array[]
  readonly sealed: Uint8Array
}
const requestCodec = record<ChunkRequest>({ root: hexId<BlobRoot>(hashBytes), index: u32 })
const answerCodec = record<ChunkAnswer>({
  proof: array(fixed(hashBytes), limits.merkleDepthMax),
  sealed: bytes(chunkBytesMax + 16),
})

export const chunkAnswerBytesMax = chunkBytesMax + 16 + 8 + limits.merkleDepthMax * hashBytes
export const encodeChunkRequest = (request: ChunkRequest): Uint8Array => encode(requestCodec, request)
export const decodeChunkRequest = (encoded: Uint8Array): ChunkRequest => decode(requestCodec, encoded)
export function encodeChunkAnswer(answer: ChunkAnswer): Uint8Array {
  const out = new Writer(answer.sealed.length + 8 + answer.proof.length * hashBytes)
  answerCodec.write(out, answer)
  return out.finish()
}
/** An answer before its chunk is in it: the plaintext goes into its place and is sealed there. */
export function roomForAnswer(
  proof: readonly Uint8Array[],
  plaintextBytes: number,
): { readonly answer: Uint8Array; readonly sealed: Uint8Array } {
  const sealedBytes = plaintextBytes + aeadTagBytes
  const head = new Writer(8 + proof.length * hashBytes)
  head.u32(proof.length)
  for (const node of proof) head.raw(node)
  head.u32(sealedBytes)
  const answer = Buffer.allocUnsafeSlow(head.finish().length + sealedBytes)
  answer.set(head.finish())
  return { answer, sealed: answer.subarray(answer.length - sealedBytes) }
}

export const decodeChunkAnswer = (encoded: Uint8Array): ChunkAnswer => decode(answerCodec, encoded)

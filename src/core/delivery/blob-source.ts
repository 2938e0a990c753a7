/**
 * The sending side of blobs: content over 16 KB gets a key and a Merkle root at submission, is held while somebody may
 * still ask for it, and its chunks are sealed anew for each question.
 */
import { concat } from '../bytes.ts'
import type { Ambient } from '../ambient.ts'
import { decode, encode, fixed, hexId, record, u32, u64, array } from '../codec.ts'
import { hasCode } from '../errors.ts'
import type { BlobRoot, ContentId, Identity } from '../ids.ts'
import { limits } from '../limits.ts'
import type { Mailboxes, StoredContent } from '../mailbox/mailbox.ts'
import type { BlobContent } from '../message/content.ts'
import type { ReadTx, Store, WriteTx } from '../store/store.ts'
import { tables } from '../store/tables.ts'
import {
  chunkBytesFor,
  chunkCount,
  decodeChunkRequest,
  encodeChunkAnswer,
  leafOf,
  merkleProof,
  merkleRoot,
  sealChunk,
} from './blob-chunks.ts'
import type { AskHandler } from './ports.ts'

interface ServedBlob {
  readonly account: Identity
  readonly content: ContentId
  readonly key: Uint8Array
  readonly size: number
  readonly chunkBytes: number
  readonly leaves: readonly Uint8Array[]
}
const servedCodec = record<ServedBlob>({
  account: hexId<Identity>(32),
  content: hexId<ContentId>(32),
  key: fixed(32),
  size: u64,
  chunkBytes: u32,
  leaves: array(fixed(32), limits.blobChunksMax),
})

export interface PreparedBlob {
  readonly content: BlobContent
  readonly served: ServedBlob
}

const rootKey = (root: BlobRoot): Uint8Array => Buffer.from(root, 'hex')

export class BlobSource {
  readonly #store: Store
  readonly #mailboxes: Mailboxes
  readonly #ambient: Ambient

  constructor(parts: { readonly store: Store; readonly mailboxes: Mailboxes; readonly ambient: Ambient }) {
    this.#store = parts.store
    this.#mailboxes = parts.mailboxes
    this.#ambient = parts.ambient
  }

  /** Seals every chunk once to learn the root; nothing is written. */
  async prepare(account: Identity, stored: StoredContent): Promise<PreparedBlob> {
    const key = this.#ambient.random.bytes(32)
    const chunkBytes = chunkBytesFor(stored.size)
    const leaves: Uint8Array[] = []
    for (let index = 0; index < chunkCount(stored.size, chunkBytes); index += 1) {
      const plaintext = await this.#chunk(account, stored, index, chunkBytes)
      leaves.push(leafOf(index, sealChunk(key, index, plaintext)))
    }
    const root = merkleRoot(leaves, stored.size, chunkBytes)
    return {
      content: { kind: 'blob', root, key, size: stored.size, chunkBytes },
      served: { account, content: stored.content, key, size: stored.size, chunkBytes, leaves },
    }
  }

  /** Keeps the content and answers for its root from this commit on. */
  hold(tx: WriteTx, { content, served }: PreparedBlob): void {
    this.#mailboxes.retain(tx, served.account, served.content)
    tx.put(tables.servedBlobs, rootKey(content.root), encode(servedCodec, served))
  }

  /** The content behind a root that is held. */
  contentOf(tx: ReadTx, root: BlobRoot): StoredContent | undefined {
    const value = tx.get(tables.servedBlobs, rootKey(root))
    if (value === undefined) return undefined
    const { content, size } = decode(servedCodec, value)
    return { content, size }
  }

  /** Nobody will ask again. */
  release(tx: WriteTx, root: BlobRoot): void {
    const value = tx.get(tables.servedBlobs, rootKey(root))
    if (value === undefined) return
    const served = decode(servedCodec, value)
    tx.remove(tables.servedBlobs, rootKey(root))
    this.#mailboxes.release(tx, served.account, served.content)
  }

  /** Every chunk of a blob that is held, as answers to whoever would ask; none when it has more octets than that. */
  async *chunks(
    root: BlobRoot,
    bytesMax: number,
  ): AsyncGenerator<{ readonly index: number; readonly answer: Uint8Array }> {
    const value = this.#store.read((tx) => tx.get(tables.servedBlobs, rootKey(root)))
    if (value === undefined) return
    const served = decode(servedCodec, value)
    if (served.size > bytesMax) return
    for (let index = 0; index < served.leaves.length; index += 1)
      yield { index, answer: await this.#answerOf(served, index) }
  }

  /** Answers one chunk question; refuses unknown roots and chunks without saying which. */
  readonly answer: AskHandler = async (request) => {
    try {
      const { root, index } = decodeChunkRequest(request)
      const value = this.#store.read((tx) => tx.get(tables.servedBlobs, rootKey(root)))
      if (value === undefined) return undefined
      const served = decode(servedCodec, value)
      if (index >= served.leaves.length) return undefined
      return await this.#answerOf(served, index)
    } catch (error) {
      if (hasCode(error, 'malformed') || hasCode(error, 'too-large')) return undefined
      throw error
    }
  }

  async #answerOf(served: ServedBlob, index: number): Promise<Uint8Array> {
    const plaintext = await this.#chunk(served.account, served, index, served.chunkBytes)
    return encodeChunkAnswer({
      proof: merkleProof(served.leaves, index),
      sealed: sealChunk(served.key, index, plaintext),
    })
  }

  async #chunk(
    account: Identity,
    { content, size }: StoredContent,
    index: number,
    chunkBytes: number,
  ): Promise<Uint8Array> {
    const pieces: Uint8Array[] = []
    const range = { from: index * chunkBytes, to: Math.min(size, (index + 1) * chunkBytes) }
    for await (const piece of this.#mailboxes.read(account, content, range)) pieces.push(piece)
    return concat(...pieces)
  }
}

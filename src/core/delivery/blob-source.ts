/**
 * The sending side of blobs: content over 16 KB gets a key and a Merkle root at submission, is held while somebody may
 * still ask for it, and its chunks are sealed anew for each question. Whoever keeps a file answers for its root too: the
 * same key makes the same chunks.
 */
import type { Ambient } from '../ambient.ts'
import { decode, encode, fixed, hexId, record, u32, u64, array } from '../codec.ts'
import { aeadTagBytes } from '../crypto/aead.ts'
import { hasCode, MyceliumError } from '../errors.ts'
import type { BlobRoot, ContentId, Identity } from '../ids.ts'
import { limits } from '../limits.ts'
import type { Mailboxes, StoredContent } from '../mailbox/mailbox.ts'
import type { BlobContent } from '../message/content.ts'
import type { ReadTx, Store, WriteTx } from '../store/store.ts'
import { tables } from '../store/tables.ts'
import { withScratch } from '../scratch.ts'
import {
  chunkBytesFor,
  chunkCount,
  decodeChunkRequest,
  leafOf,
  merkleLevels,
  merkleProof,
  merkleRoot,
  roomForAnswer,
  sealChunk,
  sealChunkInPlace,
} from './blob-chunks.ts'

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

/** What is held, and the tree over its sealed chunks. */
interface OpenBlob {
  readonly served: Omit<ServedBlob, 'leaves'>
  readonly levels: readonly (readonly Uint8Array[])[]
}

/** Answers made before they are asked for: the next one of blobs that are asked for in order. */
interface Ahead {
  readonly index: number
  readonly answer: Promise<Uint8Array>
}

/** A kept content that answers for a root, beside what is held for the outbox. */
export type KeptBlob = (tx: ReadTx, root: BlobRoot) => Omit<ServedBlob, 'leaves'> | undefined

export class BlobSource {
  readonly #store: Store
  readonly #mailboxes: Mailboxes
  readonly #ambient: Ambient
  /** Most lately asked for last. */
  readonly #open = new Map<BlobRoot, Promise<OpenBlob>>()
  readonly #ahead = new Map<BlobRoot, Ahead>()
  readonly #kept: KeptBlob

  constructor(parts: {
    readonly store: Store
    readonly mailboxes: Mailboxes
    readonly ambient: Ambient
    readonly kept?: KeptBlob
  }) {
    this.#store = parts.store
    this.#mailboxes = parts.mailboxes
    this.#ambient = parts.ambient
    this.#kept = parts.kept ?? (() => undefined)
  }

  /** Seals every chunk once to learn the root; nothing is written. */
  async prepare(account: Identity, stored: StoredContent): Promise<PreparedBlob> {
    const key = this.#ambient.random.bytes(32)
    const chunkBytes = chunkBytesFor(stored.size)
    const leaves = await this.#leavesOf({ account, ...stored, key, chunkBytes })
    return preparedBlob({ account, ...stored, key, chunkBytes, leaves })
  }

  /** The same while the content goes by to where it is stored: for content whose size is known before. */
  prepareAlong(account: Identity, size: number): BlobInTheMaking {
    return new BlobInTheMaking(account, size, this.#ambient.random.bytes(32))
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
    const blob = await this.#opened(root)
    if (blob === undefined || blob.served.size > bytesMax) return
    for (let index = 0; index < blob.levels[0]!.length; index += 1)
      yield { index, answer: await this.#answerOf(blob, index) }
  }

  /** Answers one chunk question; refuses unknown roots and chunks without saying which. */
  readonly answer = async (request: Uint8Array): Promise<Uint8Array | undefined> => {
    try {
      const { root, index } = decodeChunkRequest(request)
      const blob = await this.#opened(root)
      if (blob === undefined || index >= blob.levels[0]!.length) return undefined
      const ahead = this.#ahead.get(root)
      const answer = ahead?.index === index ? await ahead.answer : await this.#answerOf(blob, index)
      this.#goAhead(root, blob, index + 1)
      return answer
    } catch (error) {
      if (hasCode(error, 'malformed') || hasCode(error, 'too-large')) return undefined
      if (!hasCode(error, 'no-such-message')) throw error
      this.#open.clear() // whose content it was may be gone, and another one's be here
      return undefined
    }
  }

  /** While an answer travels, the next one is made. Small chunks are asked for several at once as it is. */
  #goAhead(root: BlobRoot, blob: OpenBlob, index: number): void {
    this.#ahead.delete(root)
    if (index >= blob.levels[0]!.length || blob.served.chunkBytes < limits.blobBytesAtOnce) return
    const made = Promise.withResolvers<Uint8Array>()
    made.promise.catch(() => {}) // whoever asks for it hears of it
    this.#ahead.set(root, { index, answer: made.promise })
    for (const oldest of this.#ahead.keys()) {
      if (this.#ahead.size <= limits.blobAnswersAhead) break
      this.#ahead.delete(oldest)
    }
    setImmediate(() => void this.#answerOf(blob, index).then(made.resolve, made.reject))
  }

  /** `undefined` when nobody here answers for it. */
  async #opened(root: BlobRoot): Promise<OpenBlob | undefined> {
    const kept = this.#store.read(
      (tx) => tx.has(tables.servedBlobs, rootKey(root)) || this.#kept(tx, root) !== undefined,
    )
    const known = this.#open.get(root)
    this.#open.delete(root)
    if (!kept) return undefined
    const opening = known ?? this.#openAnew(root)
    this.#open.set(root, opening)
    for (const oldest of this.#open.keys()) {
      if (this.#open.size <= limits.blobsOpenMax) break
      this.#open.delete(oldest)
    }
    try {
      return await opening
    } catch (error) {
      this.#open.delete(root)
      throw error
    }
  }

  async #openAnew(root: BlobRoot): Promise<OpenBlob> {
    const held = this.#store.read((tx) => tx.get(tables.servedBlobs, rootKey(root)))
    if (held !== undefined) {
      const { leaves, ...served } = decode(servedCodec, held)
      return { served, levels: merkleLevels(leaves) }
    }
    const served = this.#store.read((tx) => this.#kept(tx, root))
    if (served === undefined) throw new MyceliumError('no-such-message')
    return { served, levels: merkleLevels(await this.#leavesOf(served)) }
  }

  async #leavesOf(served: Omit<ServedBlob, 'leaves'>): Promise<readonly Uint8Array[]> {
    const leaves: Uint8Array[] = []
    for (let index = 0; index < chunkCount(served.size, served.chunkBytes); index += 1) {
      const leaf = await withScratch(sealedLength(served, index), async (sealed) => {
        await this.#sealInto(served, index, sealed)
        return leafOf(index, sealed)
      })
      leaves.push(leaf)
    }
    return leaves
  }

  async #answerOf({ served, levels }: OpenBlob, index: number): Promise<Uint8Array> {
    const { answer, sealed } = roomForAnswer(merkleProof(levels, index), sealedLength(served, index) - aeadTagBytes)
    await this.#sealInto(served, index, sealed)
    return answer
  }

  async #sealInto(served: Omit<ServedBlob, 'leaves'>, index: number, sealed: Uint8Array): Promise<void> {
    const { account, content, key, chunkBytes } = served
    const plaintext = sealed.subarray(0, sealed.length - aeadTagBytes)
    await this.#mailboxes.readInto(account, content, index * chunkBytes, plaintext)
    sealChunkInPlace(key, index, sealed)
  }
}

const sealedLength = ({ size, chunkBytes }: Omit<ServedBlob, 'leaves'>, index: number): number =>
  Math.min(chunkBytes, size - index * chunkBytes) + aeadTagBytes

function preparedBlob(served: ServedBlob): PreparedBlob {
  const { leaves, size, chunkBytes, key } = served
  const root = merkleRoot(leaves, size, chunkBytes)
  return { content: { kind: 'blob', root, key, size, chunkBytes }, served }
}

/** Seals chunks of content on its way to the store, for their hashes alone. */
export class BlobInTheMaking {
  readonly #account: Identity
  readonly #size: number
  readonly #key: Uint8Array
  readonly #chunkBytes: number
  readonly #leaves: Uint8Array[] = []
  readonly #chunk: Uint8Array
  #filled = 0
  #passed = 0

  constructor(account: Identity, size: number, key: Uint8Array) {
    this.#account = account
    this.#size = size
    this.#key = key
    this.#chunkBytes = chunkBytesFor(size)
    this.#chunk = new Uint8Array(Math.min(size, this.#chunkBytes))
  }

  async *watched(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    for await (const piece of source) {
      for (let at = 0; at < piece.length;) {
        const part = piece.subarray(at, at + this.#chunkBytes - this.#filled)
        at += part.length
        this.#passed += part.length
        if (this.#passed > this.#size) break
        this.#chunk.set(part, this.#filled)
        this.#filled += part.length
        if (this.#filled === this.#chunkBytes) this.#seal()
      }
      yield piece
    }
    if (this.#filled > 0) this.#seal()
  }

  /** `undefined` when the content was not as long as was said. */
  finish({ content, size }: StoredContent): PreparedBlob | undefined {
    if (this.#passed !== this.#size || size !== this.#size) return undefined
    return preparedBlob({
      account: this.#account,
      content,
      key: this.#key,
      size,
      chunkBytes: this.#chunkBytes,
      leaves: this.#leaves,
    })
  }

  #seal(): void {
    const index = this.#leaves.length
    this.#leaves.push(leafOf(index, sealChunk(this.#key, index, this.#chunk.subarray(0, this.#filled))))
    this.#filled = 0
  }
}

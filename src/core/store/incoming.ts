/**
 * A blob that arrives in pieces, in any order, over days if need be. The file has its final form from the start; its
 * row says which chunks are on disk, and each is synced before the row says so. A kill loses at most the chunk in hand.
 */
import { createHash } from 'node:crypto'
import { type FileHandle, open, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Ambient } from '../ambient.ts'
import { concat, fromHex, toHex } from '../bytes.ts'
import { decode, encode } from '../codec.ts'
import { MyceliumError } from '../errors.ts'
import type { BlobRoot, ContentId, Identity } from '../ids.ts'
import { limits } from '../limits.ts'
import { chunkCount, readBlob, sealChunks, spaceChecked, syncDirectory, writeAt } from './blob-file.ts'
import type { StoredContent } from './blobs.ts'
import { type BlobRow, contentKeyBytes, fileIdBytes, incomingRow, type IncomingRow } from './content-rows.ts'
import type { ReadTx, Store, WriteTx } from './store.ts'
import { tables } from './tables.ts'

export interface IncomingBlob {
  /** Numbers of the chunks still to come, ascending. */
  missing(): readonly number[]
  /** Durable on return; a chunk that is already there is left alone. @throws `malformed` (number or length), `disk-full` */
  put(index: number, plaintext: Uint8Array): Promise<void>
  /** Makes it stored content, unreferenced. @throws `malformed` while chunks are missing */
  finish(): Promise<StoredContent>
  discard(): Promise<void>
}

export interface IncomingSpec {
  readonly account: Identity
  readonly root: BlobRoot
  /** Plaintext octets of the whole. */
  readonly size: number
  /** Plaintext octets of each chunk but the last: 64 KB, 256 KB or 1 MB. */
  readonly chunkBytes: number
}

export interface IncomingServices {
  readonly path: string
  readonly store: Store
  readonly ambient: Ambient
  readonly accountKey: (tx: ReadTx) => Uint8Array
  readonly storeInline: (tx: WriteTx, bytes: Uint8Array) => StoredContent
  readonly adoptBlob: (
    tx: WriteTx,
    row: BlobRow,
    digest: Uint8Array,
  ) => { readonly content: ContentId; readonly isKnown: boolean }
  readonly ended: () => void
}

const chunkSizes: readonly number[] = [64 * 1024, 256 * 1024, 1024 * 1024]

export async function openIncoming(spec: IncomingSpec, services: IncomingServices): Promise<IncomingBlob> {
  if (!Number.isSafeInteger(spec.size) || spec.size < 1 || !chunkSizes.includes(spec.chunkBytes))
    throw new MyceliumError('malformed', { size: spec.size, chunkBytes: spec.chunkBytes })
  if (spec.size > limits.blobBytesMax) throw new MyceliumError('too-large', { bytesMax: limits.blobBytesMax })
  const key = services.store.read((tx) => concat(services.accountKey(tx), fromHex(spec.root)!))
  const stored = services.store.read((tx) => tx.get(tables.incomingBlobs, key))
  const row = stored === undefined ? freshRow(spec, services.ambient) : decode(incomingRow, stored)
  if (row.size !== spec.size || row.chunkBytes !== spec.chunkBytes)
    throw new MyceliumError('malformed', { size: spec.size, chunkBytes: spec.chunkBytes })
  const path = join(services.path, toHex(row.file))
  if (stored === undefined) {
    await withFile(path, 'wx', async () => {})
    await syncDirectory(services.path)
    await services.store.write((tx) => tx.put(tables.incomingBlobs, key, encode(incomingRow, row)))
  }
  return new Incoming({ key, row, path, services })
}

const freshRow = ({ size, chunkBytes }: IncomingSpec, { random, clock }: Ambient): IncomingRow => ({
  file: random.bytes(fileIdBytes),
  key: random.bytes(contentKeyBytes),
  size,
  chunkBytes,
  updatedAtMs: clock.nowMs(),
  have: new Uint8Array(Math.ceil(chunkCount(size, chunkBytes) / 8)),
})

/** Keys of blobs that nobody has sent a chunk of since `before`, Unix milliseconds. */
export function staleIncoming(store: Store, before: number): readonly Uint8Array[] {
  return store.read((tx) => {
    const stale: Uint8Array[] = []
    for (const { key, value } of tx.range(tables.incomingBlobs, {}))
      if (decode(incomingRow, value).updatedAtMs < before) stale.push(key)
    return stale
  })
}

class Incoming implements IncomingBlob {
  readonly #key: Uint8Array
  readonly #row: IncomingRow
  readonly #path: string
  readonly #services: IncomingServices
  readonly #have: Uint8Array
  #finishing: Promise<StoredContent> | undefined

  constructor(parts: { key: Uint8Array; row: IncomingRow; path: string; services: IncomingServices }) {
    this.#key = parts.key
    this.#row = parts.row
    this.#path = parts.path
    this.#services = parts.services
    this.#have = new Uint8Array(parts.row.have)
  }

  missing(): readonly number[] {
    const all = Array.from({ length: chunkCount(this.#row.size, this.#row.chunkBytes) }, (_, index) => index)
    return all.filter((index) => !hasBit(this.#have, index))
  }

  async put(index: number, plaintext: Uint8Array): Promise<void> {
    const { size, chunkBytes } = this.#row
    const count = chunkCount(size, chunkBytes)
    const offset = index * chunkBytes
    if (!Number.isSafeInteger(index) || index < 0 || index >= count) throw new MyceliumError('malformed', { index })
    if (plaintext.length !== Math.min(chunkBytes, size - offset))
      throw new MyceliumError('malformed', { index, bytes: plaintext.length })
    if (hasBit(this.#have, index)) return
    if (!this.#services.store.read((tx) => tx.has(tables.incomingBlobs, this.#key))) this.#expired()
    await withFile(this.#path, 'r+', async (file) => {
      await writeAt(file, sealChunks(this.#row, { plaintext, offset, isEnd: index === count - 1 }))
      await file.datasync()
    })
    const isKept = await this.#services.store.write((tx) => {
      const stored = tx.get(tables.incomingBlobs, this.#key)
      if (stored === undefined) return false
      const row = decode(incomingRow, stored)
      const updatedAtMs = this.#services.ambient.clock.nowMs()
      tx.put(
        tables.incomingBlobs,
        this.#key,
        encode(incomingRow, { ...row, updatedAtMs, have: withBit(row.have, index) }),
      )
      return true
    })
    if (!isKept) this.#expired()
    this.#have[index >> 3]! |= 1 << (index & 7)
  }

  /** Swept as stale: the next one to open it begins anew. */
  #expired(): never {
    this.#services.ended()
    throw new MyceliumError('expired')
  }

  /** Once, whoever asks: a second adoption would take the file for a double of itself. */
  finish(): Promise<StoredContent> {
    this.#finishing ??= this.#finish().catch((error: unknown) => {
      this.#finishing = undefined
      throw error
    })
    return this.#finishing
  }

  async #finish(): Promise<StoredContent> {
    const missing = this.missing().length
    if (missing > 0) throw new MyceliumError('malformed', { missing })
    const { size, file, key } = this.#row
    const hash = createHash('sha256')
    const pieces: Uint8Array[] = []
    for await (const piece of readBlob(this.#path, this.#row, { from: 0, to: size })) {
      hash.update(piece)
      if (size <= limits.messageInlineBytesMax) pieces.push(piece)
    }
    const digest = hash.digest()
    const isSmall = size <= limits.messageInlineBytesMax
    const { content, isKnown } = await this.#services.store.write((tx) => {
      tx.remove(tables.incomingBlobs, this.#key)
      if (!isSmall) return this.#services.adoptBlob(tx, { file, key, size }, digest)
      return { ...this.#services.storeInline(tx, concat(...pieces)), isKnown: true }
    })
    await this.#end({ removeFile: isKnown })
    return { content, size }
  }

  async discard(): Promise<void> {
    await this.#services.store.write((tx) => tx.remove(tables.incomingBlobs, this.#key))
    await this.#end({ removeFile: true })
  }

  async #end({ removeFile }: { removeFile: boolean }): Promise<void> {
    this.#services.ended()
    if (removeFile) await rm(this.#path, { force: true })
  }
}

async function withFile(path: string, mode: 'r+' | 'wx', use: (file: FileHandle) => Promise<void>): Promise<void> {
  await spaceChecked(async () => {
    const file = await open(path, mode, 0o600)
    try {
      await use(file)
    } finally {
      await file.close()
    }
  })
}

const hasBit = (bits: Uint8Array, index: number): boolean => ((bits[index >> 3]! >> (index & 7)) & 1) === 1

function withBit(bits: Uint8Array, index: number): Uint8Array {
  const changed = new Uint8Array(bits)
  changed[index >> 3]! |= 1 << (index & 7)
  return changed
}

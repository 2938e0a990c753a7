/**
 * A blob that arrives in pieces, in any order, over days if need be. The file has its final form from the start, so it
 * proves itself what of it is there: after a kill every chunk that was written is found again. Its row says which
 * chunks were synced as well; that is said for many at a time, and a power failure costs what came since.
 */
import { createHash } from 'node:crypto'
import { type FileHandle, open, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { Ambient } from '../ambient.ts'
import { concat, fromHex, toHex } from '../bytes.ts'
import { decode, encode } from '../codec.ts'
import { aeadTagBytes } from '../crypto/aead.ts'
import { hasCode, MyceliumError } from '../errors.ts'
import type { BlobRoot, ContentId, Identity } from '../ids.ts'
import { limits } from '../limits.ts'
import { chunkCount, readBlob, sealedRange, spaceChecked, syncDirectory, writeChunks } from './blob-file.ts'
import type { StoredContent } from './blobs.ts'
import { type BlobRow, contentKeyBytes, fileIdBytes, incomingRow, type IncomingRow } from './content-rows.ts'
import type { ReadTx, Store, WriteTx } from './store.ts'
import { tables } from './tables.ts'

export interface IncomingBlob {
  /** Numbers of the chunks still to come, ascending. */
  missing(): readonly number[]
  /** Octets that are here. */
  readonly bytes: number
  /**
   * Outlives this process on return, and a power failure after `save`; a chunk that is already there is left alone.
   * @throws `malformed` (number or length), `disk-full`, `expired`
   */
  put(index: number, plaintext: Uint8Array): Promise<void>
  /** All that was put before outlives a power failure. @throws `disk-full`, `expired` */
  save(): Promise<void>
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
  const incoming = new Incoming({ key, row, path, services })
  if (stored !== undefined) await incoming.lookForMore()
  return incoming
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
  #bytes = 0
  /** How many chunks were put in this life, and how many of them the row knows of. */
  #puts = 0
  #savedPuts = 0
  #unsavedBytes = 0
  #savedAtMs: number
  #saving: Promise<void> | undefined
  /** Over all chunks before this one: what comes in order need not be read again. */
  readonly #hash = createHash('sha256')
  #hashedTo = 0
  #finishing: Promise<StoredContent> | undefined

  constructor(parts: { key: Uint8Array; row: IncomingRow; path: string; services: IncomingServices }) {
    this.#key = parts.key
    this.#row = parts.row
    this.#path = parts.path
    this.#services = parts.services
    this.#have = new Uint8Array(parts.row.have)
    this.#savedAtMs = parts.services.ambient.clock.monotonicMs()
    for (let index = 0; index < this.#count; index += 1)
      if (hasBit(this.#have, index)) this.#bytes += this.#length(index)
  }

  get bytes(): number {
    return this.#bytes
  }

  missing(): readonly number[] {
    const all = Array.from({ length: this.#count }, (_, index) => index)
    return all.filter((index) => !hasBit(this.#have, index))
  }

  /** Chunks that were written in an earlier life, and of which the row does not know: each is sealed for its place. */
  async lookForMore(): Promise<void> {
    const { size } = await stat(this.#path)
    for (const index of this.missing()) {
      const { start, end } = sealedRange({ from: index * this.#row.chunkBytes, length: this.#length(index) })
      if (start >= size) break
      if (end <= size && (await this.#isThere(index, end))) this.#took(index)
    }
  }

  async put(index: number, plaintext: Uint8Array): Promise<void> {
    if (!Number.isSafeInteger(index) || index < 0 || index >= this.#count)
      throw new MyceliumError('malformed', { index })
    if (plaintext.length !== this.#length(index))
      throw new MyceliumError('malformed', { index, bytes: plaintext.length })
    if (hasBit(this.#have, index)) return
    if (!this.#services.store.read((tx) => tx.has(tables.incomingBlobs, this.#key))) this.#expired()
    const part = { plaintext, offset: index * this.#row.chunkBytes, isEnd: index === this.#count - 1 }
    await withFile(this.#path, 'r+', async (file) => await writeChunks(file, this.#row, part))
    if (hasBit(this.#have, index)) return
    if (index === this.#hashedTo) {
      this.#hash.update(plaintext)
      this.#hashedTo += 1
    }
    this.#took(index)
    await this.#saveInTime()
  }

  async save(): Promise<void> {
    const puts = this.#puts
    while (this.#savedPuts < puts) {
      this.#saving ??= this.#saveNow().finally(() => (this.#saving = undefined))
      await this.#saving
    }
  }

  get #count(): number {
    return chunkCount(this.#row.size, this.#row.chunkBytes)
  }

  #length(index: number): number {
    return Math.min(this.#row.chunkBytes, this.#row.size - index * this.#row.chunkBytes)
  }

  #took(index: number): void {
    this.#have[index >> 3]! |= 1 << (index & 7)
    this.#bytes += this.#length(index)
    this.#unsavedBytes += this.#length(index)
    this.#puts += 1
  }

  /** Beside what goes on; only where the disk is far behind it has to be waited for. */
  async #saveInTime(): Promise<void> {
    const isLate = this.#services.ambient.clock.monotonicMs() - this.#savedAtMs >= limits.incomingUnsavedMs
    if (this.#unsavedBytes < limits.incomingUnsavedBytes && !isLate) return
    const saved = this.save()
    if (this.#unsavedBytes >= 2 * limits.incomingUnsavedBytes) await saved
    else saved.catch(() => {}) // the next one, or the end, meets the same
  }

  async #saveNow(): Promise<void> {
    const have = new Uint8Array(this.#have)
    const puts = this.#puts
    this.#unsavedBytes = 0
    await withFile(this.#path, 'r+', async (file) => await file.datasync())
    const updatedAtMs = this.#services.ambient.clock.nowMs()
    const isKept = await this.#services.store.write((tx) => {
      if (!tx.has(tables.incomingBlobs, this.#key)) return false
      tx.put(tables.incomingBlobs, this.#key, encode(incomingRow, { ...this.#row, updatedAtMs, have }))
      return true
    })
    if (!isKept) this.#expired()
    this.#savedPuts = puts
    this.#savedAtMs = this.#services.ambient.clock.monotonicMs()
  }

  /** What was never written reads as zeros; what was cut off in the middle does not open. */
  async #isThere(index: number, end: number): Promise<boolean> {
    const tag = Buffer.alloc(aeadTagBytes)
    await withFile(this.#path, 'r+', async (file) => void (await file.read(tag, 0, tag.length, end - tag.length)))
    if (tag.every((octet) => octet === 0)) return false
    const from = index * this.#row.chunkBytes
    try {
      for await (const _ of readBlob(this.#path, this.#row, { from, to: from + this.#length(index) }));
      return true
    } catch (error) {
      if (hasCode(error, 'store-corrupt')) return false
      throw error
    }
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
    await this.save()
    const { size, file, key, chunkBytes } = this.#row
    const isSmall = size <= limits.messageInlineBytesMax
    const pieces: Uint8Array[] = []
    const hash = this.#hash.copy()
    const from = this.#hashedTo * chunkBytes
    for await (const piece of readBlob(this.#path, this.#row, { from, to: size })) hash.update(piece)
    if (isSmall) for await (const piece of readBlob(this.#path, this.#row, { from: 0, to: size })) pieces.push(piece)
    const digest = hash.digest()
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

/**
 * Stored content by id: in its row up to 16 KB, above that in an encrypted file of its own, one for equal contents of an
 * account. A file is durable before a row names it; content that nothing uses is swept after an hour, as is a file that no row names.
 */
import { createHash, type Hash } from 'node:crypto'
import { chmodSync, mkdirSync } from 'node:fs'
import { readdir, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { Ambient } from '../ambient.ts'
import { concat, fromHex, toHex } from '../bytes.ts'
import { decode } from '../codec.ts'
import { MyceliumError } from '../errors.ts'
import type { BlobRoot, ContentId, Identity } from '../ids.ts'
import { limits } from '../limits.ts'
import { readBlob, readBlobInto } from './blob-file.ts'
import { BlobWriter } from './blob-writer.ts'
import { InlineIds } from './inline-ids.ts'
import { ContentRefs } from './content-refs.ts'
import {
  accountKey,
  type BlobRow,
  type ContentRow,
  contentIdOf,
  contentKeyBytes,
  decodeContent,
  encodeContent,
  encodeInline,
  fileIdBytes,
  idBytes,
  refKey,
  sinceCodec,
  unreferencedState,
} from './content-rows.ts'
import { type IncomingBlob, openIncoming, staleIncoming } from './incoming.ts'
import type { ReadTx, Store, WriteTx } from './store.ts'
import { tables } from './tables.ts'

export interface StoredContent {
  readonly content: ContentId
  /** Octets. */
  readonly size: number
}

export interface Blobs extends AsyncDisposable {
  /**
   * Durable on return, unreferenced until retained. @throws `message-too-large` above `bytesMax`, `disk-full`, what the
   * source throws
   */
  store(
    account: Identity,
    source: AsyncIterable<Uint8Array>,
    options: { readonly bytesMax: number },
  ): Promise<StoredContent>
  /** The same inside a transaction, for up to `limits.storedRowBytesMax` octets. @throws `message-too-large` */
  storeInline(tx: WriteTx, account: Identity, bytes: Uint8Array): StoredContent
  /** One use more: content in use is kept. @throws `no-such-message` when there is no such content */
  retain(tx: WriteTx, account: Identity, content: ContentId): void
  /** One use less; the last one starts the grace time. */
  /** The same for content that a message has: it is there. */
  retainOf(tx: WriteTx, account: Identity, content: ContentId): void

  release(tx: WriteTx, account: Identity, content: ContentId): void
  /** Octets; `undefined` when there is no such content. */
  sizeOf(account: Identity, content: ContentId): number | undefined
  /** From `from` (inclusive) to `to` (exclusive), decrypting only what is asked. @throws `no-such-message`, `store-corrupt` */
  read(
    account: Identity,
    content: ContentId,
    range?: { readonly from: number; readonly to: number },
  ): AsyncIterable<Uint8Array>
  /**
   * Fills `target` with what begins at `from`: a multiple of `limits.blobChunkBytes`, as is its length unless it reaches
   * the end. @throws as `read`
   */
  readInto(account: Identity, content: ContentId, from: number, target: Uint8Array): Promise<void>
  /** All octets when they are in the row; `undefined` for blobs. @throws `no-such-message` */
  readInline(account: Identity, content: ContentId): Uint8Array | undefined
  /**
   * A blob on its way from another gateway; goes on where it was after a restart. Chunks are plaintext that the caller
   * has verified against `root`. @throws `malformed`, `too-large`, `disk-full`
   */
  openIncoming(
    account: Identity,
    root: BlobRoot,
    options: { readonly size: number; readonly chunkBytes: number },
  ): Promise<IncomingBlob>
  /** `effect` runs in the transaction that removes a content, with its key: account and content id. */
  onRemoval(effect: (tx: WriteTx, key: Uint8Array) => void): void
  /** Until it is disposed of, no file goes because nothing refers to it any more: a backup is reading. */
  keepAll(): Disposable
  /** Removes what has been unreferenced for longer than the grace time. */
  sweep(): Promise<{ readonly contents: number; readonly files: number }>
}

const sweepEveryMs = 10 * 60_000
const sweepRowsMax = 500

/** @param path directory of the files; made with owner-only permissions */
export async function openBlobs(
  { path, store }: { readonly path: string; readonly store: Store },
  ambient: Ambient,
): Promise<Blobs> {
  mkdirSync(path, { recursive: true, mode: 0o700 })
  chmodSync(path, 0o700)
  return new FileBlobs(path, store, ambient)
}

class FileBlobs implements Blobs {
  readonly #path: string
  readonly #store: Store
  readonly #ambient: Ambient
  readonly #refs: ContentRefs
  readonly #timer: NodeJS.Timeout
  readonly #accountKeys = new Map<Identity, Uint8Array>()
  readonly #contentKeys = new Map<Identity, Uint8Array>()
  readonly #incoming = new Map<string, Promise<IncomingBlob>>()
  readonly #inlineIds: InlineIds
  /** Files that have no row yet because they are being written: never swept, whatever the clock says. */
  readonly #writing = new Set<string>()
  readonly #removalEffects: ((tx: WriteTx, key: Uint8Array) => void)[] = []
  #lastKey: { readonly account: Identity; readonly content: ContentId; readonly key: Uint8Array } | undefined
  #sweeping: Promise<{ contents: number; files: number }> | undefined
  #keepers = 0

  constructor(path: string, store: Store, ambient: Ambient) {
    this.#path = path
    this.#store = store
    this.#ambient = ambient
    this.#inlineIds = new InlineIds(ambient.random)
    this.#refs = new ContentRefs(() => ambient.clock.nowMs())
    this.#timer = setInterval(() => void this.#sweepQuietly(), sweepEveryMs)
    this.#timer.unref()
  }

  async store(
    account: Identity,
    source: AsyncIterable<Uint8Array>,
    { bytesMax }: { readonly bytesMax: number },
  ): Promise<StoredContent> {
    const pending: Uint8Array[] = []
    const hash = createHash('sha256')
    let size = 0
    let blob: BlobWriter | undefined
    try {
      for await (const piece of source) {
        size += piece.length
        if (size > bytesMax) throw new MyceliumError('message-too-large', { bytesMax })
        hash.update(piece)
        pending.push(new Uint8Array(piece))
        if (size <= limits.messageInlineBytesMax) continue
        if (blob === undefined) {
          blob = await BlobWriter.create(this.#path, this.#ambient)
          this.#writing.add(toHex(blob.row.file))
        }
        await blob.append(pending.splice(0))
      }
      if (blob === undefined) return await this.#store.write((tx) => this.storeInline(tx, account, concat(...pending)))
      await blob.finish()
      return await this.#adopt(account, { ...blob.row, size }, hash)
    } catch (error) {
      await blob?.discard()
      throw error
    } finally {
      if (blob !== undefined) this.#writing.delete(toHex(blob.row.file))
    }
  }

  /** Names a durable file in the store; the file goes when the account has the same content already. */
  async #adopt(account: Identity, row: BlobRow, hash: Hash): Promise<StoredContent> {
    const digest = hash.digest()
    const { content, isKnown } = await this.#store.write((tx) => this.adoptBlob(tx, account, row, digest))
    if (isKnown) await rm(this.#fileOf(row), { force: true })
    return { content, size: row.size }
  }

  adoptBlob(
    tx: WriteTx,
    account: Identity,
    row: BlobRow,
    digest: Uint8Array,
  ): { readonly content: ContentId; readonly isKnown: boolean } {
    const content = contentIdOf(this.#contentKey(tx, account), digest)
    const key = this.#key(tx, account, content)
    const isKnown = tx.has(tables.contents, key)
    if (!isKnown) {
      tx.put(tables.contents, key, encodeContent({ kind: 'blob', ...row }))
      tx.put(tables.blobs, row.file, this.#accountKey(tx, account))
    }
    this.#touch(tx, key, isKnown)
    return { content, isKnown }
  }

  storeInline(tx: WriteTx, account: Identity, bytes: Uint8Array): StoredContent {
    if (bytes.length > limits.storedRowBytesMax)
      throw new MyceliumError('message-too-large', { bytesMax: limits.storedRowBytesMax })
    const content = this.#inlineIds.next()
    const key = this.#key(tx, account, content)
    tx.put(tables.contents, key, encodeInline(bytes))
    this.#refs.add(tx, key, 0, true)
    return { content, size: bytes.length }
  }

  /** New content starts unreferenced; known content that is unreferenced gets its grace time anew. */
  #touch(tx: WriteTx, key: Uint8Array, isKnown: boolean): void {
    if (!isKnown) this.#refs.add(tx, key, 0, true)
    else if (tx.has(tables.contentRefs, refKey(unreferencedState, key))) this.#refs.add(tx, key, 0)
  }

  retain(tx: WriteTx, account: Identity, content: ContentId): void {
    const key = this.#key(tx, account, content)
    if (!this.#refs.isNew(tx, key) && !tx.has(tables.contents, key)) throw new MyceliumError('no-such-message')
    this.#refs.add(tx, key, 1)
  }

  retainOf(tx: WriteTx, account: Identity, content: ContentId): void {
    this.#refs.add(tx, this.#key(tx, account, content), 1)
  }

  release(tx: WriteTx, account: Identity, content: ContentId): void {
    this.#refs.add(tx, this.#key(tx, account, content), -1)
  }

  sizeOf(account: Identity, content: ContentId): number | undefined {
    const row = this.#row(account, content)
    return row?.kind === 'inline' ? row.bytes.length : row?.size
  }

  async *read(
    account: Identity,
    content: ContentId,
    { from, to }: { readonly from: number; readonly to: number } = { from: 0, to: Number.MAX_SAFE_INTEGER },
  ): AsyncGenerator<Uint8Array> {
    const row = this.#known(account, content)
    if (row.kind === 'blob') {
      yield* readBlob(this.#fileOf(row), row, { from: Math.max(0, from), to })
      return
    }
    const part = row.bytes.subarray(Math.max(0, from), Math.max(0, to))
    if (part.length > 0) yield part
  }

  async readInto(account: Identity, content: ContentId, from: number, target: Uint8Array): Promise<void> {
    const row = this.#known(account, content)
    if (row.kind === 'blob') await readBlobInto(this.#fileOf(row), row, from, target)
    else target.set(row.bytes.subarray(from, from + target.length))
  }

  readInline(account: Identity, content: ContentId): Uint8Array | undefined {
    const row = this.#known(account, content)
    return row.kind === 'inline' ? row.bytes : undefined
  }

  async openIncoming(
    account: Identity,
    root: BlobRoot,
    options: { readonly size: number; readonly chunkBytes: number },
  ): Promise<IncomingBlob> {
    const name = `${account}/${root}`
    const current = this.#incoming.get(name)
    if (current !== undefined) return await current
    const opened = openIncoming(
      { account, root, ...options },
      {
        path: this.#path,
        store: this.#store,
        ambient: this.#ambient,
        accountKey: (tx) => this.#accountKey(tx, account),
        storeInline: (tx, bytes) => this.storeInline(tx, account, bytes),
        adoptBlob: (tx, row, digest) => this.adoptBlob(tx, account, row, digest),
        ended: () => this.#incoming.delete(name),
      },
    )
    this.#incoming.set(name, opened)
    try {
      return await opened
    } catch (error) {
      this.#incoming.delete(name)
      throw error
    }
  }

  onRemoval(effect: (tx: WriteTx, key: Uint8Array) => void): void {
    this.#removalEffects.push(effect)
  }

  keepAll(): Disposable {
    this.#keepers += 1
    return { [Symbol.dispose]: () => void (this.#keepers -= 1) }
  }

  sweep(): Promise<{ readonly contents: number; readonly files: number }> {
    if (this.#keepers > 0) return Promise.resolve({ contents: 0, files: 0 })
    this.#sweeping ??= this.#sweep().finally(() => (this.#sweeping = undefined))
    return this.#sweeping
  }

  async #sweepQuietly(): Promise<void> {
    try {
      await this.sweep()
    } catch (error) {
      const code = error instanceof MyceliumError ? error.code : 'unknown'
      this.#ambient.log.warn('blobs.sweep-failed', { code })
    }
  }

  async #sweep(): Promise<{ contents: number; files: number }> {
    const before = this.#ambient.clock.nowMs() - limits.blobGraceMs
    let contents = 0
    for (let from: Uint8Array | undefined = Uint8Array.of(unreferencedState); from !== undefined;) {
      const slice: Uint8Array[] = this.#unreferencedSlice(from)
      const removed = await this.#store.write(
        (tx) => slice.filter((key) => this.#removeContent(tx, key, before)).length,
      )
      contents += removed
      const last = slice.at(-1)
      from = slice.length < sweepRowsMax || last === undefined ? undefined : concat(last, Uint8Array.of(0))
    }
    for (const key of staleIncoming(this.#store, this.#ambient.clock.nowMs() - limits.incomingBlobAgeMs))
      await this.#store.write((tx) => tx.remove(tables.incomingBlobs, key))
    return { contents, files: await this.#sweepFiles(before) }
  }

  #unreferencedSlice(from: Uint8Array): Uint8Array[] {
    const prefix = Uint8Array.of(unreferencedState)
    return this.#store.read((tx) => [...tx.keys(tables.contentRefs, { prefix, from, limit: sweepRowsMax })])
  }

  /** False when the content came into use again, or too lately went out of it. */
  #removeContent(tx: WriteTx, key: Uint8Array, before: number): boolean {
    const since = tx.get(tables.contentRefs, key)
    if (since === undefined || decode(sinceCodec, since) > before) return false
    const contentKey = key.subarray(1)
    const value = tx.get(tables.contents, contentKey)
    const row = value === undefined ? undefined : decodeContent(value)
    if (row?.kind === 'blob') tx.remove(tables.blobs, row.file)
    tx.remove(tables.contents, contentKey)
    tx.remove(tables.contentRefs, key)
    for (const effect of this.#removalEffects) effect(tx, contentKey)
    return true
  }

  /** Files that no row names: of swept content, or of a crash between the file and its row. */
  async #sweepFiles(before: number): Promise<number> {
    const incoming = this.#store.read((tx) => {
      const files = new Set<string>()
      for (const { value } of tx.range(tables.incomingBlobs, {})) files.add(toHex(value.subarray(0, fileIdBytes)))
      return files
    })
    let removed = 0
    for (const name of await readdir(this.#path)) {
      const file = fromHex(name)
      if (incoming.has(name) || this.#writing.has(name.slice(0, 2 * fileIdBytes))) continue
      if (file?.length === fileIdBytes && this.#store.read((tx) => tx.has(tables.blobs, file))) continue
      const path = join(this.#path, name)
      const { mtimeMs } = await stat(path)
      if (mtimeMs > before) continue
      if (this.#keepers > 0) break // a backup has begun since
      await rm(path, { force: true })
      removed += 1
    }
    return removed
  }

  #fileOf(row: BlobRow): string {
    return join(this.#path, toHex(row.file))
  }

  #known(account: Identity, content: ContentId): ContentRow {
    const row = this.#row(account, content)
    if (row === undefined) throw new MyceliumError('no-such-message')
    return row
  }

  #row(account: Identity, content: ContentId): ContentRow | undefined {
    const value = this.#store.read((tx) => tx.get(tables.contents, this.#key(tx, account, content)))
    return value === undefined ? undefined : decodeContent(value)
  }

  #key(tx: ReadTx, account: Identity, content: ContentId): Uint8Array {
    // what was just stored is put into a mailbox next
    if (this.#lastKey?.content !== content || this.#lastKey.account !== account)
      this.#lastKey = { account, content, key: concat(this.#accountKey(tx, account), idBytes(content)) }
    return this.#lastKey.key
  }

  #accountKey(tx: ReadTx, account: Identity): Uint8Array {
    let key = this.#accountKeys.get(account)
    if (key === undefined) this.#accountKeys.set(account, (key = accountKey(tx, account)))
    return key
  }

  /** Made with the account's first content; kept in memory only once it is durable. */
  #contentKey(tx: WriteTx, account: Identity): Uint8Array {
    const kept = this.#contentKeys.get(account)
    if (kept !== undefined) return kept
    const row = this.#accountKey(tx, account)
    const stored = tx.get(tables.contentKeys, row)
    const key = stored ?? this.#ambient.random.bytes(contentKeyBytes)
    if (stored === undefined) tx.put(tables.contentKeys, row, key)
    tx.afterCommit(() => this.#contentKeys.set(account, key))
    return key
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#timer)
    await this.#sweeping?.catch(() => {})
  }
}

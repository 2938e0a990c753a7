/**
 * Files of conversations. What a client sends is stored and given a root; what others send is fetched from whoever holds
 * it, in the background and across restarts, and is kept as long as its message is. Who keeps a file answers for its
 * root, so that others need not wait for its author.
 */
import type { FileUse } from '../account/file-use.ts'
import type { Ambient } from '../ambient.ts'
import type { Conversations } from '../conversation/conversations.ts'
import { aboutOf, type Arriving } from '../conversation/history.ts'
import type { MessageRow } from '../conversation/rows.ts'
import { MyceliumError } from '../errors.ts'
import { type BlobRoot, type ConversationId, type DeviceId, type Identity, type MessageId, short } from '../ids.ts'
import { limits } from '../limits.ts'
import type { Mailboxes, StoredContent } from '../mailbox/mailbox.ts'
import type { BlobContent, Content } from '../message/content.ts'
import { blobOf, decodeMessage } from '../message/message.ts'
import type { FilePart, Thumbnail } from '../message/part.ts'
import type { ReadTx, Store, WriteTx } from '../store/store.ts'
import { chunkBytesFor } from './blob-chunks.ts'
import type { BlobSource, PreparedBlob } from './blob-source.ts'
import type { Delivered } from './deliver.ts'
import type { Fetches, FetchProgress } from './fetches.ts'
import { fileNameOf } from './file-name.ts'
import {
  type ArrivingFile,
  arrivingFile,
  arrivingFiles,
  type FileOf,
  fileStanding,
  type FileStanding,
  keptFile,
  keptFiles,
  putArriving,
  putKept,
  removeArriving,
  removeKept,
} from './file-rows.ts'
import type { Refusal } from './items.ts'
import type { GatewayAddress } from './ports.ts'
import { Pursuits, Turns } from './pursuits.ts'
import type { RunClock } from './run-clock.ts'

interface FileParts {
  readonly store: Store
  readonly mailboxes: Mailboxes
  readonly conversations: Conversations
  readonly blobSource: BlobSource
  readonly fetches: Fetches
  readonly fileUse: FileUse
  readonly runClock: RunClock
  readonly ambient: Ambient
  readonly thumbnailOf: (bytes: Uint8Array) => Promise<Thumbnail | undefined>
  /** Who may hold it, best first: the author's devices, and others who have the same message. */
  readonly sourcesOf: (file: ArrivingFile) => readonly GatewayAddress[]
  /** Octets of files that this author may send this account in a day. */
  readonly dayBytesMax: (account: Identity, author: Identity) => number
  /** After the commit: it is here, and its author waits to hear so. */
  readonly onHere: (file: {
    readonly account: Identity
    readonly author: Identity
    readonly device: DeviceId
    readonly message: MessageId
  }) => void
}

/** A file that is stored here and in no message yet; goes with its scope, or an hour later, unless it was said. */
export interface PreparedFile extends Disposable {
  readonly part: FilePart
}

const dayMs = 24 * 3600_000

export class Files implements AsyncDisposable {
  readonly #parts: FileParts
  readonly #pursuits: Pursuits
  readonly #turns = new Turns(limits.filesAtOnce)
  /** By root: made here, and not yet in a message. */
  readonly #prepared = new Map<BlobRoot, PreparedBlob>()
  /** By name of its pursuit: ends what is being fetched and is not wanted any more. */
  readonly #goes = new Map<string, AbortController>()
  /** Octets promised to each author in this day: bounded, in memory. */
  readonly #promised = new Map<string, number>()
  #day = 0

  constructor(parts: FileParts) {
    this.#parts = parts
    this.#pursuits = new Pursuits(parts.ambient)
    parts.conversations.whenShown((...shown) => this.#shown(...shown))
  }

  /** Takes up what an earlier run left. */
  start(): void {
    for (const file of this.#parts.store.read((tx) => arrivingFiles(tx)))
      if (file.refused === undefined) this.#run(file)
  }

  nudge(): void {
    this.#pursuits.nudge()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#pursuits[Symbol.asyncDispose]()
  }

  /**
   * Stores a file that is to be said in a message of this account: the part goes into a draft.
   * @param bytes its size where that is known: it is then read once
   * @throws `message-too-large`, `mailbox-full`, `disk-full`, what the source throws
   */
  async prepare(
    account: Identity,
    source: AsyncIterable<Uint8Array>,
    {
      name,
      mediaType,
      bytes,
      signal,
    }: { readonly name: string; readonly mediaType: string; readonly bytes?: number; readonly signal: AbortSignal },
  ): Promise<PreparedFile> {
    const { mailboxes, blobSource } = this.#parts
    if (bytes !== undefined) this.#checkRoom(account, bytes)
    const making =
      bytes === undefined || bytes <= limits.messageInlineBytesMax ? undefined : blobSource.prepareAlong(account, bytes)
    const read = interruptible(source, signal)
    const stored = await mailboxes.store(account, making?.watched(read) ?? read, { bytesMax: limits.fileBytesMax })
    this.#checkRoom(account, stored.size)
    const thumbnail = await this.#thumbnail(account, stored)
    const part = { kind: 'file', name: fileNameOf(name), mediaType, thumbnail } as const
    if (stored.size <= limits.messageInlineBytesMax) {
      const content = { kind: 'inline', bytes: await this.#whole(account, stored) } as const
      return { part: { ...part, content }, [Symbol.dispose]: () => {} }
    }
    const prepared = making?.finish(stored) ?? (await blobSource.prepare(account, stored))
    signal.throwIfAborted()
    const { root } = prepared.content
    this.#prepared.set(root, prepared)
    return { part: { ...part, content: prepared.content }, [Symbol.dispose]: () => void this.#prepared.delete(root) }
  }

  /** What its message's author is to be answered for the sake of its file; `outcome` where that is settled, `undefined` while it is not. */
  settled(tx: ReadTx, account: Identity, { id, message }: Arriving, outcome: Delivered): Delivered | undefined {
    if (blobOf(message) === undefined) return outcome
    const of = { account, message: id }
    if (keptFile(tx, of) !== undefined) return outcome
    const coming = arrivingFile(tx, of)
    if (coming?.refused !== undefined) return { kind: 'refused', reason: coming.refused }
    if (coming !== undefined) return undefined
    // one that waits for what it cites is fetched when it is shown; one that was taken back has nothing to fetch
    return this.#parts.conversations.history.message(tx, account, id)?.state === 'waiting' ? undefined : outcome
  }

  /** Tries again what was refused, given up, or removed here. @throws `no-such-message`, `mailbox-full`, `message-too-large` */
  async fetch(account: Identity, message: MessageId): Promise<void> {
    await this.#parts.store.write((tx) => {
      const row = this.#parts.conversations.history.message(tx, account, message)
      if (row?.state !== 'shown') throw new MyceliumError('no-such-message')
      const arriving = { id: message, encoded: row.encoded, message: decodeMessage(row.encoded) }
      const content = blobOf(arriving.message)
      const known = arrivingFile(tx, { account, message })
      const isComing = known !== undefined && known.refused === undefined
      if (content === undefined || isComing || keptFile(tx, { account, message }) !== undefined) return
      this.#checkRoom(account, content.size)
      this.#begin(tx, { ...this.#fileOf(account, arriving, row.conversation, content), isAwaited: false })
    })
  }

  standing(account: Identity, message: MessageId): FileStanding | undefined {
    const { conversations, store, fetches } = this.#parts
    const content = conversations.message(account, message)?.file?.part.content
    if (content === undefined) return undefined
    const standing = store.read((tx) => fileStanding(tx, account, message, content))
    if (standing.state !== 'coming' || content.kind === 'inline') return standing
    const progress = fetches.progress({ account, root: content.root })
    return progress === undefined
      ? standing
      : { ...standing, bytes: progress.bytes, bytesPerSecond: progress.bytesPerSecond }
  }

  /** Progress of what is on its way; returns how to stop. */
  watch(listener: (progress: FetchProgress) => void): () => void {
    return this.#parts.fetches.watch(listener)
  }

  /** From `from` (inclusive) to `to` (exclusive). @throws `no-such-message` while it is not here */
  read(
    account: Identity,
    message: MessageId,
    range?: { readonly from: number; readonly to: number },
  ): AsyncIterable<Uint8Array> {
    const { conversations, store, mailboxes } = this.#parts
    const content: Content | undefined = conversations.message(account, message)?.file?.part.content
    if (content?.kind === 'inline') return once(content.bytes.subarray(range?.from ?? 0, range?.to))
    const kept = store.read((tx) => keptFile(tx, { account, message }))
    if (kept === undefined) throw new MyceliumError('no-such-message')
    return mailboxes.read(account, kept.content, range)
  }

  /** Its message was taken back: it goes, and nobody gets it from here. */
  #forget(tx: WriteTx, of: FileOf): void {
    const { mailboxes, fileUse } = this.#parts
    const coming = arrivingFile(tx, of)
    if (coming !== undefined) {
      removeArriving(tx, of)
      if (coming.refused === undefined) fileUse.add(tx, of.account, -coming.size)
      tx.afterCommit(() => {
        this.#goes.get(of.account + of.message)?.abort(new MyceliumError('expired'))
        this.nudge()
      })
    }
    const kept = keptFile(tx, of)
    if (kept === undefined) return
    removeKept(tx, kept)
    fileUse.add(tx, of.account, -kept.size)
    mailboxes.release(tx, of.account, kept.content)
  }

  #shown(tx: WriteTx, account: Identity, row: MessageRow, arriving: Arriving): void {
    const about = aboutOf(arriving.message)
    if (about?.kind === 'redaction' && row.state === 'shown') this.#forget(tx, { account, message: about.target })
    const content = blobOf(arriving.message)
    if (content === undefined || row.state !== 'shown') return
    const prepared = arriving.message.author === account ? this.#prepared.get(content.root) : undefined
    if (prepared !== undefined) this.#keep(tx, { account, message: arriving.id, content, stored: prepared.served })
    else this.#expect(tx, this.#fileOf(account, arriving, row.conversation, content))
  }

  #fileOf(
    account: Identity,
    { id, message }: Arriving,
    conversation: ConversationId,
    content: BlobContent,
  ): ArrivingFile {
    const { kind: _, ...blob } = content
    return {
      account,
      message: id,
      ...blob,
      key: Uint8Array.from(blob.key),
      author: message.author,
      device: message.device,
      conversation,
      // a group's message was answered for when it came
      isAwaited: message.place?.kind === 'direct',
      sinceMs: this.#parts.ambient.clock.nowMs(),
      sinceRunMs: this.#parts.runClock.runMs(),
      refused: undefined,
    }
  }

  #expect(tx: WriteTx, file: ArrivingFile): void {
    const refused = this.#refusal(file)
    if (refused === undefined) this.#begin(tx, file)
    else putArriving(tx, { ...file, refused })
  }

  #begin(tx: WriteTx, file: ArrivingFile): void {
    putArriving(tx, file)
    this.#parts.fileUse.add(tx, file.account, file.size)
    tx.afterCommit(() => this.#run(file))
  }

  #refusal({ account, author, size, chunkBytes }: ArrivingFile): Refusal | undefined {
    if (size <= limits.messageInlineBytesMax || chunkBytes !== chunkBytesFor(size)) return 'malformed'
    if (size > limits.fileBytesMax) return 'message-too-large'
    if (this.#parts.mailboxes.isFull(account, size)) return 'mailbox-full'
    const day = Math.floor(this.#parts.ambient.clock.nowMs() / dayMs)
    if (day !== this.#day) this.#promised.clear()
    this.#day = day
    const bytes = (this.#promised.get(account + author) ?? 0) + size
    if (bytes > this.#parts.dayBytesMax(account, author)) return 'mailbox-full'
    this.#promised.set(account + author, bytes)
    return undefined
  }

  #checkRoom(account: Identity, bytes: number): void {
    if (bytes > limits.fileBytesMax) throw new MyceliumError('message-too-large', { bytesMax: limits.fileBytesMax })
    if (this.#parts.mailboxes.isFull(account, bytes)) throw new MyceliumError('mailbox-full')
  }

  #run(file: ArrivingFile): void {
    const { fetches } = this.#parts
    const wanted = { ...file, label: short(file.message) }
    const name = file.account + file.message
    this.#pursuits.run({
      name,
      label: wanted.label,
      attempt: async () => await this.#turns.take(file.account + file.author, async () => await this.#attempt(file)),
      onBegin: () => fetches.want(wanted),
      onEnd: () => {
        this.#goes.delete(name)
        fetches.unwant(wanted)
      },
    })
  }

  /** True when it is here, or nobody wants it any more. */
  async #attempt(file: ArrivingFile): Promise<boolean> {
    const { store, runClock, fetches, sourcesOf } = this.#parts
    if (this.#pursuits.signal.aborted) return true
    const go = new AbortController()
    this.#goes.set(file.account + file.message, go)
    const signal = AbortSignal.any([this.#pursuits.signal, go.signal])
    if (store.read((tx) => arrivingFile(tx, file)) === undefined) {
      await fetches.discard(file)
      return true
    }
    if (runClock.ageMs({ wallMs: file.sinceMs, runMs: file.sinceRunMs }) >= limits.messageExpiryMs) {
      await store.write((tx) => this.#forget(tx, file))
      await fetches.discard(file)
      return true
    }
    const stored = await fetches.fetch(file, sourcesOf(file), { signal })
    await store.write((tx) => this.#arrived(tx, file, stored))
    return true
  }

  #arrived(tx: WriteTx, file: ArrivingFile, stored: StoredContent): void {
    const { fileUse, onHere } = this.#parts
    const { account, message } = file
    if (arrivingFile(tx, file) === undefined) return // taken back meanwhile
    removeArriving(tx, file)
    fileUse.add(tx, account, -file.size)
    this.#keep(tx, { account, message, content: { kind: 'blob', ...file }, stored })
    if (file.isAwaited) tx.afterCommit(() => onHere(file))
  }

  #keep(
    tx: WriteTx,
    { account, message, content, stored }: FileOf & { readonly content: BlobContent; readonly stored: StoredContent },
  ): void {
    const { mailboxes, fileUse, conversations } = this.#parts
    const { root, key, size, chunkBytes } = content
    mailboxes.retain(tx, account, stored.content)
    putKept(tx, { account, message, root, key: Uint8Array.from(key), size, chunkBytes, content: stored.content })
    fileUse.add(tx, account, size)
    // after all that is shown has its row
    tx.beforeCommit(() => conversations.history.setFile(tx, account, message, stored.content))
  }

  async #thumbnail(account: Identity, stored: StoredContent): Promise<Thumbnail | undefined> {
    if (stored.size > limits.imageBytesMax) return undefined
    return await this.#parts.thumbnailOf(await this.#whole(account, stored))
  }

  async #whole(account: Identity, { content, size }: StoredContent): Promise<Uint8Array> {
    const bytes = new Uint8Array(size)
    let at = 0
    for await (const piece of this.#parts.mailboxes.read(account, content)) {
      bytes.set(piece, at)
      at += piece.length
    }
    return bytes
  }
}

/** Those of an account that is going. */
export function forgetFiles(
  tx: WriteTx,
  account: Identity,
  parts: { readonly mailboxes: Pick<Mailboxes, 'release'>; readonly fileUse: FileUse },
): void {
  for (const file of arrivingFiles(tx, account)) {
    removeArriving(tx, file)
    if (file.refused === undefined) parts.fileUse.add(tx, account, -file.size)
  }
  for (const file of keptFiles(tx, account)) {
    removeKept(tx, file)
    parts.fileUse.add(tx, account, -file.size)
    parts.mailboxes.release(tx, account, file.content)
  }
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  if (bytes.length > 0) yield bytes
}

async function* interruptible(source: AsyncIterable<Uint8Array>, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  for await (const piece of source) {
    signal.throwIfAborted()
    yield piece
  }
}

/**
 * Mail whose content is still on its way: its descriptor is durable, its chunks are fetched in the background across
 * restarts and lost connections, and only when all of it is stored does it enter a mailbox and is acknowledged.
 */
import type { Ambient } from '../ambient.ts'
import { concat } from '../bytes.ts'
import {
  array,
  type Codec,
  decode,
  encode,
  fixed,
  hexId,
  literal,
  optional,
  record,
  text,
  u32,
  u64,
  union,
} from '../codec.ts'
import { hasCode, MyceliumError } from '../errors.ts'
import type { Address, BlobRoot, ContentId, DeviceId, Identity, MessageId } from '../ids.ts'
import { short } from '../ids.ts'
import { limits } from '../limits.ts'
import type { Mailboxes, StoredContent } from '../mailbox/mailbox.ts'
import type { BlobContent } from '../message/content.ts'
import type { ReversePath } from '../message/part.ts'
import type { Blobs } from '../store/blobs.ts'
import type { IncomingBlob } from '../store/incoming.ts'
import type { ReadTx, Store, WriteTx } from '../store/store.ts'
import { tables } from '../store/tables.ts'
import {
  chunkAnswerBytesMax,
  chunkCount,
  decodeChunkAnswer,
  encodeChunkRequest,
  openChunk,
  proofHolds,
} from './blob-chunks.ts'
import type { Delivered, Deliverer } from './deliver.ts'
import type { PeerDevice } from './needs.ts'
import type { Overlay } from './ports.ts'
import { notifies, notifyCodec, returnedCodec } from './outbox.ts'
import { type Reportable, reportedHead } from './reports.ts'
import { reconnectDelayMs } from './retry.ts'
import type { RunClock } from './run-clock.ts'
import type { ReceivedMessage } from './tombstones.ts'

interface ArrivingMail extends ReceivedMessage {
  readonly from: ReversePath
}

/** When its descriptor came: it is given up when both clocks say that no sender can still have it. */
interface Since {
  readonly sinceMs: number
  readonly sinceRunMs: number
}

/** What the sender of a local one is to hear. */
export type Reporting = Omit<Reportable, 'account' | 'mail'>

type Arrival = ArrivingMail &
  Since &
  (
    | {
        readonly kind: 'local'
        readonly content: ContentId
        readonly size: number
        readonly reporting: Reporting
      }
    | {
        readonly kind: 'remote'
        readonly device: DeviceId
        readonly root: BlobRoot
        readonly key: Uint8Array
        readonly size: number
        readonly chunkBytes: number
      }
  )

const mailFields = {
  account: hexId<Identity>(32),
  author: hexId<Identity>(32),
  id: hexId<MessageId>(32),
  sentAtMs: u64,
  from: text(limits.addressOctetsMax) as unknown as Codec<ReversePath>,
  sinceMs: u64,
  sinceRunMs: u64,
}
const reportingCodec = record<Reporting>({
  address: text(limits.addressOctetsMax) as unknown as Codec<Address>,
  notify: array(notifyCodec, notifies.length),
  originalRecipient: optional(text(limits.dsnTextOctetsMax)),
  envelopeId: optional(text(limits.dsnTextOctetsMax)),
  returned: returnedCodec,
  submittedAtMs: u64,
})
const arrivalCodec = union<Arrival>({
  local: {
    tag: 0,
    codec: record({
      kind: literal('local'),
      ...mailFields,
      content: hexId<ContentId>(32),
      size: u64,
      reporting: reportingCodec,
    }),
  },
  remote: {
    tag: 1,
    codec: record({
      kind: literal('remote'),
      ...mailFields,
      device: hexId<DeviceId>(32),
      root: hexId<BlobRoot>(32),
      key: fixed(32),
      size: u64,
      chunkBytes: u32,
    }),
  },
})

type RemoteArrival = Extract<Arrival, { readonly kind: 'remote' }>

interface ArrivalParts {
  readonly store: Store
  readonly blobs: Blobs
  readonly mailboxes: Mailboxes
  readonly deliverer: Deliverer
  readonly overlay: Overlay
  readonly runClock: RunClock
  readonly ambient: Ambient
  /**
   * The device that wrote it, or one that has taken its place: a home that came out of a backup goes on as another device
   * with what waited there. `undefined` when none is known.
   */
  readonly deviceOf: (account: Identity, author: Identity, device: DeviceId) => PeerDevice | undefined
  /** Mail from another account of this gateway is in or refused with this transaction: its author is to be told. */
  readonly onLocal: (tx: WriteTx, about: Reportable, outcome: Delivered) => void
  /** The mail is in (or refused) after the commit: its author's device is to be told. */
  readonly onSettled: (mail: ArrivingMail, device: DeviceId, outcome: Delivered) => void
}

const raw = (hex: string): Uint8Array => Buffer.from(hex, 'hex')

export class Arrivals implements AsyncDisposable {
  readonly #parts: ArrivalParts
  readonly #stop = new AbortController()
  readonly #running = new Map<string, Promise<void>>()
  /** Those of `#running` whose content comes from elsewhere. */
  readonly #waiting = new Map<string, RemoteArrival>()
  readonly #wake = new Set<() => void>()
  #nudges = 0
  readonly #turns = new Map<string, { busy: number; readonly waiting: (() => void)[] }>()

  constructor(parts: ArrivalParts) {
    this.#parts = parts
  }

  /** Takes up what an earlier run left. */
  start(): void {
    const waiting = this.#parts.store.read((tx) =>
      [...tx.range(tables.partials, {})].map(({ value }) => decode(arrivalCodec, value)),
    )
    for (const arrival of waiting) this.#run(arrival)
  }

  /** Somebody became reachable: do not wait longer. */
  nudge(): void {
    this.#nudges += 1
    for (const wake of this.#wake) wake()
  }

  has(tx: ReadTx, account: Identity, id: MessageId): boolean {
    return tx.has(tables.partials, this.#key(tx, account, id))
  }

  addRemote(tx: WriteTx, mail: ArrivingMail, device: DeviceId, { root, key, size, chunkBytes }: BlobContent): void {
    this.#add(tx, {
      kind: 'remote',
      ...mail,
      ...this.#now(),
      device,
      root,
      key: Uint8Array.from(key),
      size,
      chunkBytes,
    })
  }

  /** From one account of this gateway to another: the author's content is held until it is copied. */
  addLocal(tx: WriteTx, mail: ArrivingMail, { content, size }: StoredContent, reporting: Reporting): void {
    this.#parts.mailboxes.retain(tx, mail.author, content)
    this.#add(tx, { kind: 'local', ...mail, ...this.#now(), content, size, reporting })
  }

  /**
   * A chunk that came by another way than being asked for. What belongs to no mail on its way is left alone: the mail is
   * in, or its descriptor has not come. @returns whether it is durable, or wrong
   */
  async takeChunk(
    account: Identity,
    author: Identity,
    { root, index, answer }: { readonly root: BlobRoot; readonly index: number; readonly answer: Uint8Array },
  ): Promise<boolean> {
    const arrival = [...this.#waiting.values()].find(
      (one) => one.account === account && one.author === author && one.root === root,
    )
    if (arrival === undefined) return false
    const incoming = await this.#parts.blobs.openIncoming(account, root, arrival)
    try {
      await this.#putChunk(arrival, incoming, index, answer)
    } catch (error) {
      if (!hasCode(error, 'peer-misbehaved') && !hasCode(error, 'malformed') && !hasCode(error, 'too-large'))
        throw error
      this.#parts.ambient.log.info('blob.chunk-refused', { message: short(arrival.id), index })
      return true
    }
    if (incoming.missing().length === 0) this.nudge()
    return true
  }

  #now(): Since {
    return { sinceMs: this.#parts.ambient.clock.nowMs(), sinceRunMs: this.#parts.runClock.runMs() }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort()
    this.nudge()
    await Promise.all(this.#running.values())
  }

  #add(tx: WriteTx, arrival: Arrival): void {
    tx.put(tables.partials, this.#key(tx, arrival.account, arrival.id), encode(arrivalCodec, arrival))
    tx.afterCommit(() => this.#run(arrival))
  }

  #run(arrival: Arrival): void {
    const name = arrival.account + arrival.id
    if (this.#running.has(name) || this.#stop.signal.aborted) return
    if (arrival.kind === 'remote') this.#waiting.set(name, arrival)
    const done = this.#settle(arrival).finally(() => {
      this.#running.delete(name)
      this.#waiting.delete(name)
    })
    this.#running.set(name, done)
  }

  /** Tries until the content is here, or cannot come any more; shutting down leaves it for the next start. */
  async #settle(arrival: Arrival): Promise<void> {
    const { ambient } = this.#parts
    for (let attempts = 1; !this.#stop.signal.aborted; attempts += 1) {
      const nudges = this.#nudges
      try {
        if (this.#isOver(arrival)) return await this.#giveUp(arrival)
        if (await this.#inTurn(arrival, async () => await this.#attempt(arrival))) return
      } catch (error) {
        if (this.#stop.signal.aborted) return
        ambient.log.info('blob.waiting', {
          message: short(arrival.id),
          attempts,
          code: error instanceof MyceliumError ? error.code : 'unexpected',
        })
        if (this.#nudges === nudges) await this.#pause(reconnectDelayMs(attempts, ambient.random.bytes(1)[0]! / 256))
      }
    }
  }

  #isOver({ kind, sinceMs, sinceRunMs }: Arrival): boolean {
    const age = this.#parts.runClock.ageMs({ wallMs: sinceMs, runMs: sinceRunMs })
    return kind === 'remote' && age >= limits.messageExpiryMs
  }

  /** What has come of it goes with the sweep of blobs that make no progress. */
  async #giveUp({ account, id }: Arrival): Promise<void> {
    await this.#parts.store.write((tx) => tx.remove(tables.partials, this.#key(tx, account, id)))
  }

  /** A few at a time from one author, so that nobody takes all memory and all of the line. */
  async #inTurn<T>({ account, author }: Arrival, work: () => Promise<T>): Promise<T> {
    const name = account + author
    const turns = this.#turns.get(name) ?? { busy: 0, waiting: [] }
    this.#turns.set(name, turns)
    if (turns.busy >= limits.arrivalsAtOnce) await new Promise<void>((resolve) => turns.waiting.push(resolve))
    else turns.busy += 1
    try {
      return await work()
    } finally {
      const next = turns.waiting.shift()
      if (next === undefined) turns.busy -= 1
      else next()
      if (turns.busy === 0) this.#turns.delete(name)
    }
  }

  /** True when it is in a mailbox, or its row is gone: removed with its account. */
  async #attempt(arrival: Arrival): Promise<boolean> {
    if (this.#stop.signal.aborted) return true
    if (!this.#parts.store.read((tx) => this.has(tx, arrival.account, arrival.id))) return true
    const stored =
      arrival.kind === 'local' ? { content: arrival.content, size: arrival.size } : await this.#fetch(arrival)
    await this.#deliver(arrival, stored)
    return true
  }

  async #fetch(arrival: RemoteArrival): Promise<StoredContent> {
    const incoming = await this.#parts.blobs.openIncoming(arrival.account, arrival.root, {
      size: arrival.size,
      chunkBytes: arrival.chunkBytes,
    })
    const missing = [...incoming.missing()]
    const lanes = Array.from({ length: limits.blobChunksAtOnce }, async () => {
      for (let index = missing.shift(); index !== undefined; index = missing.shift()) {
        try {
          await this.#fetchChunk(arrival, incoming, index)
        } catch (error) {
          missing.length = 0 // the other lanes end with their chunk
          throw error
        }
      }
    })
    await Promise.all(lanes)
    return await incoming.finish()
  }

  async #fetchChunk(arrival: RemoteArrival, incoming: IncomingBlob, index: number): Promise<void> {
    const where = this.#parts.deviceOf(arrival.account, arrival.author, arrival.device)?.where
    if (where === undefined) throw new MyceliumError('unreachable')
    const signal = AbortSignal.any([this.#stop.signal, AbortSignal.timeout(limits.chunkAskMs)])
    const answer = await this.#parts.overlay.ask(where, 'blob', encodeChunkRequest({ root: arrival.root, index }), {
      signal,
      answerBytesMax: chunkAnswerBytesMax,
    })
    await this.#putChunk(arrival, incoming, index, answer)
  }

  async #putChunk(arrival: RemoteArrival, incoming: IncomingBlob, index: number, answer: Uint8Array): Promise<void> {
    const { proof, sealed } = decodeChunkAnswer(answer)
    const plaintext = proofHolds(arrival, index, sealed, proof) ? openChunk(arrival.key, index, sealed) : undefined
    const expected =
      index + 1 < chunkCount(arrival.size, arrival.chunkBytes)
        ? arrival.chunkBytes
        : arrival.size - index * arrival.chunkBytes
    if (plaintext?.length !== expected) throw new MyceliumError('peer-misbehaved', { index })
    await incoming.put(index, plaintext)
  }

  async #deliver(arrival: Arrival, source: StoredContent): Promise<void> {
    const { store, mailboxes, deliverer } = this.#parts
    const owner = arrival.kind === 'local' ? arrival.author : arrival.account
    const pieces: Uint8Array[] = []
    for await (const piece of mailboxes.read(owner, source.content, {
      from: 0,
      to: Math.min(source.size, limits.mailHeaderBytesMax),
    }))
      pieces.push(piece)
    const head = concat(...pieces)
    const { before, after } = store.read((tx) => deliverer.frame(tx, arrival, head))
    const framed = around(before, mailboxes.read(owner, source.content), after)
    const stored = await mailboxes.store(arrival.account, framed, {
      bytesMax: source.size + before.length + after.length,
    })
    const outcome = await store.write((tx) => {
      if (!this.has(tx, arrival.account, arrival.id)) return undefined
      tx.remove(tables.partials, this.#key(tx, arrival.account, arrival.id))
      const content = { kind: 'stored', stored, head } as const
      const delivered = deliverer.deliver(tx, { ...arrival, content })
      if (arrival.kind === 'local') {
        const mail = { kind: 'stored', stored: source, head: reportedHead(head) } as const
        this.#parts.onLocal(tx, { account: arrival.author, ...arrival.reporting, mail }, delivered)
        mailboxes.release(tx, arrival.author, arrival.content)
      }
      return delivered
    })
    if (arrival.kind !== 'remote' || outcome === undefined) return
    const device = this.#parts.deviceOf(arrival.account, arrival.author, arrival.device)?.device
    this.#parts.onSettled(arrival, device ?? arrival.device, outcome)
  }

  async #pause(ms: number): Promise<void> {
    await new Promise<void>((resolve) => {
      const wake = (): void => {
        clearTimeout(timer)
        this.#wake.delete(wake)
        resolve()
      }
      const timer = setTimeout(wake, ms)
      this.#wake.add(wake)
    })
  }

  #key(tx: ReadTx, account: Identity, id: MessageId): Uint8Array {
    return concat(tx.opaque(raw(account)), raw(id))
  }
}

/** Those of an account that is going, with the content of others that they hold. */
export function forgetArrivals(tx: WriteTx, account: Identity, mailboxes: Pick<Mailboxes, 'release'>): void {
  const prefix = tx.opaque(raw(account))
  for (const { key, value } of tx.range(tables.partials, { prefix })) {
    const arrival = decode(arrivalCodec, value)
    tx.remove(tables.partials, key)
    if (arrival.kind === 'local') mailboxes.release(tx, arrival.author, arrival.content)
  }
  for (const key of tx.keys(tables.incomingBlobs, { prefix })) tx.remove(tables.incomingBlobs, key)
}

async function* around(
  before: Uint8Array,
  middle: AsyncIterable<Uint8Array>,
  after: Uint8Array,
): AsyncGenerator<Uint8Array> {
  yield before
  yield* middle
  yield after
}

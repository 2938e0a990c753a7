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
import type { Address, BlobRoot, ContentId, DeviceId, Identity, MessageId } from '../ids.ts'
import { short } from '../ids.ts'
import { limits } from '../limits.ts'
import type { Mailboxes, StoredContent } from '../mailbox/mailbox.ts'
import type { BlobContent } from '../message/content.ts'
import type { ReversePath } from '../message/part.ts'
import type { ReadTx, Store, WriteTx } from '../store/store.ts'
import { tables } from '../store/tables.ts'
import type { Delivered, Deliverer } from './deliver.ts'
import type { Fetches } from './fetches.ts'
import type { PeerDevice } from './needs.ts'
import { notifies, notifyCodec, returnedCodec } from './outbox.ts'
import { Pursuits, Turns } from './pursuits.ts'
import { type Reportable, reportedHead } from './reports.ts'
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
  readonly mailboxes: Mailboxes
  readonly deliverer: Deliverer
  readonly fetches: Fetches
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
  readonly #pursuits: Pursuits
  /** So that nobody takes all memory and all of the line. */
  readonly #turns = new Turns(limits.arrivalsAtOnce)

  constructor(parts: ArrivalParts) {
    this.#parts = parts
    this.#pursuits = new Pursuits(parts.ambient)
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
    this.#pursuits.nudge()
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

  #now(): Since {
    return { sinceMs: this.#parts.ambient.clock.nowMs(), sinceRunMs: this.#parts.runClock.runMs() }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#pursuits[Symbol.asyncDispose]()
  }

  #add(tx: WriteTx, arrival: Arrival): void {
    tx.put(tables.partials, this.#key(tx, arrival.account, arrival.id), encode(arrivalCodec, arrival))
    tx.afterCommit(() => this.#run(arrival))
  }

  #run(arrival: Arrival): void {
    const wanted = arrival.kind === 'remote' ? { ...arrival, label: short(arrival.id) } : undefined
    this.#pursuits.run({
      name: arrival.account + arrival.id,
      label: short(arrival.id),
      attempt: async () => {
        if (!this.#isOver(arrival))
          return await this.#turns.take(arrival.account + arrival.author, async () => await this.#attempt(arrival))
        await this.#giveUp(arrival)
        return true
      },
      onBegin: () => {
        if (wanted !== undefined) this.#parts.fetches.want(wanted)
      },
      onEnd: () => {
        if (wanted !== undefined) this.#parts.fetches.unwant(wanted)
      },
    })
  }

  #isOver({ kind, sinceMs, sinceRunMs }: Arrival): boolean {
    const age = this.#parts.runClock.ageMs({ wallMs: sinceMs, runMs: sinceRunMs })
    return kind === 'remote' && age >= limits.messageExpiryMs
  }

  /** What has come of it goes with the sweep of blobs that make no progress. */
  async #giveUp({ account, id }: Arrival): Promise<void> {
    await this.#parts.store.write((tx) => tx.remove(tables.partials, this.#key(tx, account, id)))
  }

  /** True when it is in a mailbox, or its row is gone: removed with its account. */
  async #attempt(arrival: Arrival): Promise<boolean> {
    if (this.#pursuits.signal.aborted) return true
    if (!this.#parts.store.read((tx) => this.has(tx, arrival.account, arrival.id))) return true
    const stored =
      arrival.kind === 'local' ? { content: arrival.content, size: arrival.size } : await this.#fetch(arrival)
    await this.#deliver(arrival, stored)
    return true
  }

  async #fetch(arrival: RemoteArrival): Promise<StoredContent> {
    const where = this.#parts.deviceOf(arrival.account, arrival.author, arrival.device)?.where
    const { signal } = this.#pursuits
    return await this.#parts.fetches.fetch(arrival, where === undefined ? [] : [where], { signal })
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

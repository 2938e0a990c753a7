/**
 * Frames become durable facts: one transaction opens a batch, takes what it says, and seals the answers; only after its
 * commit does an answer leave or a listener hear of it.
 */
import type { Ambient } from '../ambient.ts'
import { MyceliumError } from '../errors.ts'
import { type Identity, type MessageId, short } from '../ids.ts'
import { limits } from '../limits.ts'
import { decodeMessage, type Message, messageIdOf } from '../message/message.ts'
import type { BlobContent } from '../message/content.ts'
import { payloadBytesMax } from '../session/frame.ts'
import type { Arriving } from '../conversation/history.ts'
import { Session } from '../session/session.ts'
import type { Store, WriteTx } from '../store/store.ts'
import type { Arrivals } from './arrivals.ts'
import { Assembler, type AssemblerDraft } from './assembler.ts'
import { chunkBytesFor } from './blob-chunks.ts'
import type { Chats } from './chats.ts'
import type { Delivered, Deliverer } from './deliver.ts'
import { decodeItem, type Item, packItem, type Refusal, unpackPayload } from './items.ts'
import type { GivenQueue } from './relay/queues.ts'
import type { CallSignal } from './call-signals.ts'
import type { ProfileSaid } from './profile-items.ts'
import type { Signal } from './signals.ts'
import { type Pair, pairName, type SessionBook, type SessionRow, type Tagged } from './session-book.ts'

/** One frame as it came off a link, copied out of the link's buffers. */
export interface TaggedFrame {
  readonly to: Tagged
  readonly frame: Uint8Array
}

/** Items that others handle, in the same transaction. */
export interface ItemHandlers {
  readonly received: (tx: WriteTx, pair: Pair, ids: readonly MessageId[]) => void
  readonly refused: (tx: WriteTx, pair: Pair, id: MessageId, reason: Refusal) => void
  readonly bundle: (tx: WriteTx, pair: Pair, bundle: Uint8Array) => void
  readonly confirmation: (tx: WriteTx, pair: Pair, step: Uint8Array) => void
  readonly queues: (tx: WriteTx, pair: Pair, queues: readonly GivenQueue[]) => void
  /** From another device of the account. */
  readonly sync: (tx: WriteTx, pair: Pair, message: Uint8Array) => void
  /** The session works in both directions. */
  readonly welcome: (tx: WriteTx, pair: Pair) => void
  readonly wanted: (tx: WriteTx, pair: Pair, ids: readonly MessageId[]) => void
  readonly absent: (tx: WriteTx, pair: Pair, ids: readonly MessageId[]) => void
  readonly signals: (tx: WriteTx, pair: Pair, signals: readonly Signal[]) => void
  readonly call: (tx: WriteTx, pair: Pair, signal: CallSignal) => void
  readonly profile: (tx: WriteTx, pair: Pair, said: ProfileSaid) => void
}

interface InboundParts {
  readonly store: Store
  readonly book: SessionBook
  readonly deliverer: Deliverer
  readonly arrivals: Arrivals
  readonly chats: Pick<Chats, 'received'>
  readonly handlers: ItemHandlers
  readonly ambient: Ambient
  /** Is this a device of a contact of an account of ours, as of now? */
  readonly mayMeet: (pair: Pair) => boolean
  /** A session of this pair has become its own. */
  readonly onSession: (pair: Pair) => void
  /** How many bytes of mail this pair's person may send in a day. */
  readonly dayBytesMax: (pair: Pair) => number
  /** May a stranger who waits send so much more? Counts what it lets through; true for anybody else. */
  readonly strangerMay: (tx: WriteTx, pair: Pair, size: number) => boolean
}

interface Batch {
  readonly pair: Pair
  readonly frames: TaggedFrame[]
}

/** Answers of one batch, gathered so that many acknowledgements share a frame. */
interface Answers {
  readonly received: MessageId[]
  readonly refused: { readonly id: MessageId; readonly reason: Refusal }[]
  /** The last one of the batch: it says all that the earlier ones did. */
  bundle: Uint8Array | undefined
}

const largestPayload = payloadBytesMax(4096)

export class Inbound {
  readonly #parts: InboundParts
  readonly #assemblers = new Map<string, Assembler>()
  /** Bundles and queues of each device in this minute. */
  readonly #announcements = new Map<string, { minute: number; count: number }>()
  /** Mail bytes taken or promised per contact in this day: bounded, in memory. */
  readonly #promised = new Map<string, number>()
  #day = 0

  constructor(parts: InboundParts) {
    this.#parts = parts
  }

  /** @returns for each pair the sealed answers, to be sent now: everything before them is durable */
  async take(
    frames: readonly TaggedFrame[],
  ): Promise<readonly { readonly pair: Pair; readonly tag: Uint8Array; readonly frames: readonly Uint8Array[] }[]> {
    const batches = byPair(frames)
    return await this.#parts.store.write((tx) =>
      batches.flatMap((batch) => {
        const sealed = this.#takeBatch(tx, batch)
        return sealed === undefined ? [] : [{ pair: batch.pair, ...sealed }]
      }),
    )
  }

  #takeBatch(
    tx: WriteTx,
    { pair, frames }: Batch,
  ): { readonly tag: Uint8Array; readonly frames: readonly Uint8Array[] } | undefined {
    if (!this.#parts.mayMeet(pair)) return undefined
    this.#takeOffered(tx, pair, frames)
    const row = this.#parts.book.read(tx, pair)
    if (row === undefined) return undefined
    const sessions = new OpenSessions(row)
    const draft = this.#assembler(pair).draft()
    const answers: Answers = { received: [], refused: [], bundle: undefined }
    for (const { to, frame } of frames) this.#takeFrame(tx, pair, sessions.byId(to.sessionId), frame, draft, answers)
    this.#guarded(pair, () => this.#takeBundle(tx, pair, answers.bundle))
    tx.afterCommit(() => draft.keep())
    const out = this.#sealAnswers(sessions.current, answers)
    this.#parts.book.update(tx, sessions.row())
    return { tag: sessions.current.sendTag(this.#parts.ambient.clock.nowMs()), frames: out }
  }

  /** The first frames in a session that was offered by way of a relay make it the pair's. */
  #takeOffered(tx: WriteTx, pair: Pair, frames: readonly TaggedFrame[]): void {
    for (const id of new Set(frames.map(({ to }) => to.sessionId))) {
      const of = frames.filter(({ to }) => to.sessionId === id).map(({ frame }) => frame)
      if (this.#parts.book.takeOffered(tx, pair, id, of)) tx.afterCommit(() => this.#parts.onSession(pair))
    }
  }

  #takeFrame(
    tx: WriteTx,
    pair: Pair,
    session: Session | undefined,
    frame: Uint8Array,
    draft: AssemblerDraft,
    answers: Answers,
  ): void {
    const { ambient } = this.#parts
    const opened = session?.open(frame, { random: ambient.random, nowMs: ambient.clock.nowMs() })
    if (opened === undefined || opened.kind === 'control') return
    if (opened.kind === 'refused') {
      ambient.log.info('frame.refused', { device: short(pair.peerDevice), code: opened.code })
      return
    }
    this.#guarded(pair, () => {
      const item = itemOf(opened.payload, draft)
      if (item !== undefined) this.#takeItem(tx, pair, item, answers)
    })
  }

  /** A contact's device speaks nonsense inside its own session: its loss, nobody else's. */
  #guarded(pair: Pair, take: () => void): void {
    try {
      take()
    } catch (error) {
      if (!(error instanceof MyceliumError) || error.code === 'store-corrupt' || error.code === 'disk-full') throw error
      this.#parts.ambient.log.warn('item.refused', { device: short(pair.peerDevice), code: error.code })
    }
  }

  /** A few a minute are plenty: a device sends one on each new link and when it moves. */
  #takeBundle(tx: WriteTx, pair: Pair, bundle: Uint8Array | undefined): void {
    if (bundle === undefined) return
    this.#checkPace(`bundle ${pairName(pair)}`)
    this.#parts.handlers.bundle(tx, pair, bundle)
  }

  /** @throws `throttled` */
  #checkPace(name: string, perMinuteMax: number = limits.bundlesPerMinuteMax): void {
    const minute = Math.floor(this.#parts.ambient.clock.monotonicMs() / 60_000)
    const known = this.#announcements.get(name)
    const count = known?.minute === minute ? known.count + 1 : 1
    this.#announcements.set(name, { minute, count })
    if (count > perMinuteMax) throw new MyceliumError('throttled')
  }

  #takeItem(tx: WriteTx, pair: Pair, item: Item, answers: Answers): void {
    const { handlers } = this.#parts
    switch (item.kind) {
      case 'message':
        this.#takeMessage(tx, pair, item.encoded, answers)
        return
      case 'messages':
        for (const encoded of item.encoded) this.#guarded(pair, () => this.#takeMessage(tx, pair, encoded, answers))
        return
      case 'received':
        handlers.received(tx, pair, item.ids)
        return
      case 'refused':
        handlers.refused(tx, pair, item.id, item.reason)
        return
      case 'bundle':
        answers.bundle = item.bundle
        return
      case 'confirmation':
        handlers.confirmation(tx, pair, item.step)
        return
      case 'queues':
        this.#checkPace(`queues ${pairName(pair)}`)
        handlers.queues(tx, pair, item.queues)
        return
      case 'sync':
        if (pair.peer === pair.account) handlers.sync(tx, pair, item.message)
        return
      case 'welcome':
        handlers.welcome(tx, pair)
        return
      case 'wanted':
        this.#checkPace(`wanted ${pairName(pair)}`)
        handlers.wanted(tx, pair, item.ids)
        return
      case 'absent':
        handlers.absent(tx, pair, item.ids)
        return
      case 'signals':
        handlers.signals(tx, pair, item.signals)
        return
      case 'call':
        handlers.call(tx, pair, item.signal)
        return
      case 'profile':
        this.#checkPace(`profile ${pairName(pair)}`, limits.profileItemsPerMinuteMax)
        handlers.profile(tx, pair, item.said)
    }
  }

  #takeMessage(tx: WriteTx, pair: Pair, encoded: Uint8Array, answers: Answers): void {
    const id = messageIdOf(encoded)
    // devices of one account do not write to each other
    const message = pair.peer === pair.account ? undefined : readMessage(encoded, pair.peer)
    const outcome =
      message?.place === undefined
        ? this.#settle(tx, pair, id, message)
        : this.#settleChat(tx, pair, { id, encoded, message })
    if (outcome?.kind === 'refused') answers.refused.push({ id, reason: outcome.reason })
    else if (outcome !== undefined) answers.received.push(id)
  }

  #settleChat(tx: WriteTx, pair: Pair, arriving: Arriving): Delivered | undefined {
    // a copy costs nothing, or somebody over the limit would have it sent again for ever
    const isOver = this.#isOverQuota(tx, pair, Math.max(arriving.encoded.length, limits.mailCountedBytesMin))
    return isOver ? { kind: 'refused', reason: 'mailbox-full' } : this.#parts.chats.received(tx, pair, arriving)
  }

  /** `undefined` while its content is still to be fetched. */
  #settle(tx: WriteTx, pair: Pair, id: MessageId, message: Message | undefined): Delivered | undefined {
    const part = message?.parts.length === 1 ? message.parts[0] : undefined
    if (message === undefined || part?.kind !== 'mail') return { kind: 'refused', reason: 'malformed' }
    const mail = { account: pair.account, author: pair.peer, id, sentAtMs: message.sentAtMs, from: part.from }
    const tombstone = this.#parts.deliverer.tombstoneOf(tx, mail)
    if (this.#parts.deliverer.hasTaken(tx, tombstone)) return { kind: 'duplicate' }
    const { content } = part
    if (content.kind === 'inline') {
      if (this.#isOverQuota(tx, pair, Math.max(content.bytes.length, limits.mailCountedBytesMin)))
        return { kind: 'refused', reason: 'mailbox-full' }
      return this.#parts.deliverer.take(tx, { ...mail, content }, tombstone)
    }
    if (this.#parts.arrivals.has(tx, pair.account, id)) return undefined
    const reason = this.#blobRefusal(tx, pair, content)
    if (reason !== undefined) return { kind: 'refused', reason }
    this.#parts.arrivals.addRemote(tx, mail, message.device, content)
    return undefined
  }

  #blobRefusal(tx: WriteTx, pair: Pair, { size, chunkBytes }: BlobContent): Refusal | undefined {
    if (size > limits.mailBytesMax + limits.mailHeaderBytesMax) return 'message-too-large'
    if (size < 1 || chunkBytes !== chunkBytesFor(size)) return 'malformed'
    // each one is fetched by itself, however small it says it is
    return this.#isOverQuota(tx, pair, Math.max(size, limits.messageInlineBytesMax)) ? 'mailbox-full' : undefined
  }

  /** Counts what it lets through. */
  #isOverQuota(tx: WriteTx, pair: Pair, size: number): boolean {
    const day = Math.floor(this.#parts.ambient.clock.nowMs() / 86_400_000)
    if (day !== this.#day) this.#promised.clear()
    this.#day = day
    const key = pair.account + pair.peer
    const known = this.#promised.get(key) ?? 0
    const bytes = known + size
    if (bytes > this.#parts.dayBytesMax(pair) || !this.#parts.strangerMay(tx, pair, size)) return true
    this.#promised.set(key, bytes)
    return false
  }

  #sealAnswers(session: Session, answers: Answers): Uint8Array[] {
    const { random, clock } = this.#parts.ambient
    const moment = { random, nowMs: clock.nowMs() }
    if (!session.canSend) return []
    const items: Item[] = []
    for (let at = 0; at < answers.received.length; at += limits.itemIdsMax) {
      items.push({ kind: 'received', ids: answers.received.slice(at, at + limits.itemIdsMax) })
    }
    for (const { id, reason } of answers.refused) items.push({ kind: 'refused', id, reason })
    const payloads = items.flatMap((item) => packItem(item, largestPayload, () => random.bytes(16)))
    return [...payloads.map((payload) => session.seal(payload, moment)), ...session.maintenance(moment)]
  }

  /** Its contact is gone. */
  forget(pair: Pair): void {
    this.#assemblers.delete(pairName(pair))
    for (const kind of ['bundle', 'queues', 'wanted']) this.#announcements.delete(`${kind} ${pairName(pair)}`)
  }

  #assembler(pair: Pair): Assembler {
    const name = pairName(pair)
    const known = this.#assemblers.get(name)
    if (known !== undefined) return known
    const made = new Assembler()
    this.#assemblers.set(name, made)
    return made
  }
}

/** The sessions of one row, decoded when a frame needs them, and the row with what changed. */
class OpenSessions {
  readonly #row: SessionRow
  readonly current: Session
  #archived: Session[] | undefined

  constructor(row: SessionRow) {
    this.#row = row
    this.current = Session.decode(row.current)
  }

  byId(id: string): Session | undefined {
    if (this.current.id === id) return this.current
    this.#archived ??= this.#row.archived.map((encoded) => Session.decode(encoded))
    return this.#archived.find((session) => session.id === id)
  }

  row(): SessionRow {
    const archived = this.#archived?.map((session) => session.encode()) ?? this.#row.archived
    return { ...this.#row, current: this.current.encode(), archived }
  }
}

function byPair(frames: readonly TaggedFrame[]): readonly Batch[] {
  const batches = new Map<string, Batch>()
  for (const frame of frames) {
    const name = pairName(frame.to.pair)
    const batch = batches.get(name)
    if (batch === undefined) batches.set(name, { pair: frame.to.pair, frames: [frame] })
    else batch.frames.push(frame)
  }
  return [...batches.values()]
}

function itemOf(payload: Uint8Array, draft: AssemblerDraft): Item | undefined {
  const unpacked = unpackPayload(payload)
  if (unpacked.kind === 'item') return unpacked.item
  const whole = draft.add(unpacked.fragment)
  return whole === undefined ? undefined : decodeItem(whole)
}

/** `undefined` when it cannot be read or names another author than the session's. */
function readMessage(encoded: Uint8Array, peer: Identity): Message | undefined {
  try {
    const message = decodeMessage(encoded)
    return message.author === peer ? message : undefined
  } catch (error) {
    if (error instanceof MyceliumError) return undefined
    throw error
  }
}

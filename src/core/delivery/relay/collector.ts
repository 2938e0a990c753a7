/**
 * Takes what waited at relays: frames go the way of frames that came over a link, chunks to the mail they belong to. Only
 * when all of it is durable does the relay hear that it may forget it.
 */
import type { Ambient } from '../../ambient.ts'
import { toHex } from '../../bytes.ts'
import { MyceliumError } from '../../errors.ts'
import type { Identity } from '../../ids.ts'
import { limits } from '../../limits.ts'
import { ItemCursor } from '../../session/items.ts'
import type { Store } from '../../store/store.ts'
import type { Inbound, TaggedFrame } from '../inbound.ts'
import type { Keyring } from '../needs.ts'
import type { RelayEntry } from '../relay-ports.ts'
import { type Pair, pairName, type SessionBook, type Tagged } from '../session-book.ts'
import { type Body, type BodyContent, openBody } from './body.ts'
import type { RelayBook } from './book.ts'
import { type Fault, gapBefore, isHeldBack } from './health.ts'
import { invitationPair } from './meeting.ts'
import type { InQueue, RelayChoice } from './queues.ts'

/** A chunk of a blob that was not asked for. @returns false when it may yet be good for something */
export type TakeChunk = (account: Identity, chunk: Extract<BodyContent, { kind: 'chunk' }>) => Promise<boolean>

interface CollectorParts {
  readonly store: Store
  readonly book: RelayBook
  readonly sessions: SessionBook
  readonly keyring: Pick<Keyring, 'accounts'>
  readonly inbound: Inbound
  readonly takeChunk: TakeChunk
  readonly ambient: Ambient
  /** Sealed answers of one pair, to be sent: all before them is durable. */
  readonly onAnswers: (pair: Pair, tag: Uint8Array, frames: readonly Uint8Array[]) => void
  /** A contact's device left something just now: its gateway may be there. */
  readonly onFresh: (pair: Pair) => void
  /** @param of whose queue showed it */
  readonly onFault: (choice: RelayChoice, fault: Fault, of: Pair) => void
  /** Somebody accepted an invitation of this account. @throws nothing but failures of the store */
  readonly onIntroduction: (account: Identity, content: Extract<BodyContent, { kind: 'introduction' }>) => Promise<void>
  /** A contact's first flight. */
  readonly onFlight: (pair: Pair, content: Extract<BodyContent, { kind: 'flight' }>) => Promise<void>
  /** A body of our own came back. */
  readonly onProbe: (choice: RelayChoice, id: Uint8Array) => void
}

/** How this relay is watched now. */
export interface Watching {
  readonly sinceMs: number
  /** How long it was not, before that. */
  readonly awayMs: number
}

interface Opened {
  readonly pair: Pair
  readonly body: Body
}

/** How far the queues are that one batch came out of, by the seed of their send key. */
type Progress = Map<string, { readonly pair: Pair; readonly highest: number }>

const freshMs = 120_000

export class RelayCollector {
  readonly #parts: CollectorParts
  /** Account, who left it and leaving id → when its first copy was taken, Unix milliseconds; oldest first. */
  readonly #taken = new Map<string, number>()

  constructor(parts: CollectorParts) {
    this.#parts = parts
  }

  /** @returns numbers of what is durable here, or worthless */
  async take(choice: RelayChoice, entries: readonly RelayEntry[], watching: Watching): Promise<readonly number[]> {
    // frames of an account that is switched off would be dropped: what waits goes on waiting
    if (!this.#parts.keyring.accounts().includes(choice.account)) throw new MyceliumError('unreachable')
    const progress: Progress = new Map()
    const opened = entries.flatMap((entry) => this.#open(choice, entry, watching, progress) ?? [])
    const fresh = opened.filter(({ pair, body }) => !this.#taken.has(nameOf(pair, body)))
    await this.#takeFrames(fresh)
    for (const { body } of opened) if (body.content.kind === 'probe') this.#parts.onProbe(choice, body.leavingId)
    for (const one of fresh) if (await this.#takeOther(one)) this.#remember(one)
    await this.#keep(progress)
    return entries.map(({ number }) => number)
  }

  /** What is not frames; false for what a copy of it may yet be good for. */
  async #takeOther({ pair, body: { content } }: Opened): Promise<boolean> {
    const { takeChunk, onIntroduction, onFlight } = this.#parts
    // at another relay its descriptor may lie before it
    if (content.kind === 'chunk') return await takeChunk(pair.account, content)
    if (content.kind === 'introduction' && isOfInvitation(pair, content.capability))
      await onIntroduction(pair.account, content)
    if (content.kind === 'flight' && pair.peer !== pair.account) await onFlight(pair, content)
    return true
  }

  /** `undefined` for what is in none of our queues or nobody can read: it is worthless. */
  #open(choice: RelayChoice, entry: RelayEntry, watching: Watching, progress: Progress): Opened | undefined {
    const { book, ambient, onFault } = this.#parts
    const found = book.find(choice, entry.receiveId)
    const body = found === undefined ? undefined : openBody(found.queue.bodyKey, entry.body)
    if (found === undefined || body === undefined) {
      ambient.log.info('relay.entry-worthless', { known: found !== undefined, bytes: entry.body.length })
      return undefined
    }
    const { pair, queue } = found
    const seed = toHex(queue.sendSeed)
    const highest = progress.get(seed)?.highest ?? queue.highest
    if (gapBefore(body.number, highest, watching.awayMs)) onFault(choice, 'gap', pair)
    progress.set(seed, { pair, highest: Math.max(highest, body.number) })
    const firstAtMs = this.#taken.get(nameOf(pair, body))
    const nowMs = ambient.clock.nowMs()
    const { heldSinceMs } = entry
    if (firstAtMs !== undefined && isHeldBack({ nowMs, firstAtMs, heldSinceMs, watchedSinceMs: watching.sinceMs }))
      onFault(choice, 'held-back', pair)
    return { pair, body }
  }

  async #takeFrames(opened: readonly Opened[]): Promise<void> {
    const { inbound, ambient } = this.#parts
    const frames = opened.flatMap(({ pair, body }) =>
      body.content.kind === 'frames' ? this.#framesOf(pair, body.content.items) : [],
    )
    if (frames.length === 0) return
    const answers = await inbound.take(frames)
    for (const { pair, tag, frames: sealed } of answers) if (sealed.length > 0) this.#parts.onAnswers(pair, tag, sealed)
    const nowMs = ambient.clock.nowMs()
    const lately = opened.filter(
      ({ body }) => body.content.kind === 'frames' && Math.abs(nowMs - body.leftAtMs) < freshMs,
    )
    for (const pair of new Map(lately.map((one) => [pairName(one.pair), one.pair])).values()) this.#parts.onFresh(pair)
  }

  /** Whose queue it is says who may speak in it: frames of others are left out. */
  #framesOf(pair: Pair, items: Uint8Array): readonly TaggedFrame[] {
    const cursor = new ItemCursor<Tagged>(this.#parts.sessions.tags)
    const frames: TaggedFrame[] = []
    cursor.push(items)
    try {
      while (cursor.next()) {
        const to = cursor.channel
        if (to === undefined || cursor.isHello || !isOfContact(to.pair, pair)) continue
        frames.push({ to, frame: Uint8Array.from(cursor.body()) })
      }
    } catch (error) {
      if (!(error instanceof MyceliumError)) throw error
    }
    return frames
  }

  #remember({ pair, body }: Opened): void {
    this.#taken.set(nameOf(pair, body), this.#parts.ambient.clock.nowMs())
    if (this.#taken.size > limits.relayLeavingsKept) this.#taken.delete(this.#taken.keys().next().value!)
  }

  async #keep(progress: Progress): Promise<void> {
    const { store, book } = this.#parts
    const pairs = new Map([...progress.values()].map(({ pair }) => [pairName(pair), pair]))
    if (pairs.size === 0) return
    await store.write((tx) => {
      for (const pair of pairs.values()) {
        const { queues } = book.readIn(tx, pair)
        const highestOf = ({ sendSeed, highest }: InQueue): number =>
          Math.max(highest, progress.get(toHex(sendSeed))?.highest ?? 0)
        if (queues.some((queue) => highestOf(queue) > queue.highest))
          book.putIn(tx, { pair, queues: queues.map((queue) => ({ ...queue, highest: highestOf(queue) })) })
      }
    })
  }
}

/** A queue may be older than what is known of its user's devices. */
const isOfContact = (one: Pair, other: Pair): boolean => one.account === other.account && one.peer === other.peer

/** Only whoever invited and whoever holds the link can leave something there; a contact speaks for itself alone. */
const isOfInvitation = (pair: Pair, capability: Uint8Array): boolean =>
  pairName(pair) === pairName(invitationPair(pair.account, pair.device, capability))

/** Nobody's ids say anything about what another one leaves. */
const nameOf = ({ account, peer }: Pair, { leavingId }: Body): string => account + peer + toHex(leavingId)

/**
 * Leaves sealed bodies in all queues of one contact's device: each relay gets a copy of its own under its queue's key. One
 * copy on a disk is enough to go on; copies that a relay did not take are tried again for some hours, from memory.
 */
import type { Ambient } from '../../ambient.ts'
import { toHex } from '../../bytes.ts'
import { MyceliumError } from '../../errors.ts'
import { type GatewayId, short } from '../../ids.ts'
import { limits } from '../../limits.ts'
import type { Store } from '../../store/store.ts'
import type { GatewayAddress } from '../ports.ts'
import type { DepositOutcome, Relays } from '../relay-ports.ts'
import type { Pair } from '../session-book.ts'
import { type BodyContent, leavingIdBytes, sealBody } from './body.ts'
import type { RelayBook } from './book.ts'
import type { OutQueue } from './queues.ts'

export interface DepositorParts {
  readonly store: Store
  readonly book: RelayBook
  readonly relays: Relays
  readonly ambient: Ambient
  /** A relay of ours that carries deposits to another one. */
  readonly carrierFor: (queue: OutQueue) => GatewayAddress | undefined
  /** Relays that did not answer, until when they are left alone (monotonic); shared by all pairs. */
  readonly resting: Map<GatewayId, number>
  /** What waits in memory for its relay, of all pairs together. */
  readonly lateOctets: { now: number }
  /** Never go to a queue's relay ourselves: it would learn where we are. */
  readonly isHidden: boolean
}

/** One body on its way to its copies. */
interface Leaving {
  readonly id: Uint8Array
  readonly leftAtMs: number
  readonly content: BodyContent
  readonly expiresAtMs: number
}

interface Late {
  readonly leaving: Leaving
  readonly queue: string
  readonly untilMs: number
}

export class Depositor {
  readonly pair: Pair
  readonly #parts: DepositorParts
  /** Deposits to one queue follow each other, so that its numbers ascend as they were taken. */
  readonly #turns = new Map<string, Promise<unknown>>()
  /** Queues that their relay does not know, until when they are not tried (monotonic). */
  readonly #missing = new Map<string, number>()
  #late: Late[] = []

  constructor(pair: Pair, parts: DepositorParts) {
    this.pair = pair
    this.#parts = parts
  }

  /** Is there a queue that may take something now? */
  get hasWay(): boolean {
    return (this.#parts.book.out(this.pair)?.queues ?? []).some((queue) => !this.#isResting(queue))
  }

  /** No copy is being placed now. */
  get isQuiet(): boolean {
    return this.#turns.size === 0
  }

  /** @returns how many relays have it @throws `unreachable` when none has taken it */
  async leave(
    content: BodyContent,
    { expiresAtMs, signal }: { readonly expiresAtMs: number; readonly signal: AbortSignal },
  ): Promise<number> {
    const { ambient, book } = this.#parts
    const nowMs = ambient.clock.nowMs()
    const leaving = { id: ambient.random.bytes(leavingIdBytes), leftAtMs: nowMs, content, expiresAtMs }
    const queues = book.out(this.pair)?.queues ?? []
    const outcomes = await Promise.all(
      queues.map(async (queue) => ({ queue, outcome: await this.#place(queue, leaving, signal) })),
    )
    const stored = outcomes.filter(({ outcome }) => outcome === 'stored').length
    if (stored === 0) {
      signal.throwIfAborted()
      throw new MyceliumError('unreachable', { relays: queues.length })
    }
    for (const { queue, outcome } of outcomes) if (outcome === 'later') this.#keepLate(queue, leaving, nowMs)
    return stored
  }

  /** Once a minute: the copies that are still missing. */
  async tick(signal: AbortSignal): Promise<void> {
    const nowMs = this.#parts.ambient.clock.nowMs()
    const due = this.#late
    this.#late = []
    for (const late of due) {
      const queue = this.#parts.book.out(this.pair)?.queues.find((one) => nameOf(one) === late.queue)
      const isOver = queue === undefined || late.untilMs <= nowMs || signal.aborted
      if (!isOver && (await this.#place(queue, late.leaving, signal)) === 'later') this.#late.push(late)
      else this.#parts.lateOctets.now -= octetsOf(late.leaving)
    }
  }

  #keepLate(queue: OutQueue, leaving: Leaving, nowMs: number): void {
    const octets = octetsOf(leaving)
    const { lateOctets } = this.#parts
    if (this.#late.length >= limits.relayLateCopiesMax || lateOctets.now + octets > limits.relayLateBytesMax) return
    lateOctets.now += octets
    const untilMs = Math.min(leaving.expiresAtMs, nowMs + limits.relayLateCopyMs)
    this.#late.push({ leaving, queue: nameOf(queue), untilMs })
  }

  async #place(queue: OutQueue, leaving: Leaving, signal: AbortSignal): Promise<'stored' | 'later' | 'never'> {
    const name = nameOf(queue)
    const before = this.#turns.get(name) ?? Promise.resolve()
    const turn = before.catch(() => {}).then(async () => await this.#placeNow(queue, leaving, signal))
    this.#turns.set(name, turn)
    try {
      return await turn
    } finally {
      if (this.#turns.get(name) === turn) this.#turns.delete(name)
    }
  }

  async #placeNow(queue: OutQueue, leaving: Leaving, signal: AbortSignal): Promise<'stored' | 'later' | 'never'> {
    const { book, ambient, resting } = this.#parts
    if (signal.aborted) return 'later'
    const current = book.out(this.pair)?.queues.find((one) => nameOf(one) === nameOf(queue))
    if (current === undefined) return 'never'
    if (this.#isResting(current)) return 'later'
    const { id: leavingId, leftAtMs, content, expiresAtMs } = leaving
    const number = current.left + 1
    const body = sealBody(current.bodyKey, { number, leavingId, leftAtMs, content }, ambient.random)
    try {
      const outcome = await this.#deposit(current, { id: ambient.random.bytes(16), body, expiresAtMs }, signal)
      resting.delete(current.relay.gateway)
      if (outcome === 'stored') await this.#count(current, number)
      // a relay that lost its queues gets them again from their owner
      if (outcome === 'no-such-queue')
        this.#missing.set(nameOf(current), ambient.clock.monotonicMs() + limits.relayMissingMs)
      if (outcome !== 'stored')
        ambient.log.info('relay.not-left', { relay: short(current.relay.gateway.slice(-8)), outcome })
      return outcome === 'stored' ? 'stored' : outcome === 'refused' ? 'never' : 'later'
    } catch (error) {
      const code = error instanceof MyceliumError ? error.code : 'unexpected'
      if (!signal.aborted) this.#rest(current.relay.gateway)
      if (code === 'peer-misbehaved') await this.#askForSealKey(current, signal)
      ambient.log.debug('relay.not-reached', { relay: short(current.relay.gateway.slice(-8)), code })
      return 'later'
    }
  }

  /** Contacts name relays, also ones that never were: those whose rest is over are forgotten. */
  #rest(gateway: GatewayId): void {
    const { resting, ambient } = this.#parts
    const nowMs = ambient.clock.monotonicMs()
    for (const [one, untilMs] of resting) if (untilMs <= nowMs) resting.delete(one)
    resting.set(gateway, nowMs + limits.relayRestMs)
  }

  /** Through a relay of our own where there is one; straight only when that does not work and nothing forbids it. */
  async #deposit(
    queue: OutQueue,
    entry: { readonly id: Uint8Array; readonly body: Uint8Array; readonly expiresAtMs: number },
    signal: AbortSignal,
  ): Promise<DepositOutcome> {
    const { relays, carrierFor, isHidden } = this.#parts
    const through = carrierFor(queue)
    // a second more for each 16 KB
    const askMs = limits.relayAskMs + Math.ceil(entry.body.length / 16)
    const bounded = (): AbortSignal => AbortSignal.any([signal, AbortSignal.timeout(askMs)])
    if (through !== undefined) {
      try {
        const outcome = await relays.deposit(queue, entry, { through, signal: bounded() })
        // it may be the carrier that has enough to carry
        if (outcome !== 'throttled' || isHidden) return outcome
      } catch (error) {
        if (isHidden || signal.aborted) throw error
      }
    }
    if (isHidden) throw new MyceliumError('unreachable', { reason: 'no relay to go through' })
    return await relays.deposit(queue, entry, { through: undefined, signal: bounded() })
  }

  async #count(queue: OutQueue, left: number): Promise<void> {
    await this.#change((queues) => queues.map((one) => (nameOf(one) === nameOf(queue) ? { ...one, left } : one)))
  }

  /** A relay that lost its disk has another seal key, and cannot open what is sealed to the one before. */
  async #askForSealKey(queue: OutQueue, signal: AbortSignal): Promise<void> {
    const bounded = AbortSignal.any([signal, AbortSignal.timeout(limits.relayAskMs)])
    const offer = this.#parts.isHidden
      ? undefined
      : await this.#parts.relays.describe(queue.relay, { signal: bounded }).catch(() => undefined)
    if (offer === undefined || Buffer.compare(offer.sealKey, queue.sealKey) === 0) return
    const sealKey = Uint8Array.from(offer.sealKey)
    await this.#change((queues) => queues.map((one) => (nameOf(one) === nameOf(queue) ? { ...one, sealKey } : one)))
    this.#parts.resting.delete(queue.relay.gateway)
  }

  #isResting(queue: OutQueue): boolean {
    const nowMs = this.#parts.ambient.clock.monotonicMs()
    const isMissing = (this.#missing.get(nameOf(queue)) ?? 0) > nowMs
    return isMissing || (this.#parts.resting.get(queue.relay.gateway) ?? 0) > nowMs
  }

  async #change(change: (queues: readonly OutQueue[]) => readonly OutQueue[]): Promise<void> {
    const { store, book } = this.#parts
    await store.write((tx) => {
      const row = book.readOut(tx, this.pair)
      if (row !== undefined) book.putOut(tx, { ...row, queues: change(row.queues) })
    })
  }
}

const nameOf = ({ sendSeed }: OutQueue): string => toHex(sendSeed)
const octetsOf = ({ content }: Leaving): number =>
  content.kind === 'frames' ? content.items.length : content.kind === 'chunk' ? content.answer.length : 0

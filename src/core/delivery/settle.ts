/**
 * How a reference in the outbox ends: acknowledged by the recipient's devices, refused by all of them, or too old. The
 * sender hears of it in words when nobody took the message, and of success when they asked.
 */
import type { Ambient } from '../ambient.ts'
import { MyceliumError } from '../errors.ts'
import { type DeviceId, type Identity, short } from '../ids.ts'
import { limits } from '../limits.ts'
import { decodeMessage } from '../message/message.ts'
import type { Store, WriteTx } from '../store/store.ts'
import type { BlobSource } from './blob-source.ts'
import type { DeliveryCounts } from './counts.ts'
import type { Refusal } from './items.ts'
import type { Outbox, OutboxRef, OutgoingMessage, QueuedRef } from './outbox.ts'
import { isWanted, type Outcome, type Reportable, type Reports } from './reports.ts'
import type { RunClock } from './run-clock.ts'

interface SettleParts {
  readonly store: Store
  readonly outbox: Outbox
  readonly reports: Reports
  readonly blobSource: BlobSource
  readonly runClock: RunClock
  readonly ambient: Ambient
  readonly counts: DeliveryCounts
  /** Is it still an account of this gateway? */
  readonly hasAccount: (account: Identity) => boolean
  /** Devices of a contact that are to get a copy. */
  readonly devicesOf: (account: Identity, contact: Identity) => readonly DeviceId[]
  /** Was it left at relays for the recipient? Then it may have arrived, though nobody could say so. */
  readonly isLeft: (queued: QueuedRef) => boolean
  /** A copy of a message of a conversation has come to its end; when nobody took it, with the reason in words. */
  readonly onChatEnded: (tx: WriteTx, ref: OutboxRef, outcome: 'delivered' | Outcome) => void
}

/** What a person reads when a message could not be delivered, and its code (RFC 3463). */
export const refusalTexts: Record<Refusal, { readonly status: string; readonly reason: string }> = {
  'mailbox-full': { status: '5.2.2', reason: 'The recipient has no room left for it.' },
  'message-too-large': { status: '5.3.4', reason: 'It is larger than the recipient accepts.' },
  blocked: { status: '5.7.1', reason: 'The recipient does not accept messages from you.' },
  'clock-off': { status: '5.6.0', reason: 'Your clock is wrong: it is dated more than a day ahead of theirs.' },
  malformed: { status: '5.6.0', reason: "The recipient's gateway could not read it. It may be of an older version." },
}

/** Nobody is to be told by mail; a mail of which that is so says `never`. */
const isOfChat = ({ notify }: OutboxRef): boolean => notify.length === 0

export class Settler {
  readonly #parts: SettleParts

  constructor(parts: SettleParts) {
    this.#parts = parts
  }

  /** A device has it durably. */
  acknowledged(tx: WriteTx, { seq, ref }: QueuedRef, device: DeviceId): void {
    if (ref.ackedBy.includes(device)) return
    const next = { ...ref, ackedBy: [...ref.ackedBy, device] }
    if (ref.ackedBy.length === 0) tx.afterCommit(() => (this.#parts.counts.delivered += 1))
    if (ref.ackedBy.length === 0 && isOfChat(ref)) this.#parts.onChatEnded(tx, ref, 'delivered')
    if (ref.ackedBy.length === 0 && ref.notify.includes('success')) {
      this.#report(tx, next, { action: 'delivered', status: '2.0.0', reason: 'It has arrived at the recipient.' })
    }
    this.#keepOrEnd(tx, seq, next)
  }

  /** A device will never take it. */
  refused(tx: WriteTx, { seq, ref }: QueuedRef, device: DeviceId, reason: Refusal): void {
    if (ref.refusedBy.includes(device)) return
    const next = { ...ref, refusedBy: [...ref.refusedBy, device] }
    if (next.ackedBy.length === 0 && !this.#isWaiting(next)) {
      this.#failed(tx, next, { action: 'failed', ...refusalTexts[reason] })
    }
    this.#keepOrEnd(tx, seq, next)
  }

  /** The user took it back, or the contact is gone. */
  cancelled(tx: WriteTx, { seq, ref }: QueuedRef): void {
    this.#end(tx, seq, ref)
  }

  /** Once a minute: ends what is too old, reports what takes long. In slices, so that mail goes on between them. */
  async sweep(): Promise<void> {
    const { store, outbox, ambient } = this.#parts
    for (let from: Uint8Array | undefined | null = null; from !== undefined;) {
      const beforeMs = ambient.clock.nowMs() - limits.delayReportMs
      const slice = store.read((tx) => outbox.slice(tx, from ?? undefined, { rows: limits.sweepSliceRows, beforeMs }))
      for (const queued of slice.refs) if (this.#dueFor(queued.ref) !== undefined) await this.#sweepOne(queued)
      from = slice.next
      await new Promise((resolve) => setImmediate(resolve))
    }
  }

  /** What is wrong with one reference is no other's affair. */
  async #sweepOne({ seq, ref }: QueuedRef): Promise<void> {
    const { store, outbox, ambient } = this.#parts
    try {
      await store.write((tx) => {
        const current = outbox.get(tx, ref.account, ref.recipient, seq)
        const due = current === undefined ? undefined : this.#dueFor(current)
        if (due === 'expire') this.#expire(tx, seq, current!)
        else if (due === 'end') this.#end(tx, seq, current!)
        else if (due === 'delay') this.#delay(tx, seq, current!)
      })
    } catch (error) {
      if (!(error instanceof MyceliumError) || error.code === 'shutting-down' || error.code === 'disk-full') throw error
      ambient.log.error('outbox.not-swept', { message: short(ref.message), code: error.code })
    }
  }

  #dueFor(ref: OutboxRef): 'expire' | 'end' | 'delay' | undefined {
    // its account is gone, or the devices that had not taken it are
    if (!this.#parts.hasAccount(ref.account)) return 'end'
    if (ref.ackedBy.length > 0 && !this.#isWaiting(ref)) return 'end'
    const age = this.#parts.runClock.ageMs({ wallMs: ref.submittedAtMs, runMs: ref.submittedRunMs })
    if (age >= ref.expiresAtMs - ref.submittedAtMs) return 'expire'
    const delayed = age >= limits.delayReportMs && ref.ackedBy.length === 0
    return delayed && !ref.delayReported && ref.notify.includes('delay') ? 'delay' : undefined
  }

  #expire(tx: WriteTx, seq: number, ref: OutboxRef): void {
    if (ref.ackedBy.length === 0) {
      const days = Math.round((ref.expiresAtMs - ref.submittedAtMs) / (24 * 3600_000))
      this.#failed(tx, ref, {
        action: 'failed',
        status: '4.4.7',
        reason: this.#parts.isLeft({ seq, ref })
          ? `The message was left at relays for the recipient, but their gateway has not confirmed it in ${days} days. It may have arrived: ask them, or send it again.`
          : `The recipient's gateway could not be reached for ${days} days. The message was not delivered; send it again when they are back.`,
      })
    }
    this.#end(tx, seq, ref)
  }

  #failed(tx: WriteTx, ref: OutboxRef, outcome: Outcome): void {
    tx.afterCommit(() => (this.#parts.counts.failed += 1))
    if (isOfChat(ref)) this.#parts.onChatEnded(tx, ref, outcome)
    else this.#report(tx, ref, outcome)
  }

  #delay(tx: WriteTx, seq: number, ref: OutboxRef): void {
    this.#report(tx, ref, {
      action: 'delayed',
      status: '4.4.1',
      reason:
        "The recipient's gateway has not been reachable yet. You need not do anything: it is tried again by itself.",
      retriedUntilMs: ref.expiresAtMs,
    })
    this.#parts.outbox.put(tx, seq, { ...ref, delayReported: true })
  }

  #keepOrEnd(tx: WriteTx, seq: number, ref: OutboxRef): void {
    if (this.#isWaiting(ref)) this.#parts.outbox.put(tx, seq, ref)
    else this.#end(tx, seq, ref)
  }

  /** Some device has neither taken nor refused it. */
  #isWaiting(ref: OutboxRef): boolean {
    const devices = this.#parts.devicesOf(ref.account, ref.recipient)
    return devices.some((device) => !ref.ackedBy.includes(device) && !ref.refusedBy.includes(device))
  }

  #end(tx: WriteTx, seq: number, ref: OutboxRef): void {
    const gone = this.#parts.outbox.remove(tx, seq, ref)
    if (gone?.root !== undefined) this.#parts.blobSource.release(tx, gone.root)
  }

  #report(tx: WriteTx, ref: OutboxRef, outcome: Outcome): void {
    if (!isWanted(ref.notify, outcome.action)) return
    const outgoing = this.#parts.outbox.message(tx, ref)
    if (outgoing === undefined) return
    const { envelopeId, returned } = outgoing
    this.#parts.reports.report(tx, { ...ref, envelopeId, returned, mail: this.#mailOf(tx, outgoing) }, outcome)
  }

  #mailOf(tx: WriteTx, { encoded, root, head }: OutgoingMessage): Reportable['mail'] {
    const [part] = decodeMessage(encoded).parts
    if (part?.kind === 'mail' && part.content.kind === 'inline') return part.content
    return { kind: 'stored', stored: root && this.#parts.blobSource.contentOf(tx, root), head }
  }
}

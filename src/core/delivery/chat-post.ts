/** How messages of conversations are made and leave: stamped after all that they cite, with one copy for each recipient. */
import type { Ambient } from '../ambient.ts'
import type { Arriving } from '../conversation/history.ts'
import { stampAfter } from '../conversation/rank.ts'
import type { Identity, MessageId } from '../ids.ts'
import { limits } from '../limits.ts'
import { blobOf, encodeMessage, type Message, messageIdOf, type Place, type Relation } from '../message/message.ts'
import type { Part } from '../message/part.ts'
import type { WriteTx } from '../store/store.ts'
import type { Directory } from './needs.ts'
import type { Outbox, QueuedRef } from './outbox.ts'
import type { RunClock } from './run-clock.ts'

export interface Draft {
  readonly parts: readonly Part[]
  readonly relations?: readonly Relation[]
}

/** What a message answers: heads of the conversation, and where they stand. */
export interface Cited {
  readonly heads: readonly MessageId[]
  readonly ranks: readonly number[]
}

export const nothingCited: Cited = { heads: [], ranks: [] }

export class ChatPost {
  readonly #outbox: Outbox
  readonly #directory: Directory
  readonly #runClock: RunClock
  readonly #ambient: Ambient
  readonly #onQueued: (queued: QueuedRef) => void

  constructor(parts: {
    readonly outbox: Outbox
    readonly directory: Directory
    readonly runClock: RunClock
    readonly ambient: Ambient
    /** Called after the commit: there is something to send. */
    readonly onQueued: (queued: QueuedRef) => void
  }) {
    this.#outbox = parts.outbox
    this.#directory = parts.directory
    this.#runClock = parts.runClock
    this.#ambient = parts.ambient
    this.#onQueued = parts.onQueued
  }

  /** @throws `too-large` */
  stamped(account: Identity, place: Place, { parts, relations = [] }: Draft, { heads, ranks }: Cited): Arriving {
    const sentAtMs = stampAfter(this.#ambient.clock.nowMs(), ranks)
    const message: Message = {
      author: account,
      device: this.#directory.deviceOf(account),
      nonce: this.#ambient.random.bytes(16),
      sentAtMs,
      expiresAtMs: sentAtMs + limits.messageExpiryMs,
      place,
      parents: heads,
      relations,
      parts,
    }
    const encoded = encodeMessage(message)
    return { id: messageIdOf(encoded), encoded, message }
  }

  /**
   * One copy for each recipient, from this commit on.
   * @param root of the blob that goes with it, where the recipient is away: what it carries may be sealed
   */
  queue(
    tx: WriteTx,
    account: Identity,
    { id, encoded, message }: Arriving,
    recipients: readonly Identity[],
    root = blobOf(message)?.root,
  ): void {
    if (recipients.length === 0) return
    const outgoing = {
      encoded,
      envelopeId: undefined,
      returned: 'headers',
      root,
      head: new Uint8Array(),
    } as const
    const refs = recipients.map((recipient) => ({
      account,
      recipient,
      message: id,
      address: this.#directory.addressOf(account, recipient),
      notify: [],
      originalRecipient: undefined,
      submittedAtMs: this.#ambient.clock.nowMs(),
      submittedRunMs: this.#runClock.runMs(),
      expiresAtMs: message.expiresAtMs,
      ackedBy: [],
      refusedBy: [],
      delayReported: true,
    }))
    const queued = this.#outbox.add(tx, id, outgoing, refs)
    tx.afterCommit(() => {
      for (const one of queued) this.#onQueued(one)
    })
  }
}

/** Sends held mail on its way when its time has come: a timer for the first, and a look once a minute, since clocks are set. */
import type { Ambient } from '../ambient.ts'
import { hasCode, MyceliumError } from '../errors.ts'
import { limits } from '../limits.ts'
import { decodeMessage, encodeMessage, type Message, messageIdOf } from '../message/message.ts'
import type { Store, WriteTx } from '../store/store.ts'
import { dueMail, type HeldMail, heldNow, type HeldRecipient, nextRelease, removeHeld, waitingOf } from './held.ts'
import type { OutgoingMessage } from './outbox.ts'
import type { Reportable } from './reports.ts'
import type { SubmissionRecipient } from './submission.ts'
import { type Gathered, type Leaving, type Refused, send, type SubmitParts } from './submit.ts'

interface ReleaseParts {
  readonly store: Store
  readonly ambient: Ambient
  /** In a transaction of its own; does nothing for one that has gone. */
  readonly release: (held: Pick<HeldMail, 'untilMs' | 'message'>) => Promise<void>
}

export class Releases implements AsyncDisposable {
  readonly #parts: ReleaseParts
  #timer: NodeJS.Timeout | undefined
  #running: Promise<void> | undefined
  #isClosed = false

  constructor(parts: ReleaseParts) {
    this.#parts = parts
  }

  /** Something is held from now on, or was before this started. */
  nudge(): void {
    if (this.#isClosed || this.#running !== undefined) return
    const { store, ambient } = this.#parts
    const next = store.read(nextRelease)
    if (next !== undefined) this.#lookIn(Math.max(0, next - ambient.clock.nowMs()))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true
    clearTimeout(this.#timer)
    await this.#running
  }

  #lookIn(ms: number): void {
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => this.#run(), Math.min(ms, limits.heldLookMs))
    this.#timer.unref()
  }

  #run(): void {
    this.#running = this.#releaseAndGoOn()
  }

  async #releaseAndGoOn(): Promise<void> {
    const isWell = await this.#releaseDue()
    this.#running = undefined
    if (isWell) this.nudge()
    else if (!this.#isClosed) this.#lookIn(limits.heldLookMs)
  }

  /** False when something stays that is due. */
  async #releaseDue(): Promise<boolean> {
    const { store, ambient } = this.#parts
    try {
      const due = store.read((tx) => dueMail(tx, ambient.clock.nowMs(), limits.heldReleasedAtOnce))
      const done = await Promise.all(due.map((held) => this.#releaseOne(held)))
      return done.every(Boolean)
    } catch (error) {
      this.#failed(error)
      return false
    }
  }

  /** What is wrong with one is no other's affair. */
  async #releaseOne(held: Pick<HeldMail, 'untilMs' | 'message'>): Promise<boolean> {
    try {
      await this.#parts.release(held)
      return true
    } catch (error) {
      this.#failed(error)
      return false
    }
  }

  #failed(error: unknown): void {
    if (hasCode(error, 'shutting-down')) return
    this.#parts.ambient.log.error('held.not-released', {
      code: error instanceof MyceliumError ? error.code : 'unexpected',
    })
  }
}

/** Sends a mail whose time has come; does nothing when it has gone already. */
export async function release(parts: SubmitParts, key: Pick<HeldMail, 'untilMs' | 'message'>): Promise<void> {
  await parts.writes.run((tx) => {
    const held = heldNow(tx, key)
    if (held === undefined) return
    removeHeld(tx, held)
    const leaving = leavingNow(tx, parts, held)
    const { account, submittedAtMs } = held
    const { root, envelopeId, returned } = held.outgoing
    const mail = reportedMail(leaving)
    const isSent = send(tx, parts, leaving, waitingOf(held).map(recipientOf), (recipient, code) => {
      const { address, notify = ['failure'], originalRecipient } = recipient
      const about = { account, address, notify, originalRecipient, envelopeId, returned, submittedAtMs, mail }
      parts.reports.report(tx, about, { action: 'failed', ...refusedAtRelease[code] })
    })
    if (!isSent && root !== undefined) parts.blobSource.release(tx, root)
  })
}

/** Released much too late, because the gateway did not run, it is sent as of now: it would expire while it is tried. */
function leavingNow(tx: WriteTx, parts: SubmitParts, { message: id, outgoing }: HeldMail): Leaving {
  const message = decodeMessage(outgoing.encoded)
  const sent = sentForm(tx, parts, message, outgoing)
  const nowMs = parts.ambient.clock.nowMs()
  if (nowMs - message.sentAtMs <= limits.heldLateMs) return { id, message, sent, nowMs, outgoing }
  const late = { ...message, sentAtMs: nowMs, expiresAtMs: nowMs + limits.messageExpiryMs }
  const encoded = encodeMessage(late)
  return { id: messageIdOf(encoded), message: late, sent, nowMs, outgoing: { ...outgoing, encoded } }
}

function sentForm(tx: WriteTx, parts: SubmitParts, message: Message, { root }: OutgoingMessage): Gathered {
  const [part] = message.parts
  if (part?.kind === 'mail' && part.content.kind === 'inline') return part.content
  const stored = root === undefined ? undefined : parts.blobSource.contentOf(tx, root)
  if (stored === undefined) throw new MyceliumError('store-corrupt', { what: 'held-mail' })
  return { kind: 'stored', stored }
}

const reportedMail = ({ sent, outgoing }: Leaving): Reportable['mail'] =>
  sent.kind === 'inline' ? sent : { ...sent, head: outgoing.head }

const recipientOf = ({ who }: { readonly who: HeldRecipient }): SubmissionRecipient => {
  const { address, notify, originalRecipient } = who
  return { address, notify, ...(originalRecipient === undefined ? {} : { originalRecipient }) }
}

/** What a sender reads whose mail could not leave when its time had come (RFC 3463). */
const refusedAtRelease: Record<Refused, { readonly status: string; readonly reason: string }> = {
  'no-such-recipient': { status: '5.1.1', reason: 'When it was to leave, no contact had this address any more.' },
  'identity-conflict': { status: '5.7.1', reason: 'When it was to leave, several people claimed this address.' },
  'key-changed': { status: '5.7.1', reason: 'When it was to leave, the key of this contact had changed.' },
  blocked: {
    status: '5.7.1',
    reason: 'When it was to leave, the recipient did not take mail from you, or you had blocked them.',
  },
  'mailbox-full': { status: '5.2.2', reason: 'When it was to leave, the recipient had no room left for it.' },
}

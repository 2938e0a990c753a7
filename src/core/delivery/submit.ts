/**
 * A client's mail becomes durable: one transaction takes the Sent copy, the canonical message and a reference for each
 * recipient; sealing and sending come later. Recipients on this gateway get it in the same transaction.
 */
import type { Ambient } from '../ambient.ts'
import { concat } from '../bytes.ts'
import type { Arriving } from '../conversation/history.ts'
import { MyceliumError } from '../errors.ts'
import type { Address, Identity, MessageId } from '../ids.ts'
import { limits } from '../limits.ts'
import type { Mailboxes, StoredContent } from '../mailbox/mailbox.ts'
import type { Content } from '../message/content.ts'
import { encodeMessage, type Message, messageIdOf } from '../message/message.ts'
import type { ReversePath } from '../message/part.ts'
import type { WriteTx } from '../store/store.ts'
import type { Arrivals, Reporting } from './arrivals.ts'
import type { BlobSource, PreparedBlob } from './blob-source.ts'
import type { Answers, Plan } from './chat-mail/answers.ts'
import type { ChatGroups } from './chat-mail/groups.ts'
import type { Chats } from './chats.ts'
import type { Deliverer } from './deliver.ts'
import type { Directory } from './needs.ts'
import { type HeldRecipient, keepHeld } from './held.ts'
import type { Outbox, OutboxRef, OutgoingMessage, QueuedRef } from './outbox.ts'
import { type OutgoingMail, readOutgoing } from './outgoing-mail.ts'
import { deliveredHere, type Reports, reportedHead } from './reports.ts'
import type { RunClock } from './run-clock.ts'
import type { SentCopies } from './sent-copies.ts'
import type { SharedWrite } from './shared-write.ts'
import type { ReceivedMessage } from './tombstones.ts'
import type { RecipientVerdict, Submission, SubmissionRecipient, Submitter } from './submission.ts'

export interface SubmitParts {
  readonly writes: SharedWrite
  readonly mailboxes: Mailboxes
  readonly directory: Directory
  readonly deliverer: Deliverer
  readonly outbox: Outbox
  readonly sentCopies: SentCopies
  readonly blobSource: BlobSource
  readonly arrivals: Arrivals
  readonly reports: Reports
  readonly runClock: RunClock
  readonly answers: Pick<Answers, 'plan'>
  readonly chats: Pick<Chats, 'sayIn'>
  readonly groups: Pick<ChatGroups, 'resolve' | 'mayPost' | 'postIn'>
  readonly ambient: Ambient
  /** Before it becomes history: Sent has this message as it was submitted. */
  readonly onSaidAsMail: (arriving: Arriving, messageId: string) => void
  /** Called after the commit: there is something to send. */
  readonly onQueued: (queued: QueuedRef) => void
  /** Called after the commit: there is something to release later. */
  readonly onHeld: () => void
}

/** A mail's bytes, small ones in hand and long ones stored. */
export type Gathered =
  | { readonly kind: 'inline'; readonly bytes: Uint8Array }
  | { readonly kind: 'stored'; readonly stored: StoredContent }

export function submitter(parts: SubmitParts): Submitter {
  return {
    mayUse: (account, address) => parts.directory.ownsAddress(account, address),
    recipient: (account, address) => verdict(parts, account, address),
    submit: (account, submission) => submit(parts, account, submission),
  }
}

function verdict({ directory, mailboxes, groups }: SubmitParts, account: Identity, address: Address): RecipientVerdict {
  const group = groups.resolve(account, address)
  if (group !== undefined) {
    const may = groups.mayPost(account, group)
    return may === 'yes' ? { kind: 'ok' } : { kind: 'refused', code: may }
  }
  const route = directory.route(account, address)
  if (route.kind === 'refused') return { kind: 'refused', code: route.code }
  const isFull = route.kind === 'local' && mailboxes.isFull(route.account, 1)
  return isFull ? { kind: 'refused', code: 'mailbox-full' } : { kind: 'ok' }
}

async function submit(
  parts: SubmitParts,
  account: Identity,
  submission: Submission,
): Promise<{ readonly id: MessageId }> {
  const { clock, random } = parts.ambient
  if (submission.from !== '' && !parts.directory.ownsAddress(account, submission.from))
    throw new MyceliumError('not-your-address')
  const mail = await readOutgoing(submission.body, (address) => parts.directory.ownsAddress(account, address), {
    nowMs: clock.nowMs(),
    token: random.bytes(16),
  })
  const { own, sent } = await gather(parts, account, mail)
  const nowMs = clock.nowMs()
  const heldUntilMs =
    submission.holdUntilMs !== undefined && submission.holdUntilMs > nowMs ? submission.holdUntilMs : undefined
  using plan = await parts.answers.plan(account, {
    recipients: submission.from === '' ? submission.recipients.map(unreported) : submission.recipients,
    isOrdinary: submission.from !== '' && heldUntilMs === undefined,
    headers: mail.headers,
    read: async () => await whole(parts, account, sent),
  })
  if (plan.groups.length > 0 && heldUntilMs !== undefined) throw new MyceliumError('not-held')
  const isSaid = plan.groups.length > 0 || plan.direct !== undefined
  const outgoing =
    plan.mail.length === 0 && isSaid
      ? undefined
      : await outgoingMail(parts, account, { submission, mail, sent, nowMs, heldUntilMs })
  return await parts.writes.run((tx) => {
    keepSentCopy(tx, parts, account, mail.messageId, own)
    const said = saySome(tx, parts, account, plan, mail.messageId)
    if (outgoing === undefined) return { id: said! }
    const { leaving, prepared } = outgoing
    if (heldUntilMs !== undefined) {
      if (prepared !== undefined) parts.blobSource.hold(tx, prepared)
      hold(tx, parts, leaving, plan.mail, { untilMs: heldUntilMs, submittedAtMs: nowMs })
      return { id: leaving.id }
    }
    const isSent = send(tx, parts, leaving, plan.mail, (_, code) => {
      throw new MyceliumError(code)
    })
    if (isSent && prepared !== undefined) parts.blobSource.hold(tx, prepared)
    return { id: leaving.id }
  })
}

/** What is said in conversations instead of being sent as a mail. @returns the first message's id */
function saySome(
  tx: WriteTx,
  parts: SubmitParts,
  account: Identity,
  { groups, direct }: Plan,
  messageId: string,
): MessageId | undefined {
  const ids: MessageId[] = []
  for (const { group, drafts } of groups)
    for (const draft of drafts) ids.push(parts.groups.postIn(tx, account, group, draft).id)
  for (const draft of direct?.drafts ?? [])
    ids.push(
      parts.chats.sayIn(tx, account, direct!.peer, draft, (arriving) => parts.onSaidAsMail(arriving, messageId)).id,
    )
  return ids[0]
}

/** All octets of a mail that may be an answer to a chat; `undefined` of a longer one. */
async function whole(parts: SubmitParts, account: Identity, sent: Gathered): Promise<Uint8Array | undefined> {
  if (sent.kind === 'inline') return sent.bytes
  if (sent.stored.size > limits.chatFromMailBytesMax) return undefined
  const pieces: Uint8Array[] = []
  for await (const piece of parts.mailboxes.read(account, sent.stored.content)) pieces.push(piece)
  return concat(...pieces)
}

/** The canonical message of a mail, with its content ready to be fetched where that is long. */
async function outgoingMail(
  parts: SubmitParts,
  account: Identity,
  {
    submission,
    mail,
    sent,
    nowMs,
    heldUntilMs,
  }: {
    readonly submission: Submission
    readonly mail: OutgoingMail
    readonly sent: Gathered
    readonly nowMs: number
    readonly heldUntilMs: number | undefined
  },
): Promise<{ readonly leaving: Leaving; readonly prepared: PreparedBlob | undefined }> {
  const prepared = sent.kind === 'inline' ? undefined : await parts.blobSource.prepare(account, sent.stored)
  const content: Content = sent.kind === 'inline' ? sent : prepared!.content
  const sentAtMs = heldUntilMs ?? nowMs
  const message: Message = {
    author: account,
    device: parts.directory.deviceOf(account),
    nonce: parts.ambient.random.bytes(16),
    sentAtMs,
    expiresAtMs: sentAtMs + limits.messageExpiryMs,
    place: undefined,
    parents: [],
    relations: [],
    parts: [{ kind: 'mail', from: submission.from, content }],
  }
  const encoded = encodeMessage(message)
  const root = prepared?.content.root
  const head = prepared === undefined ? new Uint8Array() : reportedHead(mail.sentHead)
  const { envelopeId, returned = 'headers' } = submission
  const outgoing: OutgoingMessage = { encoded, envelopeId, returned, root, head }
  return { leaving: { id: messageIdOf(encoded), message, sent, nowMs, outgoing }, prepared }
}

/** A mail as it leaves, at once or later. */
export interface Leaving {
  readonly id: MessageId
  readonly message: Message
  readonly sent: Gathered
  readonly nowMs: number
  readonly outgoing: OutgoingMessage
}

/** Why somebody does not get a mail; of groups, which get none, nothing. */
export type Refused = Exclude<Extract<RecipientVerdict, { kind: 'refused' }>['code'], 'not-a-member' | 'not-permitted'>

/**
 * Into mailboxes of this gateway, and with a reference for everybody else. @returns whether there is anybody else
 * @param onRefused hears of each recipient that does not get it
 */
export function send(
  tx: WriteTx,
  parts: SubmitParts,
  { id, message, sent, nowMs, outgoing }: Leaving,
  recipients: readonly SubmissionRecipient[],
  onRefused: (recipient: SubmissionRecipient, code: Refused) => void,
): boolean {
  const { author: account, sentAtMs } = message
  const from = reversePathOf(message)
  // two addresses of one person get one copy
  const refs: Omit<OutboxRef, 'alone'>[] = []
  const reached = new Set<Identity>()
  for (const recipient of recipients) {
    const route = parts.directory.route(account, recipient.address)
    if (route.kind === 'refused') {
      onRefused(recipient, route.code)
      continue
    }
    const identity = route.kind === 'local' ? route.account : route.contact
    const isFirst = !reached.has(identity)
    reached.add(identity)
    if (route.kind === 'local') {
      const mailOf = { account: identity, author: account, id, sentAtMs, from }
      const reporting = reportingOf(outgoing, recipient, sentAtMs)
      const refusal = deliverLocally(tx, parts, mailOf, sent, { reporting, isFirst })
      if (refusal !== undefined) onRefused(recipient, refusal)
    } else if (isFirst) refs.push(refOf(parts, { account, recipient: identity, id, message, nowMs }, recipient))
  }
  if (refs.length === 0) return false
  const queued = parts.outbox.add(tx, id, outgoing, refs)
  tx.afterCommit(() => {
    for (const one of queued) parts.onQueued(one)
  })
  return true
}

function reversePathOf({ parts: [part] }: Message): ReversePath {
  if (part?.kind !== 'mail') throw new TypeError('not a mail')
  return part.from
}

/** Keeps it for later; whoever would be refused now is. */
function hold(
  tx: WriteTx,
  parts: SubmitParts,
  { id, message, outgoing }: Leaving,
  recipients: readonly SubmissionRecipient[],
  when: { readonly untilMs: number; readonly submittedAtMs: number },
): void {
  const { author: account } = message
  const held = recipients.map(({ address, notify = ['failure'], originalRecipient }): HeldRecipient => {
    const route = parts.directory.route(account, address)
    if (route.kind === 'refused') throw new MyceliumError(route.code)
    return { recipient: route.kind === 'local' ? route.account : route.contact, address, notify, originalRecipient }
  })
  keepHeld(tx, { account, message: id, ...when, outgoing, recipients: held })
  tx.afterCommit(() => parts.onHeld())
}

/** RFC 5321 §4.5.5: nothing is ever returned to the null reverse-path. */
const unreported = (recipient: SubmissionRecipient): SubmissionRecipient => ({ ...recipient, notify: ['never'] })

function refOf(
  parts: SubmitParts,
  {
    account,
    recipient,
    id,
    message,
    nowMs,
  }: {
    readonly account: Identity
    readonly recipient: Identity
    readonly id: MessageId
    readonly message: Message
    readonly nowMs: number
  },
  { address, notify, originalRecipient }: SubmissionRecipient,
): Omit<OutboxRef, 'alone'> {
  return {
    account,
    recipient,
    message: id,
    address,
    notify: notify ?? ['failure'],
    originalRecipient,
    submittedAtMs: nowMs,
    submittedRunMs: parts.runClock.runMs(),
    expiresAtMs: message.expiresAtMs,
    ackedBy: [],
    refusedBy: [],
    delayReported: false,
  }
}

const reportingOf = (
  { envelopeId, returned }: OutgoingMessage,
  { address, notify = ['failure'], originalRecipient }: SubmissionRecipient,
  submittedAtMs: number,
): Reporting => ({ address, notify, originalRecipient, envelopeId, returned, submittedAtMs })

/** Both forms of the mail; a long one is on disk when this returns, once unless Bcc makes the two differ. */
async function gather(
  parts: SubmitParts,
  account: Identity,
  mail: OutgoingMail,
): Promise<{ readonly own: Gathered; readonly sent: Gathered }> {
  const { start, more } = await beginning(mail.body, limits.messageInlineBytesMax - mail.ownHead.length)
  const same = mail.ownHead === mail.sentHead
  if (more === undefined) {
    const own: Gathered = { kind: 'inline', bytes: concat(mail.ownHead, start) }
    return { own, sent: same ? own : { kind: 'inline', bytes: concat(mail.sentHead, start) } }
  }
  // a mail of the largest size may have got Message-ID and Date here
  const options = { bytesMax: limits.mailBytesMax + limits.mailHeaderBytesMax }
  const stored = await parts.mailboxes.store(account, chain([mail.ownHead, start], more), options)
  const own: Gathered = { kind: 'stored', stored }
  if (same) return { own, sent: own }
  const body = parts.mailboxes.read(account, stored.content, { from: mail.ownHead.length, to: stored.size })
  return {
    own,
    sent: { kind: 'stored', stored: await parts.mailboxes.store(account, chain([mail.sentHead], body), options) },
  }
}

/** Up to `bytesMax` bytes; `more` is what follows when there is more than that. */
async function beginning(
  source: AsyncIterable<Uint8Array>,
  bytesMax: number,
): Promise<{ readonly start: Uint8Array; readonly more: AsyncIterable<Uint8Array> | undefined }> {
  const iterator = source[Symbol.asyncIterator]()
  const pieces: Uint8Array[] = []
  let bytes = 0
  for (;;) {
    const next = await iterator.next()
    if (next.done === true) return { start: concat(...pieces), more: undefined }
    pieces.push(Uint8Array.from(next.value))
    bytes += next.value.length
    if (bytes > bytesMax) return { start: concat(...pieces), more: { [Symbol.asyncIterator]: () => iterator } }
  }
}

async function* chain(first: readonly Uint8Array[], rest: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  yield* first
  yield* rest
}

function keepSentCopy(tx: WriteTx, parts: SubmitParts, account: Identity, messageId: string, own: Gathered): void {
  const stored = own.kind === 'inline' ? parts.mailboxes.storeInline(tx, account, own.bytes) : own.stored
  parts.sentCopies.keep(tx, account, messageId, stored)
}

/** @returns why the mailbox does not take it */
function deliverLocally(
  tx: WriteTx,
  parts: SubmitParts,
  mail: ReceivedMessage & { readonly from: ReversePath },
  sent: Gathered,
  { reporting, isFirst }: { readonly reporting: Reporting; readonly isFirst: boolean },
): Refused | undefined {
  if (sent.kind === 'stored') {
    if (parts.mailboxes.isFull(mail.account, sent.stored.size)) return 'mailbox-full'
    // its copy, with trace fields in front, is made in the background: content belongs to one account
    if (isFirst) parts.arrivals.addLocal(tx, mail, sent.stored, reporting)
    return undefined
  }
  if (isFirst) {
    const delivered = parts.deliverer.deliver(tx, { ...mail, content: sent })
    if (delivered.kind === 'refused') return delivered.reason === 'mailbox-full' ? 'mailbox-full' : 'blocked'
  }
  parts.reports.report(tx, { account: mail.author, ...reporting, mail: sent }, deliveredHere)
  return undefined
}

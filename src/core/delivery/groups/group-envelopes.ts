/**
 * Messages of a group as they travel: opened once all that they need is here, and struck where a removal that came later
 * cuts them off. Until then they wait, and what they need is asked for.
 */
import type { Ambient } from '../../ambient.ts'
import type { Conversations } from '../../conversation/conversations.ts'
import type { DevicesOf, GroupBook, WaitingEnvelope } from '../../conversation/group-book.ts'
import { MyceliumError } from '../../errors.ts'
import { readEnvelope, type SignedEnvelope } from '../../group/envelope.ts'
import type { Group } from '../../group/group.ts'
import { type Cut, type GroupOp, readGroupOp } from '../../group/op.ts'
import type { GroupOpId, Identity, MessageId } from '../../ids.ts'
import { limits } from '../../limits.ts'
import { groupConversation } from '../../message/conversation.ts'
import { decodeMessage, messageIdOf } from '../../message/message.ts'
import type { WriteTx } from '../../store/store.ts'
import type { GroupQuestions } from './group-questions.ts'
import type { GroupVault, Opened } from './group-vault.ts'
import { unlessRefused } from './refusals.ts'
import type { Delivery, Statement } from './statements.ts'

interface EnvelopeParts {
  readonly book: GroupBook
  readonly vault: GroupVault
  readonly conversations: Conversations
  readonly ambient: Ambient
  readonly devicesOf: DevicesOf
  readonly questions: GroupQuestions
  /** After the commit: a message waits for one that it cites. */
  readonly onCiting: (account: Identity) => void
}

type StillClosed = Extract<Opened, { readonly kind: 'waiting' }>

/** Whose messages an operation cuts off, and where. */
function removalIn({
  author,
  action,
}: GroupOp): readonly { readonly member: Identity; readonly cuts: readonly Cut[] }[] {
  if (action.kind === 'remove') return [{ member: action.member, cuts: action.cuts }]
  if (action.kind === 'leave') return [{ member: author, cuts: action.cuts }]
  if (action.kind === 'retire') return [{ member: action.member, cuts: [action.cut] }]
  return []
}

export class GroupEnvelopes {
  readonly #parts: EnvelopeParts

  constructor(parts: EnvelopeParts) {
    this.#parts = parts
  }

  /** @throws why it will never be taken */
  take(
    tx: WriteTx,
    { account, from, id }: Delivery,
    group: Group,
    { envelope, asked }: Pick<Extract<Statement, { readonly kind: 'envelope' }>, 'envelope' | 'asked'>,
  ): void {
    const closed = this.#openAsked(tx, account, group, { envelope, asked, wasLookedAt: false })
    if (closed === undefined) return
    const sinceMs = this.#parts.ambient.clock.nowMs()
    this.#parts.book.putWaiting(tx, account, id, closed.envelope.id, { from, sinceMs, envelope, asked })
    const { heads, epoch } = closed.envelope.header
    const ops = [...heads, epoch].filter((op) => !group.has(op))
    this.#parts.questions.ask(tx, { account, from, id }, { ops, ...(closed.for === 'keys' ? { epoch } : {}) })
  }

  /** What waits, now that more is here. */
  openWaiting(tx: WriteTx, account: Identity, group: Group): void {
    const waiting = this.#parts.book
      .waiting(tx, account, group.id)
      .map((one) => ({ ...one, header: readEnvelope(one.envelope).header }))
      .toSorted((a, b) => a.header.sequence - b.header.sequence)
    const unlinked = waiting.filter((one) => this.#openOne(tx, account, group, one)?.for === 'link')
    // each settles which one stands before it
    const unsettled = unlinked.toReversed().flatMap((one) => {
      const closed = this.#openOne(tx, account, group, one)
      return closed?.for === 'link' ? [{ header: one.header, ...closed }] : []
    })
    this.#parts.questions.askForPlaces(tx, account, group, unsettled)
  }

  /** What was taken while a removal was on its way here, and lies past where that cuts, counts no more. */
  strikeCut(tx: WriteTx, account: Identity, group: Group, added: Iterable<GroupOpId>): void {
    const { book, conversations, devicesOf } = this.#parts
    const { history } = conversations
    const conversation = groupConversation(group.id)
    for (const { member, cuts } of [...added].flatMap((op) => removalIn(readGroupOp(group.signed(op)!).op))) {
      const isTakenPast = [...devicesOf(tx, account, member)].some((device) => {
        const count = cuts.find((cut) => cut.device === device)?.count ?? 0
        return (book.places.next(tx, account, group.id, device)?.sequence ?? 0) > count
      })
      if (!isTakenPast) continue
      const taken = [...history.backwards(tx, account, conversation, limits.groupCutLookMax)].map((one) => one.id)
      for (const message of [...taken, ...history.missing.waiting(tx, account, conversation)]) {
        const envelope = this.#isBy(tx, account, message, member) ? book.envelope(tx, account, message) : undefined
        if (envelope !== undefined && !book.stands(tx, account, group, envelope)) history.strike(tx, account, message)
      }
    }
  }

  #isBy(tx: WriteTx, account: Identity, message: MessageId, author: Identity): boolean {
    const row = this.#parts.conversations.history.message(tx, account, message)
    return row !== undefined && row.encoded.length > 0 && decodeMessage(row.encoded).author === author
  }

  /** @returns what it still waits for */
  #openOne(
    tx: WriteTx,
    account: Identity,
    group: Group,
    { key, envelope, asked, from, sinceMs }: WaitingEnvelope & { readonly key: Uint8Array },
  ): StillClosed | undefined {
    const { book, conversations, ambient } = this.#parts
    const waitedMs = ambient.clock.nowMs() - sinceMs
    let closed: StillClosed | undefined
    unlessRefused(ambient.log, { from, id: group.id }, () => {
      closed = this.#openAsked(tx, account, group, { envelope, asked, wasLookedAt: true })
    })
    if (closed !== undefined && asked !== undefined && waitedMs > limits.groupKeysWaitMs)
      conversations.history.giveUp(tx, account, asked, groupConversation(group.id))
    if (closed === undefined || waitedMs > limits.messageExpiryMs) book.removeWaiting(tx, key)
    return closed
  }

  /** As `#open`; what this account asked for and cannot have is waited for no more. */
  #openAsked(
    tx: WriteTx,
    account: Identity,
    group: Group,
    { envelope, asked, wasLookedAt }: Pick<WaitingEnvelope, 'envelope' | 'asked'> & { readonly wasLookedAt: boolean },
  ): StillClosed | undefined {
    try {
      return this.#open(tx, account, group, { envelope, wasLookedAt })
    } catch (error) {
      if (asked !== undefined && error instanceof MyceliumError)
        this.#parts.conversations.history.giveUp(tx, account, asked, groupConversation(group.id))
      throw error
    }
  }

  /** @returns what it waits for; undefined when it was taken @throws why it will never be */
  #open(
    tx: WriteTx,
    account: Identity,
    group: Group,
    { envelope, wasLookedAt }: { readonly envelope: SignedEnvelope; readonly wasLookedAt: boolean },
  ): StillClosed | undefined {
    const { vault, book, conversations, onCiting } = this.#parts
    const opened = vault.open(tx, account, group, envelope, wasLookedAt)
    if (opened.kind !== 'opened' && book.has(tx, account, envelope)) return undefined
    if (opened.kind === 'waiting') return opened
    if (opened.kind === 'refused') throw new MyceliumError(opened.code, { reason: opened.reason })
    const message = decodeMessage(opened.payload)
    const { author, device } = opened.envelope.header
    const isTheirs = message.author === author && message.device === device
    if (!isTheirs || message.place?.kind !== 'group' || message.place.group !== group.id)
      throw new MyceliumError('signature-invalid', { reason: 'author' })
    const id = messageIdOf(opened.payload)
    const arriving = { id, encoded: opened.payload, message }
    const taken = conversations.take(tx, account, { kind: 'group', group: group.id }, arriving)
    if (taken.kind === 'refused') throw new MyceliumError(taken.reason)
    if (taken.kind === 'waiting') tx.afterCommit(() => onCiting(account))
    book.putEnvelope(tx, account, id, opened.envelope)
    return undefined
  }
}

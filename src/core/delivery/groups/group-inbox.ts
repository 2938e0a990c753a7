/**
 * What other members say about a group, in the transaction that acknowledges it: operations and messages count by what they
 * prove themselves, keys by whom they come from. What lacks something waits for it, and is asked for.
 */
import type { Ambient } from '../../ambient.ts'
import type { Conversations } from '../../conversation/conversations.ts'
import type { DevicesOf, GroupBook } from '../../conversation/group-book.ts'
import { hasCode, MyceliumError, unreachable } from '../../errors.ts'
import type { Group } from '../../group/group.ts'
import { readGroupOp, type SignedGroupOp } from '../../group/op.ts'
import type { GroupId, GroupOpId, Identity, MessageId } from '../../ids.ts'
import { limits } from '../../limits.ts'
import { groupConversation } from '../../message/conversation.ts'
import { decodeMessage, messageIdOf } from '../../message/message.ts'
import type { Store, WriteTx } from '../../store/store.ts'
import type { Delivered } from '../deliver.ts'
import type { Keyring } from '../needs.ts'
import type { GroupPost } from './group-post.ts'
import { Soon } from '../soon.ts'
import { GroupAnswers } from './group-answers.ts'
import { GroupEnvelopes } from './group-envelopes.ts'
import { GroupQuestions } from './group-questions.ts'
import type { GroupVault } from './group-vault.ts'
import { type Groups, keyBringer } from './groups.ts'
import { unlessRefused } from './refusals.ts'
import { type BaseHead, decodeStatements, type Delivery, encodeStatements, type Statement } from './statements.ts'

interface InboxParts {
  readonly store: Store
  readonly book: GroupBook
  readonly vault: GroupVault
  readonly groups: Groups
  readonly conversations: Conversations
  readonly groupPost: GroupPost
  readonly keyring: Keyring
  readonly ambient: Ambient
  readonly devicesOf: DevicesOf
  /** Is there room for a message of so many octets, as mail programs are shown it? */
  readonly hasRoomFor: (tx: WriteTx, account: Identity, bytes: number) => boolean
}

const accepted: Delivered = { kind: 'accepted' }

/** May what waits be opened after this? A message settles those before it of whom was removed; others settle nothing. */
const unlocks = (group: Group, { kind }: Statement): boolean =>
  kind === 'ops' ||
  kind === 'bundles' ||
  kind === 'seed' ||
  kind === 'chains' ||
  (kind === 'envelope' && group.state.removals.size > 0)

/** Is the operation here that an early statement waits for? */
const isDue = (group: Group, statement: Statement): boolean =>
  statement.kind === 'seed' || statement.kind === 'chains' ? group.epoch(statement.epoch) !== undefined : true

export class GroupInbox implements Disposable {
  readonly #parts: InboxParts
  readonly #soon = new Soon()
  readonly #questions: GroupQuestions
  readonly #answers: GroupAnswers
  readonly #envelopes: GroupEnvelopes

  constructor(parts: InboxParts) {
    this.#parts = parts
    this.#questions = new GroupQuestions(parts)
    this.#answers = new GroupAnswers(parts)
    this.#envelopes = new GroupEnvelopes({
      ...parts,
      questions: this.#questions,
      onCiting: (account) => this.#askSoon(account, limits.parentAskMs + 50),
    })
    parts.book.whenMerged((tx, account, group) => this.#envelopes.strikeCut(tx, account, group, group.ids()))
  }

  take(tx: WriteTx, account: Identity, from: Identity, id: GroupId, payload: Uint8Array): Delivered {
    const delivery = { account, from, id }
    let statements: readonly Statement[]
    try {
      statements = decodeStatements(payload)
    } catch (error) {
      if (hasCode(error, 'malformed') || hasCode(error, 'too-large')) return { kind: 'refused', reason: 'malformed' }
      throw error
    }
    const isFull = statements.some(
      (one) => one.kind === 'envelope' && !this.#parts.hasRoomFor(tx, account, one.envelope.body.length),
    )
    if (isFull) return { kind: 'refused', reason: 'mailbox-full' }
    const before = this.#mark(tx, delivery)
    const { ambient } = this.#parts
    for (const statement of statements)
      unlessRefused(ambient.log, delivery, () => this.#takeOne(tx, delivery, statement))
    this.#settle(tx, delivery, before, statements)
    return accepted
  }

  /** Once a minute: asks again for what is missing, and brings keys that nobody else brings. */
  async minute(): Promise<void> {
    const { store, book, keyring } = this.#parts
    for (const account of keyring.accounts()) {
      await this.#dropEarly(account)
      const groups = store.read((tx) => book.rows(tx, account)).filter(({ state }) => state !== 'left')
      for (const { group: id } of groups) {
        const group = book.groupNow(account, id)
        if (group === undefined) continue
        const isDue = group.state.epochs.length === 0 && group.state.members.has(account)
        const waits = store.read((tx) => book.waits(tx, account, id))
        if (isDue || waits || group.waiting > 0) await store.write((tx) => this.#tend(tx, { account, id }))
      }
      await this.#askForCited(account)
    }
  }

  #tend(tx: WriteTx, { account, id }: { readonly account: Identity; readonly id: GroupId }): void {
    const { book, groups, vault } = this.#parts
    const group = book.group(tx, account, id)
    if (group === undefined) return
    this.#envelopes.strikeCut(tx, account, group, book.retry(tx, account, group).ids)
    this.#takeEarly(tx, account, group)
    if (group.state.epochs.length === 0 && group.state.members.has(account)) groups.renewKeys(tx, account, group)
    const [epoch] = group.state.epochs
    if (epoch !== undefined && !vault.holds(tx, account, id, epoch.op)) groups.askForKeys(tx, account, group, epoch.op)
    groups.sealWaiting(tx, account, group)
    this.#envelopes.openWaiting(tx, account, group)
  }

  #takeOne(tx: WriteTx, delivery: Delivery, statement: Statement): void {
    switch (statement.kind) {
      case 'bundles':
        return this.#takeBundles(tx, delivery, statement.bundles)
      case 'ops':
        return this.#takeOps(tx, delivery, statement.ops)
      case 'seed':
        return this.#takeSeed(tx, delivery, statement)
      case 'chains':
        return this.#takeChains(tx, delivery, statement)
      case 'base':
        return this.#takeBase(tx, delivery, statement.heads)
      case 'history':
        return this.#takeHistory(tx, delivery, statement.messages)
      case 'envelope':
        return this.#takeEnvelope(tx, delivery, statement)
      case 'wanted':
        return this.#answers.wanted(tx, delivery, statement)
      case 'absent':
        return this.#takeAbsent(tx, delivery, statement.messages)
      case 'read':
        return this.#takeRead(tx, delivery, statement.heads)
      case 'vouchFor':
        return this.#parts.groups.vouchFor(
          tx,
          delivery.account,
          this.#groupWith(tx, delivery),
          statement.heads,
          delivery.from,
        )
      case 'vouched':
        return this.#parts.groups.vouched(tx, delivery.account, this.#groupWith(tx, delivery), statement.heads, {
          identity: delivery.from,
          device: statement.device,
          signature: Uint8Array.from(statement.signature),
        })
      case 'chainsWanted':
        return this.#answers.chainsWanted(tx, delivery, statement.epoch)
      case 'placesWanted':
        return this.#answers.placesWanted(tx, delivery, statement)
      default:
        return unreachable(statement)
    }
  }

  /** Of people who may turn out to be members. Only from somebody with whom there is a group, or who may found one. */
  #takeBundles(tx: WriteTx, { account, from, id }: Delivery, bundles: readonly Uint8Array[]): void {
    const { book, keyring } = this.#parts
    const group = book.group(tx, account, id)
    const isMember = group?.state.members.has(from) === true
    if (!isMember && !this.#mayBring(account, from)) throw new MyceliumError('not-permitted')
    for (const bundle of bundles) keyring.learnFellow(tx, account, bundle)
    if (group !== undefined) this.#envelopes.strikeCut(tx, account, group, book.retry(tx, account, group).ids)
  }

  /** A contact, a fellow of another group, or another account of this gateway. */
  #mayBring(account: Identity, from: Identity): boolean {
    const { keyring } = this.#parts
    const state = keyring.contact(account, from)?.state
    return keyring.accounts().includes(from) || state === 'active' || state === 'fellow'
  }

  #takeOps(tx: WriteTx, { account, from, id }: Delivery, ops: readonly SignedGroupOp[]): void {
    const { book, ambient } = this.#parts
    const nowMs = ambient.clock.nowMs()
    const missing = new Set<GroupOpId>()
    for (const op of ops) {
      const group = book.group(tx, account, id) ?? this.#begin(tx, { account, from, id }, op)
      const result = book.add(tx, account, group, op, nowMs)
      if (result.kind === 'refused') throw new MyceliumError(result.code, { reason: result.reason })
      if (result.kind === 'waiting') for (const parent of result.missing) missing.add(parent)
      if (result.kind === 'added') this.#envelopes.strikeCut(tx, account, group, result.ids)
    }
    for (const op of ops) missing.delete(readGroupOp(op).id)
    if (missing.size > 0) this.#questions.ask(tx, { account, from, id }, { ops: [...missing] })
  }

  /** @throws `not-permitted`, `group-full` */
  #begin(tx: WriteTx, { account, from, id }: Delivery, op: SignedGroupOp): Group {
    const { book } = this.#parts
    if (!this.#mayBring(account, from)) throw new MyceliumError('not-permitted')
    if (book.rows(tx, account).length >= limits.groupsMax) throw new MyceliumError('group-full', { reason: 'groups' })
    const group = book.open(tx, account, op)
    if (group.id !== id) throw new MyceliumError('malformed', { reason: 'group' })
    return group
  }

  /** The epoch itself proves which seed is its own, whoever brings it. */
  #takeSeed(tx: WriteTx, delivery: Delivery, statement: Extract<Statement, { readonly kind: 'seed' }>): void {
    const { account, id } = delivery
    const group = this.#parts.book.group(tx, account, id)
    const epoch = group?.epoch(statement.epoch)
    if (group === undefined || epoch === undefined) return this.#keepEarly(tx, delivery, statement)
    this.#parts.vault.keep(tx, account, group, epoch, Uint8Array.from(statement.seed))
  }

  /** @throws `not-a-member` unless whoever brings them is in the group, or was */
  #takeChains(tx: WriteTx, delivery: Delivery, statement: Extract<Statement, { readonly kind: 'chains' }>): void {
    const { account, from, id } = delivery
    const { epoch, chains } = statement
    const group = this.#parts.book.group(tx, account, id)
    if (group?.epoch(epoch) === undefined) return this.#keepEarly(tx, delivery, statement)
    const isMember = group.state.members.has(from)
    if (!isMember && !group.state.removals.has(from)) throw new MyceliumError('not-a-member')
    // who has gone since then is heard about nobody else's chains
    const own = this.#parts.devicesOf(tx, account, from)
    const heard = isMember ? chains : chains.filter(({ device }) => own.has(device))
    this.#parts.vault.learn(tx, account, group, { epoch, chains: heard, from })
  }

  /**
   * What it is about has not come yet: that is on its way beside it.
   * @throws `not-permitted`, `too-large` when too much waits
   */
  #keepEarly(tx: WriteTx, { account, from, id }: Delivery, statement: Statement): void {
    const { book, ambient } = this.#parts
    if (book.group(tx, account, id) === undefined && !this.#mayBring(account, from))
      throw new MyceliumError('not-permitted')
    const sinceMs = ambient.clock.nowMs()
    book.putEarly(tx, account, id, { from, sinceMs, statement: encodeStatements([statement]) })
  }

  async #dropEarly(account: Identity): Promise<void> {
    const { store, book, ambient } = this.#parts
    const beforeMs = ambient.clock.nowMs() - limits.messageExpiryMs
    const old = store.read((tx) => book.earlySince(tx, account, beforeMs))
    if (old.length > 0)
      await store.write((tx) => {
        for (const key of old) book.removeEarly(tx, key)
      })
  }

  /** What came before the operations that it is about; what does not yet stand on its own goes on waiting. */
  #takeEarly(tx: WriteTx, account: Identity, group: Group): void {
    const { book, ambient } = this.#parts
    const early = book.early(tx, account, group.id).map(({ key, from, statement }) => ({
      key,
      from,
      statements: decodeStatements(statement),
    }))
    for (const { key, from, statements } of early) {
      if (!statements.every((one) => isDue(group, one))) continue
      book.removeEarly(tx, key)
      const delivery = { account, from, id: group.id }
      for (const one of statements) unlessRefused(ambient.log, delivery, () => this.#takeOne(tx, delivery, one))
    }
  }

  /** @throws `not-a-member` unless whoever speaks is in it */
  #groupWith(tx: WriteTx, { account, from, id }: Delivery): Group {
    const group = this.#parts.book.group(tx, account, id)
    if (group?.state.members.has(from) !== true) throw new MyceliumError('not-a-member')
    return group
  }

  #takeRead(tx: WriteTx, delivery: Delivery, heads: readonly MessageId[]): void {
    const { account, from, id } = delivery
    const { policy } = this.#groupWith(tx, delivery).state
    if (!policy.readReceipts) throw new MyceliumError('not-permitted')
    this.#parts.conversations.mark(tx, account, groupConversation(id), { who: from, heads })
  }

  /** Only for what is not here: what was shown before stays as it was. */
  #takeBase(tx: WriteTx, { account, from, id }: Delivery, heads: readonly BaseHead[]): void {
    const { history } = this.#parts.conversations
    const row = this.#parts.book.row(tx, account, id)
    if (row !== undefined && row.state !== 'left' && row.addedBy !== from) throw new MyceliumError('not-permitted')
    for (const head of heads) history.giveUp(tx, account, head.id, groupConversation(id), head.rank)
  }

  /** Nobody but whoever added this account tells what was before, and only where the rules say so. */
  #takeHistory(tx: WriteTx, delivery: Delivery, messages: readonly Uint8Array[]): void {
    const { account, from, id } = delivery
    const { book, conversations } = this.#parts
    if (book.group(tx, account, id) === undefined) return this.#keepEarly(tx, delivery, { kind: 'history', messages })
    const group = this.#groupWith(tx, delivery)
    const row = book.row(tx, account, id)
    if (!group.state.policy.sharesHistory || (row !== undefined && row.state !== 'left' && row.addedBy !== from))
      throw new MyceliumError('not-permitted')
    for (const encoded of messages) {
      const message = decodeMessage(encoded)
      if (message.place?.kind !== 'group' || message.place.group !== id) throw new MyceliumError('malformed')
      const arriving = { id: messageIdOf(encoded), encoded: Uint8Array.from(encoded), message }
      conversations.take(tx, account, { kind: 'group', group: id }, arriving)
    }
  }

  #takeEnvelope(tx: WriteTx, delivery: Delivery, statement: Extract<Statement, { readonly kind: 'envelope' }>): void {
    const group = this.#parts.book.group(tx, delivery.account, delivery.id)
    if (group === undefined) return this.#keepEarly(tx, delivery, statement)
    this.#envelopes.take(tx, delivery, group, statement)
  }

  /** Nobody else than whoever cites a message knows that nobody has it for this account. */
  #takeAbsent(tx: WriteTx, { account, from, id }: Delivery, messages: readonly MessageId[]): void {
    const { history } = this.#parts.conversations
    for (const message of messages)
      if (history.missing.isCitedBy(tx, account, message, from))
        history.giveUp(tx, account, message, groupConversation(id))
  }

  [Symbol.dispose](): void {
    this.#soon[Symbol.dispose]()
  }

  #askSoon(account: Identity, afterMs: number): void {
    this.#soon.run(account, afterMs, () => this.#guardedTask('group-missing', this.#askForCited(account)))
  }

  async #askForCited(account: Identity): Promise<void> {
    if ((await this.#questions.askForCited(account)) === 'asked') this.#askSoon(account, limits.parentAskAgainMs)
  }

  /** What the group was before a payload: whether this account was in it, and its operations. */
  #mark(tx: WriteTx, { account, id }: Delivery): { readonly heads: string; readonly isIn: boolean } {
    const group = this.#parts.book.group(tx, account, id)
    return { heads: group?.heads.join() ?? '', isIn: group?.state.members.has(account) === true }
  }

  /** What follows from new operations and keys. */
  #settle(
    tx: WriteTx,
    delivery: Delivery,
    before: { readonly heads: string; readonly isIn: boolean },
    statements: readonly Statement[],
  ): void {
    const { account, from, id } = delivery
    const { book, groups, keyring, ambient } = this.#parts
    const group = book.group(tx, account, id)
    if (group === undefined) return
    const isIn = group.state.members.has(account)
    const row = book.row(tx, account, id)
    // it is still coming from another device of the account
    if (before.isIn && row === undefined) return
    if (isIn && !before.isIn && (row === undefined || row.state === 'left')) {
      const isTrusted = keyring.accounts().includes(from) || keyring.contact(account, from)?.state === 'active'
      book.putRow(tx, account, {
        group: id,
        state: isTrusted ? 'joined' : 'invited',
        addedBy: from,
        sinceMs: ambient.clock.nowMs(),
      })
    } else if (!isIn && row !== undefined && row.state !== 'left') book.putRow(tx, account, { ...row, state: 'left' })
    if (group.heads.join() !== before.heads && (isIn || before.isIn)) groups.changed(tx, account, id)
    if (!isIn) return
    if (group.state.epochs.length === 0 && keyBringer(group.state) === account) groups.renewKeys(tx, account, group)
    this.#takeEarly(tx, account, group)
    groups.sealWaiting(tx, account, group)
    if (statements.some((one) => unlocks(group, one))) this.#envelopes.openWaiting(tx, account, group)
    // a log that came with this payload is known after the commit
    if (group.waiting > 0)
      tx.afterCommit(() => this.#soon.run(account + id, limits.groupTendMs, () => this.#later({ account, id })))
  }

  #later(whose: { readonly account: Identity; readonly id: GroupId }): void {
    this.#guardedTask(
      'group-tend',
      this.#parts.store.write((tx) => this.#tend(tx, whose)),
    )
  }

  #guardedTask(task: string, work: Promise<void>): void {
    work.catch((error: unknown) => {
      if (hasCode(error, 'shutting-down')) return
      const code = error instanceof MyceliumError ? error.code : 'unexpected'
      this.#parts.ambient.log.error('task.failed', { task, code })
    })
  }
}

/**
 * What other members say about a group, in the transaction that acknowledges it: operations and messages count by what they
 * prove themselves, keys by whom they come from. What lacks something waits for it, and is asked for.
 */
import type { Ambient } from '../../ambient.ts'
import type { Conversations } from '../../conversation/conversations.ts'
import type { DevicesOf, GroupBook, WaitingEnvelope } from '../../conversation/group-book.ts'
import { hasCode, MyceliumError, unreachable } from '../../errors.ts'
import type { SignedEnvelope } from '../../group/envelope.ts'
import type { Group } from '../../group/group.ts'
import { type Cut, type GroupOp, readGroupOp, type SignedGroupOp } from '../../group/op.ts'
import type { GroupId, GroupOpId, Identity, MessageId } from '../../ids.ts'
import { short } from '../../ids.ts'
import { limits } from '../../limits.ts'
import { groupConversation } from '../../message/conversation.ts'
import { decodeMessage, messageIdOf } from '../../message/message.ts'
import type { Store, WriteTx } from '../../store/store.ts'
import { Asking } from '../asking.ts'
import type { Delivered } from '../deliver.ts'
import type { Keyring } from '../needs.ts'
import type { GroupPost } from './group-post.ts'
import { Soon } from '../soon.ts'
import { type Groups, keyBringer } from './groups.ts'
import type { GroupVault, Opened } from './group-vault.ts'
import { type BaseHead, decodeStatements, type Statement } from './statements.ts'

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

/** Where a statement came from, and whose it is to be. */
interface Delivery {
  readonly account: Identity
  readonly from: Identity
  readonly id: GroupId
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

const accepted: Delivered = { kind: 'accepted' }

export class GroupInbox implements Disposable {
  readonly #parts: InboxParts
  readonly #soon = new Soon()
  readonly #asking = new Asking<MessageId>()

  constructor(parts: InboxParts) {
    this.#parts = parts
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
    for (const statement of statements) this.#guarded(delivery, () => this.#takeOne(tx, delivery, statement))
    this.#settle(tx, delivery, before)
    return accepted
  }

  /** Once a minute: asks again for what is missing, and brings keys that nobody else brings. */
  async minute(): Promise<void> {
    const { store, book, keyring } = this.#parts
    for (const account of keyring.accounts()) {
      const groups = store.read((tx) => book.rows(tx, account)).filter(({ state }) => state !== 'left')
      for (const { group: id } of groups) {
        const group = book.groupNow(account, id)
        if (group === undefined) continue
        const isDue = group.state.epochs.length === 0 && group.state.members.has(account)
        const waits = store.read((tx) => book.waiting(tx, account, id).length + book.unsealed(tx, account, id).length)
        if (isDue || waits > 0 || group.waiting > 0) await store.write((tx) => this.#tend(tx, { account, id }))
      }
      await this.#askForMissing(account)
    }
  }

  #tend(tx: WriteTx, { account, id }: { readonly account: Identity; readonly id: GroupId }): void {
    const { book, groups, vault } = this.#parts
    const group = book.group(tx, account, id)
    if (group === undefined) return
    book.retry(tx, account, group)
    if (group.state.epochs.length === 0 && group.state.members.has(account)) groups.renewKeys(tx, account, group)
    const [epoch] = group.state.epochs
    if (epoch !== undefined && !vault.holds(tx, account, id, epoch.op)) groups.askForKeys(tx, account, group, epoch.op)
    groups.sealWaiting(tx, account, group)
    this.#openWaiting(tx, account, group)
  }

  /** One statement that makes no sense is no other's affair. */
  #guarded({ from, id }: Delivery, take: () => void): void {
    try {
      take()
    } catch (error) {
      if (!(error instanceof MyceliumError) || error.code === 'store-corrupt' || error.code === 'disk-full') throw error
      this.#parts.ambient.log.info('group.refused', { group: short(id), from: short(from), code: error.code })
    }
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
        return this.#takeWanted(tx, delivery, statement)
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
        return this.#takeChainsWanted(tx, delivery, statement.epoch)
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
    if (group !== undefined) book.retry(tx, account, group)
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
    }
    for (const op of ops) missing.delete(readGroupOp(op).id)
    this.#strikeCut(tx, { account, id }, ops)
    if (missing.size > 0) this.#ask(tx, { account, from, id }, { ops: [...missing] })
  }

  /** What was taken while a removal was on its way here, and lies past where that cuts, counts no more. */
  #strikeCut(tx: WriteTx, { account, id }: Pick<Delivery, 'account' | 'id'>, ops: readonly SignedGroupOp[]): void {
    const { book, conversations, vault, devicesOf } = this.#parts
    const group = book.group(tx, account, id)
    if (group === undefined) return
    const { history } = conversations
    const conversation = groupConversation(id)
    for (const { member, cuts } of ops.flatMap((op) => removalIn(readGroupOp(op).op))) {
      const isTakenPast = [...devicesOf(tx, account, member)].some((device) => {
        const count = cuts.find((cut) => cut.device === device)?.count ?? 0
        return vault.takenPast(tx, account, id, { device, count }) > 0
      })
      if (!isTakenPast) continue
      const taken = [...history.backwards(tx, account, conversation, limits.groupCutLookMax)].map((one) => one.id)
      for (const message of [...taken, ...history.waiting(tx, account, conversation)]) {
        const envelope = this.#isBy(tx, account, message, member) ? book.envelope(tx, account, message) : undefined
        if (envelope !== undefined && !vault.stands(tx, account, group, envelope)) history.strike(tx, account, message)
      }
    }
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

  #takeSeed(tx: WriteTx, delivery: Delivery, { epoch, seed }: Extract<Statement, { readonly kind: 'seed' }>): void {
    const group = this.#groupWith(tx, delivery)
    const known = group.epoch(epoch)
    if (known === undefined) throw new MyceliumError('no-such-group', { reason: 'epoch' })
    this.#parts.vault.keep(tx, delivery.account, group, known, Uint8Array.from(seed))
  }

  #takeChains(
    tx: WriteTx,
    delivery: Delivery,
    { epoch, chains }: Extract<Statement, { readonly kind: 'chains' }>,
  ): void {
    const group = this.#groupWith(tx, delivery)
    this.#parts.vault.learn(tx, delivery.account, group, { epoch, chains, from: delivery.from })
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

  #takeEnvelope(
    tx: WriteTx,
    { account, from, id }: Delivery,
    { envelope, asked }: Extract<Statement, { readonly kind: 'envelope' }>,
  ): void {
    const group = this.#parts.book.group(tx, account, id)
    if (group === undefined) throw new MyceliumError('no-such-group')
    const opened = this.#openAsked(tx, account, group, { envelope, asked })
    if (opened === undefined) return
    const sinceMs = this.#parts.ambient.clock.nowMs()
    this.#parts.book.putWaiting(tx, account, id, opened.envelope.id, { from, sinceMs, envelope, asked })
    const { heads, epoch } = opened.envelope.header
    const ops = [...heads, epoch].filter((op) => !group.has(op))
    this.#ask(tx, { account, from, id }, { ops, ...(opened.for === 'keys' ? { epoch } : {}) })
  }

  /** The same; what this account asked for and cannot have is waited for no more. */
  #openAsked(
    tx: WriteTx,
    account: Identity,
    group: Group,
    { envelope, asked }: Pick<WaitingEnvelope, 'envelope' | 'asked'>,
  ): StillClosed | undefined {
    try {
      return this.#open(tx, account, group, envelope)
    } catch (error) {
      if (asked !== undefined && error instanceof MyceliumError)
        this.#parts.conversations.history.giveUp(tx, account, asked, groupConversation(group.id))
      throw error
    }
  }

  /** @returns what it waits for; undefined when it was taken @throws why it will never be */
  #open(tx: WriteTx, account: Identity, group: Group, envelope: SignedEnvelope): StillClosed | undefined {
    const { vault, book, conversations } = this.#parts
    const opened = vault.open(tx, account, group, envelope)
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
    if (taken.kind === 'waiting') tx.afterCommit(() => this.#askSoon(account))
    if (taken.kind !== 'duplicate') book.putEnvelope(tx, account, id, envelope)
    return undefined
  }

  #openWaiting(tx: WriteTx, account: Identity, group: Group): void {
    const { book, conversations } = this.#parts
    const nowMs = this.#parts.ambient.clock.nowMs()
    for (const { key, envelope, asked, from, sinceMs } of book.waiting(tx, account, group.id)) {
      let isDone = false
      this.#guarded({ account, from, id: group.id }, () => {
        isDone = true
        isDone = this.#openAsked(tx, account, group, { envelope, asked }) === undefined
      })
      if (!isDone && asked !== undefined && nowMs - sinceMs > limits.groupKeysWaitMs)
        conversations.history.giveUp(tx, account, asked, groupConversation(group.id))
      if (isDone || nowMs - sinceMs > limits.messageExpiryMs) book.removeWaiting(tx, key)
    }
  }

  #takeWanted(
    tx: WriteTx,
    { account, from, id }: Delivery,
    { ops, messages }: Extract<Statement, { readonly kind: 'wanted' }>,
  ): void {
    const { book, groupPost, vault } = this.#parts
    const group = book.group(tx, account, id)
    if (group?.state.members.has(from) !== true) throw new MyceliumError('not-a-member')
    const envelopes = messages.flatMap((message) => {
      const envelope = book.envelope(tx, account, message)
      // what does not stand is refused, and what was said without whoever asks is not for them
      const isForThem = envelope !== undefined && vault.isFor(tx, account, group, { signed: envelope, member: from })
      return isForThem ? [{ message, envelope }] : []
    })
    const found = new Set(envelopes.map(({ message }) => message))
    const absent = messages.filter((message) => !found.has(message) || this.#isBy(tx, account, message, from))
    groupPost.send(tx, account, id, {
      to: [from],
      statements: [
        { kind: 'ops', ops: ops.flatMap((op) => group.signed(op) ?? []) },
        ...envelopes.map(({ envelope, message }): Statement => ({ kind: 'envelope', envelope, asked: message })),
        ...(absent.length === 0 ? [] : [{ kind: 'absent', messages: absent } as const]),
      ],
    })
  }

  /** Who asks for its own words has lost them with a home that was restored, and the keys that opened them. */
  #isBy(tx: WriteTx, account: Identity, message: MessageId, author: Identity): boolean {
    const row = this.#parts.conversations.history.message(tx, account, message)
    return row !== undefined && row.encoded.length > 0 && decodeMessage(row.encoded).author === author
  }

  /** Nobody else than whoever cites a message knows that nobody has it for this account. */
  #takeAbsent(tx: WriteTx, { account, from, id }: Delivery, messages: readonly MessageId[]): void {
    const { history } = this.#parts.conversations
    for (const message of messages)
      if (history.isCitedBy(tx, account, message, from)) history.giveUp(tx, account, message, groupConversation(id))
  }

  #takeChainsWanted(tx: WriteTx, delivery: Delivery, epoch: GroupOpId): void {
    const { vault, groupPost, groups } = this.#parts
    const { account, from, id } = delivery
    const group = this.#groupWith(tx, delivery)
    if (!group.state.epochs.some(({ op }) => op === epoch)) return
    // keys made against a removal are not for whom it took away, though it be void by now: that takes new ones
    if (!groups.mayHold(tx, account, group, { epoch, member: from })) {
      if (keyBringer(group.state) === account) groups.renewKeys(tx, account, group)
      return
    }
    const statements = vault
      .headsOf(tx, account, id, epoch)
      .map((chains): Statement => ({ kind: 'chains', epoch, chains }))
    if (statements.length > 0) groupPost.send(tx, account, id, { to: [from], statements })
  }

  #ask(
    tx: WriteTx,
    { account, from, id }: Delivery,
    {
      ops = [],
      messages = [],
      epoch,
    }: { readonly ops?: readonly GroupOpId[]; readonly messages?: readonly MessageId[]; readonly epoch?: GroupOpId },
  ): void {
    const statements: Statement[] = []
    if (ops.length + messages.length > 0)
      statements.push({
        kind: 'wanted',
        ops: ops.slice(0, limits.messagesAskedMax),
        messages: messages.slice(0, limits.messagesAskedMax),
      })
    if (epoch !== undefined) statements.push({ kind: 'chainsWanted', epoch })
    if (statements.length > 0) this.#parts.groupPost.send(tx, account, id, { to: [from], statements })
  }

  [Symbol.dispose](): void {
    this.#soon[Symbol.dispose]()
  }

  #askSoon(account: Identity): void {
    this.#soon.run(account, limits.parentAskMs + 50, () => {
      this.#guardedTask('group-missing', this.#askForMissing(account))
    })
  }

  /** Messages that others cite: whoever cites them has them, or had them; after a while another member may be nearer. */
  async #askForMissing(account: Identity): Promise<void> {
    const { store, conversations, ambient } = this.#parts
    const nowMs = ambient.clock.nowMs()
    const missing = store
      .read((tx) =>
        conversations.history.missingSince(tx, account, nowMs - limits.parentAskMs, limits.missingLookedMax),
      )
      .flatMap((one) => {
        const partner = conversations.get(account, one.conversation)?.partner
        return partner?.kind === 'group' ? [{ ...one, group: partner.group }] : []
      })
    const due = this.#asking.due(account, missing, nowMs)
    if (due.length === 0) return
    await store.write((tx) => {
      for (const [group, inGroup] of Map.groupBy(due, (one) => one.group))
        for (const [member, ids] of this.#whomToAsk(tx, account, group, inGroup))
          for (let at = 0; at < ids.length; at += limits.messagesAskedMax)
            this.#ask(
              tx,
              { account, from: member, id: group },
              { messages: ids.slice(at, at + limits.messagesAskedMax) },
            )
    })
  }

  #whomToAsk(
    tx: WriteTx,
    account: Identity,
    id: GroupId,
    due: readonly { readonly id: MessageId; readonly citedBy: Identity; readonly times: number }[],
  ): ReadonlyMap<Identity, readonly MessageId[]> {
    const members = [...(this.#parts.book.group(tx, account, id)?.state.members.keys() ?? [])].toSorted()
    const questions = due.flatMap(({ id: message, citedBy, times }) => {
      const others = members.filter((member) => member !== account && member !== citedBy)
      const other = times === 0 ? undefined : others[times % others.length]
      return [citedBy, ...(other === undefined ? [] : [other])].map((member) => ({ member, message }))
    })
    const byMember = Map.groupBy(questions, ({ member }) => member)
    return new Map([...byMember].map(([member, of]) => [member, of.map(({ message }) => message)]))
  }

  /** What the group was before a payload: whether this account was in it, and its operations. */
  #mark(tx: WriteTx, { account, id }: Delivery): { readonly heads: string; readonly isIn: boolean } {
    const group = this.#parts.book.group(tx, account, id)
    return { heads: group?.heads.join() ?? '', isIn: group?.state.members.has(account) === true }
  }

  /** What follows from new operations and keys. */
  #settle(tx: WriteTx, delivery: Delivery, before: { readonly heads: string; readonly isIn: boolean }): void {
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
    groups.sealWaiting(tx, account, group)
    this.#openWaiting(tx, account, group)
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

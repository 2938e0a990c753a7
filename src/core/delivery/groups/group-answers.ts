/** What other members ask for: operations, messages that are for them, keys that they may hold. */
import type { Conversations } from '../../conversation/conversations.ts'
import type { GroupBook } from '../../conversation/group-book.ts'
import type { Places } from '../../conversation/group-places.ts'
import { MyceliumError } from '../../errors.ts'
import type { Group } from '../../group/group.ts'
import type { GroupOpId, Identity, MessageId } from '../../ids.ts'
import { decodeMessage } from '../../message/message.ts'
import type { WriteTx } from '../../store/store.ts'
import type { GroupPost } from './group-post.ts'
import type { GroupVault } from './group-vault.ts'
import { type Groups, keyBringer } from './groups.ts'
import type { Delivery, Statement } from './statements.ts'

interface AnswerParts {
  readonly book: GroupBook
  readonly vault: GroupVault
  readonly groups: Groups
  readonly conversations: Conversations
  readonly groupPost: GroupPost
}

type EnvelopeStatement = Extract<Statement, { readonly kind: 'envelope' }>

export class GroupAnswers {
  readonly #parts: AnswerParts

  constructor(parts: AnswerParts) {
    this.#parts = parts
  }

  /** @throws `not-a-member` */
  wanted(
    tx: WriteTx,
    delivery: Delivery,
    { ops, messages }: { readonly ops: readonly GroupOpId[]; readonly messages: readonly MessageId[] },
  ): void {
    const { account, from } = delivery
    const group = this.#groupWith(tx, delivery)
    const envelopes = this.#envelopes(tx, delivery, group, messages)
    const found = new Set(envelopes.map(({ asked }) => asked))
    const absent = messages.filter((message) => !found.has(message) || this.#isBy(tx, account, message, from))
    this.#send(tx, delivery, [
      { kind: 'ops', ops: ops.flatMap((op) => group.signed(op) ?? []) },
      ...envelopes,
      ...(absent.length === 0 ? [] : [{ kind: 'absent', messages: absent } as const]),
    ])
  }

  /** @throws `not-a-member` */
  placesWanted(tx: WriteTx, delivery: Delivery, places: Places): void {
    const group = this.#groupWith(tx, delivery)
    const messages = this.#parts.book.messagesAt(tx, delivery.account, delivery.id, places)
    this.#send(tx, delivery, this.#envelopes(tx, delivery, group, messages))
  }

  /** @throws `not-a-member` */
  chainsWanted(tx: WriteTx, delivery: Delivery, epoch: GroupOpId): void {
    const { vault, groups } = this.#parts
    const { account, from, id } = delivery
    const group = this.#groupWith(tx, delivery)
    if (!group.state.epochs.some(({ op }) => op === epoch)) return
    // keys made against a removal are not for whom it took away, though it be void by now: that takes new ones
    if (!groups.mayHold(tx, account, group, { epoch, member: from })) {
      if (keyBringer(group.state) === account) groups.renewKeys(tx, account, group)
      return
    }
    const heads = vault.headsOf(tx, account, id, epoch)
    this.#send(
      tx,
      delivery,
      heads.map((chains) => ({ kind: 'chains', epoch, chains })),
    )
  }

  /** What does not stand is refused, and what was said without whoever asks is not for them. */
  #envelopes(
    tx: WriteTx,
    { account, from }: Delivery,
    group: Group,
    messages: readonly MessageId[],
  ): readonly EnvelopeStatement[] {
    const { book, vault } = this.#parts
    return messages.flatMap((message) => {
      const envelope = book.envelope(tx, account, message)
      const isForThem = envelope !== undefined && vault.isFor(tx, account, group, { signed: envelope, member: from })
      return isForThem ? [{ kind: 'envelope', envelope, asked: message } as const] : []
    })
  }

  /** Who asks for its own words has lost them with a home that was restored, and the keys that opened them. */
  #isBy(tx: WriteTx, account: Identity, message: MessageId, author: Identity): boolean {
    const row = this.#parts.conversations.history.message(tx, account, message)
    return row !== undefined && row.encoded.length > 0 && decodeMessage(row.encoded).author === author
  }

  #groupWith(tx: WriteTx, { account, from, id }: Delivery): Group {
    const group = this.#parts.book.group(tx, account, id)
    if (group?.state.members.has(from) !== true) throw new MyceliumError('not-a-member')
    return group
  }

  #send(tx: WriteTx, { account, from, id }: Delivery, statements: readonly Statement[]): void {
    if (statements.length > 0) this.#parts.groupPost.send(tx, account, id, { to: [from], statements })
  }
}

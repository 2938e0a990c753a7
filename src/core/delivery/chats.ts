/**
 * Messages of conversations on their way: what a client says becomes history, a copy for every recipient and the place
 * in the order in one transaction; what arrives becomes history in the transaction that acknowledges it. What a message
 * cites and is not here is asked for.
 */
import type { Ambient } from '../ambient.ts'
import type { Conversations } from '../conversation/conversations.ts'
import { idOfPartner } from '../conversation/conversations.ts'
import { aboutOf, type Arriving } from '../conversation/history.ts'
import type { Partner } from '../conversation/rows.ts'
import { MyceliumError, unreachable } from '../errors.ts'
import type { ConversationId, GroupId, Identity, MessageId } from '../ids.ts'
import { limits } from '../limits.ts'
import { decodeMessage, messageIdOf, type Place } from '../message/message.ts'
import type { Part } from '../message/part.ts'
import type { Store, WriteTx } from '../store/store.ts'
import { type ChatPost, type Draft, nothingCited } from './chat-post.ts'
import type { Delivered } from './deliver.ts'
import type { Item } from './items.ts'
import type { Directory, Keyring } from './needs.ts'
import type { Outbox, OutboxRef } from './outbox.ts'
import type { Pair } from './session-book.ts'
import { Soon } from './soon.ts'

export interface ChatParts {
  readonly store: Store
  readonly conversations: Conversations
  readonly outbox: Outbox
  readonly directory: Directory
  readonly keyring: Keyring
  readonly post: ChatPost
  readonly ambient: Ambient
  /** Is its file here, on its way, or refused? `undefined` keeps its author waiting. */
  readonly settled: (tx: WriteTx, account: Identity, arriving: Arriving, outcome: Delivered) => Delivered | undefined
  /** Is there room for it where mail programs see it? */
  readonly hasRoom: (tx: WriteTx, account: Identity, arriving: Arriving) => boolean
  readonly say: (account: Identity, contact: Identity, item: Item) => void
  readonly sayTo: (pair: Pair, item: Item) => void
  /** After the commit: this account's own read mark went on. */
  readonly onRead: (account: Identity, conversation: ConversationId) => void
  /** What a member of a group says about it. */
  readonly takeOfGroup: (
    tx: WriteTx,
    account: Identity,
    from: Identity,
    group: GroupId,
    payload: Uint8Array,
  ) => Delivered
}

export interface Said {
  readonly id: MessageId
  readonly conversation: ConversationId
}

export class Chats implements Disposable {
  readonly #parts: ChatParts
  readonly #soon = new Soon()

  constructor(parts: ChatParts) {
    this.#parts = parts
  }

  /**
   * @returns once it is durable here with a copy queued for its recipient
   * @throws `no-such-contact`, `blocked`, `key-changed`, `mailbox-full`; `no-such-message` when what it is about is not
   *   here; `not-yours` when it edits or takes back the words of another
   */
  async say(account: Identity, peer: Identity, draft: Draft): Promise<Said> {
    return await this.#parts.store.write((tx) => this.sayIn(tx, account, peer, draft))
  }

  /** The same in the caller's transaction. @param onComposed hears of it before it becomes history */
  sayIn(
    tx: WriteTx,
    account: Identity,
    peer: Identity,
    draft: Draft,
    onComposed: (arriving: Arriving) => void = () => {},
  ): Said {
    const standing = this.#whom(account, peer)
    const arriving = this.#compose(tx, account, { kind: 'direct', peer }, { kind: 'direct', with: peer }, draft)
    onComposed(arriving)
    this.#own(tx, account, { kind: 'direct', peer }, arriving)
    if (standing === 'local') {
      this.#takeHere(tx, peer, account, arriving)
      this.#parts.conversations.history.setFate(tx, account, arriving.id, peer, 'delivered')
    } else if (standing === 'contact') this.#parts.post.queue(tx, account, arriving, [peer])
    return { id: arriving.id, conversation: idOfPartner(account, { kind: 'direct', peer }) }
  }

  /**
   * What this account has read; whom it may be told hears of it a little later.
   * @param isPrivate nobody else hears of it, whatever the account's settings are
   */
  async markRead(
    account: Identity,
    conversation: ConversationId,
    upTo: MessageId,
    { isPrivate = false }: { readonly isPrivate?: boolean } = {},
  ): Promise<void> {
    const { conversations, store } = this.#parts
    const row = conversations.get(account, conversation)
    if (row === undefined) throw new MyceliumError('no-such-message')
    const isNews = await store.write((tx) =>
      conversations.mark(tx, account, conversation, { who: account, heads: [upTo] }),
    )
    if (isNews && !isPrivate) this.#parts.onRead(account, conversation)
  }

  /** That this account has read up to there, to the other of a direct chat. */
  tellRead(tx: WriteTx, account: Identity, peer: Identity, upTo: MessageId): void {
    if (peer === account) return
    const parts: readonly Part[] = [{ kind: 'receipt', what: 'read', heads: [upTo] }]
    const receipt = this.#parts.post.stamped(account, { kind: 'direct', with: peer }, { parts }, nothingCited)
    if (this.#parts.directory.isOwn(peer)) this.#takeHere(tx, peer, account, receipt)
    else if (this.#parts.keyring.contact(account, peer)?.mayMail === true)
      this.#parts.post.queue(tx, account, receipt, [peer])
  }

  /** A message of a conversation came inside a session. `undefined` keeps it unanswered. */
  received(tx: WriteTx, pair: Pair, arriving: Arriving): Delivered | undefined {
    const { message } = arriving
    if (message.place?.kind === 'group') return this.#receivedOfGroup(tx, pair, arriving)
    if (message.place?.kind !== 'direct') return { kind: 'refused', reason: 'malformed' }
    if (message.place.with !== pair.account || message.author !== pair.peer)
      return { kind: 'refused', reason: 'malformed' }
    if (this.#parts.keyring.contact(pair.account, pair.peer)?.state === 'blocked')
      return { kind: 'refused', reason: 'blocked' }
    return this.#take(tx, pair.account, { kind: 'direct', peer: pair.peer }, arriving)
  }

  #receivedOfGroup(tx: WriteTx, pair: Pair, { message }: Arriving): Delivered {
    const [part] = message.parts
    if (message.place?.kind !== 'group' || part?.kind !== 'group') return { kind: 'refused', reason: 'malformed' }
    if (this.#parts.keyring.contact(pair.account, pair.peer)?.state === 'blocked')
      return { kind: 'refused', reason: 'blocked' }
    return this.#parts.takeOfGroup(tx, pair.account, pair.peer, message.place.group, part.payload)
  }

  /**
   * A contact lacks these: it gets what we ourselves said to it, and hears what it will not have. Its own words it lost
   * with a restored home are among these: it could not tell them from what we only say that it said.
   */
  wanted(tx: WriteTx, pair: Pair, ids: readonly MessageId[]): void {
    const { conversations, outbox } = this.#parts
    const conversation = idOfPartner(pair.account, { kind: 'direct', peer: pair.peer })
    const found: Uint8Array[] = []
    const absent: MessageId[] = []
    for (const id of ids) {
      const row = conversations.history.message(tx, pair.account, id)
      const isHere = row?.conversation === conversation && row.state !== 'absent' && messageIdOf(row.encoded) === id
      if (isHere && decodeMessage(row.encoded).author === pair.account) found.push(row.encoded)
      // what is still to be sent comes by itself
      else if (outbox.find(tx, pair.account, pair.peer, new Set([id])).length === 0) absent.push(id)
    }
    tx.afterCommit(() => {
      for (const encoded of found) this.#parts.sayTo(pair, { kind: 'message', encoded })
      if (absent.length > 0) this.#parts.sayTo(pair, { kind: 'absent', ids: absent })
    })
  }

  /** A contact does not have these (any more): nothing waits for them. */
  absent(tx: WriteTx, pair: Pair, ids: readonly MessageId[]): void {
    const conversation = idOfPartner(pair.account, { kind: 'direct', peer: pair.peer })
    for (const id of ids) this.#parts.conversations.history.giveUp(tx, pair.account, id, conversation)
  }

  /** A copy of a message has come to its end at a recipient. */
  ended(tx: WriteTx, { account, message, recipient }: OutboxRef, outcome: 'delivered' | 'failed'): void {
    this.#parts.conversations.history.setFate(tx, account, message, recipient, outcome)
  }

  /** Once a minute: asks again for what is missing, and no longer than a day. */
  async minute(): Promise<void> {
    const nowMs = this.#parts.ambient.clock.nowMs()
    for (const account of this.#parts.keyring.accounts()) {
      this.#askFor(account, nowMs - limits.parentAskMs)
      const { history } = this.#parts.conversations
      const over = this.#parts.store.read((tx) =>
        history.missing.since(tx, account, nowMs - limits.parentWaitMs, limits.missingLookedMax),
      )
      if (over.length === 0) continue
      await this.#parts.store.write((tx) => {
        for (const { id, conversation } of over) history.giveUp(tx, account, id, conversation)
      })
    }
  }

  [Symbol.dispose](): void {
    this.#soon[Symbol.dispose]()
  }

  #whom(account: Identity, peer: Identity): 'self' | 'local' | 'contact' {
    if (peer === account) return 'self'
    if (this.#parts.directory.isOwn(peer)) return 'local'
    const contact = this.#parts.keyring.contact(account, peer)
    if (contact === undefined || contact.state === 'request' || contact.state === 'fellow')
      throw new MyceliumError('no-such-contact')
    if (contact.state === 'blocked') throw new MyceliumError('blocked')
    if (!contact.mayMail) throw new MyceliumError('key-changed')
    return 'contact'
  }

  #compose(tx: WriteTx, account: Identity, partner: Partner, place: Place, draft: Draft): Arriving {
    const { history } = this.#parts.conversations
    const row = history.begin(tx, account, idOfPartner(account, partner), partner)
    return this.#parts.post.stamped(account, place, draft, history.citable(tx, account, row))
  }

  /** Into the author's own history. @throws `no-such-message`, `not-yours`, `mailbox-full` */
  #own(tx: WriteTx, account: Identity, partner: Partner, arriving: Arriving): void {
    const { conversations, hasRoom } = this.#parts
    if (!hasRoom(tx, account, arriving)) throw new MyceliumError('mailbox-full')
    const taken = conversations.take(tx, account, partner, arriving)
    if (taken.kind !== 'shown') throw new MyceliumError('malformed', { taken: taken.kind })
    const about = aboutOf(arriving.message)
    if (about === undefined || conversations.history.message(tx, account, arriving.id)?.state === 'shown') return
    const target = conversations.history.message(tx, account, about.target)
    throw new MyceliumError(target?.state === 'shown' ? 'not-yours' : 'no-such-message')
  }

  /** To another account of this gateway. */
  #takeHere(tx: WriteTx, account: Identity, peer: Identity, arriving: Arriving): void {
    if (this.#parts.keyring.contact(account, peer)?.state === 'blocked') throw new MyceliumError('blocked')
    const taken = this.#take(tx, account, { kind: 'direct', peer }, arriving)
    if (taken?.kind === 'refused')
      throw new MyceliumError(taken.reason === 'mailbox-full' ? 'mailbox-full' : 'malformed')
  }

  #take(tx: WriteTx, account: Identity, partner: Partner, arriving: Arriving): Delivered | undefined {
    const { conversations, settled } = this.#parts
    const receipt = arriving.message.parts.find((part) => part.kind === 'receipt')
    if (receipt !== undefined) {
      if (receipt.what === 'read')
        conversations.mark(tx, account, idOfPartner(account, partner), {
          who: arriving.message.author,
          heads: receipt.heads,
        })
      return { kind: 'accepted' }
    }
    const known = conversations.history.message(tx, account, arriving.id)
    const isNew = known === undefined || known.state === 'absent'
    if (isNew && !this.#parts.hasRoom(tx, account, arriving)) return { kind: 'refused', reason: 'mailbox-full' }
    const taken = conversations.take(tx, account, partner, arriving)
    switch (taken.kind) {
      case 'refused':
        return { kind: 'refused', reason: taken.reason }
      case 'duplicate':
        return settled(tx, account, arriving, { kind: 'duplicate' })
      case 'waiting':
        tx.afterCommit(() => this.#askSoon(account))
        return settled(tx, account, arriving, { kind: 'accepted' })
      case 'shown':
        return settled(tx, account, arriving, { kind: 'accepted' })
      default:
        return unreachable(taken)
    }
  }

  #askSoon(account: Identity): void {
    this.#soon.run(account, limits.parentAskMs + 50, () =>
      this.#askFor(account, this.#parts.ambient.clock.nowMs() - limits.parentAskMs),
    )
  }

  /** Whoever cites a message has it, or had it. */
  #askFor(account: Identity, beforeMs: number): void {
    const { store, conversations } = this.#parts
    const missing = store
      .read((tx) => conversations.history.missing.since(tx, account, beforeMs, limits.missingLookedMax))
      .filter(({ conversation }) => conversations.get(account, conversation)?.partner.kind === 'direct')
    for (const [citedBy, of] of Map.groupBy(missing, (one) => one.citedBy)) {
      const ids = of.slice(0, limits.messagesAskedMax).map(({ id }) => id)
      if (citedBy !== account) this.#parts.say(account, citedBy, { kind: 'wanted', ids })
    }
  }
}

/**
 * Conversations as the devices of one account have them in common. What contacts write comes to every device by itself;
 * what the account itself wrote on another one, what was there before a device came, and what it has read, come from its
 * siblings, whose word counts as the account's own.
 */
import { toHex } from '../bytes.ts'
import { bytes, decode, encode, hexId, optional, record } from '../codec.ts'
import { labelledHash } from '../crypto/kdf.ts'
import { MyceliumError } from '../errors.ts'
import { readEnvelope, type SignedEnvelope, signedEnvelopeCodec } from '../group/envelope.ts'
import type { ConversationId, Identity, MessageId } from '../ids.ts'
import { limits } from '../limits.ts'
import { decodeMessage, type Message, messageIdOf } from '../message/message.ts'
import {
  type ItemSlice,
  type MergeSource,
  type ReplicaItem,
  type Replicas,
  type Replicated,
  sliceOf,
} from '../replica/replicas.ts'
import type { ItemId } from '../replica/set-reconciliation.ts'
import type { ReadTx, WriteTx } from '../store/store.ts'
import { tables } from '../store/tables.ts'
import type { Conversations } from './conversations.ts'
import type { GroupBook } from './group-book.ts'
import { conversationCodec, idAtEnd, isStruck, messageCodec, type MessageRow, type Partner } from './rows.ts'

interface MessageState {
  readonly id: MessageId
  /** Without its words where they were taken back: then it is not what the id is the hash of. */
  readonly encoded: Uint8Array
  /** As it travels in its group: for members who ask this device for it. */
  readonly envelope: SignedEnvelope | undefined
}
const messageState = record<MessageState>({
  id: hexId<MessageId>(32),
  encoded: bytes(limits.itemBytesMax),
  envelope: optional(signedEnvelopeCodec),
})

interface MarkState {
  readonly conversation: ConversationId
  readonly upTo: MessageId
}
const markState = record<MarkState>({ conversation: hexId<ConversationId>(32), upTo: hexId<MessageId>(32) })

const itemBytes = 16
const itemOf = (id: string): ItemId => id.slice(0, itemBytes * 2)
const versionOf = (label: string, state: Uint8Array): string => toHex(labelledHash(label, state).subarray(0, itemBytes))

/** An absent one is nothing that a sibling could have from here, and a struck one nothing that it should. */
const isTold = (row: MessageRow): boolean => row.state !== 'absent' && !isStruck(row)

interface SharedParts {
  readonly conversations: Conversations
  readonly book: GroupBook
  readonly replicas: Replicas
}

/** Every message, an item each. */
export class SharedMessages implements Replicated {
  readonly kind = 4
  readonly #parts: SharedParts

  constructor(parts: SharedParts) {
    this.#parts = parts
    const { conversations, replicas } = parts
    conversations.whenShown((tx, account, _row, { id }) => {
      if (replicas.follows(account))
        replicas.changed(tx, { account, kind: this.kind, ids: [itemOf(id)], from: undefined })
    })
  }

  items(tx: ReadTx, account: Identity, from: Uint8Array | undefined): ItemSlice {
    const prefix = this.#parts.conversations.history.keys.account(tx, account)
    const ids = [
      ...tx.keys(tables.conversationMessages, { prefix, from: from ?? prefix, limit: limits.replicaSliceRows }),
    ]
    const slice = sliceOf(tx, tables.conversationMessages, { prefix, from }, (value): ReplicaItem => {
      const row = decode(messageCodec, value)
      const { encoded } = row
      const isHere = isTold(row)
      return {
        atMs: isHere ? decodeMessage(encoded).sentAtMs : 0,
        id: '',
        version: isHere ? versionOf('mycelium/message-version/1', encoded) : '',
      }
    })
    const items = slice.items.map((item, index) => ({ ...item, id: itemOf(idAtEnd(ids[index]!)) }))
    return { items: items.filter(({ version }) => version !== ''), next: slice.next }
  }

  state(tx: ReadTx, account: Identity, item: ItemId): Uint8Array | undefined {
    const { history } = this.#parts.conversations
    const prefix = Buffer.concat([history.keys.account(tx, account), Buffer.from(item, 'hex')])
    for (const { key, value } of tx.range(tables.conversationMessages, { prefix, limit: 1 })) {
      const row = decode(messageCodec, value)
      if (!isTold(row)) return undefined
      const id = idAtEnd(key)
      return encode(messageState, { id, encoded: row.encoded, envelope: this.#parts.book.envelope(tx, account, id) })
    }
    return undefined
  }

  merge(tx: WriteTx, { account }: MergeSource, states: readonly Uint8Array[]): void {
    const { conversations, book } = this.#parts
    for (const state of states) {
      const { id, encoded, envelope } = decode(messageState, state)
      const message = decodeMessage(encoded)
      const partner = partnerOf(account, message)
      if (messageIdOf(encoded) !== id && !isStripped(message)) throw new MyceliumError('malformed', { reason: 'id' })
      // the other device has not heard yet that its author had been removed
      if (envelope !== undefined && !this.#stands(tx, account, message, envelope)) continue
      conversations.take(tx, account, partner, { id, encoded: Uint8Array.from(encoded), message })
      if (envelope !== undefined) book.putEnvelope(tx, account, id, readEnvelope(envelope))
    }
  }

  #stands(tx: WriteTx, account: Identity, { place }: Message, envelope: SignedEnvelope): boolean {
    const { book } = this.#parts
    const group = place?.kind === 'group' ? book.group(tx, account, place.group) : undefined
    return group === undefined || book.stands(tx, account, group, envelope)
  }
}

/** How far the account has read each conversation: marks only go on, so the farther one is right. */
export class SharedMarks implements Replicated {
  readonly kind = 5
  readonly #parts: Omit<SharedParts, 'book'>

  constructor(parts: Omit<SharedParts, 'book'>) {
    this.#parts = parts
    const { conversations, replicas } = parts
    conversations.whenRead((tx, account, conversation) => {
      if (replicas.follows(account))
        replicas.changed(tx, { account, kind: this.kind, ids: [itemOf(conversation)], from: undefined })
    })
  }

  items(tx: ReadTx, account: Identity, from: Uint8Array | undefined): ItemSlice {
    const { conversations } = this.#parts
    const prefix = conversations.history.keys.account(tx, account)
    const slice = sliceOf(tx, tables.conversations, { prefix, from }, (value): ReplicaItem => {
      const { id } = decode(conversationCodec, value)
      const state = this.#stateOf(tx, account, id)
      return {
        atMs: 0,
        id: itemOf(id),
        version: state === undefined ? '' : versionOf('mycelium/mark-version/1', state),
      }
    })
    return { items: slice.items.filter(({ version }) => version !== ''), next: slice.next }
  }

  state(tx: ReadTx, account: Identity, item: ItemId): Uint8Array | undefined {
    const prefix = Buffer.concat([
      this.#parts.conversations.history.keys.account(tx, account),
      Buffer.from(item, 'hex'),
    ])
    for (const { value } of tx.range(tables.conversations, { prefix, limit: 1 }))
      return this.#stateOf(tx, account, decode(conversationCodec, value).id)
    return undefined
  }

  /** One whose message is not here yet is left out: it comes again. */
  merge(tx: WriteTx, { account }: MergeSource, states: readonly Uint8Array[]): void {
    for (const state of states) {
      const { conversation, upTo } = decode(markState, state)
      this.#parts.conversations.mark(tx, account, conversation, { who: account, heads: [upTo] })
    }
  }

  #stateOf(tx: ReadTx, account: Identity, conversation: ConversationId): Uint8Array | undefined {
    const mark = this.#parts.conversations.markOf(tx, account, conversation, account)
    return mark === undefined ? undefined : encode(markState, { conversation, upTo: mark.upTo })
  }
}

/** @throws `malformed` for what is no message of this account's conversations */
function partnerOf(account: Identity, { author, place }: Message): Partner {
  if (place?.kind === 'group') return place
  if (place === undefined || (author !== account && place.with !== account))
    throw new MyceliumError('malformed', { reason: 'place' })
  return { kind: 'direct', peer: author === account ? place.with : author }
}

/** What is left of one that was taken back. */
const isStripped = ({ parts }: Message): boolean =>
  parts.every(({ kind }) => kind === 'reaction' || kind === 'redaction')

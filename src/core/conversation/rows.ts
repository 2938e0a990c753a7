/** ◆ What the store keeps of conversations, and under which keys. */
import {
  array,
  bool,
  bytes,
  type Codec,
  decode,
  encode,
  hexId,
  literal,
  optional,
  record,
  text,
  u32,
  u64,
  union,
  versionByte,
} from '../codec.ts'
import { concat } from '../bytes.ts'
import type { ContentId, ConversationId, GroupId, Identity, MailboxId, MessageId, Uid } from '../ids.ts'
import { limits } from '../limits.ts'
import type { ReadTx } from '../store/store.ts'

/** With whom a conversation is, as this account sees it. */
export type Partner =
  | { readonly kind: 'direct'; readonly peer: Identity }
  | { readonly kind: 'group'; readonly group: GroupId }

export interface ConversationRow {
  readonly id: ConversationId
  readonly partner: Partner
  /** Shown messages that no shown message cites. */
  readonly heads: readonly MessageId[]
  /** Messages with a body that are shown. */
  readonly shown: number
  /** Of them, those of others after `readTo`. */
  readonly unread: number
  /** The account's own read mark: everything up to this number was seen. */
  readonly readTo: number
  /** Messages that wait for one that they cite. */
  readonly waiting: number
  readonly createdAtMs: number
  /** When the latest one with a body came, Unix milliseconds. */
  readonly lastAtMs: number
}

/**
 * `waiting`: something that it cites is not here. `shown`: it has a number. `quiet`: it has its place and nothing to
 * show, as an edit of somebody else's message. `absent`: not here, and nobody is expected to bring it; others may cite it.
 */
export const messageStates = ['waiting', 'shown', 'quiet', 'absent'] as const
export type MessageState = (typeof messageStates)[number]

/** What has become of the account's own message: on its way, taken by the recipient, or by nobody. */
export const fates = ['open', 'delivered', 'failed'] as const
export type Fate = (typeof fates)[number]

export interface MessageRow {
  readonly state: MessageState
  readonly conversation: ConversationId
  /** Place in the order of arrival; 0 while it waits. */
  readonly number: number
  readonly rank: number
  readonly receivedAtMs: number
  /** Something that it cites was not here when it was shown. */
  readonly hasGap: boolean
  /** Without its parts once it was taken back; empty for an absent one. */
  readonly encoded: Uint8Array
  /** The content of its file part, once that is stored here. */
  readonly file: ContentId | undefined
  /** Of an own one between two people; in a group it stays open. */
  readonly fate: Fate
}

/** It was shown, and counts no more: what was never shown has no number. */
export const isStruck = ({ state, number }: Pick<MessageRow, 'state' | 'number'>): boolean =>
  state === 'quiet' && number > 0

/** One step of an account's conversations, in the order in which this gateway came to show it. */
export type FeedEvent =
  /** A message with a body. */
  | { readonly kind: 'message'; readonly message: MessageId }
  /** An edit, reaction or redaction. */
  | { readonly kind: 'about'; readonly message: MessageId; readonly target: MessageId }
  /** Somebody's read mark went on; the account's own too. */
  | { readonly kind: 'read'; readonly who: Identity; readonly upTo: MessageId }
  | { readonly kind: 'delivered'; readonly message: MessageId; readonly to: Identity }
  /** Nobody will take it to this recipient any more. */
  | { readonly kind: 'failed'; readonly message: MessageId; readonly to: Identity }
  /** The file of a message is here. */
  | { readonly kind: 'file'; readonly message: MessageId }
  /** It was shown and counts no more: its author had been removed when it was said. */
  | { readonly kind: 'struck'; readonly message: MessageId }
  /** Members, rights or name of a group. */
  | { readonly kind: 'group' }

export interface FeedRow {
  readonly conversation: ConversationId
  readonly event: FeedEvent
}

/** How far one participant has read. */
export interface MarkRow {
  readonly who: Identity
  readonly upTo: MessageId
  readonly rank: number
  readonly atMs: number
}

/** The mail in which a message is shown to mail programs. */
export interface RenderingRow {
  readonly mailbox: MailboxId
  readonly uid: Uid
}

const identity = hexId<Identity>(32)
const messageId = hexId<MessageId>(32)
const conversationId = hexId<ConversationId>(32)

function oneOf<const T extends string>(values: readonly T[]): Codec<T> {
  return {
    write: (out, value) => out.u8(values.indexOf(value)),
    read: (from) => values[from.u8()]!,
  }
}

export const conversationCodec = record<ConversationRow & { readonly version: 1 }>({
  version: versionByte(1),
  id: conversationId,
  partner: union<Partner>({
    direct: { tag: 0, codec: record({ kind: literal('direct'), peer: identity }) },
    group: { tag: 1, codec: record({ kind: literal('group'), group: hexId<GroupId>(32) }) },
  }),
  heads: array(messageId, limits.conversationHeadsMax),
  shown: u64,
  unread: u64,
  readTo: u64,
  waiting: u32,
  createdAtMs: u64,
  lastAtMs: u64,
})

export const messageCodec = record<MessageRow & { readonly version: 1 }>({
  version: versionByte(1),
  state: oneOf(messageStates),
  conversation: conversationId,
  number: u64,
  rank: u64,
  receivedAtMs: u64,
  hasGap: bool,
  encoded: bytes(limits.itemBytesMax),
  file: optional(hexId<ContentId>(32)),
  fate: oneOf(fates),
})

export const feedCodec = record<FeedRow & { readonly version: 1 }>({
  version: versionByte(1),
  conversation: conversationId,
  event: union<FeedEvent>({
    message: { tag: 0, codec: record({ kind: literal('message'), message: messageId }) },
    about: { tag: 1, codec: record({ kind: literal('about'), message: messageId, target: messageId }) },
    read: { tag: 2, codec: record({ kind: literal('read'), who: identity, upTo: messageId }) },
    delivered: { tag: 3, codec: record({ kind: literal('delivered'), message: messageId, to: identity }) },
    failed: { tag: 4, codec: record({ kind: literal('failed'), message: messageId, to: identity }) },
    file: { tag: 5, codec: record({ kind: literal('file'), message: messageId }) },
    group: { tag: 6, codec: record({ kind: literal('group') }) },
    struck: { tag: 7, codec: record({ kind: literal('struck'), message: messageId }) },
  }),
})

export const markCodec = record<MarkRow>({ who: identity, upTo: messageId, rank: u64, atMs: u64 })

export const renderingCodec = record<RenderingRow>({
  mailbox: hexId<MailboxId>(16),
  uid: u32 as unknown as Codec<Uid>,
})

/** Without angle brackets. */
export const sentAsCodec = text(limits.messageIdOctetsMax)

export const folderCodec = hexId<MailboxId>(16)

const raw = (hex: string): Uint8Array => Buffer.from(hex, 'hex')

/** Keys of one account's conversations. Opaque beginnings are remembered: they cost more than the rest of a key. */
export class ConversationKeys {
  readonly #accounts = new Map<Identity, Uint8Array>()

  account(tx: ReadTx, account: Identity): Uint8Array {
    const known = this.#accounts.get(account)
    if (known !== undefined) return known
    const made = tx.opaque(raw(account))
    this.#accounts.set(account, made)
    return made
  }

  conversation(tx: ReadTx, account: Identity, id: ConversationId): Uint8Array {
    return concat(this.account(tx, account), raw(id))
  }

  message(tx: ReadTx, account: Identity, id: MessageId): Uint8Array {
    return concat(this.account(tx, account), raw(id))
  }

  /** By the number in the order of arrival. */
  numbered(tx: ReadTx, account: Identity, conversation: ConversationId, number: number): Uint8Array {
    return concat(this.conversation(tx, account, conversation), encode(u64, number))
  }

  /** By rank, then by id. */
  ranked(
    tx: ReadTx,
    account: Identity,
    conversation: ConversationId,
    { rank, id }: { readonly rank: number; readonly id: MessageId },
  ): Uint8Array {
    return concat(this.conversation(tx, account, conversation), encode(u64, rank), raw(id))
  }

  waiting(tx: ReadTx, account: Identity, parent: MessageId, child: MessageId | undefined): Uint8Array {
    return concat(this.account(tx, account), raw(parent), child === undefined ? new Uint8Array() : raw(child))
  }

  about(tx: ReadTx, account: Identity, target: MessageId, number: number | undefined): Uint8Array {
    const beginning = concat(this.account(tx, account), raw(target))
    return number === undefined ? beginning : concat(beginning, encode(u64, number))
  }

  feed(tx: ReadTx, account: Identity, number: number): Uint8Array {
    return concat(this.account(tx, account), encode(u64, number))
  }

  mark(tx: ReadTx, account: Identity, conversation: ConversationId, who: Identity | undefined): Uint8Array {
    const beginning = this.conversation(tx, account, conversation)
    return who === undefined ? beginning : concat(beginning, tx.opaque(raw(who)))
  }
}

const numberAt = 8
/** The number at the end of a key. */
export const numberOf = (key: Uint8Array): number => decode(u64, key.subarray(key.length - numberAt))
/** The message id at the end of a key. */
export const idAtEnd = (key: Uint8Array): MessageId =>
  Buffer.from(key.subarray(key.length - 32)).toString('hex') as MessageId

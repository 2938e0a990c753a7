/** ◆ What the store keeps of an account's stream: all that its programs are to hear of, numbered in the order of arrival. */
import { concat, fromUtf8 } from '../../../core/bytes.ts'
import { bool, type Codec, encode, hexId, literal, optional, record, text, u64, union } from '../../../core/codec.ts'
import type { Partner } from '../../../core/conversation/rows.ts'
import type { ConversationId, GroupId, Identity, MessageId } from '../../../core/ids.ts'
import { limits } from '../../../core/limits.ts'
import type { ReadTx } from '../../../core/store/store.ts'

declare const brand: unique symbol
/** 32 bytes as hex: of a message its id. */
export type EventKey = string & { readonly [brand]: 'EventKey' }

/** What an event of a timeline is made of when somebody asks for it. */
export type Source =
  /** A message with a body, or an edit of one. */
  | { readonly kind: 'message'; readonly message: MessageId }
  /** One reaction of several that a message says at once. */
  | { readonly kind: 'reaction'; readonly message: MessageId; readonly target: MessageId; readonly reaction: string }
  /** A message, or one reaction, is taken back. */
  | { readonly kind: 'redaction'; readonly by: Identity; readonly target: EventKey; readonly atMs: number }
  | {
      readonly kind: 'state'
      /** Undefined: the gateway itself. */
      readonly by: Identity | undefined
      readonly type: string
      readonly stateKey: string
      readonly content: string
      /** The event that stood there before. */
      readonly before: EventKey | undefined
      readonly atMs: number
    }
  /** Outside of the conversation: what the gateway itself says to this account, and steps of calls. */
  | {
      readonly kind: 'note'
      /** Undefined: the gateway itself. */
      readonly by: Identity | undefined
      readonly type: string
      readonly content: string
      readonly atMs: number
    }

export interface TimelineEntry {
  readonly kind: 'event'
  readonly room: ConversationId
  readonly key: EventKey
  readonly source: Source
}

export type Entry =
  | TimelineEntry
  | {
      readonly kind: 'receipt'
      readonly room: ConversationId
      readonly who: Identity
      readonly upTo: EventKey
      readonly atMs: number
    }
  /** Data of the account, or of one of its rooms, under this type are others now. */
  | { readonly kind: 'data'; readonly room: ConversationId | undefined; readonly type: string }
  /** Whether the account is in it, or was asked into it. */
  | { readonly kind: 'room'; readonly room: ConversationId }
  /** Keys of this user's devices are others now. */
  | { readonly kind: 'keys'; readonly who: Identity }
  /** For one of the account's own devices. */
  | { readonly kind: 'to-device'; readonly device: string }

export const memberships = ['join', 'invite', 'leave'] as const
export type Membership = (typeof memberships)[number]

export interface RoomRow {
  readonly conversation: ConversationId
  readonly partner: Partner
  readonly membership: Membership
  /** Its person has left it, though they might be in it. */
  readonly hasLeft: boolean
  readonly isForgotten: boolean
  /** In the stream, since when its membership is this. */
  readonly since: number
}

export interface StateRow {
  readonly type: string
  readonly stateKey: string
  readonly key: EventKey
  readonly by: Identity | undefined
  readonly content: string
  readonly atMs: number
  readonly number: number
}

export interface EventPlace {
  readonly number: number
  /** Number of the event that takes it back; 0 while none does. */
  readonly redactedBy: number
}

export interface Progress {
  /** Up to this step the feed is in the stream. */
  readonly feed: number
  /** Number of the last entry. */
  readonly last: number
}

const identity = hexId<Identity>(32)
const messageId = hexId<MessageId>(32)
const conversationId = hexId<ConversationId>(32)
const eventKey = hexId<EventKey>(32)
const name = text(limits.matrixIdOctetsMax)
const content = text(limits.matrixEventBytesMax)

const sourceCodec = union<Source>({
  message: { tag: 0, codec: record({ kind: literal('message'), message: messageId }) },
  reaction: {
    tag: 1,
    codec: record({
      kind: literal('reaction'),
      message: messageId,
      target: messageId,
      reaction: text(limits.reactionOctetsMax),
    }),
  },
  redaction: {
    tag: 2,
    codec: record({ kind: literal('redaction'), by: identity, target: eventKey, atMs: u64 }),
  },
  state: {
    tag: 3,
    codec: record({
      kind: literal('state'),
      by: optional(identity),
      type: name,
      stateKey: name,
      content,
      before: optional(eventKey),
      atMs: u64,
    }),
  },
  note: { tag: 4, codec: record({ kind: literal('note'), by: optional(identity), type: name, content, atMs: u64 }) },
})

export const entryCodec: Codec<Entry> = union<Entry>({
  event: {
    tag: 0,
    codec: record({ kind: literal('event'), room: conversationId, key: eventKey, source: sourceCodec }),
  },
  receipt: {
    tag: 1,
    codec: record({ kind: literal('receipt'), room: conversationId, who: identity, upTo: eventKey, atMs: u64 }),
  },
  data: { tag: 2, codec: record({ kind: literal('data'), room: optional(conversationId), type: name }) },
  room: { tag: 3, codec: record({ kind: literal('room'), room: conversationId }) },
  keys: { tag: 4, codec: record({ kind: literal('keys'), who: identity }) },
  'to-device': { tag: 5, codec: record({ kind: literal('to-device'), device: name }) },
})

function oneOf<const T extends string>(values: readonly T[]): Codec<T> {
  return {
    write: (out, value) => out.u8(values.indexOf(value)),
    read: (from) => values[from.u8()]!,
  }
}

export const roomCodec = record<RoomRow>({
  conversation: conversationId,
  partner: union<Partner>({
    direct: { tag: 0, codec: record({ kind: literal('direct'), peer: identity }) },
    group: { tag: 1, codec: record({ kind: literal('group'), group: hexId<GroupId>(32) }) },
  }),
  membership: oneOf(memberships),
  hasLeft: bool,
  isForgotten: bool,
  since: u64,
})

export const stateCodec = record<StateRow>({
  type: name,
  stateKey: name,
  key: eventKey,
  by: optional(identity),
  content,
  atMs: u64,
  number: u64,
})

export const placeCodec = record<EventPlace>({ number: u64, redactedBy: u64 })
export const progressCodec = record<Progress>({ feed: u64, last: u64 })

const raw = (hex: string): Uint8Array => Buffer.from(hex, 'hex')

/** Keys of one account's stream. */
export const keys = {
  account(tx: ReadTx, account: Identity): Uint8Array {
    return tx.opaque(raw(account))
  },
  entry: (tx: ReadTx, account: Identity, number: number): Uint8Array =>
    concat(keys.account(tx, account), encode(u64, number)),
  room: (tx: ReadTx, account: Identity, room: ConversationId): Uint8Array =>
    concat(keys.account(tx, account), raw(room)),
  timeline: (tx: ReadTx, account: Identity, room: ConversationId, number: number): Uint8Array =>
    concat(keys.room(tx, account, room), encode(u64, number)),
  event: (tx: ReadTx, account: Identity, key: EventKey): Uint8Array => concat(keys.account(tx, account), raw(key)),
  state: (tx: ReadTx, account: Identity, room: ConversationId, type: string, stateKey: string): Uint8Array =>
    concat(keys.room(tx, account, room), tx.opaque(fromUtf8(type), Uint8Array.of(0), fromUtf8(stateKey))),
  reactions: (tx: ReadTx, account: Identity, target: MessageId): Uint8Array =>
    concat(keys.account(tx, account), raw(target)),
  reaction: (tx: ReadTx, account: Identity, target: MessageId, who: Identity, reaction: string): Uint8Array =>
    concat(keys.reactions(tx, account, target), tx.opaque(raw(who), fromUtf8(reaction))),
}

/** Branded identifiers and their parsers. Ids of 32 bytes are lower-case hex in memory and raw bytes in every codec. */

declare const brand: unique symbol
type Brand<Base, Name> = Base & { readonly [brand]: Name }

/** Hash of an account log's first entry: the only key by which store and sessions refer to a person. */
export type Identity = Brand<string, 'Identity'>
/** A device's Ed25519 public key. */
export type DeviceId = Brand<string, 'DeviceId'>
export type MessageId = Brand<string, 'MessageId'>
/** 32 bytes: a direct, group or mail-thread conversation, the same on every gateway. Made in message/conversation.ts. */
export type ConversationId = Brand<string, 'ConversationId'>
/** Hash of a group's first operation. */
export type GroupId = Brand<string, 'GroupId'>
/** Hash of one signed operation of a group. */
export type GroupOpId = Brand<string, 'GroupOpId'>
/** Hash of one message of a group as it travels. */
export type GroupEnvelopeId = Brand<string, 'GroupEnvelopeId'>
/** Local address of stored content, unique: random for inline content, a keyed hash of the plaintext for blobs. */
export type ContentId = Brand<string, 'ContentId'>
/** Merkle root over the encrypted chunks of a blob as it travels. */
export type BlobRoot = Brand<string, 'BlobRoot'>
/** A libp2p peer id in its text form: says that a gateway is here, not whose. */
export type GatewayId = Brand<string, 'GatewayId'>
/** 16 bytes as hex: an IMAP mailbox across renames (RFC 8474 MAILBOXID). */
export type MailboxId = Brand<string, 'MailboxId'>
/** IMAP UID, 1 … 2³²−1. */
export type Uid = Brand<number, 'Uid'>
/** IMAP mod-sequence, 1 … 2⁵³−1. */
export type ModSeq = Brand<number, 'ModSeq'>
/** `name@domain` in canonical form (lower-case, NFC, A-labels as typed). Made by `parseAddress` only. */
export type Address = Brand<string, 'Address'>

const hexId =
  <Id extends string>(length: number) =>
  (text: string): Id | undefined =>
    text.length === length * 2 && /^[\da-f]+$/.test(text) ? (text as Id) : undefined

export const parseContentId = hexId<ContentId>(32)

/** First eight characters: what a log line may show of an id. */
export const short = (id: string): string => id.slice(0, 8)

/**
 * ◆ The canonical message: what is sealed for each device and what every adapter shows. Its id is a hash of its own
 * bytes, so that equal bytes mean the same message on every gateway and nobody can claim another author's id.
 */
import { array, type Codec, decode, encode, fixed, hexId, literal, record, u64, union } from '../codec.ts'
import { labelledHash } from '../crypto/kdf.ts'
import { toHex } from '../bytes.ts'
import { MyceliumError } from '../errors.ts'
import type { DeviceId, GroupId, Identity, MessageId } from '../ids.ts'
import { limits } from '../limits.ts'
import type { BlobContent } from './content.ts'
import { type Part, partCodec } from './part.ts'

/** Where a message of a conversation belongs, as its author says. */
export type Place =
  /** Between the author and one other. */
  { readonly kind: 'direct'; readonly with: Identity } | { readonly kind: 'group'; readonly group: GroupId }

/** What it is to an earlier message. */
export type Relation =
  /** Answers it. */
  | { readonly kind: 'reply'; readonly to: MessageId }
  /** Belongs to the thread that began there. */
  | { readonly kind: 'thread'; readonly root: MessageId }

export interface Message {
  readonly author: Identity
  readonly device: DeviceId
  /** 16 random bytes: two equal mails are two messages. */
  readonly nonce: Uint8Array
  /** Author's clock at submission, Unix milliseconds. */
  readonly sentAtMs: number
  /** Nobody keeps or shows it as new after this, Unix milliseconds. */
  readonly expiresAtMs: number
  /** `undefined` for mail: its thread is told from its own header. */
  readonly place: Place | undefined
  /** All heads of the conversation that the author had seen. */
  readonly parents: readonly MessageId[]
  readonly relations: readonly Relation[]
  readonly parts: readonly Part[]
}

const messageId = hexId<MessageId>(32)

export const placeCodec = union<Place>({
  direct: { tag: 0, codec: record({ kind: literal('direct'), with: hexId<Identity>(32) }) },
  group: { tag: 1, codec: record({ kind: literal('group'), group: hexId<GroupId>(32) }) },
})
const relationCodec = union<Relation>({
  reply: { tag: 0, codec: record({ kind: literal('reply'), to: messageId }) },
  thread: { tag: 1, codec: record({ kind: literal('thread'), root: messageId }) },
})

const authored = {
  author: hexId<Identity>(32),
  device: hexId<DeviceId>(32),
  nonce: fixed(16),
  sentAtMs: u64,
  expiresAtMs: u64,
}
const parents = array(messageId, limits.messageParentsMax)
const parts = array(partCodec, limits.messagePartsMax)

type Mail = Omit<Message, 'place' | 'relations'>
type Placed = Message & { readonly place: Place }

const mailCodec = record<Mail>({ ...authored, parents, parts })
const placedCodec = record<Placed>({
  ...authored,
  place: placeCodec,
  parents,
  relations: array(relationCodec, limits.messageRelationsMax),
  parts,
})

const mailVersion = 1
const placedVersion = 2
const codec: Codec<Message> = {
  write(out, message) {
    out.u8(message.place === undefined ? mailVersion : placedVersion)
    if (message.place === undefined) mailCodec.write(out, message)
    else placedCodec.write(out, message as Placed)
  },
  read(from) {
    const version = from.u8()
    if (version === mailVersion) return { ...mailCodec.read(from), place: undefined, relations: [] }
    if (version === placedVersion) return placedCodec.read(from)
    throw new MyceliumError('malformed', { version })
  },
}

export const encodeMessage = (message: Message): Uint8Array => encode(codec, message)

/** @throws `malformed`, `too-large` */
export const decodeMessage = (encoded: Uint8Array): Message => decode(codec, encoded)

/** SHA-256 under the label `mycelium/message/1` of the encoded message. */
export const messageIdOf = (encoded: Uint8Array): MessageId =>
  toHex(labelledHash('mycelium/message/1', encoded)) as MessageId

/** The blob of a message's file, where it has one. */
export function blobOf({ parts }: Pick<Message, 'parts'>): BlobContent | undefined {
  const file = parts.find((part) => part.kind === 'file')
  return file?.content.kind === 'blob' ? file.content : undefined
}

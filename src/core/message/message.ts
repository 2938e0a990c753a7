/**
 * ◆ The canonical message: what is sealed for each device and what every adapter shows. Its id is a hash of its own
 * bytes, so that equal bytes mean the same message on every gateway and nobody can claim another author's id.
 */
import {
  array,
  bytes,
  type Codec,
  decode,
  encode,
  fixed,
  hexId,
  literal,
  record,
  text,
  u32,
  u64,
  union,
  versionByte,
} from '../codec.ts'
import { labelledHash } from '../crypto/kdf.ts'
import { toHex } from '../bytes.ts'
import { MyceliumError } from '../errors.ts'
import type { Address, BlobRoot, DeviceId, Identity, MessageId } from '../ids.ts'
import { limits } from '../limits.ts'
import { parseAddress } from './address.ts'

/** Content on its way: in the message itself up to 16 KB, else encrypted chunks fetched by root. */
export type Content =
  | { readonly kind: 'inline'; readonly bytes: Uint8Array }
  | {
      readonly kind: 'blob'
      /** Merkle root over the encrypted chunks; whoever knows it may fetch them. */
      readonly root: BlobRoot
      /** ChaCha20-Poly1305 key; chunk number i is sealed under nonce i. 32 bytes, fresh for each blob. */
      readonly key: Uint8Array
      /** Plaintext length in bytes. */
      readonly size: number
      /** Plaintext bytes in each chunk but the last. */
      readonly chunkBytes: number
    }

/** An envelope sender (RFC 5321 §4.5.5); empty for mail that nothing may ever be returned to. */
export type ReversePath = Address | ''

/** One idea of a message. Tags not listed here are refused: a peer of a later version negotiates first. */
export type Part =
  /** An original RFC 5322 message, byte for byte as submitted (Bcc fields removed), and its envelope sender. Envelope recipients stay out: they would show Bcc. */
  | { readonly kind: 'mail'; readonly from: ReversePath; readonly content: Content }
  /** Plain text of a chat. */
  | { readonly kind: 'text'; readonly text: string }

export interface Message {
  readonly author: Identity
  readonly device: DeviceId
  /** 16 random bytes: two equal mails are two messages. */
  readonly nonce: Uint8Array
  /** Author's clock at submission, Unix milliseconds. */
  readonly sentAtMs: number
  /** Nobody keeps or shows it as new after this, Unix milliseconds. */
  readonly expiresAtMs: number
  /** All heads of the conversation that the author had seen. */
  readonly parents: readonly MessageId[]
  readonly parts: readonly Part[]
}

const addressText = text(limits.addressOctetsMax)
/** An address stands in its canonical form, or it is none. */
const reversePath: Codec<ReversePath> = {
  write: (out, value) => addressText.write(out, value),
  read(from) {
    const value = addressText.read(from)
    if (value !== '' && parseAddress(value) !== value) throw new MyceliumError('malformed', { at: from.position })
    return value as ReversePath
  },
}

const contentCodec: Codec<Content> = union<Content>({
  inline: { tag: 0, codec: record({ kind: literal('inline'), bytes: bytes(limits.messageInlineBytesMax) }) },
  blob: {
    tag: 1,
    codec: record({ kind: literal('blob'), root: hexId<BlobRoot>(32), key: fixed(32), size: u64, chunkBytes: u32 }),
  },
})

const partCodec: Codec<Part> = union<Part>({
  mail: {
    tag: 0,
    codec: record({ kind: literal('mail'), from: reversePath, content: contentCodec }),
  },
  text: { tag: 1, codec: record({ kind: literal('text'), text: text(limits.messageInlineBytesMax) }) },
})

const version = versionByte(1)

const fields = record<Message & { readonly version: 1 }>({
  version,
  author: hexId<Identity>(32),
  device: hexId<DeviceId>(32),
  nonce: fixed(16),
  sentAtMs: u64,
  expiresAtMs: u64,
  parents: array(hexId<MessageId>(32), limits.messageParentsMax),
  parts: array(partCodec, limits.messagePartsMax),
})

export const encodeMessage = (message: Message): Uint8Array => encode(fields, { version: 1, ...message })

/** @throws `malformed`, `too-large` */
export const decodeMessage = (encoded: Uint8Array): Message => decode(fields, encoded)

/** SHA-256 under the label `mycelium/message/1` of the encoded message. */
export const messageIdOf = (encoded: Uint8Array): MessageId =>
  toHex(labelledHash('mycelium/message/1', encoded)) as MessageId

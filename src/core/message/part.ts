/**
 * ◆ One idea of a message: a mail, a text, a file, or something said about an earlier message. Tags not listed here are
 * refused: a peer of a later version negotiates first. Format: docs/protocol/message.md.
 */
import { array, bytes, type Codec, hexId, literal, optional, record, text, u16, union } from '../codec.ts'
import { MyceliumError } from '../errors.ts'
import type { Address, MessageId } from '../ids.ts'
import { limits } from '../limits.ts'
import { parseAddress } from './address.ts'
import { type Content, contentCodec } from './content.ts'

/** An envelope sender (RFC 5321 §4.5.5); empty for mail that nothing may ever be returned to. */
export type ReversePath = Address | ''

/** A small picture of a file, so that it can be shown before the file is here. */
export interface Thumbnail {
  readonly mediaType: string
  /** Pixels. */
  readonly width: number
  readonly height: number
  readonly bytes: Uint8Array
}

export interface FilePart {
  readonly kind: 'file'
  /** As the author's program named it, without folders. */
  readonly name: string
  /** RFC 6838 type/subtype as claimed; never trusted for anything but display. */
  readonly mediaType: string
  readonly content: Content
  readonly thumbnail: Thumbnail | undefined
}

/** What a person wrote: what an edit can put in the place of an earlier text. */
export type BodyPart =
  /** Plain text of a chat. */
  | { readonly kind: 'text'; readonly text: string }
  /** The same text as HTML, for programs that show it; a text part always stands beside it. */
  | { readonly kind: 'html'; readonly html: string }

export type Part =
  /** An original RFC 5322 message, byte for byte as submitted (Bcc fields removed), and its envelope sender. Envelope recipients stay out: they would show Bcc. */
  | { readonly kind: 'mail'; readonly from: ReversePath; readonly content: Content }
  | BodyPart
  | FilePart
  /** All that the author says of `target` now; none takes earlier ones back. */
  | { readonly kind: 'reaction'; readonly target: MessageId; readonly reactions: readonly string[] }
  /** Of the author's own message: these parts stand in the place of its texts. */
  | { readonly kind: 'edit'; readonly target: MessageId; readonly body: readonly BodyPart[] }
  /** Of the author's own message, or by whoever the conversation lets: its parts are gone. */
  | { readonly kind: 'redaction'; readonly target: MessageId }
  /** The author's devices have (delivered) or a person has seen (read) these and all that they cite. */
  | { readonly kind: 'receipt'; readonly what: ReceiptKind; readonly heads: readonly MessageId[] }
  /** A call's signalling as the client wrote it; shown as nothing but a call. */
  | { readonly kind: 'call'; readonly protocol: CallProtocol; readonly payload: Uint8Array }
  /** What a group's members tell each other about the group itself (docs/protocol/groups.md). */
  | { readonly kind: 'group'; readonly payload: Uint8Array }
  /**
   * What programs of one protocol tell each other and the others have no idea of. Beside a text it goes with it, and the
   * text says what it is where it cannot be shown; alone it shows nothing, and reaches only programs that are there.
   */
  | { readonly kind: 'extension'; readonly protocol: ExtensionProtocol; readonly payload: Uint8Array }

export const extensionProtocols = ['xmpp', 'matrix'] as const
export type ExtensionProtocol = (typeof extensionProtocols)[number]
export const receiptKinds = ['delivered', 'read'] as const
export type ReceiptKind = (typeof receiptKinds)[number]
/** Jingle (XEP-0166) stanzas, or events of Matrix's `m.call`. */
export const callProtocols = ['jingle', 'matrix'] as const
export type CallProtocol = (typeof callProtocols)[number]

function oneOf<const T extends string>(values: readonly T[]): Codec<T> {
  return {
    write: (out, value) => out.u8(values.indexOf(value)),
    read: (from) => {
      const value = values[from.u8()]
      if (value === undefined) throw new MyceliumError('malformed', { at: from.position })
      return value
    },
  }
}

export const callProtocolCodec = oneOf(callProtocols)

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

const messageId = hexId<MessageId>(32)

const thumbnailCodec = record<Thumbnail>({
  mediaType: text(limits.mediaTypeOctetsMax),
  width: u16,
  height: u16,
  bytes: bytes(limits.thumbnailBytesMax),
})

const textCodec = record<Extract<BodyPart, { readonly kind: 'text' }>>({
  kind: literal('text'),
  text: text(limits.messageInlineBytesMax),
})
const htmlCodec = record<Extract<BodyPart, { readonly kind: 'html' }>>({
  kind: literal('html'),
  html: text(limits.messageHtmlBytesMax),
})
const bodyCodec = union<BodyPart>({ text: { tag: 1, codec: textCodec }, html: { tag: 2, codec: htmlCodec } })

export const partCodec: Codec<Part> = union<Part>({
  mail: { tag: 0, codec: record({ kind: literal('mail'), from: reversePath, content: contentCodec }) },
  text: { tag: 1, codec: textCodec },
  html: { tag: 2, codec: htmlCodec },
  file: {
    tag: 3,
    codec: record({
      kind: literal('file'),
      name: text(limits.fileNameOctetsMax),
      mediaType: text(limits.mediaTypeOctetsMax),
      content: contentCodec,
      thumbnail: optional(thumbnailCodec),
    }),
  },
  reaction: {
    tag: 4,
    codec: record({
      kind: literal('reaction'),
      target: messageId,
      reactions: array(text(limits.reactionOctetsMax), limits.reactionsMax),
    }),
  },
  edit: {
    tag: 5,
    codec: record({ kind: literal('edit'), target: messageId, body: array(bodyCodec, 2) }),
  },
  redaction: { tag: 6, codec: record({ kind: literal('redaction'), target: messageId }) },
  receipt: {
    tag: 7,
    codec: record({
      kind: literal('receipt'),
      what: oneOf(receiptKinds),
      heads: array(messageId, limits.messageParentsMax),
    }),
  },
  call: {
    tag: 8,
    codec: record({
      kind: literal('call'),
      protocol: callProtocolCodec,
      payload: bytes(limits.messageInlineBytesMax),
    }),
  },
  group: { tag: 9, codec: record({ kind: literal('group'), payload: bytes(limits.groupPartBytesMax) }) },
  extension: {
    tag: 10,
    codec: record({
      kind: literal('extension'),
      protocol: oneOf(extensionProtocols),
      payload: bytes(limits.messageExtensionBytesMax),
    }),
  },
})

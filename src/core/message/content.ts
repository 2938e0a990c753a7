/** ◆ Content on its way: in the message itself, or as encrypted chunks that are fetched by their root. */
import { bytes, type Codec, fixed, hexId, literal, record, u32, u64, union } from '../codec.ts'
import type { BlobRoot } from '../ids.ts'
import { limits } from '../limits.ts'

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

export type BlobContent = Extract<Content, { readonly kind: 'blob' }>

export const contentCodec: Codec<Content> = union<Content>({
  inline: { tag: 0, codec: record({ kind: literal('inline'), bytes: bytes(limits.messageInlineBytesMax) }) },
  blob: {
    tag: 1,
    codec: record({ kind: literal('blob'), root: hexId<BlobRoot>(32), key: fixed(32), size: u64, chunkBytes: u32 }),
  },
})

export const sizeOfContent = (content: Content): number =>
  content.kind === 'inline' ? content.bytes.length : content.size

/**
 * ◆ A blob as a file: chunks of 64 KB, each ChaCha20-Poly1305 under the blob's own key with its number as nonce and the
 * file id as associated data. The last chunk's nonce says so: chunks cannot be cut off, repeated, reordered or taken
 * from another file.
 */
import { type FileHandle, open } from 'node:fs/promises'
import { aeadTagBytes, open as openSealed, openInto, sealInto } from '../crypto/aead.ts'
import { MyceliumError } from '../errors.ts'
import { limits } from '../limits.ts'
import { withScratch } from '../scratch.ts'
import type { BlobRow } from './content-rows.ts'

const chunkBytes = limits.blobChunkBytes
const sealedBytes = chunkBytes + aeadTagBytes
/** One read of 1 MB costs little more than one of 64 KB. */
const chunksReadAtOnce = 16

export const chunkCount = (size: number, bytesEach: number = chunkBytes): number =>
  Math.max(1, Math.ceil(size / bytesEach))

/** u64 chunk number, three zero bytes, 1 for the last chunk. */
function nonceOf(index: number, isLast: boolean): Uint8Array {
  const nonce = Buffer.alloc(12)
  nonce.writeUInt32BE(Math.floor(index / 0x1_0000_0000), 0)
  nonce.writeUInt32BE(index >>> 0, 4)
  nonce[11] = isLast ? 1 : 0
  return nonce
}

/**
 * Seals and writes plaintext that starts at a multiple of the chunk size; only the end of the blob may be shorter than a
 * chunk. @throws `disk-full`
 */
export async function writeChunks(
  file: FileHandle,
  blob: Pick<BlobRow, 'file' | 'key'>,
  part: { readonly plaintext: Uint8Array; readonly offset: number; readonly isEnd: boolean },
): Promise<void> {
  const octets = sealedRange({ from: 0, length: part.plaintext.length }).end
  await withScratch(octets, async (bytes) => {
    sealChunks(bytes, blob, part)
    await writeAt(file, { bytes, position: sealedRange({ from: part.offset, length: 0 }).start })
  })
}

function sealChunks(
  bytes: Uint8Array,
  blob: Pick<BlobRow, 'file' | 'key'>,
  { plaintext, offset, isEnd }: { readonly plaintext: Uint8Array; readonly offset: number; readonly isEnd: boolean },
): void {
  const first = offset / chunkBytes
  for (let at = 0; at < plaintext.length; at += chunkBytes) {
    const piece = plaintext.subarray(at, at + chunkBytes)
    const isLast = isEnd && at + chunkBytes >= plaintext.length
    const number = at / chunkBytes
    const target = bytes.subarray(number * sealedBytes, number * sealedBytes + piece.length + aeadTagBytes)
    sealInto(target, blob.key, nonceOf(first + number, isLast), piece, blob.file)
  }
}

/** Where in the file plaintext that starts and ends with chunks lies. */
export function sealedRange({ from, length }: { from: number; length: number }): {
  readonly start: number
  readonly end: number
} {
  const start = (from / chunkBytes) * sealedBytes
  return { start, end: start + length + Math.ceil(length / chunkBytes) * aeadTagBytes }
}

/** Writes all of it. @throws `disk-full` */
async function writeAt(file: FileHandle, { bytes, position }: { bytes: Uint8Array; position: number }): Promise<void> {
  await spaceChecked(async () => {
    for (let at = 0; at < bytes.length;) {
      const { bytesWritten } = await file.write(bytes, at, bytes.length - at, position + at)
      at += bytesWritten
    }
  })
}

/** @throws `disk-full` where the system says so */
export async function spaceChecked<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined
    if (code === 'ENOSPC' || code === 'EDQUOT' || code === 'EFBIG')
      throw new MyceliumError('disk-full', {}, { cause: error })
    throw error
  }
}

/**
 * Plaintext from `from` (inclusive) to `to` (exclusive), reading and decrypting only the chunks that hold it.
 * @throws `store-corrupt` for a file that is missing, cut off or changed
 */
export async function* readBlob(
  path: string,
  blob: BlobRow,
  { from, to }: { from: number; to: number },
): AsyncGenerator<Uint8Array> {
  const end = Math.min(to, blob.size)
  if (from >= end) return
  const file = await openBlob(path)
  try {
    const last = chunkCount(blob.size) - 1
    const until = Math.min(last, Math.floor((end - 1) / chunkBytes))
    for (let first = Math.floor(from / chunkBytes); first <= until; first += chunksReadAtOnce) {
      const count = Math.min(chunksReadAtOnce, until - first + 1)
      const octets = Math.min(count * chunkBytes, blob.size - first * chunkBytes)
      const sealed = Buffer.allocUnsafeSlow(octets + count * aeadTagBytes)
      const { bytesRead } = await file.read(sealed, 0, sealed.length, first * sealedBytes)
      for (let index = first; index < first + count; index += 1) {
        const start = index * chunkBytes
        const length = Math.min(chunkBytes, blob.size - start)
        const at = (index - first) * sealedBytes
        const one = sealed.subarray(at, at + length + aeadTagBytes)
        const isRead = at + one.length <= bytesRead
        const plaintext = isRead ? openSealed(blob.key, nonceOf(index, index === last), one, blob.file) : undefined
        if (plaintext === undefined) throw new MyceliumError('store-corrupt', { what: 'blob', chunk: index })
        yield plaintext.subarray(Math.max(0, from - start), Math.min(length, end - start))
      }
    }
  } finally {
    await file.close()
  }
}

/**
 * The same into memory of the caller, from a multiple of the chunk size on, to another one or the end.
 * @throws `store-corrupt`
 */
export async function readBlobInto(path: string, blob: BlobRow, from: number, target: Uint8Array): Promise<void> {
  const { start, end } = sealedRange({ from, length: target.length })
  const file = await openBlob(path)
  try {
    await withScratch(end - start, async (sealed) => {
      const { bytesRead } = await file.read(sealed, 0, sealed.length, start)
      const last = chunkCount(blob.size) - 1
      for (let at = 0; at < target.length; at += chunkBytes) {
        const index = (from + at) / chunkBytes
        const plaintext = target.subarray(at, at + chunkBytes)
        const sealedAt = (at / chunkBytes) * sealedBytes
        const one = sealed.subarray(sealedAt, sealedAt + plaintext.length + aeadTagBytes)
        const isRead = sealedAt + one.length <= bytesRead
        if (!isRead || !openInto(plaintext, blob.key, nonceOf(index, index === last), one, blob.file))
          throw new MyceliumError('store-corrupt', { what: 'blob', chunk: index })
      }
    })
  } finally {
    await file.close()
  }
}

async function openBlob(path: string): Promise<FileHandle> {
  try {
    return await open(path, 'r')
  } catch (error) {
    throw new MyceliumError('store-corrupt', { what: 'blob-file' }, { cause: error })
  }
}

/** Makes names in a directory durable. */
export async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, 'r')
  try {
    await directory.sync()
  } finally {
    await directory.close()
  }
}

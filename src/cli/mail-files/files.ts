/** Files of other programs, read with care: regular files only, no link is followed, and nothing grows while it is read. */
import { constants, type Dirent } from 'node:fs'
import { type FileHandle, open, opendir } from 'node:fs/promises'
import { limits } from '../../core/limits.ts'
import type { RandomAccess } from '../../core/transfer/file-lines.ts'
import { GivenUp } from '../../core/transfer/mail-stream.ts'

export interface OpenFile extends RandomAccess, AsyncDisposable {
  readonly modifiedMs: number
}

/** @throws GivenUp for what is no regular file or cannot be read */
export async function openRegular(path: string): Promise<OpenFile> {
  let handle: FileHandle | undefined
  try {
    // Without NONBLOCK, opening a pipe that nobody writes to would wait for ever.
    handle = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
    const { size, mtimeMs } = await handle.stat()
    if (!(await handle.stat()).isFile()) throw new GivenUp('is not a regular file')
    const file = handle
    return {
      size,
      modifiedMs: mtimeMs,
      async read(from, to) {
        const buffer = Buffer.allocUnsafe(to - from)
        let length = 0
        while (length < buffer.length) {
          const { bytesRead } = await file.read(buffer, length, buffer.length - length, from + length)
          if (bytesRead === 0) break
          length += bytesRead
        }
        return buffer.subarray(0, length)
      },
      [Symbol.asyncDispose]: async () => await file.close(),
    }
  } catch (error) {
    await handle?.close()
    throw error instanceof GivenUp ? error : new GivenUp(reasonOf(error), { cause: error })
  }
}

const codes: Readonly<Record<string, string>> = {
  ELOOP: 'is a symbolic link, which is not followed',
  EACCES: 'cannot be read: permission denied',
  ENOENT: 'is gone',
  EIO: 'cannot be read: the disk reports an error',
}

export function reasonOf(error: unknown): string {
  if (error instanceof GivenUp) return error.message
  const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown failure'
  return codes[code] ?? `cannot be read (${code})`
}

/** Entries of a folder in the order of their names. @throws what the system says */
export async function entriesOf(folder: string): Promise<readonly Dirent[]> {
  const entries: Dirent[] = []
  for await (const entry of await opendir(folder)) {
    entries.push(entry)
    if (entries.length > limits.importFilesMax) throw new GivenUp('has too many entries')
  }
  return entries.sort((a, b) => Buffer.compare(Buffer.from(a.name), Buffer.from(b.name)))
}

/** A message's octets. @throws GivenUp when it is too large or changes */
export async function* contentOf(file: OpenFile, windowBytes = 256 * 1024): AsyncGenerator<Uint8Array> {
  if (file.size > limits.mailBytesMax) throw new GivenUp(tooLarge)
  for (let at = 0; at < file.size; at += windowBytes) {
    const to = Math.min(file.size, at + windowBytes)
    const piece = await file.read(at, to)
    if (piece.length < to - at) throw new GivenUp('became shorter while it was read')
    yield piece
  }
}

export const tooLarge = `is larger than ${limits.mailBytesMax / 1024 / 1024} MB`

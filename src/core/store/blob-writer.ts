/** Writes a blob of unknown length under a temporary name, and gives it its own once it is whole and durable. */
import { type FileHandle, open, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Ambient } from '../ambient.ts'
import { concat, toHex } from '../bytes.ts'
import { limits } from '../limits.ts'
import { spaceChecked, syncDirectory, writeChunks } from './blob-file.ts'
import { type BlobRow, contentKeyBytes, fileIdBytes } from './content-rows.ts'

export class BlobWriter {
  readonly row: Pick<BlobRow, 'file' | 'key'>
  readonly #directory: string
  readonly #name: string
  readonly #handle: FileHandle
  #pending: Uint8Array = new Uint8Array()
  #offset = 0

  static async create(directory: string, { random }: Ambient): Promise<BlobWriter> {
    const row = { file: random.bytes(fileIdBytes), key: random.bytes(contentKeyBytes) }
    const name = join(directory, toHex(row.file))
    return new BlobWriter({ row, directory, name, handle: await spaceChecked(() => open(`${name}.part`, 'wx', 0o600)) })
  }

  private constructor(parts: {
    row: Pick<BlobRow, 'file' | 'key'>
    directory: string
    name: string
    handle: FileHandle
  }) {
    this.row = parts.row
    this.#directory = parts.directory
    this.#name = parts.name
    this.#handle = parts.handle
  }

  /** Keeps back the last chunk, whole or not: only `finish` knows that it is the last. */
  async append(pieces: readonly Uint8Array[]): Promise<void> {
    const plaintext = concat(this.#pending, ...pieces)
    const whole = Math.max(0, Math.ceil(plaintext.length / limits.blobChunkBytes) - 1) * limits.blobChunkBytes
    this.#pending = plaintext.subarray(whole)
    if (whole > 0) await this.#write(plaintext.subarray(0, whole), false)
  }

  async finish(): Promise<void> {
    await this.#write(this.#pending, true)
    await spaceChecked(() => this.#handle.sync())
    await this.#handle.close()
    await rename(`${this.#name}.part`, this.#name)
    await syncDirectory(this.#directory)
  }

  async #write(plaintext: Uint8Array, isEnd: boolean): Promise<void> {
    await writeChunks(this.#handle, this.row, { plaintext, offset: this.#offset, isEnd })
    this.#offset += plaintext.length
  }

  async discard(): Promise<void> {
    await this.#handle.close()
    await rm(`${this.#name}.part`, { force: true })
    await rm(this.#name, { force: true })
  }
}

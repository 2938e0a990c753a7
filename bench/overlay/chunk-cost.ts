/** What end-to-end encryption of large contents costs beside carrying them: chunks of 64 KB sealed and hashed by the sender, hashed and opened by the recipient. */
import { leafOf, openChunk, sealChunk } from '../../src/core/delivery/blob-chunks.ts'

const chunkBytes = 64 * 1024

/** Milliseconds of processor for one chunk, both sides together. */
export function chunkCryptoMs(count: number): number {
  const key = Buffer.alloc(32, 3)
  const plaintext = Buffer.alloc(chunkBytes, 7)
  for (let index = 0; index < 50; index += 1) leafOf(index, sealChunk(key, index, plaintext))
  const before = process.cpuUsage()
  for (let index = 0; index < count; index += 1) {
    const sealed = sealChunk(key, index, plaintext)
    leafOf(index, sealed)
    leafOf(index, sealed)
    if (openChunk(key, index, sealed) === undefined) throw new Error('it does not open')
  }
  const { user, system } = process.cpuUsage(before)
  return (user + system) / 1000 / count
}

/** Random bytes that follow from a seed, good enough for keys: the stream of AES-CTR. */
import { createCipheriv, createHash } from 'node:crypto'
import type { Random } from '../../../src/core/ambient.ts'

const blockBytes = 16 * 1024
const zeros = Buffer.alloc(blockBytes)

export function seededBytes(seed: string): Random {
  const key = createHash('sha256').update(seed).digest().subarray(0, 16)
  const stream = createCipheriv('aes-128-ctr', key, Buffer.alloc(16))
  let block: Uint8Array = new Uint8Array()
  return {
    bytes(length) {
      if (length > blockBytes) return Uint8Array.from(stream.update(Buffer.alloc(length)))
      if (length > block.length) block = stream.update(zeros)
      const bytes = Uint8Array.from(block.subarray(0, length))
      block = block.subarray(length)
      return bytes
    },
  }
}

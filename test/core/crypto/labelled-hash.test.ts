import { createHash } from 'node:crypto'
import { expect, test } from 'vitest'
import { labelledHash } from '../../../src/core/crypto/kdf.ts'

/** As docs/protocol.md writes it. */
function written(label: string, parts: readonly Uint8Array[]): Buffer {
  const pieces = parts.flatMap((part) => {
    const length = Buffer.alloc(4)
    length.writeUInt32BE(part.length)
    return [length, part]
  })
  return createHash('sha256')
    .update(Buffer.concat([Buffer.from(label, 'ascii'), Buffer.alloc(1), ...pieces]))
    .digest()
}

test.each([0, 1, 1000, 16 * 1024 - 40, 16 * 1024 - 1, 16 * 1024, 16 * 1024 + 1, 70_000])(
  'a hash over %i octets is the one that is written down, copied or not',
  (octets) => {
    const parts = [Buffer.from('part'), Buffer.alloc(octets, 7), new Uint8Array()]
    expect(Buffer.from(labelledHash('mycelium/test/1', ...parts)).equals(written('mycelium/test/1', parts))).toBe(true)
    expect(Buffer.from(labelledHash('mycelium/test/1')).equals(written('mycelium/test/1', []))).toBe(true)
  },
)

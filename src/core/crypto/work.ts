/**
 * Proof of work: a nonce under which a hash begins with so many zero bits. Finding one costs on average 2^bits hashes,
 * checking it costs one.
 */
import { hash } from 'node:crypto'
import { labelledHash } from './kdf.ts'

/** Hashes between two turns of the event loop: a few milliseconds. */
const sliceHashes = 2048

const nonceBytes = 8

/** The nonce as 8 bytes, the last part of the labelled hash. */
function encodeNonce(nonce: number): Uint8Array {
  const bytes = Buffer.alloc(nonceBytes)
  bytes.writeBigUInt64BE(BigInt(nonce))
  return bytes
}

function leadingZeroBits(bytes: Uint8Array): number {
  const first = bytes.findIndex((byte) => byte !== 0)
  return first < 0 ? bytes.length * 8 : first * 8 + Math.clz32(bytes[first]!) - 24
}

/** How much work `nonce` shows for these parts. */
export const workBits = (label: string, parts: readonly Uint8Array[], nonce: number): number =>
  leadingZeroBits(labelledHash(label, ...parts, encodeNonce(nonce)))

/** Works in slices, so that everything else goes on meanwhile. @throws the signal's reason */
export async function doWork(
  label: string,
  parts: readonly Uint8Array[],
  { bits, signal }: { readonly bits: number; readonly signal: AbortSignal },
): Promise<number> {
  const input = workInput(label, parts)
  const view = new DataView(input.buffer, input.byteOffset, input.length)
  for (let nonce = 0; ; nonce += 1) {
    view.setUint32(input.length - 4, nonce)
    if (leadingZeroBits(hash('sha256', input, 'buffer')) >= bits) return nonce
    if (nonce % sliceHashes === sliceHashes - 1) {
      await new Promise((resolve) => setImmediate(resolve))
      signal.throwIfAborted()
    }
  }
}

/** What `labelledHash` hashes, with the nonce in the last 8 bytes, to be written in place. */
function workInput(label: string, parts: readonly Uint8Array[]): Buffer {
  const pieces: Uint8Array[] = [Buffer.from(`${label}\0`)]
  for (const part of [...parts, new Uint8Array(nonceBytes)]) {
    const length = Buffer.alloc(4)
    length.writeUInt32BE(part.length)
    pieces.push(length, part)
  }
  return Buffer.concat(pieces)
}

/**
 * Proof of work: a nonce under which a hash begins with so many zero bits. Finding one costs on average 2^bits hashes,
 * checking it costs one.
 */
import { setImmediate as nextTurn } from 'node:timers/promises'
import { limits } from '../limits.ts'
import { labelledHash, sha256Hex } from './kdf.ts'

/** Hashes between two looks at the clock. */
const stretch = 256

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

/**
 * Works in slices of a few milliseconds, so that everything else goes on meanwhile.
 * @param bits at most 32
 * @throws the signal's reason
 */
export async function doWork(
  label: string,
  parts: readonly Uint8Array[],
  { bits, signal }: { readonly bits: number; readonly signal: AbortSignal },
): Promise<number> {
  const input = workInput(label, parts)
  let nonce = 0
  for (;;) {
    signal.throwIfAborted()
    const untilMs = performance.now() + limits.workSliceMs
    do {
      for (const last = nonce + stretch; nonce < last; nonce += 1) {
        input.writeUInt32BE(Math.floor(nonce / 0x1_0000_0000), input.length - 8)
        input.writeUInt32BE(nonce >>> 0, input.length - 4)
        if (Math.clz32(Number.parseInt(sha256Hex(input).slice(0, 8), 16)) >= bits) return nonce
      }
    } while (performance.now() < untilMs)
    await nextTurn()
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

/** ◆ Work that stands in for an acquaintance (docs/protocol/relay.md §2): a hash that begins with so many zero bits. */
import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Clock } from '../../core/ambient.ts'
import { fromUtf8 } from '../../core/bytes.ts'
import { encode, u64 } from '../../core/codec.ts'
import { labelledHash, sha256Hex } from '../../core/crypto/kdf.ts'
import { MyceliumError } from '../../core/errors.ts'
import type { GatewayId } from '../../core/ids.ts'
import { limits } from '../../core/limits.ts'
import type { Totals } from './rows.ts'

const label = 'mycelium/relay/work/1'
/** Hashes between two looks at the clock. */
const stretch = 256

export interface WorkFor {
  readonly relay: GatewayId
  readonly owner: Uint8Array
  readonly atMs: number
}

export const isWorkDone = ({ relay, owner, atMs }: WorkFor, nonce: number, bits: number): boolean =>
  zeroBits(labelledHash(label, fromUtf8(relay), owner, encode(u64, atMs), encode(u64, nonce))) >= bits

/** Leading zero bits of at least four octets. */
function zeroBits(hash: Uint8Array): number {
  const [a, b, c, d] = hash as unknown as [number, number, number, number]
  return Math.clz32(((a << 24) | (b << 16) | (c << 8) | d) >>> 0)
}

/** The more such owners there are, the more each further one costs. */
export function workBitsFor({ workOwners }: Pick<Totals, 'workOwners'>): number {
  const free = limits.relayWorkOwnersMax - workOwners
  const halvings = Math.floor(Math.log2(limits.relayWorkOwnersMax / Math.max(1, free)))
  return Math.min(limits.relayWorkBitsMax, limits.relayWorkBits + 2 * halvings)
}

/**
 * Looks for a nonce in slices, other work between them. `undefined` when it was not found before the time in it is old.
 * @throws `peer-misbehaved` when too much is asked for, the signal's reason
 */
export async function findWork(
  of: WorkFor,
  bits: number,
  { clock, signal }: { readonly clock: Clock; readonly signal: AbortSignal },
): Promise<number | undefined> {
  if (bits > limits.relayWorkBitsMax) throw new MyceliumError('peer-misbehaved', { reason: 'too much work', bits })
  // the input of `isWorkDone`, with the nonce in its last eight octets
  const input = workInput(of)
  const endMs = clock.monotonicMs() + limits.relayWorkAgeMs
  let nonce = 0
  while (clock.monotonicMs() < endMs) {
    signal.throwIfAborted()
    const untilMs = performance.now() + limits.relayWorkSliceMs
    do {
      for (const last = nonce + stretch; nonce < last; nonce += 1) {
        input.writeUInt32BE(Math.floor(nonce / 0x1_0000_0000), input.length - 8)
        input.writeUInt32BE(nonce >>> 0, input.length - 4)
        if (Math.clz32(Number.parseInt(sha256Hex(input).slice(0, 8), 16)) >= bits) return nonce
      }
    } while (performance.now() < untilMs)
    await nextTurn()
  }
  return undefined
}

function workInput({ relay, owner, atMs }: WorkFor): Buffer {
  const parts = [fromUtf8(relay), owner, encode(u64, atMs), encode(u64, 0)]
  const lengths = parts.map((part) => {
    const length = Buffer.alloc(4)
    length.writeUInt32BE(part.length)
    return length
  })
  return Buffer.concat([Buffer.from(`${label}\0`), ...parts.flatMap((part, index) => [lengths[index]!, part])])
}

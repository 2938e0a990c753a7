/** ◆ Work that stands in for an acquaintance (docs/protocol/relay.md §2): a hash that begins with so many zero bits. */
import { fromUtf8 } from '../../core/bytes.ts'
import { encode, u64 } from '../../core/codec.ts'
import { doWork, workBits } from '../../core/crypto/work.ts'
import { MyceliumError } from '../../core/errors.ts'
import type { GatewayId } from '../../core/ids.ts'
import { limits } from '../../core/limits.ts'
import { Deadline } from '../deadline.ts'
import type { Totals } from './rows.ts'

const label = 'mycelium/relay/work/1'

export interface WorkFor {
  readonly relay: GatewayId
  readonly owner: Uint8Array
  readonly atMs: number
}

const partsOf = ({ relay, owner, atMs }: WorkFor): readonly Uint8Array[] => [fromUtf8(relay), owner, encode(u64, atMs)]

export const isWorkDone = (of: WorkFor, nonce: number, bits: number): boolean =>
  workBits(label, partsOf(of), nonce) >= bits

/** The more such owners there are, the more each further one costs. */
export function workBitsFor({ workOwners }: Pick<Totals, 'workOwners'>): number {
  const free = limits.relayWorkOwnersMax - workOwners
  const halvings = Math.floor(Math.log2(limits.relayWorkOwnersMax / Math.max(1, free)))
  return Math.min(limits.relayWorkBitsMax, limits.relayWorkBits + 2 * halvings)
}

/**
 * Looks for a nonce. `undefined` when it was not found before the time in it is old.
 * @throws `peer-misbehaved` when too much is asked for, the signal's reason
 */
export async function findWork(
  of: WorkFor,
  bits: number,
  { signal }: { readonly signal: AbortSignal },
): Promise<number | undefined> {
  if (bits > limits.relayWorkBitsMax) throw new MyceliumError('peer-misbehaved', { reason: 'too much work', bits })
  using deadline = new Deadline(limits.relayWorkAgeMs, signal)
  try {
    return await doWork(label, partsOf(of), { bits, signal: deadline.signal })
  } catch (error) {
    if (deadline.isOver) return undefined
    throw error
  }
}

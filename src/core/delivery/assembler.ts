/**
 * Puts fragments of items together, in memory: a message is acknowledged only when it is whole and durable, so losing
 * fragments in a crash costs a second sending and nothing else. Work happens on a draft that the caller keeps or drops
 * with its transaction.
 */
import { concat, toHex } from '../bytes.ts'
import { limits } from '../limits.ts'
import type { Fragment } from './items.ts'

interface Transfer {
  readonly count: number
  readonly pieces: ReadonlyMap<number, Uint8Array>
  readonly bytes: number
}

export interface AssemblerDraft {
  /** The whole item's bytes once its last missing fragment is here. */
  add(fragment: Fragment): Uint8Array | undefined
  keep(): void
}

export class Assembler {
  #transfers: ReadonlyMap<string, Transfer> = new Map()

  draft(): AssemblerDraft {
    const transfers = new Map(this.#transfers)
    return {
      add: (fragment) => add(transfers, fragment),
      keep: () => {
        this.#transfers = transfers
      },
    }
  }
}

function add(transfers: Map<string, Transfer>, fragment: Fragment): Uint8Array | undefined {
  const key = toHex(fragment.transfer)
  const known = transfers.get(key) ?? { count: fragment.count, pieces: new Map(), bytes: 0 }
  if (known.count !== fragment.count || known.pieces.has(fragment.index)) return undefined
  const bytes = known.bytes + fragment.bytes.length
  if (bytes > limits.itemBytesMax) {
    transfers.delete(key)
    return undefined
  }
  const pieces = new Map(known.pieces).set(fragment.index, Uint8Array.from(fragment.bytes))
  if (pieces.size === fragment.count) {
    transfers.delete(key)
    return concat(...Array.from({ length: fragment.count }, (_, index) => pieces.get(index)!))
  }
  transfers.set(key, { count: fragment.count, pieces, bytes })
  // oldest first: an abandoned transfer gives way, and its sender starts over
  let held = [...transfers.values()].reduce((sum, one) => sum + one.bytes, 0)
  for (const [oldest, one] of transfers) {
    if (transfers.size <= limits.itemTransfersMax && held <= limits.itemTransfersBytesMax) break
    transfers.delete(oldest)
    held -= one.bytes
  }
  return undefined
}

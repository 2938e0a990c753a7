/**
 * Receiving chains of a session and the message secrets that late frames will need. At most five chains (the one in use
 * and four before it) and 2,000 secrets, none older than 30 days; what is taken or dropped is wiped.
 */
import { wipe } from '../bytes.ts'
import { limits } from '../limits.ts'

export interface SkippedSecret {
  /** 32 bytes; wiped when used or dropped. */
  readonly secret: Uint8Array
  readonly skippedAtMs: number
  /** The highest KEM epoch that was known from the peer before the frame that skipped this one. */
  readonly epochMin: number
}

export interface ReceivingChain {
  readonly headerKey: Uint8Array
  /** By frame number, in the order in which they were skipped. */
  readonly skipped: Map<number, SkippedSecret>
}

export const isFresh = (entry: SkippedSecret, nowMs: number): boolean =>
  nowMs - entry.skippedAtMs <= limits.skippedKeyAgeMsMax

/** Forgets one secret after its frame was opened. */
export function useUp(chain: ReceivingChain, number: number): void {
  const entry = chain.skipped.get(number)
  if (entry === undefined) return
  wipe(entry.secret)
  chain.skipped.delete(number)
}

/** Applies the bounds: drops what is too old, then what is too much, oldest first, and old chains that are empty. */
export function prune(chains: ReceivingChain[], nowMs: number): void {
  let total = 0
  for (const chain of chains) {
    for (const [number, entry] of chain.skipped) {
      if (isFresh(entry, nowMs)) break
      useUp(chain, number)
    }
    total += chain.skipped.size
  }
  for (let index = chains.length - 1; index >= 0 && total > limits.skippedKeysMax; index -= 1) {
    const chain = chains[index]!
    for (const number of chain.skipped.keys()) {
      if (total <= limits.skippedKeysMax) break
      useUp(chain, number)
      total -= 1
    }
  }
  for (let index = chains.length - 1; index >= 1; index -= 1) {
    const chain = chains[index]!
    if (chain.skipped.size > 0 && index < limits.receivingChainsMax) continue
    for (const number of chain.skipped.keys()) useUp(chain, number)
    wipe(chain.headerKey)
    chains.splice(index, 1)
  }
}

/** The lowest KEM epoch that a skipped frame may still need; `Infinity` when nothing is skipped. */
export function epochNeeded(chains: readonly ReceivingChain[]): number {
  let lowest = Number.POSITIVE_INFINITY
  for (const chain of chains) {
    for (const entry of chain.skipped.values()) {
      lowest = Math.min(lowest, entry.epochMin)
      break // secrets of one chain are in the order in which epochs grew
    }
  }
  return lowest
}

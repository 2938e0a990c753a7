/**
 * The order in which a conversation is read back: by rank, then by id. A rank is made of a message and its ancestors
 * alone, so gateways with the same messages show the same order, and nothing stands before what it answers.
 */
import type { MessageId } from '../ids.ts'

export interface Ranked {
  readonly rank: number
  readonly id: MessageId
}

/**
 * An author's clock counts as far as it is after all that the author had seen: authors set it so (`stampAfter`), and for
 * those who do not it is moved here.
 * @param parentRanks of those parents that are known; what nobody has any more does not count
 */
export const rankOf = (sentAtMs: number, parentRanks: readonly number[]): number =>
  parentRanks.reduce((rank, parent) => Math.max(rank, parent + 1), sentAtMs)

/** What an author writes as the time of sending: now, or just after the latest that it answers. */
export const stampAfter = (nowMs: number, parentRanks: readonly number[]): number => rankOf(nowMs, parentRanks)

export const byRank = (a: Ranked, b: Ranked): number => a.rank - b.rank || (a.id < b.id ? -1 : a.id > b.id ? 1 : 0)

/**
 * When to try again. Two speeds: a contact that answered lately is tried within seconds; one that has been silent is
 * tried a few times a day until the message expires. Becoming reachable overrides both.
 */
import { limits } from '../limits.ts'

/**
 * @param attempts failures in a row so far, ≥ 1
 * @param jitter 0 … 1, drawn by the caller
 * @returns milliseconds until the next attempt: doubling from 2 s to 120 s while fresh, then from 5 min to 6 h
 */
export function reconnectDelayMs(attempts: number, jitter: number): number {
  const spread = 0.75 + jitter / 2
  if (attempts <= limits.fastAttemptsMax) {
    return Math.min(limits.fastRetryMsMin * 2 ** (attempts - 1), limits.fastRetryMsMax) * spread
  }
  const slow = Math.min(attempts - limits.fastAttemptsMax - 1, 20)
  return Math.min(limits.slowRetryMsMin * 2 ** slow, limits.slowRetryMsMax) * spread
}

/** How long an unanswered message waits on a live link before it is sealed and sent once more. @param sendings ≥ 1 */
export const resendDelayMs = (sendings: number): number =>
  Math.min(limits.resendMsMin * 2 ** (sendings - 1), limits.resendMsMax)

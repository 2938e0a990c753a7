/**
 * What a relay can be caught at by those who use it. Every queue's bodies are numbered by their sender, copies of a body
 * have one id at all relays, and now and then the recipient leaves a body for itself: a relay that loses, holds back,
 * reorders or forgets shows, and another takes its place.
 */
import { limits } from '../../limits.ts'

export type Fault =
  /** Bodies before this one did not come, or come after it. */
  | 'gap'
  /** It handed out a copy long after another relay, though it had it. */
  | 'held-back'
  /** What we left for ourselves did not come back in time. */
  | 'probe-lost'
  /** It no longer knows an owner that it had taken. */
  | 'forgot'

export const faultWeights: Readonly<Record<Fault, number>> = { gap: 2, 'held-back': 1, 'probe-lost': 2, forgot: 2 }

/**
 * @param highest number of the last body out of the queue, 0 for none
 * @param awayMs since this relay was watched last before; what expired meanwhile is nobody's fault
 */
export function gapBefore(number: number, highest: number, awayMs: number): boolean {
  return number > highest + 1 && awayMs < limits.messageExpiryMs - 24 * 3600_000
}

/** One copy of a body as it came. Times are this gateway's, milliseconds. */
export interface CopyTimes {
  readonly nowMs: number
  /** When the first copy came, from another relay. */
  readonly firstAtMs: number
  /** When the relay says that it took this one. */
  readonly heldSinceMs: number
  /** Since when this relay is watched without a break. */
  readonly watchedSinceMs: number
}

export const isHeldBack = ({ nowMs, firstAtMs, heldSinceMs, watchedSinceMs }: CopyTimes): boolean =>
  nowMs - firstAtMs > limits.relayDelayMsMax &&
  nowMs - heldSinceMs > limits.relayDelayMsMax &&
  watchedSinceMs < firstAtMs

/** When to ask a quiet peer for a sign of life, and when to give it up: a pure function of what was heard when. */
import { limits } from '../core/limits.ts'

/** Times are monotonic milliseconds. */
export interface Liveness {
  readonly heardAtMs: number
  /** The unanswered ping, if any. */
  readonly pingedAtMs: number | undefined
  readonly checkedAtMs: number
  /** How long the ping may stay unanswered, milliseconds. */
  readonly patienceMs: number
}

export const checkEveryMs = 2_000
/** A check this late says that we were the ones asleep: the peer gets a new chance. */
const lateMs = 3 * checkEveryMs

export const alive = (nowMs: number): Liveness => ({
  heardAtMs: nowMs,
  pingedAtMs: undefined,
  checkedAtMs: nowMs,
  patienceMs: limits.linkPingMsMax,
})

export type Verdict = 'wait' | 'ping' | 'dead'

export function check(state: Liveness, nowMs: number): { readonly state: Liveness; readonly verdict: Verdict } {
  const checked = { ...state, checkedAtMs: nowMs }
  const wasAsleep = nowMs - state.checkedAtMs > lateMs
  if (state.pingedAtMs !== undefined && state.heardAtMs < state.pingedAtMs && !wasAsleep) {
    const isDead = nowMs - state.pingedAtMs >= state.patienceMs
    return { state: checked, verdict: isDead ? 'dead' : 'wait' }
  }
  if (!wasAsleep && nowMs - state.heardAtMs < limits.linkQuietMs) return { state: checked, verdict: 'wait' }
  // after a sleep whoever is still there answers at once, and what waits to be sent should not wait for who is not
  const patienceMs = wasAsleep ? limits.linkProbeMsMax : limits.linkPingMsMax
  return { state: { ...checked, pingedAtMs: nowMs, patienceMs }, verdict: 'ping' }
}

/** Round-trip time, smoothed as RFC 6298 §2 does it (α = 1/8). */
export const smoothed = (rttMs: number | undefined, sampleMs: number): number =>
  rttMs === undefined ? sampleMs : rttMs + (sampleMs - rttMs) / 8

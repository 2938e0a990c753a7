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

/** How soon silence is noticed. */
export interface Pace {
  readonly everyMs: number
  readonly quietMs: number
  readonly patienceMs: number
}

export const checkEveryMs = 2_000
export const directPace: Pace = { everyMs: checkEveryMs, quietMs: limits.linkQuietMs, patienceMs: limits.linkPingMsMax }
/** Any of several gateways may fail, without its neighbours' connections being reset. */
export const pathPace: Pace = { everyMs: 250, quietMs: limits.pathLinkQuietMs, patienceMs: limits.pathLinkPingMsMax }
/** A check this late says that we were the ones asleep: the peer gets a new chance. */
const lateChecks = 3

export const alive = (nowMs: number): Liveness => ({
  heardAtMs: nowMs,
  pingedAtMs: undefined,
  checkedAtMs: nowMs,
  patienceMs: limits.linkPingMsMax,
})

export type Verdict = 'wait' | 'ping' | 'dead'

export function check(
  state: Liveness,
  nowMs: number,
  pace = directPace,
): { readonly state: Liveness; readonly verdict: Verdict } {
  const checked = { ...state, checkedAtMs: nowMs }
  const wasAsleep = nowMs - state.checkedAtMs > Math.max(lateChecks * pace.everyMs, 1_000)
  if (state.pingedAtMs !== undefined && state.heardAtMs < state.pingedAtMs && !wasAsleep) {
    const isDead = nowMs - state.pingedAtMs >= state.patienceMs
    return { state: checked, verdict: isDead ? 'dead' : 'wait' }
  }
  if (!wasAsleep && nowMs - state.heardAtMs < pace.quietMs) return { state: checked, verdict: 'wait' }
  // after a sleep whoever is still there answers at once, and what waits to be sent should not wait for who is not
  const patienceMs = wasAsleep ? limits.linkProbeMsMax : pace.patienceMs
  return { state: { ...checked, pingedAtMs: nowMs, patienceMs }, verdict: 'ping' }
}

/** Round-trip time, smoothed as RFC 6298 §2 does it (α = 1/8). */
export const smoothed = (rttMs: number | undefined, sampleMs: number): number =>
  rttMs === undefined ? sampleMs : rttMs + (sampleMs - rttMs) / 8

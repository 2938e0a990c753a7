/** How much of what was said a client wants to see when it enters (XEP-0045 §7.2.13). */
import { limits } from '../../../../core/limits.ts'
import { type Element, serialise } from '../../element.ts'
import type { Past } from './sight.ts'

export interface HistoryBounds {
  readonly stanzasMax: number
  readonly charactersMax: number
  /** Unix milliseconds. */
  readonly sinceMs: number
}

/** What is no number, or no time, bounds nothing. */
export function boundsOf(history: Element | undefined, nowMs: number): HistoryBounds {
  const { maxstanzas, maxchars, seconds, since } = history?.attrs ?? {}
  const asked = countOf(maxstanzas)
  const isBounded = [maxchars, seconds, since].some((one) => one !== undefined)
  const sinceMs = since === undefined ? NaN : Date.parse(since)
  const secondsAgo = countOf(seconds)
  return {
    stanzasMax: Math.min(
      asked ?? (isBounded ? limits.xmppRoomHistoryMax : limits.xmppRoomHistoryDefault),
      limits.xmppRoomHistoryMax,
    ),
    charactersMax: countOf(maxchars) ?? Infinity,
    sinceMs: Math.max(
      Number.isNaN(sinceMs) ? -Infinity : sinceMs,
      secondsAgo === undefined ? -Infinity : nowMs - secondsAgo * 1000,
    ),
  }
}

const countOf = (text: string | undefined): number | undefined =>
  text !== undefined && /^\d{1,12}$/.test(text) ? Number(text) : undefined

/** @param latest the latest first @returns the oldest first */
export function within(
  latest: Iterable<Past>,
  { stanzasMax, charactersMax, sinceMs }: HistoryBounds,
): readonly Element[] {
  const found: Element[] = []
  let characters = 0
  for (const { atMs, stanza } of latest) {
    if (found.length >= stanzasMax || atMs < sinceMs) break
    if (charactersMax !== Infinity) characters += serialise(stanza).length
    if (characters > charactersMax) break
    found.push(stanza)
  }
  return found.toReversed()
}

/** How a contact or gateway is reached, as words that fit a table. */
import type { PeerView, ReachView } from '../core/control-views.ts'
import { unreachable } from '../core/errors.ts'
import { span } from '../core/span.ts'

/** `direct, 0.4 ms` or `relayed by carol, 31 ms`. */
export function pathText({ how, via, rttMs }: Pick<PeerView, 'how' | 'via' | 'rttMs'> | ReachView): string {
  const way = how === 'relayed' ? `relayed by ${via.length === 0 ? 'another gateway' : via.join(', then ')}` : 'direct'
  return rttMs === undefined ? way : `${way}, ${rttMs.toFixed(1)} ms`
}

/** One cell: the path of a contact who is connected, else what is being done. */
export function reachText(reach: ReachView | undefined, nowMs: number): string {
  if (reach === undefined) return '–'
  switch (reach.state) {
    case 'connected':
      return pathText(reach)
    case 'trying':
      return 'being called'
    case 'waiting':
      return `no; ${nextText(reach.nextAttemptMs, nowMs)}`
    case 'idle':
      return 'no'
    default:
      return unreachable(reach.state)
  }
}

export const nextText = (nextAttemptMs: number | undefined, nowMs: number): string =>
  nextAttemptMs === undefined ? 'next attempt at once' : `next attempt in ${span(nextAttemptMs - nowMs)}`

export const sinceText = (sinceMs: number | undefined, nowMs: number): string =>
  sinceMs === undefined ? '–' : span(nowMs - sinceMs)

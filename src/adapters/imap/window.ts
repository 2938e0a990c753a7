/** PARTIAL (RFC 9394 §4, RFC 5267 §4.4): a window over results, counted from the first one or from the last one. */
import { type Arguments, BadSyntax } from './arguments.ts'

export interface Window {
  /** As it is repeated in the answer: the end nearer to where counting begins comes first, as Dovecot's clients expect. */
  readonly written: string
  /** 1 is the first result, or the last one where `isFromEnd`. */
  readonly from: number
  readonly to: number
  readonly isFromEnd: boolean
}

/** `1:500` or `-1:-100`; either end may come first. */
export function readWindow(args: Arguments): Window {
  const ends = /^(?:([1-9]\d{0,9}):([1-9]\d{0,9})|-([1-9]\d{0,9}):-([1-9]\d{0,9}))$/.exec(args.atom())
  if (ends === null) throw new BadSyntax('Expected a range of results')
  const first = Number(ends[1] ?? ends[3])
  const second = Number(ends[2] ?? ends[4])
  if (Math.max(first, second) > 0xffff_ffff) throw new BadSyntax('Number too large')
  const isFromEnd = ends[3] !== undefined
  const from = Math.min(first, second)
  const to = Math.max(first, second)
  const written = isFromEnd ? `-${from}:-${to}` : `${from}:${to}`
  return { written, from, to, isFromEnd }
}

/** What of `results` lies in the window, in their order. */
export function inWindow<T>(results: readonly T[], { from, to, isFromEnd }: Window): readonly T[] {
  if (!isFromEnd) return results.slice(from - 1, to)
  return results.slice(Math.max(0, results.length - to), Math.max(0, results.length - from + 1))
}

/** Sets of message numbers (RFC 9051 §9 sequence-set): parsed, resolved against what exists, written compactly. */
import { limits } from '../../core/limits.ts'

/** `Infinity` stands for `*` until the highest number is known. */
export interface NumberRange {
  readonly from: number
  readonly to: number
}
export type NumberSet = readonly NumberRange[]

const numberMax = 0xffff_ffff

/** `1:3,7,*`; `undefined` if it is not a set or has more ranges than limits.ts allows. */
export function parseNumberSet(text: string): NumberSet | undefined {
  const ranges: NumberRange[] = []
  for (const part of text.split(',', limits.imapSetRangesMax + 1)) {
    const colon = part.indexOf(':')
    const first = parseNumber(colon < 0 ? part : part.slice(0, colon))
    const last = colon < 0 ? first : parseNumber(part.slice(colon + 1))
    if (first === undefined || last === undefined) return undefined
    ranges.push({ from: first, to: last })
  }
  return ranges.length > limits.imapSetRangesMax ? undefined : ranges
}

function parseNumber(text: string): number | undefined {
  if (text === '*') return Infinity
  if (text.length === 0 || text.length > 10) return undefined
  let value = 0
  for (let at = 0; at < text.length; at += 1) {
    const digit = text.charCodeAt(at) - 0x30
    if (digit < 0 || digit > 9) return undefined
    value = value * 10 + digit
  }
  return value > 0 && value <= numberMax ? value : undefined
}

/** Ascending, disjoint ranges with `*` replaced; ends may be given in either order. With `highest` 0, `*` names nothing. */
export function resolveNumberSet(set: NumberSet, highest: number): NumberSet {
  const ranges: NumberRange[] = []
  for (const { from, to } of set) {
    if (from === Infinity || to === Infinity) {
      // `4:*` of three messages is the last one, in whichever order it is written.
      if (highest > 0) ranges.push({ from: Math.min(from, to, highest), to: highest })
    } else ranges.push({ from: Math.min(from, to), to: Math.max(from, to) })
  }
  ranges.sort((a, b) => a.from - b.from)
  const merged: { from: number; to: number }[] = []
  for (const range of ranges) {
    const before = merged.at(-1)
    if (before !== undefined && range.from <= before.to + 1) before.to = Math.max(before.to, range.to)
    else merged.push({ ...range })
  }
  return merged
}

/** `1:3,7` of ascending numbers; empty text for none. */
export function formatNumberSet(numbers: Iterable<number>): string {
  let text = ''
  let first = 0
  let last = 0
  const flush = (): void => {
    if (first > 0) text += `${text === '' ? '' : ','}${first === last ? first : `${first}:${last}`}`
  }
  for (const value of numbers) {
    if (first > 0 && value === last + 1) last = value
    else {
      flush()
      first = value
      last = value
    }
  }
  flush()
  return text
}

/** What may be asked of a mailbox, and how an answer is found piece by piece: from cheap knowledge first. */
import { unreachable } from '../errors.ts'
import type { ContentId, ModSeq } from '../ids.ts'
import type { HeaderField } from '../message/header.ts'
import { fieldIncludes, foldText, SearchableText } from '../message/searchable-text.ts'
import type { Flag, MailboxColumns } from './mailbox.ts'

/** Unix milliseconds, `from` inclusive and `to` exclusive; an open end is unbounded. */
export interface Period {
  readonly from?: number
  readonly to?: number
}

/** Asked of a message's columns. */
type ColumnKey =
  | { readonly kind: 'all' }
  | { readonly kind: 'flag'; readonly flag: Flag }
  /** Ascending, disjoint, both ends inclusive. */
  | { readonly kind: 'uids'; readonly ranges: readonly { readonly from: number; readonly to: number }[] }
  | { readonly kind: 'internal-date'; readonly period: Period }
  | { readonly kind: 'saved-date'; readonly period: Period }
  | { readonly kind: 'larger'; readonly than: number }
  | { readonly kind: 'smaller'; readonly than: number }
  | { readonly kind: 'changed-since'; readonly modSeq: ModSeq }
  | { readonly kind: 'content'; readonly content: ContentId | undefined }

/** Asked of what it says. */
type ContentKey =
  /** The date written in the Date field, as midnight UTC of that day, whatever its zone. */
  | { readonly kind: 'sent-date'; readonly period: Period }
  /** Substring without regard to case, of the decoded value; empty text asks whether the field is there. Lower-case name. */
  | { readonly kind: 'header'; readonly name: string; readonly text: string }
  | { readonly kind: 'body'; readonly text: string }
  | { readonly kind: 'text'; readonly text: string }

export type SearchKey =
  | ColumnKey
  | ContentKey
  | { readonly kind: 'not'; readonly key: SearchKey }
  | { readonly kind: 'and'; readonly keys: readonly SearchKey[] }
  | { readonly kind: 'or'; readonly keys: readonly SearchKey[] }

/** Texts and flags folded, so that they are compared as they are. */
export function foldKey(key: SearchKey): SearchKey {
  if ('text' in key) return { ...key, text: foldText(key.text) }
  if (key.kind === 'flag') return { ...key, flag: key.flag.toLowerCase() }
  if (key.kind === 'not') return { ...key, key: foldKey(key.key) }
  return 'keys' in key ? { ...key, keys: key.keys.map(foldKey) } : key
}

/** Decided, or what is left to decide. */
export type Outcome = boolean | SearchKey

export type Leaf = ColumnKey | ContentKey

/** @param judge `undefined`: what it knows does not decide */
export function settle(key: SearchKey, judge: (leaf: Leaf) => boolean | undefined): Outcome {
  if (key.kind === 'not') {
    const inner = settle(key.key, judge)
    if (typeof inner === 'boolean') return !inner
    return inner === key.key ? key : { kind: 'not', key: inner }
  }
  if (key.kind === 'and') return settleAll(key, judge, false)
  return key.kind === 'or' ? settleAll(key, judge, true) : (judge(key) ?? key)
}

/** Decides as soon as one key is `decisive`; else the opposite once every key is known. */
function settleAll(
  { kind, keys }: { readonly kind: 'and' | 'or'; readonly keys: readonly SearchKey[] },
  judge: (leaf: Leaf) => boolean | undefined,
  decisive: boolean,
): Outcome {
  const open: SearchKey[] = []
  for (const key of keys) {
    const outcome = settle(key, judge)
    if (outcome === decisive) return decisive
    if (typeof outcome !== 'boolean') open.push(outcome)
  }
  if (open.length === 0) return !decisive
  return open.length === 1 ? open[0]! : { kind, keys: open }
}

/** From a message's columns, by its index in them. */
export function columnsJudge(columns: MailboxColumns, index: number): (leaf: Leaf) => boolean | undefined {
  return (leaf) => {
    switch (leaf.kind) {
      case 'all':
        return true
      case 'flag':
        return columns.flagsOf(columns.flagSetAt(index)).some((flag) => flag.toLowerCase() === leaf.flag)
      case 'uids':
        return inRanges(leaf.ranges, columns.uidAt(index))
      case 'internal-date':
        return within(columns.internalDateAt(index), leaf.period)
      case 'saved-date':
        return within(columns.savedAt(index), leaf.period)
      case 'larger':
        return columns.sizeAt(index) > leaf.than
      case 'smaller':
        return columns.sizeAt(index) < leaf.than
      case 'changed-since':
        return columns.modSeqAt(index) >= leaf.modSeq
      case 'content':
        return columns.contentAt(index) === leaf.content
      case 'sent-date':
      case 'header':
      case 'body':
      case 'text':
        return undefined
      default:
        return unreachable(leaf)
    }
  }
}

/** @param ranges ascending and disjoint: looked up by halves, for there may be thousands */
export function inRanges(ranges: readonly { readonly from: number; readonly to: number }[], value: number): boolean {
  let low = 0
  let high = ranges.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if (ranges[middle]!.to < value) low = middle + 1
    else high = middle
  }
  return low < ranges.length && ranges[low]!.from <= value
}

const within = (ms: number | undefined, { from = -Infinity, to = Infinity }: Period): boolean =>
  ms !== undefined && ms >= from && ms < to

/** From a header section: enough for all but texts. */
export const headerJudge =
  (fields: readonly HeaderField[]) =>
  (leaf: Leaf): boolean | undefined => {
    if (leaf.kind === 'header') return fieldIncludes(fields, leaf.name, leaf.text)
    if (leaf.kind !== 'sent-date') return undefined
    return sentWithin(fields.find(({ name }) => name === 'date')?.value, leaf.period)
  }

/** From the message itself: the last word. What columns had to say has been said. */
export function matches(key: SearchKey, message: Uint8Array): boolean {
  const text = new SearchableText(message)
  const fromHeader = headerJudge(text.fields)
  const outcome = settle(key, (leaf) => {
    if (leaf.kind === 'body') return text.bodyIncludes(leaf.text)
    return leaf.kind === 'text' ? text.includes(leaf.text) : fromHeader(leaf)
  })
  return outcome === true
}

/** @param written the Date field */
export const sentWithin = (written: string | undefined, period: Period): boolean => within(sentDay(written), period)

const months = ['jan', 'feb', 'mar', 'apr', 'may', 'jun', 'jul', 'aug', 'sep', 'oct', 'nov', 'dec']

/** Midnight UTC of the day that is named (RFC 9051 §6.4.4: disregarding time and zone). */
function sentDay(written: string | undefined): number | undefined {
  const parts =
    written === undefined ? null : /(\d{1,2})\s+([a-z]{3})[a-z]*\s+(\d{4}|\d{2})\b/i.exec(written.slice(0, 200))
  const month = parts === null ? -1 : months.indexOf(parts[2]!.toLowerCase())
  if (parts === null || month < 0) return undefined
  const year = Number(parts[3])
  return Date.UTC(parts[3]!.length === 2 ? (year < 50 ? 2000 + year : 1900 + year) : year, month, Number(parts[1]))
}

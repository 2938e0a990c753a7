/**
 * Who came before whom among the operations of a group. Each entry knows its neck: the latest operation before it that is
 * comparable with everything before it. Necks form a tree in which ancestors and common ancestors are found in
 * logarithmic time, and between a neck and what follows lies only what happened at once. So a long quiet history costs
 * nothing, whatever is asked.
 */
import type { GroupOpId } from '../ids.ts'
import type { GroupOp } from './op.ts'
import type { Standing } from './standing.ts'

export interface Entry {
  readonly id: GroupOpId
  readonly op: GroupOp
  /** None of them is an ancestor of another. */
  readonly parents: readonly Entry[]
  /** Longest way to the first operation. */
  readonly depth: number
  /** The entry itself for the first operation. */
  readonly neck: Entry
  readonly neckDepth: number
  /** An entry further up the necks. */
  readonly jump: Entry
  readonly standing: Standing
}

/** Takes parents of which none is an ancestor of another. */
export function makeEntry(id: GroupOpId, op: GroupOp, parents: readonly Entry[], standing: Standing): Entry {
  const [first, ...others] = parents
  if (first === undefined) {
    const root = { id, op, parents, depth: 0, neckDepth: 0, standing } as { -readonly [K in keyof Entry]: Entry[K] }
    root.neck = root
    root.jump = root
    return root
  }
  const neck = others.reduce(commonNeck, first)
  const { jump } = neck
  const isEven = neck.neckDepth - jump.neckDepth === jump.neckDepth - jump.jump.neckDepth
  return {
    id,
    op,
    parents,
    depth: 1 + parents.reduce((deepest, { depth }) => Math.max(deepest, depth), 0),
    neck,
    neckDepth: neck.neckDepth + 1,
    jump: isEven ? jump.jump : neck,
    standing,
  }
}

/** The latest entry that is one of both, or before both, and comparable with everything before either. */
export function commonNeck(a: Entry, b: Entry): Entry {
  let [left, right] = a.neckDepth < b.neckDepth ? [a, b] : [b, a]
  while (right.neckDepth > left.neckDepth) right = right.jump.neckDepth >= left.neckDepth ? right.jump : right.neck
  while (left !== right) {
    if (left.jump === right.jump) [left, right] = [left.neck, right.neck]
    else [left, right] = [left.jump, right.jump]
  }
  return left
}

export function isBefore(entry: Entry, later: Entry): boolean {
  if (entry.depth >= later.depth) return false
  // the last entry down the necks that is still deeper: what is before it, is between it and its neck or before the neck
  let last = later
  for (;;) {
    if (last.jump.depth > entry.depth) last = last.jump
    else if (last.neck.depth > entry.depth) last = last.neck
    else break
  }
  if (last.neck.depth === entry.depth) return last.neck === entry
  const seen = new Set<Entry>()
  const open = [last]
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    for (const parent of next.parents) {
      if (parent === entry) return true
      if (parent.depth <= entry.depth || seen.has(parent)) continue
      seen.add(parent)
      open.push(parent)
    }
  }
  return false
}

export const isAtOrBefore = (entry: Entry, later: Entry): boolean => entry === later || isBefore(entry, later)

/** Those of `entries` that are before no other one, by id. */
export function maximal(entries: readonly Entry[]): readonly Entry[] {
  const all = [...new Set(entries)]
  const kept = all.length < 2 ? all : all.filter((entry) => !all.some((other) => isBefore(entry, other)))
  return kept.toSorted((a, b) => (a.id < b.id ? -1 : 1))
}

/** Everything at or before `heads` and after `base`, which is their common neck: parents first. */
export function between(base: Entry, heads: readonly Entry[]): readonly Entry[] {
  const found = new Set<Entry>()
  const open = [...heads]
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    if (next.depth <= base.depth || found.has(next)) continue
    found.add(next)
    open.push(...next.parents)
  }
  return [...found].toSorted((a, b) => a.depth - b.depth || (a.id < b.id ? -1 : 1))
}

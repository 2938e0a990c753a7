/** What an author could rest on when it did something: facts of the causal past of one operation, which never change. */
import type { GroupOpId } from '../ids.ts'

/** An operation that gives membership or adminship. The lower, the more senior. */
export interface Warrant {
  readonly id: GroupOpId
  readonly depth: number
}

export interface Backing {
  /** Additions in force; one that stands is enough. */
  readonly memberBy: readonly Warrant[]
  /** Grants in force, of which one must stand; empty where none is needed. */
  readonly adminBy: readonly Warrant[]
}

export interface Standing extends Backing {
  /** `admin`: a revocation concerns it too. */
  readonly right: 'member' | 'admin'
  /** Whether the removal of its author voids it when the two are concurrent. */
  readonly canBeStruck: boolean
  readonly rank: Warrant
  /** Operations before it that did not stand there; for an epoch: removals that its keys were not made against. */
  readonly struckBefore: ReadonlySet<GroupOpId>
  /** For a checkpoint: more than half of so many admins have to stand. */
  readonly quorum: { readonly of: number; readonly signers: readonly Backing[] } | undefined
}

export const compareWarrants = (a: Warrant, b: Warrant): number =>
  a.depth - b.depth || (a.id < b.id ? -1 : a.id === b.id ? 0 : 1)

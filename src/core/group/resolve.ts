/**
 * What operations amount to that happened at once. Each was allowed by its own past (roster.ts); here it is decided which
 * of them stand beside each other. A removal, a leave, a revocation or the retiring of a device strikes what its target did
 * as an admin at the same time; a checkpoint strikes all that admins did at the same time. What is struck stands no more,
 * nor does what rested on it. Where strikes go in a circle, the target whose author is most senior is spared. The result
 * depends on the set of operations alone. Rules: docs/protocol/groups.md.
 */
import { unreachable } from '../errors.ts'
import type { GroupOpId, Identity } from '../ids.ts'
import type { Entry } from './dag.ts'
import type { GroupAction, GroupOp } from './op.ts'
import { apply, bestEpochs, type Draft, epochOf, type Member, noteRemoval, removalOf, setMember } from './roster.ts'
import { type Backing, compareWarrants, type Warrant } from './standing.ts'

/** Entries, parents first, with the indices of those before each one as bits. */
class Segment {
  readonly entries: readonly Entry[]
  readonly #indices: ReadonlyMap<GroupOpId, number>
  readonly #before: readonly Uint32Array[]

  constructor(entries: readonly Entry[]) {
    this.entries = entries
    this.#indices = new Map(entries.map(({ id }, index) => [id, index]))
    const words = Math.ceil(entries.length / 32)
    const before: Uint32Array[] = []
    for (const { parents } of entries) {
      const bits = new Uint32Array(words)
      for (const { id } of parents) {
        const parent = this.#indices.get(id)
        if (parent === undefined) continue
        const inherited = before[parent]!
        for (let word = 0; word < words; word += 1) bits[word]! |= inherited[word]!
        bits[parent >>> 5]! |= 1 << (parent & 31)
      }
      before.push(bits)
    }
    this.#before = before
  }

  indexOf(id: GroupOpId): number | undefined {
    return this.#indices.get(id)
  }
  isBefore(index: number, later: number): boolean {
    return (this.#before[later]![index >>> 5]! & (1 << (index & 31))) !== 0
  }
  areConcurrent(a: number, b: number): boolean {
    return a !== b && !this.isBefore(a, b) && !this.isBefore(b, a)
  }
}

/** Brings a draft, which holds everything before `entries`, to what holds after all of them. */
export function resolve(draft: Draft, entries: readonly Entry[]): void {
  const segment = new Segment(entries)
  const stands = whatStands(segment)
  const standing = entries.map((_, index) => index).filter((index) => stands[index] === yes)
  for (const [index, { id }] of entries.entries()) if (stands[index] === no) draft.struck.add(id)
  settleMembers(draft, segment, standing)
  settleRemovalsAndEpochs(draft, segment, standing)
  settleRules(draft, segment, standing)
  noteForks(draft, entries)
}

// ─── what stands ───

type Verdict = 0 | 1 | 2
const open: Verdict = 0
const yes: Verdict = 1
const no: Verdict = 2

/** Whom an operation's strikes concern: what they did as admins, or all that can be struck. */
function targetOf({ author, action }: GroupOp): Identity | 'everybody' | undefined {
  switch (action.kind) {
    case 'remove':
    case 'revoke':
    case 'retire':
      return action.member
    case 'leave':
      return author
    case 'checkpoint':
      return 'everybody'
    case 'create':
    case 'add':
    case 'grant':
    case 'rename':
    case 'policy':
    case 'epoch':
      return undefined
    default:
      return unreachable(action)
  }
}

function concerns({ action }: GroupOp, { op, standing }: Entry): boolean {
  if (action.kind === 'retire') return action.cut.device === op.device
  return action.kind !== 'revoke' || standing.right === 'admin'
}

/** For each entry, the indices of those that strike it if they stand themselves. */
function strikersOf(segment: Segment): readonly (readonly number[])[] {
  const strikers: number[][] = segment.entries.map(() => [])
  const everything: number[] = []
  const byAuthor = new Map<Identity, number[]>()
  for (const [index, { op, standing }] of segment.entries.entries()) {
    if (!standing.canBeStruck) continue
    everything.push(index)
    const theirs = byAuthor.get(op.author)
    if (theirs === undefined) byAuthor.set(op.author, [index])
    else theirs.push(index)
  }
  for (const [striker, { op }] of segment.entries.entries()) {
    const target = targetOf(op)
    const reach = target === 'everybody' ? everything : target === undefined ? [] : (byAuthor.get(target) ?? [])
    for (const index of reach) {
      if (segment.areConcurrent(striker, index) && concerns(op, segment.entries[index]!)) strikers[index]!.push(striker)
    }
  }
  return strikers
}

function whatStands(segment: Segment): Uint8Array {
  const { entries } = segment
  const verdicts = new Uint8Array(entries.length)
  const strikers = strikersOf(segment)
  if (strikers.every(({ length }) => length === 0)) return verdicts.fill(yes)

  /** Warrants before the segment stand: whatever could strike them is before it too. */
  const anyStands = (warrants: readonly Warrant[]): Verdict => {
    let isOpen = false
    for (const { id } of warrants) {
      const index = segment.indexOf(id)
      const verdict = index === undefined ? yes : verdicts[index]
      if (verdict === yes) return yes
      if (verdict === open) isOpen = true
    }
    return isOpen ? open : no
  }
  const backed = ({ memberBy, adminBy }: Backing): Verdict => {
    const member = anyStands(memberBy)
    const admin = adminBy.length === 0 ? yes : anyStands(adminBy)
    if (member === no || admin === no) return no
    return member === yes && admin === yes ? yes : open
  }
  const quorate = ({ standing: { quorum } }: Entry): Verdict => {
    if (quorum === undefined) return yes
    const signers = quorum.signers.map(backed)
    const count = (verdict: Verdict): number => signers.filter((each) => each === verdict).length
    if (count(yes) * 2 > quorum.of) return yes
    return (signers.length - count(no)) * 2 > quorum.of ? open : no
  }
  const judge = (index: number): Verdict => {
    const entry = entries[index]!
    const parts = [backed(entry.standing), quorate(entry)]
    for (const striker of strikers[index]!) parts.push(([open, no, yes] as const)[verdicts[striker]! as Verdict])
    if (parts.includes(no)) return no
    return parts.includes(open) ? open : yes
  }
  const settle = (): number[] => {
    for (;;) {
      const undecided: number[] = []
      let isChanged = false
      for (let index = 0; index < entries.length; index += 1) {
        if (verdicts[index] !== open) continue
        const verdict = judge(index)
        verdicts[index] = verdict
        if (verdict === open) undecided.push(index)
        else isChanged = true
      }
      if (!isChanged || undecided.length === 0) return undecided
    }
  }
  const needs = (index: number): readonly number[] => {
    const { standing } = entries[index]!
    const backings = [standing, ...(standing.quorum?.signers ?? [])]
    const warrants = backings.flatMap(({ memberBy, adminBy }) => [...memberBy, ...adminBy])
    const indices = warrants.flatMap(({ id }) => segment.indexOf(id) ?? [])
    return [...indices, ...strikers[index]!].filter((needed) => verdicts[needed] === open)
  }
  for (let undecided = settle(); undecided.length > 0; undecided = settle()) {
    const circle = sourceCircle(undecided, needs)
    const struckWithin = (index: number): number[] =>
      strikers[index]!.filter((striker) => verdicts[striker] === open && circle.has(striker))
    const [spared] = [...circle]
      .filter((index) => struckWithin(index).length > 0)
      .toSorted((a, b) => compareRanks(entries[a]!, entries[b]!))
    for (const striker of struckWithin(spared!)) verdicts[striker] = no
  }
  return verdicts
}

const compareRanks = (a: Entry, b: Entry): number =>
  compareWarrants(a.standing.rank, b.standing.rank) || (a.id < b.id ? -1 : 1)

/** A circle of undecided entries that needs no undecided one outside. */
function sourceCircle(undecided: readonly number[], needs: (index: number) => readonly number[]): ReadonlySet<number> {
  const needed = new Map(undecided.map((index) => [index, needs(index)]))
  const needing = new Map<number, number[]>(undecided.map((index) => [index, []]))
  for (const [index, list] of needed) for (const each of list) needing.get(each)!.push(index)
  let start = undecided[0]!
  for (;;) {
    const upwards = reach(start, (index) => needed.get(index)!)
    const downwards = reach(start, (index) => needing.get(index)!)
    const outside = [...upwards].find((index) => !downwards.has(index))
    if (outside === undefined) return upwards
    start = outside
  }
}

function reach(start: number, next: (index: number) => readonly number[]): ReadonlySet<number> {
  const found = new Set([start])
  for (const index of found) for (const each of next(index)) found.add(each) // a set's loop sees what is added to it
  return found
}

// ─── what holds afterwards ───

function settleMembers(draft: Draft, segment: Segment, standing: readonly number[]): void {
  const changes = new Map<Identity, { adds: number[]; grants: number[]; removals: number[]; revocations: number[] }>()
  const of = (member: Identity) => {
    const known = changes.get(member) ?? { adds: [], grants: [], removals: [], revocations: [] }
    changes.set(member, known)
    return known
  }
  for (const index of standing) {
    const { author, action } = segment.entries[index]!.op
    if (action.kind === 'add') of(action.member).adds.push(index)
    else if (action.kind === 'grant') of(action.member).grants.push(index)
    else if (action.kind === 'remove') of(action.member).removals.push(index)
    else if (action.kind === 'leave') of(author).removals.push(index)
    else if (action.kind === 'revoke') of(action.member).revocations.push(index)
  }
  for (const [identity, { adds, grants, removals, revocations }] of changes) {
    const before = draft.members.get(identity)
    const inForce = (old: readonly Warrant[], news: readonly number[], enders: readonly number[]): Warrant[] => {
      const kept = news.filter((index) => enders.every((ender) => segment.isBefore(ender, index)))
      const warrants = kept.map((index): Warrant => segment.entries[index]!)
      return [...(enders.length === 0 ? old : []), ...warrants].map(({ id, depth }) => ({ id, depth }))
    }
    const member: Member = {
      adds: inForce(before?.adds ?? [], adds, removals).toSorted(compareWarrants),
      grants: inForce(before?.grants ?? [], grants, [...removals, ...revocations]).toSorted(compareWarrants),
    }
    setMember(draft, identity, member.adds.length === 0 ? undefined : member)
  }
}

function settleRemovalsAndEpochs(draft: Draft, segment: Segment, standing: readonly number[]): void {
  const removals: number[] = []
  for (const index of standing) {
    const { id, op } = segment.entries[index]!
    const removal = removalOf(id, op)
    if (removal === undefined) continue
    removals.push(index)
    noteRemoval(draft, removal)
  }
  const epochs = removals.length === 0 ? [...draft.epochs] : []
  for (const [index, { id, op, standing }] of segment.entries.entries()) {
    if (op.action.kind !== 'epoch') continue
    draft.lastEpoch = Math.max(draft.lastEpoch, op.action.number)
    // (2026-12-01: it is not enough that the removal is before the epoch: one that was void there had its target among
    // those who were handed the keys, and may have come back into force since)
    const covers = (removal: number): boolean =>
      segment.isBefore(removal, index) && !standing.struckBefore.has(segment.entries[removal]!.id)
    if (draft.struck.has(id) || !removals.every(covers)) continue
    epochs.push(epochOf(id, op.action))
  }
  draft.epochs = bestEpochs(epochs)
}

/** Of names, and of policies, that are concurrent, those of the most senior author hold. */
function settleRules(draft: Draft, segment: Segment, standing: readonly number[]): void {
  for (const kind of ['rename', 'policy'] as const satisfies readonly GroupAction['kind'][]) {
    const all = standing.filter((index) => segment.entries[index]!.op.action.kind === kind)
    const last = all.filter((index) => !all.some((later) => segment.isBefore(index, later)))
    const [chosen] = last.map((index) => segment.entries[index]!).toSorted(compareRanks)
    if (chosen !== undefined) apply(draft, chosen)
  }
}

/** Two operations of one device under one number: whoever cites both knows it. */
function noteForks(draft: Draft, entries: readonly Entry[]): void {
  const seen = new Set<string>()
  for (const { op } of entries) {
    const place = `${op.device}/${op.sequence}`
    if (seen.has(place)) draft.forked.add(op.device)
    seen.add(place)
  }
}

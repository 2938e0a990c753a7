/**
 * What a set of operations amounts to, from the rules of docs/protocol/groups.md as they are written there: slow, without
 * memory of earlier states, and over the whole history at once. It shares with the implementation the form of an operation
 * and nothing else. `without` leaves a rule out, to see whether the comparison notices.
 */
import type { GroupOpId, Identity } from '../../../../src/core/ids.ts'
import type { ReadGroupOp } from '../../../../src/core/group/op.ts'

export const rules = [
  'a removal strikes',
  'a revocation strikes',
  'a retired device is struck',
  'a leave strikes',
  'a checkpoint strikes',
  'the senior is spared',
  'what rests on nothing falls',
  'a removal beats an addition',
  'a revocation beats a grant',
  'the most senior member succeeds',
  'an epoch covers every removal',
  'keys are made against removals in force',
  'the name of the senior holds',
] as const
export type Rule = (typeof rules)[number]

export interface View {
  /** Identity → admin? */
  readonly members: Readonly<Record<string, boolean>>
  readonly name: string
  readonly policy: unknown
  readonly epochs: readonly GroupOpId[]
  readonly struck: readonly GroupOpId[]
  readonly removals: readonly GroupOpId[]
  readonly forked: readonly string[]
}

interface Op {
  readonly id: GroupOpId
  readonly op: ReadGroupOp['op']
  readonly depth: number
}
type Verdict = 'stands' | 'falls' | 'open'
type Rests = readonly (readonly number[])[]

const compareOps = (a: Op, b: Op): number => a.depth - b.depth || (a.id < b.id ? -1 : a.id === b.id ? 0 : 1)

export class Oracle {
  readonly #ops: Op[] = []
  readonly #index = new Map<GroupOpId, number>()
  /** before[later][earlier] */
  readonly #before: boolean[][] = []
  readonly #rests: Rests[] = []
  readonly #rank: Op[] = []
  readonly #quorums: ({ of: number; signers: Rests[] } | undefined)[] = []
  readonly #without: Rule | undefined
  /** Operations whose author could not do them where it stood: nobody may have taken them. */
  readonly unfounded: GroupOpId[] = []

  /** Operations with their parents before them. */
  constructor(ops: readonly ReadGroupOp[], without?: Rule) {
    this.#without = without
    for (const { id, op } of ops) {
      const parents = op.parents.map((parent) => this.#index.get(parent)!)
      const index = this.#ops.length
      const row = ops.map(() => false)
      for (const parent of parents) {
        row[parent] = true
        for (const [earlier, isEarlier] of this.#before[parent]!.entries()) if (isEarlier) row[earlier] = true
      }
      const depth = parents.length === 0 ? 0 : 1 + Math.max(...parents.map((parent) => this.#ops[parent]!.depth))
      this.#ops.push({ id, op, depth })
      this.#index.set(id, index)
      this.#before.push(row)
      this.#note(index)
    }
  }

  #has(rule: Rule): boolean {
    return this.#without !== rule
  }
  #isBefore(earlier: number, later: number): boolean {
    return this.#before[later]![earlier]!
  }
  #pastOf(index: number): number[] {
    return [...this.#ops.keys()].filter((other) => other < this.#ops.length && this.#isBefore(other, index))
  }

  /** What an operation rests on, from nothing but its past. */
  #note(index: number): void {
    const { op, id } = this.#ops[index]!
    const { action, author } = op
    if (action.kind === 'create') {
      this.#rests.push([])
      this.#rank.push(this.#ops[index]!)
      this.#quorums.push(undefined)
      return
    }
    const past = this.#standing(this.#pastOf(index))
    const rests = (identity: Identity, asAdmin: boolean): Rests => {
      const grants = this.#grants(past, identity)
      return [this.#adds(past, identity), ...(asAdmin && grants.length > 0 ? [grants] : [])]
    }
    const isOwn = action.kind === 'leave' || (action.kind === 'retire' && action.member === author)
    const isForMembers =
      (action.kind === 'add' && this.#rules(past, 'policy').add === 'members') ||
      (action.kind === 'epoch' && this.#epochs(past).length === 0)
    const isAdminNeeded = !isOwn && !isForMembers
    const mine = this.#members(past).find(([identity]) => identity === author)
    if (mine === undefined || (isAdminNeeded && !mine[1])) this.unfounded.push(id)
    this.#rests.push(rests(author, isAdminNeeded))
    const own = this.#grants(past, author)
    const warrants = (own.length > 0 ? own : this.#adds(past, author)).map((each) => this.#ops[each]!)
    this.#rank.push(warrants.sort(compareOps)[0] ?? this.#ops[index]!)
    this.#quorums.push(
      action.kind !== 'checkpoint'
        ? undefined
        : {
            of: this.#members(past).filter(([, isAdmin]) => isAdmin).length,
            signers: [author, ...action.signers.map(({ identity }) => identity)].map((each) => rests(each, true)),
          },
    )
  }

  // ─── what stands among `set` ───

  #strikes(striker: number, target: number): boolean {
    if (striker === target || this.#isBefore(striker, target) || this.#isBefore(target, striker)) return false
    const { op: by } = this.#ops[striker]!
    const { op } = this.#ops[target]!
    const { kind } = op.action
    if (kind === 'create' || kind === 'leave' || kind === 'epoch' || kind === 'checkpoint') return false
    if (op.action.kind === 'retire' && op.action.member === op.author) return false
    if (by.action.kind === 'remove') return this.#has('a removal strikes') && by.action.member === op.author
    if (by.action.kind === 'leave') return this.#has('a leave strikes') && by.author === op.author
    if (by.action.kind === 'checkpoint') return this.#has('a checkpoint strikes')
    if (by.action.kind === 'retire') {
      const isDevice = by.action.member === op.author && by.action.cut.device === op.device
      return this.#has('a retired device is struck') && isDevice
    }
    if (by.action.kind !== 'revoke' || by.action.member !== op.author) return false
    const past = this.#standing(this.#pastOf(target))
    const isForMembers = kind === 'add' && this.#rules(past, 'policy').add === 'members'
    return this.#has('a revocation strikes') && !isForMembers
  }

  readonly #known = new Map<string, readonly number[]>()
  readonly #striking = new Map<number, boolean>()

  #strikesOnce(striker: number, target: number): boolean {
    const key = striker * 4096 + target
    let known = this.#striking.get(key)
    if (known === undefined) {
      known = this.#strikes(striker, target)
      this.#striking.set(key, known)
    }
    return known
  }

  #standing(set: readonly number[]): readonly number[] {
    const key = set.join()
    const known = this.#known.get(key)
    if (known !== undefined) return known
    const verdicts = this.#judge(set)
    const found = set.filter((index) => verdicts.get(index) === 'stands')
    this.#known.set(key, found)
    return found
  }

  #judge(set: readonly number[]): ReadonlyMap<number, Verdict> {
    const verdicts = new Map<number, Verdict>(set.map((index) => [index, 'open']))
    const strikers = new Map(set.map((target) => [target, set.filter((by) => this.#strikesOnce(by, target))]))
    const of = (index: number): Verdict => verdicts.get(index)!
    const rest = (rests: Rests): Verdict => {
      const each = rests.map((some): Verdict => {
        if (some.some((index) => of(index) === 'stands')) return 'stands'
        return some.some((index) => of(index) === 'open') ? 'open' : 'falls'
      })
      if (each.includes('falls')) return this.#has('what rests on nothing falls') ? 'falls' : 'stands'
      return each.includes('open') ? 'open' : 'stands'
    }
    const now = (index: number): Verdict => {
      const hits = strikers.get(index)!.map(of)
      const rests = rest(this.#rests[index]!)
      const quorum = this.#quorums[index]
      const signers = quorum?.signers.map(rest) ?? []
      const sure = signers.filter((verdict) => verdict === 'stands').length
      const possible = signers.filter((verdict) => verdict !== 'falls').length
      if (hits.includes('stands') || rests === 'falls') return 'falls'
      if (quorum !== undefined && possible <= quorum.of / 2) return 'falls'
      if (quorum !== undefined && sure <= quorum.of / 2) return 'open'
      return hits.includes('open') || rests === 'open' ? 'open' : 'stands'
    }
    for (;;) {
      const changed = set.filter((index) => of(index) === 'open' && now(index) !== 'open')
      if (changed.length > 0) {
        verdicts.set(changed[0]!, now(changed[0]!))
        continue
      }
      const undecided = set.filter((index) => of(index) === 'open')
      if (undecided.length === 0) return verdicts
      this.#breakCircle(undecided, strikers, verdicts)
    }
  }

  /** Closes the relation 'waits for' and takes the circles that wait for nothing outside. */
  #breakCircle(
    undecided: readonly number[],
    strikers: ReadonlyMap<number, readonly number[]>,
    verdicts: Map<number, Verdict>,
  ): void {
    const waits = new Map(
      undecided.map((index) => {
        const rests = [this.#rests[index]!, ...(this.#quorums[index]?.signers ?? [])].flat(2)
        return [index, new Set([...rests, ...strikers.get(index)!].filter((each) => undecided.includes(each)))]
      }),
    )
    for (const through of undecided) {
      for (const from of undecided) {
        if (waits.get(from)!.has(through)) for (const to of waits.get(through)!) waits.get(from)!.add(to)
      }
    }
    const circleOf = (index: number) =>
      undecided.filter((other) => waits.get(index)!.has(other) && waits.get(other)!.has(index))
    const source = undecided.find((index) => {
      const circle = circleOf(index)
      return circle.includes(index) && [...waits.get(index)!].every((each) => circle.includes(each))
    })
    if (source === undefined) throw new Error('nothing is settled, and nothing goes in a circle')
    const circle = circleOf(source)
    const within = (index: number): number[] => strikers.get(index)!.filter((by) => circle.includes(by))
    const struck = circle.filter((index) => within(index).length > 0)
    const bySeniority = struck.sort(
      (a, b) => compareOps(this.#rank[a]!, this.#rank[b]!) || (this.#ops[a]!.id < this.#ops[b]!.id ? -1 : 1),
    )
    const spared = this.#has('the senior is spared') ? bySeniority[0]! : bySeniority.at(-1)!
    for (const by of within(spared)) verdicts.set(by, 'falls')
  }

  // ─── what holds, from what stands ───

  #kinds(standing: readonly number[], ...kinds: readonly ReadGroupOp['op']['action']['kind'][]): number[] {
    return standing.filter((index) => kinds.includes(this.#ops[index]!.op.action.kind))
  }
  #memberOf(index: number): Identity {
    const { action, author } = this.#ops[index]!.op
    return 'member' in action ? action.member : author
  }
  #gone(standing: readonly number[], identity: Identity): number[] {
    return this.#kinds(standing, 'remove', 'leave').filter((index) => this.#memberOf(index) === identity)
  }
  #adds(standing: readonly number[], identity: Identity): number[] {
    const adds = this.#kinds(standing, 'create', 'add').filter((index) => this.#memberOf(index) === identity)
    const gone = this.#gone(standing, identity)
    if (!this.#has('a removal beats an addition')) {
      return adds.filter((add) => !gone.some((end) => this.#isBefore(add, end)))
    }
    return adds.filter((add) => gone.every((end) => this.#isBefore(end, add)))
  }
  #grants(standing: readonly number[], identity: Identity): number[] {
    if (this.#adds(standing, identity).length === 0) return []
    const of = (index: number): boolean => this.#memberOf(index) === identity
    const grants = this.#kinds(standing, 'create', 'grant').filter(of)
    const revoked = this.#kinds(standing, 'revoke').filter(of)
    const gone = this.#gone(standing, identity)
    return grants.filter(
      (grant) =>
        gone.every((end) => this.#isBefore(end, grant)) &&
        (this.#has('a revocation beats a grant')
          ? revoked.every((end) => this.#isBefore(end, grant))
          : !revoked.some((end) => this.#isBefore(grant, end))),
    )
  }
  #members(standing: readonly number[]): [Identity, boolean][] {
    const all = new Set(this.#kinds(standing, 'create', 'add').map((index) => this.#memberOf(index)))
    const members = [...all].filter((identity) => this.#adds(standing, identity).length > 0)
    const admins = members.filter((identity) => this.#grants(standing, identity).length > 0)
    if (admins.length === 0 && this.#has('the most senior member succeeds')) {
      const first = (identity: Identity): Op =>
        this.#adds(standing, identity)
          .map((index) => this.#ops[index]!)
          .sort(compareOps)[0]!
      admins.push(...members.toSorted((a, b) => compareOps(first(a), first(b))).slice(0, 1))
    }
    return members.map((identity) => [identity, admins.includes(identity)])
  }
  #rules(standing: readonly number[], field: 'policy'): { add: string }
  #rules(standing: readonly number[], field: 'name'): string
  #rules(standing: readonly number[], field: 'policy' | 'name'): unknown {
    const all = this.#kinds(standing, 'create', field === 'name' ? 'rename' : 'policy')
    const last = all.filter((index) => !all.some((later) => this.#isBefore(index, later)))
    const chosen = last.sort(
      (a, b) => compareOps(this.#rank[a]!, this.#rank[b]!) || (this.#ops[a]!.id < this.#ops[b]!.id ? -1 : 1),
    )
    const { action } = this.#ops[this.#has('the name of the senior holds') ? chosen[0]! : chosen.at(-1)!]!.op
    return (action as unknown as Record<string, unknown>)[field]
  }
  #epochs(standing: readonly number[]): GroupOpId[] {
    const ends = this.#kinds(standing, 'remove', 'leave', 'retire')
    const covering = this.#kinds(standing, 'epoch').filter((epoch) => {
      const then = this.#standing(this.#pastOf(epoch))
      const covers = (end: number): boolean =>
        then.includes(end) || (!this.#has('keys are made against removals in force') && this.#isBefore(end, epoch))
      return !this.#has('an epoch covers every removal') || ends.every(covers)
    })
    const number = (index: number): number => {
      const { action } = this.#ops[index]!.op
      return action.kind === 'epoch' ? action.number : 0
    }
    return covering
      .sort((a, b) => number(b) - number(a) || (this.#ops[a]!.id < this.#ops[b]!.id ? -1 : 1))
      .slice(0, 8)
      .map((index) => this.#ops[index]!.id)
  }

  /** The operations that stand, of all, or of those at or before `heads`. */
  standing(heads?: readonly GroupOpId[]): ReadonlySet<GroupOpId> {
    const all = [...this.#ops.keys()]
    const set = heads === undefined ? all : all.filter((index) => this.isWithin(this.#ops[index]!.id, heads))
    return new Set(this.#standing(set).map((index) => this.#ops[index]!.id))
  }
  isWithin(id: GroupOpId, heads: readonly GroupOpId[]): boolean {
    const index = this.#index.get(id)!
    return heads.some((head) => head === id || this.#isBefore(index, this.#index.get(head)!))
  }
  view(): View {
    const all = [...this.#ops.keys()]
    const standing = this.#standing(all)
    const ids = (indices: readonly number[]): GroupOpId[] => indices.map((index) => this.#ops[index]!.id).sort()
    const places = this.#ops.map(({ op }) => `${op.device} ${op.sequence}`)
    const doubled = places.filter((place, index) => places.indexOf(place) !== index)
    return {
      members: Object.fromEntries(this.#members(standing).sort(([a], [b]) => (a < b ? -1 : 1))),
      name: this.#rules(standing, 'name'),
      policy: this.#rules(standing, 'policy'),
      epochs: this.#epochs(standing),
      struck: ids(all.filter((index) => !standing.includes(index))),
      removals: ids(this.#kinds(standing, 'remove', 'leave', 'retire')),
      forked: [...new Set(doubled.map((place) => place.split(' ')[0]!))].sort(),
    }
  }
}

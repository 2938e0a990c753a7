/**
 * One group: the signed operations that this gateway knows, and what they amount to. The state is a pure function of the
 * set of operations; the order in which they arrive, and how often, changes nothing. Operations whose parents are not here,
 * or whose author's account log does not name the device yet, wait in a bounded buffer. No store: whoever adds an operation
 * keeps its bytes in the same transaction.
 */
import type { ErrorCode } from '../errors.ts'
import { MyceliumError } from '../errors.ts'
import type { SigningKey } from '../crypto/sign.ts'
import type { DeviceId, GroupId, GroupOpId, Identity } from '../ids.ts'
import { limits } from '../limits.ts'
import { between, commonNeck, type Entry, isAtOrBefore, isBefore, makeEntry, maximal } from './dag.ts'
import {
  type GroupAction,
  groupOf,
  type GroupPolicy,
  isGroupOpSigned,
  noId,
  readGroupOp,
  type ReadGroupOp,
  type SignedGroupOp,
  signGroupOp,
} from './op.ts'
import { resolve } from './resolve.ts'
import {
  apply,
  type Draft,
  draftOf,
  emptyDraft,
  type Epoch,
  epochOf,
  isRetired,
  type Roster,
  standingOf,
} from './roster.ts'
import { WaitingOps } from './waiting-ops.ts'

/** What a group needs to know of the world. */
export interface GroupServices {
  /** Whether the identity's verified account log names the device, revoked or not: revocations count by `retire` only. */
  readonly hasDevice: (identity: Identity, device: DeviceId) => boolean
  /** Checks all signatures of an operation; given by whoever keeps results. */
  readonly isSigned?: (op: ReadGroupOp) => boolean
}

/** Two operations that one device signed under one number, each with its signature: anybody can check it. */
export interface ForkProof {
  readonly device: DeviceId
  readonly first: SignedGroupOp
  readonly second: SignedGroupOp
}

export type AddResult =
  /** This one and those that waited for it. With second histories of devices, which count like concurrent operations. */
  | { readonly kind: 'added'; readonly ids: readonly GroupOpId[]; readonly forks: readonly ForkProof[] }
  | { readonly kind: 'known' }
  /** Parents to ask for; none when the author's log is too short here. */
  | { readonly kind: 'waiting'; readonly missing: readonly GroupOpId[] }
  /** For good, and by every replica; except `clock-off` of a clock ahead of ours. */
  | { readonly kind: 'refused'; readonly code: ErrorCode; readonly reason: string }

export interface GroupAuthor {
  readonly identity: Identity
  readonly device: DeviceId
  readonly key: SigningKey
}

const refused = (code: ErrorCode, reason: string): AddResult => ({ kind: 'refused', code, reason })

/** The first operation of a new group, whose author is its first admin. */
export function foundGroup(
  author: GroupAuthor,
  { name, policy, nonce }: { name: string; policy: GroupPolicy; nonce: Uint8Array },
  nowMs: number,
): SignedGroupOp {
  return signGroupOp(author.key, {
    group: noId as GroupId,
    author: author.identity,
    device: author.device,
    sequence: 0,
    previous: noId as GroupOpId,
    parents: [],
    atMs: nowMs,
    action: { kind: 'create', name, policy, nonce },
  })
}

export class Group {
  readonly id: GroupId
  readonly #services: GroupServices
  readonly #entries = new Map<GroupOpId, Entry>()
  readonly #signed = new Map<GroupOpId, SignedGroupOp>()
  readonly #byDevice = new Map<DeviceId, Entry[]>()
  /** Devices of which there are two operations under one number. */
  readonly #forked = new Set<DeviceId>()
  readonly #waiting = new WaitingOps()
  /** By heads; the most recently used last. */
  readonly #states = new Map<string, Roster>()
  #heads: readonly Entry[] = []

  private constructor(id: GroupId, services: GroupServices) {
    this.id = id
    this.#services = services
  }

  /**
   * The group that `first` founds, with this operation alone.
   * @throws `malformed`, `too-large`, `signature-invalid`, `not-a-member` when the founder's log does not name the device
   */
  static open(first: SignedGroupOp, services: GroupServices): Group {
    const read = readGroupOp(first)
    if (read.op.action.kind !== 'create') throw new MyceliumError('malformed', { reason: 'first' })
    if (!(services.isSigned ?? isGroupOpSigned)(read)) throw new MyceliumError('signature-invalid')
    if (!services.hasDevice(read.op.author, read.op.device)) throw new MyceliumError('not-a-member')
    const group = new Group(groupOf(read), services)
    group.#admit(read, [])
    return group
  }

  get heads(): readonly GroupOpId[] {
    return this.#heads.map(({ id }) => id)
  }
  get size(): number {
    return this.#entries.size
  }
  /** Operations that wait. */
  get waiting(): number {
    return this.#waiting.size
  }
  get state(): Roster {
    return this.#stateOf(this.#heads)
  }
  has(id: GroupOpId): boolean {
    return this.#entries.has(id)
  }
  signed(id: GroupOpId): SignedGroupOp | undefined {
    return this.#signed.get(id)
  }
  ids(): IterableIterator<GroupOpId> {
    return this.#signed.keys()
  }
  /** All operations, parents first. */
  ops(): IterableIterator<SignedGroupOp> {
    return this.#signed.values()
  }
  /** The state as whoever knew exactly what is at or before `heads` saw it; undefined when one of them is not here. */
  stateAt(heads: readonly GroupOpId[]): Roster | undefined {
    const entries = this.#find(heads)
    return entries === undefined || entries.length === 0 ? undefined : this.#stateOf(maximal(entries))
  }
  /** Whether an operation is one of `heads` or before one of them; false also for what is not here. */
  isWithin(id: GroupOpId, heads: readonly GroupOpId[]): boolean {
    const entry = this.#entries.get(id)
    return (
      entry !== undefined &&
      heads.some((head) => {
        const later = this.#entries.get(head)
        return later !== undefined && isAtOrBefore(entry, later)
      })
    )
  }
  /** The latest time that any of these operations claims. */
  latestMs(ids: readonly GroupOpId[]): number {
    return ids.reduce((latest, id) => Math.max(latest, this.#entries.get(id)?.op.atMs ?? 0), 0)
  }
  epoch(id: GroupOpId): Epoch | undefined {
    const action = this.#entries.get(id)?.op.action
    return action?.kind === 'epoch' ? epochOf(id, action) : undefined
  }
  /**
   * Whether keys of an epoch may be handed to a device: its owner is a member here, and no removal that the epoch's keys
   * were made against stands in its way, even if that removal is void here. Otherwise new keys are needed first.
   */
  mayHold(epoch: GroupOpId, identity: Identity, device: DeviceId): boolean {
    const { state } = this
    const then = this.stateAt([epoch])
    const member = state.members.get(identity)
    if (then === undefined || member === undefined) return false
    if (isRetired(state, identity, device) || isRetired(then, identity, device)) return false
    const removals = (then.removals.get(identity) ?? []).filter((removal) => removal.device === undefined)
    return (
      then.members.has(identity) || member.adds.some(({ id }) => removals.every(({ op }) => this.isWithin(op, [id])))
    )
  }
  hasDevice(identity: Identity, device: DeviceId): boolean {
    return this.#services.hasDevice(identity, device)
  }
  /** What is neither one of `heads` nor before one, parents first; heads that are not here count for nothing. */
  beyond(heads: readonly GroupOpId[]): readonly SignedGroupOp[] {
    const known = new Set(heads.flatMap((id) => this.#entries.get(id) ?? []))
    for (const entry of known) for (const parent of entry.parents) known.add(parent) // a set's loop sees what is added
    return [...this.#entries.values()].filter((entry) => !known.has(entry)).map(({ id }) => this.#signed.get(id)!)
  }

  /** Takes an operation from anybody. Nothing changes unless the result is `added`, or `waiting`. */
  add(signed: SignedGroupOp, nowMs: number): AddResult {
    let read: ReadGroupOp
    try {
      read = readGroupOp(signed)
    } catch (error) {
      if (error instanceof MyceliumError) return refused(error.code, String(error.details['reason'] ?? 'format'))
      throw error
    }
    if (groupOf(read) !== this.id) return refused('malformed', 'group')
    if (this.#entries.has(read.id) || this.#waiting.has(read.id)) return { kind: 'known' }
    if (this.#entries.size >= limits.groupOpsMax) return refused('group-full', 'operations')
    if (read.op.atMs > nowMs + limits.clockSkewMs) return refused('clock-off', 'ahead')
    if (!(this.#services.isSigned ?? isGroupOpSigned)(read)) return refused('signature-invalid', 'operation')
    const missing = read.op.parents.filter((id) => !this.#entries.has(id))
    if (missing.length > 0 || !this.#areDevicesKnown(read)) {
      this.#waiting.add(read, missing)
      return { kind: 'waiting', missing: missing.filter((id) => !this.#waiting.has(id)) }
    }
    const found = this.#check(read)
    if (found.kind === 'refused') return found
    return this.#addAll([read])
  }

  /** To be called when account logs have grown: takes what waited for them. */
  retry(): Extract<AddResult, { readonly kind: 'added' }> {
    return this.#addAll(this.#waiting.takeUnblocked())
  }

  /**
   * The next operation of a device here: signed, not added.
   * @throws `not-permitted`, `not-a-member`, `group-fork`, `group-full` when it would be refused
   */
  compose(
    author: GroupAuthor,
    action: GroupAction,
    nowMs: number,
    heads = this.headsToCite(author.device),
  ): SignedGroupOp {
    if (action.kind === 'add' && this.state.members.size >= limits.groupMembersMax) {
      throw new MyceliumError('group-full', { reason: 'members' })
    }
    const own = this.#byDevice.get(author.device)?.findLast(({ id }) => this.isWithin(id, heads))
    const parents = this.#find(heads)!
    const signed = signGroupOp(author.key, {
      group: this.id,
      author: author.identity,
      device: author.device,
      sequence: own === undefined ? 0 : own.op.sequence + 1,
      previous: own?.id ?? (noId as GroupOpId),
      parents: heads,
      atMs: parents.reduce((latest, { op }) => Math.max(latest, op.atMs), nowMs),
      action,
    })
    const found = this.#check(readGroupOp(signed))
    if (found.kind === 'refused') throw new MyceliumError(found.code, { reason: found.reason })
    return signed
  }

  /** All heads; of too many, the device's own last operation and the first ones. */
  headsToCite(device: DeviceId): readonly GroupOpId[] {
    const { heads } = this
    if (heads.length <= limits.groupParentsMax) return heads
    const own = this.#byDevice.get(device)?.at(-1)
    const under = own === undefined ? undefined : this.#heads.find((head) => isAtOrBefore(own, head))
    const others = heads.filter((id) => id !== under?.id)
    return [...(under === undefined ? [] : [under.id]), ...others].slice(0, limits.groupParentsMax).toSorted()
  }

  #find(ids: readonly GroupOpId[]): readonly Entry[] | undefined {
    const entries = ids.flatMap((id) => this.#entries.get(id) ?? [])
    return entries.length === ids.length ? entries : undefined
  }

  #areDevicesKnown({ op }: ReadGroupOp): boolean {
    const { hasDevice } = this.#services
    if (!hasDevice(op.author, op.device)) return false
    if (op.action.kind === 'retire') return hasDevice(op.action.member, op.action.cut.device)
    return (
      op.action.kind !== 'checkpoint' || op.action.signers.every(({ identity, device }) => hasDevice(identity, device))
    )
  }

  /** What the parents of an operation, which are all here, say of it. Depends on nothing else. */
  #check({
    id,
    op,
  }: ReadGroupOp):
    | { readonly kind: 'sound'; readonly parents: readonly Entry[]; readonly standing: Entry['standing'] }
    | Extract<AddResult, { readonly kind: 'refused' }> {
    const no = (code: ErrorCode, reason: string) => ({ kind: 'refused', code, reason }) as const
    const cited = this.#find(op.parents)!
    const parents = maximal(cited)
    if (parents.length < cited.length) return no('malformed', 'parents')
    const latest = parents.reduce((latest, { op }) => Math.max(latest, op.atMs), 0)
    if (op.atMs < latest - limits.clockSkewMs) return no('clock-off', 'behind')
    const chain = this.#chainProblem(op.device, op.sequence, op.previous, parents)
    if (chain !== undefined) return no(chain, 'previous')
    const depth = 1 + parents.reduce((deepest, { depth }) => Math.max(deepest, depth), 0)
    const standing = standingOf(this.#stateOf(parents), op, { id, depth })
    return 'code' in standing ? no(standing.code, standing.reason) : { kind: 'sound', parents, standing }
  }

  /** A device's operations are one chain in the past of each of them. */
  #chainProblem(
    device: DeviceId,
    sequence: number,
    previous: GroupOpId,
    parents: readonly Entry[],
  ): ErrorCode | undefined {
    const within = (entry: Entry): boolean => parents.some((parent) => isAtOrBefore(entry, parent))
    const last = this.#entries.get(previous)
    if (sequence > 0) {
      if (last === undefined || last.op.device !== device || last.op.sequence !== sequence - 1) return 'malformed'
      if (!within(last)) return 'malformed'
    }
    const theirs = this.#byDevice.get(device) ?? []
    // one chain: whatever has a lower number is in it
    const others = this.#forked.has(device)
      ? theirs.filter((entry) => entry !== last && (last === undefined || !isBefore(entry, last)))
      : theirs.slice(sequence)
    return others.some(within) ? 'group-fork' : undefined
  }

  #forkBy({ id, op, signed }: ReadGroupOp): ForkProof | undefined {
    const other = this.#byDevice.get(op.device)?.find((entry) => entry.op.sequence === op.sequence && entry.id !== id)
    return other === undefined ? undefined : { device: op.device, first: this.#signed.get(other.id)!, second: signed }
  }

  #admit({ id, op, signed }: ReadGroupOp, parents: readonly Entry[], standing?: Entry['standing']): void {
    const found = standing ?? standingOf(emptyDraft(), op, { id, depth: 0 })
    if ('code' in found) throw new TypeError('a group begins with its first operation')
    const entry = makeEntry(id, op, parents, found)
    const isNext = this.#heads.length === parents.length && parents.every((parent, at) => parent === this.#heads[at])
    const before = isNext && parents.length > 0 ? this.#stateOf(parents) : undefined
    this.#entries.set(id, entry)
    this.#signed.set(id, signed)
    const theirs = this.#byDevice.get(op.device) ?? []
    if (theirs.length > op.sequence) this.#forked.add(op.device)
    this.#byDevice.set(op.device, theirs)
    theirs.push(entry)
    this.#heads = [...this.#heads.filter((head) => !isBefore(head, entry)), entry].toSorted((a, b) =>
      a.id < b.id ? -1 : 1,
    )
    if (before === undefined) return
    const draft = draftOf(before)
    apply(draft, entry)
    this.#keep(entry.id, draft)
  }

  /** Adds what has all its parents, and what waited for that. What is refused after waiting is dropped. */
  #addAll(reads: readonly ReadGroupOp[]): Extract<AddResult, { readonly kind: 'added' }> {
    const ids: GroupOpId[] = []
    const forks: ForkProof[] = []
    const open = [...reads]
    for (const read of open) {
      if (!this.#areDevicesKnown(read)) {
        this.#waiting.add(read, [])
        continue
      }
      const found = this.#check(read)
      if (found.kind === 'refused') continue
      const fork = this.#forkBy(read)
      if (fork !== undefined) forks.push(fork)
      this.#admit(read, found.parents, found.standing)
      ids.push(read.id)
      open.push(...this.#waiting.takeWaitingFor(read.id)) // the loop sees what is added to it
    }
    return { kind: 'added', ids, forks }
  }

  /** The state after everything at or before `heads`, of which none is before another; by id. */
  #stateOf(heads: readonly Entry[]): Roster {
    const known = this.#states.get(keyOf(heads))
    if (known !== undefined) return this.#keep(keyOf(heads), known)
    // up the necks to a state that is known, then down again in one draft
    const neck = heads.length === 1 ? heads[0]! : heads.reduce(commonNeck)
    const path: Entry[] = []
    let at = neck
    let start: Roster | undefined
    for (;;) {
      start = this.#states.get(at.id)
      if (start !== undefined) break
      path.push(at)
      if (at.parents.length === 0) break
      at = at.neck
    }
    const draft = start === undefined ? emptyDraft() : draftOf(start)
    for (const entry of path.toReversed()) {
      settle(draft, entry.neck, entry.parents)
      apply(draft, entry)
    }
    if (heads.length > 1) settle(draft, neck, heads)
    return this.#keep(keyOf(heads), draft)
  }

  #keep(key: string, state: Roster): Roster {
    this.#states.delete(key)
    this.#states.set(key, state)
    if (this.#states.size > limits.groupStatesKept) this.#states.delete(this.#states.keys().next().value!)
    return state
  }
}

const keyOf = (heads: readonly Entry[]): string => heads.map(({ id }) => id).join()

/** From what holds after `neck` to what holds after all `heads`. */
function settle(draft: Draft, neck: Entry, heads: readonly Entry[]): void {
  if (heads.length > 1) resolve(draft, between(neck, heads))
}

/**
 * Members, admins and rules of a group after a set of operations, who may do what, and what one operation changes that has
 * all others before it. Concurrent operations are settled in resolve.ts.
 */
import { Writer } from '../codec.ts'
import { type ErrorCode, unreachable } from '../errors.ts'
import type { DeviceId, GroupOpId, Identity } from '../ids.ts'
import {
  type Cut,
  cutsCodec,
  deviceId,
  groupOpId,
  type GroupOp,
  type GroupPolicy,
  identityId,
  policyCodec,
} from './op.ts'
import { limits } from '../limits.ts'
import { type Backing, compareWarrants, type Standing, type Warrant } from './standing.ts'

export interface Member {
  /** Additions in force, most senior first; never empty. */
  readonly adds: readonly Warrant[]
  /** Grants in force, most senior first. */
  readonly grants: readonly Warrant[]
}

/** A removal, a leave or the retiring of a device, and how far the messages go that it lets stand. */
export interface Removal {
  readonly op: GroupOpId
  /** Undefined: all devices. */
  readonly device: DeviceId | undefined
  readonly cuts: readonly Cut[]
}

export interface Epoch {
  readonly op: GroupOpId
  readonly number: number
  readonly commitment: Uint8Array
}

export interface Roster {
  readonly name: string
  readonly policy: GroupPolicy
  readonly members: ReadonlyMap<Identity, Member>
  /** Everybody who was ever removed, or had a device retired. */
  readonly removals: ReadonlyMap<Identity, readonly Removal[]>
  /** Devices that signed two histories. */
  readonly forked: ReadonlySet<DeviceId>
  /** Those that nobody holds who was removed; the first one is for sending. None: new keys are due. */
  readonly epochs: readonly Epoch[]
  /** The highest number of any epoch. */
  readonly lastEpoch: number
  /** Operations that concurrent ones made void. */
  readonly struck: ReadonlySet<GroupOpId>
  /** Members with a grant in force. */
  readonly grantedAdmins: number
}

/** A roster under construction. */
export type Draft = {
  -readonly [Name in keyof Roster]: Roster[Name] extends ReadonlyMap<infer Key, infer Value>
    ? Map<Key, Value>
    : Roster[Name] extends ReadonlySet<infer Item>
      ? Set<Item>
      : Roster[Name]
}

export const draftOf = (roster: Roster): Draft => ({
  ...roster,
  members: new Map(roster.members),
  removals: new Map(roster.removals),
  forked: new Set(roster.forked),
  struck: new Set(roster.struck),
})

export const emptyDraft = (): Draft => ({
  name: '',
  policy: { post: 'members', add: 'admins', sharesHistory: false, readReceipts: false },
  members: new Map(),
  removals: new Map(),
  forked: new Set(),
  epochs: [],
  lastEpoch: 0,
  struck: new Set(),
  grantedAdmins: 0,
})

/** Who speaks for a group in which no grant is in force: its most senior member. */
function successorOf({ members, grantedAdmins }: Roster): Identity | undefined {
  if (grantedAdmins > 0) return undefined
  let found: [Identity, Warrant] | undefined
  for (const [identity, { adds }] of members) {
    if (found === undefined || compareWarrants(adds[0]!, found[1]) < 0) found = [identity, adds[0]!]
  }
  return found?.[0]
}

export const isAdmin = (roster: Roster, identity: Identity): boolean => {
  const member = roster.members.get(identity)
  return member !== undefined && (member.grants.length > 0 || successorOf(roster) === identity)
}

/** Most senior first. */
export const adminsOf = (roster: Roster): readonly Identity[] => {
  if (roster.grantedAdmins === 0) return [successorOf(roster)].filter((identity) => identity !== undefined)
  return [...roster.members]
    .filter(([, { grants }]) => grants.length > 0)
    .toSorted(([, a], [, b]) => compareWarrants(a.grants[0]!, b.grants[0]!))
    .map(([identity]) => identity)
}

export const isRetired = ({ removals }: Roster, identity: Identity, device: DeviceId): boolean =>
  removals.get(identity)?.some((removal) => removal.device === device) === true

/** The epoch under which members seal now; undefined when new keys are due first. */
export const sendingEpoch = ({ epochs }: Roster): Epoch | undefined => epochs[0]

export interface Refusal {
  readonly code: ErrorCode
  readonly reason: string
}
const refusal = (code: ErrorCode, reason: string): Refusal => ({ code, reason })

const isRefusal = (found: Backing | Refusal): found is Refusal => 'code' in found

/** What a device of a member rests on here. */
export function backingOf(roster: Roster, identity: Identity, device: DeviceId): Backing | Refusal {
  const member = roster.members.get(identity)
  if (member === undefined) return refusal('not-a-member', 'author')
  if (isRetired(roster, identity, device)) return refusal('not-a-member', 'retired')
  if (roster.forked.has(device)) return refusal('group-fork', 'device')
  return { memberBy: member.adds, adminBy: member.grants }
}

/** Whether an operation may follow what is settled in `roster`, which is exactly its causal past. */
export function standingOf(roster: Roster, op: GroupOp, itself: Warrant): Standing | Refusal {
  const { author, device, action } = op
  if (action.kind === 'create') return founding(itself)
  const backing = backingOf(roster, author, device)
  if (isRefusal(backing)) return backing
  const right = rightFor(roster, op)
  if (right === 'admin' && !isAdmin(roster, author)) return refusal('not-permitted', action.kind)
  const reason = whyPointless(roster, op)
  if (reason !== undefined) return refusal('not-permitted', reason)
  const quorum = action.kind === 'checkpoint' ? quorumOf(roster, op, backing) : undefined
  if (quorum !== undefined && 'code' in quorum) return quorum
  return {
    right,
    canBeStruck: canBeStruck(op),
    memberBy: backing.memberBy,
    adminBy: right === 'admin' ? backing.adminBy : [],
    rank: backing.adminBy[0] ?? backing.memberBy[0]!,
    struckBefore: roster.struck,
    quorum,
  }
}

const founding = (itself: Warrant): Standing => ({
  right: 'member',
  canBeStruck: false,
  memberBy: [itself],
  adminBy: [],
  rank: itself,
  struckBefore: new Set(),
  quorum: undefined,
})

function rightFor(roster: Roster, { author, action }: GroupOp): 'member' | 'admin' {
  switch (action.kind) {
    case 'create':
    case 'leave':
      return 'member'
    case 'add':
      return roster.policy.add === 'members' ? 'member' : 'admin'
    case 'retire':
      return action.member === author ? 'member' : 'admin'
    case 'epoch': // anybody may bring new keys when they are due, so that no absent admin stops the others
      return roster.epochs.length === 0 ? 'member' : 'admin'
    case 'remove':
    case 'grant':
    case 'revoke':
    case 'rename':
    case 'policy':
    case 'checkpoint':
      return 'admin'
    default:
      return unreachable(action)
  }
}

/** Leaving, retiring one's own device and new keys take nothing from others; a checkpoint answers to its quorum alone. */
function canBeStruck({ author, action }: GroupOp): boolean {
  if (action.kind === 'retire') return action.member !== author
  return !['create', 'leave', 'epoch', 'checkpoint'].includes(action.kind)
}

/** Why the operation says nothing that could be; undefined when it does. */
function whyPointless(roster: Roster, { author, action }: GroupOp): string | undefined {
  switch (action.kind) {
    case 'add':
      return roster.members.has(action.member) ? 'member-already' : undefined
    case 'remove':
      if (action.member === author) return 'leave-instead'
      return roster.members.has(action.member) ? undefined : 'no-such-member'
    case 'grant': {
      const member = roster.members.get(action.member)
      if (member === undefined) return 'no-such-member'
      return member.grants.length > 0 ? 'admin-already' : undefined
    }
    case 'revoke': {
      const member = roster.members.get(action.member)
      return member === undefined || member.grants.length === 0 ? 'no-such-admin' : undefined
    }
    case 'epoch':
      return action.number === roster.lastEpoch + 1 ? undefined : 'epoch-number'
    case 'retire':
      if (!roster.members.has(action.member)) return 'no-such-member'
      return isRetired(roster, action.member, action.cut.device) ? 'retired-already' : undefined
    case 'create':
    case 'leave':
    case 'rename':
    case 'policy':
    case 'checkpoint':
      return undefined
    default:
      return unreachable(action)
  }
}

function quorumOf(roster: Roster, { author, action }: GroupOp, own: Backing): Standing['quorum'] | Refusal {
  if (action.kind !== 'checkpoint') return undefined
  const admins = new Set(adminsOf(roster))
  const signers = [own]
  for (const { identity, device } of action.signers) {
    if (identity === author) return refusal('not-permitted', 'signer-twice')
    if (!admins.has(identity)) return refusal('not-permitted', 'signer')
    const backing = backingOf(roster, identity, device)
    if (isRefusal(backing)) return backing
    signers.push(backing)
  }
  return signers.length * 2 > admins.size ? { of: admins.size, signers } : refusal('not-permitted', 'quorum')
}

/** What an operation changes that comes after everything in the draft. */
export function apply(draft: Draft, { id, op, depth }: { id: GroupOpId; op: GroupOp; depth: number }): void {
  const { action } = op
  const warrant = { id, depth }
  switch (action.kind) {
    case 'create':
      draft.name = action.name
      draft.policy = action.policy
      setMember(draft, op.author, { adds: [warrant], grants: [warrant] })
      break
    case 'add':
      setMember(draft, action.member, { adds: [warrant], grants: [] })
      break
    case 'remove':
      setMember(draft, action.member, undefined)
      break
    case 'leave':
      setMember(draft, op.author, undefined)
      break
    case 'grant':
      setMember(draft, action.member, { ...draft.members.get(action.member)!, grants: [warrant] })
      break
    case 'revoke':
      setMember(draft, action.member, { ...draft.members.get(action.member)!, grants: [] })
      break
    case 'rename':
      draft.name = action.name
      break
    case 'policy':
      draft.policy = action.policy
      break
    case 'epoch':
      draft.lastEpoch = action.number
      draft.epochs = bestEpochs([epochOf(id, action), ...draft.epochs])
      break
    case 'retire':
    case 'checkpoint':
      break
    default:
      unreachable(action)
  }
  const removal = removalOf(id, op)
  if (removal === undefined) return
  noteRemoval(draft, removal)
  draft.epochs = []
}

export const epochOf = (id: GroupOpId, { number, commitment }: { number: number; commitment: Uint8Array }): Epoch => ({
  op: id,
  number,
  commitment,
})

/** The highest number first, of equal ones the lowest id. */
export const bestEpochs = (epochs: readonly Epoch[]): readonly Epoch[] =>
  epochs.toSorted((a, b) => b.number - a.number || (a.op < b.op ? -1 : 1)).slice(0, limits.groupEpochsMax)

export type RemovalOf = Removal & { readonly member: Identity }

/** Undefined for an operation that takes nobody away. */
export function removalOf(id: GroupOpId, { author, action }: GroupOp): RemovalOf | undefined {
  switch (action.kind) {
    case 'remove':
      return { op: id, member: action.member, device: undefined, cuts: action.cuts }
    case 'leave':
      return { op: id, member: author, device: undefined, cuts: action.cuts }
    case 'retire':
      return { op: id, member: action.member, device: action.cut.device, cuts: [action.cut] }
    case 'create':
    case 'add':
    case 'grant':
    case 'revoke':
    case 'rename':
    case 'policy':
    case 'epoch':
    case 'checkpoint':
      return undefined
    default:
      return unreachable(action)
  }
}

export function noteRemoval(draft: Draft, { member, ...removal }: RemovalOf): void {
  draft.removals.set(member, [...(draft.removals.get(member) ?? []), removal])
}

/** Keeps the count of admins right. */
export function setMember(draft: Draft, identity: Identity, member: Member | undefined): void {
  const isGranted = (of: Member | undefined): number => (of !== undefined && of.grants.length > 0 ? 1 : 0)
  draft.grantedAdmins += isGranted(member) - isGranted(draft.members.get(identity))
  if (member === undefined) draft.members.delete(identity)
  else draft.members.set(identity, member)
}

const byId = <Id extends string, Value>([a]: [Id, Value], [b]: [Id, Value]): number => (a < b ? -1 : 1)

/** ◆ One encoding for one state, whatever way led to it: replicas compare it. */
export function encodeRoster(roster: Roster): Uint8Array {
  const out = new Writer(4096)
  const warrants = (list: readonly Warrant[]): void => {
    out.u16(list.length)
    for (const { id, depth } of list) {
      groupOpId.write(out, id)
      out.u32(depth)
    }
  }
  out.u8(1)
  out.text(roster.name, limits.groupNameOctetsMax)
  policyCodec.write(out, roster.policy)
  out.u32(roster.members.size)
  for (const [identity, { adds, grants }] of [...roster.members].toSorted(byId)) {
    identityId.write(out, identity)
    warrants(adds)
    warrants(grants)
  }
  out.u32(roster.removals.size)
  for (const [identity, removals] of [...roster.removals].toSorted(byId)) {
    identityId.write(out, identity)
    out.u32(removals.length)
    for (const { op, device, cuts } of removals.toSorted((a, b) => (a.op < b.op ? -1 : 1))) {
      groupOpId.write(out, op)
      out.u8(device === undefined ? 0 : 1)
      if (device !== undefined) deviceId.write(out, device)
      cutsCodec.write(out, cuts)
    }
  }
  out.u32(roster.forked.size)
  for (const device of [...roster.forked].toSorted()) deviceId.write(out, device)
  out.u32(roster.lastEpoch)
  out.u8(roster.epochs.length)
  for (const { op, number, commitment } of roster.epochs) {
    groupOpId.write(out, op)
    out.u32(number)
    out.raw(commitment)
  }
  out.u32(roster.struck.size)
  for (const id of [...roster.struck].toSorted()) groupOpId.write(out, id)
  return out.finish()
}

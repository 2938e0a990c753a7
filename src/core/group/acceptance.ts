/**
 * Whether a message of a group may be taken: judged before it is opened, so that what is refused moves no key. The author
 * must have been allowed to write where it stood (the heads that the message names), what allowed it must still stand, and
 * no removal that it did not know of may have cut it off. Replicas with the same operations and messages judge alike.
 */
import type { ErrorCode } from '../errors.ts'
import type { DeviceId, GroupEnvelopeId, GroupOpId } from '../ids.ts'
import { limits } from '../limits.ts'
import { isEnvelopeSigned, type ReadEnvelope } from './envelope.ts'
import type { Group } from './group.ts'
import { backingOf, isAdmin, type Removal, type Roster } from './roster.ts'
import type { Warrant } from './standing.ts'

declare const accepted: unique symbol
/** Made by `judgeEnvelope` only. */
export type AcceptedEnvelope = ReadEnvelope & { readonly [accepted]: true }

export type Judgement =
  | { readonly kind: 'accepted'; readonly envelope: AcceptedEnvelope }
  /** `operations`: not all that it names is here. `log`: its author's log does not name the device yet. */
  | { readonly kind: 'waiting'; readonly for: 'operations' | 'log' }
  /** Which of the device's messages stands at this place is settled by a later one, of the first `end`, that is not here yet. */
  | { readonly kind: 'waiting'; readonly for: 'link'; readonly removal: GroupOpId; readonly end: number }
  | { readonly kind: 'refused'; readonly code: ErrorCode; readonly reason: string }

export interface JudgeServices {
  readonly nowMs: number
  /** The message of a device at a place, as the next accepted one names it; undefined while that is not here. */
  readonly named: (device: DeviceId, sequence: number) => GroupEnvelopeId | undefined
  readonly isSigned?: (envelope: ReadEnvelope) => boolean
}

const refused = (code: ErrorCode, reason: string): Judgement => ({ kind: 'refused', code, reason })

/** May be asked again at any time: a removal that arrives later can turn what was accepted into `past-cut`. */
export function judgeEnvelope(group: Group, envelope: ReadEnvelope, services: JudgeServices): Judgement {
  const { header } = envelope
  if (header.group !== group.id) return refused('malformed', 'group')
  if (header.atMs > services.nowMs + limits.clockSkewMs) return refused('clock-off', 'ahead')
  if (!(services.isSigned ?? isEnvelopeSigned)(envelope)) return refused('signature-invalid', 'message')
  if (!group.hasDevice(header.author, header.device)) return { kind: 'waiting', for: 'log' }
  const then = group.has(header.epoch) ? group.stateAt(header.heads) : undefined
  if (then === undefined) return { kind: 'waiting', for: 'operations' }
  if (header.atMs < group.latestMs(header.heads) - limits.clockSkewMs) return refused('clock-off', 'behind')
  return (
    rightProblem(then, group.state, envelope) ??
    chainProblem(then, group.state, envelope, services) ?? { kind: 'accepted', envelope: envelope as AcceptedEnvelope }
  )
}

function rightProblem(then: Roster, now: Roster, { header }: ReadEnvelope): Judgement | undefined {
  const { author, device, epoch } = header
  const backing = backingOf(then, author, device)
  if ('code' in backing) return refused(backing.code, backing.reason)
  if (!then.epochs.some(({ op }) => op === epoch)) return refused('epoch-stale', 'epoch')
  const stands = (warrants: readonly Warrant[]): boolean => warrants.some(({ id }) => !now.struck.has(id))
  if (!stands(backing.memberBy)) return refused('not-a-member', 'addition-void')
  if (then.policy.post !== 'admins') return undefined
  if (!isAdmin(then, author)) return refused('not-permitted', 'post')
  return backing.adminBy.length > 0 && !stands(backing.adminBy) ? refused('not-permitted', 'grant-void') : undefined
}

function chainProblem(
  then: Roster,
  now: Roster,
  { id, header }: ReadEnvelope,
  { named }: JudgeServices,
): Judgement | undefined {
  const { author, device, sequence } = header
  const next = named(device, sequence)
  if (next !== undefined && next !== id) return refused('group-fork', 'next')
  // one that was in force where the author stood has been answered: it was added again
  const answered = new Set(then.removals.get(author)?.map(({ op }) => op))
  const cuts = (now.removals.get(author) ?? [])
    .filter((removal) => removal.device === undefined || removal.device === device)
    .filter(({ op }) => !answered.has(op))
    .map((removal) => ({ op: removal.op, ...lastOf(removal, device) }))
    .toSorted((a, b) => a.count - b.count)
  for (const { count, last } of cuts) {
    if (sequence >= count) return refused('past-cut', 'removed')
    if (sequence === count - 1 && id !== last) return refused('group-fork', 'cut')
  }
  // what lies past the first cut was refused, so it links nothing
  const [first] = cuts
  if (first !== undefined && sequence < first.count - 1 && next === undefined)
    return { kind: 'waiting', for: 'link', removal: first.op, end: first.count }
  return undefined
}

function lastOf({ cuts }: Removal, device: DeviceId): { count: number; last: GroupEnvelopeId | undefined } {
  const cut = cuts.find((each) => each.device === device)
  return { count: cut?.count ?? 0, last: cut?.last }
}

/**
 * One seeded life of a group: fourteen people on four replicas, networks that part and heal, admins who remove each other,
 * three people who fork and backdate and go on after they were removed; then everything meets. What must hold is checked
 * against `Oracle`, which knows the rules and nothing of how they are evaluated.
 */
import { createHash } from 'node:crypto'
import { below, type Random, seeded } from '../../../../bench/support/seeded.ts'
import type { Random as Bytes } from '../../../../src/core/ambient.ts'
import { Secret } from '../../../../src/core/crypto/secret.ts'
import { type AcceptedEnvelope, judgeEnvelope } from '../../../../src/core/group/acceptance.ts'
import { isEnvelopeSigned, type ReadEnvelope } from '../../../../src/core/group/envelope.ts'
import type { GroupAuthor } from '../../../../src/core/group/group.ts'
import {
  type ChainHead,
  commitmentTo,
  EpochKeys,
  firstPlace,
  openGroup,
  placeAfter,
  sealGroup,
  SenderChain,
  type SendingPlace,
} from '../../../../src/core/group/group-keys.ts'
import { type Cut, type GroupAction, readGroupOp, type SignedGroupOp } from '../../../../src/core/group/op.ts'
import { adminsOf, encodeRoster, isAdmin, type Roster, sendingEpoch } from '../../../../src/core/group/roster.ts'
import type { DeviceId, GroupEnvelopeId, GroupOpId, Identity } from '../../../../src/core/ids.ts'
import { MyceliumError } from '../../../../src/core/errors.ts'
import { adding, checkpointAt, deviceOf, groupOf, identityOf, introduce, policy, Side, startMs } from '../support.ts'
import { Oracle, type Rule, type View } from './oracle.ts'

const people = Array.from({ length: 14 }, (_, index) => `person ${index}`)
const nameOf = new Map(people.map((name) => [identityOf(name), name]))
/** The founder, four admins more, and seven members; two are outside at first. */
const firstMembers = people.slice(1, 12)
const firstAdmins = people.slice(1, 5)
/** One admin, and two who can become it. */
const byzantine = new Set([people[2]!, people[7]!, people[12]!])
const replicas = 4
const allDevices = people.flatMap((name) => [0, 1].map((index) => deviceOf(name, index).device))
introduce(...people)

/** A deliberate fault, to see that it is noticed. */
export type Fault =
  | { readonly kind: 'rule'; readonly without: Rule }
  | {
      readonly kind:
        | 'lost-operation'
        | 'accepts-everything'
        | 'seals-under-old-keys'
        | 'hands-to-removed'
        | 'hands-to-members'
    }

export interface Outcome {
  /** What was wrong; empty when nothing was. */
  readonly problems: readonly string[]
  readonly ops: number
  readonly struck: number
  readonly forks: number
  readonly messages: number
  readonly refused: number
  readonly rejoined: boolean
}

interface Holding {
  readonly seed: Uint8Array | undefined
  readonly heads: readonly ChainHead[]
  readonly giver: string
  /** Removals of the holder that the giver knew of when the holder was a member for it; undefined: it was none. */
  readonly after: ReadonlySet<GroupOpId> | undefined
}
interface EpochRecord {
  readonly commitment: Uint8Array
  readonly seed: Uint8Array
  readonly sending: Map<DeviceId, SenderChain>
  readonly holders: Map<string, Holding>
}
interface Written {
  readonly envelope: ReadEnvelope
  readonly payload: string
  readonly isHonest: boolean
}

const verified = new WeakMap<ReadEnvelope, boolean>()
function isSignedOnce(envelope: ReadEnvelope): boolean {
  const known = verified.get(envelope) ?? isEnvelopeSigned(envelope)
  verified.set(envelope, known)
  return known
}

/** With five admins, or with the founder alone. */
const beginnings: readonly (readonly SignedGroupOp[])[] = [firstAdmins, []].map((admins) => [
  ...groupOf(people[0]!, firstMembers, admins).group.ops(),
])

function beginAt(beginning: readonly SignedGroupOp[]): Side {
  const [first, ...others] = beginning
  const side = new Side(first!)
  for (const op of others) side.take(op)
  return side
}

class Life {
  readonly sides: readonly Side[]
  readonly #random: Random
  readonly #bytes: Bytes
  readonly #fault: Fault | undefined
  readonly #epochs = new Map<GroupOpId, EpochRecord>()
  readonly written: Written[] = []
  /** Messages that each replica has. */
  readonly #arrived = Array.from({ length: replicas }, () => new Set<Written>())
  readonly #places = new Map<DeviceId, SendingPlace>()
  #parts: readonly number[] = [0, 0, 0, 0]
  readonly leaks: string[] = []
  /** In every other life it is about three people: what happens at once then concerns the same ones more often. */
  readonly #isNarrow: boolean

  constructor(seed: number, fault: Fault | undefined) {
    this.#random = seeded(seed)
    this.#isNarrow = seed % 2 === 1
    this.sides = Array.from({ length: replicas }, () => beginAt(beginnings[seed % 3 === 0 ? 1 : 0]!))
    this.#fault = fault
    let drawn = 0
    this.#bytes = {
      bytes: (length) => {
        drawn += 1
        return createHash('shake256', { outputLength: length }).update(`${seed}/${drawn}`).digest()
      },
    }
  }

  #below(end: number): number {
    return below(this.#random, end)
  }
  #oneOf<T>(list: readonly T[]): T {
    return list[this.#below(list.length)]!
  }
  #shuffled<T>(list: readonly T[]): T[] {
    const all = [...list]
    for (let at = all.length - 1; at > 0; at -= 1) {
      const other = this.#below(at + 1)
      ;[all[at], all[other]] = [all[other]!, all[at]!]
    }
    return all
  }

  run(steps: number): void {
    this.#mint(people[0]!, 0)
    this.#meet(0, 1, false)
    this.#meet(0, 2, false)
    this.#meet(0, 3, false)
    for (let step = 0; step < steps; step += 1) {
      if (step % 7 === 3) this.#parts = this.sides.map(() => this.#below(2))
      if (this.#random() < 0.3) {
        const [one, two] = this.#shuffled([0, 1, 2, 3])
        if (this.#parts[one!] === this.#parts[two!]) this.#meet(one!, two!, this.#random() < 0.3)
      } else this.#act()
    }
  }

  /** What one has, the other gets, or half of it, in any order. */
  #meet(one: number, two: number, isHalf: boolean): void {
    for (const [from, to] of [
      [one, two],
      [two, one],
    ] as const) {
      const ops = this.#shuffled([...this.sides[from]!.group.beyond(this.sides[to]!.group.heads)])
      for (const op of isHalf ? ops.slice(0, ops.length / 2) : ops) this.sides[to]!.take(op)
      for (const each of this.#arrived[from]!) if (!isHalf || this.#random() < 0.5) this.#arrived[to]!.add(each)
    }
  }

  #act(): void {
    const isVillain = this.#random() < 0.35
    const index = isVillain ? people.indexOf(this.#oneOf([...byzantine])) : this.#below(people.length)
    const name = people[index]!
    const replica = index % replicas
    const side = this.sides[replica]!
    const author = deviceOf(name, this.#random() < 0.15 ? 1 : 0)
    const isMember = side.state.members.has(author.identity)
    if (byzantine.has(name) && (isVillain || !isMember)) {
      const past = [...side.group.ops()]
      const stale = this.#random() < 0.6 ? [readGroupOp(this.#oneOf(past)).id] : side.group.heads
      if (this.#random() < 0.25) this.#write(author, name, replica, stale, false)
      else this.#try(author, name, replica, this.#action(name, side, stale), stale)
      return
    }
    if (!isMember) return
    if (sendingEpoch(side.state) === undefined && this.#random() < 0.5) this.#mint(name, replica)
    else if (this.#random() < 0.25) this.#write(author, name, replica, side.group.heads, true)
    else this.#try(author, name, replica, this.#action(name, side, side.group.heads))
  }

  #action(name: string, side: Side, heads: readonly GroupOpId[]): GroupAction {
    const state = side.group.stateAt(heads)!
    const members = [...state.members.keys()].filter((identity) => nameOf.get(identity) !== name)
    const outside = people.filter((each) => !state.members.has(identityOf(each)))
    const admins = adminsOf(state).filter((identity) => nameOf.get(identity) !== name)
    const focus = people.slice(0, 3).map(identityOf)
    const pick = (from: readonly Identity[]): Identity => {
      const near = this.#isNarrow ? from.filter((identity) => focus.includes(identity)) : []
      return this.#oneOf(near.length > 0 ? near : from)
    }
    const lot = this.#below(100)
    if (lot < 20 && outside.length > 0) return adding(nameOf.get(pick(outside.map(identityOf)))!)
    if (lot < 32 && admins.length > 0) return this.#removal(pick(admins), side)
    if (lot < 50 && members.length > 0) return this.#removal(pick(members), side)
    if (lot < 62 && members.length > 0) return { kind: 'grant', member: pick(members) }
    if (lot < 73 && admins.length > 0) return { kind: 'revoke', member: pick(admins) }
    if (lot < 80) return { kind: 'rename', name: `name ${this.#below(1000)}` }
    if (lot < 85) return { kind: 'policy', policy: { ...policy, add: this.#oneOf(['admins', 'members']) } }
    if (lot < 91) {
      const agreeing = admins.flatMap((identity) => nameOf.get(identity) ?? []).filter(() => this.#random() < 0.8)
      return checkpointAt(side.group, heads, agreeing)
    }
    if (lot < 96) {
      const [cut] = this.#cuts(identityOf(name), side).filter(({ device }) => device === deviceOf(name, 1).device)
      const { device } = deviceOf(name, 1)
      return { kind: 'retire', member: identityOf(name), cut: cut ?? { device, count: 0, last: firstPlace.previous } }
    }
    return { kind: 'leave', cuts: this.#cuts(identityOf(name), side) }
  }

  #removal(member: Identity, side: Side): GroupAction {
    return { kind: 'remove', member, cuts: this.#cuts(member, side) }
  }
  /** The longest unbroken run of each device's messages that this replica has. */
  #cuts(member: Identity, side: Side): Cut[] {
    const name = nameOf.get(member)!
    const mine = [...this.#arrived[this.sides.indexOf(side)]!]
    return [0, 1]
      .map((index) => deviceOf(name, index).device)
      .flatMap((device) => {
        let cut: Cut | undefined
        for (;;) {
          const count: number = cut?.count ?? 0
          const next = mine.find(
            ({ envelope: { header } }) =>
              header.device === device &&
              header.sequence === count &&
              header.previous === (cut?.last ?? firstPlace.previous),
          )
          if (next === undefined) return cut === undefined ? [] : [cut]
          cut = { device, count: count + 1, last: next.envelope.id }
        }
      })
      .toSorted((a, b) => (a.device < b.device ? -1 : 1))
  }

  /** The operation, if it is allowed where its author says that it stands. */
  #try(author: GroupAuthor, name: string, replica: number, action: GroupAction, heads?: readonly GroupOpId[]): void {
    const side = this.sides[replica]!
    let op: SignedGroupOp
    try {
      op = side.group.compose(author, action, startMs, heads)
    } catch (error) {
      if (error instanceof MyceliumError) return
      throw error
    }
    const { kind } = side.take(op)
    if (kind === 'known') return // a villain says the same again
    if (kind !== 'added') throw new Error('what was composed is not taken')
    if (action.kind === 'add') this.#handToJoiner(name, nameOf.get(action.member)!, side)
  }

  #mint(name: string, replica: number): void {
    const side = this.sides[replica]!
    const seed = this.#bytes.bytes(32)
    const commitment = commitmentTo(side.group.id, seed)
    const before = side.group.heads
    this.#try(deviceOf(name), name, replica, { kind: 'epoch', number: side.state.lastEpoch + 1, commitment })
    const [epoch] = side.group.heads
    if (side.group.heads.length !== 1 || before.includes(epoch!)) return
    const holders = new Map<string, Holding>()
    const isTold = (each: string): boolean =>
      each === name || side.state.members.has(identityOf(each)) || this.#fault?.kind === 'hands-to-removed'
    // a villain tells its friends, wherever they are
    const isFriend = (each: string): boolean => byzantine.has(name) && byzantine.has(each)
    for (const each of people) {
      if (isTold(each) || isFriend(each)) holders.set(each, this.#holding(side.state, name, each, { seed, heads: [] }))
    }
    const sending = new Map(
      allDevices.map((device) => [device, SenderChain.fromSeed(new Secret(Buffer.from(seed)), epoch!, device)]),
    )
    this.#epochs.set(epoch!, { commitment, seed, sending, holders })
  }

  #handToJoiner(adder: string, joiner: string, side: Side): void {
    const epoch = sendingEpoch(side.state)
    const record = epoch === undefined ? undefined : this.#epochs.get(epoch.op)
    if (record === undefined || !record.holders.has(adder) || record.holders.has(joiner)) return
    const heads = [...record.sending.values()].map((chain) => chain.head())
    record.holders.set(joiner, this.#holding(side.state, adder, joiner, { seed: undefined, heads }))
  }

  /** A member without keys asks one who has them. */
  #ask(author: GroupAuthor, name: string, side: Side, epoch: GroupOpId, { holders, sending }: EpochRecord): void {
    const giver = people.find((each) => holders.has(each) && !byzantine.has(each) && this.#isMember(side, each))
    const isCareless = this.#fault?.kind === 'hands-to-members'
    const mayHold = isCareless
      ? side.state.members.has(author.identity)
      : side.group.mayHold(epoch, author.identity, author.device)
    if (giver === undefined || !mayHold) return
    const heads = [...sending.values()].map((chain) => chain.head())
    holders.set(name, this.#holding(side.state, giver, name, { seed: undefined, heads }))
  }
  #isMember(side: Side, name: string): boolean {
    return side.state.members.has(identityOf(name))
  }

  #holding(state: Roster, giver: string, to: string, what: Pick<Holding, 'seed' | 'heads'>): Holding {
    const identity = identityOf(to)
    const removals = (state.removals.get(identity) ?? []).map(({ op }) => op)
    return { ...what, giver, after: state.members.has(identity) ? new Set(removals) : undefined }
  }

  #write(author: GroupAuthor, name: string, replica: number, heads: readonly GroupOpId[], isHonest: boolean): void {
    const side = this.sides[replica]!
    const state = side.group.stateAt(heads)!
    const known = [...this.#epochs].filter(([epoch, { holders }]) => holders.has(name) && side.group.has(epoch))
    const isCareless = this.#fault?.kind === 'seals-under-old-keys'
    const right = isCareless ? undefined : sendingEpoch(state)?.op
    const epoch = isHonest && !isCareless ? right : (right ?? (known.length > 0 ? this.#oneOf(known)[0] : undefined))
    const record = epoch === undefined ? undefined : this.#epochs.get(epoch)
    if (record === undefined) return
    if (!record.holders.has(name)) this.#ask(author, name, side, epoch!, record)
    if (!record.holders.has(name)) return
    const place = this.#places.get(author.device) ?? firstPlace
    const payload = `${name} ${this.written.length}`
    const draft = { group: side.group.id, epoch: epoch!, heads, place, payload: Buffer.from(payload) }
    const chain = record.sending.get(author.device)!
    const envelope = sealGroup(author, chain, draft, { random: this.#bytes, nowMs: startMs })
    // a villain sometimes writes its next message at the same place again
    if (isHonest || this.#random() < 0.8) this.#places.set(author.device, placeAfter(envelope))
    const one = { envelope, payload, isHonest }
    this.written.push(one)
    this.#arrived[replica]!.add(one)
    if (isHonest) this.#lookForLeaks(one, state)
  }

  keysOf(name: string, epoch: GroupOpId): EpochKeys | undefined {
    const record = this.#epochs.get(epoch)
    const holding = record?.holders.get(name)
    if (record === undefined || holding === undefined) return undefined
    if (holding.seed !== undefined) {
      const known = { group: this.sides[0]!.group.id, epoch, commitment: record.commitment }
      return EpochKeys.fromSeed(known, new Secret(Buffer.from(holding.seed)), allDevices)
    }
    const keys = new EpochKeys(epoch)
    keys.learn(holding.heads, deviceOf(name).device)
    return keys
  }

  /** Nobody whom an honest author knew to be removed reads what it wrote, with all that was ever given to it. */
  #lookForLeaks({ envelope, payload }: Written, state: Roster): void {
    const { epoch } = envelope.header
    for (const name of people) {
      const removals = state.removals.get(identityOf(name)) ?? []
      const holding = this.#epochs.get(epoch)!.holders.get(name)
      if (state.members.has(identityOf(name)) || removals.length === 0 || holding === undefined) continue
      // added again where the author did not know of it; or told by a member, which nothing can prevent
      if (holding.after !== undefined && removals.every(({ op }) => holding.after!.has(op))) continue
      if (byzantine.has(holding.giver) && state.members.has(identityOf(holding.giver))) continue
      const opened = openGroup(this.keysOf(name, epoch)!, envelope as AcceptedEnvelope, startMs)
      if (opened.kind === 'opened') this.leaks.push(`${name} reads '${payload}'`)
    }
  }

  settle(): void {
    for (let round = 0; round < 2; round += 1) {
      for (const other of [1, 2, 3]) this.#meet(0, other, false)
    }
    if (this.#fault?.kind === 'lost-operation') {
      // one replica without the last operation
      const ops = [...this.sides[0]!.group.ops()]
      const last = this.sides[0]!.group.heads[0]!
      const [first, ...others] = ops
      const poorer = new Side(first!)
      for (const op of others) if (readGroupOp(op).id !== last) poorer.take(op)
      ;(this.sides as Side[])[3] = poorer
    }
  }
  fresh(): Side {
    const [first, ...others] = this.sides[0]!.group.ops()
    const side = new Side(first!)
    for (const op of this.#shuffled(others)) side.take(op)
    return side
  }
  someone(): string {
    return this.#oneOf(people)
  }
}

const project = (state: Roster): View => ({
  members: Object.fromEntries(
    [...state.members.keys()].toSorted().map((identity) => [identity, isAdmin(state, identity)]),
  ),
  name: state.name,
  policy: state.policy,
  epochs: state.epochs.map(({ op }) => op),
  struck: [...state.struck].toSorted(),
  removals: [...state.removals.values()].flatMap((removals) => removals.map(({ op }) => op)).toSorted(),
  forked: [...state.forked].toSorted(),
})

interface Verdicts {
  readonly accepted: ReadonlySet<Written>
  readonly text: string
}

/** The latest message of each device first, so that those before are named by those that stand. */
function judgeAll(life: Life, side: Side, isLenient: boolean): Verdicts {
  const named = new Map<string, GroupEnvelopeId>()
  const accepted = new Set<Written>()
  const all = life.written.toSorted(
    ({ envelope: a }, { envelope: b }) => b.header.sequence - a.header.sequence || (a.id < b.id ? -1 : 1),
  )
  const lines = all.map((one) => {
    const { header } = one.envelope
    const judgement = judgeEnvelope(side.group, one.envelope, {
      nowMs: startMs,
      named: (device, sequence) => named.get(`${device}/${sequence}`),
      isSigned: isSignedOnce,
    })
    if (judgement.kind === 'accepted' || isLenient) {
      accepted.add(one)
      const before = `${header.device}/${header.sequence - 1}`
      if (!named.has(before)) named.set(before, header.previous)
    }
    return `${one.envelope.id} ${judgement.kind} ${judgement.kind === 'refused' ? judgement.code : ''}`
  })
  return { accepted, text: lines.join('\n') }
}

/** Nothing that somebody wrote after the removal that stands is taken, whatever it says of when. */
function messageProblems(
  life: Life,
  oracle: Oracle,
  ops: readonly ReturnType<typeof readGroupOp>[],
  { accepted }: Verdicts,
): string[] {
  const standing = oracle.standing()
  const byId = new Map(life.written.map((one) => [one.envelope.id, one]))
  const removals = ops.filter(
    ({ id, op }) => standing.has(id) && ['remove', 'leave', 'retire'].includes(op.action.kind),
  )
  const problems: string[] = []
  for (const { envelope } of accepted) {
    const { author, device, heads, epoch } = envelope.header
    const then = oracle.standing(heads)
    const covered = oracle.standing([epoch])
    for (const { id, op } of removals) {
      const { action } = op
      const whom =
        action.kind === 'leave' ? op.author : action.kind === 'remove' || action.kind === 'retire' ? action.member : ''
      const cuts = action.kind === 'retire' ? [action.cut] : 'cuts' in action ? action.cuts : []
      if (then.has(id) && !covered.has(id)) problems.push(`keys older than a removal: ${envelope.id}`)
      if (whom !== author || (action.kind === 'retire' && action.cut.device !== device)) continue
      if (then.has(id)) {
        const isBack = ops.some(
          (other) =>
            other.op.action.kind === 'add' &&
            other.op.action.member === author &&
            oracle.isWithin(id, [other.id]) &&
            then.has(other.id),
        )
        if (action.kind === 'retire' || !isBack) problems.push(`by somebody removed: ${envelope.id}`)
        continue
      }
      const kept = new Set<GroupEnvelopeId>()
      let at = cuts.find((cut) => cut.device === device)?.last
      while (at !== undefined && byId.has(at)) {
        kept.add(at)
        at = byId.get(at)!.envelope.header.previous
      }
      if (!kept.has(envelope.id)) problems.push(`past its author's removal: ${envelope.id}`)
    }
  }
  return problems
}

export function runSchedule(seed: number, fault?: Fault): Outcome {
  const life = new Life(seed, fault)
  life.run(44)
  life.settle()
  const problems = [...life.leaks]
  const [first, ...others] = life.sides
  const bytes = Buffer.from(encodeRoster(first!.state))
  for (const [index, side] of [...others, life.fresh()].entries()) {
    if (!bytes.equals(encodeRoster(side.state))) problems.push(`replica ${index + 1} differs`)
    if (side.group.waiting > 0) problems.push(`replica ${index + 1} waits`)
  }
  const ops = [...first!.group.ops()].map(readGroupOp)
  const oracle = new Oracle(ops, fault?.kind === 'rule' ? fault.without : undefined)
  const view = oracle.view()
  for (const id of oracle.unfounded) problems.push(`unfounded: ${id}`)
  if (JSON.stringify(view) !== JSON.stringify(project(first!.state))) problems.push('the oracle says something else')
  const verdicts = judgeAll(life, first!, fault?.kind === 'accepts-everything')
  if (verdicts.text !== judgeAll(life, others[0]!, false).text) problems.push('messages are judged differently')
  problems.push(...messageProblems(life, oracle, ops, verdicts))
  for (const { envelope, payload, isHonest } of verdicts.accepted) {
    const reader = life.someone()
    const keys = life.keysOf(reader, envelope.header.epoch)
    const isFull = keys !== undefined && keys.chain(envelope.header.device)!.next === 0
    if (!isHonest || keys === undefined || !isFull) continue
    const opened = openGroup(keys, envelope as AcceptedEnvelope, startMs)
    if (opened.kind !== 'opened' || Buffer.from(opened.payload).toString() !== payload) problems.push('does not open')
  }
  const joined = ops
    .filter(({ op }) => op.action.kind === 'add')
    .map(({ op }) => 'member' in op.action && op.action.member)
  return {
    problems,
    ops: ops.length,
    struck: view.struck.length,
    forks: view.forked.length,
    messages: life.written.length,
    refused: life.written.length - verdicts.accepted.size,
    rejoined: new Set(joined).size < joined.length,
  }
}

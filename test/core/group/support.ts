/** People with devices, and groups between them, from a seed: the same bytes on every run. */
import { createHash } from 'node:crypto'
import { signingKey, type SigningKey } from '../../../src/core/crypto/sign.ts'
import { Group, type GroupAuthor, type GroupServices, foundGroup } from '../../../src/core/group/group.ts'
import {
  agreeToCheckpoint,
  type Cut,
  type GroupAction,
  type GroupPolicy,
  isGroupOpSigned,
  type ReadGroupOp,
  readGroupOp,
  type SignedGroupOp,
} from '../../../src/core/group/op.ts'
import { adminsOf, encodeRoster, type Roster } from '../../../src/core/group/roster.ts'
import type { DeviceId, GroupEnvelopeId, GroupOpId, Identity } from '../../../src/core/ids.ts'

export const startMs = Date.UTC(2026, 0, 1)
const noMessage = '0'.repeat(64) as GroupEnvelopeId
export const policy: GroupPolicy = { post: 'members', add: 'admins', sharesHistory: false, readReceipts: true }

const digest = (text: string): Buffer => createHash('sha256').update(text).digest()
const keys = new Map<string, SigningKey>()

/** Device `index` of the person of this name. */
export function deviceOf(name: string, index = 0): GroupAuthor {
  const seed = `${name}/${index}`
  const key = keys.get(seed) ?? signingKey(digest(seed))
  keys.set(seed, key)
  return { identity: identityOf(name), device: Buffer.from(key.publicKey).toString('hex') as DeviceId, key }
}
export const identityOf = (name: string): Identity => digest(`identity/${name}`).toString('hex') as Identity

const devicesEach = 3
const owners = new Map<DeviceId, Identity>()
/** Makes the devices of these people known to `services`. */
export function introduce(...names: readonly string[]): void {
  for (const name of names) {
    for (let index = 0; index < devicesEach; index += 1) owners.set(deviceOf(name, index).device, identityOf(name))
  }
}

/** What was verified once is not verified again: replicas of one process share it. */
const signed = new Map<string, boolean>()
function isSignedOnce(read: ReadGroupOp): boolean {
  const key = `${read.id}${Buffer.from(read.signed.signature).toString('latin1')}`
  const known = signed.get(key) ?? isGroupOpSigned(read)
  signed.set(key, known)
  if (signed.size > 10_000) signed.clear()
  return known
}
export const services: GroupServices = {
  hasDevice: (identity, device) => owners.get(device) === identity,
  isSigned: isSignedOnce,
}

const idOf = (op: SignedGroupOp): GroupOpId => readGroupOp(op).id

/** One replica, and short ways to write on it. */
export class Side {
  readonly group: Group
  nowMs = startMs

  constructor(first: SignedGroupOp) {
    this.group = Group.open(first, services)
  }

  static found(name: string, rules: GroupPolicy = policy, index = 0): Side {
    introduce(name)
    const nonce = digest(`nonce/${name}`).subarray(0, 16)
    return new Side(foundGroup(deviceOf(name, index), { name: 'Walkers', policy: rules, nonce }, startMs))
  }
  /** Another replica with the same operations. */
  copy(): Side {
    const [first, ...others] = this.group.ops()
    const side = new Side(first!)
    side.nowMs = this.nowMs
    for (const op of others) side.take(op)
    return side
  }

  take(op: SignedGroupOp) {
    return this.group.add(op, this.nowMs)
  }
  /** Composed here and taken; its id. */
  by(author: string | GroupAuthor, action: GroupAction, heads?: readonly GroupOpId[]): GroupOpId {
    const device = typeof author === 'string' ? deviceOf(author) : author
    introduce(...(typeof author === 'string' ? [author] : []))
    const op = this.group.compose(device, action, this.nowMs, heads)
    const result = this.take(op)
    if (result.kind !== 'added') throw new Error(JSON.stringify(result))
    return idOf(op)
  }
  /** Both have what either had. */
  meet(other: Side): void {
    for (const op of this.group.beyond(other.group.heads)) other.take(op)
    for (const op of other.group.beyond(this.group.heads)) this.take(op)
  }
  get state(): Roster {
    return this.group.state
  }
  get bytes(): Uint8Array {
    return encodeRoster(this.group.state)
  }
  members(...names: readonly string[]): readonly string[] {
    return names.filter((name) => this.state.members.has(identityOf(name)))
  }
  admins(...names: readonly string[]): readonly string[] {
    const admins = new Set(adminsOf(this.state))
    return names.filter((name) => admins.has(identityOf(name)))
  }
}

export const adding = (name: string): GroupAction => ({
  kind: 'add',
  member: identityOf(name),
  logHead: new Uint8Array(32),
})
export const removing = (name: string, cuts: readonly Cut[] = []): GroupAction => ({
  kind: 'remove',
  member: identityOf(name),
  cuts,
})
export const granting = (name: string): GroupAction => ({ kind: 'grant', member: identityOf(name) })
export const revoking = (name: string): GroupAction => ({ kind: 'revoke', member: identityOf(name) })
export const leaving: GroupAction = { kind: 'leave', cuts: [] }
export const renaming = (name: string): GroupAction => ({ kind: 'rename', name })
export const retiring = (name: string, index: number, count = 0, last = noMessage): GroupAction => ({
  kind: 'retire',
  member: identityOf(name),
  cut: { device: deviceOf(name, index).device, count, last },
})
export const newEpoch = (state: Roster, text = 'seed'): GroupAction => ({
  kind: 'epoch',
  number: state.lastEpoch + 1,
  commitment: digest(text),
})
/** A checkpoint of where `side` stands, with the agreement of these. */
export const checkpoint = (side: Side, ...names: readonly string[]): GroupAction =>
  checkpointAt(side.group, side.group.heads, names)

export function checkpointAt({ id }: Group, heads: readonly GroupOpId[], names: readonly string[]): GroupAction {
  const signers = names.map((name) => {
    const { identity, device, key } = deviceOf(name)
    return { identity, device, signature: agreeToCheckpoint(key, id, heads) }
  })
  return { kind: 'checkpoint', signers: signers.toSorted((a, b) => (a.identity < b.identity ? -1 : 1)) }
}

/** `founder`, and others whom the founder adds; admins where named. */
export function groupOf(founder: string, members: readonly string[], admins: readonly string[] = []): Side {
  const side = Side.found(founder)
  introduce(...members)
  for (const name of members) side.by(founder, adding(name))
  for (const name of admins) side.by(founder, granting(name))
  return side
}

/**
 * ◆ One signed operation of a group's membership: its bytes, its hash, its signature. The hash leaves the signature out,
 * so that one statement has one id. Format: docs/protocol/groups.md.
 */
import { toHex } from '../bytes.ts'
import {
  array,
  bool,
  bytes,
  type Codec,
  decode,
  encode,
  fixed,
  hexId,
  literal,
  record,
  text,
  u32,
  u64,
  union,
  versionByte,
} from '../codec.ts'
import { labelledHash } from '../crypto/kdf.ts'
import { sign, type SigningKey, verify } from '../crypto/sign.ts'
import { MyceliumError } from '../errors.ts'
import { verifyKeyOf } from '../identity/device.ts'
import type { DeviceId, GroupEnvelopeId, GroupId, GroupOpId, Identity } from '../ids.ts'
import { limits } from '../limits.ts'

export interface GroupPolicy {
  /** `anyone`: mail from outside is taken too, by whichever member it reaches. */
  readonly post: 'members' | 'admins' | 'anyone'
  readonly add: 'admins' | 'members'
  /** Whether those who join are given what was written before. */
  readonly sharesHistory: boolean
  readonly readReceipts: boolean
}

/**
 * How far a device's messages go: the first `count` of them stand, and `last` is the last one (64 zeros when there
 * is none). As every message names the hash of the one before, this settles all of them.
 */
export interface Cut {
  readonly device: DeviceId
  readonly count: number
  readonly last: GroupEnvelopeId
}

/** Another admin's agreement to a checkpoint. */
export interface CheckpointSigner {
  readonly identity: Identity
  readonly device: DeviceId
  readonly signature: Uint8Array
}

export type GroupAction =
  | { readonly kind: 'create'; readonly name: string; readonly policy: GroupPolicy; readonly nonce: Uint8Array }
  /** `logHead`: hash of the newest entry of the member's account log that the adder knows. */
  | { readonly kind: 'add'; readonly member: Identity; readonly logHead: Uint8Array }
  /** Devices that are not named have no message that stands in the epochs before. */
  | { readonly kind: 'remove'; readonly member: Identity; readonly cuts: readonly Cut[] }
  | { readonly kind: 'leave'; readonly cuts: readonly Cut[] }
  | { readonly kind: 'grant'; readonly member: Identity }
  | { readonly kind: 'revoke'; readonly member: Identity }
  | { readonly kind: 'rename'; readonly name: string }
  | { readonly kind: 'policy'; readonly policy: GroupPolicy }
  /** New content keys for those who are members here. `commitment` is to the seed. */
  | { readonly kind: 'epoch'; readonly number: number; readonly commitment: Uint8Array }
  /** More than half of the admins vouch that the operation's parents are where the group stood. */
  | { readonly kind: 'checkpoint'; readonly signers: readonly CheckpointSigner[] }
  /** A device of `member` speaks for nobody any more. */
  | { readonly kind: 'retire'; readonly member: Identity; readonly cut: Cut }

export interface GroupOp {
  /** 64 zeros for `create`, whose own hash is the group's id. */
  readonly group: GroupId
  readonly author: Identity
  readonly device: DeviceId
  /** How many operations this device signed in this group before. */
  readonly sequence: number
  /** The last of them; 64 zeros for the first. */
  readonly previous: GroupOpId
  /** Every head that the author knew, ascending. */
  readonly parents: readonly GroupOpId[]
  /** The author's clock, Unix milliseconds: shown to people, decides nothing. */
  readonly atMs: number
  readonly action: GroupAction
}

/** As it is kept and sent: the body's exact bytes, then the signature over them. */
export interface SignedGroupOp {
  readonly body: Uint8Array
  readonly signature: Uint8Array
}

/** An operation whose form is right; nothing is said about its signature. */
export interface ReadGroupOp {
  readonly id: GroupOpId
  readonly op: GroupOp
  readonly signed: SignedGroupOp
}

export const noId = '0'.repeat(64)
const signatureLabel = 'mycelium/group-op/1'
const hashLabel = 'mycelium/group-op-hash/1'
const checkpointLabel = 'mycelium/group-checkpoint/1'

function choice<const Choices extends readonly string[]>(choices: Choices): Codec<Choices[number]> {
  return {
    write: (out, value) => out.u8(choices.indexOf(value)),
    read: (from) => {
      const value = choices[from.u8()]
      if (value === undefined) throw new MyceliumError('malformed', { at: from.position })
      return value
    },
  }
}

/** An array whose keys ascend, none of them twice. */
function ascending<T>(item: Codec<T>, countMax: number, key: (value: T) => string): Codec<readonly T[]> {
  const inner = array(item, countMax)
  const check = (values: readonly T[]): readonly T[] => {
    if (values.length > countMax) throw new MyceliumError('too-large', { count: values.length, countMax })
    for (let index = 1; index < values.length; index += 1) {
      if (key(values[index - 1]!) >= key(values[index]!)) throw new MyceliumError('malformed', { reason: 'order' })
    }
    return values
  }
  return { write: (out, values) => inner.write(out, check(values)), read: (from) => check(inner.read(from)) }
}

export const identityId = hexId<Identity>(32)
export const deviceId = hexId<DeviceId>(32)
export const groupId = hexId<GroupId>(32)
export const groupOpId = hexId<GroupOpId>(32)
export const envelopeId = hexId<GroupEnvelopeId>(32)
export const headsCodec = ascending(groupOpId, limits.groupParentsMax, (id) => id)

const nameText = text(limits.groupNameOctetsMax)
/** One line: it ends up in header fields. */
const nameCodec: Codec<string> = {
  write: (out, value) => nameText.write(out, value),
  read: (from) => {
    const value = nameText.read(from)
    if (/\p{Cc}|^\s*$/u.test(value)) throw new MyceliumError('malformed', { at: from.position })
    return value
  },
}
export const policyCodec = record<GroupPolicy>({
  post: choice(['members', 'admins', 'anyone']),
  add: choice(['admins', 'members']),
  sharesHistory: bool,
  readReceipts: bool,
})
const cutCodec = record<Cut>({ device: deviceId, count: u32, last: envelopeId })
export const cutsCodec = ascending(cutCodec, limits.devicesMax, ({ device }) => device)
const signerCodec = record<CheckpointSigner>({ identity: identityId, device: deviceId, signature: fixed(64) })

const actionCodec: Codec<GroupAction> = union<GroupAction>({
  create: {
    tag: 0,
    codec: record({ kind: literal('create'), name: nameCodec, policy: policyCodec, nonce: fixed(16) }),
  },
  add: { tag: 1, codec: record({ kind: literal('add'), member: identityId, logHead: fixed(32) }) },
  remove: { tag: 2, codec: record({ kind: literal('remove'), member: identityId, cuts: cutsCodec }) },
  leave: { tag: 3, codec: record({ kind: literal('leave'), cuts: cutsCodec }) },
  grant: { tag: 4, codec: record({ kind: literal('grant'), member: identityId }) },
  revoke: { tag: 5, codec: record({ kind: literal('revoke'), member: identityId }) },
  rename: { tag: 6, codec: record({ kind: literal('rename'), name: nameCodec }) },
  policy: { tag: 7, codec: record({ kind: literal('policy'), policy: policyCodec }) },
  epoch: { tag: 8, codec: record({ kind: literal('epoch'), number: u32, commitment: fixed(32) }) },
  checkpoint: {
    tag: 9,
    codec: record({
      kind: literal('checkpoint'),
      signers: ascending(signerCodec, limits.groupSignersMax, ({ identity }) => identity),
    }),
  },
  retire: { tag: 10, codec: record({ kind: literal('retire'), member: identityId, cut: cutCodec }) },
})

const bodyCodec = record<GroupOp & { readonly version: 1 }>({
  version: versionByte(1),
  group: groupId,
  author: identityId,
  device: deviceId,
  sequence: u32,
  previous: groupOpId,
  parents: headsCodec,
  atMs: u64,
  action: actionCodec,
})

export const signedGroupOpCodec: Codec<SignedGroupOp> = record({
  body: bytes(limits.groupOpBytesMax),
  signature: fixed(64),
})

/** @throws `malformed`, `too-large` */
export function signGroupOp(key: SigningKey, op: GroupOp): SignedGroupOp {
  const body = encode(bodyCodec, { version: 1, ...op })
  return { body, signature: sign(key, signatureLabel, body) }
}

/** @throws `malformed`, `too-large` */
export function readGroupOp(signed: SignedGroupOp): ReadGroupOp {
  if (signed.body.length > limits.groupOpBytesMax) throw new MyceliumError('too-large', { bytes: signed.body.length })
  const { version: _, ...op } = decode(bodyCodec, signed.body)
  const isFirst = op.action.kind === 'create'
  const looksFirst = [op.parents.length === 0, op.group === noId]
  if (looksFirst.some((looks) => looks !== isFirst) || (isFirst && op.sequence > 0)) throw refuse('first')
  if ((op.sequence === 0) !== (op.previous === noId)) throw refuse('previous')
  return { id: toHex(labelledHash(hashLabel, signed.body)) as GroupOpId, op, signed }
}

const refuse = (reason: string): MyceliumError => new MyceliumError('malformed', { reason })

/** The group that an operation belongs to. */
export const groupOf = ({ id, op }: ReadGroupOp): GroupId =>
  op.action.kind === 'create' ? (id as string as GroupId) : op.group

/** Whether the device signed it, and every other signer of a checkpoint did. */
export function isGroupOpSigned({ op, signed }: ReadGroupOp): boolean {
  if (!verify(verifyKeyOf(op.device), signatureLabel, signed.body, signed.signature)) return false
  if (op.action.kind !== 'checkpoint') return true
  const statement = checkpointStatement(op.group, op.parents)
  return op.action.signers.every(({ device, signature }) =>
    verify(verifyKeyOf(device), checkpointLabel, statement, signature),
  )
}

const statementCodec = record<{ group: GroupId; heads: readonly GroupOpId[] }>({ group: groupId, heads: headsCodec })
const checkpointStatement = (group: GroupId, heads: readonly GroupOpId[]): Uint8Array =>
  encode(statementCodec, { group, heads })

/** An admin's agreement to a checkpoint whose parents are `heads`. */
export const agreeToCheckpoint = (key: SigningKey, group: GroupId, heads: readonly GroupOpId[]): Uint8Array =>
  sign(key, checkpointLabel, checkpointStatement(group, heads))

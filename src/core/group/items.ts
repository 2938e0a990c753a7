/** ◆ What members of a group tell each other: in their sessions (`GroupItem`), and inside messages of the group (`GroupPayload`). */
import { array, bytes, type Codec, fixed, literal, record, u32, union } from '../codec.ts'
import type { DeviceId, GroupId, GroupOpId } from '../ids.ts'
import { limits } from '../limits.ts'
import { signedEnvelopeCodec, type SignedEnvelope } from './envelope.ts'
import { type ChainHead, chainKeyBytes, seedBytes } from './group-keys.ts'
import { deviceId, groupId, groupOpId, headsCodec, signedGroupOpCodec, type SignedGroupOp } from './op.ts'

export type GroupItem =
  /** To whoever was added: the operation that founds the group, and where its operations stand. Chains follow. */
  | {
      readonly kind: 'welcome'
      readonly group: GroupId
      readonly first: SignedGroupOp
      readonly heads: readonly GroupOpId[]
    }
  | { readonly kind: 'operations'; readonly group: GroupId; readonly ops: readonly SignedGroupOp[] }
  /** Where the sender's operations stand: the other sends what is beyond. */
  | { readonly kind: 'heads'; readonly group: GroupId; readonly heads: readonly GroupOpId[] }
  /** To members of the epoch when it begins. */
  | { readonly kind: 'seed'; readonly group: GroupId; readonly epoch: GroupOpId; readonly seed: Uint8Array }
  /** To whoever joins an epoch, and to whoever lacks a chain. */
  | {
      readonly kind: 'chains'
      readonly group: GroupId
      readonly epoch: GroupOpId
      readonly chains: readonly ChainHead[]
    }
  /** Asks for chains; of all devices where none is named. */
  | {
      readonly kind: 'want-chains'
      readonly group: GroupId
      readonly epoch: GroupOpId
      readonly devices: readonly DeviceId[]
    }
  | { readonly kind: 'message'; readonly envelope: SignedEnvelope }
  /** Asks for messages of a device from `sequence` on. */
  | {
      readonly kind: 'want-messages'
      readonly group: GroupId
      readonly device: DeviceId
      readonly sequence: number
      readonly count: number
    }

const chainHeads = array(
  record<ChainHead>({ device: deviceId, index: u32, key: fixed(chainKeyBytes) }),
  limits.groupGrantChainsMax,
)

export const groupItemCodec: Codec<GroupItem> = union<GroupItem>({
  welcome: {
    tag: 0,
    codec: record({ kind: literal('welcome'), group: groupId, first: signedGroupOpCodec, heads: headsCodec }),
  },
  operations: {
    tag: 1,
    codec: record({
      kind: literal('operations'),
      group: groupId,
      ops: array(signedGroupOpCodec, limits.groupOpsPerItemMax),
    }),
  },
  heads: { tag: 2, codec: record({ kind: literal('heads'), group: groupId, heads: headsCodec }) },
  seed: { tag: 3, codec: record({ kind: literal('seed'), group: groupId, epoch: groupOpId, seed: fixed(seedBytes) }) },
  chains: {
    tag: 4,
    codec: record({ kind: literal('chains'), group: groupId, epoch: groupOpId, chains: chainHeads }),
  },
  'want-chains': {
    tag: 5,
    codec: record({
      kind: literal('want-chains'),
      group: groupId,
      epoch: groupOpId,
      devices: array(deviceId, limits.groupGrantChainsMax),
    }),
  },
  message: { tag: 6, codec: record({ kind: literal('message'), envelope: signedEnvelopeCodec }) },
  'want-messages': {
    tag: 7,
    codec: record({ kind: literal('want-messages'), group: groupId, device: deviceId, sequence: u32, count: u32 }),
  },
})

export type GroupPayload =
  | { readonly kind: 'content'; readonly content: Uint8Array }
  /** Chains of devices that joined after the epoch began. */
  | { readonly kind: 'chains'; readonly chains: readonly ChainHead[] }

export const groupPayloadCodec: Codec<GroupPayload> = union<GroupPayload>({
  content: { tag: 0, codec: record({ kind: literal('content'), content: bytes(limits.groupPayloadBytesMax) }) },
  chains: { tag: 1, codec: record({ kind: literal('chains'), chains: chainHeads }) },
})
